"""A kind of finding is known over pull requests, and enough people can do without it."""

from dataclasses import replace

import pytest

from app.review.feedback import (
    UNWANTED_KIND,
    Dismissal,
    What,
    feedback,
    feedback_in,
    is_same_kind,
    kind_of,
    set_aside,
    unwanted_kinds,
)
from app.review.focus import Area
from app.review.threads import Thread
from tests.builders import make_finding
from tests.review.test_threads import OURS, THEIRS


def kind(title: str, area: Area = Area.PERFORMANCE) -> str:
    return kind_of(make_finding(title=title, area=area))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (kind("N+1 query in `load_orders`"), kind("N+1 query in fetch_users()"), True),
        (kind("A query for each order"), kind("A query for each user"), True),
        (kind("A query for each order"), kind("A query for each order", Area.TESTS), False),
        (kind("A query for each order"), kind("List is searched in a loop"), False),
        (kind("`a.b`"), kind("`a.b`"), False),
    ],
)
def test_a_model_s_kind_is_its_area_and_most_of_the_words_of_its_title(
    one: str, other: str, is_same: bool
) -> None:
    assert is_same_kind(one, other) == is_same == is_same_kind(other, one)


def test_an_analyser_s_kind_is_its_rule() -> None:
    one = make_finding(title="Undefined name `a`", sources=("ruff",), rule="F821")
    other = replace(one, title="Something else")
    assert kind_of(one) == "ruff:F821"
    assert is_same_kind(kind_of(one), kind_of(other))
    assert not is_same_kind(kind_of(one), kind_of(replace(one, rule="F841")))


ORDERS, USERS = kind("A query for each order"), kind("A query for each user")


@pytest.mark.parametrize(
    ("dismissals", "unwanted"),
    [
        ([(ORDERS, "a", 1), (USERS, "b", 2), (ORDERS, "b", 3)], {ORDERS, USERS}),
        ([(ORDERS, "a", 1), (USERS, "a", 2), (ORDERS, "a", 3)], set()),
        ([(ORDERS, "a", 1), (USERS, "b", 2), (ORDERS, "b", 2)], set()),
        ([(ORDERS, "a", 1), ("ruff:F821", "b", 2), (ORDERS, "b", 3)], set()),
        ([], set()),
    ],
)
def test_two_people_on_three_pull_requests_decide(
    dismissals: list[tuple[str, str, int]], unwanted: set[str]
) -> None:
    known = [Dismissal(kind=kind, who=who, number=number) for kind, who, number in dismissals]
    assert set(unwanted_kinds(known)) == unwanted


def test_what_nobody_wants_moves_to_the_summary_which_says_why() -> None:
    query = make_finding(title="A query for each row", area=Area.PERFORMANCE)
    loop = make_finding(title="List is searched in a loop", area=Area.PERFORMANCE)
    told = replace(query, summary_reason="why")
    moved = replace(query, summary_reason=UNWANTED_KIND)
    assert set_aside((query, loop, told), (ORDERS,)) == (moved, loop, told)
    assert set_aside((query,), ()) == (query,)


def test_what_people_did_is_read_from_the_threads_of_open_findings() -> None:
    finding = make_finding(fingerprint=OURS.fingerprint)
    thread: Thread = replace(
        OURS, disliked_by=("riley", "casey"), is_resolved=True, resolved_by="mona"
    )
    assert feedback_in((thread, THEIRS), (finding,)) == (
        feedback(finding, What.DISLIKED, "riley"),
        feedback(finding, What.DISLIKED, "casey"),
        feedback(finding, What.RESOLVED, "mona"),
    )
    assert feedback_in((thread,), ()) == ()
