"""What all analysers share."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.analysers.added import added_lines, at_line, before, fold, quote
from app.review.diff import SYMLINK_MODE
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.changes import file_diff


def candidate(line: int, *, rule: str = "R", priority: Priority = Priority.P2) -> Candidate:
    return Candidate(
        area=Area.CORRECTNESS,
        priority=priority,
        confidence=0.5,
        title="title",
        body="Body.",
        trigger="",
        evidence=f"line {line}",
        location=at_line("a", line),
        source="s",
        rule=rule,
    )


def test_added_lines_have_their_numbers_in_the_new_file() -> None:
    file = file_diff("a", "one\ntwo\nthree\n", "zero\none\nthree\nfour\n")

    assert added_lines(file) == {1: "zero", 4: "four"}


def test_the_target_of_a_symlink_is_no_line() -> None:
    assert added_lines(replace(file_diff("a", None, "../b\n"), new_mode=SYMLINK_MODE)) == {}


@pytest.mark.parametrize(
    ("line", "quoted"), [("x\r", "x"), ("  x  ", "  x  "), ("a\u202eb", "a<U+202E>b")]
)
def test_a_quote_is_the_line_as_it_is_shown(line: str, quoted: str) -> None:
    assert quote(line) == quoted


def test_three_of_a_rule_stay_as_they_are() -> None:
    three = tuple(candidate(n) for n in (1, 2, 3))

    assert fold(three) == three


def test_of_four_the_most_urgent_one_stays_and_the_rest_is_named() -> None:
    urgent = replace(candidate(9, priority=Priority.P0), suggestion="better")
    four = (candidate(1), candidate(2), candidate(3), urgent)

    body = "Body. (4 times in this file, also on lines 1, 2, 3)"
    assert fold(four) == (replace(urgent, body=body, suggestion=None),)


def test_a_long_list_of_lines_is_cut() -> None:
    (folded,) = fold(candidate(n) for n in range(1, 100))

    assert folded.body.startswith("Body. (99 times in this file, also on lines 2, 3, ")
    assert folded.body.endswith("20, 21, …)")


@given(st.lists(st.builds(candidate, st.integers(1, 30), rule=st.sampled_from("AB")), max_size=40))
def test_no_line_is_forgotten_and_none_is_told_twice(candidates: list[Candidate]) -> None:
    folded = fold(candidates)

    for rule in "AB":
        lines = {c.location.line for c in candidates if c.rule == rule}
        kept = [c for c in folded if c.rule == rule]
        if len(lines) <= 3:
            assert {c.location.line for c in kept} == lines
        else:
            (one,) = kept
            assert f"({len(lines)} times in this file" in one.body


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "d\r"]), max_size=12).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)


@given(old=TEXTS, new=TEXTS)
def test_undoing_the_hunks_gives_back_what_was(old: str, new: str) -> None:
    assume(old != new and new)

    assert before(file_diff("a", old, new), new) == old


def test_hunks_that_do_not_fit_are_not_undone() -> None:
    assert before(file_diff("a", "one\n", "two\n"), "three\n") is None
