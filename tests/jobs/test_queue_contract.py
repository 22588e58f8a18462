"""What every queue engine promises; each test runs on each engine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.jobs.job import NEXT, Job, JobState, Lane, LeaseLost, NewJob
from app.jobs.sqlite import Limit, SqliteJobs
from app.ports import Jobs
from app.store.database import open_database
from tests.jobs.builders import FakeClock, respond, review, target

pytestmark = pytest.mark.anyio

LEASE_S = 15.0
Open = Callable[..., Coroutine[None, None, Jobs]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite"])
async def open_queue(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Open]:
    """Open the one queue, as another process would."""
    async with AsyncExitStack() as stack:

        async def open_one(in_all: int = 8, per_installation: int = 8) -> Jobs:
            database = await open_database(tmp_path / "queue.db")
            stack.push_async_callback(database.close)
            limit = Limit(in_all=in_all, per_installation=per_installation)
            return SqliteJobs(database, clock, dict.fromkeys(Lane, limit), lease_s=LEASE_S)

        yield open_one


@pytest.fixture
async def jobs(open_queue: Open) -> Jobs:
    return await open_queue()


async def claimed(jobs: Jobs, lane: Lane = Lane.REVIEW) -> Job:
    job = await jobs.claim(lane)
    assert job is not None
    return job


async def state(jobs: Jobs, job: Job) -> JobState:
    found = await jobs.status(job.id)
    assert found is not None
    assert found.state in NEXT[job.state] | {job.state}
    return found.state


async def crash(jobs: Jobs, clock: FakeClock) -> Job:
    """Let the running job's lease run out, and claim it again."""
    clock.at += LEASE_S + 1
    return await claimed(jobs)


async def test_a_submitted_job_is_claimed_and_finished(jobs: Jobs) -> None:
    (id_,) = await jobs.submit("d1", [review()])
    job = await claimed(jobs)
    assert (job.id, job.state, job.work, job.attempt) == (id_, JobState.RUNNING, review().work, 1)
    await jobs.finish(job, JobState.DONE)
    assert await state(jobs, job) is JobState.DONE
    assert await jobs.claim(Lane.REVIEW) is None


async def test_a_delivery_is_stored_once(jobs: Jobs) -> None:
    assert len(await jobs.submit("d1", [review(1)])) == 1
    assert await jobs.submit("d1", [review(2)]) == ()


async def test_a_dedupe_key_is_stored_once_also_after_its_job_ended(jobs: Jobs) -> None:
    await jobs.submit("d1", [review()])
    await jobs.finish(await claimed(jobs), JobState.DONE)
    assert await jobs.submit("d2", [review()]) == ()


async def test_a_delivery_that_starts_nothing_is_not_remembered(jobs: Jobs) -> None:
    assert await jobs.submit("d1", []) == ()
    assert len(await jobs.submit("d1", [review()])) == 1


async def test_two_submitters_at_the_same_instant_store_one_job(open_queue: Open) -> None:
    queues = [await open_queue() for _ in range(4)]
    for round_ in range(10):
        new = review(round_)
        stored = await asyncio.gather(*(queue.submit(None, [new]) for queue in queues))
        assert sorted(map(len, stored)) == [0, 0, 0, 1]


async def test_two_claimers_never_get_one_job(open_queue: Open) -> None:
    queues = [await open_queue() for _ in range(4)]
    await queues[0].submit(None, [review(n) for n in range(6)])
    taken = await asyncio.gather(*(queue.claim(Lane.REVIEW) for queue in queues * 2))
    ids = [job.id for job in taken if job]
    assert len(ids) == len(set(ids)) == 6


async def test_lanes_do_not_wait_for_each_other(open_queue: Open) -> None:
    jobs = await open_queue(in_all=1)
    await jobs.submit(None, [review(), respond()])
    assert (await claimed(jobs, Lane.REVIEW)).lane is Lane.REVIEW
    assert (await claimed(jobs, Lane.RESPOND)).lane is Lane.RESPOND


