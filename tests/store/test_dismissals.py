"""What was dismissed on a pull request is remembered there, and nowhere else."""

from pathlib import Path

import pytest

from app.review.pull import RunId
from app.review.receipt import finding_of
from app.store.database import open_database
from app.store.dismissals import StoredDismissals
from app.store.memory import Store
from tests.jobs.builders import FakeClock, target
from tests.store.builders import receipt

pytestmark = pytest.mark.anyio
ONE, OTHER = receipt("r1", "f1", "f2").findings
DAY_S = 86_400.0


async def test_a_dismissal_is_recalled_on_its_pull_request_until_all_there_is_old(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    database = await open_database(tmp_path / "app.db")
    dismissals, store = StoredDismissals(database, clock), Store(database, clock)
    await dismissals.dismiss(target(1), OTHER, "riley")
    clock.at += 1
    for _ in range(2):
        await dismissals.dismiss(target(1), ONE, "riley")
    wanted = (finding_of(OTHER), finding_of(ONE))
    assert await dismissals.dismissed(target(1)) == wanted
    assert await dismissals.dismissed(target(2)) == ()
    assert (await store.recall(target(1), RunId("r2"))).dismissed == wanted
    clock.at += DAY_S
    await store.keep(target(1), receipt("r3"))
    await database.clean(clock.now())
    assert await dismissals.dismissed(target(1)) == wanted
    await database.clean(clock.now() + 1)
    assert await dismissals.dismissed(target(1)) == ()
    await database.close()
