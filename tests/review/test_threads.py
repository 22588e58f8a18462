"""Two tellings of one problem on the same lines are known as such; two problems are not."""

from dataclasses import replace

import pytest

from app.review.diff import Side
from app.review.findings import Fingerprint
from app.review.threads import (
    Standing,
    Thread,
    has_the_same_meaning,
    is_said_by_others,
    is_unwanted,
)
from tests.builders import make_finding, make_location

EMPTY = make_finding(
    title="mean([]) raises ZeroDivisionError",
    body="The guard for an empty list is gone, so the division fails.",
)
INJECTION = make_finding(
    title="SQL injection through `name`",
    body="User input is formatted into the query instead of being passed as a parameter.",
)
PERMISSION = make_finding(
    title="Anybody can delete an order",
    body="The permission check before `delete_order` was removed.",
)

SAME = [
    (EMPTY, "This divides by zero when the list is empty."),
    (EMPTY, "ZeroDivisionError for an empty list here!"),
    (EMPTY, "**Bug**: guard removed. `mean([])` now raises `ZeroDivisionError` instead of 0.0."),
    (INJECTION, "Please use query parameters, this allows SQL injection via the user's name."),
    (INJECTION, "sql injection: the user input should be a bound parameter"),
    (PERMISSION, "Where did the permission check go? Anybody may delete orders now."),
    (PERMISSION, "`delete_order` needs a check of permissions"),
]
OTHER = [
    (EMPTY, "Please rename this variable."),
    (EMPTY, "nit: type hints for the list"),
    (EMPTY, "Could we use statistics.mean for this?"),
    (EMPTY, "Why is this a float?"),
    (EMPTY, "LGTM"),
    (EMPTY, ""),
    (INJECTION, "This query is slow, there is no index on the name column."),
    (INJECTION, "Missing timeout for the query."),
    (PERMISSION, "Orders should be archived rather than removed from the database."),
    (PERMISSION, "Log this."),
    (PERMISSION, "<!-- the permission check before deleting an order was removed -->"),
]


@pytest.mark.parametrize(("finding", "text"), SAME)
def test_the_same_in_other_words_is_the_same(finding: object, text: str) -> None:
    assert has_the_same_meaning(finding, text)  # type: ignore[arg-type] # parametrized


@pytest.mark.parametrize(("finding", "text"), OTHER)
def test_something_else_about_the_same_lines_is_not_the_same(finding: object, text: str) -> None:
    assert not has_the_same_meaning(finding, text)  # type: ignore[arg-type] # parametrized


THEIRS = Thread(
    id="T1",
    comment_id=1,
    node_id="C1",
    path="app.py",
    side=Side.RIGHT,
    start_line=None,
    line=5,
    body=SAME[0][1],
)
HERE = replace(EMPTY, location=make_location(line=6, start=4))


@pytest.mark.parametrize(
    ("thread", "is_said"),
    [
        (THEIRS, True),
        (replace(THEIRS, line=6), True),
        (replace(THEIRS, start_line=1, line=4), True),
        (replace(THEIRS, line=7), False),
        (replace(THEIRS, line=3), False),
        (replace(THEIRS, line=None), False),
        (replace(THEIRS, side=Side.LEFT), False),
        (replace(THEIRS, path="other.py"), False),
        (replace(THEIRS, is_resolved=True), False),
        (replace(THEIRS, body="LGTM"), False),
        (replace(THEIRS, fingerprint=Fingerprint("ours")), False),
    ],
)
def test_others_have_said_it_on_these_lines_and_it_is_open(thread: Thread, is_said: bool) -> None:
    assert is_said_by_others(HERE, (thread,)) == is_said


OURS = replace(THEIRS, fingerprint=HERE.fingerprint, run_id="r1", body="Told.")


@pytest.mark.parametrize(
    ("thread", "unwanted"),
    [
        (OURS, False),
        (replace(OURS, disliked_by=("riley",)), True),
        (replace(OURS, is_resolved=True), True),
        (replace(OURS, is_resolved=True, body="Fixed in abc.\n\nTold."), False),
        (replace(OURS, disliked_by=("riley",), fingerprint=Fingerprint("other")), False),
        (
            replace(
                OURS, disliked_by=("riley",), fingerprint=Fingerprint("other"), body=SAME[0][1]
            ),
            True,
        ),
        (replace(THEIRS, disliked_by=("riley",)), False),
    ],
)
def test_people_have_had_enough_of_what_they_disliked_or_resolved(
    thread: Thread, unwanted: bool
) -> None:
    assert is_unwanted(HERE, (thread,)) == unwanted


def test_what_a_run_said_itself_it_may_say_again() -> None:
    standing = Standing(
        threads=(OURS, THEIRS), told=frozenset({("r1", Fingerprint("a")), ("r0", Fingerprint("b"))})
    )
    assert standing.said == {HERE.fingerprint, "a", "b"}
    assert standing.before("r1") == Standing(
        threads=(THEIRS,), told=frozenset({("r0", Fingerprint("b"))})
    )


def test_what_was_fixed_may_be_said_again() -> None:
    assert Standing(threads=(replace(OURS, body="Fixed in abc.\n\nTold."),)).said == frozenset()
