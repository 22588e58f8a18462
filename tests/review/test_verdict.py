"""Verdicts are read leniently and never guessed: what is missing or said twice is not judged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AnswerInvalid
from app.review.priority import Priority
from app.review.verdict import MAX_QUOTE, MAX_REASON, Doubt, Verdict, parse_verdicts


def yes(quote: str | None = "x = 1") -> dict[str, Any]:
    return {"quote": quote, "answer": True}


NO = {"quote": None, "answer": False}


def item(number: Any = 1, **given: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"finding": number, "reason": "Seen.", **{d: yes() for d in Doubt}}
    return {**usual, "rule": None, "about": None, "priority": 1, **given}


def answer(*items: Any) -> str:
    return json.dumps({"verdicts": items})


ALL_YES = Verdict(reason="Seen.", proofs=dict.fromkeys(Doubt, "x = 1"), priority=Priority.P1)


def test_a_verdict_holds_what_was_answered_and_quoted() -> None:
    text = answer(
        item(1),
        item(
            2,
            reason=" Not\n so. ",
            code_does_this=NO,
            author_would_fix=yes(None),
            rule=7,
            about=2,
            priority=3,
        ),
    )
    verdicts = parse_verdicts(text, 2)
    assert verdicts.problem == ""
    assert verdicts.by_number[1] == ALL_YES
    assert verdicts.by_number[2] == Verdict(
        reason="Not so.",
        proofs={Doubt.INTRODUCED: "x = 1", Doubt.HAPPENS: "x = 1", Doubt.WORTH_FIXING: ""},
        rule=7,
        about=2,
        priority=Priority.P3,
    )


@pytest.mark.parametrize(
    ("value", "proof"),
    [
        (yes("  a\n  b"), "  a\n  b"),
        (yes("\n  a\n"), "  a"),
        ({"answer": "yes", "quote": "a"}, "a"),
        ({"answer": " TRUE ", "quote": "a"}, "a"),
        (True, ""),
        ("yes", ""),
        (yes(None), ""),
        ({"answer": True}, ""),
        ({"answer": True, "quote": 7}, ""),
        (yes("q" * 9_999), "q" * MAX_QUOTE),
        (yes("a\ud800\0"), "a\ufffd\ufffd"),
        (NO, None),
        (False, None),
        ("no", None),
        ({"answer": False, "quote": "x = 1"}, None),
    ],
)
def test_an_answer_is_yes_or_no_in_any_clear_form(value: Any, proof: str | None) -> None:
    verdict = parse_verdicts(answer(item(introduced_here=value)), 1).by_number[1]
    assert verdict.proofs.get(Doubt.INTRODUCED) == proof


@pytest.mark.parametrize("value", [None, {}, "maybe", 1, [], {"answer": None}, {"quote": "x"}])
@pytest.mark.parametrize("doubt", Doubt)
def test_an_answer_that_is_neither_makes_no_verdict(doubt: Doubt, value: Any) -> None:
    verdicts = parse_verdicts(answer(item(**{doubt: value})), 1)
    assert verdicts.by_number == {}
    assert verdicts.problem == (
        f"verdicts[0]: {doubt}: answer: not true or false; finding 1: not judged"
    )


@pytest.mark.parametrize(
    ("items", "judged", "problem"),
    [
        ([item(1)], [1], "finding 2: not judged"),
        ([], [], "finding 1: not judged; finding 2: not judged"),
        ([item(2), item(1)], [1, 2], ""),
        ([item(1), item(2), item(3), item(0), item(-1)], [1, 2], ""),
        ([item(1), item(1), item(2)], [2], "finding 1: judged twice"),
        ([item(1), item(1, code_does_this=NO), item(2)], [2], "finding 1: judged twice"),
        ([item("1"), item(2.0)], [1, 2], ""),
        ([item("one"), item(2)], [2], "verdicts[0]: finding: not a number; finding 1: not judged"),
        ([item(1.5), item(2)], [2], "verdicts[0]: finding: not a number; finding 1: not judged"),
        ([7, item(2)], [2], "verdicts[0]: finding: not a number; finding 1: not judged"),
    ],
)
def test_each_finding_is_judged_once_or_not_at_all(
    items: list[Any], judged: list[int], problem: str
) -> None:
    verdicts = parse_verdicts(answer(*items), 2)
    assert (list(verdicts.by_number), verdicts.problem) == (judged, problem)


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n{}\n```",
        "<think>hm {{</think>{}",
        "Sure!\n{}\nDone.",
        '{{"result": {}}}',
        "\ufeff{}",
    ],
)
def test_the_json_may_be_wrapped(wrapped: str) -> None:
    assert parse_verdicts(wrapped.replace("{}", answer(item(1))), 1).by_number == {1: ALL_YES}


def test_a_single_verdict_may_stand_alone() -> None:
    assert parse_verdicts(json.dumps(item(1)), 1).by_number == {1: ALL_YES}


def test_of_a_cut_answer_the_complete_verdicts_are_read() -> None:
    text = answer(item(1), item(2))[:-40]
    verdicts = parse_verdicts(text, 2)
    assert verdicts.by_number == {1: ALL_YES}
    assert verdicts.problem == "finding 2: not judged"


@pytest.mark.parametrize("text", ["", "LGTM", '{"findings": []}', "<think>so", '{"verdicts": 1}'])
def test_what_holds_no_verdicts_is_no_answer(text: str) -> None:
    with pytest.raises(AnswerInvalid):
        parse_verdicts(text, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"priority": 0}, (None, None, Priority.P0)),
        ({"priority": 9, "rule": "7", "about": 10**400}, (7, None, None)),
        ({"priority": "high", "rule": True, "about": -1}, (None, -1, None)),
        ({"priority": None, "rule": 1e308, "about": []}, (None, None, None)),
    ],
)
def test_numbers_that_mean_nothing_are_left_out(given: dict[str, Any], expected: Any) -> None:
    verdict = parse_verdicts(answer(item(**given)), 1).by_number[1]
    assert (verdict.rule, verdict.about, verdict.priority) == expected


def test_a_reason_is_one_line_cut_to_size() -> None:
    verdict = parse_verdicts(answer(item(reason="r\n" * 999)), 1).by_number[1]
    assert len(verdict.reason) == MAX_REASON
    assert "\n" not in verdict.reason
    assert parse_verdicts(answer(item(reason=None)), 1).by_number[1].reason == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["finding", "answer", "quote", *Doubt]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=4), st.integers(0, 60))
def test_nothing_that_a_model_says_breaks_the_reader(items: list[Any], n_cut: int) -> None:
    text = answer(*items, item(1))
    try:
        verdicts = parse_verdicts(text[: len(text) - n_cut], 1)
    except AnswerInvalid:
        return
    assert set(verdicts.by_number) <= {1}
