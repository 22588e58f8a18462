"""The tables, as migrations, and the statements that keep them bounded.

What we remember is written in SQL that PostgreSQL speaks too; `jobs` belongs to the embedded
queue. A released migration is never edited: a change is one more at the end.
"""

from collections.abc import Sequence

Migration = Sequence[str]

_FIRST: Migration = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        lane TEXT NOT NULL,
        state TEXT NOT NULL,
        work TEXT NOT NULL,
        run_id TEXT NOT NULL,
        dedupe_key TEXT NOT NULL UNIQUE,
        delivery_id TEXT,
        installation_id BIGINT NOT NULL,
        repository_id BIGINT NOT NULL,
        repository TEXT NOT NULL,
        number BIGINT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        retries INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        ending TEXT,
        reason TEXT NOT NULL DEFAULT '',
        not_before DOUBLE PRECISION NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        started_at DOUBLE PRECISION,
        ended_at DOUBLE PRECISION,
        owner TEXT,
        lease_until DOUBLE PRECISION
    )""",
    "CREATE INDEX jobs_by_state ON jobs (state, lane, installation_id)",
    "CREATE INDEX jobs_by_run ON jobs (run_id)",
    "CREATE INDEX jobs_by_delivery ON jobs (delivery_id) WHERE delivery_id IS NOT NULL",
    """
    CREATE INDEX jobs_unfinished ON jobs (repository_id, number)
        WHERE state IN ('queued', 'running')""",
    "CREATE INDEX jobs_by_age ON jobs (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE answers (
        question TEXT PRIMARY KEY,
        text TEXT NOT NULL,
        model TEXT NOT NULL,
        usage TEXT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX answers_by_age ON answers (created_at)",
    """
    CREATE TABLE outputs (
        input TEXT PRIMARY KEY,
        stdout BLOB NOT NULL,
        created_at DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX outputs_by_age ON outputs (created_at)",
    """
    CREATE TABLE check_runs (
        run_id TEXT NOT NULL,
        head_sha TEXT NOT NULL,
        target TEXT NOT NULL,
        name TEXT NOT NULL,
        check_run_id BIGINT,
        conclusion TEXT,
        created_at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (run_id, head_sha)
    )""",
    "CREATE INDEX check_runs_by_age ON check_runs (created_at)",
    "CREATE INDEX check_runs_by_head ON check_runs (head_sha)",
    "CREATE INDEX check_runs_unfinished ON check_runs (created_at) WHERE conclusion IS NULL",
    """
    CREATE TABLE receipts (
        run_id TEXT PRIMARY KEY,
        repository_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        head_sha TEXT,
        state TEXT NOT NULL,
        receipt TEXT NOT NULL,
        is_verdict INTEGER NOT NULL,
        created_at DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX receipts_by_pull ON receipts (repository_id, number)",
    "CREATE INDEX receipts_by_age ON receipts (created_at)",
    """
    CREATE TABLE coverage (
        repository_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        covered TEXT NOT NULL,
        run_id TEXT NOT NULL,
        PRIMARY KEY (repository_id, number, covered)
    )""",
    """
    CREATE TABLE dismissals (
        repository_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        fingerprint TEXT NOT NULL,
        finding TEXT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (repository_id, number, fingerprint)
    )""",
    "CREATE INDEX dismissals_by_age ON dismissals (created_at)",
    """
    CREATE TABLE feedback (
        repository_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        fingerprint TEXT NOT NULL,
        what TEXT NOT NULL,
        who TEXT NOT NULL,
        area TEXT NOT NULL,
        kind TEXT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (repository_id, number, fingerprint, what, who)
    )""",
    "CREATE INDEX feedback_by_age ON feedback (created_at)",
    """
    CREATE TABLE settled (
        name TEXT PRIMARY KEY,
        text TEXT NOT NULL
    )""",
    """
    CREATE TABLE pauses (
        repository_id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        seen_at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (repository_id, number)
    )""",
    """
    CREATE TABLE budgets (
        run_id TEXT PRIMARY KEY,
        tokens INTEGER NOT NULL,
        created_at DOUBLE PRECISION NOT NULL
    )""",
    """
    CREATE TABLE spending (
        account TEXT PRIMARY KEY,
        calls INTEGER NOT NULL,
        input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        estimated INTEGER NOT NULL,
        usd DOUBLE PRECISION NOT NULL,
        unpriced INTEGER NOT NULL,
        booked_at DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX spending_by_age ON spending (booked_at)",
    """
    CREATE TABLE examined (
        id TEXT PRIMARY KEY,
        delivered_at DOUBLE PRECISION NOT NULL
    )""",
    """
    CREATE TABLE caught_up (
        one INTEGER PRIMARY KEY,
        until DOUBLE PRECISION NOT NULL
    )""",
)

MIGRATIONS: Sequence[Migration] = (_FIRST,)


def _oldest(table: str, key: str, at: str) -> str:
    return f"""
    DELETE FROM {table} WHERE ({key}) IN (
        SELECT {key} FROM {table} WHERE {at} < :before ORDER BY {at} LIMIT :batch)"""  # noqa: S608 - ours


# Each removes at most :batch rows older than :before, and they are repeated until none finds any.
# They begin with DELETE: of others (WITH) Python does not tell the number of rows.
# What was spent in a month counts until that is over.
# A pull request keeps its coverage as long as it has a newer receipt; otherwise coverage goes
# first and the receipts that lead to it after that, so that it is never searched as a whole.
CLEANING = (
    _oldest("jobs", "id", "ended_at"),
    _oldest("answers", "question", "created_at"),
    _oldest("outputs", "input", "created_at"),
    _oldest("budgets", "run_id", "created_at"),
    """
    DELETE FROM dismissals WHERE (repository_id, number, fingerprint) IN (
        SELECT repository_id, number, fingerprint FROM dismissals AS d
        WHERE created_at < :before AND NOT EXISTS (
            SELECT 1 FROM receipts AS r
            WHERE r.repository_id = d.repository_id AND r.number = d.number
                AND r.created_at >= :before)
        ORDER BY created_at LIMIT :batch)""",
    _oldest("feedback", "repository_id, number, fingerprint, what, who", "created_at"),
    """
    DELETE FROM spending WHERE account IN (
        SELECT account FROM spending
        WHERE booked_at < :before
            AND (account NOT LIKE 'month/%' OR booked_at < :before - 31 * 86400)
        LIMIT :batch)""",
    _oldest("pauses", "repository_id, number", "seen_at"),
    _oldest("check_runs", "run_id, head_sha", "created_at"),
    """
    DELETE FROM coverage WHERE (repository_id, number, covered) IN (
        SELECT c.repository_id, c.number, c.covered
        FROM (
            SELECT repository_id, number FROM receipts
            WHERE created_at < :before ORDER BY created_at LIMIT :batch) AS old
        JOIN coverage AS c ON c.repository_id = old.repository_id AND c.number = old.number
        WHERE NOT EXISTS (
            SELECT 1 FROM receipts AS r
            WHERE r.repository_id = old.repository_id AND r.number = old.number
                AND r.created_at >= :before)
        LIMIT :batch)""",
    """
    DELETE FROM receipts WHERE run_id IN (
        SELECT run_id FROM (
            SELECT run_id, repository_id, number FROM receipts
            WHERE created_at < :before ORDER BY created_at LIMIT :batch) AS old
        WHERE EXISTS (
            SELECT 1 FROM receipts AS r
            WHERE r.repository_id = old.repository_id AND r.number = old.number
                AND r.created_at >= :before)
        OR NOT EXISTS (
            SELECT 1 FROM coverage AS c
            WHERE c.repository_id = old.repository_id AND c.number = old.number))""",
)

# All that is kept about the repository :id, by what people call it. What finds its rows through
# those of another table goes before that.
FORGETTING = {
    # Whose they are is not known; what is asked of an analyser again costs nothing.
    "analysers' outputs, of all repositories": "DELETE FROM outputs",
    "model answers": "DELETE FROM answers WHERE question GLOB :id || '/*'",
    "budgets": """
        DELETE FROM budgets WHERE run_id IN (
            SELECT run_id FROM jobs WHERE repository_id = :id
            UNION SELECT run_id FROM receipts WHERE repository_id = :id)""",
    "sums of what was spent": """
        DELETE FROM spending WHERE account GLOB 'pull/' || :id || '/*' OR account IN (
            SELECT 'run/' || run_id FROM jobs WHERE repository_id = :id
            UNION SELECT 'run/' || run_id FROM receipts WHERE repository_id = :id)""",
    "check runs": "DELETE FROM check_runs WHERE json_extract(target, '$.repository_id') = :id",
    "pauses": "DELETE FROM pauses WHERE repository_id = :id",
    "notes": "DELETE FROM settled WHERE name || '/' GLOB '*/' || :id || '/*'",
    "covered hunks": "DELETE FROM coverage WHERE repository_id = :id",
    "dismissals": "DELETE FROM dismissals WHERE repository_id = :id",
    "feedback": "DELETE FROM feedback WHERE repository_id = :id",
    "receipts": "DELETE FROM receipts WHERE repository_id = :id",
    "jobs": "DELETE FROM jobs WHERE repository_id = :id",
}
