"""Which deliveries led to jobs or were examined, and how far GitHub's list was worked off."""

import sqlite3
from collections.abc import Collection
from itertools import islice

from app.ports import ListedDelivery
from app.store.database import Database

_AT_ONCE = 500
"""Ids in one question: far below the number of parameters that a statement may have."""


class StoredDeliveries:
    """The port SeenDeliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def caught_up_until(self) -> float | None:
        row = await self._database.first("SELECT until FROM caught_up")
        return float(row["until"]) if row else None

    async def unseen(self, ids: Collection[str]) -> frozenset[str]:
        left, seen, rest = frozenset(ids), set[str](), iter(ids)
        while some := tuple(islice(rest, _AT_ONCE)):
            seen |= await self._seen(some)
        return left - seen

    async def note_examined(self, deliveries: Collection[ListedDelivery]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                """
                INSERT INTO examined (id, delivered_at) VALUES (?, ?)
                ON CONFLICT (id) DO UPDATE SET delivered_at = excluded.delivered_at""",
                [(delivery.guid, delivery.delivered_at) for delivery in deliveries],
            )

        await self._database.transact(write)

    async def note_caught_up(self, until: float, *, listed_from: float) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                """
                INSERT INTO caught_up (one, until) VALUES (1, ?)
                ON CONFLICT (one) DO UPDATE SET until = excluded.until""",
                (until,),
            )
            connection.execute("DELETE FROM examined WHERE delivered_at < ?", (listed_from,))

        await self._database.transact(write)

    async def _seen(self, ids: Collection[str]) -> set[str]:
        marks = ", ".join("?" * len(ids))
        rows = await self._database.run(
            f"SELECT delivery_id AS id FROM jobs WHERE delivery_id IN ({marks})"  # noqa: S608 - only marks
            f" UNION SELECT id FROM examined WHERE id IN ({marks})",
            (*ids, *ids),
        )
        return {row["id"] for row in rows}
