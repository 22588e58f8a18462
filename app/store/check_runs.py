"""Which check runs we began and how they ended. Knows rows, not GitHub."""

import sqlite3
from collections.abc import Sequence

import msgspec

from app.ports import Clock, KnownCheck
from app.review.pull import RunId, Target
from app.store.database import Database


class StoredCheckRuns:
    """The ports CheckRuns, KnownChecks and UnfinishedChecks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def check_runs(self, run_id: RunId) -> Sequence[KnownCheck]:
        return await self._read("run_id = ?", (run_id,))

    async def checks_on(self, head_sha: str) -> Sequence[KnownCheck]:
        return await self._read("head_sha = ?", (head_sha,))

    async def keep_check(self, check: KnownCheck) -> None:
        target = msgspec.json.encode(check.target).decode()
        key = (check.run_id, check.head_sha)
        await self._database.run(
            """
            INSERT INTO check_runs
                (run_id, head_sha, target, name, check_run_id, conclusion, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (run_id, head_sha) DO UPDATE SET
                target = excluded.target, name = excluded.name,
                check_run_id = excluded.check_run_id, conclusion = excluded.conclusion""",
            (*key, target, check.name, check.id, check.conclusion, self._clock.now()),
        )

    async def forget_check(self, check: KnownCheck) -> None:
        await self._database.run(
            "DELETE FROM check_runs WHERE run_id = ? AND head_sha = ?",
            (check.run_id, check.head_sha),
        )

    async def unfinished_checks(self, *, since: float, before: float) -> Sequence[KnownCheck]:
        return await self._read(
            "conclusion IS NULL AND created_at >= ? AND created_at < ?", (since, before)
        )

    async def _read(self, which: str, values: tuple[object, ...]) -> Sequence[KnownCheck]:
        rows = await self._database.run(
            f"SELECT * FROM check_runs WHERE {which} ORDER BY created_at, head_sha",  # noqa: S608 - texts of ours
            values,
        )
        return tuple(_check(row) for row in rows)


def _check(row: sqlite3.Row) -> KnownCheck:
    target = msgspec.json.decode(row["target"], type=Target)
    return msgspec.convert(dict(row) | {"target": target, "id": row["check_run_id"]}, KnownCheck)
