"""What the pipeline needs from the world, as small protocols. Adapters implement them; only
`bootstrap` and `single_runs` build adapters; everyone else is handed `Services`."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Protocol

from msgspec import Meta

from app.jobs.job import Job, JobId, JobState, Lane, NewJob
from app.review.answer import Answer, Usage
from app.review.config import DEFAULTS, Config, Configured
from app.review.dry_run import DryRun
from app.review.event import CommentRef, Request
from app.review.feedback import Feedback
from app.review.findings import Candidate, Finding
from app.review.focus import Area
from app.review.history import History
from app.review.price import Spent
from app.review.prompt import Prompt
from app.review.pull import Change, PullRequest, RunId, Sha, Target
from app.review.receipt import Receipt, ReceiptFinding
from app.review.render import Review
from app.review.syntax import Language
from app.review.talk import Talk
from app.review.threads import Closing, Standing


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


class Policies(Protocol):
    """What is decided about a pull request before anybody looks into its diff."""

    async def look(self, target: Target) -> tuple[PullRequest, Configured]:
        """Fetch a pull request as it is now, and the configuration that governs it."""


async def always_ours() -> None:
    """Hold a run that nobody else could have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a review. `attempt` counts from 1; it grows when a run is taken up again.

    `renew` is called before each visible write; it raises when this attempt has lost the run to
    another one.
    """

    id: RunId
    attempt: int
    renew: Callable[[], Awaitable[None]] = always_ours


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

    async def fail(
        self,
        target: Target,
        run_id: RunId,
        receipt: Receipt,
        *,
        check_name: str = DEFAULTS.check_name,
    ) -> None:
        """Complete the check of a run that ended without a verdict of its own.

        `check_name` is for a run that never came to open one.
        """


class Publisher(Protocol):
    async def publish(self, change: Change, run: Run, review: Review) -> None:
        """Post the review exactly once, however often it is called for this run.

        Raises Overtaken when the reviewed commit is no longer part of the pull request.
        """


class Threads(Protocol):
    """What stands on a pull request's diff. Where it cannot be had or changed, work goes on."""

    async def fetch(self, target: Target) -> Standing:
        """Read the threads, and which findings our reviews told."""

    async def renamed(self, target: Target, since: Sha, until: Sha) -> Mapping[str, str]:
        """Return what was renamed from one head to the next, old path → new path."""

    async def close(self, target: Target, run: Run, closings: Sequence[Closing]) -> None:
        """Edit our comments and minimise them, and resolve their threads where we may; twice is
        once."""


class Reaction(StrEnum):
    """Values are REST's words, names GraphQL's."""

    EYES = "eyes"
    THUMBS_UP = "+1"
    CONFUSED = "confused"


class Conversation(Protocol):
    async def react(self, target: Target, comment: CommentRef, reaction: Reaction) -> None:
        """React to a comment, if GitHub lets us; reacting twice is reacting once."""

    async def say(self, target: Target, key: str, text: str, thread: int | None = None) -> None:
        """Comment on the pull request, or edit our comment that was said under the same key.

        With `thread`, the id of a thread's first comment, reply there.
        """

    async def put_on_top(self, target: Target, comment_id: int, line: str) -> None:
        """Let our comment on the diff begin with this line; twice is once."""


class Talks(Protocol):
    async def read(self, target: Target, root: int, *, until: int) -> Talk | None:
        """Return what a thread says until a comment (ids), and with it; None where it is gone."""


