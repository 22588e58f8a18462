"""Decisions: who is heard, and which jobs a comment makes."""

from dataclasses import replace
from typing import Any

import pytest

from app.dispatch import MAX_COMMANDS, OTHER_CODEX, Decision, Enqueue, Ignore, decide
from app.jobs.job import Again, Close, Lane, Look, MergeGroup, Met, NewJob, Respond
from app.review.event import (
    FULL_REVIEW,
    CheckAsked,
    CommentKind,
    CommentRef,
    CommentWritten,
    Edit,
    Event,
    MergeGroupAsked,
    OtherEvent,
    PullAction,
    PullRequestChanged,
    WithoutInstallation,
)
from app.review.pull import InstallationId, Target

APP_ID = 77
TARGET = Target(
    installation_id=InstallationId(3), repository_id=9, owner="lovelace", repo="engine", number=7
)
COMMENT = CommentRef(kind=CommentKind.ISSUE_COMMENT, id=42, author="ada")
EVENT = CommentWritten(
    target=TARGET,
    comment=COMMENT,
    body="@codex review",
    author_is_bot=False,
    app_id=None,
    is_pull_request=True,
)
CHANGE = PullRequestChanged(
    target=TARGET,
    action=PullAction.OPENED,
    sender="ada",
    head_sha="a" * 40,
    updated_at="2026-01-02T03:04:05Z",
)
CHECK = CheckAsked(
    name="check_run",
    action="rerequested",
    app_id=APP_ID,
    target=replace(TARGET, number=0),
    sender="ada",
    head_sha="a" * 40,
    run_id="run-1",
    numbers=(7,),
)
GROUP = MergeGroupAsked(target=TARGET, sender="ada", head_sha="b" * 40)


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


@pytest.mark.parametrize(
    "event", [replace(EVENT, author_is_bot=True), replace(EVENT, app_id=APP_ID + 1)]
)
def test_a_bot_s_command_is_marked_for_only_some_bots_may(event: CommentWritten) -> None:
    assert _job(event).work == Respond(
        target=TARGET, comment=COMMENT, line="@codex review", is_bot=True
    )


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
def test_another_command_has_keys_and_a_run_of_its_own(other: CommentWritten) -> None:
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
        (replace(EVENT, comment=replace(COMMENT, author="")), "written by an account that is gone"),
        (replace(EVENT, is_pull_request=False), "not on a pull request"),
        (replace(EVENT, body=""), "no command"),
        (replace(EVENT, body="> @codex review"), "no command"),
        (replace(EVENT, body="@other review"), "no command"),
        (
            WithoutInstallation(name="issue_comment", action="created"),
            "not sent to an installation of the app",
        ),
        (replace(CHANGE, sender="my-app[bot]"), "done by this app"),
        (replace(CHECK, sender="My-App[bot]"), "done by this app"),
        (replace(GROUP, sender="my-app[bot]"), "done by this app"),
        (replace(CHECK, app_id=APP_ID + 1), "the check of another app"),
        (replace(CHECK, app_id=None), "the check of another app"),
        (replace(GROUP, app_id=APP_ID + 1), "the check of another app"),
        (replace(CHECK, button="lgtm"), "a button that is not ours"),
        (OtherEvent(name="push", action=""), "push starts nothing"),
        (OtherEvent(name="ping", action=""), "ping starts nothing"),
        (
            OtherEvent(name="pull_request", action="assigned"),
            "pull_request.assigned starts nothing",
        ),
    ],
)
def test_this_starts_nothing(event: Event, reason: str) -> None:
    assert _decide(event) == Ignore(reason=reason)


def test_without_a_known_slug_the_app_id_still_tells_our_own_words() -> None:
    assert _decide(replace(EVENT, app_id=APP_ID), slug=None) == Ignore(reason="written by this app")
    assert isinstance(_decide(EVENT, slug=None), Enqueue)


@pytest.mark.parametrize("event", [EVENT, CHANGE, CHECK, GROUP])
def test_only_allowed_owners_are_served_whatever_the_case(event: Event) -> None:
    refused = Ignore(reason="the owner is not among ALLOWED_OWNERS")
    assert _decide(event, allowed_owners=["babbage"]) == refused
    assert isinstance(_decide(event, allowed_owners=["babbage", "LoveLace"]), Enqueue)


def _job(event: Event, **changes: Any) -> NewJob:
    decision = _decide(event, **changes)
    assert isinstance(decision, Enqueue)
    (job,) = decision.jobs
    return job


@pytest.mark.parametrize(
    ("action", "trigger"),
    [
        (PullAction.OPENED, "opened"),
        (PullAction.REOPENED, "reopened"),
        (PullAction.READY_FOR_REVIEW, "ready_for_review"),
        (PullAction.SYNCHRONIZE, "synchronize"),
        (PullAction.EDITED, "synchronize"),
        (PullAction.LABELED, "label:review me"),
    ],
)
def test_what_happens_to_a_pull_request_is_looked_at_as_the_configuration_names_it(
    action: PullAction, trigger: str
) -> None:
    job = _job(replace(CHANGE, action=action, label="review me"))
    assert job.work == Look(target=TARGET, trigger=trigger)
    assert job.lane is Lane.LOOK


