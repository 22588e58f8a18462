"""Jobs with defaults plus what a test cares about, and clocks that nobody waits for."""

import asyncio
import time
from dataclasses import dataclass, field

from app.jobs.job import NewJob, Respond, Review
from app.review.event import CommentKind, CommentRef
from app.review.pull import InstallationId, RunId, Target

COMMENT = CommentRef(kind=CommentKind.ISSUE_COMMENT, id=11, author="ann")


@dataclass(slots=True)
class FakeClock:
    """Time that passes only where a test moves it."""

    at: float = 1_767_300_000.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass(slots=True)
class FastClock:
    """A clock on which a second passes in ten milliseconds."""

    started: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        return 1_767_300_000.0 + 100 * (time.monotonic() - self.started)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


def target(number: int = 1, *, installation: int = 7, repository: int = 70) -> Target:
    return Target(
        installation_id=InstallationId(installation),
        repository_id=repository,
        owner="acme",
        repo="shop",
        number=number,
    )


def review(
    number: int = 1,
    *,
    installation: int = 7,
    key: str | None = None,
    supersedes: bool = False,
    is_automatic: bool = False,
    asked_at: float = 0.0,
) -> NewJob:
    key = key or f"review/{installation}/{number}"
    pull = target(number, installation=installation)
    return NewJob(
        work=Review(target=pull, comment=COMMENT, is_automatic=is_automatic, asked_at=asked_at),
        run_id=RunId(f"run-{key}"),
        dedupe_key=key,
        supersedes=supersedes,
    )


def respond(key: str = "respond") -> NewJob:
    return NewJob(
        work=Respond(target=target(), comment=COMMENT, line="@codex review"),
        run_id=RunId(f"run-{key}"),
        dedupe_key=key,
    )
