"""What became of findings is counted, and learnt from, without keeping who said so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.review.feedback import What
from app.review.focus import Area
from app.review.pull import RunId
from app.store.database import Database, open_database
from app.store.feedback import StoredStatistics
from app.store.memory import Store
from tests.jobs.builders import FakeClock, target
from tests.store.builders import became, receipt

pytestmark = pytest.mark.anyio

RUN = RunId("this run")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "app.db")
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, FakeClock())


@pytest.fixture
def statistics(database: Database) -> StoredStatistics:
    return StoredStatistics(database)


async def test_what_became_of_findings_is_counted_once_per_area(
    store: Store, statistics: StoredStatistics
) -> None:
    for _ in range(2):
        await store.keep(
            target(1),
            receipt("r1", "f1", "f2", "f3"),
            became=[
                *(became(f, What.SAID) for f in ("f1", "f2", "f3")),
                became("f4", What.SAID, area=Area.TESTS),
                became("f1", What.DISLIKED, "riley"),
                became("f1", What.DISLIKED, "casey"),
                became("f1", What.FIXED),
                became("f2", What.DISMISSED, "riley"),
            ],
        )
    await store.keep(target(2), receipt("r2"), became=[became("f1", What.SAID)])
    assert await statistics.outcomes() == {
        Area.SECURITY: {"said": 4, "disliked": 1, "fixed": 1, "dismissed": 1, "open": 2},
        Area.TESTS: {"said": 1, "open": 1},
    }


async def test_kinds_that_people_dismiss_are_recalled_in_their_repository(store: Store) -> None:
    for number, who in ((1, "riley"), (2, "casey"), (3, "Riley")):
        dismissed = [became("f", What.DISMISSED, who)]
        await store.keep(target(number), receipt(f"r{number}"), became=dismissed)
    assert (await store.recall(target(4), RUN)).unwanted == ("security:a kind",)
    assert (await store.recall(target(4, repository=71), RUN)).unwanted == ()
