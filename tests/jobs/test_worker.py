"""The worker on the real queue: lanes, errors, stops, leases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import Overtaken, Permanent, PullRequestGone, RateLimited, Unavailable
from app.jobs.job import Job, JobState, Lane, NewJob, Stopped
from app.jobs.sqlite import Limit, SqliteJobs
from app.jobs.worker import Pace, Patience, Worker
from app.store.database import Database, open_database
from tests.jobs.builders import FastClock, respond, review, target

pytestmark = pytest.mark.anyio

LIMITS = dict.fromkeys(Lane, Limit(in_all=8, per_installation=8))
SLOTS = {Lane.RESPOND: 2, Lane.REVIEW: 2}
PACE = Pace()
PATIENCE = Patience(retries=2, first_s=1.0, deadline_s=600)
SOON_S = 9.0

Act = Callable[[Job], Awaitable[Sequence[NewJob]]]


@dataclass(slots=True)
class Desk:
    """Handles jobs as a test says and notes what the worker told it."""

    act: Act
    calls: list[Job] = field(default_factory=list)
    reports: list[tuple[Job, Exception]] = field(default_factory=list)
    broken_reports: list[Exception] = field(default_factory=list)
    interrupted: int = 0

    async def handle(self, job: Job) -> Sequence[NewJob]:
        self.calls.append(job)
        try:
            return await self.act(job)
        except asyncio.CancelledError:
            self.interrupted += 1
            raise

    async def report(self, job: Job, error: Exception) -> None:
        self.reports.append((job, error))
        if self.broken_reports:
            raise self.broken_reports.pop(0)


@dataclass(frozen=True, slots=True)
class Scene:
    jobs: SqliteJobs
    worker: Worker
    desk: Desk
    clock: FastClock

    async def ended(self, new: NewJob) -> Job:
        """Wait until the latest job of a run has ended."""
        async with asyncio.timeout(SOON_S):
            while True:
                job = await self.jobs.status(new.run_id)
                assert job is not None
                if job.state not in (JobState.QUEUED, JobState.RUNNING):
                    return job
                await asyncio.sleep(0.005)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "queue.db")
    yield database
    await database.close()


@asynccontextmanager
async def working(
    database: Database, act: Act, *, pace: Pace = PACE, lease_s: float = 100_000
) -> AsyncIterator[Scene]:
    clock = FastClock()
    jobs = SqliteJobs(database, clock, LIMITS, lease_s=lease_s)
    desk = Desk(act)
    worker = Worker(jobs, desk.handle, desk.report, clock, SLOTS, pace=pace, patience=PATIENCE)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        yield Scene(jobs, worker, desk, clock)
        await worker.stop(grace_s=0)


async def do_nothing(_: Job) -> Sequence[NewJob]:
    return ()


async def hang(_: Job) -> Sequence[NewJob]:
    await asyncio.Event().wait()
    return ()


def failing(*errors: Exception) -> Act:
    """Raise these one after the other, then succeed."""
    left = list(errors)

    async def act(_: Job) -> Sequence[NewJob]:
        if left:
            raise left.pop(0)
        return ()

    return act


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not is_so():  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0.005)


async def test_a_job_is_handled_and_what_follows_too(database: Database) -> None:
    async def answer(job: Job) -> Sequence[NewJob]:
        return (review(),) if job.lane is Lane.RESPOND else ()

    async with working(database, answer) as scene:
        await scene.jobs.submit("d1", [respond()])
        await scene.ended(respond())
        await scene.ended(review())
    assert [job.work for job in scene.desk.calls] == [respond().work, review().work]


async def test_a_submitted_job_starts_without_waiting_for_the_poll(database: Database) -> None:
    async with working(database, do_nothing, pace=Pace(poll_s=10_000)) as scene:
        await asyncio.sleep(0.05)
        await scene.jobs.submit("d1", [review()])
        await scene.ended(review())


async def test_a_free_slot_is_filled_without_waiting_for_the_poll(database: Database) -> None:
    async with working(database, do_nothing, pace=Pace(poll_s=10_000)) as scene:
        await scene.jobs.submit("d1", [review(n) for n in range(6)])
        for n in range(6):
            await scene.ended(review(n))


async def test_a_lane_runs_no_more_jobs_than_it_has_slots(database: Database) -> None:
    async with working(database, hang) as scene:
        await scene.jobs.submit("d1", [*(review(n) for n in range(4)), respond()])
        await until(lambda: len(scene.desk.calls) == 3)
        await asyncio.sleep(0.05)
        lanes = [job.lane for job in scene.desk.calls]
    assert sorted(lanes) == [Lane.RESPOND, Lane.REVIEW, Lane.REVIEW]


@pytest.mark.parametrize(
    "error", [Unavailable("502"), RateLimited("slow down", reset_at=1.0), Overtaken("pushed")]
)
async def test_what_is_worth_it_is_tried_again(database: Database, error: Exception) -> None:
    async with working(database, failing(error)) as scene:
        await scene.jobs.submit("d1", [review()])
        job = await scene.ended(review())
    assert (job.state, job.attempt, job.retries) == (JobState.DONE, 2, 1)
    assert scene.desk.reports == []


async def test_a_limit_is_waited_for(database: Database) -> None:
    async with working(database, do_nothing) as scene:
        reset_at = scene.clock.now() + 20
        scene.desk.act = failing(RateLimited("later", reset_at=reset_at))
        await scene.jobs.submit("d1", [review()])
        await scene.ended(review())
        assert scene.clock.now() >= reset_at


async def test_tries_come_to_an_end_and_the_last_error_is_reported(database: Database) -> None:
    errors = [Unavailable(f"error {n}") for n in range(3)]
    async with working(database, failing(*errors)) as scene:
        await scene.jobs.submit("d1", [review()])
        job = await scene.ended(review())
    assert (job.state, job.attempt) == (JobState.FAILED, 3)
    assert [error for _, error in scene.desk.reports] == [errors[2]]


@pytest.mark.parametrize("error", [PullRequestGone("404"), ZeroDivisionError("a bug of ours")])
async def test_what_is_not_worth_it_is_reported_at_once(
    database: Database, error: Exception
) -> None:
    async with working(database, failing(error)) as scene:
        await scene.jobs.submit("d1", [review()])
        job = await scene.ended(review())
    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert [error for _, error in scene.desk.reports] == [error]


async def test_a_report_that_failed_is_made_again_without_running_the_job(
    database: Database,
) -> None:
    async with working(database, failing(Permanent("no", remedy="do this"))) as scene:
        scene.desk.broken_reports = [Unavailable("502"), Unavailable("502")]
        await scene.jobs.submit("d1", [review()])
        job = await scene.ended(review())
    assert job.state is JobState.FAILED
    assert len(scene.desk.calls) == 1
    assert [str(error) for _, error in scene.desk.reports] == ["no", "no; do this", "no; do this"]


async def test_a_report_that_cannot_be_made_does_not_keep_the_job(database: Database) -> None:
    async with working(database, failing(Permanent("no"))) as scene:
        scene.desk.broken_reports = [ZeroDivisionError("a bug of ours")]
        await scene.jobs.submit("d1", [review()])
        assert (await scene.ended(review())).state is JobState.FAILED


async def test_poison_is_reported_and_not_run(database: Database) -> None:
    jobs = SqliteJobs(database, FastClock(), LIMITS, lease_s=0)
    await jobs.submit("d1", [review()])
    for _ in range(3):
        assert await jobs.claim(Lane.REVIEW)
        await asyncio.sleep(0.001)
    async with working(database, do_nothing) as scene:
        job = await scene.ended(review())
    assert job.state is JobState.FAILED
    assert scene.desk.calls == []
    assert [str(error) for _, error in scene.desk.reports] == ["its process died 3 times"]


async def test_a_cancelled_job_stops_at_once_and_clears_up(database: Database) -> None:
    slow = Pace(renew_s=1_000)
    async with working(database, hang, pace=slow) as scene:
        await scene.jobs.submit("d1", [review()])
        await until(lambda: len(scene.desk.calls) == 1)
        await scene.jobs.cancel(target())
        job = await scene.ended(review())
    assert job.state is JobState.CANCELLED
    assert scene.desk.interrupted == 1
    ((_, error),) = scene.desk.reports
    assert isinstance(error, Stopped)
    assert error.state is JobState.CANCELLED


async def test_a_superseded_review_ends_before_the_newer_one_runs(database: Database) -> None:
    newer = review(1, key="newer", supersedes=True)

    async def act(job: Job) -> Sequence[NewJob]:
        return () if job.dedupe_key == "newer" else await hang(job)

    async with working(database, act) as scene:
        await scene.jobs.submit("d1", [review(1)])
        await until(lambda: len(scene.desk.calls) == 1)
        await scene.jobs.submit("d2", [newer])
        assert (await scene.ended(newer)).state is JobState.DONE
        assert (await scene.ended(review(1))).state is JobState.SUPERSEDED


async def test_a_handler_is_stopped_when_its_lease_is_lost(database: Database) -> None:
    async with working(database, hang, pace=Pace(renew_s=1)) as scene:
        await scene.jobs.submit("d1", [review()])
        await until(lambda: len(scene.desk.calls) == 1)
        await database.transact(lambda c: c.execute("UPDATE jobs SET attempt = 9"))
        await until(lambda: scene.desk.interrupted == 1)
    job = await scene.jobs.status(review().run_id)
    assert job is not None
    assert (job.state, job.attempt) == (JobState.RUNNING, 9)
    assert scene.desk.reports == []


async def test_a_long_job_keeps_its_lease(database: Database) -> None:
    async def act(_: Job) -> Sequence[NewJob]:
        await asyncio.sleep(0.7)
        return ()

    async with working(database, act, lease_s=50) as scene:
        await scene.jobs.submit("d1", [review()])
        job = await scene.ended(review())
    assert (job.state, job.attempt) == (JobState.DONE, 1)


async def test_a_stop_waits_for_what_is_nearly_done(database: Database) -> None:
    may_end = asyncio.Event()

    async def act(_: Job) -> Sequence[NewJob]:
        await may_end.wait()
        return ()

    async with working(database, act) as scene:
        await scene.jobs.submit("d1", [review(n) for n in range(4)])
        await until(lambda: len(scene.desk.calls) == 2)
        stopping = asyncio.create_task(scene.worker.stop(grace_s=200))
        await asyncio.sleep(0.05)
        may_end.set()
        await stopping
        counts = await scene.jobs.counts()
    assert counts == {(Lane.REVIEW, JobState.DONE): 2, (Lane.REVIEW, JobState.QUEUED): 2}


async def test_what_does_not_end_within_the_grace_is_handed_back(database: Database) -> None:
    async with working(database, hang) as scene:
        await scene.jobs.submit("d1", [review()])
        await until(lambda: len(scene.desk.calls) == 1)
        await scene.worker.stop(grace_s=1)
    job = await scene.jobs.status(review().run_id)
    assert job is not None
    assert (job.state, job.crashes, job.retries) == (JobState.QUEUED, 0, 0)


def test_waits_grow_to_a_limit_and_end_at_the_deadline() -> None:
    patience = Patience(retries=9, deadline_s=100, first_s=1, longest_s=4)
    error = Unavailable("502")
    for retries, longest in ((0, 1), (1, 2), (2, 4), (3, 4)):
        waits = [
            patience.next_try(error, retries=retries, since=0.0, now=0.0) or 0.0 for _ in range(200)
        ]
        assert longest / 2 < max(waits) <= longest
    assert patience.next_try(error, retries=9, since=0.0, now=0.0) is None
    assert patience.next_try(error, retries=0, since=0.0, now=100.1) is None
    late = RateLimited("later", reset_at=101.0)
    assert patience.next_try(late, retries=0, since=0.0, now=0.0) is None
    assert patience.next_try(Overtaken("pushed"), retries=7, since=0.0, now=5.0) == 5.0
    assert patience.next_try(Overtaken("pushed"), retries=8, since=0.0, now=5.0) is None
