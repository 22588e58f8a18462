"""Measures the whole life of a trivial job against bare commits of one row to the same disk.

Run it from the checkout: `python -m tests.benchmarks.job_life`. Exit status 1 if a bound is
broken. A life is what the server does with it: stored with its delivery, claimed, ended. It is
measured with as many lives side by side as a server has slots (they share commits, which the bare
ones cannot), and alone, where three commits and the way to the thread and back are all there is.
"""

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from app.bootstrap import RESPOND_SLOTS
from app.jobs.job import JobState, Lane, NewJob, Respond, Review, Work
from app.jobs.sqlite import Limit, SqliteJobs
from app.parts import SystemClock
from app.review.event import CommentKind, CommentRef
from app.review.pull import InstallationId, RunId, Target
from app.store.database import open_database
from tests.benchmarks.rig import Verdicts, quantile

ROUNDS, N = 20, 100
MAX_COMMITS = 4.0
SLOTS = {Lane.RESPOND: RESPOND_SLOTS, Lane.REVIEW: 8}


async def main() -> int:
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = _bare(folder / "bare.db")
        database = await open_database(folder / "ours.db")
        limits = {lane: Limit(in_all=n, per_installation=n) for lane, n in SLOTS.items()}
        jobs = SqliteJobs(database, SystemClock(), limits)
        commits, lives, alone = [], [], []
        for number in range(ROUNDS):
            commits.append(_commit(bare, number * N) / N)
            lives.append(await _live(jobs, f"{number}/side by side", SLOTS) / N)
            alone.append(await _live(jobs, f"{number}/alone", {Lane.RESPOND: 1}) / N)
        await database.close()
        bare.close()
        sync_s = _sync(folder / "page")
    commit_s, life_s, alone_s = (quantile(times, 0.5) for times in (commits, lives, alone))
    print(f"this disk takes {1000 * sync_s:.3f} ms to keep a page; ", end="")
    print(f"one commit {1000 * commit_s:.3f} ms, one life {1000 * life_s:.3f} ms")
    print(f"bare commits in one life that has the server to itself: {alone_s / commit_s:.2f}")
    verdicts.hold("bare commits in one life", life_s / commit_s, MAX_COMMITS)
    return verdicts.status()


def _sync(path: Path) -> float:
    """Return the seconds that a page takes to be on the disk: where it takes long, it decides."""
    times = []
    with path.open("wb", buffering=0) as page:
        for _ in range(N):
            began = time.perf_counter()
            page.write(bytes(4096))
            os.fsync(page.fileno())
            times.append(time.perf_counter() - began)
    return quantile(times, 0.5)


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
    return connection


def _commit(connection: sqlite3.Connection, first: int) -> float:
    """Commit N rows one by one; return the seconds."""
    began = time.perf_counter()
    for id in range(first, first + N):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows VALUES (?, ?)", (id, "@codex help"))
        connection.execute("COMMIT")
    return time.perf_counter() - began


async def _live(jobs: SqliteJobs, name: str, slots: Mapping[Lane, int]) -> float:
    """Live N lives, as many side by side as there are slots; return the seconds."""
    numbers = iter(range(N))

    async def live(lane: Lane) -> None:
        for number in numbers:
            new = _job(lane, f"{name}/{number}", number + 1)
            await jobs.submit(f"delivery-{new.run_id}", (new,))
            job = await jobs.claim(lane)
            if job is None:
                raise RuntimeError("the job was not there")
            await jobs.finish(job, JobState.DONE)

    began = time.perf_counter()
    await asyncio.gather(*(live(lane) for lane, n in slots.items() for _ in range(n)))
    return time.perf_counter() - began


def _job(lane: Lane, name: str, number: int) -> NewJob:
    target = Target(
        installation_id=InstallationId(1), repository_id=1, owner="o", repo="r", number=number
    )
    comment = CommentRef(kind=CommentKind.ISSUE_COMMENT, id=number, author="riley")
    work: Work = Review(target=target, comment=comment)
    if lane is Lane.RESPOND:
        work = Respond(target=target, comment=comment, line="@codex help")
    return NewJob(work=work, run_id=RunId(name), dedupe_key=name)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
