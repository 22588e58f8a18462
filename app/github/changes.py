"""Opens pull requests: both ends pinned, the diff parsed, with what governs their review; reads
files at the head.

Knows how GitHub tells a pull request and its diff; where it does not give that whole, `listed.py`
takes over. Always asks the base repository: it is the only one that the App is sure to be
installed on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from app import log
from app.errors import Overtaken, Permanent, PullRequestGone, Unavailable
from app.github.base_files import list_base_files, read_agents, read_attributes
from app.github.contents import Contents
from app.github.listed import Source, fetch_listed_diff
from app.github.local_diff import GitDiff
from app.github.policies import ConfigFiles
from app.github.transport import (
    DIFF,
    Account,
    GitHub,
    NotFound,
    Refused,
    Repository,
    TooBig,
    parse_time,
)
from app.review.config import Configured
from app.review.diff import Diff, parse_diff
from app.review.pull import Change, PullRequest, Sha, Target

PARSED_IN_THREAD_BYTES = 64 * 1024
MAX_DIFF_BYTES = 8_000_000
"""GitHub's own limit is 1 MB. Of more than this, the garbage collector would hold the event loop
for more than 50 ms while another thread parses it."""
JUST_PUSHED_S = 60.0

_GHOST = "ghost"
"""GitHub's own name for the author of what a deleted account left."""


T = TypeVar("T")


class _HeadRepositoryWire(msgspec.Struct, frozen=True, kw_only=True):
    pushed_at: str | None = None


class _HeadWire(msgspec.Struct, frozen=True, kw_only=True):
    """`repo` is null when the fork was deleted."""

    sha: str
    repo: _HeadRepositoryWire | None = None


