"""What an event leads to: jobs, or nothing and why. Pure: knows no wire format and no queue."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import assert_never

from app.jobs.job import NewJob, Respond, command_key
from app.review.command import CommandLine, addresses, parse_commands
from app.review.event import (
    CheckEvent,
    CommentCreated,
    Event,
    OtherEvent,
    WithoutInstallation,
)
from app.review.pull import RunId

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
    match event:
        case CommentCreated():
            reason = _unheard(event, app_id, slug, allowed_owners)
            if reason:
                return Ignore(reason=reason)
            return _obey(event, delivery_id, addresses(mentions, slug))
        case CheckEvent():
            if event.app_id != app_id:
                return Ignore(reason="the check of another app")
            return Ignore(reason=_starts_nothing(event.name, event.action))
        case WithoutInstallation():
            return Ignore(reason="not sent to an installation of the app")
        case OtherEvent():
            return Ignore(reason=_starts_nothing(event.name, event.action))
        case _:
            assert_never(event)


def _unheard(
    event: CommentCreated, app_id: int, slug: str | None, allowed_owners: Collection[str]
) -> str | None:
    """Return why a comment is not even read."""
    author = event.comment.author
    if event.app_id == app_id or (slug and author.lower() == f"{slug.lower()}[bot]"):
        return "written by this app"
    if event.author_is_bot or event.app_id is not None:
        return "written by a bot"
    if not author:
        return "written by an account that is gone"
    if not event.is_pull_request:
        return "not on a pull request"
    owners = {owner.lower() for owner in allowed_owners}
    if owners and event.target.owner.lower() not in owners:
        return "the owner is not among ALLOWED_OWNERS"
    return None


def _obey(event: CommentCreated, delivery_id: str, mentions: Sequence[str]) -> Decision:
    once: dict[object, CommandLine] = {}
    for given in parse_commands(event.body, mentions):
        once.setdefault(given.command, given)
    if not once:
        return Ignore(reason="no command")
    lines = [given.line for given in once.values()]
    jobs = tuple(
        _respond(event, delivery_id, index, line) for index, line in enumerate(lines[:MAX_COMMANDS])
    )
    return Enqueue(jobs=jobs, left_out=len(lines) - len(jobs))


def _respond(event: CommentCreated, delivery_id: str, index: int, line: str) -> NewJob:
    key = command_key(event.target, event.comment, index, line)
    return NewJob(
        work=Respond(
            target=event.target, comment=event.comment, line=line, is_archived=event.is_archived
        ),
        run_id=_run_id(delivery_id, key),
        dedupe_key=key,
    )


def _run_id(delivery_id: str, dedupe_key: str) -> RunId:
    """Name the run that a command starts; a redelivery has the same."""
    named = f"{delivery_id}/{dedupe_key}".encode("utf-8", "surrogateescape")
    return RunId(hashlib.sha256(named).hexdigest()[:16])


def _starts_nothing(name: str, action: str) -> str:
    return f"{name}.{action} starts nothing" if action else f"{name} starts nothing"
