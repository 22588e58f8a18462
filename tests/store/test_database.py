"""Opening, migrating, waiting and cleaning, on real files."""

import asyncio
import gc
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import Unavailable, Unusable
from app.ports import KnownCheck
from app.review.answer import Answer, Usage
from app.review.pull import RunId
from app.store.check_runs import StoredCheckRuns
from app.store.database import Database, open_database
from app.store.memory import Store
from app.store.schema import MIGRATIONS
from app.store.spending import StoredLedger
from tests.jobs.builders import FakeClock, target
from tests.store.builders import receipt

pytestmark = pytest.mark.anyio

DAY = 86_400.0
LATER = (*MIGRATIONS, ("CREATE TABLE later (x TEXT)", "INSERT INTO later VALUES ('new')"))
BROKEN = (*MIGRATIONS, ("CREATE TABLE later (x TEXT)", "INSERT INTO nowhere VALUES (1)"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await open_database(path, busy_s=0.1, wait_s=0.5)
    yield database
    await database.close()


async def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


async def keep_value(path: Path) -> None:
    database = await open_database(path)
    await Store(database, FakeClock()).value("name", "old")
    await database.close()


async def test_what_was_committed_is_durable(database: Database) -> None:
    pragmas = await database.transact(
        lambda c: (
            c.execute("PRAGMA journal_mode").fetchone()[0],
            c.execute("PRAGMA synchronous").fetchone()[0],
        )
    )
    assert pragmas == ("wal", 2)


async def test_nobody_else_may_read_the_files(database: Database, path: Path) -> None:
    database.lock()
    await Store(database, FakeClock()).value("name", "secret")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert modes == dict.fromkeys(("app.db", "app.db-wal", "app.db-shm", "app.db.lock"), 0o600)


async def test_a_newer_database_is_refused_and_left_alone(path: Path) -> None:
    await (await open_database(path, migrations=LATER)).close()
    with pytest.raises(Unusable, match=f"version {len(LATER)}, written by a newer release"):
        await open_database(path)
    assert await version(path) == len(LATER)


async def test_an_older_database_is_copied_and_migrated(path: Path) -> None:
    await keep_value(path)
    database = await open_database(path, migrations=LATER)
    rows = await database.transact(lambda c: c.execute("SELECT x FROM later").fetchall())
    assert [row["x"] for row in rows] == ["new"]
    assert await Store(database, FakeClock()).value("name", "new") == "old"
    await database.close()
    copy = path.with_name(f"app.db.v{len(MIGRATIONS)}")
    assert await version(copy) == len(MIGRATIONS)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT text FROM settled").fetchall() == [("old",)]


async def test_a_migration_that_fails_changes_nothing_and_may_be_tried_again(path: Path) -> None:
    await keep_value(path)
    for _ in range(2):
        with pytest.raises(Unusable, match="nowhere"):
            await open_database(path, migrations=BROKEN)
    assert await version(path) == len(MIGRATIONS)
    await (await open_database(path, migrations=LATER)).close()


async def test_a_new_database_needs_no_copy(database: Database, path: Path) -> None:
    assert {p.name for p in path.parent.iterdir()} == {"app.db", "app.db-wal", "app.db-shm"}


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    content = b"This is no database at all." * 100
    path.write_bytes(content)
    with pytest.raises(Unusable, match="not a database"):
        asyncio.run(open_database(path))
    assert path.read_bytes() == content


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"missing/app\.db"):
        await open_database(tmp_path / "missing" / "app.db")


async def test_a_locked_database_is_unavailable_soon_and_works_afterwards(
    database: Database, path: Path
) -> None:
    store = Store(database, FakeClock())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="locked"):
            await store.value("name", "x")
        assert time.monotonic() - begun < 5
    assert await store.value("name", "y") == "y"


async def test_a_database_that_hangs_is_unavailable_soon(database: Database) -> None:
    may_end = threading.Event()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.5 s"):
        await database.transact(lambda _: may_end.wait(5))
    may_end.set()
    assert await Store(database, FakeClock()).value("name", "y") == "y"


async def test_a_full_disk_is_unavailable_and_nothing_is_half_done(database: Database) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO settled VALUES ('small', 'x')")
        connection.execute("INSERT INTO settled VALUES ('large', ?)", ("x" * 100_000,))

    await database.transact(fill)
    with pytest.raises(Unavailable, match="full"):
        await database.transact(write)
    left = await database.transact(lambda c: c.execute("SELECT * FROM settled").fetchall())
    assert left == []


async def test_a_database_that_became_read_only_is_unavailable(
    database: Database,
) -> None:
    await database.transact(lambda c: c.execute("PRAGMA query_only = ON"))
    with pytest.raises(Unavailable, match="readonly"):
        await database.transact(insert("a"))


async def while_the_thread_is_busy(
    database: Database, *works: Callable[[sqlite3.Connection], object]
) -> list[object]:
    """Ask for several transactions that have to wait for another one; return what came of them."""
    has_begun, may_end = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        has_begun.set()
        may_end.wait(5)

    first = asyncio.create_task(database.transact(hold))
    await asyncio.to_thread(has_begun.wait, 5)
    others = [asyncio.create_task(database.transact(work)) for work in works]
    await asyncio.sleep(0)
    may_end.set()
    _, *outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    return outcomes


