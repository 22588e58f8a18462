"""A bug fix, turned round, is a case with a known place."""

import json
from typing import Any

import pytest

from app.errors import Unusable
from app.review.cases import parse_cases
from app.review.diff import parse_diff
from app.review.fix_case import case_of_fix, paths_of_fix
from app.review.pull import Change
from tests.builders import make_change, make_pull

BROKEN = """\
def mean(values):
    total = sum(values)
    return total / len(values)


def last(values):
    return values[len(values)]


def first(values):
    return values[0]

# end"""
FIXED = """\
def mean(values):
    if not values:
        return 0.0
    return sum(values) / len(values)


def last(values):
    return values[-1]


def first(values):
    return values[0]
"""
FIX = """\
diff --git a/stats.py b/stats.py
--- a/stats.py
+++ b/stats.py
@@ -1,8 +1,9 @@
 def mean(values):
-    total = sum(values)
-    return total / len(values)
+    if not values:
+        return 0.0
+    return sum(values) / len(values)
 
 
 def last(values):
-    return values[len(values)]
+    return values[-1]
 
@@ -10,4 +11,2 @@
 def first(values):
     return values[0]
-
-# end
\\ No newline at end of file
"""
GUARD = """\
diff --git a/guard.py b/guard.py
--- a/guard.py
+++ b/guard.py
@@ -1,2 +1,3 @@
 def enter(who):
+    check(who)
     return door(who)
"""
TEST = FIX.replace("stats.py", "tests/test_stats.py")
NEW = """\
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+x = 1
"""


def fix(diff: str) -> Change:
    return make_change(diff=parse_diff(diff.encode()), pull=make_pull(title="Mean of nothing"))


def row_of(diff: str, heads: dict[str, bytes]) -> Any:
    return json.loads(case_of_fix("acme/shop#7", fix(diff), heads))


def test_only_source_files_that_were_changed_tell_of_a_bug() -> None:
    assert paths_of_fix(fix(TEST + FIX + NEW)) == ("stats.py",)


def test_the_case_puts_the_bug_back() -> None:
    line = case_of_fix("acme/shop#7", fix(FIX), {"stats.py": FIXED.encode()})
    (case,) = parse_cases(line, "c")
    assert case.id == "acme/shop#7"
    assert case.title == ""
    assert case.heads == {"stats.py": BROKEN.encode()}
    assert json.loads(line)["diff"] == (
        """\
diff --git a/stats.py b/stats.py
--- a/stats.py
+++ b/stats.py
@@ -1,9 +1,8 @@
 def mean(values):
-    if not values:
-        return 0.0
-    return sum(values) / len(values)
+    total = sum(values)
+    return total / len(values)
 
 
 def last(values):
-    return values[-1]
+    return values[len(values)]
 
@@ -11,2 +10,4 @@
 def first(values):
     return values[0]
+
+# end
\\ No newline at end of file
"""
    )


def test_each_run_of_changed_lines_is_a_place() -> None:
    places = [
        (golden["side"], golden["start_line"], golden["end_line"], golden["text"])
        for golden in row_of(FIX, {"stats.py": FIXED.encode()})["golden"]
    ]
    assert places == [
        ("RIGHT", 2, 3, "Mean of nothing"),
        ("RIGHT", 7, 7, "Mean of nothing"),
        ("RIGHT", 12, 13, "Mean of nothing"),
    ]


def test_a_check_that_is_gone_may_be_missed_beside_it() -> None:
    head = b"def enter(who):\n    check(who)\n    return door(who)\n"
    (golden,) = row_of(GUARD, {"guard.py": head})["golden"]
    assert (golden["side"], golden["start_line"], golden["right_hunk"]) == ("LEFT", 2, [1, 2])
    assert (golden["category"], golden["severity"]) == ("bug", "medium")


@pytest.mark.parametrize("head", [b"another text\n", b"caf\xe9\n"])
def test_a_file_that_does_not_fit_is_left_out(head: bytes) -> None:
    guard = b"def enter(who):\n    check(who)\n    return door(who)\n"
    row = row_of(FIX + GUARD, {"stats.py": head, "guard.py": guard})
    assert list(row["files"]) == ["guard.py"]
    with pytest.raises(Unusable, match="acme/shop#7 changes no source file that we can reverse"):
        row_of(FIX, {"stats.py": head})
