"""Looks after what was left behind: deliveries that did not reach us, check runs whose job is gone,
and rows that have grown old.

Knows when to look and what to do then; each round may be the first, the last, or cut short.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from app import log
from app.errors import AppError, DeliveryError, Unavailable
from app.intake import Rules, judge, may_start, take
from app.jobs.job import ENDED, Job, JobState, Stopped
from app.ports import (
    Clock,
    Deliveries,
    Jobs,
    Kept,
    KnownCheck,
    ListedDelivery,
    Receipts,
    SeenDeliveries,
    UnfinishedChecks,
    Verdicts,
)
from app.review.pull import InstallationId
from app.review.receipt import Receipt, State, broken_off

DAY_S = 24 * 3600.0
# https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks
STALE_AFTER_S = 14 * DAY_S
"""GitHub itself ends a check run that was left in progress for so long."""
MAX_TROUBLE = 3
"""Deliveries that cannot be had in one round before the trouble is taken to be everywhere."""
SHORTER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """How often we look, and how far back, in seconds.

    `pull_s` is set where no delivery can reach us: all are then taken from GitHub's list, that
    often. `overlap_s` is how late a delivery may appear in the list, `settle_s` how young a check
    run is left alone.
    """

    catch_up_s: float = 300.0
    pull_s: float | None = None
    overlap_s: float = 600.0
    sweep_s: float = 300.0
    settle_s: float = 60.0
    clean_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much we keep: for so long, and in about so many bytes; but never less than `least_s`."""

    keep_s: float = 90 * DAY_S
    max_bytes: int = 4 * 1024**3
    least_s: float = 4 * DAY_S


async def every(
    seconds: float, name: str, look: Callable[[], Awaitable[None]], clock: Clock
) -> None:
    """Look now and then again and again, whatever goes wrong; one round ends before the next."""
    while True:
        try:
            await look()
        except AppError as exc:
            log.warning(f"{name}.interrupted", reason=str(exc))
        except Exception as exc:  # a round that breaks must not be the last
            log.error(f"{name}.broken", exc=exc)
        await clock.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """Takes up deliveries that failed, or with `takes_all` every one, from GitHub's own list.

    What GitHub delivered before we first looked was not meant for us: of that only what failed.
    """

    deliveries: Deliveries
    seen: SeenDeliveries
    jobs: Jobs
    rules: Rules
    overlap_s: float
    takes_all: bool = False

    async def look(self) -> None:
        """Go through what was listed since the last time. Raises AppError; nothing is lost then."""
        before = await self.seen.caught_up_until()
        listed = await self.deliveries.listed((before or 0.0) - self.overlap_s)
        takes_all = self.takes_all and before is not None
        wanted = {
            one.guid: one
            for one in listed
            if (takes_all or one.is_failed) and may_start(one.event, one.action)
        }
        unseen = await self.seen.unseen(wanted)
        left = await self._take_each(one for guid, one in wanted.items() if guid in unseen)
        newest = listed[-1].delivered_at if listed else 0.0
        until = min((one.delivered_at for one in left), default=max(before or 0.0, newest))
        if self.takes_all and before is None:  # the next round sees these again, and wants all
            await self.seen.note_examined([one for one in listed if one not in left])
        if until != before:
            await self.seen.note_caught_up(until, listed_from=until - self.overlap_s)

    async def _take_each(self, deliveries: Iterable[ListedDelivery]) -> list[ListedDelivery]:
        """Take deliveries up; return those that GitHub could not show just now."""
        left: list[ListedDelivery] = []
        for delivery in deliveries:
            try:
                payload = await self.deliveries.fetch(delivery)
            except Unavailable as exc:
                log.warning("delivery.not_fetched", delivery=delivery.guid, reason=str(exc))
                left.append(delivery)
                if len(left) == MAX_TROUBLE:
                    raise
                continue
            if payload is not None:
                await self._take(delivery, payload)
            await self.seen.note_examined([delivery])
        return left

    async def _take(self, delivery: ListedDelivery, payload: bytes) -> None:
        guid = delivery.guid
        try:
            judged = await asyncio.to_thread(judge, delivery.event, guid, payload, self.rules)
        except DeliveryError as exc:
            log.event("delivery.refused", delivery=guid, status=exc.status, reason=str(exc))
            return
        except Exception as exc:  # one that we cannot read must not keep the others waiting
            log.error("delivery.broken", delivery=guid, exc=exc)
            return
        with log.bind(caught_up=True):
            await take(judged, self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Completes check runs that no living job will complete."""

    checks: UnfinishedChecks
    receipts: Receipts
    jobs: Jobs
    verdicts: Verdicts
    clock: Clock
    settle_s: float

    async def look(self) -> None:
        """Go through what is unfinished; an account that has trouble costs only its own."""
        now = self.clock.now()
        unfinished = await self.checks.unfinished_checks(
            since=now - STALE_AFTER_S, before=now - self.settle_s
        )
        refused: set[InstallationId] = set()
        for check in {check.run_id: check for check in unfinished}.values():
            if check.target.installation_id in refused:
                continue
            try:
                await self._complete(check)
            except AppError as exc:
                refused.add(check.target.installation_id)
                log.warning("check.not_swept", run=check.run_id, reason=str(exc))
            except Exception as exc:  # one that breaks must not keep the others in progress
                log.error("check.not_swept", run=check.run_id, exc=exc)

    async def _complete(self, check: KnownCheck) -> None:
        job = await self.jobs.status(check.run_id)
        if job is not None and job.state not in ENDED:
            return
        receipt = await self.receipts.receipt(check.run_id) or _lost(check, job)
        log.warning("check.swept", run=check.run_id, state=receipt.state.value)
        await self.verdicts.fail(check.target, check.run_id, receipt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """Keeps what we keep within its bounds."""

    kept: Kept
    clock: Clock
    bounds: Bounds

    async def look(self) -> None:
        """Remove what is too old; where that leaves too much, the oldest of the rest."""
        keep_s = self.bounds.keep_s
        removed = await self._clean(keep_s)
        while await self.kept.size() > self.bounds.max_bytes:
            if keep_s <= self.bounds.least_s:
                log.error("database.too_large", most=self.bounds.max_bytes)
                break
            keep_s = max(self.bounds.least_s, keep_s * SHORTER)
            removed += await self._clean(keep_s)
        if removed:
            log.event("database.cleaned", rows=removed, kept_days=round(keep_s / DAY_S, 1))

    async def _clean(self, keep_s: float) -> int:
        return await self.kept.clean(self.clock.now() - keep_s)


def _lost(check: KnownCheck, job: Job | None) -> Receipt:
    """Say why a run has no verdict, as far as its job still tells."""
    state, reason = State.FAILED, "the server lost this review"
    if job is not None and job.state in (JobState.CANCELLED, JobState.SUPERSEDED):
        state, reason = State(job.state.value), str(Stopped(job.state))
    elif job is not None and job.state is JobState.FAILED and job.reason:
        reason = job.reason
    return broken_off(check.run_id, head_sha=None, state=state, reason=reason)