def insert(name: str) -> Callable[[sqlite3.Connection], int]:
    return lambda c: c.execute("INSERT INTO settled VALUES (?, '')", (name,)).rowcount


async def test_transactions_that_wait_at_the_same_time_share_one_commit(
    database: Database,
) -> None:
    statements: list[str] = []
    await database.transact(lambda c: c.set_trace_callback(statements.append))
    assert (
        await while_the_thread_is_busy(database, insert("a"), insert("b"), insert("c")) == [1] * 3
    )
    assert statements.count("COMMIT") == 1 + 1 + 1  # that of the tracing, the first, and the three


async def test_a_transaction_that_fails_leaves_no_trace_in_the_commit_of_others(
    database: Database,
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        insert("broken")(connection)
        raise KeyError("ours")

    a, broken, b = await while_the_thread_is_busy(database, insert("a"), fail, insert("b"))
    assert (a, type(broken), b) == (1, KeyError, 1)
    rows = await database.transact(lambda c: c.execute("SELECT name FROM settled").fetchall())
    assert [row["name"] for row in rows] == ["a", "b"]


async def test_a_lock_is_waited_for_once_however_many_wait(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        asked = (database.transact(insert(str(n))) for n in range(20))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - begun < 0.4
    assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_a_mistake_of_ours_is_no_passing_trouble(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await database.transact(lambda c: c.execute("SELECT * FROM nowhere"))


async def test_one_process_serves_a_database(database: Database, path: Path) -> None:
    database.lock()
    other = await open_database(path)
    with pytest.raises(Unusable, match="another codex-review"):
        other.lock()
    await other.close()


async def test_cleaning_leaves_no_coverage_behind_however_small_the_batch(
    database: Database,
) -> None:
    clock = FakeClock()
    store = Store(database, clock)
    for n in range(5):
        await store.keep(target(n), receipt(f"r{n}"), [f"hunk {i}" for i in range(7)])
        clock.at += DAY
    await store.keep(target(0), receipt("newer"), ["hunk 7"])
    assert await database.clean(clock.at - DAY, batch=2) == 4 + 3 * 7
    assert len((await store.recall(target(0), RunId("x"))).covered) == 8
    left = await database.transact(
        lambda c: c.execute("SELECT DISTINCT number FROM coverage ORDER BY number").fetchall()
    )
    assert [row["number"] for row in left] == [0, 4]


async def test_whoever_no_longer_waits_for_a_failure_is_not_told_of_it(
    database: Database,
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        may_end.wait(5)
        raise KeyError("nobody hears this")

    may_end, told = threading.Event(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    waiting = asyncio.create_task(database.transact(fail))
    await asyncio.sleep(0.05)
    waiting.cancel()
    may_end.set()
    await asyncio.wait({waiting})
    await database.transact(lambda c: c.execute("SELECT 1"))
    del waiting
    gc.collect()
    assert told == []


async def test_cleaning_removes_what_is_old_in_batches_and_keeps_the_rest(
    database: Database,
) -> None:
    clock = FakeClock()
    store = Store(database, clock)
    answer = Answer(text="{}", model="m", usage=Usage())
    for n in range(7):
        await store.put(f"old {n}", answer)
    await store.keep(target(1), receipt("r1", "f1"), ["hunk"])
    await store.keep(target(2), receipt("r2", "f2"), ["hunk"])
    check = KnownCheck(run_id=RunId("r1"), target=target(1), head_sha="sha", name="x")
    await StoredCheckRuns(database, clock).keep_check(check)
    clock.at += 10 * DAY
    await store.put("new", answer)
    await store.keep(target(2), receipt("r3", "f3"))
    removed = await database.clean(clock.at - DAY, batch=3)
    # 7 answers, 1 check run, 2 receipts; coverage of the pull request without receipt
    assert removed == 11
    assert await store.get("old 1") is None
    assert await store.get("new") == answer
    assert await store.recall(target(1), RunId("x")) == await store.recall(target(9), RunId("x"))
    assert [f.fingerprint for f in (await store.recall(target(2), RunId("x"))).open] == ["f3"]
    assert await database.clean(clock.at - DAY) == 0


async def test_a_pause_is_forgotten_when_nobody_has_asked_for_it_for_long(
    database: Database,
) -> None:
    clock = FakeClock()
    store = Store(database, clock)
    for number in (1, 2):
        await store.pause(target(number), True)
    clock.at += DAY
    assert await store.is_paused(target(1))
    assert await database.clean(clock.at) == 1
    assert [await store.is_paused(target(number)) for number in (1, 2)] == [True, False]


async def test_what_a_month_has_cost_is_forgotten_when_the_month_is_over(
    database: Database,
) -> None:
    clock = FakeClock()
    ledger = StoredLedger(database, clock)
    await ledger.book(["month/2026-01", "run/1"], Usage(calls=1), 2.0)
    assert await database.clean(clock.at + 30 * DAY) == 1
    assert (await ledger.spent(["month/2026-01"]))["month/2026-01"].usd == 2.0
    assert await database.clean(clock.at + 32 * DAY) == 1


async def test_a_second_server_touches_nothing_of_a_database_that_is_served(
    path: Path, database: Database
) -> None:
    database.lock()
    with pytest.raises(Unusable, match="another codex-review"):
        await open_database(path, alone=True, migrations=LATER)
    assert await database.transact(lambda c: c.execute("PRAGMA user_version").fetchone()[0]) == len(
        MIGRATIONS
    )
