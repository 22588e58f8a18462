"""Head and diff give the base, exactly as git has it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.review.diff import FileDiff, Line, parse_diff
from app.review.unfold import folded, unfold

HEADER = "diff --git a/a b/a\nindex 1111111..2222222 100644\n--- a/a\n+++ b/a\n"


def only(diff: str) -> FileDiff:
    (file,) = parse_diff(diff.encode()).files
    return file


def text_of(lines: tuple[Line, ...], *, without: str) -> str:
    """Join the lines of one side."""
    kept = (line for line in lines if line.kind != without)
    return "".join(line.text + ("\n" if line.has_newline else "") for line in kept)


CHANGED = only(HEADER + "@@ -2,2 +2,3 @@\n two\n-three\n+3\n+3.5\n@@ -6 +6,0 @@\n-six\n")
HEAD = "one\ntwo\n3\n3.5\nfour\nfive\nseven"


def test_every_line_stands_in_gits_order_with_both_its_numbers() -> None:
    opened = unfold(CHANGED, HEAD)
    assert opened is not None
    assert [(line.kind, line.old, line.new, line.text) for line in opened] == [
        (" ", 1, 1, "one"),
        (" ", 2, 2, "two"),
        ("-", 3, None, "three"),
        ("+", None, 3, "3"),
        ("+", None, 4, "3.5"),
        (" ", 4, 5, "four"),
        (" ", 5, 6, "five"),
        ("-", 6, None, "six"),
        (" ", 7, 7, "seven"),
    ]
    assert opened[-1].has_newline is False


@pytest.mark.parametrize(
    ("file", "head"),
    [
        (CHANGED, HEAD.replace("3.5", "3.6")),
        (CHANGED, HEAD.replace("two", "two\n")),
        (CHANGED, "one\ntwo"),
        (CHANGED, ""),
        (replace(CHANGED, unread="too large"), HEAD),
        (replace(CHANGED, is_binary=True), HEAD),
        (replace(CHANGED, new_path=None), HEAD),
        (only(HEADER + "@@ -9 +8,0 @@\n-x\n"), "one\n"),
        (only(HEADER + "@@ -1 +1 @@\n-x\n+y\n"), "y"),
    ],
)
def test_hunks_that_are_not_of_this_head_are_not_guessed_at(file: FileDiff, head: str) -> None:
    assert unfold(file, head) is None


def test_without_a_head_only_the_hunks_are_known() -> None:
    assert [line.text for line in folded(CHANGED)] == ["two", "three", "3", "3.5", "six"]


lines = st.lists(st.sampled_from(["", "a", "b", "c", "  d", "e\r", "\\ No newline", "+x", "é"]))
texts = st.tuples(lines, st.sampled_from(["", "\n"])).map(
    lambda given: "\n".join(given[0]) + given[1]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, texts, st.integers(0, 3))
def test_head_and_diff_give_the_base(tmp_path: Path, base: str, head: str, n_context: int) -> None:
    for name, text in (("base", base), ("head", head)):
        (tmp_path / name).write_bytes(text.encode())
    argv = ["git", "diff", "--no-index", f"-U{n_context}", "--no-prefix", "base", "head"]
    raw = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).stdout
    if base == head:
        assert not raw
        return
    (file,) = parse_diff(raw).files
    opened = unfold(replace(file, new_path="head"), head)
    assert opened is not None
    assert text_of(opened, without="+") == base
    assert text_of(opened, without="-") == head
    numbers = [line.old for line in opened if line.kind != "+"]
    assert numbers == list(range(1, len(numbers) + 1))
