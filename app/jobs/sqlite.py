"""The embedded queue: jobs in SQLite, one server process, leases by attempt.

Knows how jobs are stored, handed out fairly and taken back; knows nothing of what they do. Every
method is one transaction.
"""

import asyncio
import math
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from app import log
from app.jobs.job import (
    CRASHES_UNTIL_POISON,
    ENDED,
    Job,
    JobId,
    JobState,
    Lane,
    LeaseLost,
    NewJob,
    Review,
    decode_work,
    encode_work,
    ending_after_crash,
)
from app.ports import Clock
from app.review.pull import RunId, Target
from app.store.database import Database

_BUSY = """
    WITH busy AS (
        SELECT installation_id, count(*) AS running FROM jobs
        WHERE state = 'running' AND lane = :lane GROUP BY installation_id
    )"""
_HAS_ROOM = """
    coalesce(busy.running, 0) < :per_installation
    AND (SELECT coalesce(sum(running), 0) FROM busy) < :in_all"""
# A pull request has one running review, so that two never publish side by side, and its commands
# are obeyed in their order, so that one which is tried again undoes nothing that was said later.
# What was running when its process died, and more than once, runs alone: then it is known who did
# it.
_MAY_RUN = """
    waiting.state = 'queued' AND waiting.lane = :lane AND waiting.not_before <= :now
    AND (:lane <> 'review' OR NOT EXISTS (
        SELECT 1 FROM jobs AS other
        WHERE other.state = 'running' AND other.lane = 'review'
            AND other.repository_id = waiting.repository_id
            AND other.number = waiting.number))
    AND (:lane <> 'respond' OR NOT EXISTS (
        SELECT 1 FROM jobs AS earlier
        WHERE earlier.state IN ('queued', 'running') AND earlier.lane = 'respond'
            AND earlier.repository_id = waiting.repository_id
            AND earlier.number = waiting.number AND earlier.id < waiting.id))
    AND (waiting.crashes < :suspect OR waiting.ending IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM jobs WHERE state = 'running' AND lane = :lane AND ending IS NULL))
    AND NOT EXISTS (
        SELECT 1 FROM jobs
        WHERE state = 'running' AND lane = :lane AND crashes >= :suspect AND ending IS NULL)"""
# The first of each installation, and of those the one whose installation has the fewest running:
# a busy one cannot keep the others waiting.
_NEXT_JOB = f"""{_BUSY}
    SELECT (
        SELECT waiting.id FROM jobs AS waiting
        WHERE waiting.installation_id = installation.id AND {_MAY_RUN}
        ORDER BY waiting.id LIMIT 1) AS next
    FROM (
        SELECT DISTINCT installation_id AS id FROM jobs
        WHERE state = 'queued' AND lane = :lane) AS installation
    LEFT JOIN busy ON busy.installation_id = installation.id
    WHERE {_HAS_ROOM}
    ORDER BY next IS NULL, coalesce(busy.running, 0), next LIMIT 1"""  # noqa: S608 - ours
_IS_CLAIMABLE = f"""{_BUSY}
    SELECT 1 FROM jobs AS waiting LEFT JOIN busy USING (installation_id)
    WHERE waiting.id = :id AND {_HAS_ROOM} AND {_MAY_RUN}"""  # noqa: S608 - ours


LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many jobs of a lane may run at once; those of an installation where there are others."""

    in_all: int
    per_installation: int


class SqliteJobs:
    """The port Jobs over an open database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limits: Mapping[Lane, Limit],
        *,
        lease_s: float = 15.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._lease_s = lease_s
        self._owner = uuid.uuid4().hex
        self._news: defaultdict[Lane, _Bell] = defaultdict(_Bell)
        self._stops = _Bell()
        self._installations: set[int] = set()

    async def take_over(self) -> int:
        """Become this database's one server; free at once what a dead one before us had claimed.

        Returns the number of jobs freed. Raises Unusable while another server lives.
        """
        self._database.lock()
        now = self._clock.now()

        def free(connection: sqlite3.Connection) -> int:
            left = connection.execute(
                "SELECT * FROM jobs WHERE state = 'running' AND owner <> ?", (self._owner,)
            ).fetchall()
            known = connection.execute("SELECT DISTINCT installation_id FROM jobs")
            self._installations |= {row["installation_id"] for row in known}
            return _take_back(connection, left, now)

        return await self._database.transact(free)

    async def submit(self, delivery_id: str | None, new: Sequence[NewJob]) -> tuple[JobId, ...]:
        if not new:
            return ()
        now = self._clock.now()
        self._installations |= {one.work.target.installation_id for one in new}

        def store(connection: sqlite3.Connection) -> tuple[tuple[JobId, ...], set[Lane]]:
            if delivery_id is not None and _is_seen(connection, delivery_id):
                return (), set()
            stored = _store(connection, new, delivery_id, now)
            return stored, self._with_work(connection, stored, lanes, now)

        lanes = {one.lane for one in new}
        stored, with_work = await self._database.transact(store)
        self._ring_for(new, with_work)
        return stored

    async def cancel(self, target: Target, asked_before: float = 0.0) -> int:
        now = self._clock.now()
        before = asked_before or math.inf
        stopped = await self._database.transact(
            lambda c: _stop_reviews(c, target, JobState.CANCELLED, now, before=before)
        )
        self._news[Lane.REVIEW].ring()
        self._stops.ring()
        return stopped

    async def stop(self, run_id: RunId) -> None:
        now = self._clock.now()
        await self._database.run(
            """
            UPDATE jobs SET ending = 'cancelled', not_before = ?
            WHERE state IN ('queued', 'running') AND lane = 'review' AND ending IS NULL
                AND run_id = ?""",
            (now, run_id),
        )
        self._news[Lane.REVIEW].ring()
        self._stops.ring()

    async def status(self, id: JobId | RunId) -> Job | None:
        column = "id" if isinstance(id, int) else "run_id"
        row = await self._database.first(
            f"SELECT * FROM jobs WHERE {column} = ? ORDER BY id DESC LIMIT 1",  # noqa: S608 - one of two names
            (id,),
        )
        return _job(row) if row else None

    async def reviews(self, target: Target) -> Sequence[Job]:
        rows = await self._database.run(
            """
            SELECT * FROM jobs
            WHERE state IN ('queued', 'running') AND lane = 'review' AND ending IS NULL
                AND repository_id = ? AND number = ?
            ORDER BY id""",
            (target.repository_id, target.number),
        )
        return tuple(_job(row) for row in rows)

    async def listed(
        self, repositories: Collection[str] | None, *, before: JobId | None, limit: int
    ) -> Sequence[Job]:
        among = ""
        if repositories is not None:
            among = f"AND repository IN ({', '.join('?' * len(repositories))})"
        rows = await self._database.run(
            f"SELECT * FROM jobs WHERE lane = 'review' AND id < ? {among}"  # noqa: S608 - only marks
            " ORDER BY id DESC LIMIT ?",
            (before or LAST_ID, *(repositories or ()), limit),
        )
        return tuple(_job(row) for row in rows)

    async def n_reviewed(self, target: Target, since: float) -> int:
        [row] = await self._database.run(
            """
            SELECT count(*) AS n FROM jobs
            WHERE lane = 'review' AND state IN ('queued', 'running', 'done')
                AND installation_id = ? AND started_at >= ?""",
            (target.installation_id, since),
        )
        return int(row["n"])

    async def counts(self) -> Mapping[tuple[Lane, JobState], int]:
        rows = await self._database.run(
            "SELECT lane, state, count(*) AS jobs FROM jobs GROUP BY lane, state"
        )
        return {(Lane(row["lane"]), JobState(row["state"])): row["jobs"] for row in rows}

    async def waiting_since(self) -> Mapping[Lane, float]:
        rows = await self._database.run(
            """
            SELECT lane, min(created_at) AS since FROM jobs
            WHERE state = 'queued' AND not_before <= ? GROUP BY lane""",
            (self._clock.now(),),
        )
        return {Lane(row["lane"]): row["since"] for row in rows}

    async def claim(self, lane: Lane) -> Job | None:
        now = self._clock.now()
        wanted = self._wanted(lane, now)

        def take(connection: sqlite3.Connection) -> Job | None:
            expired = connection.execute(
                "SELECT * FROM jobs WHERE state = 'running' AND lease_until < ?", (now,)
            ).fetchall()
            _take_back(connection, expired, now)
            while (found := connection.execute(_NEXT_JOB, wanted).fetchone()) and found["next"]:
                row = connection.execute(
                    """
                    UPDATE jobs SET state = 'running', attempt = attempt + 1, owner = ?,
                        lease_until = ?, started_at = coalesce(started_at, ?)
                    WHERE id = ? RETURNING *""",
                    (self._owner, now + self._lease_s, now, found["next"]),
                ).fetchone()
                try:
                    return _job(row)
                except msgspec.DecodeError as exc:
                    log.error("job.unreadable", job=row["id"], exc=exc)
                    _end(connection, row["id"], JobState.FAILED, "this release cannot read it", now)
            return None

        return await self._database.transact(take)

    async def renew(self, job: Job) -> JobState | None:
        until = self._clock.now() + self._lease_s

        def extend(connection: sqlite3.Connection) -> JobState | None:
            _check_lease(connection, job)
            row = connection.execute(
                "UPDATE jobs SET lease_until = ? WHERE id = ? RETURNING ending", (until, job.id)
            ).fetchone()
            return row["ending"] and JobState(row["ending"])

        return await self._database.transact(extend)

    async def finish(self, job: Job, state: JobState, following: Sequence[NewJob] = ()) -> None:
        if state not in ENDED:
            raise ValueError(f"a job does not end as {state.value}")
        now = self._clock.now()

        def end(connection: sqlite3.Connection) -> None:
            _check_lease(connection, job)
            _end(connection, job.id, state, job.reason, now)
            _store(connection, following, job.delivery_id, now)

        await self._database.transact(end)
        self._news[job.lane].ring()
        self._ring_for(following, {one.lane for one in following})

    async def retry(
        self, job: Job, not_before: float, reason: str, ending: JobState | None = None
    ) -> None:
        # Reporting a failure has tries of its own.
        retries = 0 if ending and not job.ending else job.retries + 1
        await self._put_back(
            replace(job, retries=retries, reason=reason, ending=job.ending or ending), not_before
        )

    async def hand_back(self, job: Job) -> None:
        await self._put_back(job, self._clock.now())

    def news(self, lane: Lane) -> asyncio.Event:
        return self._news[lane].next

    def stops(self) -> asyncio.Event:
        return self._stops.next

    async def _put_back(self, job: Job, not_before: float) -> None:
        def put_back(connection: sqlite3.Connection) -> None:
            _check_lease(connection, job)
            # Somebody may have stopped it meanwhile.
            connection.execute(
                """
                UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL, not_before = ?,
                    retries = ?, reason = ?, ending = coalesce(ending, ?)
                WHERE id = ?""",
                (not_before, job.retries, job.reason, job.ending, job.id),
            )

        await self._database.transact(put_back)
        self._news[job.lane].ring()

    def _wanted(self, lane: Lane, now: float) -> dict[str, object]:
        limit = self._limits[lane]
        is_shared = len(self._installations) > 1
        return {
            "lane": lane.value,
            "now": now,
            "in_all": limit.in_all,
            "per_installation": limit.per_installation if is_shared else limit.in_all,
            "suspect": CRASHES_UNTIL_POISON - 1,
        }

    def _with_work(
        self, connection: sqlite3.Connection, ids: Sequence[JobId], lanes: set[Lane], now: float
    ) -> set[Lane]:
        """Return the lanes in which one of these jobs need not wait for another one's end.

        Where a job must, that end is news; looking through all that wait would be in vain.
        """
        return {
            lane
            for lane in lanes
            for id in ids
            if connection.execute(_IS_CLAIMABLE, self._wanted(lane, now) | {"id": id}).fetchone()
        }

    def _ring_for(self, new: Sequence[NewJob], lanes: Collection[Lane]) -> None:
        for lane in lanes:
            self._news[lane].ring()
        if any(one.supersedes for one in new):
            self._stops.ring()


