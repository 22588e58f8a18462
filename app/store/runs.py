"""Reads the reviews that we remember, for people: rows of jobs, and what their runs left behind."""

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from app.ports import KnownRun, RunFilter
from app.review.pull import RunId, Target
from app.review.receipt import Receipt
from app.store.database import Database

_LAST = 2**62
_STATE = """
    CASE WHEN j.state IN ('queued', 'running') THEN j.state ELSE COALESCE(r.state, j.state) END"""
_RUNS = f"""
    SELECT j.id, j.run_id, j.work, {_STATE} AS state, j.reason, j.created_at, j.started_at,
        b.created_at AS planned_at, s.booked_at AS answered_at, r.created_at AS concluded_at,
        j.ended_at, r.receipt
    FROM jobs AS j
    LEFT JOIN receipts AS r ON r.run_id = j.run_id
    LEFT JOIN budgets AS b ON b.run_id = j.run_id
    LEFT JOIN spending AS s ON s.account = 'run/' || j.run_id
    WHERE j.lane = 'review' AND """  # noqa: S608 - nothing from outside
_LISTED = f"""{_RUNS} j.id < :before
    AND (:state = '' OR {_STATE} = :state)
    AND (:repository = '' OR j.repository LIKE '%' || :repository || '%')
    AND (:pull = '' OR CAST(j.number AS TEXT) = :pull)
    AND (:asked = '' OR (j.work LIKE '%"is_automatic":true%') = (:asked = 'automatic'))
    ORDER BY j.id DESC LIMIT :limit"""
_ONE = f"{_RUNS} j.run_id = :run_id ORDER BY j.id DESC LIMIT 1"

# What follows from a delivery carries its id, too, and is stored later.
_LAST_DELIVERY = """
    SELECT min(created_at) AS at FROM jobs WHERE delivery_id = (
        SELECT delivery_id FROM jobs WHERE delivery_id IS NOT NULL ORDER BY id DESC LIMIT 1)"""


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a review's work says of where it came from."""

    target: Target
    is_automatic: bool = False


class StoredRuns:
    """The port Runs over an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(self, wanted: RunFilter, limit: int) -> Sequence[KnownRun]:
        return await self._read(
            _LISTED,
            {
                "before": wanted.before or _LAST,
                "state": wanted.state,
                "repository": wanted.repository.strip().lower(),
                "pull": wanted.pull.strip().lstrip("#"),
                "asked": wanted.asked,
                "limit": limit,
            },
        )

    async def one(self, run_id: RunId) -> KnownRun | None:
        found = await self._read(_ONE, {"run_id": run_id})
        return found[0] if found else None

    async def last_delivery(self) -> float | None:
        [row] = await self._database.run(_LAST_DELIVERY)
        at: float | None = row["at"]
        return at

    async def _read(self, statement: str, values: Mapping[str, object]) -> Sequence[KnownRun]:
        return tuple(_run(row) for row in await self._database.run(statement, values))


def _run(row: sqlite3.Row) -> KnownRun:
    asked = msgspec.json.decode(row["work"], type=_Asked)
    told = row["receipt"]
    known = {
        "target": asked.target,
        "is_automatic": asked.is_automatic,
        "receipt": msgspec.json.decode(told, type=Receipt) if told else None,
    }
    return msgspec.convert(dict(row) | known, KnownRun)
