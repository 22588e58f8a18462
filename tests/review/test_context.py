"""A second look sees the code that decides: old and new in one, masked, and no more than fits."""

import subprocess
from pathlib import Path

import pytest

from app.review.chunks import MAX_LINE
from app.review.context import (
    MAX_FILES_READ,
    Selection,
    Sheet,
    Shown,
    add_elsewhere,
    names_of,
    rank_files,
    room_of,
)
from app.review.diff import FileDiff, Side, parse_diff
from app.review.enclosing import MAX_LINES
from app.review.findings import Location
from app.review.tokens import estimate
from tests.builders import make_diff, make_finding, make_location

BASE = """\
import os

class Stats:
    def mean(self, values):
        # Forms may be empty.
        if not values:
            return 0.0
        return sum(values) / len(values)

    def low(self, values):
        return min(values)
"""
HEAD = BASE.replace(
    "        if not values:\n            return 0.0\n        return", "        return"
)
CALLER = "from stats import Stats\n\ndef page(form):\n    return Stats().mean(form.values())\n"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


def compare(folder: Path, base: str, head: str, n_context: int = 3) -> FileDiff:
    """Let git compare two texts; the file is called stats.py."""
    for name, text in (("base", base), ("head", head)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "stats.py").write_text(text, "utf-8")
    argv = ["git", "diff", "--no-index", f"-U{n_context}", "base/stats.py", "head/stats.py"]
    raw = subprocess.run(argv, cwd=folder, capture_output=True, check=False).stdout
    (file,) = parse_diff(raw.replace(b"base/", b"").replace(b"head/", b"")).files
    return file


def added(path: str, text: str) -> Sheet:
    (file,) = make_diff({path: text}).files
    return Sheet(file, text.encode())


def page_of(sheet: Sheet, place: Location, limit: float = 1e9) -> str:
    selection = Selection()
    selection.add(sheet, sheet.around(place), limit)
    return selection.page({sheet.file.path: sheet}).text


def test_the_definition_is_shown_before_and_after_in_one(compared: Path) -> None:
    sheet = Sheet(compare(compared, BASE, HEAD, n_context=0), HEAD.encode())
    expected = """\
## File: stats.py (modified)
3  class Stats:
4      def mean(self, values):
5          # Forms may be empty.
6 -        if not values:
7 -            return 0.0
6          return sum(values) / len(values)"""
    for place in (
        make_location("stats.py", 6),
        make_location("stats.py", 7, start=6, side=Side.LEFT),
    ):
        assert page_of(sheet, place) == expected


def test_lines_taken_from_the_end_of_a_definition_belong_to_it(compared: Path) -> None:
    head = BASE.replace("        return sum(values) / len(values)\n", "")
    sheet = Sheet(compare(compared, BASE, head), head.encode())
    assert "8 -        return sum" in page_of(sheet, make_location("stats.py", 7))


def test_a_deleted_file_is_known_whole() -> None:
    text = "".join(f"-{line}\n" for line in BASE.splitlines())
    header = "diff --git a/a b/a\ndeleted file mode 100644\n--- a/a\n+++ /dev/null\n"
    (file,) = parse_diff(f"{header}@@ -1,11 +0,0 @@\n{text}".encode()).files
    shown = page_of(Sheet(file, None), make_location("a", 11, side=Side.LEFT))
    assert shown == (
        "## File: a (deleted)\n3 -class Stats:\n…\n10 -    def low(self, values):\n"
        "11 -        return min(values)"
    )


@pytest.mark.parametrize("head", [None, b"other\n", b"x" * 1_000_001])
def test_where_the_head_is_not_to_be_had_the_hunk_is_shown(
    compared: Path, head: bytes | None
) -> None:
    sheet = Sheet(compare(compared, BASE, HEAD), head)
    shown = page_of(sheet, make_location("stats.py", 6))
    assert "6 -        if not values:" in shown
    assert "import os" not in shown
    assert sheet.imports() == ()


def test_a_place_without_definition_has_the_lines_around_it() -> None:
    sheet = added("a.txt", "".join(f"line {n}\n" for n in range(1, 201)))
    shown = page_of(sheet, make_location("a.txt", 100)).split("\n")
    assert (shown[1], shown[-1], len(shown)) == ("70 +line 70", "130 +line 130", 62)


def test_of_a_long_definition_the_header_and_the_nearest_lines_are_shown() -> None:
    sheet = added("a.py", "def f():\n" + "    x = 1\n" * 999)
    shown = page_of(sheet, make_location("a.py", 500)).split("\n")
    assert shown[1:3] == ["1 +def f():", "…"]
    assert len(shown) == 3 + MAX_LINES
    assert f"{500 + MAX_LINES // 2 - 1} +    x = 1" in shown