def test_a_closed_pull_request_stops_what_nobody_asked_for() -> None:
    assert _job(replace(CHANGE, action=PullAction.CLOSED)).work == Close(target=TARGET)


def test_the_same_change_in_two_deliveries_is_looked_at_once() -> None:
    assert _job(CHANGE).dedupe_key == _job(CHANGE, delivery_id="d-2").dedupe_key


@pytest.mark.parametrize(
    "other",
    [
        replace(CHANGE, head_sha="b" * 40),
        replace(CHANGE, action=PullAction.REOPENED),
        replace(CHANGE, updated_at="2026-01-02T03:04:06Z"),
        replace(CHANGE, label="x"),
        replace(CHANGE, target=replace(TARGET, number=8)),
        replace(CHANGE, target=replace(TARGET, repository_id=10)),
    ],
)
def test_another_change_is_looked_at_too(other: PullRequestChanged) -> None:
    assert _job(CHANGE).dedupe_key != _job(other).dedupe_key


@pytest.mark.parametrize(("button", "full"), [("", False), (FULL_REVIEW, True)])
def test_a_check_of_ours_is_reviewed_again(button: str, full: bool) -> None:
    job = _job(replace(CHECK, button=button))
    assert job.work == Again(
        target=replace(TARGET, number=0),
        head_sha="a" * 40,
        asked_run="run-1",
        numbers=(7,),
        full=full,
    )
    assert job.lane is Lane.RESPOND


def test_each_time_that_a_button_is_pressed_counts_and_each_delivery_once() -> None:
    assert _job(CHECK) == _job(CHECK)
    assert _job(CHECK).dedupe_key != _job(CHECK, delivery_id="d-2").dedupe_key


@pytest.mark.parametrize("app_id", [None, APP_ID])
def test_a_merge_queue_is_told(app_id: int | None) -> None:
    job = _job(replace(GROUP, app_id=app_id))
    assert job.work == MergeGroup(target=TARGET, head_sha="b" * 40)
    assert job.lane is Lane.RESPOND


def _edited(body: str, before: str, **changes: Any) -> CommentWritten:
    return replace(EVENT, body=body, edit=Edit(editor="Ada", body_before=before), **changes)


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("hello", "hello\n@codex review", ["@codex review"]),
        ("> @codex review", "@codex review", ["@codex review"]),
        ("@codex review", "@codex review\n@codex help", ["@codex help"]),
        ("@codex review", "@codex help\n@codex review", ["@codex help"]),
        ("@codex review", "@codex review full", ["@codex review full"]),
    ],
)
def test_an_edit_commands_what_was_not_there_before(
    before: str, after: str, lines: list[str]
) -> None:
    decision = _decide(_edited(after, before))
    assert isinstance(decision, Enqueue)
    works = [job.work for job in decision.jobs]
    assert [work.line for work in works if isinstance(work, Respond)] == lines


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (_edited("@codex review!", "@codex review"), "no new command"),
        (_edited("@codex review\n\nplease", "@codex review"), "no new command"),
        (_edited("@codex help", "@codex review\n@codex help"), "no new command"),
        (_edited("thanks", "@codex review"), "no command"),
        (
            replace(EVENT, edit=Edit(editor="mallory", body_before="")),
            "edited by somebody else than its author",
        ),
        (
            replace(EVENT, edit=Edit(editor="", body_before="")),
            "edited by somebody else than its author",
        ),
    ],
)
def test_an_edit_of_anything_else_starts_nothing(event: CommentWritten, reason: str) -> None:
    assert _decide(event) == Ignore(reason=reason)


def test_a_command_that_an_edit_brings_back_is_obeyed_once() -> None:
    first = _job(_edited("@codex review\n@codex help", "@codex review"))
    again = _job(_edited("@codex review\n@codex help", "@codex review"), delivery_id="d-2")
    assert first.dedupe_key == again.dedupe_key


def test_other_words_are_a_question_in_a_thread_only() -> None:
    reply = CommentRef(kind=CommentKind.REVIEW_COMMENT, id=42, author="ada", in_reply_to=41)
    assert reply.thread == 41
    body = "@codex is it so?\n@codex is it so"
    assert _job(replace(EVENT, body="@codex is it so?\n@codex is it so")).work == Respond(
        target=TARGET, comment=COMMENT, line="@codex is it so?"
    )
    decision = _decide(replace(EVENT, body=body, comment=reply))
    assert isinstance(decision, Enqueue)
    assert len(decision.jobs) == 2


def test_openai_s_own_bot_is_noted_once_a_day_and_not_obeyed() -> None:
    bot = replace(COMMENT, author=OTHER_CODEX)
    event = replace(EVENT, comment=bot, author_is_bot=True, said_at=1_000_000.0)
    assert _job(event).work == Met(target=TARGET, at=1_000_000.0)
    assert _job(event).lane is Lane.LOOK
    later, next_day = (replace(event, said_at=at) for at in (1_000_060.0, 1_090_000.0))
    assert _job(later).dedupe_key == _job(event).dedupe_key != _job(next_day).dedupe_key