async def test_what_follows_is_stored_with_the_end_of_its_cause(jobs: Jobs) -> None:
    await jobs.submit("d1", [respond()])
    cause = await claimed(jobs, Lane.RESPOND)
    await jobs.finish(cause, JobState.DONE, [review()])
    assert (await claimed(jobs)).work == review().work


async def test_what_follows_is_not_stored_when_the_lease_was_lost(
    jobs: Jobs, clock: FakeClock
) -> None:
    await jobs.submit("d1", [respond()])
    cause = await claimed(jobs, Lane.RESPOND)
    clock.at += LEASE_S + 1
    await claimed(jobs, Lane.RESPOND)
    with pytest.raises(LeaseLost):
        await jobs.finish(cause, JobState.DONE, [review()])
    assert await jobs.claim(Lane.REVIEW) is None


async def test_a_pull_request_has_one_running_review(jobs: Jobs) -> None:
    await jobs.submit(None, [review(1, key="a"), review(1, key="b"), review(2, key="c")])
    first = await claimed(jobs)
    assert (await claimed(jobs)).dedupe_key == "c"
    assert await jobs.claim(Lane.REVIEW) is None
    await jobs.finish(first, JobState.DONE)
    assert (await claimed(jobs)).dedupe_key == "b"


async def test_a_busy_installation_does_not_keep_others_waiting(jobs: Jobs) -> None:
    many = [review(n, installation=1) for n in range(4)]
    await jobs.submit(None, [*many, review(9, installation=2), review(8, installation=2)])
    order = [(await claimed(jobs)).target for _ in range(6)]
    assert [t.installation_id for t in order] == [1, 2, 1, 2, 1, 1]
    assert [t.number for t in order] == [0, 9, 1, 8, 2, 3]


async def test_an_installation_has_a_limit(open_queue: Open) -> None:
    jobs = await open_queue(per_installation=1)
    await jobs.submit(None, [review(1), review(2), review(3, installation=8)])
    assert [(await claimed(jobs)).target.number for _ in range(2)] == [1, 3]
    assert await jobs.claim(Lane.REVIEW) is None


async def test_an_installation_that_is_alone_has_all_slots(open_queue: Open) -> None:
    jobs = await open_queue(in_all=2, per_installation=1)
    await jobs.submit(None, [review(1), review(2)])
    assert [(await claimed(jobs)).target.number for _ in range(2)] == [1, 2]


async def test_all_installations_together_have_a_limit(open_queue: Open) -> None:
    jobs = await open_queue(in_all=2)
    await jobs.submit(None, [review(n, installation=n) for n in range(3)])
    first = await claimed(jobs)
    await claimed(jobs)
    assert await jobs.claim(Lane.REVIEW) is None
    await jobs.finish(first, JobState.DONE)
    await claimed(jobs)


async def test_a_job_that_waits_for_its_time_holds_no_slot(
    open_queue: Open, clock: FakeClock
) -> None:
    jobs = await open_queue(in_all=1)
    await jobs.submit(None, [review(1), review(2)])
    first = await claimed(jobs)
    await jobs.retry(first, clock.at + 60, "rate limited")
    second = await claimed(jobs)
    assert second.target.number == 2
    await jobs.finish(second, JobState.DONE)
    assert await jobs.claim(Lane.REVIEW) is None
    clock.at += 60
    again = await claimed(jobs)
    assert (again.id, again.retries, again.reason) == (first.id, 1, "rate limited")


async def test_a_renewed_lease_lasts(jobs: Jobs, clock: FakeClock) -> None:
    await jobs.submit(None, [review()])
    job = await claimed(jobs)
    for _ in range(4):
        clock.at += LEASE_S - 1
        assert await jobs.renew(job) is None
        assert await jobs.claim(Lane.REVIEW) is None


