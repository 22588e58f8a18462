"""What an event leads to: jobs, or nothing and why. Pure: knows no wire format and no queue."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import assert_never

from app.jobs.job import (
    Again,
    Close,
    Look,
    MergeGroup,
    Met,
    NewJob,
    Respond,
    Work,
    command_key,
    name_run,
)
from app.review.command import Command, addresses, parse_commands
from app.review.config import LABEL_TRIGGER, Trigger
from app.review.event import (
    FULL_REVIEW,
    CheckAsked,
    CommentWritten,
    Event,
    MergeGroupAsked,
    OtherEvent,
    PullAction,
    PullRequestChanged,
    WithoutInstallation,
)

OTHER_CODEX = "chatgpt-codex-connector[bot]"
"""OpenAI's own bot, as it signs on public pull requests (e.g. PrefectHQ/fastmcp#3552). It answers
to `@codex` too."""
DAY_S = 86_400

# Each command costs a job and an answer: nobody needs more in one comment.
MAX_COMMANDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Store these jobs, in the order of the commands. `left_out` counts those over the limit."""

    jobs: tuple[NewJob, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    reason: str


Decision = Enqueue | Ignore


def decide(
    event: Event,
    delivery_id: str,
    *,
    app_id: int,
    slug: str | None,
    mentions: Sequence[str],
    allowed_owners: Collection[str] = (),
) -> Decision:
    """Decide what a delivery starts. No `allowed_owners` means that all are allowed."""
    reason = _unheard(event, app_id, slug, allowed_owners)
    if reason:
        return Ignore(reason=reason)
    match event:
        case CommentWritten() if event.comment.author == OTHER_CODEX:
            met = Met(target=event.target, at=event.said_at)
            key = f"met/{event.target.repository_id}/{event.said_at // DAY_S:.0f}"
            return _enqueue(met, key, delivery_id)
        case CommentWritten():
            return _obey(event, delivery_id, addresses(mentions, slug))
        case PullRequestChanged():
            return _enqueue(_changed(event), _change_key(event), delivery_id)
        case CheckAsked() if event.button not in ("", FULL_REVIEW):
            return Ignore(reason="a button that is not ours")
        case CheckAsked():
            work = Again(
                target=event.target,
                head_sha=event.head_sha,
                asked_run=event.run_id,
                numbers=event.numbers,
                full=event.button == FULL_REVIEW,
            )
            return _enqueue(work, f"again/{delivery_id}", delivery_id)
        case MergeGroupAsked():
            group = MergeGroup(target=event.target, head_sha=event.head_sha)
            return _enqueue(group, f"merge-group/{delivery_id}", delivery_id)
        case WithoutInstallation():
            return Ignore(reason="not sent to an installation of the app")
        case OtherEvent():
            return Ignore(reason=_starts_nothing(event.name, event.action))
        case _:
            assert_never(event)


def _unheard(
    event: Event, app_id: int, slug: str | None, allowed_owners: Collection[str]
) -> str | None:
    """Return why an event is not even looked into."""
    if isinstance(event, WithoutInstallation | OtherEvent):
        return None
    if isinstance(event, CommentWritten):
        reason = _unheard_comment(event, app_id, slug)
    else:
        reason = _unheard_change(event, app_id, slug)
    owners = {owner.lower() for owner in allowed_owners}
    if reason is None and owners and event.target.owner.lower() not in owners:
        return "the owner is not among ALLOWED_OWNERS"
    return reason


def _unheard_comment(event: CommentWritten, app_id: int, slug: str | None) -> str | None:
    author = event.comment.author
    if event.app_id == app_id or _is_us(author, slug):
        return "written by this app"
    if not author:
        return "written by an account that is gone"
    return None if event.is_pull_request else "not on a pull request"


def _unheard_change(
    event: PullRequestChanged | CheckAsked | MergeGroupAsked, app_id: int, slug: str | None
) -> str | None:
    match event:
        case CheckAsked() if event.app_id != app_id:
            return "the check of another app"
        case MergeGroupAsked() if event.app_id not in (None, app_id):
            return "the check of another app"
    return "done by this app" if _is_us(event.sender, slug) else None


def _is_us(login: str, slug: str | None) -> bool:
    return slug is not None and login.lower() == f"{slug.lower()}[bot]"


def _changed(event: PullRequestChanged) -> Work:
    match event.action:
        case PullAction.CLOSED:
            return Close(target=event.target)
        case PullAction.LABELED:
            trigger = LABEL_TRIGGER + event.label
        case PullAction.EDITED:  # the base is another branch now, and so the diff another one
            trigger = Trigger.SYNCHRONIZE.value
        case _:
            trigger = event.action.value
    return Look(target=event.target, trigger=trigger)


def _change_key(event: PullRequestChanged) -> str:
    pull = f"{event.target.repository_id}/{event.target.number}/{event.head_sha}"
    return f"{event.action.value}/{pull}/{event.updated_at}/{event.label}"


def _enqueue(work: Work, key: str, delivery_id: str) -> Enqueue:
    return Enqueue(jobs=(NewJob(work=work, run_id=name_run(delivery_id, key), dedupe_key=key),))


def _obey(event: CommentWritten, delivery_id: str, mentions: Sequence[str]) -> Decision:
    edit, author = event.edit, event.comment.author
    if edit and edit.editor.casefold() != author.casefold():
        return Ignore(reason="edited by somebody else than its author")
    given = _commands(event.body, event, mentions)
    before = _commands(edit.body_before, event, mentions) if edit else {}
    lines = [
        (index, line)
        for index, (command, line) in enumerate(given.items())
        if command not in before
    ]
    if not lines:
        return Ignore(reason="no new command" if given else "no command")
    jobs = tuple(_respond(event, delivery_id, index, line) for index, line in lines[:MAX_COMMANDS])
    return Enqueue(jobs=jobs, left_out=len(lines) - len(jobs))


def _commands(body: str, event: CommentWritten, mentions: Sequence[str]) -> dict[Command, str]:
    """Find each command once, with the line that gave it first, in their order."""
    in_thread = event.comment.thread is not None
    once: dict[Command, str] = {}
    for given in parse_commands(body, mentions, in_thread=in_thread):
        once.setdefault(given.command, given.line)
    return once


def _respond(event: CommentWritten, delivery_id: str, index: int, line: str) -> NewJob:
    key = command_key(event.target, event.comment, index, line)
    return NewJob(
        work=Respond(
            target=event.target,
            comment=event.comment,
            line=line,
            is_archived=event.is_archived,
            is_bot=event.author_is_bot or event.app_id is not None,
            said_at=event.said_at,
        ),
        run_id=name_run(delivery_id, key),
        dedupe_key=key,
    )


def _starts_nothing(name: str, action: str) -> str:
    return f"{name}.{action} starts nothing" if action else f"{name} starts nothing"
