"""What is forgotten leaves no row and no byte; what runs meanwhile ends first."""

import asyncio
import re
from pathlib import Path

import pytest

from app.demo.state import AppIdentity, new_app
from app.errors import Unavailable
from app.review.pull import InstallationId, Target
from app.single_runs import forget_repository
from app.store.database import open_database
from app.store.forgetting import forget
from app.store.memory import Store
from app.store.schema import FORGETTING
from tests.disk import rows
from tests.hurried import hurry
from tests.jobs.builders import FakeClock
from tests.model_server import Fault
from tests.world import World, build_world, finding, finds

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    return build_world(tmp_path, identity, finds(finding()))


def tables(database: Path) -> dict[str, str]:
    return {str(name): str(sql) for name, sql in rows(database, TABLES)}


TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def traces(world: World) -> set[str]:
    """The tables in which something of the pull request's repository stands."""
    id = str(world.pull.repository.id)
    words = ("acme", "stats", id, "ZeroDivisionError", *runs(world))
    found = set()
    for name in tables(world.database):
        text = repr(rows(world.database, f"SELECT * FROM {name}"))  # noqa: S608 - a name from the schema
        found |= {name for word in words if word in text}
    return found


def runs(world: World) -> list[str]:
    return [str(row[0]) for row in rows(world.database, "SELECT run_id FROM receipts")]


async def reviewed(world: World) -> None:
    async with world.running():
        await world.comment("@codex pause")
        await world.comment("@codex review")
        await world.ended()
        await world.rest()
    database = await open_database(world.database)
    target = Target(
        installation_id=InstallationId(1),
        repository_id=world.pull.repository.id,
        owner="acme",
        repo="stats",
        number=1,
    )
    await Store(database, FakeClock()).note_other_codex(target, 1.0)
    await database.close()


async def test_all_that_is_kept_about_a_repository_is_erased(world: World) -> None:
    await reviewed(world)
    assert traces(world) >= {"answers", "jobs", "receipts", "coverage", "check_runs", "settled"}
    erased = await forget_repository(world.database, "ACME", "Stats")
    assert erased.keys() <= FORGETTING.keys()
    assert {"receipts", "jobs", "model answers", "check runs", "covered hunks"} <= erased.keys()
    assert traces(world) == set()
    left = b"".join(path.read_bytes() for path in world.folder.glob("codex-review.db*"))
    assert b"ZeroDivisionError" not in left
    assert b"acme" not in left


async def test_what_is_kept_about_others_stays(world: World) -> None:
    await reviewed(world)
    before = traces(world)
    assert await forget_repository(world.database, "acme", "other") == {}
    assert traces(world) == before


async def test_every_table_about_repositories_or_runs_is_cleared(world: World) -> None:
    async with world.running():
        pass
    about = {name for name, sql in tables(world.database).items() if re.search(LINKED, sql)}
    cleared = {re.search(r"DELETE FROM (\w+)", statement) for statement in FORGETTING.values()}
    assert about <= {found[1] for found in cleared if found}


LINKED = r"\b(repository_id|run_id|target)\b"


@pytest.mark.slow
async def test_a_running_review_ends_before_it_is_forgotten(world: World) -> None:
    hurry(world)
    world.model.script = lambda _: Fault(delay_s=60.0)
    async with world.running():
        await world.comment("@codex review")
        await world.until(lambda: world.model.questions)
        erased = await forget_repository(world.database, "acme", "stats")
        assert "jobs" in erased
        assert world.checks[0].conclusion == "cancelled"
        await asyncio.sleep(0.2)
        assert traces(world) == set()
    assert traces(world) == set()


async def test_what_does_not_end_is_told_and_nothing_is_erased(world: World) -> None:
    await reviewed(world)
    serving = await open_database(world.database, alone=True)
    ours = await open_database(world.database)
    await serving.transact(lambda c: c.execute("UPDATE jobs SET state = 'running'"))
    before = traces(world)
    try:
        with pytest.raises(Unavailable, match="nothing was erased"):
            await forget(ours, "acme", "stats", FakeClock())
        assert traces(world) == before
        await serving.transact(lambda c: c.execute("UPDATE jobs SET state = 'queued', attempt = 1"))
        assert "jobs" in await forget(ours, "acme", "stats", FakeClock())
    finally:
        await serving.close()
        await ours.close()
    assert traces(world) == set()
