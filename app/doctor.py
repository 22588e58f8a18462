"""`codex-review doctor`: looks at everything that a review needs, and says what to do about it.

Works before and after set-up, changes nothing, and never tells a secret. It tries the real thing
each time, so that it reaches for adapters as `bootstrap.py` does.
"""

import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

from app.credentials import credentials_file, read_environment
from app.errors import AppError, ModelDenied, ModelError, Unavailable
from app.github.addresses import web_url
from app.github.auth import AppAuth, AppCredentials
from app.github.health import (
    Account,
    App,
    Attempt,
    Hook,
    Installed,
    fetch_attempts,
    fetch_hook,
    fetch_installations,
)
from app.github.manifest import Manifest, Rights, hook_url
from app.github.transport import JSON, USER_AGENT, Connection, GitHub, answered_at, decode
from app.llm.connection import Connection as ModelConnection
from app.llm.server import list_models, read_balance, remarks
from app.ports import Clock
from app.review.render import obeyed_by_no_terminal
from app.sandbox.isolation import Kind, Sandbox
from app.settings import APP, ModelSettings, Settings, examine_settings
from app.store.database import examine_database, open_database
from app.store.memory import Store

SKEW_S = 60.0
"""A JWT is backdated by as much; beyond it GitHub refuses the first request of each start."""
DEADLINE_S = 5.0
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
TOLD = 10
"""Names in one line."""
MAY_HAVE = {"contents": "write"}
"""What an operator may add: resolving threads takes it."""
_LEVELS = ("read", "write", "admin")


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


SIGNS = {Status.OK: "✓", Status.WARNING: "!", Status.FAILED: "✗"}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and how it is. `remedy` is empty where nothing is to be done."""

    name: str
    status: Status = Status.OK
    said: str
    remedy: str = ""


def _ok(name: str, said: str) -> Line:
    return Line(name=name, said=said)


def _warn(name: str, said: str, remedy: str) -> Line:
    return Line(name=name, status=Status.WARNING, said=said, remedy=remedy)


def _bad(name: str, said: str, remedy: str) -> Line:
    return Line(name=name, status=Status.FAILED, said=said, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that was looked at. `is_usable`: `serve` would start on these settings."""

    lines: tuple[Line, ...]
    is_usable: bool

    @property
    def is_well(self) -> bool:
        return all(line.status is not Status.FAILED for line in self.lines)


async def diagnose(
    environ: Mapping[str, str],
    manifest: Manifest,
    github: httpx.AsyncClient,
    model: httpx.AsyncClient,
    sandbox: Sandbox,
    clock: Clock,
) -> Diagnosis:
    """Look at everything, one thing after the other. Raises Unusable for an unreadable file."""
    env = read_environment(environ)
    settings, problems = examine_settings(env)
    wrong = {problem.split()[0] for problem in problems}
    lines = [*_settings(problems), *_file(credentials_file(environ))]
    if not settings.has_app and not wrong & set(APP):
        remedy = "run `codex-review serve` and open the address that it prints"
        lines.append(_warn("app", "there is none yet", remedy))
    if "GITHUB_API_URL" not in wrong:
        lines += [line async for line in _github(settings, env, manifest, github, clock)]
    lines += [line async for line in _model(settings.model, model, clock)]
    if "DATABASE_URL" not in wrong:
        lines += [line async for line in _database(settings, clock)]
    lines.append(await _sandbox(sandbox))
    return Diagnosis(lines=tuple(lines), is_usable=not problems)


def render_diagnosis(diagnosis: Diagnosis, *, is_json: bool) -> str:
    """Render it for a person, each remedy beneath what it mends; or as JSON."""
    if is_json:
        told = {"ok": diagnosis.is_well, "checks": diagnosis.lines}
        return msgspec.json.format(msgspec.json.encode(told)).decode()
    lines = []
    for line in diagnosis.lines:
        lines.append(f"{SIGNS[line.status]} {line.name:<13} {line.said}")
        lines += [f"  {'':<13} → {line.remedy}"] if line.remedy else []
    return "\n".join(obeyed_by_no_terminal([line]) for line in lines)


