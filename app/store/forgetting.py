"""Erases all that is kept about a repository. Knows the tables, and jobs as rows of one.

A running job is told to end first, so that it clears up on GitHub and writes nothing afterwards.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from functools import partial

from app.errors import Unavailable, Unusable
from app.ports import Clock
from app.store.database import Database
from app.store.schema import FORGETTING

PATIENCE_S = 60.0
LOOK_S = 0.5


async def forget(database: Database, owner: str, repo: str, clock: Clock) -> Mapping[str, int]:
    """Erase what is kept, and return how many rows of what; also while a server runs.

    Raises Unavailable when a running job does not end in time; then nothing is erased.
    """
    name = f"{owner}/{repo}".lower()
    ids = await database.transact(
        lambda c: {int(row[0]) for row in c.execute(_IDS, {"name": name})}
    )
    try:
        database.lock()  # nobody serves, and nobody begins to
        is_served = False
    except Unusable:
        is_served = True
    erased = Counter[str]()
    for id in sorted(ids):
        erased.update(await _forget_one(database, id, is_served, clock))
    await database.wipe()
    return +erased


async def _forget_one(
    database: Database, id: int, is_served: bool, clock: Clock
) -> Mapping[str, int]:
    until = clock.now() + (PATIENCE_S if is_served else 0.0)
    while True:
        now = clock.now()
        erase = partial(_erase, id, now, is_served, now >= until)
        erased = await database.transact(erase)
        if erased is not None:
            return erased
        if now >= until:
            raise Unavailable(
                "a job of this repository still runs, and nothing was erased: stop the server, "
                "and try again"
            )
        await clock.sleep(LOOK_S)


def _erase(
    id: int, now: float, is_served: bool, is_last: bool, connection: sqlite3.Connection
) -> Mapping[str, int] | None:
    """Erase at once, unless a living server must end something first: then tell it to."""
    if is_served:
        connection.execute(_STOP, {"id": id, "now": now})
        living = "running" if is_last else "%"
        if connection.execute(_LIVING, {"id": id, "state": living}).fetchone():
            return None
    return {
        what: connection.execute(statement, {"id": id}).rowcount
        for what, statement in FORGETTING.items()
    }


_IDS = """
    SELECT repository_id FROM jobs WHERE repository = :name
    UNION SELECT json_extract(target, '$.repository_id') FROM check_runs
    WHERE lower(json_extract(target, '$.owner') || '/' || json_extract(target, '$.repo')) = :name"""
# What was begun has a check run to complete; what nobody has seen yet just goes.
_STOP = """
    UPDATE jobs SET ending = 'cancelled', not_before = :now
    WHERE repository_id = :id AND lane = 'review' AND ending IS NULL
        AND (state = 'running' OR state = 'queued' AND attempt > 0)"""
_LIVING = """
    SELECT 1 FROM jobs WHERE repository_id = :id AND state LIKE :state
        AND (state = 'running' OR state = 'queued' AND ending IS NOT NULL) LIMIT 1"""
