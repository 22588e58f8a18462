"""What happened on GitHub, as far as it concerns us, and what somebody asked for."""

from dataclasses import dataclass
from enum import StrEnum

from app.review.focus import Area
from app.review.pull import Target


class CommentKind(StrEnum):
    ISSUE_COMMENT = "issue_comment"
    REVIEW_COMMENT = "review_comment"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentRef:
    """A comment that we may answer or react to.

    `in_reply_to` is the first comment of its thread on the diff, None where it is itself the first.
    `node_id` is a review's name in GraphQL.
    """

    kind: CommentKind
    id: int
    author: str
    in_reply_to: int | None = None
    node_id: str = ""

    @property
    def thread(self) -> int | None:
        """The first comment of the thread that it stands in; None outside of the diff."""
        return (self.in_reply_to or self.id) if self.kind is CommentKind.REVIEW_COMMENT else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Who changed a comment, and what it said before."""

    editor: str
    body_before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentWritten:
    """Somebody wrote on a pull request or an issue, or edited what somebody wrote.

    `app_id` is the App that wrote it, if one did. The author is empty when the account is gone.
    """

    target: Target
    comment: CommentRef
    body: str
    author_is_bot: bool
    app_id: int | None
    is_pull_request: bool
    is_archived: bool = False
    said_at: float = 0.0
    edit: Edit | None = None


class PullAction(StrEnum):
    """What happened to a pull request, where that may concern us. EDITED: its base branch."""

    OPENED = "opened"
    REOPENED = "reopened"
    READY_FOR_REVIEW = "ready_for_review"
    SYNCHRONIZE = "synchronize"
    LABELED = "labeled"
    EDITED = "edited"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestChanged:
    """Something happened to a pull request. `label` is the one that was put on it.

    `updated_at` is GitHub's text; it tells this change from the next one like it.
    """

    target: Target
    action: PullAction
    sender: str
    head_sha: str
    updated_at: str
    label: str = ""


FULL_REVIEW = "full-review"
"""The identifier of the button on our check runs; GitHub allows 20 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAsked:
    """Somebody pressed "Re-run" on a check run or suite, or a `button` on a check run.

    `app_id` says whose check it is. `run_id` is what its App wrote there as external id, empty for
    a suite; `numbers` are the pull requests that GitHub names: none for heads in forks. The
    target's own number is 0.
    """

    name: str
    action: str
    app_id: int | None
    target: Target
    sender: str
    head_sha: str
    run_id: str = ""
    button: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeGroupAsked:
    """A merge queue waits for a verdict on the commit that it would merge.

    `app_id` is set where somebody pressed "Re-run" on the check there. The target's number is 0
    where the queue's branch does not tell it.
    """

    target: Target
    sender: str
    head_sha: str
    app_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """An event that starts nothing. `action` is empty where the event has none."""

    name: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutInstallation:
    """An event we would take, from a hook that is no App's: we have no right to answer there."""

    name: str
    action: str


Event = (
    CommentWritten
    | PullRequestChanged
    | CheckAsked
    | MergeGroupAsked
    | OtherEvent
    | WithoutInstallation
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a review was asked to look at.

    `areas` is None for the configured ones; `wish` is the reviewer's own words after `for`;
    `is_automatic` is True when nobody asked; `tests`: the repository's tests shall be run.
    """

    areas: tuple[Area, ...] | None = None
    full: bool = False
    wish: str | None = None
    is_automatic: bool = False
    tests: bool = False
