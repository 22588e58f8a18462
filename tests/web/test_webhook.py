"""The door, over HTTP and with the real queue: what is answered, stored and logged."""

import hmac
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from app.intake import Rules
from app.jobs.job import JobState, Lane, Respond
from app.jobs.sqlite import Limit, SqliteJobs
from app.store.database import Database, open_database
from app.web.webhook import MAX_BODY, Door, webhook

pytestmark = pytest.mark.anyio

SECRET = b"a webhook secret"
RULES = Rules(app_id=77, slug=lambda: None, mentions=("@codex",))
LIMITS = {lane: Limit(in_all=100, per_installation=100) for lane in Lane}
COMMENT: dict[str, Any] = {
    "action": "created",
    "issue": {"number": 7, "pull_request": {"url": "https://api.example.test/pulls/7"}},
    "comment": {"id": 42, "body": "@codex review", "user": {"login": "ada", "type": "User"}},
    "repository": {"id": 9, "name": "engine", "owner": {"login": "lovelace"}},
    "sender": {"login": "ada", "type": "User"},
    "installation": {"id": 3},
}


class StandingClock:
    """No time passes here."""

    def now(self) -> float:
        return 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


class Sender:
    """Signs and sends as GitHub does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(
        self,
        body: bytes,
        *,
        event: str = "issue_comment",
        delivery: str = "d-1",
        secret: bytes = SECRET,
        headers: Mapping[str, bytes] | None = None,
    ) -> httpx.Response:
        """Send a delivery; a header given empty is left out."""
        usual = {
            "Content-Type": b"application/json",
            "X-GitHub-Event": event.encode(),
            "X-GitHub-Delivery": delivery.encode(),
            "X-Hub-Signature-256": sign(body, secret),
        }
        made = {name.encode(): value for name, value in {**usual, **(headers or {})}.items()}
        return await self._client.post(
            "/webhook", content=body, headers={name: value for name, value in made.items() if value}
        )


def sign(body: bytes, secret: bytes = SECRET, algorithm: str = "sha256") -> bytes:
    return f"{algorithm}={hmac.new(secret, body, algorithm).hexdigest()}".encode()


def comment(body: str = "@codex review", **changes: Any) -> bytes:
    payload = COMMENT | {"comment": {**COMMENT["comment"], "body": body}} | changes
    return json.dumps(payload).encode()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(tmp_path / "queue.db", busy_s=0.05)
    yield opened
    await opened.close()


@pytest.fixture
def jobs(database: Database) -> SqliteJobs:
    return SqliteJobs(database, StandingClock(), LIMITS)


@pytest.fixture
async def github(jobs: SqliteJobs) -> AsyncIterator[Sender]:
    rules = Rules(app_id=77, slug=lambda: "my-app", mentions=("@codex",))
    door = Door(secrets=(b"the old one", SECRET), rules=rules)
    app = Starlette(routes=[webhook(door, jobs)])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://door.test") as client:
        yield Sender(client)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that are logged during a test."""
    logger, kept = logging.getLogger("codex_review"), _Kept()
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept.lines
    logger.setLevel(level)
    logger.removeHandler(kept)


async def stored(jobs: SqliteJobs) -> list[Respond]:
    works = []
    while job := await jobs.claim(Lane.RESPOND):
        assert isinstance(job.work, Respond)
        works.append(job.work)
        await jobs.finish(job, JobState.DONE)
    return works


def events(logged: list[str]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("time", "level")}
        for line in logged
    ]


async def test_a_signed_command_is_stored_before_it_is_accepted(
    github: Sender, jobs: SqliteJobs, logged: list[str]
) -> None:
    answer = await github.send(comment())
    assert (answer.status_code, answer.json()) == (
        202,
        {"status": "queued", "reason": "1 command"},
    )
    (work,) = await stored(jobs)
    assert work.line == "@codex review"
    assert work.target.full_name == "lovelace/engine"
    assert events(logged) == [
        {
            "event": "delivery.queued",
            "delivery": "d-1",
            "repo": "lovelace/engine",
            "pull": 7,
            "reason": "1 command",
            "jobs": 1,
            "left_out": 0,
        }
    ]


async def test_several_commands_are_several_jobs(github: Sender, jobs: SqliteJobs) -> None:
    answer = await github.send(comment("@codex help\n\n@my-app review\n\n@codex help"))
    assert answer.json() == {"status": "queued", "reason": "2 commands"}
    assert [work.line for work in await stored(jobs)] == ["@codex help", "@my-app review"]