class Dismissals(Protocol):
    """Which findings are not wanted on a pull request."""

    async def dismiss(self, target: Target, finding: ReceiptFinding, who: str) -> None:
        """Remember who dismissed a finding; twice is once."""

    async def dismissed(self, target: Target) -> Sequence[Finding]:
        """Return the findings that were dismissed, in that order."""


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

    @property
    def token_ratio(self) -> float:
        """How many tokens the server counts for one of ours (`review/tokens.py`), so far."""

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask one question. Raises a ModelError that says why there is no answer."""


class Models(Protocol):
    """The models that a run may use, and what it has spent on them."""

    @property
    def name(self) -> str:
        """The model that is asked unless a configuration names another."""

    def open(self, target: Target, run_id: RunId, config: Config) -> Model:
        """Return the model for one run, within its limits of money."""

    async def spent(self, run_id: RunId) -> Spent:
        """Return what a run has cost, before a restart too."""


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


class Outputs(Protocol):
    """What analysers printed, kept by the content of what they were given."""

    async def output(self, key: str) -> bytes | None: ...

    async def keep_output(self, key: str, stdout: bytes) -> None: ...


class Syntax(Protocol):
    async def count_errors(
        self, language: Language, texts: Sequence[str]
    ) -> tuple[int | None, ...]:
        """Count the errors in each text; None where nobody could tell. Raises nothing."""


class Answers(Protocol):
    """Model answers, kept by the content of their question."""

    async def get(self, key: str) -> Answer | None: ...

    async def put(self, key: str, answer: Answer) -> None: ...


class Credit(Protocol):
    async def has_credit(self) -> bool | None:
        """Say whether the model server answers for money that is left; None: it does not tell."""

    async def is_used_up(self) -> bool:
        """Say whether the model server tells that nothing is left."""


class Budget(Protocol):
    async def check(self, target: Target) -> None:
        """Raise OverBudget where a limit leaves no room for one more question there."""


class Ledger(Protocol):
    """What model calls have cost, by account."""

    async def book(self, accounts: Sequence[str], usage: Usage, usd: float | None) -> None:
        """Add a call to each of these accounts; `usd` is None where its price is unknown."""

    async def spent(self, accounts: Sequence[str]) -> Mapping[str, Spent]:
        """Return the sums of these accounts; of unknown ones, that nothing was spent."""


class Memory(Protocol):
    """What we remember of a pull request from one run to the next."""

    async def settle_budget(self, run_id: RunId, tokens: int) -> int:
        """Return the tokens that one question of this run may have; the first to say so counts.

        So a run that is taken up again makes the same chunks and asks the same questions.
        """

    async def recall(self, target: Target, run_id: RunId) -> History:
        """Tell what runs other than this one have said about a pull request."""

    async def keep(
        self,
        target: Target,
        receipt: Receipt,
        covered: Collection[str] = (),
        became: Collection[Feedback] = (),
    ) -> None:
        """Keep a run's receipt, what it covered and what became of findings; twice is once."""


class Statistics(Protocol):
    async def outcomes(self) -> Mapping[Area, Mapping[str, int]]:
        """Count per area how many findings were said, fixed, dismissed, disliked, resolved, and
        are open (neither fixed nor dismissed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCheck:
    """A check run of ours; without an `id` it is only known that we were about to open it.

    `conclusion` is GitHub's word, None until it was completed.
    """

    run_id: RunId
    target: Target
    head_sha: str
    name: str
    id: int | None = None
    conclusion: str | None = None


class CheckRuns(Protocol):
    """Which check runs on GitHub belong to which of our runs: one for each run and head."""

    async def check_runs(self, run_id: RunId) -> Sequence[KnownCheck]:
        """Return what this run opened or was about to open, oldest first."""

    async def keep_check(self, check: KnownCheck) -> None:
        """Remember a check run; what is told later of the same run and head replaces it."""

    async def forget_check(self, check: KnownCheck) -> None:
        """Forget a check run that was never opened, or is gone."""


class KnownChecks(Protocol):
    """Whose check runs those are that somebody wants again."""

    async def check_runs(self, run_id: RunId) -> Sequence[KnownCheck]:
        """Return what this run opened or was about to open, oldest first."""

    async def checks_on(self, head_sha: str) -> Sequence[KnownCheck]:
        """Return what any run opened or was about to open on a commit, oldest first."""


class Statements(Protocol):
    """Verdicts for which nothing needs to be reviewed."""

    async def post(self, check: KnownCheck, receipt: Receipt) -> None:
        """Post a completed check run on its head; twice is once."""


class Told(Protocol):
    """What was told about a pull request."""

    async def keep(self, target: Target, receipt: Receipt) -> None:
        """Keep a run's receipt; twice is once."""

    async def last_verdict(self, target: Target) -> Receipt | None:
        """Return the receipt of the last run that came to a verdict."""

    async def note_other_codex(self, target: Target, at: float) -> None:
        """Remember that OpenAI's own bot wrote in a repository, when (epoch seconds)."""

    async def receipt(self, run_id: RunId) -> Receipt | None:
        """Return the receipt of a run that ended."""


class Pauses(Protocol):
    """Where nobody wants automatic reviews."""

    async def is_paused(self, target: Target) -> bool: ...

    async def pause(self, target: Target, is_paused: bool) -> None: ...