async def test_an_expired_lease_passes_on_and_its_old_holder_may_do_nothing(
    jobs: Jobs, clock: FakeClock
) -> None:
    await jobs.submit(None, [review()])
    old = await claimed(jobs)
    new = await crash(jobs, clock)
    assert (new.id, new.attempt, new.crashes) == (old.id, 2, 1)
    with pytest.raises(LeaseLost):
        await jobs.renew(old)
    with pytest.raises(LeaseLost):
        await jobs.retry(old, clock.at, "")
    with pytest.raises(LeaseLost):
        await jobs.hand_back(old)
    await jobs.finish(new, JobState.DONE)
    with pytest.raises(LeaseLost):
        await jobs.renew(new)


async def test_poison_is_handed_out_once_more_to_be_reported(jobs: Jobs, clock: FakeClock) -> None:
    await jobs.submit(None, [review()])
    job = await claimed(jobs)
    assert [(await crash(jobs, clock)).ending for _ in range(2)] == [None, None]
    poison = await crash(jobs, clock)
    assert (poison.ending, poison.reason) == (JobState.FAILED, "its process died 3 times")
    clock.at += LEASE_S + 1
    assert await jobs.claim(Lane.REVIEW) is None
    assert await state(jobs, job) is JobState.FAILED


async def test_who_ran_beside_poison_is_not_taken_for_it(jobs: Jobs, clock: FakeClock) -> None:
    await jobs.submit(None, [review(1), review(2)])
    for _ in range(3):
        together = [await jobs.claim(Lane.REVIEW) for _ in range(2)]
        clock.at += LEASE_S + 1
    assert [one and one.target.number for one in together] == [1, None]
    told = await claimed(jobs)
    assert (told.target.number, told.ending) == (1, JobState.FAILED)
    innocent = await claimed(jobs)
    assert (innocent.target.number, innocent.crashes, innocent.ending) == (2, 2, None)


async def test_a_job_that_was_handed_back_did_not_crash(jobs: Jobs) -> None:
    await jobs.submit(None, [review()])
    await jobs.hand_back(await claimed(jobs))
    again = await claimed(jobs)
    assert (again.attempt, again.crashes, again.retries) == (2, 0, 0)


async def test_cancel_tells_what_runs_and_what_waits(jobs: Jobs) -> None:
    await jobs.submit(None, [review(1, key="a"), review(1, key="b"), review(2), respond()])
    running = await claimed(jobs)
    assert await jobs.cancel(target(1)) == 2
    assert await jobs.renew(running) is JobState.CANCELLED
    assert await jobs.cancel(target(1)) == 0
    await jobs.finish(running, JobState.CANCELLED)
    waited = await claimed(jobs)
    assert (waited.dedupe_key, waited.ending) == ("b", JobState.CANCELLED)
    assert (await claimed(jobs)).target.number == 2
    assert await jobs.claim(Lane.REVIEW) is None
    await claimed(jobs, Lane.RESPOND)


async def test_a_review_that_was_visible_is_handed_out_once_more_when_it_is_cancelled(
    jobs: Jobs, clock: FakeClock
) -> None:
    await jobs.submit(None, [review()])
    await jobs.retry(await claimed(jobs), clock.at + 3600, "rate limited")
    assert await jobs.cancel(target()) == 1
    assert (await claimed(jobs)).ending is JobState.CANCELLED


async def test_a_newer_review_supersedes_older_ones_of_its_pull_request(jobs: Jobs) -> None:
    await jobs.submit(None, [review(1, key="runs"), review(1, key="waits"), review(2)])
    running = await claimed(jobs)
    await jobs.submit(None, [review(1, key="new", supersedes=True)])
    assert await jobs.renew(running) is JobState.SUPERSEDED
    assert (await claimed(jobs)).target.number == 2
    await jobs.finish(running, JobState.SUPERSEDED)
    assert (await claimed(jobs)).dedupe_key == "new"
    assert await jobs.claim(Lane.REVIEW) is None


async def test_a_late_cancel_stops_nothing_that_was_asked_for_after_it(
    jobs: Jobs, clock: FakeClock
) -> None:
    await jobs.submit(None, [review(1, key="older", asked_at=clock.at - 60)])
    await jobs.submit(None, [review(1, key="newer", asked_at=clock.at + 60)])
    assert await jobs.cancel(target(1), clock.at) == 1
    first, second = await claimed(jobs), await jobs.claim(Lane.REVIEW)
    assert (first.dedupe_key, first.ending, second) == ("older", JobState.CANCELLED, None)


