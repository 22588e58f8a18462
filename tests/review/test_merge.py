"""One problem is one finding, however often and by whomever it was told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.diff import Side
from app.review.findings import Finding, Fingerprint
from app.review.focus import Area
from app.review.merge import GATE, merge
from app.review.priority import Priority
from tests.builders import make_finding, make_location

P0, P1, P2, P3 = Priority
MODEL = make_finding(title="SQL from input", area=Area.SECURITY, evidence="a")
RUFF = make_finding(
    title="String-based query",
    area=Area.SECURITY,
    evidence="b",
    sources=("ruff",),
    rule="S608",
    confidence=0.95,
)


def test_a_model_and_an_analyser_on_the_same_lines_are_one_with_both_sources() -> None:
    gate = merge((RUFF, MODEL))
    assert gate.kept == (
        replace(MODEL, sources=("model", "ruff"), rule="S608", confidence=RUFF.confidence),
    )
    (dropped,) = gate.dropped
    assert (dropped.gate, dropped.source) == (GATE, "ruff")
    assert dropped.reason == "same as: SQL from input"


@pytest.mark.parametrize(
    "other",
    [
        replace(RUFF, area=Area.PERFORMANCE),
        replace(RUFF, location=make_location("other.py")),
        replace(RUFF, location=make_location(line=3)),
        replace(RUFF, location=make_location(side=Side.LEFT)),
        replace(RUFF, sources=("model",)),
    ],
)
def test_what_tells_of_something_else_stays(other: Finding) -> None:
    gate = merge((MODEL, other))
    assert set(gate.kept) == {MODEL, other}
    assert gate.dropped == ()


def test_two_analysers_on_one_line_are_two_problems_even_with_a_witness_for_one() -> None:
    one = replace(RUFF, priority=P0)
    two = replace(RUFF, priority=P1, title="Shell is used", fingerprint=Fingerprint("c"))
    witness = replace(MODEL, priority=P2)
    kept = merge((one, two, witness)).kept
    assert {f.title: f.sources for f in kept} == {
        one.title: ("ruff", "model"),
        two.title: ("ruff",),
    }


def test_the_same_quote_is_the_same_problem_wherever_it_was_placed() -> None:
    moved = replace(MODEL, location=make_location(line=80), title="Quite other words")
    assert len(merge((MODEL, moved)).kept) == 1


def test_alike_titles_on_touching_lines_are_one_problem_across_areas() -> None:
    first = make_finding(title="Loop skips the last item", location=make_location(line=5, start=2))
    second = make_finding(
        title="The loop skips the last item!",
        area=Area.TESTS,
        location=make_location(line=9, start=5),
    )
    assert len(merge((first, second)).kept) == 1
    assert len(merge((first, replace(second, title="No test for it"))).kept) == 2


def test_a_third_telling_is_known_by_any_of_the_two_that_are_one() -> None:
    first = make_finding(title="Loop skips the last item", evidence="a", confidence=0.8)
    same_quote = make_finding(title="Off by one", evidence="a", confidence=0.9)
    same_title = make_finding(title="The loop skips the last item", evidence="b", confidence=0.7)
    gate = merge((first, same_quote, same_title))
    assert [finding.title for finding in gate.kept] == ["Off by one"]
    assert len(gate.dropped) == 2


def test_untitled_findings_are_not_alike() -> None:
    one = make_finding(title="", evidence="a")
    assert len(merge((one, make_finding(title="", evidence="b"))).kept) == 2


def test_the_most_urgent_telling_is_kept() -> None:
    calm, urgent = replace(MODEL, priority=P3), replace(MODEL, priority=P0, title="Urgent")
    assert [f.title for f in merge((calm, urgent)).kept] == ["Urgent"]


def test_an_inline_telling_takes_over_the_urgency_of_one_in_the_summary() -> None:
    inline = replace(MODEL, priority=P2)
    aside = replace(MODEL, priority=P0, summary_reason="elsewhere in the file")
    assert merge((aside, inline)).kept == (replace(inline, priority=P0),)


def test_a_suggestion_is_taken_over_only_for_exactly_the_same_lines() -> None:
    fix = replace(RUFF, suggestion="safe()", suggestion_refused=None)
    (kept,) = merge((MODEL, fix)).kept
    assert (kept.suggestion, kept.suggestion_refused) == ("safe()", None)
    (kept,) = merge((MODEL, replace(fix, location=make_location(line=3, start=1)))).kept
    assert kept.suggestion is None


WORDS = st.lists(st.sampled_from(["loop", "skips", "last", "item"]), max_size=3).map(" ".join)
findings = st.builds(
    make_finding,
    area=st.sampled_from([Area.SECURITY, Area.TESTS]),
    priority=st.sampled_from(Priority),
    confidence=st.sampled_from([0.1, 0.5, 0.9]),
    title=WORDS,
    location=st.builds(make_location, st.sampled_from(["a", "b"]), st.integers(1, 4)),
    fingerprint=st.integers(0, 30).map(str),
    sources=st.sampled_from([("model",), ("ruff",), ("secrets",)]),
    summary_reason=st.sampled_from([None, "why"]),
)


@given(found=st.lists(findings, max_size=8).map(tuple))
def test_merge_twice_is_merge_once(found: tuple[Finding, ...]) -> None:
    once = merge(found)
    again = merge(once.kept)
    assert again.kept == once.kept
    assert again.dropped == ()


@given(found=st.lists(findings, max_size=8).map(tuple))
def test_merging_loses_nobody_and_no_urgency(found: tuple[Finding, ...]) -> None:
    gate = merge(found)
    assert len(gate.kept) + len(gate.dropped) == len(found)
    assert {s for f in gate.kept for s in f.sources} == {s for f in found for s in f.sources}
    if found:
        assert min(f.priority for f in gate.kept) == min(f.priority for f in found)
