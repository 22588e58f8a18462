"""The cases that we ship are what they say: real diffs, exact places, each unlike the others."""

import json
import re
from collections import Counter
from itertools import combinations

import pytest

from app.evaluating import CASES, read_cases
from app.review.anchor import is_commentable
from app.review.cases import Case
from app.review.diff import Side
from app.review.focus import DEFAULT_AREAS
from app.review.unfold import unfold
from tests.conftest import CHECKOUT

FOLDER = CHECKOUT / "app" / "cases"
SHIPPED = read_cases(FOLDER)
BUGS = tuple(case for case in SHIPPED if case.bugs)
CONTROLS = tuple(case for case in SHIPPED if not case.bugs)


def name_of(case: Case) -> str:
    return case.id


def test_there_are_enough_to_decide_and_enough_that_tempt() -> None:
    areas = Counter(case.area for case in BUGS)
    assert len(BUGS) >= 30
    assert len(CONTROLS) >= 10
    assert all(areas[area] >= 4 for area in DEFAULT_AREAS)


@pytest.mark.parametrize("case", BUGS, ids=name_of)
def test_a_bug_stands_on_changed_lines_that_take_a_comment(case: Case) -> None:
    files = {file.path: file for file in case.diff.files}
    for bug in case.bugs:
        file = files[bug.path]
        assert is_commentable(file, bug.side, bug.start_line, bug.end_line)
        changed = {line.new if bug.side is Side.RIGHT else line.old for line in file.changed_lines}
        assert changed.issuperset(range(bug.start_line, bug.end_line + 1))
        assert re.fullmatch(r"\S.*[^.]\.", bug.text)
        if bug.right_hunk is not None:
            assert is_commentable(file, Side.RIGHT, *bug.right_hunk)
        assert (bug.side is Side.LEFT) == (bug.right_hunk is not None)


@pytest.mark.parametrize("case", SHIPPED, ids=name_of)
def test_the_whole_files_fit_the_diff(case: Case) -> None:
    assert set(case.heads) == {file.path for file in case.diff.files}
    for file in case.diff.files:
        assert unfold(file, case.heads[file.path].decode()) is not None


def test_the_readme_counts_them_rightly() -> None:
    readme = " ".join((CHECKOUT / "README.md").read_text("utf-8").split())
    assert f"on {len(BUGS)} changes with one known bug each and on {len(CONTROLS)} clean" in readme


def test_a_clean_case_says_what_tempts() -> None:
    rows = [json.loads(line) for line in (FOLDER / CASES).read_text("utf-8").splitlines()]
    assert {row["id"] for row in rows if row.get("must_not_report")} == {c.id for c in CONTROLS}


def test_no_case_is_nearly_another() -> None:
    paths = Counter(path for case in SHIPPED for path in case.heads)
    assert not [path for path, n in paths.items() if n > 1]
    words = {case.id: _words(case) for case in SHIPPED}
    for (one, these), (other, those) in combinations(words.items(), 2):
        assert len(these & those) < 0.5 * len(these | those), (one, other)


def _words(case: Case) -> set[str]:
    text = "\n".join(line.text for file in case.diff.files for line in file.changed_lines)
    return set(re.findall(r"\w+", text))