class _BaseRepositoryWire(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    default_branch: str = "main"
    archived: bool = False


class _BaseWire(msgspec.Struct, frozen=True, kw_only=True):
    sha: str
    ref: str
    repo: _BaseRepositoryWire


class _LabelWire(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class PullWire(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request as GitHub tells it."""

    title: str
    state: str
    head: _HeadWire
    base: _BaseWire
    body: str | None = None
    user: Account | None = None
    draft: bool = False
    locked: bool = False
    labels: tuple[_LabelWire, ...] = ()
    changed_files: int = 0


class GitHubChanges:
    """The ports Changes and Policies: pull requests on GitHub, and what governs their review."""

    def __init__(
        self, github: GitHub, *, files: ConfigFiles | None = None, git: GitDiff | None = None
    ) -> None:
        self._github = github
        self._files = files or ConfigFiles(github)
        self._contents = Contents(github)
        self._git = git

    async def open(self, target: Target) -> Change:
        """Fetch a pull request, pin both ends and parse its diff. Closed ones are opened too."""
        repository = self._github.repository(target)

        async def fetch() -> tuple[PullWire, tuple[bytes | None, Configured]]:
            wire, diff, configured = await asyncio.gather(
                fetch_pull(repository, target.number),
                _fetch_diff(repository, target.number),
                self._files.fetch(target),
            )
            return wire, (diff, configured)

        wire, (diff, configured) = await _fetch_surely(repository, target, fetch)
        pull = _pull(wire, target)
        base = await list_base_files(repository, pull.base_sha)
        if _was_just_pushed(wire, self._github.clock.now()):
            diff = await _fetch_diff(repository, target.number)
        attributes, parsed = await asyncio.gather(
            read_attributes(self._contents, pull, base), _parse(diff)
        )
        if parsed is None:
            source = Source(
                repository=repository,
                contents=self._contents,
                git=self._git,
                pull=pull,
                n_changed=wire.changed_files,
                attributes=attributes,
                ignore=configured.config.ignore,
            )
            parsed = await fetch_listed_diff(source)
        changed = [file.path for file in parsed.files]
        agents = await read_agents(self._contents, pull, base, changed)
        log.event("change.opened", files=len(parsed.files), head=pull.head_sha)
        return Change(
            pull=pull,
            title=pull.title,
            body=pull.body,
            head_sha=pull.head_sha,
            base_sha=pull.base_sha,
            diff=parsed,
            config=configured.config,
            attributes=attributes,
            mistakes=(*map(str, configured.mistakes), *agents.unread),
            agents=agents.texts,
            locks=base.locks,
        )

    async def look(self, target: Target) -> tuple[PullRequest, Configured]:
        repository = self._github.repository(target)

        async def fetch() -> tuple[PullWire, Configured]:
            return await asyncio.gather(
                fetch_pull(repository, target.number), self._files.fetch(target)
            )

        wire, configured = await _fetch_surely(repository, target, fetch)
        return _pull(wire, target), configured

    async def confirm(self, change: Change) -> None:
        if change.pull is None:
            raise ValueError("only pull requests have a head that moves")
        target = change.pull.target
        now = await fetch_pull(self._github.repository(target), target.number)
        if now.head.sha != change.pull.head_sha:
            raise Overtaken("a newer commit was pushed during the review")

    async def read(self, change: Change, path: str) -> bytes | None:
        """Return a file at the head; None where there is none or it is over 1 MB."""
        if change.pull is None:
            return None
        try:
            return await self._contents.read(change.pull.target, path, change.pull.head_sha)
        except Permanent as exc:
            log.event("file.not_read", path=path, reason=str(exc))
            return None


async def fetch_pull(repository: Repository, number: int) -> PullWire:
    """Fetch a pull request as it is now. Raises PullRequestGone."""
    try:
        return await repository.get_json(f"pulls/{number}", PullWire)
    except NotFound as exc:
        raise PullRequestGone(
            "The pull request is gone, or the App may not see it",
            remedy="Check that the App is installed on this repository.",
        ) from exc


async def _fetch_surely(
    repository: Repository, target: Target, fetch: Callable[[], Awaitable[tuple[PullWire, T]]]
) -> tuple[PullWire, T]:
    """Fetch a pull request and more, though another repository may bear the name by now."""
    try:
        wire, more = await fetch()
    except PullRequestGone:
        if not await repository.find_by_id():
            raise
    else:
        if wire.base.repo.id == target.repository_id:
            return wire, more
        await repository.find_by_id()
    return await fetch()


async def _fetch_diff(repository: Repository, number: int) -> bytes | None:
    """Fetch the diff of the head as it is now; None where GitHub does not give it whole."""
    try:
        return await repository.get(f"pulls/{number}", accept=DIFF, max_bytes=MAX_DIFF_BYTES)
    except NotFound as exc:
        raise PullRequestGone(
            "GitHub has no diff of this pull request",
            remedy="Check that the repository it comes from still exists.",
        ) from exc
    except (Refused, TooBig, Unavailable) as exc:  # 406 too large, 422 corrupt, 500 too slow
        log.warning("diff.not_whole", problem=str(exc))
        return None


async def _parse(diff: bytes | None) -> Diff | None:
    if diff is None:
        return None
    if len(diff) > PARSED_IN_THREAD_BYTES:
        return await asyncio.to_thread(parse_diff, diff)
    return parse_diff(diff)


def _was_just_pushed(wire: PullWire, now: float) -> bool:
    """Say whether the diff may be of another head than the pull request.

    Both were asked for at once, and the diff is always of the head of that moment. A push after
    the pull request's answer shows before publishing; one before it does not.
    """
    pushed_at = wire.head.repo and wire.head.repo.pushed_at
    if not pushed_at:
        return True
    try:
        return now - parse_time(pushed_at) < JUST_PUSHED_S
    except ValueError:
        return True


def _pull(wire: PullWire, target: Target) -> PullRequest:
    return PullRequest(
        target=target,
        title=wire.title,
        body=wire.body or "",
        author=wire.user.login if wire.user else _GHOST,
        state=wire.state,
        is_draft=wire.draft,
        is_locked=wire.locked,
        is_archived=wire.base.repo.archived,
        head_sha=Sha(wire.head.sha),
        base_sha=Sha(wire.base.sha),
        base_ref=wire.base.ref,
        default_branch=wire.base.repo.default_branch,
        labels=tuple(label.name for label in wire.labels),
    )