def _settings(problems: Sequence[str]) -> Iterator[Line]:
    for problem in problems:
        said, _, remedy = problem.rstrip(".").partition(": ")
        yield _bad("settings", said, remedy)
    if not problems:
        yield _ok("settings", "all can be read")


def _file(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        said = f"others on this machine may read {path}"
        yield _warn("credentials", said, f"run: chmod 600 {path}")
    else:
        yield _ok("credentials", f"{path} is readable for its owner only")


async def _github(
    settings: Settings,
    env: Mapping[str, str],
    manifest: Manifest,
    http: httpx.AsyncClient,
    clock: Clock,
) -> AsyncIterator[Line]:
    """Look at the App, and at all that GitHub tells it; what fails first decides about the rest."""
    api_url, app_id = settings.github_api_url, settings.app_id
    web, headers = web_url(api_url), {"User-Agent": USER_AGENT, "Accept": JSON}
    auth = AppAuth(app_id=str(app_id), private_key=settings.private_key.reveal(), clock=clock)
    try:
        answer = await http.get(f"{api_url}/meta", headers=headers)
        if "json" not in answer.headers.get("content-type", ""):
            said = f"{api_url} is not the address of GitHub's API ({answer.status_code})"
            remedy = "set GITHUB_API_URL to https://api.github.com, or to https://HOST/api/v3"
            yield _bad("github", said, remedy)
            return
        yield _ok("github", f"{api_url} answers")
        yield _clock(answer.headers, clock)
        if not settings.has_app or not app_id:
            return
        answer = await http.get(f"{api_url}/app", headers=headers, auth=auth)
    except Unavailable:
        remedy = f"check APP_ID, or make a new private key on that App's page ({web}/settings/apps)"
        yield _bad("key", f"GitHub does not accept this key for App {app_id}", remedy)
        return
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        yield _unreachable(api_url, exc, env)
        return
    if answer.status_code != httpx.codes.OK:
        remedy = f"check APP_ID, and that it was created on {web} (GITHUB_API_URL)"
        yield _bad("app", f"GitHub knows no App {app_id} ({answer.status_code})", remedy)
        return
    yield _ok("key", f"is a key of App {app_id}")
    try:
        app = decode(answer.content, App)
        yield _ok("app", f"is {app.html_url}")
        async for line in _registered(app, settings, manifest, http, clock):
            yield line
    except AppError as exc:
        yield _bad("github", str(exc), "try again; the lines above hold")


def _unreachable(api_url: str, exc: Exception, env: Mapping[str, str]) -> Line:
    proxies = [name for name in env if name.upper() in PROXIES]
    why, remedy = type(exc).__name__, "check GITHUB_API_URL, and this machine's network and DNS"
    if "CERTIFICATE" in str(exc).upper():
        why = "its certificate is not trusted"
        remedy = "name your own authority's certificate in SSL_CERT_FILE"
    elif proxies or isinstance(exc, httpx.ProxyError):
        remedy = f"check the proxy that {' or '.join(proxies) or 'HTTPS_PROXY'} names, and NO_PROXY"
    return _bad("github", f"{api_url} cannot be reached ({why})", remedy)


def _clock(headers: httpx.Headers, clock: Clock) -> Line:
    theirs = answered_at(headers)
    if theirs is None:
        return _ok("clock", "GitHub does not tell its time")
    skew_s = clock.now() - theirs
    if abs(skew_s) < SKEW_S:
        return _ok("clock", "agrees with GitHub's")
    said = f"is {abs(skew_s):.0f} seconds {'ahead of' if skew_s > 0 else 'behind'} GitHub's"
    remedy = "set this machine's clock, for example by: timedatectl set-ntp true"
    return _bad("clock", said, remedy)


async def _registered(
    app: App, settings: Settings, manifest: Manifest, http: httpx.AsyncClient, clock: Clock
) -> AsyncIterator[Line]:
    """Look at what the App may do, where it is installed, and what is delivered to it."""
    connection = Connection(
        http, clock=clock, base_url=settings.github_api_url, max_wait_s=0, deadline_s=DEADLINE_S
    )
    key = settings.private_key.reveal()
    credentials = AppCredentials(connection, app_id=str(settings.app_id), private_key=key)
    session = GitHub(connection, credentials).app
    page = app.settings_page(web_url(settings.github_api_url))
    for line in _rights(app, manifest, page):
        yield line
    yield _installations(await fetch_installations(session), app, manifest)
    yield _hook(await fetch_hook(session), settings, page)
    yield _deliveries(await fetch_attempts(session), settings, page)


def _rights(app: App, manifest: Manifest, page: str) -> Iterator[Line]:
    missing = _missing(app.permissions, manifest)
    known = manifest.default_permissions | manifest.merge_queue.default_permissions | MAY_HAVE
    beyond = [
        f"{name}: {level}"
        for name, level in app.permissions.items()
        if _rank(level) > _rank(known.get(name))
    ]
    name, place = "permissions", f"{page}/permissions"
    if missing:
        remedy = f"add them at {place}, and accept them where the App is installed"
        yield _bad(name, f"missing {missing}", remedy)
    elif beyond:
        said = f"the App may do more than it needs: {', '.join(beyond)}"
        yield _warn(name, said, f"take that back at {place}")
    else:
        yield _ok(name, "are those of app.yml")
    wanted = list(manifest.default_events)
    if "merge_queues" in app.permissions:
        wanted += manifest.merge_queue.default_events
    deaf = [event for event in wanted if event not in app.events]
    if deaf:
        said, remedy = f"missing {', '.join(deaf)}", f"subscribe to them at {place}"
        yield _bad("events", said, remedy)
    else:
        yield _ok("events", "are those of app.yml")


def _missing(granted: Mapping[str, str], rights: Rights) -> str:
    wanted = rights.default_permissions.items()
    return ", ".join(f"{n}: {level}" for n, level in wanted if _rank(granted.get(n)) < _rank(level))


def _rank(level: str | None) -> int:
    return _LEVELS.index(level) if level in _LEVELS else -1


def _installations(installed: Sequence[Installed], app: App, manifest: Manifest) -> Line:
    name = "installations"
    troubles = list[tuple[str, str]]()
    for one in installed:
        account = (one.account or Account()).login
        missing = _missing(one.permissions, manifest)
        if one.suspended_at:
            troubles.append((f"{account} has suspended the App", f"unsuspend it at {one.html_url}"))
        elif missing:
            said = f"{account} has not accepted {missing}"
            troubles.append((said, f"accept it at {one.html_url}"))
    if not installed:
        return _bad(name, "the App is installed nowhere", f"open {app.html_url}/installations/new")
    if troubles:
        tell = _bad if len(troubles) == len(installed) else _warn
        said, remedy = ("; ".join(texts) for texts in zip(*troubles[:TOLD], strict=True))
        return tell(name, said, remedy)
    return _ok(name, f"on {len(installed)} account{'s' * (len(installed) != 1)}")


def _hook(hook: Hook, settings: Settings, page: str) -> Line:
    name, expected = "webhook", hook_url(settings.public_url)
    host = urlsplit(hook.url).hostname or ""
    if not hook.url:
        remedy = f"make it active at {page}, with the URL {expected}"
        return _bad(name, "has no URL", remedy)
    if settings.pull_s:
        return _ok(name, f"deliveries are fetched every {settings.pull_s:g} seconds")
    if host.endswith(".invalid"):
        remedy = f"set PULL=5 to fetch deliveries, or give the App a URL of yours at {page}"
        said = f"{hook.url} reaches nobody"
        return _bad(name, said, remedy)
    if not settings.public_url:
        said, remedy = f"leads to {hook.url}", "set PUBLIC_URL to have it compared"
        return _warn(name, said, remedy)
    if hook.url.rstrip("/") != expected:
        said, remedy = f"leads to {hook.url}", f"make it {expected} at {page}, or mend PUBLIC_URL"
        return _bad(name, said, remedy)
    if str(hook.insecure_ssl) not in ("0", "0.0"):
        said, remedy = "GitHub checks no certificate", f"enable SSL verification at {page}"
        return _warn(name, said, remedy)
    return _ok(name, f"leads to {hook.url}")


def _deliveries(attempts: Sequence[Attempt], settings: Settings, page: str) -> Line:
    """Look at the last attempts, newest first. A ping comes before anybody can answer it."""
    name = "deliveries"
    attempts = [attempt for attempt in attempts if attempt.event != "ping"]
    if not attempts:
        remedy = "write a comment where the App is installed, and look again"
        return _warn(name, "none in the last days", remedy)
    if settings.pull_s:
        return _ok(name, f"GitHub lists {len(attempts)} of the last days")
    well = {attempt.guid for attempt in attempts if attempt.status == "OK"}
    failed = {attempt.guid for attempt in attempts} - well
    latest = attempts[0]
    if not failed:
        return _ok(name, f"the last {len(well)} came")
    said = f"{len(failed)} of the last {len(failed | well)} failed; the latest: {latest.status}"
    if latest.status == "OK":
        remedy = "they are taken up from GitHub's list by themselves"
        return _warn(name, said, remedy)
    if latest.status_code == httpx.codes.UNAUTHORIZED:
        remedy = f"GitHub signs with another secret: give WEBHOOK_SECRET and {page} the same one"
    else:
        remedy = "check that the webhook's URL leads to this server, through proxy and firewall"
    return _bad(name, said, remedy)


async def _model(
    settings: ModelSettings | None, http: httpx.AsyncClient, clock: Clock
) -> AsyncIterator[Line]:
    if settings is None:
        remedy = "set OPENAI_BASE_URL and MODEL instead of MODEL_API=static, if you want one"
        said = "there is none: analysers only"
        yield _warn("model", said, remedy)
        return
    if not (settings.base_url and settings.model):
        return  # which is told with the settings
    connection = ModelConnection(
        client=http, base_url=settings.base_url, api_key=settings.api_key.reveal()
    )
    asked = (settings.model, *settings.others, settings.fallback)
    names = tuple(dict.fromkeys(name for name in asked if name))
    try:
        listed = await list_models(connection, clock)
        balance = await read_balance(connection, clock)
    except ModelError as exc:
        remedy = "check OPENAI_BASE_URL, and that the server is up"
        if isinstance(exc, ModelDenied):
            remedy = "check OPENAI_API_KEY, and that it is one of OPENAI_BASE_URL's server"
        yield _bad("model", str(exc), remedy)
        return
    found = remarks(listed, names, clock.now())
    for model, remark in found:
        is_gone = model not in (listed or {})
        known = ", ".join(sorted(listed or {})[:TOLD])
        tell = _bad if is_gone else _warn
        yield tell("model", f"{model}: {remark}", f"choose another one; listed are {known}")
    if listed is None:
        remedy = "check that OPENAI_BASE_URL is the address that ends in /v1"
        said = f"the server lists no models, so that {settings.model} may be there or not"
        yield _warn("model", said, remedy)
    elif not found:
        yield _ok("model", f"{', '.join(names)} at {settings.base_url}")
    if balance and not balance.has_credit:
        remedy = "top up the account; what is parked is then taken up by itself"
        yield _bad("credit", balance.told, remedy)
    else:
        yield _ok("credit", balance.told if balance else "the server does not tell")


async def _database(settings: Settings, clock: Clock) -> AsyncIterator[Line]:
    """Look at what we remember; an older database is left alone, since opening it changes it."""
    path = settings.database
    try:
        if not examine_database(path):
            yield _ok(
                "database", f"{path} will be {'brought up to date' if path.exists() else 'made'}"
            )
            return
        database = await open_database(path)
        try:
            met = await Store(database, clock).other_codex()
        finally:
            await database.close()
    except AppError as exc:
        remedy = "check DATABASE_URL, the rights of file and folder, and the room on the disk"
        yield _bad("database", str(exc), remedy)
        return
    yield _ok("database", f"{path} can be written to")
    if not met or "@codex" not in settings.mentions:
        yield _ok("mention", f"nobody else was seen to answer to {', '.join(settings.mentions)}")
        return
    where = ", ".join(name for name, _ in met[:TOLD])
    remedy = "set BOT_MENTION to another word, or take OpenAI's App off these repositories"
    yield _warn("mention", f"OpenAI's own bot answers to @codex too in {where}", remedy)


async def _sandbox(sandbox: Sandbox) -> Line:
    found = await sandbox.isolation()
    if found.kind is Kind.BUBBLEWRAP:
        return _ok("sandbox", found.describe())
    said, _, remedy = found.describe().partition("; ")
    return _warn("sandbox", said, remedy)