class Receipts(Protocol):
    async def receipt(self, run_id: RunId) -> Receipt | None:
        """Return the verdict of a run that came to one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which reviews to list; an empty text is none. `before` is a `KnownRun.id`."""

    state: str = ""
    repository: str = ""
    pull: str = ""
    asked: Literal["", "person", "automatic"] = ""
    before: Annotated[int, Meta(ge=1, le=2**62)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A review, as far as it has come. `state` is the job's until there is a verdict.

    Times are epoch seconds, None where something has not happened: `planned_at` when the change
    was read, `answered_at` when the model answered last, `concluded_at` when the verdict was known.
    """

    id: int
    run_id: RunId
    target: Target
    state: str
    is_automatic: bool
    reason: str
    receipt: Receipt | None
    created_at: float
    started_at: float | None
    planned_at: float | None
    answered_at: float | None
    concluded_at: float | None
    ended_at: float | None


class Runs(Protocol):
    """The reviews that we remember, for people."""

    async def listed(self, wanted: RunFilter, limit: int) -> Sequence[KnownRun]:
        """Return reviews that fit, the newest first."""

    async def one(self, run_id: RunId) -> KnownRun | None:
        """Return a review, the latest try of its run."""

    async def last_delivery(self) -> float | None:
        """Return when the last delivery came (epoch seconds)."""


class UnfinishedChecks(Protocol):
    async def unfinished_checks(self, *, since: float, before: float) -> Sequence[KnownCheck]:
        """Return what we began between these times (epoch seconds) and did not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDelivery:
    """One delivery as GitHub lists it, all its attempts together.

    `id` is that of the latest attempt and `delivered_at` its time, by GitHub's clock in epoch
    seconds; `guid` is what came, or should have come, as X-GitHub-Delivery.
    """

    guid: str
    id: int
    delivered_at: float
    is_failed: bool
    event: str
    action: str


class Deliveries(Protocol):
    """What GitHub recorded of the App's deliveries."""

    async def listed(self, since: float) -> Sequence[ListedDelivery]:
        """List what was delivered since then (epoch seconds), or tried to be; oldest first."""

    async def fetch(self, delivery: ListedDelivery) -> bytes | None:
        """Return a delivery's payload as JSON; None where GitHub does not have it any more."""


class SeenDeliveries(Protocol):
    """How far GitHub's list was worked off."""

    async def caught_up_until(self) -> float | None:
        """Return the time that was noted last; None before the first time."""

    async def unseen(self, ids: Collection[str]) -> frozenset[str]:
        """Return those of these deliveries that led to no job yet and were not examined."""

    async def note_examined(self, deliveries: Collection[ListedDelivery]) -> None:
        """Remember that these need no second look, whatever became of them."""

    async def note_caught_up(self, until: float, *, listed_from: float) -> None:
        """Note a time; what was delivered before `listed_from` will not be asked for again."""


class Kept(Protocol):
    """All that we keep."""

    async def clean(self, before: float) -> int:
        """Remove what is older (epoch seconds), bit by bit; return the number of rows."""

    async def size(self) -> int:
        """Return the bytes that are in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What one review needs. `models` is None where only analysers run."""

    changes: Changes
    verdicts: Verdicts
    publisher: Publisher
    threads: Threads
    memory: Memory
    models: Models | None
    finders: tuple[Finder, ...]
    syntax: Syntax


class Jobs(Protocol):
    """The queue. What it stored survives a restart; every method may raise Unavailable."""

    async def submit(self, delivery_id: str | None, new: Sequence[NewJob]) -> tuple[JobId, ...]:
        """Store a delivery and its jobs in one transaction; return the ids of those stored.

        Nothing is stored of a delivery seen before, nor of a job whose dedupe key was.
        """

    async def cancel(self, target: Target, asked_before: float = 0.0) -> int:
        """Stop the queued and running reviews of a pull request; return how many.

        With `asked_before` (epoch seconds) only those that somebody asked for, or that began,
        until then: a word that comes late stops nothing that was said after it.
        """

    async def stop(self, run_id: RunId) -> None:
        """Stop the review of one run, if it waits or runs."""

    async def status(self, id: JobId | RunId) -> Job | None:
        """Return a job, or the latest job of a run, as it is now."""

    async def reviews(self, target: Target) -> Sequence[Job]:
        """Return the reviews of a pull request that wait or run and were not stopped, oldest
        first."""

    async def listed(
        self, repositories: Collection[str] | None, *, before: JobId | None, limit: int
    ) -> Sequence[Job]:
        """Return reviews that we still remember, the newest first, older than `before`.

        `repositories` are full names in lower case; None: all.
        """

    async def n_reviewed(self, target: Target, since: float) -> int:
        """Count the reviews of the target's installation that began since then and were not in
        vain."""

    async def counts(self) -> Mapping[tuple[Lane, JobState], int]:
        """Count the jobs that we still remember."""

    async def waiting_since(self) -> Mapping[Lane, float]:
        """Return when the oldest job was stored (epoch seconds) of those that could begin."""

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
        """Return an event that is set when, from now on, a job of the lane may be claimable.

        One that must wait for the end of another is news when that ends.
        """

    def stops(self) -> asyncio.Event:
        """Return an event that is set when, from now on, a running job is told to stop."""


class Foresight(Protocol):
    async def foresee(self, target: Target, run_id: RunId, request: Request) -> DryRun:
        """Tell what a review of what is not covered yet would ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What needs no review needs this: answers to commands, looks at what happened."""

    permissions: Permissions
    conversation: Conversation
    talks: Talks
    dismissals: Dismissals
    policies: Policies
    jobs: Jobs
    pauses: Pauses
    told: Told
    checks: KnownChecks
    statements: Statements
    foresight: Foresight
