"""Broken set-ups: each is named, with the remedy that mends it, and no secret is told."""

import contextlib
import dataclasses
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.demo.deliveries import deliver
from app.demo.events import comment_event
from app.demo.github import create_app
from app.demo.state import AppIdentity, State, new_app
from app.doctor import Diagnosis, Line, Status, diagnose, render_diagnosis
from app.parts import load_manifest
from app.review.pull import InstallationId, Target
from app.sandbox.isolation import Sandbox
from app.store.database import open_database
from app.store.memory import Store

pytestmark = pytest.mark.anyio
HERE = "https://reviews.test"
MODELS = {"data": [{"id": "large"}, {"id": "old", "shutdown_date": "2020-01-01"}]}


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("the webhook's secret")


@dataclass(slots=True, kw_only=True)
class Clinic:
    """A set-up in which everything is well, until a test breaks it."""

    state: State
    environ: dict[str, str]
    model_answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    github: httpx.AsyncBaseTransport | None = None
    ahead_s: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the doctor waits for nothing")

    async def diagnose(self) -> Diagnosis:
        github = self.github or httpx.ASGITransport(create_app(self.state))
        model = httpx.MockTransport(self._answer)
        async with (
            httpx.AsyncClient(transport=github) as one,
            httpx.AsyncClient(transport=model) as other,
        ):
            return await diagnose(self.environ, load_manifest(), one, other, Sandbox(None), self)

    async def line(self, name: str) -> Line:
        """The first line of this name that is not well."""
        return unwell(await self.diagnose(), name)

    async def happens(self) -> None:
        """Something is delivered, or tried to be."""
        pull = next(self.state.pull_requests())
        event = comment_event(self.state, self.state.comment(pull, "riley", "hello"))
        await deliver(self.state, event)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        status, content = self.model_answers.get(request.url.path, (404, {}))
        return httpx.Response(status, json=content)


def unwell(found: Diagnosis, name: str) -> Line:
    lines = found.lines
    return next(one for one in lines if one.name == name and one.status is not Status.OK)


