"""One SQLite file: opened, migrated, and used from one thread beside the event loop.

Knows transactions, locks, full disks and versions; knows nothing of what the tables mean. A
transaction that returned is on the disk (`synchronous=FULL`). Those that wait at the same time
share one commit.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NoReturn, TypeVar

from app import log
from app.errors import Unavailable, Unusable
from app.store.schema import CLEANING, MIGRATIONS, Migration

T = TypeVar("T")

# Trouble that passes or that an operator mends while we live on: https://sqlite.org/rescode.html
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)


Work = Callable[[sqlite3.Connection], T]
Values = Sequence[object] | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A transaction that somebody waits for."""

    work: Work[Any]
    answer: "asyncio.Future[Any]"


class Database:
    """An open database. Built by `open_database`; `close` it."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, wait_s: float, lock: int | None = None
    ) -> None:
        self._path = path
        self._wait_s = wait_s
        self._lock = lock
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread = Thread(target=_work, args=(connection, self._asked), daemon=True)
        self._thread.start()

    async def transact(self, work: Work[T]) -> T:
        """Run `work` as one transaction, on the database's thread, and commit it.

        Raises Unavailable when the database is locked, full or too slow; after the latter the
        work may still be committed, so callers must be able to ask twice.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._asked.put(_Asked(work, answer))
        # Real time, not a Clock: this bounds a thread that may hang in the kernel.
        patience = loop.call_later(self._wait_s, _give_up, answer, self._wait_s)
        try:
            return await answer
        except sqlite3.OperationalError as exc:
            if _is_passing(exc):
                log.error("database.unavailable", reason=str(exc))
                raise Unavailable(f"the database cannot be used now: {exc}") from exc
            raise
        finally:
            patience.cancel()

    async def run(self, statement: str, values: Values = ()) -> list[sqlite3.Row]:
        """Run one statement as a transaction, and return its rows. Raises as `transact` does."""
        return await self.transact(lambda c: c.execute(statement, values).fetchall())

    async def first(self, statement: str, values: Values = ()) -> sqlite3.Row | None:
        """Run one statement as a transaction, and return its first row, if there is one."""
        rows = await self.run(statement, values)
        return rows[0] if rows else None

    async def clean(self, before: float, *, batch: int = 500) -> int:
        """Remove what is older than `before` (epoch seconds), a batch at a time, others between.

        Returns the number of rows removed.
        """
        total = 0
        while True:
            removed = 0
            for statement in CLEANING:
                removed += await self.transact(partial(_remove, statement, before, batch))
            if not removed:
                return total
            total += removed

    async def size(self) -> int:
        """Return the bytes that are in use; what was removed leaves room in the file."""
        return await self.transact(_bytes_in_use)

    async def wipe(self) -> None:
        """Leave nothing of removed rows in the files, as far as nobody else reads them now."""
        await asyncio.to_thread(_checkpoint, self._path)

    def lock(self) -> None:
        """Become the only server of this database, for as long as it is open.

        Raises Unusable where another process is that already.
        """
        if self._lock is None:
            self._lock = _lock_file(_lock_of(self._path))

    async def close(self) -> None:
        self._asked.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._lock is not None:
            os.close(self._lock)


