"""What the pipeline needs from the world, as small protocols. Adapters implement them; only
`bootstrap` builds adapters; everyone else is handed `Services`."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.jobs.job import Job, JobId, JobState, Lane, NewJob
from app.review.answer import Answer
from app.review.event import CommentRef
from app.review.findings import Candidate
from app.review.history import History
from app.review.prompt import Prompt
from app.review.pull import Change, RunId, Target
from app.review.receipt import Receipt
from app.review.render import Review


class Clock(Protocol):
    def now(self) -> float:
        """Return the time in epoch seconds."""

    async def sleep(self, seconds: float) -> None: ...


class Changes(Protocol):
    """Where changes come from."""

    async def open(self, target: Target) -> Change:
        """Fetch a pull request, pin both ends and parse its diff."""

    async def confirm(self, change: Change) -> None:
        """Raise Overtaken when the head has moved since the change was opened."""

    async def read(self, change: Change, path: str) -> bytes | None:
        """Return a changed file at the head; None where it cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a review. `attempt` counts from 1; it grows when a run is taken up again."""

    id: RunId
    attempt: int


class Check(Protocol):
    """An open check run (or nothing, on the terminal)."""

    def finish(self, receipt: Receipt) -> None:
        """Note the verdict; it is posted when the context closes."""


class Verdicts(Protocol):
    def open(self, change: Change, run: Run) -> AbstractAsyncContextManager[Check]:
        """Open the run's check on the head; opening it again for the same run finds the same one.

        Leaving with a verdict completes it; leaving with Overtaken completes it as superseded;
        any other error leaves it open for the next attempt or for `fail`.
        """

    async def fail(self, target: Target, run_id: RunId, receipt: Receipt) -> None:
        """Complete the check of a run that ended without a verdict of its own."""


class Publisher(Protocol):
    async def publish(self, change: Change, run: Run, review: Review) -> None:
        """Post the review exactly once, however often it is called for this run.

        Raises Overtaken when the reviewed commit is no longer part of the pull request.
        """


class Reaction(StrEnum):
    EYES = "eyes"
    THUMBS_UP = "+1"
    CONFUSED = "confused"


class Conversation(Protocol):
    async def react(self, target: Target, comment: CommentRef, reaction: Reaction) -> None:
        """React to a comment; reacting twice is reacting once."""

    async def say(self, target: Target, key: str, text: str) -> None:
        """Comment on the pull request, or edit our comment that was said under the same key."""


class Permission(StrEnum):
    ADMIN = "admin"
    WRITE = "write"
    READ = "read"
    NONE = "none"


class Permissions(Protocol):
    async def permission(self, target: Target, login: str) -> Permission:
        """Ask GitHub what a person may do. Unknown people may do nothing."""


class Model(Protocol):
    @property
    def name(self) -> str: ...

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask one question. Raises a ModelError that says why there is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one analyser found; `not_analysed` names files it should have seen, and why not."""

    finder: str
    candidates: tuple[Candidate, ...] = ()
    not_analysed: Mapping[str, str] | None = None


class Finder(Protocol):
    """A static analyser. Raises nothing: what it cannot do it names in `not_analysed`."""

    @property
    def name(self) -> str: ...

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Analyse the changed files, given as path → content at the head."""

    def wants(self, path: str) -> bool:
        """Say whether this analyser needs the whole content of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child process ended. `status` is None when it was stopped for `problem`."""

    status: int | None
    stdout: bytes
    stderr: bytes
    problem: str | None = None


class Child(Protocol):
    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        """Run a program in an empty folder that holds `files` (safe relative names → content).

        The program gets an empty environment, no input, and limits on time, memory, output
        and processes.
        """


class Answers(Protocol):
    """Model answers, kept by the content of their question."""

    async def get(self, key: str) -> Answer | None: ...

    async def put(self, key: str, answer: Answer) -> None: ...


class Memory(Protocol):
    """What we remember of a pull request from one run to the next."""

    async def recall(self, target: Target, run_id: RunId) -> History:
        """Tell what runs other than this one have said about a pull request."""

    async def keep(self, target: Target, receipt: Receipt, covered: Collection[str] = ()) -> None:
        """Keep a run's receipt, its findings and what it covered; twice is once."""


class CheckRuns(Protocol):
    """Which check runs on GitHub belong to which of our runs."""

    async def check_run(self, run_id: RunId) -> tuple[int, str] | None:
        """Return (check run id, head sha) of this run's latest check run."""

    async def keep_check_run(self, run_id: RunId, check_run_id: int, head_sha: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What one review needs. `model` is None where only analysers run."""

    changes: Changes
    verdicts: Verdicts
    publisher: Publisher
    memory: Memory
    model: Model | None
    finders: tuple[Finder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What answering a command needs."""

    permissions: Permissions
    conversation: Conversation


class Jobs(Protocol):
    """The queue. What it stored survives a restart; every method may raise Unavailable."""

    async def submit(self, delivery_id: str | None, new: Sequence[NewJob]) -> tuple[JobId, ...]:
        """Store a delivery and its jobs in one transaction; return the ids of those stored.

        Nothing is stored of a delivery seen before, nor of a job whose dedupe key was.
        """

    async def cancel(self, target: Target) -> int:
        """Stop the queued and running reviews of a pull request; return how many."""

    async def status(self, id: JobId | RunId) -> Job | None:
        """Return a job, or the latest job of a run, as it is now."""

    async def counts(self) -> Mapping[tuple[Lane, JobState], int]:
        """Count the jobs that we still remember."""

    async def claim(self, lane: Lane) -> Job | None:
        """Take the next job of a lane under a lease, if limits and fairness allow one.

        A job with `ending` is handed out to be reported, not run.
        """

    async def renew(self, job: Job) -> JobState | None:
        """Extend the lease of a claimed job; return what it must stop as, if anything.

        Raises LeaseLost when the job is no longer this claim's. So do the three below.
        """

    async def finish(self, job: Job, state: JobState, following: Sequence[NewJob] = ()) -> None:
        """End a claimed job and store, in the same transaction, the jobs that follow from it."""

    async def retry(
        self, job: Job, not_before: float, reason: str, ending: JobState | None = None
    ) -> None:
        """Put a claimed job back; with `ending` it will only be reported as ended so."""

    async def hand_back(self, job: Job) -> None:
        """Put a claimed job back as if it had not been claimed; no crash, no retry is counted."""

    def news(self, lane: Lane) -> asyncio.Event:
        """Return an event that is set when, from now on, a job of the lane may be claimable."""

    def stops(self) -> asyncio.Event:
        """Return an event that is set when, from now on, a running job is told to stop."""
