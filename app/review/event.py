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
    """A comment that we may answer or react to."""

    kind: CommentKind
    id: int
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentCreated:
    """Somebody wrote on a pull request or an issue.

    `app_id` is the App that wrote it, if one did. The author is empty when the account is gone.
    """

    target: Target
    comment: CommentRef
    body: str
    author_is_bot: bool
    app_id: int | None
    is_pull_request: bool
    is_archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvent:
    """Something about a check run or suite; `app_id` says whose check it is."""

    name: str
    action: str
    app_id: int | None


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


Event = CommentCreated | CheckEvent | OtherEvent | WithoutInstallation


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a review was asked to look at.

    `areas` is None for the configured ones; `wish` is the reviewer's own words after `for`;
    `is_automatic` is True when nobody asked.
    """

    areas: tuple[Area, ...] | None = None
    full: bool = False
    wish: str | None = None
    is_automatic: bool = False
