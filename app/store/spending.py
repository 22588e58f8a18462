"""What model calls have cost, summed up by account. Knows sums; nothing of prices or limits."""

import sqlite3
from collections.abc import Mapping, Sequence

from app.ports import Clock
from app.review.answer import Usage
from app.review.price import Spent
from app.store.database import Database


class StoredLedger:
    """The port Ledger over an open database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def book(self, accounts: Sequence[str], usage: Usage, usd: float | None) -> None:
        now = self._clock.now()
        rows = [
            (
                account,
                usage.calls,
                usage.input_tokens,
                usage.output_tokens,
                usage.is_estimated,
                usd or 0.0,
                usd is None,
                now,
            )
            for account in accounts
        ]

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany(
                """
                INSERT INTO spending (account, calls, input_tokens, output_tokens, estimated, usd,
                    unpriced, booked_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (account) DO UPDATE SET
                    calls = spending.calls + excluded.calls,
                    input_tokens = spending.input_tokens + excluded.input_tokens,
                    output_tokens = spending.output_tokens + excluded.output_tokens,
                    estimated = spending.estimated + excluded.estimated,
                    usd = spending.usd + excluded.usd,
                    unpriced = spending.unpriced + excluded.unpriced,
                    booked_at = excluded.booked_at""",
                rows,
            )

        await self._database.transact(add)

    async def total(self) -> Spent:
        """Return the sum of all that was ever booked, of its prices those that are known."""
        [row] = await self._database.run(
            """
            SELECT coalesce(sum(calls), 0) AS calls, coalesce(sum(usd), 0.0) AS usd,
                coalesce(sum(input_tokens), 0) AS input_tokens,
                coalesce(sum(output_tokens), 0) AS output_tokens,
                coalesce(max(estimated), 0) AS estimated, 0 AS unpriced
            FROM spending WHERE account >= 'month/' AND account < 'month0'"""
        )
        return _spent(row)

    async def spent(self, accounts: Sequence[str]) -> Mapping[str, Spent]:
        marks = ", ".join("?" * len(accounts))
        rows = await self._database.run(
            f"SELECT * FROM spending WHERE account IN ({marks})",  # noqa: S608 - only marks
            accounts,
        )
        found = {row["account"]: _spent(row) for row in rows}
        return {account: found.get(account, Spent()) for account in accounts}


def _spent(row: sqlite3.Row) -> Spent:
    return Spent(
        usage=Usage(
            calls=row["calls"],
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
            is_estimated=bool(row["estimated"]),
        ),
        usd=None if row["unpriced"] else row["usd"],
    )
