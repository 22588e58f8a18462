"""A scene for the adapters: the stand-in with one pull request, a clock that nobody waits for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.demo.faults import RecordedRequest
from app.demo.github import create_app
from app.demo.records import PullRequest, Repository
from app.demo.state import AppIdentity, State, new_app
from app.github.auth import AppCredentials
from app.github.transport import Connection, GitHub
from app.review.config import Config
from app.review.diff import parse_diff
from app.review.pull import Change, InstallationId, Sha, Target
from app.review.pull import PullRequest as Pull

BEFORE = "".join(f"line {n}\n" for n in range(1, 31))
AFTER = BEFORE.replace("line 3\n", "line three\n").replace("line 20\n", "line 20\nline 20b\n")
FILES = {"a.py": AFTER, "b.py": "new = 1\n"}


@dataclass(slots=True)
class FakeClock:
    """Time that passes only where somebody waits for it."""

    at: float = 1_767_300_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One GitHub, one pull request, and us."""

    clock: FakeClock
    state: State
    repository: Repository
    pull: PullRequest
    client: httpx.AsyncClient
    private_key: str
    connection: Connection
    github: GitHub
    target: Target

    def calls(self, *hidden: str) -> list[str]:
        """What we asked, as "METHOD path-below-the-repository", in order."""
        return [
            call
            for call in map(_short, self.state.requests)
            if not call.startswith(("GET /app", "POST /app", *hidden))
        ]

    def change(self, head_sha: str | None = None, config: Config | None = None) -> Change:
        """The pull request as it would be opened now."""
        head = Sha(head_sha or self.pull.head_sha)
        diff = self.repository.git.diff(self.pull.merge_base(), head)
        pull = Pull(
            target=self.target,
            title=self.pull.title,
            body="",
            author=self.pull.author,
            state="open",
            is_draft=False,
            is_locked=False,
            is_archived=False,
            head_sha=head,
            base_sha=Sha(self.pull.base_sha),
            base_ref="main",
            default_branch="main",
        )
        return Change(
            pull=pull,
            title=pull.title,
            body=pull.body,
            head_sha=pull.head_sha,
            base_sha=pull.base_sha,
            diff=parse_diff(diff),
            config=config or Config(),
        )


@pytest.fixture(scope="session")
def app_and_key() -> tuple[AppIdentity, str]:
    return new_app("secret")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def scene(
    tmp_path: Path, clock: FakeClock, app_and_key: tuple[AppIdentity, str], anyio_backend: str
) -> AsyncIterator[Scene]:
    app, private_key = app_and_key
    state = State(tmp_path, app, now=clock.now)
    repository = state.create_repository("octo/shop", {"a.py": BEFORE})
    pull = state.open_pull_request(repository, FILES)
    clock.at += 3_600  # so that nothing was pushed just now
    installation = state.installation_of(repository)
    assert installation is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(state))) as client:
        connection = Connection(client, clock=clock, jitter=lambda: 1.0)
        credentials = AppCredentials(connection, app_id=str(app.id), private_key=private_key)
        yield Scene(
            clock=clock,
            state=state,
            repository=repository,
            pull=pull,
            client=client,
            private_key=private_key,
            connection=connection,
            github=GitHub(connection, credentials),
            target=Target(
                installation_id=InstallationId(installation.id),
                repository_id=repository.id,
                owner=repository.owner,
                repo=repository.name,
                number=pull.number,
            ),
        )


def _short(request: RecordedRequest) -> str:
    parts = request.path.split("/")
    below = "/".join(parts[4:]) if parts[1] == "repos" else request.path
    return f"{request.method} {below}"
