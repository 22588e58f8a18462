"""How far GitHub's list was worked off, and what needs no second look."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.job import Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.ports import ListedDelivery
from app.store.database import Database, open_database
from app.store.deliveries import StoredDeliveries
from tests.jobs.builders import FakeClock, review

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "app.db")
    yield database
    await database.close()


@pytest.fixture
def seen(database: Database) -> StoredDeliveries:
    return StoredDeliveries(database)


def listed(guid: str, at: float = 1_000.0) -> ListedDelivery:
    return ListedDelivery(
        guid=guid, id=1, delivered_at=at, is_failed=True, event="issue_comment", action="created"
    )


async def test_the_last_time_that_was_noted_counts(seen: StoredDeliveries) -> None:
    assert await seen.caught_up_until() is None
    for until in (0.0, 50.0, 40.0):
        await seen.note_caught_up(until, listed_from=until - 10)
        assert await seen.caught_up_until() == until


async def test_what_led_to_a_job_or_was_examined_is_seen(
    seen: StoredDeliveries, database: Database
) -> None:
    jobs = SqliteJobs(database, FakeClock(), {Lane.REVIEW: Limit(in_all=1, per_installation=1)})
    await jobs.submit("stored", [review()])
    await seen.note_examined([listed("examined"), listed("examined too")])
    ids = ["stored", "examined", "new", "examined too"]
    assert await seen.unseen(ids) == {"new"}
    assert await seen.unseen([]) == frozenset()


async def test_any_number_can_be_asked_for_at_once(seen: StoredDeliveries) -> None:
    await seen.note_examined([listed(f"g{n}") for n in range(0, 5_000, 2)])
    unseen = await seen.unseen([f"g{n}" for n in range(5_000)])
    assert unseen == {f"g{n}" for n in range(1, 5_000, 2)}


async def test_what_will_not_be_listed_again_is_forgotten(seen: StoredDeliveries) -> None:
    await seen.note_examined([listed("old", 99), listed("new", 100), listed("again", 98)])
    await seen.note_examined([listed("again", 101)])
    await seen.note_caught_up(200, listed_from=100)
    assert await seen.unseen(["old", "new", "again"]) == {"old"}