async def open_database(
    path: Path,
    *,
    alone: bool = False,
    busy_s: float = 1.5,
    wait_s: float = 4.0,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> Database:
    """Open or create the database and bring it up to date.

    `busy_s` bounds the wait for another process's lock, `wait_s` the whole of a transaction with
    its wait for earlier ones. `alone`: locked before it is touched, see `Database.lock`. Raises
    Unusable for a file that is no database, cannot be opened
    or belongs to a newer release, Unavailable while another process locks it.
    """
    lock = _lock_file(_lock_of(path)) if alone else None
    try:
        connection = await asyncio.to_thread(_open, path, busy_s, migrations)
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
    return Database(path, connection, wait_s, lock)


def examine_database(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> bool:
    """Look at a database without changing it; say whether it is there, and of this version.

    Raises Unusable, or Unavailable while it cannot be written to.
    """
    if not path.exists():
        if not os.access(path.absolute().parent, os.W_OK):
            raise Unusable(f"there is none at {path}, and its folder cannot be written to")
        return False
    try:
        with closing(sqlite3.connect(path, timeout=1.5, isolation_level=None)) as connection:
            version = _version(connection)
            if version > len(migrations):
                raise Unusable(_too_new(path, version, migrations))
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as exc:
        _refuse(path, exc)
    return version == len(migrations)


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: object = None
    error: BaseException | None = None


def _work(connection: sqlite3.Connection, asked: "SimpleQueue[_Asked | None]") -> None:
    """Do what is asked until None is; what waits at the same time is one commit."""
    is_last = False
    while not is_last:
        waiting = [asked.get()]
        while not asked.empty():
            waiting.append(asked.get())
        is_last = None in waiting
        batch = [one for one in waiting if one is not None and not one.answer.done()]
        if batch:
            outcomes = _commit_together(connection, [one.work for one in batch])
            batch[0].answer.get_loop().call_soon_threadsafe(_deliver, batch, outcomes)
    connection.close()


def _deliver(batch: Sequence[_Asked], outcomes: Sequence[_Outcome]) -> None:
    for asked, outcome in zip(batch, outcomes, strict=True):
        if asked.answer.done():  # nobody waits any more
            continue
        if outcome.error is not None:
            asked.answer.set_exception(outcome.error)
        else:
            asked.answer.set_result(outcome.value)


def _commit_together(
    connection: sqlite3.Connection, works: Sequence[Work[Any]]
) -> Sequence[_Outcome]:
    """Run several transactions under one commit; where one fails, each has a commit of its own."""
    try:
        with _transaction(connection):
            return [_Outcome(value=work(connection)) for work in works]
    except BaseException as exc:
        if len(works) == 1 or _is_locked(exc):
            return [_Outcome(error=exc)] * len(works)
    return [_commit_together(connection, [work])[0] for work in works]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself, for example when the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _give_up(answer: "asyncio.Future[Any]", waited_s: float) -> None:
    if not answer.done():
        log.error("database.slow", waited_s=waited_s)
        answer.set_exception(Unavailable(f"the database did not answer within {waited_s:g} s"))


def _remove(statement: str, before: float, batch: int, connection: sqlite3.Connection) -> int:
    return connection.execute(statement, {"before": before, "batch": batch}).rowcount


def _checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _bytes_in_use(connection: sqlite3.Connection) -> int:
    pages, free, page = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page


def _is_passing(error: sqlite3.Error) -> bool:
    # The low byte is the primary code: https://sqlite.org/rescode.html#extrc
    return error.sqlite_errorcode & 0xFF in _PASSING


def _is_locked(error: BaseException) -> bool:
    """Say whether nobody else's transaction would have begun either."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _open(path: Path, busy_s: float, migrations: Sequence[Migration]) -> sqlite3.Connection:
    try:
        # It holds code under review and a secret: nobody else's to read. -wal and -shm follow.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path, timeout=busy_s, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.OperationalError) as exc:
        raise Unusable(f"cannot open the database {path}: {exc}") from exc
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        _migrate(connection, path, migrations)
    except BaseException as exc:
        connection.close()
        if isinstance(exc, sqlite3.Error):
            _refuse(path, exc)
        raise
    return connection


def _refuse(path: Path, exc: sqlite3.Error) -> NoReturn:
    if isinstance(exc, sqlite3.OperationalError) and _is_passing(exc):
        raise Unavailable(f"the database {path} cannot be used now: {exc}") from exc
    raise Unusable(f"the database {path} cannot be used: {exc}") from exc


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    if _version(connection) == len(migrations):
        return
    if 0 < _version(connection) < len(migrations):
        _copy(connection, path)
    with _transaction(connection):
        _upgrade(connection, path, migrations)


def _upgrade(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    version = _version(connection)
    if version > len(migrations):
        raise Unusable(_too_new(path, version, migrations))
    for migration in migrations[version:]:
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _too_new(path: Path, version: int, migrations: Sequence[Migration]) -> str:
    return (
        f"the database {path} is of version {version}, written by a newer release; this one "
        f"knows version {len(migrations)}. Install the newer release again, or go back to "
        "the copy that it made before it changed the database"
    )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy an older database beside itself; a copy that an earlier try left is replaced."""
    copy = path.with_name(f"{path.name}.v{_version(connection)}")
    half = copy.with_name(copy.name + ".part")
    half.unlink(missing_ok=True)
    os.close(os.open(half, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection.execute("VACUUM INTO ?", (str(half),))
    half.replace(copy)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _lock_file(path: Path) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise Unusable(f"cannot lock the database: {exc}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise Unusable(
            f"another codex-review serves this database ({path} is locked): stop it first, or "
            "give this one a DATABASE_URL of its own"
        ) from exc
    return lock
