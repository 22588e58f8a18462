"""What only the embedded queue promises: one server, one file, and processes that die."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from app.errors import Unavailable, Unusable
from app.jobs.job import JobState, Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.store.database import open_database
from tests.conftest import CHECKOUT
from tests.jobs.builders import FakeClock, review

pytestmark = pytest.mark.anyio

LIMITS = dict.fromkeys(Lane, Limit(in_all=8, per_installation=8))

CHILD = """
import asyncio, sys
from pathlib import Path
from app.jobs.job import Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.store.database import open_database
from tests.jobs.builders import FakeClock, review

async def main():
    database = await open_database(Path(sys.argv[1]))
    limits = dict.fromkeys(Lane, Limit(in_all=8, per_installation=8))
    jobs = SqliteJobs(database, FakeClock(), limits)
    {act}
    await database.close()

asyncio.run(main())
"""
CLAIM_AND_HANG = """
    await jobs.take_over()
    await jobs.submit("d1", [review()])
    await jobs.claim(Lane.REVIEW)
    print("claimed", flush=True)
    sys.stdin.read()
"""
SUBMIT_MANY = """
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum([len(await jobs.submit(f"d{n}", [review(n)])) for n in range(40)]), flush=True)
"""


def child(path: Path, act: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(act=act.strip()), str(path)],
        cwd=CHECKOUT,
        env={"PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def queue(opened: AsyncExitStack, path: Path) -> SqliteJobs:
    database = await open_database(path)
    opened.push_async_callback(database.close)
    return SqliteJobs(database, FakeClock(), LIMITS)


async def test_a_killed_process_leaves_its_job_to_the_next_one_at_once(
    tmp_path: Path, opened: AsyncExitStack
) -> None:
    path = tmp_path / "queue.db"
    with child(path, CLAIM_AND_HANG) as process:
        assert line(process) == "claimed"
        jobs = await queue(opened, path)
        with pytest.raises(Unusable, match="another codex-review serves this database"):
            await jobs.take_over()
        assert await jobs.claim(Lane.REVIEW) is None
        process.kill()
        process.communicate()
    assert await jobs.take_over() == 1
    job = await jobs.claim(Lane.REVIEW)
    assert job is not None
    assert (job.attempt, job.crashes, job.state) == (2, 1, JobState.RUNNING)


async def test_two_processes_that_submit_the_same_jobs_store_each_once(
    tmp_path: Path, opened: AsyncExitStack
) -> None:
    path = tmp_path / "queue.db"
    jobs = await queue(opened, path)
    with child(path, SUBMIT_MANY) as one, child(path, SUBMIT_MANY) as other:
        assert [line(one), line(other)] == ["ready", "ready"]
        results = await asyncio.gather(
            *(asyncio.to_thread(process.communicate, "go\n") for process in (one, other))
        )
    assert sum(int(out) for out, _ in results) == 40
    assert await jobs.counts() == {(Lane.REVIEW, JobState.QUEUED): 40}


async def test_taking_over_leaves_our_own_jobs_alone(
    tmp_path: Path, opened: AsyncExitStack
) -> None:
    jobs = await queue(opened, tmp_path / "queue.db")
    await jobs.submit(None, [review()])
    assert await jobs.claim(Lane.REVIEW)
    assert await jobs.take_over() == 0


async def test_a_job_that_cannot_be_read_fails_and_the_next_one_is_claimed(
    tmp_path: Path, opened: AsyncExitStack
) -> None:
    database = await open_database(tmp_path / "queue.db")
    opened.push_async_callback(database.close)
    jobs = SqliteJobs(database, FakeClock(), LIMITS)
    await jobs.submit(None, [review(1), review(2)])
    await database.transact(
        lambda c: c.execute("""UPDATE jobs SET work = '{"type": "dance"}' WHERE number = 1""")
    )
    job = await jobs.claim(Lane.REVIEW)
    assert job is not None
    assert job.target.number == 2
    assert (await jobs.counts())[Lane.REVIEW, JobState.FAILED] == 1


async def test_what_could_not_be_stored_was_not_seen(
    tmp_path: Path, opened: AsyncExitStack
) -> None:
    path = tmp_path / "queue.db"
    database = await open_database(path, busy_s=0.05)
    opened.push_async_callback(database.close)
    jobs = SqliteJobs(database, FakeClock(), LIMITS)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await jobs.submit("d1", [review()])
    assert len(await jobs.submit("d1", [review()])) == 1
