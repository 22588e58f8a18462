"""What the stand-in remembers, record by record: who is there, what was proposed, what was said.

Plain attributes may be changed by whoever plays GitHub: `pull.draft = True`, `pull.locked = True`,
`pull.state = "closed"`, `repository.archived = True`, `installation.suspended_at = ...`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import httpx

from app.demo.diffs import FileChange, Side
from app.demo.repository import GitRepository


@dataclass(slots=True, kw_only=True)
class Person:
    id: int
    login: str
    type: str = "User"


@dataclass(slots=True, kw_only=True)
class Installation:
    id: int
    account: str
    permissions: dict[str, str]
    created_at: float
    suspended_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Token:
    """An installation's token, or (without installation) a person's."""

    login: str
    installation: Installation | None = None
    repository_ids: frozenset[int] | None = None
    permissions: dict[str, str] | None = None
    expires_at: float | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Repository:
    id: int
    owner: str
    name: str
    git: GitRepository
    created_at: float
    default_branch: str = "main"
    private: bool = False
    archived: bool = False
    installed: bool = True
    fork_of: "Repository | None" = None
    roles: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, "PullRequest"] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(slots=True, kw_only=True, eq=False)
class PullRequest:
    id: int
    issue_id: int
    number: int
    repository: Repository
    head_repository: Repository
    title: str
    body: str | None
    author: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    created_at: float
    updated_at: float
    state: Literal["open", "closed"] = "open"
    merged: bool = False
    draft: bool = False
    locked: bool = False
    labels: list[str] = field(default_factory=list)

    @property
    def from_fork(self) -> bool:
        return self.head_repository is not self.repository

    def merge_base(self, commit: str | None = None) -> str:
        git = self.repository.git
        base = git.resolve(f"refs/heads/{self.base_ref}") or self.base_sha
        found = git.merge_base(base, commit or self.head_sha)
        return found or self.base_sha

    def commits(self) -> list[str]:
        return self.repository.git.commits(self.merge_base(), self.head_sha)

    def changes(self, commit: str | None = None) -> tuple[FileChange, ...]:
        """The three-dot diff up to a commit, by default up to the head."""
        head = commit or self.head_sha
        return self.repository.git.changes(self.merge_base(head), head)


@dataclass(slots=True, kw_only=True, eq=False)
class IssueComment:
    id: int
    pull: PullRequest
    author: str
    body: str
    created_at: float
    updated_at: float
    minimized: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Review:
    id: int
    pull: PullRequest
    author: str
    body: str
    state: str
    commit_id: str
    submitted_at: float | None
    minimized: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a review comment was put, in the numbers of the commit that it was put on."""

    path: str
    side: Side = "RIGHT"
    line: int = 1
    start_side: Side | None = None
    start_line: int | None = None
    position: int = 1
    diff_hunk: str = ""
    subject_type: str = "line"


@dataclass(slots=True, kw_only=True, eq=False)
class ReviewComment:
    id: int
    review: Review
    author: str
    body: str
    place: Place
    commit_id: str
    created_at: float
    updated_at: float
    in_reply_to: int | None = None
    resolved_by: str | None = None
    minimized: str | None = None

    @property
    def pull(self) -> PullRequest:
        return self.review.pull


@dataclass(slots=True, kw_only=True, eq=False)
class Reaction:
    id: int
    subject: tuple[str, int]
    login: str
    content: str
    created_at: float


@dataclass(slots=True, kw_only=True, eq=False)
class CheckSuite:
    id: int
    repository: Repository
    head_sha: str
    created_at: float
    head_branch: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class CheckRun:
    id: int
    suite: CheckSuite
    app_id: int
    name: str
    started_at: str
    details_url: str
    completed_at: str | None = None
    status: str = "queued"
    conclusion: str | None = None
    external_id: str = ""
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, object]] = field(default_factory=list)
    actions: list[dict[str, object]] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One attempt to deliver an event. All attempts of one delivery share its guid."""

    id: int
    guid: str
    event: str
    action: str | None
    repository_id: int | None
    installation_id: int | None
    body: bytes
    request_headers: dict[str, str]
    delivered_at: float
    redelivery: bool
    duration: float = 0.0
    status: str = ""
    status_code: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""


@dataclass(slots=True, kw_only=True)
class Hook:
    """Where deliveries go. Without a URL each one fails, as it does behind a firewall."""

    url: str | None = None
    transport: httpx.AsyncBaseTransport | None = None


def stamp(at: float) -> str:
    """The time as GitHub writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