class _Bell:
    """Wakes everybody who asked for `next` before it rang."""

    def __init__(self) -> None:
        self.next = asyncio.Event()

    def ring(self) -> None:
        self.next.set()
        self.next = asyncio.Event()


def _is_seen(connection: sqlite3.Connection, delivery_id: str) -> bool:
    found = connection.execute("SELECT 1 FROM jobs WHERE delivery_id = ?", (delivery_id,))
    return found.fetchone() is not None


def _store(
    connection: sqlite3.Connection, new: Sequence[NewJob], delivery_id: str | None, now: float
) -> tuple[JobId, ...]:
    ids = (_store_one(connection, one, delivery_id, now) for one in new)
    return tuple(id for id in ids if id is not None)


def _store_one(
    connection: sqlite3.Connection, new: NewJob, delivery_id: str | None, now: float
) -> JobId | None:
    target = new.work.target
    row = connection.execute(
        """
        INSERT INTO jobs (lane, state, work, run_id, dedupe_key, delivery_id, installation_id,
            repository_id, repository, number, not_before, created_at)
        VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (dedupe_key) DO NOTHING RETURNING id""",
        (
            new.lane.value,
            encode_work(new.work),
            new.run_id,
            new.dedupe_key,
            delivery_id,
            target.installation_id,
            target.repository_id,
            target.full_name.lower(),
            target.number,
            now + new.delay_s,
            now,
        ),
    ).fetchone()
    if row is None:
        return None
    if new.supersedes:
        is_automatic = isinstance(new.work, Review) and new.work.is_automatic
        _stop_reviews(
            connection, target, JobState.SUPERSEDED, now, but=row["id"], automatic=is_automatic
        )
    return JobId(row["id"])


