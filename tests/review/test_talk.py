"""What a model is shown of a thread: the code around it, and words without names."""

import pytest

from app.review.config import Config
from app.review.context import Sheet
from app.review.coverage import plan_review
from app.review.diff import Diff, parse_diff
from app.review.event import Request
from app.review.findings import Location
from app.review.talk import (
    MAX_CODE_TOKENS,
    MAX_SAID,
    Said,
    Talk,
    choose_chunk,
    render_code,
    render_talk,
    without_names,
)
from app.review.tokens import estimate
from tests.builders import make_diff, make_location

HEAD = "".join(f"def f{n}():\n    x = {n}\n    return x\n\n\n" for n in range(300))
DIFF = """\
diff --git a/a.py b/a.py
index 0000000..1111111 100644
--- a/a.py
+++ b/a.py
@@ -6,4 +6,4 @@ def f0():
 def f1():
-    x = 0
+    x = 1
     return x
 
@@ -51,3 +51,3 @@
 def f10():
-    x = 9
+    x = 10
     return x
"""


def thread(place: Location | None, hunk: str = "@@ kept\n+x") -> Talk:
    return Talk(root=1, path="a.py", place=place, hunk=hunk)


def sheet(head: str | None = HEAD) -> Sheet:
    (file,) = parse_diff(DIFF.encode()).files
    return Sheet(file, None if head is None else head.encode())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ask @riley or @acme/core.", "ask @someone or @someone"),
        ("@dependabot[bot] did", "@someone did"),
        ("`@cache` and me@x.example", "`@cache` and me@x.example"),
        ("```py\n@app.get\n```\n@riley", "```py\n@app.get\n```\n@someone"),
        ("a<!-- @riley -->b\r\nc", "ab\nc"),
    ],
)
def test_mentions_name_nobody_and_code_stays(text: str, shown: str) -> None:
    assert without_names(text) == shown


def test_each_comment_says_whether_it_is_ours_and_is_cut() -> None:
    said = (Said(by="this app", text="It is."), Said(by="person 1", text="x" * 9_000))
    shown = render_talk(said)
    assert shown.startswith("this app:\nIt is.\n\nperson 1:\nxxx")
    assert len(shown) < MAX_SAID + 100


def test_the_definition_and_the_hunk_are_shown_and_not_the_file() -> None:
    shown = render_code(thread(make_location("a.py", 7)), sheet())
    assert "7 -    x = 0\n7 +    x = 1" in shown
    assert "def f10" not in shown
    assert "def f2():" not in shown


def test_a_comment_on_a_file_is_shown_all_its_hunks() -> None:
    shown = render_code(thread(None, hunk=""), sheet())
    assert "7 +    x = 1" in shown
    assert "52 +    x = 10" in shown


@pytest.mark.parametrize("is_in_diff", [True, False])
def test_of_lines_that_are_gone_what_github_keeps_is_shown(is_in_diff: bool) -> None:
    shown = render_code(thread(None), sheet() if is_in_diff else None)
    assert shown == "## File: a.py\n@@ kept\n+x"


def test_a_definition_of_any_length_is_cut_to_size() -> None:
    text = "def f():\n" + "".join(f"    call_{n}({n}, {'x' * 90})\n" for n in range(2_000))
    (file,) = make_diff({"a.py": text}).files
    shown = render_code(thread(make_location("a.py", 1_000)), Sheet(file, text.encode()))
    assert "call_998(" in shown
    assert estimate(shown) < 1.3 * MAX_CODE_TOKENS


def test_of_a_change_the_part_is_shown_that_has_the_words_of_the_question() -> None:
    diff: Diff = make_diff({f"p{n}.py": f"def word{n}():\n    pass\n" * 40 for n in range(9)})
    plan = plan_review(diff, Request(), Config(), budget_tokens=400, max_chunks=50)
    assert len(plan.chunks) > 5
    assert "def word7():" in choose_chunk(plan, "What is word7 for?")
