"""One request to GitHub: headers, limits, retries, pages, redirects and what an error means.

Knows how GitHub's REST API behaves in general and nothing of any endpoint. Reads are tried again
within a deadline; a write whose answer was lost raises `MayHaveHappened`, so that the caller looks
before it writes again, unless it says that writing twice is writing once.
"""

import random
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from app import log
from app.errors import AppError, Forbidden, Locked, Permanent, RateLimited, Unavailable
from app.ports import Clock
from app.review.pull import Target

GITHUB_API = "https://api.github.com"
# 2022-11-28 serves github.com and every Enterprise Server; newer versions only the former.
# https://docs.github.com/en/rest/about-the-rest-api/api-versions
API_VERSION = "2022-11-28"
USER_AGENT = "codex-review"
JSON = "application/vnd.github+json"
DIFF = "application/vnd.github.diff"
RAW = "application/vnd.github.raw+json"
ORGANISATION = ".github"
"""The repository in which an account keeps what holds for all its repositories."""

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_ERROR_TEXT = 300
MAX_REDIRECTS = 3
MAX_PAGES = 100
REQUEST_TIMEOUT_S = 20.0
"""GitHub itself cuts a request after 10 s."""
BACK_OFF_S = 0.5
MAX_BACK_OFF_S = 8.0
MAX_STEPS = 4
"""How often a write whose answer was lost is looked after and, if need be, repeated."""

# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
SECONDARY_WAIT_S = 60.0
MAX_SECONDARY_WAIT_S = 15 * 60.0
CONTENT_LIMITS = ((80, 60.0), (500, 3600.0))
"""Writes per seconds that github.com allows one installation."""
_LIMIT_WORDS = ("secondary rate limit", "abuse detection", "rate limit exceeded")

# Tokens (`ghs_` and its family, old and new form), JWTs and private keys.
_SECRET = re.compile(
    r"(?:gh[a-z]_|github_pat_)[\w.-]{10,}|eyJ[\w-]+\.[\w.-]+|-----BEGIN[\s\S]*?(?:-----END.*|$)"
)

T = TypeVar("T")
Name = tuple[int, str]
"""A repository's id and the full name that we were told."""


class NotFound(Permanent):
    """It is not there, or we may not see it: what that means knows the caller."""


class Moved(Permanent):
    """A write was answered with a redirect, which is never followed."""


class TooBig(Permanent):
    """The answer is larger than we are ready to read."""


