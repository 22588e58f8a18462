"""Runs jobs: claims them, keeps their leases, stops them, and decides what an error means.

Knows no review and no queue engine. A job that waits for another try holds no slot.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from app import log
from app.errors import AppError, Overtaken, Permanent, Retryable, Unavailable
from app.jobs.job import Job, JobState, Lane, LeaseLost, NewJob, Stopped
from app.ports import Clock, Jobs

Handle = Callable[[Job], Awaitable[Sequence[NewJob]]]
Report = Callable[[Job, Exception], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the worker looks, in seconds. `renew_s` must be well below the queue's lease."""

    poll_s: float = 1.0
    renew_s: float = 5.0


OVERTAKEN = 8
"""How often in a row a review begins anew because its head moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long something is tried again, with full jitter between the tries.

    Time is what ends it: a host may be away for an hour.
    """

    retries: int = 60
    deadline_s: float = 2 * 3600
    first_s: float = 2.0
    longest_s: float = 300.0

    def next_try(self, error: Retryable, *, retries: int, since: float, now: float) -> float | None:
        """Return when to try again (epoch seconds), or None to give up.

        `retries` were made already, the first try was at `since`.
        """
        if retries >= self.retries:
            return None
        if isinstance(error, Overtaken):
            return now if retries < OVERTAKEN else None
        longest = min(self.longest_s, self.first_s * 2 ** min(retries, 20))
        when = max(error.reset_at or now, now) + random.uniform(0, longest)
        return when if when <= since + self.deadline_s else None


@dataclass(frozen=True, slots=True)
class _Done:
    following: Sequence[NewJob] = ()


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Ended:
    """Not to be run (any more), only to be reported: stopped, poison, or given up before."""

    state: JobState
    error: Exception