async def test_a_flood_of_commands_is_named(github: Sender, jobs: SqliteJobs) -> None:
    answer = await github.send(comment("\n".join(f"@codex review for {n}" for n in range(12))))
    assert answer.json() == {"status": "queued", "reason": "10 commands, 2 over the limit"}
    assert len(await stored(jobs)) == 10


async def test_a_form_encoded_hook_works_too(github: Sender, jobs: SqliteJobs) -> None:
    form = urlencode({"payload": comment()}).encode()
    answer = await github.send(form, headers={"Content-Type": b"application/x-www-form-urlencoded"})
    assert answer.status_code == 202
    assert len(await stored(jobs)) == 1


async def test_a_delivery_that_comes_again_is_seen_once(github: Sender, jobs: SqliteJobs) -> None:
    await github.send(comment())
    again = await github.send(comment())
    assert (again.status_code, again.json()) == (
        202,
        {"status": "ignored", "reason": "already seen"},
    )
    assert len(await stored(jobs)) == 1


async def test_a_replay_under_another_delivery_id_is_seen_once(
    github: Sender, jobs: SqliteJobs
) -> None:
    await github.send(comment())
    replayed = await github.send(comment(), delivery="d-2")
    assert replayed.json() == {"status": "ignored", "reason": "already seen"}
    assert len(await stored(jobs)) == 1


async def test_deliveries_at_the_same_instant_are_one_job(github: Sender, jobs: SqliteJobs) -> None:
    async def send(delivery: str) -> None:
        assert (await github.send(comment(), delivery=delivery)).status_code == 202

    async with anyio.create_task_group() as group:
        for n in range(10):
            group.start_soon(send, f"d-{n % 3}")
    assert len(await stored(jobs)) == 1


async def test_an_ignored_delivery_is_not_remembered_as_seen(
    github: Sender, jobs: SqliteJobs
) -> None:
    await github.send(comment("no command"))
    answer = await github.send(comment())
    assert answer.json()["status"] == "queued"


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("ping", b'{"zen": "Keep it logically awesome.", "hook_id": 1}', "ping starts nothing"),
        ("push", b'{"ref": "refs/heads/main"}', "push starts nothing"),
        ("issue_comment", comment(action="deleted"), "issue_comment.deleted starts nothing"),
        ("issue_comment", comment("hello"), "no command"),
        ("issue_comment", comment("> @codex review"), "no command"),
        ("issue_comment", comment(issue={"number": 7}), "not on a pull request"),
        (
            "issue_comment",
            comment(installation=None),
            "not sent to an installation of the app",
        ),
        (
            "check_run",
            b'{"action": "completed", "check_run": {"app": {"id": 1}}}',
            "check_run.completed starts nothing",
        ),
    ],
)
async def test_what_starts_nothing_is_accepted_with_its_reason(
    github: Sender, jobs: SqliteJobs, logged: list[str], event: str, body: bytes, reason: str
) -> None:
    answer = await github.send(body, event=event)
    assert (answer.status_code, answer.json()) == (202, {"status": "ignored", "reason": reason})
    assert await stored(jobs) == []
    (line,) = events(logged)
    assert line["event"] == "delivery.ignored"
    assert (line["delivery"], line["reason"]) == ("d-1", reason)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"sha256=" + b"0" * 64,
        sign(comment(), b"another secret"),
        sign(comment() + b" "),
        sign(comment(), algorithm="sha1"),
        b"sha256=\xff\xfe",
    ],
)
async def test_a_wrong_signature_is_401_and_stores_nothing(
    github: Sender, jobs: SqliteJobs, logged: list[str], signature: bytes
) -> None:
    answer = await github.send(comment(), headers={"X-Hub-Signature-256": signature})
    assert answer.status_code == 401
    assert await stored(jobs) == []
    (line,) = events(logged)
    assert (line["event"], line["delivery"], line["status"]) == ("delivery.refused", "d-1", 401)


async def test_the_signature_is_checked_before_anything_else(github: Sender) -> None:
    answer = await github.send(b"not json", secret=b"wrong", event="", delivery="")
    assert answer.status_code == 401


async def test_the_older_of_two_secrets_still_works(github: Sender) -> None:
    assert (await github.send(comment(), secret=b"the old one")).status_code == 202


