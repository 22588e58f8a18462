"""What we remember between runs: answers, outputs, receipts, coverage, budgets, values.

Knows which rows hold them; knows nothing of what they mean. Everything here may be asked twice.
"""

import sqlite3
from collections.abc import Collection, Iterator

import msgspec

from app.ports import Clock
from app.review.answer import Answer, Usage
from app.review.feedback import Feedback
from app.review.findings import Finding
from app.review.history import History
from app.review.pull import RunId, Sha, Target
from app.review.receipt import Receipt, decode_receipt, findings_of, is_verdict
from app.store.database import Database
from app.store.dismissals import dismissed_on
from app.store.feedback import fixed_on, note, unwanted_in

MAX_VERDICTS = 20
"""The latest of a pull request, in which fixed findings are looked for."""

_OTHER_CODEX = "other_codex/"


class Store:
    """The ports Answers, Outputs, Memory, Told and Pauses, and values that are kept by name."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, key: str) -> Answer | None:
        """Return the answer kept for a question, with the usage that it once cost."""
        row = await self._database.first("SELECT * FROM answers WHERE question = ?", (key,))
        if row is None:
            return None
        usage = msgspec.json.decode(row["usage"], type=Usage)
        return Answer(text=row["text"], model=row["model"], usage=usage)

    async def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; a question that is asked anew replaces its answer."""
        await self._database.run(
            """
            INSERT INTO answers (question, text, model, usage, created_at)
            VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (question) DO UPDATE SET
                text = excluded.text, model = excluded.model,
                usage = excluded.usage, created_at = excluded.created_at""",
            (key, answer.text, answer.model, _json(answer.usage), self._clock.now()),
        )

    async def output(self, key: str) -> bytes | None:
        """Return what a program printed when it was given the same."""
        row = await self._database.first("SELECT stdout FROM outputs WHERE input = ?", (key,))
        return bytes(row["stdout"]) if row else None

    async def keep_output(self, key: str, stdout: bytes) -> None:
        """Keep what a program printed; the first output of an input stays."""
        await self._database.run(
            "INSERT INTO outputs VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (key, stdout, self._clock.now()),
        )

    async def recall(self, target: Target, run_id: RunId) -> History:
        """Tell what runs other than this one left open and covered on a pull request.

        A run that is taken up again after it published must come to the same review.
        """

        def read(connection: sqlite3.Connection) -> History:
            verdict = next(_verdicts(connection, target, but=run_id), None)
            covered = connection.execute(
                """
                SELECT covered FROM coverage
                WHERE repository_id = ? AND number = ? AND run_id <> ?""",
                (target.repository_id, target.number, run_id),
            )
            told = findings_of(verdict) if verdict else ()
            return History(
                open=told,
                fixed=_told_of(
                    _verdicts(connection, target, but=run_id),
                    fixed_on(connection, target) - {f.fingerprint for f in told},
                ),
                covered=frozenset(row["covered"] for row in covered),
                dismissed=dismissed_on(connection, target),
                head_sha=Sha(verdict.head_sha) if verdict and verdict.head_sha else None,
                base_sha=Sha(verdict.base_sha) if verdict and verdict.base_sha else None,
                unwanted=unwanted_in(connection, target.repository_id),
            )

        return await self._database.transact(read)

    async def keep(
        self,
        target: Target,
        receipt: Receipt,
        covered: Collection[str] = (),
        became: Collection[Feedback] = (),
    ) -> None:
        """Keep a run's verdict, what it covered and what became of findings.

        The last verdict of a run counts, and the first word of what somebody did.
        """
        now = self._clock.now()
        pull = (target.repository_id, target.number)
        keys = (receipt.run_id, *pull, receipt.head_sha)
        text = _json(receipt)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                """
                INSERT INTO receipts
                    (run_id, repository_id, number, head_sha, state, receipt, is_verdict,
                    created_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (run_id) DO UPDATE SET
                    head_sha = excluded.head_sha, state = excluded.state,
                    receipt = excluded.receipt, is_verdict = excluded.is_verdict""",
                (*keys, receipt.state.value, text, is_verdict(receipt), now),
            )
            connection.executemany(
                """
                INSERT INTO coverage (repository_id, number, covered, run_id)
                VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING""",
                [(*pull, key, receipt.run_id) for key in covered],
            )
            note(connection, target, became, now)

        await self._database.transact(write)

    async def receipt(self, run_id: RunId) -> Receipt | None:
        row = await self._database.first("SELECT receipt FROM receipts WHERE run_id = ?", (run_id,))
        return msgspec.json.decode(row["receipt"], type=Receipt) if row else None

    async def last_verdict(self, target: Target) -> Receipt | None:
        return await self._database.transact(lambda c: next(_verdicts(c, target), None))

    async def is_paused(self, target: Target) -> bool:
        """Say whether nobody wants automatic reviews of a pull request.

        A pause is kept as long as somebody asks for it now and then.
        """
        row = await self._database.first(
            """
            UPDATE pauses SET seen_at = ? WHERE repository_id = ? AND number = ?
            RETURNING seen_at""",
            (self._clock.now(), target.repository_id, target.number),
        )
        return row is not None

    async def pause(self, target: Target, is_paused: bool) -> None:
        """Remember whether automatic reviews of a pull request are wanted."""
        pull = (target.repository_id, target.number)
        if is_paused:
            await self._database.run(
                "INSERT INTO pauses VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (*pull, self._clock.now()),
            )
        else:
            await self._database.run(
                "DELETE FROM pauses WHERE repository_id = ? AND number = ?", pull
            )

    async def note_other_codex(self, target: Target, at: float) -> None:
        await self.keep_value(
            f"{_OTHER_CODEX}{target.repository_id}", f"{at:.0f} {target.full_name}"
        )

    async def other_codex(self) -> tuple[tuple[str, float], ...]:
        """Return the repositories where OpenAI's own bot wrote, and when it did last."""
        rows = await self._database.run(
            "SELECT text FROM settled WHERE name LIKE ? ORDER BY name", (f"{_OTHER_CODEX}%",)
        )
        told = (str(row["text"]).partition(" ") for row in rows)
        return tuple((full_name, float(at)) for at, _, full_name in told)

    async def settle_budget(self, run_id: RunId, tokens: int) -> int:
        [row] = await self._database.run(
            """
            INSERT INTO budgets (run_id, tokens, created_at) VALUES (?, ?, ?)
            ON CONFLICT (run_id) DO UPDATE SET tokens = budgets.tokens RETURNING tokens""",
            (run_id, tokens, self._clock.now()),
        )
        return int(row["tokens"])

    async def kept_value(self, name: str) -> str | None:
        """Return the text kept under a name, if there is one."""
        row = await self._database.first("SELECT text FROM settled WHERE name = ?", (name,))
        return str(row["text"]) if row else None

    async def keep_value(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of an earlier one."""
        await self._database.run(
            """
            INSERT INTO settled (name, text) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET text = excluded.text""",
            (name, text),
        )

    async def value(self, name: str, text: str) -> str:
        """Return the text kept under a name; the first that is given is kept, for good."""
        [row] = await self._database.run(
            """
            INSERT INTO settled (name, text) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET text = settled.text RETURNING text""",
            (name, text),
        )
        return str(row["text"])


def _verdicts(
    connection: sqlite3.Connection, target: Target, *, but: str = ""
) -> Iterator[Receipt]:
    """Read the latest verdicts on a pull request, but for one run's; the newest first."""
    rows = connection.execute(
        """
        SELECT receipt FROM receipts
        WHERE repository_id = ? AND number = ? AND run_id <> ? AND is_verdict = 1
        ORDER BY created_at DESC LIMIT ?""",
        (target.repository_id, target.number, but, MAX_VERDICTS),
    )
    return (decode_receipt(row["receipt"]) for row in rows)


def _told_of(verdicts: Iterator[Receipt], wanted: Collection[str]) -> tuple[Finding, ...]:
    """Find in verdicts, the newest first, what they told last of these findings."""
    if not wanted:
        return ()
    found: dict[str, Finding] = {}
    for verdict in verdicts:
        for finding in findings_of(verdict):
            if finding.fingerprint in wanted:
                found.setdefault(finding.fingerprint, finding)
    return tuple(found.values())


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
