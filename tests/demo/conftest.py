"""A stand-in with one repository and one pull request, and a client that is the App."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.demo.github import create_app
from app.demo.records import PullRequest, Repository
from app.demo.state import AppIdentity, State, new_app

STARTED_AT = 1_780_000_000.0

BEFORE = "".join(f"line {number}\n" for number in range(1, 41))
AFTER = BEFORE.replace("line 5\n", "line five\n").replace("line 30\n", "line 30\nline 30b\n")


class Clock:
    def __init__(self) -> None:
        self.at = STARTED_AT

    def __call__(self) -> float:
        return self.at


class Receiver(httpx.AsyncBaseTransport):
    """The App's webhook: keeps what came, answers what it is told."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        status = self.statuses.pop(0)
        if status == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(status)


def receive(state: State, *statuses: int) -> Receiver:
    receiver = Receiver(*statuses)
    state.hook.url, state.hook.transport = "https://app.test/webhook", receiver
    return receiver


@dataclass(frozen=True)
class Client:
    """Speaks for the App: `as_app` with its JWT, all else with a token of everything granted."""

    http: httpx.AsyncClient
    state: State
    key: RSAPrivateKey
    token: str

    def jwt(self, **claims: object) -> str:
        now = int(self.state.now())
        usual = {"iat": now - 60, "exp": now + 540, "iss": str(self.state.app.id)}
        return jwt.encode({**usual, **claims}, self.key, "RS256")

    async def as_app(
        self, method: str, path: str, json: object = None, *, bearer: str | None = None
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {bearer or self.jwt()}"}
        return await self.http.request(method, path, json=json, headers=headers)

    async def __call__(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        token: str | None = None,
        accept: str = "application/vnd.github+json",
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {token or self.token}", "accept": accept}
        return await self.http.request(method, path, json=json, headers=headers)

    async def new_token(self, **asked: object) -> str:
        installation = next(iter(self.state.installations))
        path = f"/app/installations/{installation}/access_tokens"
        answer = await self.as_app("POST", path, asked)
        assert answer.status_code == 201, answer.text
        text: str = answer.json()["token"]
        return text


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, RSAPrivateKey]:
    """Reading a key takes longer than a whole test: once is enough."""
    app, key = new_app("a secret")
    loaded = load_pem_private_key(key.encode(), None)
    assert isinstance(loaded, RSAPrivateKey)
    return app, loaded


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path, identity: tuple[AppIdentity, RSAPrivateKey], clock: Clock) -> State:
    return State(tmp_path, identity[0], now=clock)


@pytest.fixture
def repository(state: State) -> Repository:
    return state.create_repository("acme/shop", {"app.py": BEFORE, "docs/a.md": "# A\n"})


@pytest.fixture
def pull(state: State, repository: Repository) -> PullRequest:
    return state.open_pull_request(repository, {"app.py": AFTER, "new.py": "one\ntwo\n"})


@pytest.fixture
async def client(
    state: State, repository: Repository, identity: tuple[AppIdentity, RSAPrivateKey]
) -> AsyncGenerator[Client, None]:
    transport = httpx.ASGITransport(app=create_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="https://api.github.com") as http:
        made = Client(http, state, identity[1], "")
        yield Client(http, state, identity[1], await made.new_token())


@pytest.fixture
def review_of(pull: PullRequest) -> Callable[..., dict[str, object]]:
    """The body of a review; what is given replaces the usual."""

    def build(*comments: dict[str, object], **given: object) -> dict[str, object]:
        usual = {"commit_id": pull.head_sha, "body": "Read it.", "event": "COMMENT"}
        return {**usual, "comments": list(comments), **given}

    return build
