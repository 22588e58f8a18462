"""Which findings somebody dismissed on a pull request, by fingerprint. Knows not who may."""

import sqlite3
from collections.abc import Sequence

import msgspec

from app.ports import Clock
from app.review.feedback import What, feedback
from app.review.findings import Finding
from app.review.pull import Target
from app.review.receipt import ReceiptFinding, finding_of
from app.store.database import Database
from app.store.feedback import note


class StoredDismissals:
    """The port Dismissals over an open database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def dismiss(self, target: Target, finding: ReceiptFinding, who: str) -> None:
        now = self._clock.now()
        became = feedback(finding_of(finding), What.DISMISSED, who)
        row = (
            target.repository_id,
            target.number,
            finding.fingerprint,
            msgspec.json.encode(finding).decode(),
            now,
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                """
                INSERT INTO dismissals (repository_id, number, fingerprint, finding, created_at)
                VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
                row,
            )
            note(connection, target, (became,), now)

        await self._database.transact(write)

    async def dismissed(self, target: Target) -> Sequence[Finding]:
        return await self._database.transact(lambda connection: dismissed_on(connection, target))


def dismissed_on(connection: sqlite3.Connection, target: Target) -> tuple[Finding, ...]:
    """Read the findings that were dismissed on a pull request, in that order."""
    rows = connection.execute(
        """
        SELECT finding FROM dismissals WHERE repository_id = ? AND number = ?
        ORDER BY created_at""",
        (target.repository_id, target.number),
    )
    return tuple(
        finding_of(msgspec.json.decode(row["finding"], type=ReceiptFinding)) for row in rows
    )