def _stop_reviews(
    connection: sqlite3.Connection,
    target: Target,
    state: JobState,
    now: float,
    *,
    but: int = 0,
    automatic: bool = False,
    before: float = math.inf,
) -> int:
    """Tell reviews to end, so that they clear up and say so. Of those that another one takes the
    place of, what nobody has seen yet ends at once and without a word.

    `automatic`: only those that nobody asked for. `before`: only those asked for until then.
    """
    meant = """lane = 'review' AND ending IS NULL AND repository_id = ? AND number = ? AND id <> ?
        AND json_extract(work, '$.is_automatic') >= ?
        AND coalesce(nullif(json_extract(work, '$.asked_at'), 0), created_at) <= ?"""
    values = (state, now, target.repository_id, target.number, but, automatic, before)
    n_unseen = 0
    if state is JobState.SUPERSEDED:
        n_unseen = connection.execute(
            f"""
            UPDATE jobs SET state = ?, ended_at = ?
            WHERE state = 'queued' AND attempt = 0 AND {meant}""",  # noqa: S608 - ours
            values,
        ).rowcount
    told = connection.execute(
        f"""
        UPDATE jobs SET ending = ?, not_before = ?
        WHERE state IN ('queued', 'running') AND {meant}""",  # noqa: S608 - ours
        values,
    )
    return n_unseen + told.rowcount


def _take_back(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row], now: float) -> int:
    """Queue again what died with its process; poison is reported once, and then no more."""
    for row in rows:
        crashes = row["crashes"] + 1
        reason = row["reason"] if row["ending"] else f"its process died {crashes} times"
        log.error("job.crashed", job=row["id"], run=row["run_id"], crashes=crashes)
        if crashes > CRASHES_UNTIL_POISON:
            _end(connection, row["id"], JobState.FAILED, reason, now)
            continue
        ending = ending_after_crash(crashes, row["ending"] and JobState(row["ending"]))
        connection.execute(
            """
            UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL, crashes = ?,
                not_before = ?, ending = ?, reason = ?
            WHERE id = ?""",
            (crashes, now, ending and ending.value, reason, row["id"]),
        )
    return len(rows)


def _end(connection: sqlite3.Connection, id: int, state: JobState, reason: str, now: float) -> None:
    connection.execute(
        """
        UPDATE jobs SET state = ?, reason = ?, ended_at = ?, owner = NULL, lease_until = NULL
        WHERE id = ?""",
        (state.value, reason, now, id),
    )


def _check_lease(connection: sqlite3.Connection, job: Job) -> None:
    """A claim raises `attempt`, so the attempt says whose the job is."""
    row = connection.execute(
        "SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND attempt = ?",
        (job.id, job.attempt),
    ).fetchone()
    if row is None:
        raise LeaseLost(f"job {job.id} is no longer that of attempt {job.attempt}")


def _job(row: sqlite3.Row) -> Job:
    """Read a job of any release. Raises msgspec.DecodeError when this one cannot."""
    return msgspec.convert(dict(row) | {"work": decode_work(row["work"])}, Job)
