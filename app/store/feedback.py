"""What became of findings, and who thought what of them: people are told apart, not named."""

import hashlib
import sqlite3
from collections.abc import Collection, Mapping

from app.review.feedback import Dismissal, Feedback, unwanted_kinds
from app.review.focus import Area
from app.review.pull import Target
from app.store.database import Database

MAX_DISMISSALS = 300
"""The latest of a repository, from which kinds are learnt that nobody wants."""


class StoredStatistics:
    """The port Statistics over an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def outcomes(self) -> Mapping[Area, Mapping[str, int]]:
        rows = await self._database.run(
            """
            SELECT area, what, COUNT(*) AS n FROM (
                SELECT DISTINCT area, what, repository_id, number, fingerprint FROM feedback
                UNION ALL
                SELECT area, 'open', repository_id, number, fingerprint FROM feedback AS f
                WHERE what = 'said' AND NOT EXISTS (
                    SELECT 1 FROM feedback AS g
                    WHERE g.repository_id = f.repository_id AND g.number = f.number
                        AND g.fingerprint = f.fingerprint
                        AND g.what IN ('fixed', 'dismissed'))) AS became
            GROUP BY area, what"""
        )
        counts: dict[Area, dict[str, int]] = {}
        for row in rows:
            counts.setdefault(Area(row["area"]), {})[row["what"]] = row["n"]
        return counts


def note(
    connection: sqlite3.Connection, target: Target, became: Collection[Feedback], now: float
) -> None:
    """Keep what became of findings on a pull request; the first word of each person counts."""
    connection.executemany(
        """
        INSERT INTO feedback
            (repository_id, number, fingerprint, what, who, area, kind, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
        [
            (
                target.repository_id,
                target.number,
                one.fingerprint,
                one.what,
                one.who and _pseudonym(target.repository_id, one.who),
                one.area,
                one.kind,
                now,
            )
            for one in became
        ],
    )


def fixed_on(connection: sqlite3.Connection, target: Target) -> frozenset[str]:
    """Name the findings that were fixed on a pull request, once at least."""
    rows = connection.execute(
        """
        SELECT fingerprint FROM feedback
        WHERE repository_id = ? AND number = ? AND what = 'fixed'""",
        (target.repository_id, target.number),
    )
    return frozenset(row["fingerprint"] for row in rows)


def unwanted_in(connection: sqlite3.Connection, repository_id: int) -> tuple[str, ...]:
    """Name the kinds of findings that people of a repository dismissed again and again."""
    rows = connection.execute(
        """
        SELECT kind, who, number FROM feedback
        WHERE repository_id = ? AND what = 'dismissed'
        ORDER BY created_at DESC LIMIT ?""",
        (repository_id, MAX_DISMISSALS),
    )
    return unwanted_kinds(
        Dismissal(kind=row["kind"], who=row["who"], number=row["number"]) for row in rows
    )


def _pseudonym(repository_id: int, login: str) -> str:
    return hashlib.sha256(f"{repository_id}/{login.lower()}".encode()).hexdigest()[:16]
