"""The pull request as the rest of the program sees it. Knows no wire format."""

from dataclasses import dataclass
from typing import NewType

from app.review.config import Config
from app.review.diff import Diff

Sha = NewType("Sha", str)
InstallationId = NewType("InstallationId", int)
RunId = NewType("RunId", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which pull request. The repository's id is the truth; its name may change."""

    installation_id: InstallationId
    repository_id: int
    owner: str
    repo: str
    number: int

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.repo}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request with both ends pinned, as GitHub described it when we looked."""

    target: Target
    title: str
    body: str
    author: str
    state: str
    is_draft: bool
    is_locked: bool
    is_archived: bool
    head_sha: Sha
    base_sha: Sha
    base_ref: str
    default_branch: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotInDiff:
    """Something a reader might expect to be reviewed that is no part of the diff."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one run reviews: a pull request, a diff file or a working tree.

    `pull` is None on the terminal; `head_sha` is None where the head is no commit. `attributes` is
    the base's root `.gitattributes`, where it was fetched. `mistakes` are those of the
    configuration, in words. `agents` are the base's `AGENTS.md` files that may concern the diff:
    path → text. `locks` are paths of the base's lock files.
    """

    pull: PullRequest | None
    title: str
    body: str
    head_sha: Sha | None
    base_sha: Sha | None
    diff: Diff
    config: Config
    not_in_diff: tuple[NotInDiff, ...] = ()
    attributes: str = ""
    mistakes: tuple[str, ...] = ()
    agents: tuple[tuple[str, str], ...] = ()
    locks: frozenset[str] = frozenset()