async def test_commands_of_a_pull_request_are_obeyed_in_their_order(
    jobs: Jobs, clock: FakeClock
) -> None:
    await jobs.submit(None, [respond("first"), respond("second")])
    first = await jobs.claim(Lane.RESPOND)
    assert first is not None
    assert await jobs.claim(Lane.RESPOND) is None
    await jobs.retry(first, clock.at + 60, "GitHub is slow")
    assert await jobs.claim(Lane.RESPOND) is None
    clock.at += 60
    again = await jobs.claim(Lane.RESPOND)
    assert again is not None
    assert again.dedupe_key == "first"
    await jobs.finish(again, JobState.DONE)
    second = await jobs.claim(Lane.RESPOND)
    assert second is not None
    assert second.dedupe_key == "second"


async def test_one_that_nobody_asked_for_supersedes_only_its_like(jobs: Jobs) -> None:
    await jobs.submit(None, [review(1, key="asked"), review(1, key="older", is_automatic=True)])
    asked = await claimed(jobs)
    await jobs.submit(None, [review(1, key="newer", is_automatic=True, supersedes=True)])
    assert await jobs.renew(asked) is None
    await jobs.finish(asked, JobState.DONE)
    assert (await claimed(jobs)).dedupe_key == "newer"
    assert await jobs.claim(Lane.REVIEW) is None


async def test_a_review_that_is_not_stored_supersedes_nothing(jobs: Jobs) -> None:
    await jobs.submit(None, [review(1, supersedes=True)])
    running = await claimed(jobs)
    await jobs.submit(None, [review(1, supersedes=True)])
    assert await jobs.renew(running) is None


async def test_reporting_a_failure_has_tries_of_its_own(jobs: Jobs, clock: FakeClock) -> None:
    await jobs.submit(None, [review()])
    await jobs.retry(await claimed(jobs), clock.at, "slow")
    await jobs.retry(await claimed(jobs), clock.at, "gone", JobState.FAILED)
    reporting = await claimed(jobs)
    assert (reporting.retries, reporting.ending, reporting.reason) == (0, JobState.FAILED, "gone")
    await jobs.retry(reporting, clock.at, "gone", JobState.FAILED)
    assert (await claimed(jobs)).retries == 1


async def test_a_run_has_the_status_of_its_latest_job(jobs: Jobs) -> None:
    new = review()
    assert await jobs.status(new.run_id) is None
    await jobs.submit(None, [new])
    found = await jobs.status(new.run_id)
    assert found is not None
    assert found.state is JobState.QUEUED
    assert await jobs.counts() == {(Lane.REVIEW, JobState.QUEUED): 1}


async def test_a_job_does_not_end_as_running(jobs: Jobs) -> None:
    await jobs.submit(None, [review()])
    with pytest.raises(ValueError, match="running"):
        await jobs.finish(await claimed(jobs), JobState.RUNNING)


async def test_a_try_that_failed_does_not_undo_a_cancel(jobs: Jobs, clock: FakeClock) -> None:
    await jobs.submit(None, [review()])
    running = await claimed(jobs)
    await jobs.cancel(target())
    await jobs.retry(running, clock.at, "slow")
    assert (await claimed(jobs)).ending is JobState.CANCELLED


async def test_news_is_heard_at_once_and_only_in_its_lane(jobs: Jobs) -> None:
    reviews, responses, stops = jobs.news(Lane.REVIEW), jobs.news(Lane.RESPOND), jobs.stops()
    await jobs.submit(None, [review()])
    assert (reviews.is_set(), responses.is_set(), stops.is_set()) == (True, False, False)
    assert not jobs.news(Lane.REVIEW).is_set()