@dataclass(frozen=True, slots=True)
class _Leaving:
    """The worker stops; the job is for whoever comes next."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """Somebody else has the job."""


_Ending = _Done | _Failed | _Ended | _Leaving | _Lost


@dataclass(frozen=True, slots=True)
class _Orders:
    """What may interrupt a running job; each is given at most once."""

    stop: "asyncio.Future[_Ending]"
    lost: "asyncio.Future[_Ending]"


class Worker:
    """Runs the jobs of all lanes until it is told to stop.

    `handle` does a job's work and returns the jobs that follow; it is called again for a job that
    was interrupted, and must then come to the same end. `report` makes an ending without a result
    visible: it gets the error, or Stopped for a job that somebody stopped. It is tried with the
    patience `reports`, since silence is the worst end.
    """

    def __init__(
        self,
        jobs: Jobs,
        handle: Handle,
        report: Report,
        clock: Clock,
        slots: Mapping[Lane, int],
        *,
        pace: Pace,
        patience: Patience,
        reports: Patience | None = None,
    ) -> None:
        self._jobs = jobs
        self._handle = handle
        self._report = report
        self._clock = clock
        self._slots = slots
        self._pace = pace
        self._patience = patience
        self._reports = reports or patience
        self._stopping = asyncio.Event()
        self._grace_over = asyncio.Event()
        self._finished = asyncio.Event()

    async def run(self) -> None:
        """Run jobs until `stop`. Returns when none is running any more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane, slots in self._slots.items():
                    tasks.create_task(self._serve(lane, slots, tasks))
        finally:
            self._finished.set()

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more; hand back what is still running after `grace_s` seconds."""
        self._stopping.set()
        await self._wait(self._finished.wait(), timeout_s=grace_s)
        self._grace_over.set()

    async def _serve(self, lane: Lane, slots: int, tasks: asyncio.TaskGroup) -> None:
        running: set[asyncio.Task[None]] = set()
        while not self._stopping.is_set():
            running = {task for task in running if not task.done()}
            news = self._jobs.news(lane)
            job = await self._claim(lane) if len(running) < slots else None
            if job is not None:
                running.add(tasks.create_task(self._take(job)))
                continue
            await self._wait(
                news.wait(), self._stopping.wait(), tasks=running, timeout_s=self._pace.poll_s
            )

    async def _claim(self, lane: Lane) -> Job | None:
        try:
            return await self._jobs.claim(lane)
        except Unavailable as exc:
            log.error("worker.cannot_claim", lane=lane.value, reason=str(exc))
            return None

    async def _take(self, job: Job) -> None:
        """Bring one claimed job to the end of this attempt."""
        loop = asyncio.get_running_loop()
        orders = _Orders(loop.create_future(), loop.create_future())
        target = job.target
        bound: dict[str, object] = {"delivery": job.delivery_id} if job.delivery_id else {}
        bound |= {"job": job.id, "run": job.run_id, "repo": target.full_name}
        with log.bind(**bound, pull=target.number, lane=job.lane.value):
            lease = asyncio.create_task(self._keep_lease(job, orders))
            try:
                await self._settle(job, await self._attempt(job, orders), orders)
            except LeaseLost:
                log.warning("job.lease_lost", attempt=job.attempt)
            finally:
                await _cancel(lease)

    async def _keep_lease(self, job: Job, orders: _Orders) -> None:
        while True:
            await self._wait(self._jobs.stops().wait(), timeout_s=self._pace.renew_s)
            try:
                ending = await self._jobs.renew(job)
            except LeaseLost:
                orders.lost.set_result(_Lost())
                return
            except Unavailable as exc:
                # Every visible write renews the lease first, so working on is safe.
                log.warning("job.lease_not_renewed", reason=str(exc))
                continue
            if ending is not None and not orders.stop.done():
                orders.stop.set_result(_Ended(ending, Stopped(ending)))

    async def _attempt(self, job: Job, orders: _Orders) -> _Ending:
        if job.ending is JobState.FAILED:
            return _Ended(job.ending, Permanent(job.reason))
        if job.ending is not None:
            return _Ended(job.ending, Stopped(job.ending))
        log.event("job.started", attempt=job.attempt)
        return await self._until(_outcome(self._handle(job)), orders.lost, orders.stop)

    async def _until(
        self, work: Coroutine[None, None, _Ending], *orders: "asyncio.Future[_Ending]"
    ) -> _Ending:
        """Work to the end, or to the first order or the end of the grace time."""
        working = asyncio.create_task(work)
        leaving = asyncio.create_task(self._leave())
        ends: list[asyncio.Future[_Ending]] = [working, *orders, leaving]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            first = next(end for end in ends if end.done())
        finally:
            leaving.cancel()
            await _cancel(working)
        return first.result()

    async def _leave(self) -> _Ending:
        await self._grace_over.wait()
        return _Leaving()

    async def _settle(self, job: Job, ending: _Ending, orders: _Orders) -> None:
        match ending:
            case _Done(following):
                log.event("job.done", following=len(following), seconds=self._age(job))
                await self._store(lambda: self._jobs.finish(job, JobState.DONE, following))
            case _Failed(error):
                when = self._next_try(job, error)
                if when is None:
                    log.error("job.failed", exc=error, attempt=job.attempt)
                    await self._end(job, _Ended(JobState.FAILED, error), orders)
                else:
                    log.warning("job.retried", not_before=when, reason=str(error))
                    await self._store(lambda: self._jobs.retry(job, when, str(error)))
            case _Ended():
                await self._end(job, ending, orders)
            case _Leaving():
                log.event("job.handed_back")
                await self._store(lambda: self._jobs.hand_back(job))
            case _Lost():
                raise LeaseLost
            case _:
                assert_never(ending)

    def _next_try(self, job: Job, error: Exception) -> float | None:
        if not isinstance(error, Retryable):
            return None
        now = self._clock.now()
        since = job.started_at or now
        return self._patience.next_try(error, retries=job.retries, since=since, now=now)

    def _age(self, job: Job) -> float:
        """Return the seconds since the first claim."""
        now = self._clock.now()
        return round(now - (job.started_at or now), 3)

    async def _end(self, job: Job, ended: _Ended, orders: _Orders) -> None:
        """Make an ending visible, then end the job; the report has tries of its own."""
        reported = await self._until(_outcome(self._report(job, ended.error)), orders.lost)
        match reported:
            case _Failed(Retryable() as error):
                now = self._clock.now()
                retries = job.retries if job.ending else 0
                when = self._reports.next_try(error, retries=retries, since=now, now=now)
            case _Leaving():
                when = self._clock.now()
            case _Lost():
                raise LeaseLost
            case _:
                when = None
        if when is not None:
            reason = _describe(ended.error)
            await self._store(lambda: self._jobs.retry(job, when, reason, ended.state))
            return
        if isinstance(reported, _Failed):
            log.error("job.not_reported", exc=reported.error)
        log.event("job.ended", state=ended.state.value, seconds=self._age(job))
        await self._store(lambda: self._jobs.finish(job, ended.state))

    async def _store(self, write: Callable[[], Awaitable[None]]) -> None:
        """Store how the attempt ended; the lease is kept until the database takes it."""
        while True:
            try:
                return await write()
            except Unavailable as exc:
                log.error("job.not_stored", reason=str(exc))
                if self._grace_over.is_set():  # whoever comes next finds it as it was claimed
                    return
                await self._clock.sleep(self._pace.poll_s)

    async def _wait(
        self,
        *events: Coroutine[object, object, object],
        tasks: Collection["asyncio.Task[object]"] = (),
        timeout_s: float,
    ) -> None:
        """Wait for the first of these, at most so long."""
        waiting: list[asyncio.Task[object]] = [
            asyncio.create_task(event) for event in (*events, self._clock.sleep(timeout_s))
        ]
        try:
            await asyncio.wait([*waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()


async def _outcome(work: Awaitable[Sequence[NewJob] | None]) -> _Ending:
    try:
        return _Done(await work or ())
    except LeaseLost:
        return _Lost()
    except Stopped as exc:
        return _Ended(exc.state, exc)
    except Exception as exc:
        return _Failed(exc)


async def _cancel(task: "asyncio.Task[object]") -> None:
    """Cancel a task, if it still runs, and wait until it has cleared up."""
    task.cancel()
    await asyncio.wait({task})


def _describe(error: Exception) -> str:
    if not isinstance(error, AppError):
        return "something broke on our side"
    remedy = error.remedy if isinstance(error, Permanent) else ""
    return f"{error}; {remedy}" if remedy else str(error)