@pytest.fixture
async def clinic(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Clinic:
    app, key = identity
    state = State(tmp_path / "github", app)
    repository = state.create_repository("acme/stats", {"a.py": "1\n"})
    state.open_pull_request(repository, {"a.py": "2\n"})
    state.hook.url = f"{HERE}/webhook"
    state.hook.transport = httpx.MockTransport(lambda _: httpx.Response(202))
    environ = {
        "APP_ID": str(app.id),
        "PRIVATE_KEY": key,
        "WEBHOOK_SECRET": app.webhook_secret,
        "CREDENTIALS_FILE": str(tmp_path / "app.env"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/codex-review.db",
        "OPENAI_BASE_URL": "https://model.test/v1",
        "OPENAI_API_KEY": "the-models-own-key",
        "MODEL": "large",
        "PUBLIC_URL": HERE,
    }
    clinic = Clinic(state=state, environ=environ)
    clinic.model_answers["/v1/models"] = (200, MODELS)
    clinic.model_answers["/v1/balance"] = (200, {"balance": 12.5})
    await clinic.happens()
    return clinic


async def test_a_set_up_that_works_is_well(clinic: Clinic) -> None:
    found = await clinic.diagnose()
    troubles = {line.name for line in found.lines if line.status is not Status.OK}
    assert (found.is_usable, found.is_well) == (True, True)
    assert troubles == {"sandbox"}  # where there is no bubblewrap, as here
    assert len(clinic.state.requests) == 5


async def test_before_set_up_it_says_how_to_begin(clinic: Clinic) -> None:
    for name in ("APP_ID", "PRIVATE_KEY", "WEBHOOK_SECRET"):
        del clinic.environ[name]
    assert "codex-review serve" in (await clinic.line("app")).remedy
    found = await clinic.diagnose()
    assert (found.is_usable, found.is_well) == (True, True)


def other_key(clinic: Clinic) -> None:
    clinic.environ["PRIVATE_KEY"] = new_app("x")[1]


def other_id(clinic: Clinic) -> None:
    clinic.environ["APP_ID"] = "7"


def no_key_file(clinic: Clinic) -> None:
    del clinic.environ["PRIVATE_KEY"]
    clinic.environ["PRIVATE_KEY_PATH"] = "/none/key.pem"


def fewer_rights(clinic: Clinic) -> None:
    permissions = {**clinic.state.app.permissions, "checks": "read"}
    events = tuple(e for e in clinic.state.app.events if e != "issue_comment")
    clinic.state.app = dataclasses.replace(clinic.state.app, permissions=permissions, events=events)


def more_rights(clinic: Clinic) -> None:
    permissions = {**clinic.state.app.permissions, "contents": "write", "members": "read"}
    clinic.state.app = dataclasses.replace(clinic.state.app, permissions=permissions)


def merge_queue_without_its_event(clinic: Clinic) -> None:
    permissions = {**clinic.state.app.permissions, "merge_queues": "read"}
    clinic.state.app = dataclasses.replace(clinic.state.app, permissions=permissions)


def nowhere(clinic: Clinic) -> None:
    clinic.state.installations.clear()


def suspended(clinic: Clinic) -> None:
    for installation in clinic.state.installations.values():
        installation.suspended_at = time.time()


def not_accepted(clinic: Clinic) -> None:
    for installation in clinic.state.installations.values():
        del installation.permissions["issues"]


def fast_clock(clinic: Clinic) -> None:
    clinic.ahead_s = 600


def slow_clock(clinic: Clinic) -> None:
    clinic.ahead_s = -600


def hook_elsewhere(clinic: Clinic) -> None:
    clinic.state.hook.url = "https://old.test/webhook"


def hook_of_pulling(clinic: Clinic) -> None:
    clinic.state.hook.url = "https://codex-review.invalid/webhook"


def no_public_url(clinic: Clinic) -> None:
    del clinic.environ["PUBLIC_URL"]


def unreachable(clinic: Clinic) -> None:
    clinic.github = httpx.MockTransport(raising(httpx.ConnectError("no route")))


def web_pages(clinic: Clinic) -> None:
    clinic.github = httpx.MockTransport(lambda _: httpx.Response(404, html="<p>Not Found"))


def bad_proxy(clinic: Clinic) -> None:
    clinic.github = httpx.MockTransport(raising(httpx.ProxyError("407")))


def dead_proxy(clinic: Clinic) -> None:
    unreachable(clinic)
    clinic.environ["https_proxy"] = "http://me:secret@proxy.test"


def own_authority(clinic: Clinic) -> None:
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
    clinic.github = httpx.MockTransport(raising(httpx.ConnectError(text)))


def raising(error: httpx.HTTPError) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def model_refuses_key(clinic: Clinic) -> None:
    clinic.model_answers["/v1/models"] = (401, {"error": {"message": "Incorrect API key"}})


def model_is_unknown(clinic: Clinic) -> None:
    clinic.environ["MODEL"] = "larger"


def model_goes(clinic: Clinic) -> None:
    clinic.environ["MODEL"] = "old"


def model_lists_nothing(clinic: Clinic) -> None:
    del clinic.model_answers["/v1/models"]


def no_money(clinic: Clinic) -> None:
    clinic.model_answers["/v1/balance"] = (200, {"balance": 0})


def no_folder(clinic: Clinic) -> None:
    clinic.environ["DATABASE_URL"] = "sqlite:////none/codex-review.db"


def no_database(clinic: Clinic) -> None:
    path = clinic.environ["DATABASE_URL"].removeprefix("sqlite:///")
    Path(path).write_text("this is a letter to my aunt, and a long one at that" * 20)


def readable_by_others(clinic: Clinic) -> None:
    Path(clinic.environ["CREDENTIALS_FILE"]).touch(0o644)


@pytest.mark.parametrize(
    ("spoil", "name", "said", "remedy", "status"),
    [
        (other_key, "key", "does not accept this key", "make a new private key", 1),
        (other_id, "app", "knows no App 7", "check APP_ID", 1),
        (no_key_file, "settings", "PRIVATE_KEY_PATH cannot be read", "check path and rights", 2),
        (fewer_rights, "permissions", "missing checks: write", "add them at https://", 1),
        (fewer_rights, "events", "missing issue_comment", "subscribe", 1),
        (more_rights, "permissions", "more than it needs: members: read", "take that back", 0),
        (merge_queue_without_its_event, "events", "missing merge_group", "subscribe", 1),
        (nowhere, "installations", "installed nowhere", "/installations/new", 1),
        (suspended, "installations", "acme has suspended", "unsuspend it at https://", 1),
        (not_accepted, "installations", "not accepted issues: write", "accept it at https://", 1),
        (fast_clock, "clock", " seconds ahead of GitHub's", "set this machine's clock", 1),
        (slow_clock, "clock", " seconds behind GitHub's", "set this machine's clock", 1),
        (hook_elsewhere, "webhook", "https://old.test/webhook", f"make it {HERE}/webhook", 1),
        (hook_of_pulling, "webhook", "reaches nobody", "PULL=5", 1),
        (no_public_url, "webhook", f"{HERE}/webhook", "set PUBLIC_URL", 0),
        (unreachable, "github", "cannot be reached (ConnectError)", "network and DNS", 1),
        (web_pages, "github", "is not the address of GitHub's API (404)", "/api/v3", 1),
        (bad_proxy, "github", "cannot be reached (ProxyError)", "that HTTPS_PROXY names", 1),
        (dead_proxy, "github", "cannot be reached (ConnectError)", "that https_proxy names", 1),
        (own_authority, "github", "certificate is not trusted", "SSL_CERT_FILE", 1),
        (model_refuses_key, "model", "Incorrect API key", "OPENAI_API_KEY", 1),
        (model_is_unknown, "model", "larger", "listed are large, old", 1),
        (model_goes, "model", "shuts this model down on 2020-01-01", "another", 0),
        (model_lists_nothing, "model", "lists no models", "/v1", 0),
        (no_money, "credit", "0", "top up", 1),
        (no_folder, "database", "there is none at /none", "DATABASE_URL", 1),
        (no_database, "database", "file is not a database", "DATABASE_URL", 1),
        (readable_by_others, "credentials", "others on this machine may read", "chmod 600", 0),
    ],
)
async def test_what_is_broken_is_named_with_its_remedy(
    clinic: Clinic,
    spoil: Callable[[Clinic], None],
    name: str,
    said: str,
    remedy: str,
    status: int,
) -> None:
    spoil(clinic)
    found = await clinic.diagnose()
    line = unwell(found, name)
    assert said in line.said
    assert remedy in line.remedy
    assert len(line.remedy.splitlines()) == 1
    assert (2 if not found.is_usable else int(not found.is_well)) == status


async def test_a_wrong_secret_shows_in_the_deliveries(clinic: Clinic) -> None:
    clinic.state.hook.transport = httpx.MockTransport(lambda _: httpx.Response(401))
    await clinic.happens()
    line = await clinic.line("deliveries")
    assert line.status is Status.FAILED
    assert "Invalid HTTP Response: 401" in line.said
    assert "WEBHOOK_SECRET" in line.remedy


async def test_deliveries_that_come_again_are_no_trouble_any_more(clinic: Clinic) -> None:
    well, clinic.state.hook.transport = clinic.state.hook.transport, None
    clinic.state.hook.url = None
    await clinic.happens()
    assert "leads to this server" in (await clinic.line("deliveries")).remedy
    clinic.state.hook.url, clinic.state.hook.transport = f"{HERE}/webhook", well
    await clinic.happens()
    line = await clinic.line("deliveries")
    assert (line.status, line.said.startswith("1 of the last 3 failed")) == (Status.WARNING, True)


async def test_who_fetches_deliveries_needs_no_address(clinic: Clinic) -> None:
    hook_of_pulling(clinic)
    no_public_url(clinic)
    clinic.environ["PULL"] = "5"
    await clinic.happens()
    assert (await clinic.diagnose()).is_well


async def test_openai_s_own_bot_is_told_where_it_was_met(clinic: Clinic, tmp_path: Path) -> None:
    database = await open_database(tmp_path / "codex-review.db")
    target = Target(
        installation_id=InstallationId(1), repository_id=2, owner="acme", repo="stats", number=3
    )
    await Store(database, clinic).note_other_codex(target, clinic.now())
    await database.close()
    line = await clinic.line("mention")
    assert "OpenAI's own bot answers to @codex too in acme/stats" in line.said
    assert "BOT_MENTION" in line.remedy
    clinic.environ["BOT_MENTION"] = "@reviewer"
    assert (await clinic.diagnose()).lines[-2].said == "nobody else was seen to answer to @reviewer"


async def test_a_database_of_a_newer_release_is_not_touched(clinic: Clinic, tmp_path: Path) -> None:
    path = tmp_path / "codex-review.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")
    before = path.read_bytes()
    line = await clinic.line("database")
    assert "of version 9, written by a newer release" in line.said
    assert path.read_bytes() == before


async def test_no_secret_is_told_and_programs_can_read_it(clinic: Clinic) -> None:
    other_key(clinic)
    model_refuses_key(clinic)
    found = await clinic.diagnose()
    told = json.loads(render_diagnosis(found, is_json=True))
    assert told["ok"] is False
    assert {"name", "status", "said", "remedy"} == set(told["checks"][0])
    text = render_diagnosis(found, is_json=True) + render_diagnosis(found, is_json=False)
    assert "✗ key " in text
    for name in ("PRIVATE_KEY", "WEBHOOK_SECRET", "OPENAI_API_KEY"):
        assert clinic.environ[name].strip() not in text
    assert clinic.environ["PRIVATE_KEY"][40:90] not in text