def test_no_more_is_shown_than_fits_and_the_nearest_lines_last_longest() -> None:
    sheet = added("a.py", "def f():\n" + "".join(f"    x = {n}\n" for n in range(2, 150)))
    shown = page_of(sheet, make_location("a.py", 70), room_of(200))
    assert estimate(shown) < 230
    assert "70 +    x = 70" in shown
    assert "1 +def f():" in shown
    assert "140 +" not in shown


def test_a_giant_line_is_cut_and_says_so() -> None:
    shown = page_of(added("a.js", "x" * 900_000 + "\n"), make_location("a.js", 1))
    assert len(shown) < MAX_LINE + 60
    assert shown.endswith("more characters]")


def test_secrets_of_many_lines_and_unseen_signs_are_not_shown() -> None:
    body = "MIIEowIBAAKCAQEA" * 4
    lines = ["def f():", "    x = 1", "    k = '''-----BEGIN RSA PRIVATE KEY-----"]
    text = "\n".join(
        [*lines, *[body] * 90, "-----END RSA PRIVATE KEY-----'''", "    y\u202e = 2\n"]
    )
    sheet = added("a.py", text)
    shown = page_of(sheet, make_location("a.py", 90))
    assert "MIIE" not in shown
    assert "█" in shown
    assert "<U+202E>" in page_of(sheet, make_location("a.py", 95))


def test_line_ends_of_windows_are_not_shown_where_all_lines_have_them() -> None:
    header = "diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1,2 @@\n"
    shown = []
    for body in ("+x\r\n+y\r\n", "+x\r\n+y\n"):
        (file,) = parse_diff(f"{header}{body}".encode()).files
        sheet = Sheet(file, body.replace("+", "").encode())
        assert sheet.is_whole
        shown.append(page_of(sheet, make_location("a", 1)).partition("\n")[2])
    assert shown == ["1 +x\n2 +y", "1 +x<U+000D>\n2 +y"]


def test_a_page_knows_its_lines_in_runs() -> None:
    sheet = added("a.py", "def f():\n" + "    x = 1\n" * 999)
    selection = Selection()
    selection.add(sheet, (0, 5, 6), 1e9)
    assert selection.page({"a.py": sheet}).runs == (
        (Shown("+", "def f():"),),
        (Shown("+", "    x = 1"), Shown("+", "    x = 1")),
    )


# ---- names ---------------------------------------------------------------------------------------


def test_names_come_from_around_the_evidence_and_the_words(compared: Path) -> None:
    sheet = Sheet(compare(compared, BASE, HEAD), HEAD.encode())
    finding = make_finding(
        evidence="total = self.get_all(values) / Limit",
        body="The guard of `load_form` and `if` is gone.",
        location=make_location("stats.py", 6),
    )
    assert names_of(finding, sheet) == ("mean", "get_all", "Limit", "load_form")


def test_definitions_and_uses_elsewhere_are_shown_where_they_fit(compared: Path) -> None:
    stats = Sheet(compare(compared, BASE, HEAD), HEAD.encode())
    caller, comment = added("page.py", CALLER), added("c.py", "# mean is fine\n")
    defined = added("other.py", "a = 1\n" * 9 + "def mean(x):\n    return 1\n" + "b = 2\n" * 9)
    sheets = {"stats.py": stats, "page.py": caller, "other.py": defined, "c.py": comment}
    selection = Selection()
    selection.add(stats, stats.around(make_location("stats.py", 6)), 1e9)
    add_elsewhere(selection, ("mean",), tuple(sheets.values()), 1e9)
    shown = selection.page(sheets).text
    assert shown.endswith(
        "## File: other.py (added)\n10 +def mean(x):\n11 +    return 1\n\n"
        "## File: page.py (added)\n2 +\n3 +def page(form):\n"
        "4 +    return Stats().mean(form.values())"
    )
    full = Selection()
    add_elsewhere(full, ("mean",), tuple(sheets.values()), room_of(20))
    assert full.weight <= room_of(20)


def test_a_name_that_stands_everywhere_is_shown_a_few_times() -> None:
    sheet = added("a.py", "x = total(1)\n\n\n\n\n\n" * 5_000)
    selection = Selection()
    add_elsewhere(selection, ("total",), (sheet,), 1e9)
    assert selection.page({"a.py": sheet}).text.count("total") == 4


def test_files_that_mention_the_names_are_read_first_and_few_in_all() -> None:
    texts = {f"n{n}.md": "words\n" for n in range(30)}
    texts |= {"same.py": "x = 1\n", "calls.go": "load_form(1)\n", "own.py": "load_form()\n"}
    finding = make_finding(evidence="y = load_form()", location=make_location("own.py", 1))
    ranked = rank_files([finding], make_diff(texts).files)
    assert ranked[:2] == ("calls.go", "same.py")
    assert len(ranked) == MAX_FILES_READ
    assert "own.py" not in ranked
