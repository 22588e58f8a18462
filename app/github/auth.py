"""Signs requests: as the App with a JWT, as an installation with a token for one repository.

Knows how tokens are asked for, kept and renewed. Keeps secrets in memory only, and out of every
text that it makes.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace

import httpx
import jwt
import msgspec

from app.errors import Forbidden, Unavailable
from app.github.transport import (
    ORGANISATION,
    Connection,
    NotFound,
    Pace,
    Refused,
    RepositoryWire,
    Session,
    answered_at,
    decode,
    parse_time,
    segment,
)
from app.ports import Clock
from app.review.pull import InstallationId, Target

PERMISSIONS: Mapping[str, str] = {
    "metadata": "read",
    "contents": "read",
    "pull_requests": "write",
    "issues": "write",
    "checks": "write",
}
"""All that a review needs, and all that any of our tokens may do."""
UNPOSTED: Mapping[str, str] = {"metadata": "read", "contents": "read", "pull_requests": "read"}
"""What a review needs that is not posted."""
VERDICT: Mapping[str, str] = {"metadata": "read", "pull_requests": "read", "checks": "read"}
"""What finding a verdict needs."""
RESOLVING: Mapping[str, str] = {"metadata": "read", "contents": "write", "pull_requests": "write"}
"""What resolving a thread needs, where the operator and the installation grant it."""
READING: Mapping[str, str] = {"metadata": "read", "contents": "read"}
"""What the organisation's configuration needs."""
LOOKING: Mapping[str, str] = {"metadata": "read"}
"""What finding a repository's id needs."""

# https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
JWT_BACKDATED_S = 60
JWT_LIFE_S = 8 * 60
"""GitHub takes at most 10 minutes, by its own clock."""
JWT_RENEWED_EARLY_S = 60
TOKEN_RENEWED_EARLY_S = 5 * 60
GRANTS_KNOWN_S = 60 * 60
"""How long we believe what an installation grants."""
MIN_SKEW_S = 5.0
"""A difference between two clocks that is no accident of the way."""

_LEVELS = ("read", "write", "admin")


class AppAuth(httpx.Auth):
    """Signs as the App. Learns from a 401 how far our clock is off, and signs anew, once."""

    def __init__(self, *, app_id: str, private_key: str, clock: Clock) -> None:
        self._app_id = app_id
        self._private_key = private_key
        self._clock = clock
        self._skew_s = 0.0
        self._jwt = ""
        self._renew_at = 0.0

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        self._sign(request)
        response = yield request
        if response.status_code == 401:
            self._correct_clock(response)
            self._renew_at = 0.0
            self._sign(request)
            response = yield request
            if response.status_code == 401:  # perhaps mended by whoever reads the log, or by GitHub
                raise Unavailable(
                    "GitHub does not accept the App's signature: check APP_ID and PRIVATE_KEY, and "
                    "that this machine's clock is right"
                )

    def now(self) -> float:
        """Return the time by GitHub's clock, as far as we know it."""
        return self._clock.now() + self._skew_s

    def _sign(self, request: httpx.Request) -> None:
        now = self.now()
        if now >= self._renew_at:
            claims = {
                "iat": int(now) - JWT_BACKDATED_S,
                "exp": int(now) + JWT_LIFE_S,
                "iss": self._app_id,
            }
            self._jwt = jwt.encode(claims, self._private_key, algorithm="RS256")
            self._renew_at = now + JWT_LIFE_S - JWT_RENEWED_EARLY_S
        request.headers["Authorization"] = f"Bearer {self._jwt}"

    def _correct_clock(self, response: httpx.Response) -> None:
        """Take over GitHub's time, unless ours was right all along."""
        theirs = answered_at(response.headers)
        if theirs is not None and abs(theirs - self.now()) >= MIN_SKEW_S:
            self._skew_s = theirs - self._clock.now()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """What a token is for: one repository, by its id, or by its name beneath the account."""

    installation_id: InstallationId
    repository: int | str
    permissions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str = field(repr=False)
    expires_at: float

    def is_fresh(self, now: float) -> bool:
        return now < self.expires_at - TOKEN_RENEWED_EARLY_S