@pytest.mark.parametrize(
    ("lane", "first", "second"),
    [(Lane.REVIEW, review(), review(key="again")), (Lane.RESPOND, respond("a"), respond("b"))],
)
async def test_a_job_that_must_wait_for_another_one_is_no_news(
    jobs: Jobs, lane: Lane, first: NewJob, second: NewJob
) -> None:
    await jobs.submit("d1", [first])
    job = await claimed(jobs, lane)
    news = jobs.news(lane)
    await jobs.submit("d2", [second])
    assert not news.is_set()
    await jobs.finish(job, JobState.DONE)
    assert news.is_set()


async def test_the_end_of_a_job_is_news_for_those_that_waited_for_it(jobs: Jobs) -> None:
    await jobs.submit(None, [review()])
    job = await claimed(jobs)
    news = jobs.news(Lane.REVIEW)
    await jobs.finish(job, JobState.DONE)
    assert news.is_set()


async def test_a_stop_is_heard_at_once(jobs: Jobs) -> None:
    stops = jobs.stops()
    await jobs.cancel(target())
    assert stops.is_set()
    stops = jobs.stops()
    await jobs.submit(None, [review(supersedes=True)])
    assert stops.is_set()


async def test_the_reviews_of_a_pull_request_are_those_that_wait_or_run_and_were_not_stopped(
    jobs: Jobs,
) -> None:
    one, two, other = review(key="one"), review(key="two"), review(2)
    await jobs.submit(None, [one, two, other, respond()])
    running = await claimed(jobs)
    assert [job.run_id for job in await jobs.reviews(target())] == [one.run_id, two.run_id]
    assert [job.state for job in await jobs.reviews(target())] == [
        JobState.RUNNING,
        JobState.QUEUED,
    ]
    await jobs.cancel(target())
    assert await jobs.reviews(target()) == ()
    await jobs.submit(None, [review(key="three")])
    await jobs.finish(running, JobState.CANCELLED)
    assert [job.run_id for job in await jobs.reviews(target())] == ["run-three"]


async def test_one_run_is_stopped_and_no_other(jobs: Jobs) -> None:
    await jobs.submit(None, [review(1, key="one"), review(1, key="two")])
    one = await claimed(jobs)
    stopping = jobs.stops()
    await jobs.stop(one.run_id)
    assert stopping.is_set()
    assert await jobs.renew(one) is JobState.CANCELLED
    await jobs.finish(one, JobState.CANCELLED)
    assert (await claimed(jobs)).ending is None


async def test_reviews_are_listed_page_by_page_and_by_repository(jobs: Jobs) -> None:
    await jobs.submit(None, [respond(), *(review(n, key=f"{n}") for n in range(1, 4))])
    newest = await jobs.listed(None, before=None, limit=2)
    older = await jobs.listed({"acme/shop"}, before=newest[-1].id, limit=9)
    assert [job.dedupe_key for job in (*newest, *older)] == ["3", "2", "1"]
    assert await jobs.listed({"acme/other", "other/shop"}, before=None, limit=9) == ()
    assert await jobs.listed(set(), before=None, limit=9) == ()


async def test_a_lane_waits_as_long_as_the_oldest_job_that_could_begin(
    jobs: Jobs, clock: FakeClock
) -> None:
    assert await jobs.waiting_since() == {}
    began = clock.at
    await jobs.submit(None, [review(1), respond()])
    clock.at += 5
    await jobs.submit(None, [review(2)])
    assert await jobs.waiting_since() == {Lane.REVIEW: began, Lane.RESPOND: began}
    await jobs.retry(await claimed(jobs), clock.at + 60, "slow")
    assert (await jobs.waiting_since())[Lane.REVIEW] == began + 5


async def test_what_follows_from_a_job_belongs_to_the_same_delivery(jobs: Jobs) -> None:
    await jobs.submit("d-1", [respond()])
    first = await claimed(jobs, Lane.RESPOND)
    await jobs.finish(first, JobState.DONE, [review()])
    assert (first.delivery_id, (await claimed(jobs)).delivery_id) == ("d-1", "d-1")
