"""Reviews are told as far as they have come: the newest first, filtered, page by page."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.job import JobState, Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.ports import RunFilter
from app.review.pull import RunId
from app.store.database import Database, open_database
from app.store.memory import Store
from app.store.runs import StoredRuns
from tests.jobs.builders import FakeClock, respond, review
from tests.store.builders import receipt

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "app.db")
    yield database
    await database.close()


@pytest.fixture
def jobs(database: Database, clock: FakeClock) -> SqliteJobs:
    return SqliteJobs(database, clock, dict.fromkeys(Lane, Limit(in_all=9, per_installation=9)))


async def numbers(database: Database, **wanted: object) -> list[int]:
    found = await StoredRuns(database).listed(RunFilter(**wanted), 100)  # type: ignore[arg-type] # a table's
    return [run.target.number for run in found]


async def test_the_newest_comes_first_and_a_page_stays_as_it_was(
    database: Database, jobs: SqliteJobs
) -> None:
    await jobs.submit(None, [review(n) for n in range(1, 8)])
    runs = StoredRuns(database)
    first = await runs.listed(RunFilter(), 3)
    assert [run.target.number for run in first] == [7, 6, 5]
    await jobs.submit(None, [respond(), review(8)])
    assert await numbers(database, before=first[-1].id) == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [12, 2, 1]),
        ({"state": "queued"}, [12]),
        ({"state": "running"}, [2]),
        ({"state": "clean"}, [1]),
        ({"state": "no such state"}, []),
        ({"repository": "ACME/"}, [12, 2, 1]),
        ({"repository": "acme/shop"}, [12, 2, 1]),
        ({"repository": "acme/other"}, []),
        ({"pull": "2"}, [2]),
        ({"pull": " #12 "}, [12]),
        ({"pull": "9" * 40}, []),
        ({"asked": "automatic"}, [12]),
        ({"asked": "person"}, [2, 1]),
    ],
)
async def test_a_filter_leaves_what_fits(
    database: Database,
    jobs: SqliteJobs,
    clock: FakeClock,
    wanted: dict[str, object],
    expected: list[int],
) -> None:
    await jobs.submit(None, [review(1), review(2), review(12, is_automatic=True)])
    done = await jobs.claim(Lane.REVIEW)
    assert done is not None
    await Store(database, clock).keep(done.target, receipt(done.run_id))
    await jobs.finish(done, JobState.DONE)
    assert await jobs.claim(Lane.REVIEW) is not None
    assert await numbers(database, **wanted) == expected


async def test_a_review_is_told_with_its_times(
    database: Database, jobs: SqliteJobs, clock: FakeClock
) -> None:
    asked_at = clock.at
    await jobs.submit("d-1", [review(1)])
    clock.at += 1
    job = await jobs.claim(Lane.REVIEW)
    assert job is not None
    store, runs = Store(database, clock), StoredRuns(database)
    clock.at += 1
    await store.settle_budget(job.run_id, 1000)
    begun = await runs.one(job.run_id)
    assert begun is not None
    assert (begun.state, begun.receipt, begun.planned_at) == ("running", None, asked_at + 2)
    clock.at += 1
    await store.keep(job.target, receipt(job.run_id, "f"))
    assert (told := await runs.one(job.run_id)) is not None
    assert told.state == "running", "until all is published"
    clock.at += 1
    await jobs.finish(job, JobState.DONE)
    ended = await runs.one(job.run_id)
    assert ended is not None
    assert ended.receipt == receipt(job.run_id, "f")
    assert (ended.state, ended.started_at) == ("findings", asked_at + 1)
    assert (ended.concluded_at, ended.ended_at) == (asked_at + 3, asked_at + 4)
    assert await runs.last_delivery() == asked_at


async def test_what_is_not_there_is_not_told(database: Database) -> None:
    runs = StoredRuns(database)
    assert await runs.one(RunId("none")) is None
    assert await runs.listed(RunFilter(), 10) == ()
    assert await runs.last_delivery() is None