@pytest.mark.parametrize(
    ("headers", "missing"),
    [
        ({"X-GitHub-Event": b""}, "X-GitHub-Event"),
        ({"X-GitHub-Event": b"   "}, "X-GitHub-Event"),
        ({"X-GitHub-Delivery": b""}, "X-GitHub-Delivery"),
    ],
)
async def test_a_missing_header_is_400_and_named(
    github: Sender, headers: dict[str, bytes], missing: str
) -> None:
    answer = await github.send(comment(), headers=headers)
    assert answer.status_code == 400
    assert missing in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"action": NaN}',
        b'{"action": "\\ud800"}',
        b"[" * 200_000,
        b'{"action":' * 200_000,
        comment(comment={"id": "x"}),
    ],
)
async def test_what_cannot_be_read_is_400(github: Sender, jobs: SqliteJobs, body: bytes) -> None:
    answer = await github.send(body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert await stored(jobs) == []


async def test_control_characters_in_headers_do_not_reach_the_log(
    github: Sender, logged: list[str]
) -> None:
    odd = {"X-GitHub-Event": b"\x1b[2J\xff", "X-GitHub-Delivery": b"d\x1b[31m\x07"}
    answer = await github.send(b'{"action": "\\u001b]0;x\\u0007"}', headers=odd)
    assert answer.status_code == 202
    (line,) = logged
    assert line.isascii()
    assert line.isprintable()


async def test_a_body_at_the_limit_is_read(github: Sender, jobs: SqliteJobs) -> None:
    filler = MAX_BODY - len(comment(filler=""))
    body = comment(filler="x" * filler)
    assert len(body) == MAX_BODY
    assert (await github.send(body)).status_code == 202
    assert len(await stored(jobs)) == 1


async def test_a_body_over_the_limit_is_413(github: Sender, logged: list[str]) -> None:
    answer = await github.send(b" " * (MAX_BODY + 1))
    assert answer.status_code == 413
    assert events(logged)[0]["status"] == 413


async def test_a_body_that_hides_its_length_is_read_no_further_than_the_limit(
    jobs: SqliteJobs,
) -> None:
    door = Door(secrets=(SECRET,), rules=RULES)
    chunk, sent = b"x" * 1024 * 1024, 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += len(chunk)
            yield chunk

    transport = httpx.ASGITransport(app=Starlette(routes=[webhook(door, jobs)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://door.test") as client:
        answer = await client.post("/webhook", content=endless())
    assert answer.status_code == 413
    assert sent <= MAX_BODY + 2 * len(chunk)


async def test_a_claimed_length_over_the_limit_is_413_unread(jobs: SqliteJobs) -> None:
    door = Door(secrets=(SECRET,), rules=RULES)
    transport = httpx.ASGITransport(app=Starlette(routes=[webhook(door, jobs)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://door.test") as client:
        answer = await client.post(
            "/webhook", content=b"x", headers={"Content-Length": str(MAX_BODY + 1)}
        )
    assert answer.status_code == 413


async def test_a_sender_that_hangs_up_is_no_crash(jobs: SqliteJobs, logged: list[str]) -> None:
    door = Door(secrets=(SECRET,), rules=RULES)
    app = Starlette(routes=[webhook(door, jobs)])
    came: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return came.pop(0)

    async def send(message: object) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhook",
        "headers": [],
        "query_string": b"",
    }
    await app(scope, receive, send)
    assert events(logged)[0]["reason"] == "the sender hung up"


async def test_a_locked_database_is_503_soon_and_the_next_try_is_taken(
    github: Sender, jobs: SqliteJobs, tmp_path: Path, logged: list[str]
) -> None:
    other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with anyio.fail_after(5):
        refused = await github.send(comment())
    other.execute("ROLLBACK")
    other.close()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "delivery.not_stored" in {line["event"] for line in events(logged)}

    retried = await github.send(comment())
    assert retried.json()["status"] == "queued"
    assert len(await stored(jobs)) == 1


async def test_a_database_that_became_read_only_is_503_and_is_not_given_up(
    github: Sender, jobs: SqliteJobs, database: Database, logged: list[str]
) -> None:
    connection = await database.transact(lambda c: c)
    connection.execute("PRAGMA query_only = ON")
    refused = await github.send(comment())
    assert refused.status_code == 503
    assert any("readonly" in str(line.get("reason")) for line in events(logged))

    connection.execute("PRAGMA query_only = OFF")
    assert (await github.send(comment())).json()["status"] == "queued"
    assert len(await stored(jobs)) == 1


async def test_only_post_is_answered(jobs: SqliteJobs) -> None:
    door = Door(secrets=(SECRET,), rules=RULES)
    transport = httpx.ASGITransport(app=Starlette(routes=[webhook(door, jobs)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://door.test") as client:
        assert (await client.get("/webhook")).status_code == 405