class Refused(Permanent):
    """GitHub did not accept what we sent. `reasons` are GitHub's own words."""

    def __init__(self, message: str, *, status: int, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.status = status
        self.reasons = reasons


class MayHaveHappened(Unavailable):
    """A write went out and its answer was lost: look before writing again."""


class Credentials(Protocol):
    """How requests are signed. `is_app` is False where a person's token signs all of them."""

    is_app: bool

    @property
    def app(self) -> httpx.Auth:
        """Sign as the App itself."""

    def installation(self, target: Target) -> httpx.Auth:
        """Sign as the App's installation, for one repository."""

    def organisation(self, target: Target) -> httpx.Auth:
        """Sign for reading the `.github` repository of the same account."""

    async def resolving(self, target: Target) -> httpx.Auth | None:
        """Sign for resolving threads; None where nobody granted that."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which App we are."""

    id: int
    slug: str

    @property
    def login(self) -> str:
        """The author of everything we write."""
        return f"{self.slug}[bot]"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever wrote something on GitHub."""

    login: str
    type: str = ""


class RepositoryWire(msgspec.Struct, frozen=True, kw_only=True):
    """A repository, by its id and its name of today."""

    id: int
    full_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `is_repeatable`: twice is once; `is_content`: people are notified of it."""

    method: str
    url: str
    accept: str = JSON
    params: Mapping[str, str | int] | None = None
    content: bytes | None = None
    max_bytes: int = MAX_BODY_BYTES
    is_repeatable: bool = True
    is_content: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer, whatever its status."""

    status: int
    headers: httpx.Headers
    body: bytes
    next_url: str | None


class Pace:
    """How fast one installation may go: until when GitHub wants silence, and what we wrote."""

    def __init__(self) -> None:
        self._silent_until = 0.0
        self._strikes = 0
        self._written: deque[float] = deque(maxlen=max(n for n, _ in CONTENT_LIMITS))

    def free_at(self, *, is_content: bool) -> float:
        """Say from when the next request may go out."""
        if not is_content:
            return self._silent_until
        slots = (self._written[-n] + s for n, s in CONTENT_LIMITS if len(self._written) >= n)
        return max(self._silent_until, *slots, 0.0)

    def wrote(self, now: float) -> None:
        self._written.append(now)

    def went_well(self) -> None:
        self._strikes = 0

    def slow_down(self, reply: Reply, now: float) -> None:
        """Take in an answer that says we are too fast."""
        self._strikes += 1
        self._silent_until = max(self._silent_until, now + self._wait(reply, now))

    def _wait(self, reply: Reply, now: float) -> float:
        retry_after = _number(reply.headers.get("retry-after"))
        if retry_after is not None:
            return max(1.0, retry_after)
        reset_at = _number(reply.headers.get("x-ratelimit-reset"))
        if reply.headers.get("x-ratelimit-remaining") == "0" and reset_at is not None:
            answered = answered_at(reply.headers)
            return max(1.0, reset_at - (now if answered is None else answered))
        return min(SECONDARY_WAIT_S * 2.0 ** (self._strikes - 1), MAX_SECONDARY_WAIT_S)


class Connection:
    """Sends requests to one GitHub. Waits up to `max_wait_s` for a limit, `deadline_s` in all."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        clock: Clock,
        base_url: str = GITHUB_API,
        max_wait_s: float = 20.0,
        deadline_s: float = 60.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.clock = clock
        self.base_url = base_url.rstrip("/")
        self._client = client
        self._max_wait_s = max_wait_s
        self._deadline_s = deadline_s
        self._jitter = jitter
        self._has_content_limits = self.base_url == GITHUB_API
        self.graphql_url = self.base_url.removesuffix("/v3") + "/graphql"

    async def send(self, call: Call, auth: httpx.Auth, pace: Pace) -> Reply:
        """Send one request until there is an answer that is no passing trouble."""
        deadline = self.clock.now() + self._deadline_s
        tries = 0
        while True:
            await self._keep_pace(call, pace, deadline)
            problem: Unavailable
            try:
                reply = await self._exchange(call, auth)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
                problem = Unavailable(f"GitHub cannot be reached ({type(exc).__name__})")
                problem.__cause__ = exc
            except httpx.RequestError as exc:
                problem = self._lost(call, f"GitHub's answer was lost ({type(exc).__name__})", exc)
            else:
                is_limit = _is_limit(reply) or (
                    call.url == self.graphql_url and _is_graphql_limit(reply)
                )
                if reply.status < 500 and not is_limit:
                    pace.went_well()
                    return reply
                if reply.status < 500:
                    pace.slow_down(reply, self.clock.now())
                    log.warning("github.limited", status=reply.status, url=_path(call.url))
                    continue
                problem = self._lost(call, f"GitHub answered {reply.status}", None)
            tries += 1
            await self._back_off(problem, tries, deadline)

    def is_ours(self, url: httpx.URL) -> bool:
        """Say whether a URL leads to this GitHub; our token goes nowhere else."""
        base = httpx.URL(self.base_url)
        return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    async def _keep_pace(self, call: Call, pace: Pace, deadline: float) -> None:
        is_write = call.method != "GET"
        while True:
            now = self.clock.now()
            free_at = pace.free_at(is_content=call.is_content and self._has_content_limits)
            if free_at <= now:
                break
            if free_at - now > self._max_wait_s or free_at > deadline:
                raise RateLimited("GitHub asks us to slow down", reset_at=free_at)
            await self.clock.sleep(free_at - now)
        if is_write:
            pace.wrote(now)

    async def _exchange(self, call: Call, auth: httpx.Auth) -> Reply:
        headers = {
            "Accept": call.accept,
            "User-Agent": USER_AGENT,
            "X-GitHub-Api-Version": API_VERSION,
        }
        if call.content is not None:
            headers["Content-Type"] = "application/json"
        request = self._client.build_request(
            call.method,
            call.url,
            params=call.params,
            content=call.content,
            headers=headers,
            timeout=REQUEST_TIMEOUT_S,
        )
        response = await self._client.send(request, auth=auth, stream=True, follow_redirects=False)
        try:
            body = await _read(response, call.max_bytes)
        finally:
            await response.aclose()
        return Reply(
            status=response.status_code,
            headers=response.headers,
            body=body,
            next_url=response.links.get("next", {}).get("url"),
        )

    def _lost(self, call: Call, text: str, cause: Exception | None) -> Unavailable:
        if call.is_repeatable:
            problem = Unavailable(text)
            problem.__cause__ = cause
            return problem
        raise MayHaveHappened(text) from cause

    async def _back_off(self, problem: Unavailable, tries: int, deadline: float) -> None:
        """Wait with full jitter, or give up when the deadline would pass."""
        wait = self._pause_s(tries)
        if self.clock.now() + wait >= deadline:
            raise problem
        log.warning("github.retry", tries=tries, problem=str(problem))
        await self.clock.sleep(wait)

    async def pause(self, tries: int) -> None:
        """Wait before the next of several tries, with full jitter."""
        await self.clock.sleep(self._pause_s(tries))

    def _pause_s(self, tries: int) -> float:
        return self._jitter() * min(MAX_BACK_OFF_S, BACK_OFF_S * 2.0**tries)


class Session:
    """One actor's requests: the App itself, or its installation on one repository."""

    def __init__(self, connection: Connection, auth: httpx.Auth, pace: Pace) -> None:
        self._connection = connection
        self._auth = auth
        self._pace = pace

    async def get(
        self,
        path: str,
        *,
        accept: str = JSON,
        params: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> bytes:
        """Read an answer's body; redirects are followed on the same host only."""
        return (await self._read(self._url(path), accept, params, max_bytes)).body

    async def get_json(self, path: str, shape: type[T], **params: str | int) -> T:
        """Read a JSON answer of this shape."""
        return decode(await self.get(path, params=params or None), shape)

    async def pages(
        self,
        path: str,
        page: type[T],
        *,
        per_page: int,
        max_pages: int = MAX_PAGES,
        **params: str | int,
    ) -> AsyncIterator[T]:
        """Read a list page by page, as far as its `next` links lead."""
        reply = await self._read(self._url(path), params={"per_page": per_page, **params})
        for _ in range(max_pages):
            yield decode(reply.body, page)
            if reply.next_url is None:
                return
            reply = await self._read(reply.next_url)
        log.warning("github.too_many_pages", path=path)

    async def write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        is_repeatable: bool = False,
        is_content: bool = False,
    ) -> bytes:
        """Write and return the answer's body.

        Raises MayHaveHappened when the answer was lost, Moved on a redirect, NotFound, Refused.
        """
        call = Call(
            method=method,
            url=self._url(path),
            content=None if body is None else msgspec.json.encode(body),
            is_repeatable=is_repeatable,
            is_content=is_content,
        )
        return _accepted(await self._connection.send(call, self._auth, self._pace)).body

    async def graphql(
        self,
        document: str,
        variables: Mapping[str, object],
        shape: type[T],
        *,
        is_repeatable: bool = False,
    ) -> T:
        """Ask by GraphQL, whose errors come with status 200. Raises as `write` does."""
        call = Call(
            method="POST",
            url=self._connection.graphql_url,
            content=msgspec.json.encode({"query": document, "variables": variables}),
            is_repeatable=is_repeatable,
        )
        reply = _accepted(await self._connection.send(call, self._auth, self._pace))
        answer = decode(reply.body, _GraphQLWire)
        if not answer.errors:
            return decode(answer.data, shape)
        text = _safe("; ".join(error.message for error in answer.errors))
        match answer.errors[0].type:
            case "FORBIDDEN":
                raise Forbidden(f"GitHub forbids this: {text}", remedy=_remedy(reply, text))
            case "NOT_FOUND":
                raise NotFound(f"GitHub does not know this: {text}")
        raise Refused(f"GitHub refused this: {text}", status=reply.status, reasons=(text,))

    async def _read(
        self,
        address: str,
        accept: str = JSON,
        params: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Reply:
        connection, url = self._connection, httpx.URL(address)
        for _ in range(MAX_REDIRECTS + 1):
            if not connection.is_ours(url):
                raise Forbidden("GitHub sent us to another host, where our token does not go")
            call = Call(
                method="GET", url=str(url), accept=accept, params=params, max_bytes=max_bytes
            )
            reply = await connection.send(call, self._auth, self._pace)
            if reply.status not in (301, 302, 307, 308):
                return _accepted(reply)
            url, params = _joined(url, reply), None
        raise Forbidden("GitHub redirects in a circle")

    def _url(self, path: str) -> str:
        return self._connection.base_url + path


class Repository(Session):
    """One repository, which may have been renamed. Paths are relative to it: `pulls/7`."""

    def __init__(
        self,
        connection: Connection,
        auth: httpx.Auth,
        pace: Pace,
        target: Target,
        names: dict[Name, str],
    ) -> None:
        super().__init__(connection, auth, pace)
        self._target = target
        self._name = (target.repository_id, target.full_name)
        self._names = names

    async def write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        is_repeatable: bool = False,
        is_content: bool = False,
    ) -> bytes:
        """Write; when the repository was renamed, find it by its id and write there."""
        for _ in range(2):
            try:
                return await super().write(
                    method, path, body, is_repeatable=is_repeatable, is_content=is_content
                )
            except Moved:
                await self.find_by_id()
        raise Forbidden("This repository moves faster than we can follow")

    async def find_by_id(self) -> bool:
        """Learn the repository's name of today; say whether that is another one."""
        address = f"{self._connection.base_url}/repositories/{self._target.repository_id}"
        try:
            found = decode((await self._read(address)).body, RepositoryWire)
        except NotFound:
            return False
        used = self._names.get(self._name, self._target.full_name)
        self._names[self._name] = found.full_name
        log.event("github.renamed", old=used, new=found.full_name)
        return found.full_name != used

    def _url(self, path: str) -> str:
        owner, _, repo = self._names.get(self._name, self._target.full_name).partition("/")
        return super()._url(f"/repos/{segment(owner)}/{segment(repo)}/{path}")


class GitHub:
    """What adapters are given: sessions as the App and for each repository."""

    def __init__(
        self, connection: Connection, credentials: Credentials, *, identity: Identity | None = None
    ) -> None:
        self.clock = connection.clock
        self.is_app = credentials.is_app
        self.app = Session(connection, credentials.app, Pace())
        self._connection = connection
        self._credentials = credentials
        self._identity = identity
        self._paces: dict[int, Pace] = {}
        self._names: dict[Name, str] = {}

    def repository(self, target: Target) -> Repository:
        """Return a handle on the target's repository; nothing is asked yet."""
        return self._handle(target, self._credentials.installation(target))

    def organisation(self, target: Target) -> Repository:
        """Return a handle on the account's `.github` repository, for reading."""
        there = replace(target, repository_id=0, repo=ORGANISATION)  # its id is not known
        return self._handle(there, self._credentials.organisation(target))

    async def resolving(self, target: Target) -> Repository | None:
        """Return a handle that may resolve threads; None where nobody granted that."""
        auth = await self._credentials.resolving(target)
        return self._handle(target, auth) if auth else None

    def _handle(self, target: Target, auth: httpx.Auth) -> Repository:
        pace = self._paces.setdefault(target.installation_id, Pace())
        return Repository(self._connection, auth, pace, target, self._names)

    @property
    def slug(self) -> str | None:
        """The App's own name, once GitHub has told it."""
        return self._identity.slug if self._identity else None

    async def identity(self) -> Identity:
        """Return which App we are; asked once."""
        if self._identity is None:
            self._identity = await self.app.get_json("/app", Identity)
        return self._identity

    async def author(self) -> Account | None:
        """Return whose name stands by what we write; None for a person, who is not asked."""
        if not self.is_app:
            return None
        return Account(login=(await self.identity()).login, type="Bot")

    async def until_known(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step that looks before it writes; take it again when its answer was lost."""
        for tries in range(1, MAX_STEPS):
            try:
                return await step()
            except MayHaveHappened as exc:
                log.warning("github.answer_lost", problem=str(exc))
                await self._connection.pause(tries)
        return await step()


class _ErrorItem(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `errors`; reviews have plain texts instead."""

    resource: str | None = None
    field: str | None = None
    code: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return self.message or " ".join(filter(None, (self.resource, self.field, self.code)))


class _GraphQLError(msgspec.Struct, frozen=True, kw_only=True):
    message: str = ""
    type: str = ""


class _GraphQLWire(msgspec.Struct, frozen=True, kw_only=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: tuple[_GraphQLError, ...] = ()


class _ErrorWire(msgspec.Struct, frozen=True, kw_only=True):
    message: str = ""
    errors: tuple[str | _ErrorItem, ...] | str = ()


def decode(body: bytes | msgspec.Raw, shape: type[T]) -> T:
    """Read JSON of this shape; anything else is an answer that we cannot use."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as exc:
        raise Unavailable(f"GitHub's answer has another shape than we know: {exc}") from exc


def segment(value: str) -> str:
    """Encode a value as one segment of a path."""
    return quote(value, safe="", errors="surrogateescape")


def answered_at(headers: httpx.Headers) -> float | None:
    """Return GitHub's own time of an answer, in epoch seconds."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None


def parse_time(text: str) -> float:
    """Read GitHub's `2026-01-31T12:00:00Z` as epoch seconds. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.status_code >= 400:
        max_bytes = MAX_ERROR_BYTES
    parts = bytearray()
    async for part in response.aiter_bytes():
        parts += part
        if len(parts) > max_bytes:
            if response.status_code >= 400:
                break
            raise TooBig(f"GitHub's answer is larger than {max_bytes:,} bytes")
    return bytes(parts)


def _accepted(reply: Reply) -> Reply:
    """Return an answer that is a success; raise what any other one means."""
    if 200 <= reply.status < 300:
        return reply
    if 300 <= reply.status < 400:
        raise Moved("GitHub says that this is somewhere else now")
    message, reasons = _error_text(reply)
    text = _safe("; ".join((message, *reasons))) or "no reason given"
    raise _meaning(reply, text, tuple(_safe(reason) for reason in reasons or (message,)))


def _meaning(reply: Reply, text: str, reasons: tuple[str, ...]) -> AppError:
    is_locked = re.search(r"\blocked\b", text) is not None
    match reply.status:
        case 401:
            return Forbidden(
                f"GitHub does not accept our credentials: {text}",
                remedy="Check APP_ID and PRIVATE_KEY (or GITHUB_TOKEN), and this machine's clock.",
            )
        case 403 | 422 if is_locked:
            return Locked(
                f"GitHub takes no comments here: {text}", remedy="Unlock the conversation."
            )
        case 403:
            return Forbidden(f"GitHub forbids this: {text}", remedy=_remedy(reply, text))
        case 404:
            return NotFound("GitHub does not know this, or we may not see it")
        case status:
            return Refused(
                f"GitHub refused this ({status}): {text}", status=status, reasons=reasons
            )


def _remedy(reply: Reply, text: str) -> str:
    if "archived" in text.lower():
        return "Unarchive the repository."
    if "suspended" in text.lower():
        return "Unsuspend the App's installation."
    if needed := reply.headers.get("x-accepted-github-permissions"):
        return (
            f"Grant the App {_safe(needed)} in its settings, and accept the new permissions "
            "where it is installed."
        )
    return "Check the App's permissions, and that they were accepted where it is installed."


def _is_limit(reply: Reply) -> bool:
    """Tell a 403 for being too fast from one for a missing permission."""
    if reply.status == 429:
        return True
    if reply.status != 403:
        return False
    if "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0":
        return True
    message = _error_text(reply)[0].lower()
    return any(words in message for words in _LIMIT_WORDS)


def _is_graphql_limit(reply: Reply) -> bool:
    """Find the errors by which GraphQL says, with status 200, that we are too fast."""
    try:
        errors = msgspec.json.decode(reply.body, type=_GraphQLWire).errors
    except msgspec.MsgspecError:
        return False
    return any(
        error.type == "RATE_LIMITED" or any(word in error.message.lower() for word in _LIMIT_WORDS)
        for error in errors
    )


def _error_text(reply: Reply) -> tuple[str, tuple[str, ...]]:
    """Read an error's message and its reasons, in either of GitHub's two shapes."""
    try:
        wire = msgspec.json.decode(reply.body, type=_ErrorWire)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"HTTP {reply.status}", ()
    errors = (wire.errors,) if isinstance(wire.errors, str) else wire.errors
    return wire.message, tuple(str(error) for error in errors)


def _safe(text: str) -> str:
    """Make foreign text fit for a log line or a check run: one line, short, without secrets."""
    line = " ".join(_SECRET.sub("(secret)", text).split())
    return line if len(line) <= MAX_ERROR_TEXT else line[: MAX_ERROR_TEXT - 1] + "…"


def _joined(url: httpx.URL, reply: Reply) -> httpx.URL:
    try:
        return url.join(reply.headers.get("location", ""))
    except httpx.InvalidURL as exc:
        raise Forbidden("GitHub redirects to something that is no address") from exc


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None


def _path(url: str) -> str:
    return httpx.URL(url).path
