"""What our program's database holds, read from outside while it runs, or after it was killed."""

import contextlib
import re
import sqlite3
from pathlib import Path

NOT_THERE = re.compile("no such table|unable to open")


def rows(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask for rows; none where the database is not there yet or has no such table."""
    # Read only: whoever closes a database last, having opened it to write, tidies up behind a kill.
    uri = f"file:{database}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError as exc:
        if NOT_THERE.search(str(exc)):
            return []
        raise


def has_unfinished_jobs(database: Path) -> bool:
    return rows(database, "SELECT 1 FROM jobs WHERE ended_at IS NULL LIMIT 1") != []
