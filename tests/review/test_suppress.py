"""What the configuration does not want to hear of is dropped, and the rule is named."""

import pytest

from app.review.config import Suppression
from app.review.findings import Dropped
from app.review.focus import Area
from app.review.suppress import describe, fits, suppressed
from tests.builders import make_finding, make_location

FINDING = make_finding(area=Area.PERFORMANCE, location=make_location("tests/a.py", 3), title="Slow")


@pytest.mark.parametrize(
    ("rule", "is_fit"),
    [
        (Suppression(area=Area.PERFORMANCE), True),
        (Suppression(path="tests/**"), True),
        (Suppression(area=Area.PERFORMANCE, path="*.py"), True),
        (Suppression(area=Area.SECURITY), False),
        (Suppression(path="src/**"), False),
        (Suppression(area=Area.SECURITY, path="tests/**"), False),
        (Suppression(area=Area.PERFORMANCE, path="src/**"), False),
    ],
)
def test_a_rule_fits_by_area_and_path(rule: Suppression, is_fit: bool) -> None:
    assert fits(rule, FINDING) is is_fit
    gate = suppressed((FINDING,), (rule,))
    assert (len(gate.kept), len(gate.dropped)) == ((0, 1) if is_fit else (1, 0))


@pytest.mark.parametrize(
    "rule",
    [
        Suppression(area=Area.PERFORMANCE, about="N+1 queries"),
        Suppression(about="N+1 queries"),
        Suppression(),
        Suppression(path=""),
    ],
)
def test_a_rule_with_about_or_with_nothing_drops_nothing_here(rule: Suppression) -> None:
    assert suppressed((FINDING,), (rule,)).kept == (FINDING,)


def test_the_first_rule_that_fits_is_recorded() -> None:
    other = make_finding(area=Area.SECURITY)
    rules = (
        Suppression(area=Area.DOCS),
        Suppression(area=Area.PERFORMANCE, path="tests/**"),
        Suppression(path="tests/**"),
    )
    gate = suppressed((FINDING, other), rules)
    assert gate.kept == (other,)
    assert gate.dropped == (
        Dropped(
            gate="new",
            reason="suppressed by the configuration (area: performance, path: tests/**)",
            title="Slow",
            path="tests/a.py",
            line=3,
            source="model",
        ),
    )


def test_a_rule_is_described_as_it_was_written() -> None:
    rule = Suppression(area=Area.TESTS, path="x/**", about="mocks")
    assert describe(rule) == "area: tests, path: x/**, about: mocks"
