"""Check runs are known from before they are opened until they are completed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.ports import KnownCheck
from app.review.pull import RunId
from app.store.check_runs import StoredCheckRuns
from app.store.database import Database, open_database
from tests.jobs.builders import FakeClock, target

pytestmark = pytest.mark.anyio

CHECK = KnownCheck(run_id=RunId("r1"), target=target(), head_sha="a", name="codex review")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "app.db")
    yield database
    await database.close()


@pytest.fixture
def checks(database: Database, clock: FakeClock) -> StoredCheckRuns:
    return StoredCheckRuns(database, clock)


async def test_what_is_told_later_of_the_same_run_and_head_replaces_it(
    checks: StoredCheckRuns,
) -> None:
    for check in (CHECK, replace(CHECK, id=5), replace(CHECK, id=5, conclusion="success")):
        await checks.keep_check(check)
        assert await checks.check_runs(CHECK.run_id) == (check,)


async def test_the_checks_of_a_run_come_oldest_first_and_those_of_others_do_not(
    checks: StoredCheckRuns, clock: FakeClock
) -> None:
    first, second = replace(CHECK, head_sha="b"), CHECK
    for check in (first, second, replace(first, id=1)):
        await checks.keep_check(check)
        await checks.keep_check(replace(check, run_id=RunId("other")))
        clock.at += 1
    assert await checks.check_runs(CHECK.run_id) == (replace(first, id=1), second)


async def test_the_checks_on_a_commit_are_those_of_all_runs(
    checks: StoredCheckRuns, clock: FakeClock
) -> None:
    other = replace(CHECK, run_id=RunId("r2"), target=target(2))
    for check in (other, CHECK, replace(CHECK, head_sha="b")):
        await checks.keep_check(check)
        clock.at += 1
    assert await checks.checks_on("a") == (other, CHECK)


async def test_what_is_forgotten_is_gone(checks: StoredCheckRuns) -> None:
    await checks.keep_check(CHECK)
    await checks.keep_check(replace(CHECK, head_sha="b"))
    await checks.forget_check(CHECK)
    assert [check.head_sha for check in await checks.check_runs(CHECK.run_id)] == ["b"]


async def test_unfinished_is_what_has_no_conclusion_and_began_in_time(
    checks: StoredCheckRuns, clock: FakeClock
) -> None:
    begun = clock.at
    for n in range(4):
        done = "neutral" if n == 2 else None
        await checks.keep_check(replace(CHECK, head_sha=str(n), conclusion=done))
        clock.at += 10
    found = await checks.unfinished_checks(since=begun + 10, before=begun + 31)
    assert [check.head_sha for check in found] == ["1", "3"]
