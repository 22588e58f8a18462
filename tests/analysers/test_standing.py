"""What was said before of the lines that a change replaces is no news."""

import pytest

from app.analysers.standing import Spoken, find_old
from tests.analysers.changes import file_diff


@pytest.mark.parametrize(
    ("old", "new", "before", "now", "expected"),
    [
        pytest.param("a(x)\n", "a(x)  # quiet\n", [(1, "E")], [(1, "E")], {0}, id="touched"),
        pytest.param("a(x)\n", "a(x)\nb(x)\n", [(1, "E")], [(1, "E"), (2, "E")], set(), id="more"),
        pytest.param("a(x)\n", "b(x)\nb(y)\n", [(1, "E")], [(1, "E"), (2, "E")], {0}, id="one new"),
        pytest.param("a(x)\n", "a(y)\n", [(1, "E")], [(1, "F")], set(), id="something else"),
        pytest.param("a\nb\nc\n", "b\nc\n  a\n", [(1, "E")], [(3, "E")], {0}, id="moved"),
        pytest.param("a\nb\nc\n", "b\nc\nd\n", [(1, "E")], [(3, "E")], set(), id="elsewhere"),
        pytest.param(
            "a\n", "b\na1\nb\na\n", [(1, "E")], [(2, "E"), (4, "E")], set(), id="untouched"
        ),
        pytest.param(
            "a\ny\nz\n", "c\ny\nz\na\n", [(1, "E")], [(1, "E"), (4, "E")], {1}, id="same text first"
        ),
    ],
)
def test_only_what_was_not_said_before_is_new(
    old: str, new: str, before: list[Spoken], now: list[Spoken], expected: set[int]
) -> None:
    assert find_old(file_diff("a.py", old, new), now, before) == expected