class _TokenWire(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: str

    def __repr__(self) -> str:
        return "_TokenWire(…)"


class _InstallationWire(msgspec.Struct, frozen=True, kw_only=True):
    id: InstallationId
    permissions: dict[str, str] = {}


class InstallationAuth(httpx.Auth):
    """Signs as an installation, for one repository. After a 401 the token is renewed, once."""

    def __init__(self, credentials: "AppCredentials", scope: _Scope) -> None:
        self._credentials = credentials
        self._scope = scope

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._credentials.token(self._scope)
        request.headers["Authorization"] = f"Bearer {token.text}"
        response = yield request
        if response.status_code == 401:
            token = await self._credentials.token(self._scope, refused=token)
            request.headers["Authorization"] = f"Bearer {token.text}"
            response = yield request
            if response.status_code == 401:  # not ours to mend: a wrong key gets no token at all
                raise Unavailable("GitHub does not accept a token that it has just given")


class AppCredentials:
    """The App's credentials, and the tokens made from them, which may do `permissions` there."""

    is_app = True

    def __init__(
        self,
        connection: Connection,
        *,
        app_id: str,
        private_key: str,
        permissions: Mapping[str, str] = PERMISSIONS,
    ) -> None:
        self._permissions = permissions
        self._app = AppAuth(app_id=app_id, private_key=private_key, clock=connection.clock)
        self._connection = connection
        self._session = Session(connection, self._app, Pace())
        self._tokens: dict[_Scope, _Token] = {}
        self._locks: dict[_Scope, asyncio.Lock] = {}
        self._may_resolve: dict[InstallationId, tuple[bool, float]] = {}

    @property
    def app(self) -> httpx.Auth:
        """Sign as the App itself."""
        return self._app

    def installation(self, target: Target) -> httpx.Auth:
        """Sign as the App's installation, for the target's repository only."""
        return self._auth(target, target.repository_id, self._permissions)

    def organisation(self, target: Target) -> httpx.Auth:
        """Sign as the same installation, for reading the account's `.github` repository only."""
        return self._auth(target, ORGANISATION, READING)

    async def resolving(self, target: Target) -> httpx.Auth | None:
        """Sign for resolving threads, if the installation grants more than a review needs."""
        may, until = self._may_resolve.get(target.installation_id, (False, 0.0))
        now = self._app.now()
        if until <= now:
            path = f"/app/installations/{target.installation_id}"
            granted = (await self._session.get_json(path, _InstallationWire)).permissions
            may = all(_covers(granted.get(name), level) for name, level in RESOLVING.items())
            self._may_resolve[target.installation_id] = may, now + GRANTS_KNOWN_S
        return self._auth(target, target.repository_id, RESOLVING) if may else None

    async def find(self, owner: str, repo: str, number: int) -> Target:
        """Find the ids behind the name of a repository, and its name of today. Raises Forbidden."""
        name = f"{segment(owner)}/{segment(repo)}"
        try:
            installed = await self._session.get_json(
                f"/repos/{name}/installation", _InstallationWire
            )
        except NotFound as exc:
            raise Forbidden(
                f"The App is not installed on {owner}/{repo}",
                remedy="Install it there, or check the address.",
            ) from exc
        target = Target(
            installation_id=installed.id, repository_id=0, owner=owner, repo=repo, number=number
        )
        session = Session(self._connection, self._auth(target, repo, LOOKING), Pace())
        found = await session.get_json(f"/repos/{name}", RepositoryWire)
        owner, _, repo = found.full_name.partition("/")
        return replace(target, repository_id=found.id, owner=owner, repo=repo)

    def _auth(
        self, target: Target, repository: int | str, permissions: Mapping[str, str]
    ) -> httpx.Auth:
        scope = _Scope(
            installation_id=target.installation_id,
            repository=repository,
            permissions=tuple(sorted(permissions.items())),
        )
        return InstallationAuth(self, scope)

    async def token(self, scope: _Scope, *, refused: _Token | None = None) -> _Token:
        """Return a fresh token, not the one that GitHub just refused.

        Whoever asks while another one is asking waits for that answer. Raises Forbidden.
        """
        async with self._locks.setdefault(scope, asyncio.Lock()):
            kept = self._tokens.get(scope)
            now = self._app.now()
            if kept is not None and kept is not refused and kept.is_fresh(now):
                return kept
            self._forget_stale(now)
            made = await self._make(scope)
            self._tokens[scope] = made
            return made

    def _forget_stale(self, now: float) -> None:
        """Drop what nobody asks for any more; an hour's tokens are all that is ever kept."""
        for scope, token in list(self._tokens.items()):
            if not token.is_fresh(now):
                del self._tokens[scope]
        for scope, lock in list(self._locks.items()):
            if scope not in self._tokens and not lock.locked():
                del self._locks[scope]

    async def _make(self, scope: _Scope) -> _Token:
        is_id = isinstance(scope.repository, int)
        body = {
            "repository_ids" if is_id else "repositories": [scope.repository],
            "permissions": dict(scope.permissions),
        }
        path = f"/app/installations/{scope.installation_id}/access_tokens"
        try:
            answer = await self._session.write("POST", path, body, is_repeatable=True)
        except NotFound as exc:
            raise Forbidden(
                "The App is not installed here",
                remedy="Install the App on this repository's account.",
            ) from exc
        except Refused as exc:
            if not is_id:  # most accounts have no such repository: nothing is wrong
                raise Forbidden("The App is not installed on this repository") from exc
            raise await self._not_granted(scope, exc) from exc
        wire = decode(answer, _TokenWire)
        try:
            expires_at = parse_time(wire.expires_at)
        except ValueError as exc:
            raise Unavailable("GitHub gave a token without a time that we can read") from exc
        return _Token(text=wire.token, expires_at=expires_at)

    async def _not_granted(self, scope: _Scope, refused: Refused) -> Forbidden:
        """Find out which permission is missing: GitHub's refusal does not say."""
        path = f"/app/installations/{scope.installation_id}"
        granted = (await self._session.get_json(path, _InstallationWire)).permissions
        missing = [
            f"{name}: {level}"
            for name, level in scope.permissions
            if not _covers(granted.get(name), level)
        ]
        if missing:
            remedy = (
                f"Grant the App {', '.join(missing)} in its settings, and accept the new "
                "permissions where it is installed."
            )
        else:
            remedy = "Add this repository to the App's installation."
        return Forbidden(f"GitHub gives the App no token: {refused}", remedy=remedy)


def _covers(granted: str | None, level: str) -> bool:
    return granted in _LEVELS and _LEVELS.index(granted) >= _LEVELS.index(level)
