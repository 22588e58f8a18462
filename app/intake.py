"""One delivery, from its bytes to its stored jobs: the same whether GitHub brought it or we
fetched it. Does not know who vouches for it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec

from app import log
from app.dispatch import Decision, Enqueue, Ignore, decide
from app.errors import BadPayload
from app.github.payloads import parse_event
from app.jobs.job import Respond
from app.ports import Jobs
from app.review.event import Event, OtherEvent, WithoutInstallation


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Whom we listen to. `slug` tells the App's own name, once it is known."""

    app_id: int
    slug: Callable[[], str | None]
    mentions: tuple[str, ...]
    allowed_owners: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery, and what it leads to. `id` is its X-GitHub-Delivery."""

    id: str
    event: Event
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a delivery, and why."""

    is_queued: bool
    reason: str


def may_start(name: str, action: str) -> bool:
    """Say whether an event can lead to anything, by its name and action alone."""
    try:
        event = parse_event(name, msgspec.json.encode({"action": action}))
    except BadPayload:
        return True
    return not isinstance(event, OtherEvent)


def judge(
    name: str, id: str, body: bytes, rules: Rules, *, content_type: str | None = None
) -> Delivery:
    """Parse a delivery and decide what it leads to; `name` is its X-GitHub-Event.

    Raises BadPayload.
    """
    event = parse_event(name, body, content_type)
    decision = decide(
        event,
        id,
        app_id=rules.app_id,
        slug=rules.slug(),
        mentions=rules.mentions,
        allowed_owners=rules.allowed_owners,
    )
    return Delivery(id=id, event=event, decision=decision)


async def take(delivery: Delivery, jobs: Jobs) -> Taken:
    """Store the jobs that a delivery leads to; once, however often it comes.

    When this returns they are on the disk. Raises Unavailable.
    """
    decision = delivery.decision
    with log.bind(delivery=delivery.id, **_named(delivery.event)):
        if isinstance(decision, Ignore):
            return _ignored(decision.reason)
        stored = await jobs.submit(delivery.id, decision.jobs)
        if not stored:
            return _ignored("already seen")
        reason = _queued(decision, len(stored))
        log.event("delivery.queued", reason=reason, jobs=len(stored), left_out=decision.left_out)
        return Taken(is_queued=True, reason=reason)


def _queued(decision: Enqueue, stored: int) -> str:
    if not isinstance(decision.jobs[0].work, Respond):
        return "will be looked at"
    reason = "1 command" if stored == 1 else f"{stored} commands"
    return f"{reason}, {decision.left_out} over the limit" if decision.left_out else reason


def _ignored(reason: str) -> Taken:
    log.event("delivery.ignored", reason=reason)
    return Taken(is_queued=False, reason=reason)


def _named(event: Event) -> dict[str, object]:
    """Return the ids that stand in every log line about this delivery."""
    if isinstance(event, OtherEvent | WithoutInstallation):
        return {"github_event": event.name, "action": event.action}
    return {"repo": event.target.full_name, "pull": event.target.number}
