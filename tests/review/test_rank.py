"""Urgent findings come first; few stand inline, and P0 always does."""

import pytest

from app.review.findings import Dropped, Finding
from app.review.priority import Priority
from app.review.rank import GATE, NOT_UTF8, OVER_THE_CAP, rank
from tests.builders import make_finding, make_location

P0, P1, P2, P3 = Priority


def inline(findings: tuple[Finding, ...]) -> list[str]:
    return [f.title for f in findings if f.summary_reason is None]


def test_what_is_below_the_least_priority_is_dropped_with_a_reason() -> None:
    low = make_finding(priority=P3, title="nit", location=make_location("a.py", 7))
    gate = rank((low, make_finding(priority=P2)), min_priority=P2, max_comments=5)
    assert [f.priority for f in gate.kept] == [P2]
    assert gate.dropped == (
        Dropped(
            gate=GATE,
            reason="P3 is below P2",
            title="nit",
            path="a.py",
            line=7,
            source="model",
        ),
    )


@pytest.mark.parametrize("least", list(Priority))
def test_nothing_is_both_kept_and_dropped_and_nothing_is_lost(least: Priority) -> None:
    twins = tuple(make_finding(priority=priority) for priority in (*Priority, *Priority))
    gate = rank(twins, min_priority=least, max_comments=5)
    assert len(gate.kept) + len(gate.dropped) == len(twins)
    assert all(f.priority.at_or_above(least) for f in gate.kept)


def test_order_is_by_priority_then_confidence_then_place() -> None:
    findings = (
        make_finding(title="e", priority=P2),
        make_finding(title="d", priority=P1, confidence=0.5, location=make_location("b.py", 1)),
        make_finding(title="c", priority=P1, confidence=0.5, location=make_location("a.py", 9)),
        make_finding(title="b", priority=P1, confidence=0.9),
        make_finding(title="a", priority=P0, confidence=0.1),
    )
    kept = rank(findings, min_priority=P3, max_comments=5).kept
    assert [f.title for f in kept] == ["a", "b", "c", "d", "e"]


def test_what_is_over_the_cap_goes_to_the_summary() -> None:
    findings = tuple(make_finding(title=str(n), confidence=1 - n / 10) for n in range(4))
    kept = rank(findings, min_priority=P3, max_comments=2).kept
    assert [(f.title, f.summary_reason) for f in kept] == [
        ("0", None),
        ("1", None),
        ("2", OVER_THE_CAP),
        ("3", OVER_THE_CAP),
    ]


@pytest.mark.parametrize("cap", [0, 1, 5])
def test_p0_never_counts_against_the_cap(cap: int) -> None:
    urgent = tuple(make_finding(title=f"u{n}", priority=P0) for n in range(3))
    other = tuple(make_finding(title=f"o{n}", priority=P1) for n in range(3))
    kept = rank(other + urgent, min_priority=P3, max_comments=cap).kept
    assert inline(kept) == ["u0", "u1", "u2", *["o0", "o1", "o2"][:cap]]


def test_a_finding_in_the_summary_takes_no_place_and_keeps_its_reason() -> None:
    aside = make_finding(title="aside", confidence=1, summary_reason="elsewhere in the file")
    kept = rank((aside, make_finding(title="inline")), min_priority=P3, max_comments=1).kept
    assert inline(kept) == ["inline"]
    assert kept[0].summary_reason == "elsewhere in the file"


def test_a_file_name_that_github_cannot_take_gets_no_comment() -> None:
    odd = make_finding(priority=P0, location=make_location("caf\udce9.py"))
    kept = rank((odd, make_finding(title="inline")), min_priority=P3, max_comments=1).kept
    assert inline(kept) == ["inline"]
    assert kept[0].summary_reason == NOT_UTF8
