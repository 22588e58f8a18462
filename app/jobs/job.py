"""What a job is, how it may change, and what its work looks like on disk. Pure: knows no queue.

The work is tagged JSON, so that any release can take up any job: new fields need a default, and
a tag, once released, keeps its meaning.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

import msgspec

from app.errors import Unwanted
from app.review.event import CommentRef
from app.review.focus import Area
from app.review.pull import RunId, Target

JobId = NewType("JobId", int)

# A job that took its process down this often is not run again: it is only reported.
CRASHES_UNTIL_POISON = 3


class Lane(StrEnum):
    """Quick answers never wait for reviews, for looks at what happened by itself, nor for answers
    that a model is asked for."""

    RESPOND = "respond"
    LOOK = "look"
    ASK = "ask"
    REVIEW = "review"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


# Running → queued: another try later, handed back at a stop, or its lease ran out.
# Queued → failed: this release cannot read the work.
NEXT: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(JobState) - {JobState.QUEUED, JobState.DONE},
    JobState.RUNNING: frozenset(JobState) - {JobState.RUNNING},
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.SUPERSEDED: frozenset(),
}
ENDED = frozenset(state for state, following in NEXT.items() if not following)


class Respond(msgspec.Struct, frozen=True, kw_only=True, tag="respond"):
    """Answer one command. `line` is the command as it was written; the handler parses it.

    `is_archived`: the repository takes no writes, so there is nothing to answer with. `is_bot`:
    a bot wrote it, or an App on behalf of somebody. `said_at`: when (epoch seconds), 0 if unknown.
    """

    target: Target
    comment: CommentRef
    line: str
    is_archived: bool = False
    is_bot: bool = False
    said_at: float = 0.0


class Review(msgspec.Struct, frozen=True, kw_only=True, tag="review"):
    """Review a pull request. `areas` is None for the configured ones; `asked_at` is when somebody
    asked (epoch seconds), 0 where nobody did. Without `post` nothing is written there, neither
    review nor check run. `tests`: somebody wants the repository's tests run."""

    target: Target
    comment: CommentRef | None = None
    areas: tuple[Area, ...] | None = None
    full: bool = False
    wish: str | None = None
    is_automatic: bool = False
    asked_at: float = 0.0
    post: bool = True
    tests: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Answer a question about the code, as it was asked in a comment."""

    target: Target
    comment: CommentRef
    question: str


class Restate(msgspec.Struct, frozen=True, kw_only=True, tag="restate"):
    """Tell the verdict without what was dismissed; nothing is looked at anew."""

    target: Target


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """Look at a pull request to which something happened: a trigger as `automatic` names it."""

    target: Target
    trigger: str


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """Stop what runs on a closed pull request although nobody asked for it."""

    target: Target


class Again(msgspec.Struct, frozen=True, kw_only=True, tag="again"):
    """Review again what a check run or suite is about; find out which pull requests those are.

    `asked_run` is the run of the check run, empty for a suite; `numbers` are those that GitHub
    named. The target's own number is 0.
    """

    target: Target
    head_sha: str
    asked_run: str = ""
    numbers: tuple[int, ...] = ()
    full: bool = False


class MergeGroup(msgspec.Struct, frozen=True, kw_only=True, tag="merge_group"):
    """Tell a merge queue the verdict about a pull request, on the commit that it would merge."""

    target: Target
    head_sha: str


class Parked(msgspec.Struct, frozen=True, kw_only=True, tag="parked"):
    """Wait for money, then review. `run` is the run that had none, `since` when (epoch seconds)."""

    target: Target
    review: Review
    run: str
    since: float


class Met(msgspec.Struct, frozen=True, kw_only=True, tag="met"):
    """Note that OpenAI's own bot wrote in a repository, when (epoch seconds)."""

    target: Target
    at: float


Work = Respond | Review | Ask | Restate | Look | Close | Again | MergeGroup | Parked | Met

LANE_OF: Mapping[type, Lane] = {
    Respond: Lane.RESPOND,
    Review: Lane.REVIEW,
    Ask: Lane.ASK,
    Restate: Lane.LOOK,
    Look: Lane.LOOK,
    Close: Lane.LOOK,
    Again: Lane.RESPOND,
    MergeGroup: Lane.RESPOND,
    Parked: Lane.LOOK,
    Met: Lane.LOOK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work to be stored. Of several with one `dedupe_key` the first is stored, for good.

    `supersedes`: the same transaction stops older reviews of the same pull request. `delay_s`:
    it is not begun earlier than so many seconds from now.
    """

    work: Work
    run_id: RunId
    dedupe_key: str
    supersedes: bool = False
    delay_s: float = 0.0

    @property
    def lane(self) -> Lane:
        return LANE_OF[type(self.work)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A stored job, as it was when it was claimed or looked at.

    `attempt` counts claims and names the lease, `retries` counts tries that failed and were worth
    another. `ending` is set when the job must not run (any more) but only be reported as ended
    so, for `reason`: somebody stopped it, it gave up, or it is poison. Times are epoch seconds;
    `started_at` is that of the first claim. `delivery_id` is the delivery it all began with.
    """

    id: JobId
    lane: Lane
    state: JobState
    work: Work
    run_id: RunId
    dedupe_key: str
    attempt: int
    retries: int
    crashes: int
    ending: JobState | None
    reason: str
    created_at: float
    started_at: float | None
    delivery_id: str | None = None

    @property
    def target(self) -> Target:
        return self.work.target


class LeaseLost(Exception):
    """The job was given to somebody else or has ended; whatever it still wants to do is void."""


class Stopped(Unwanted):
    """What the failure handler is told when somebody stopped the job: `state` says how."""

    def __init__(self, state: JobState) -> None:
        super().__init__(_STOPPED_BY.get(state, f"the review was {state.value}"))
        self.state = state


_STOPPED_BY: Mapping[JobState, str] = {
    JobState.CANCELLED: "a person stopped it",
    JobState.SUPERSEDED: "a newer review takes its place",
}


def command_key(target: Target, comment: CommentRef, index: int, line: str) -> str:
    """Name the command that stands `index`-th in a comment, so that it is obeyed once."""
    text = hashlib.sha256(line.encode()).hexdigest()[:16]
    return f"{target.repository_id}/{comment.kind.value}/{comment.id}/{index}/{text}"


def name_run(*parts: str) -> RunId:
    """Name the run that these lead to; the same parts always lead to the same run."""
    named = "/".join(parts).encode("utf-8", "surrogateescape")
    return RunId(hashlib.sha256(named).hexdigest()[:16])


def encode_work(work: Work) -> str:
    return msgspec.json.encode(work).decode()


def decode_work(text: str) -> Work:
    """Read work of any release. Raises msgspec.DecodeError when this one cannot."""
    work: Work = msgspec.json.decode(text, type=Work)
    return work


def ending_after_crash(crashes: int, ending: JobState | None) -> JobState | None:
    """Tell what a job must end as, now that its process has died `crashes` times over it."""
    return ending or (JobState.FAILED if crashes >= CRASHES_UNTIL_POISON else None)
