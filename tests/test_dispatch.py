"""Decisions: who is heard, and which jobs a comment makes."""

from dataclasses import replace
from typing import Any

import pytest

from app.dispatch import MAX_COMMANDS, Decision, Enqueue, Ignore, decide
from app.jobs.job import Lane, Respond
from app.review.event import (
    CheckEvent,
    CommentCreated,
    CommentKind,
    CommentRef,
    Event,
    OtherEvent,
    WithoutInstallation,
)
from app.review.pull import InstallationId, Target

APP_ID = 77
TARGET = Target(
    installation_id=InstallationId(3), repository_id=9, owner="lovelace", repo="engine", number=7
)
COMMENT = CommentRef(kind=CommentKind.ISSUE_COMMENT, id=42, author="ada")
EVENT = CommentCreated(
    target=TARGET,
    comment=COMMENT,
    body="@codex review",
    author_is_bot=False,
    app_id=None,
    is_pull_request=True,
)


def _decide(event: Event, **changes: Any) -> Decision:
    settings: dict[str, Any] = {"app_id": APP_ID, "slug": "my-app", "mentions": ["@codex"]}
    return decide(event, changes.pop("delivery_id", "d-1"), **settings | changes)


def _lines(body: str) -> list[str]:
    decision = _decide(replace(EVENT, body=body))
    assert isinstance(decision, Enqueue)
    works = [job.work for job in decision.jobs]
    assert all(isinstance(work, Respond) for work in works)
    return [work.line for work in works if isinstance(work, Respond)]


def test_a_command_becomes_one_quick_job_that_holds_its_line() -> None:
    decision = _decide(EVENT)
    assert isinstance(decision, Enqueue)
    (job,) = decision.jobs
    assert job.work == Respond(target=TARGET, comment=COMMENT, line="@codex review")
    assert job.lane is Lane.RESPOND
    assert decision.left_out == 0


def test_the_apps_own_name_is_always_a_mention() -> None:
    assert _lines("@my-app review") == ["@my-app review"]


def test_each_command_is_obeyed_once_in_order() -> None:
    body = "@codex review docs\n\n@codex help\n\n@codex docs review!\n\n@codex review"
    assert _lines(body) == ["@codex review docs", "@codex help", "@codex review"]


def test_a_flood_of_commands_is_cut_and_counted() -> None:
    body = "\n".join(f"@codex review for {n}" for n in range(MAX_COMMANDS + 5))
    decision = _decide(replace(EVENT, body=body))
    assert isinstance(decision, Enqueue)
    assert len(decision.jobs) == MAX_COMMANDS
    assert decision.left_out == 5


def test_a_redelivery_makes_the_same_jobs() -> None:
    assert _decide(EVENT) == _decide(EVENT)


def test_another_delivery_of_the_same_comment_has_the_same_dedupe_key() -> None:
    one, other = _decide(EVENT), _decide(EVENT, delivery_id="d-2")
    assert isinstance(one, Enqueue)
    assert isinstance(other, Enqueue)
    assert one.jobs[0].dedupe_key == other.jobs[0].dedupe_key


@pytest.mark.parametrize(
    "other",
    [
        replace(EVENT, body="@codex review full"),
        replace(EVENT, body="@codex help\n@codex review"),
        replace(EVENT, comment=replace(COMMENT, id=43)),
        replace(EVENT, comment=replace(COMMENT, kind=CommentKind.REVIEW_COMMENT)),
        replace(EVENT, target=replace(TARGET, repository_id=10)),
    ],
)
def test_another_command_has_keys_and_a_run_of_its_own(other: CommentCreated) -> None:
    one, two = _decide(EVENT), _decide(other)
    assert isinstance(one, Enqueue)
    assert isinstance(two, Enqueue)
    assert one.jobs[0].dedupe_key not in {job.dedupe_key for job in two.jobs}
    assert one.jobs[0].run_id not in {job.run_id for job in two.jobs}
    assert len({job.run_id for job in two.jobs}) == len(two.jobs)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (replace(EVENT, app_id=APP_ID), "written by this app"),
        (replace(EVENT, comment=replace(COMMENT, author="My-App[bot]")), "written by this app"),
        (replace(EVENT, author_is_bot=True), "written by a bot"),
        (replace(EVENT, app_id=APP_ID + 1), "written by a bot"),
        (replace(EVENT, comment=replace(COMMENT, author="")), "written by an account that is gone"),
        (replace(EVENT, is_pull_request=False), "not on a pull request"),
        (replace(EVENT, body=""), "no command"),
        (replace(EVENT, body="> @codex review"), "no command"),
        (replace(EVENT, body="@other review"), "no command"),
        (
            WithoutInstallation(name="issue_comment", action="created"),
            "not sent to an installation of the app",
        ),
        (CheckEvent(name="check_run", action="rerequested", app_id=1), "the check of another app"),
        (CheckEvent(name="check_run", action="created", app_id=None), "the check of another app"),
        (
            CheckEvent(name="check_run", action="created", app_id=APP_ID),
            "check_run.created starts nothing",
        ),
        (OtherEvent(name="push", action=""), "push starts nothing"),
        (OtherEvent(name="ping", action=""), "ping starts nothing"),
        (
            OtherEvent(name="pull_request", action="opened"),
            "pull_request.opened starts nothing",
        ),
    ],
)
def test_this_starts_nothing(event: Event, reason: str) -> None:
    assert _decide(event) == Ignore(reason=reason)


def test_without_a_known_slug_the_app_id_still_tells_our_own_words() -> None:
    assert _decide(replace(EVENT, app_id=APP_ID), slug=None) == Ignore(reason="written by this app")
    assert isinstance(_decide(EVENT, slug=None), Enqueue)


def test_only_allowed_owners_are_served_whatever_the_case() -> None:
    refused = Ignore(reason="the owner is not among ALLOWED_OWNERS")
    assert _decide(EVENT, allowed_owners=["babbage"]) == refused
    assert isinstance(_decide(EVENT, allowed_owners=["babbage", "LoveLace"]), Enqueue)
