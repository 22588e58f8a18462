"""Fetches a pull request and its diff, and files at its head.

Knows GitHub's two ways to tell a diff. Always asks the base repository: it can read the head of a
fork too, and is the only one that the App is sure to be installed on.
"""

import asyncio
from collections import OrderedDict
from urllib.parse import quote

import msgspec

from app import log
from app.errors import Overtaken, PullRequestGone
from app.github.transport import (
    DIFF,
    RAW,
    Account,
    GitHub,
    NotFound,
    Refused,
    Repository,
    TooBig,
    parse_time,
)
from app.review.config import Config
from app.review.diff import Damaged, Diff, FileDiff, parse_diff, parse_patch
from app.review.pull import Change, NotInDiff, PullRequest, Sha, Target

MAX_FILE_BYTES = 1_000_000
MAX_KEPT_BYTES = 16 * 1024 * 1024
"""Contents that are kept for the second reader, over all changes; the oldest go first."""
PARSED_IN_THREAD_BYTES = 256 * 1024
# More than about 70 on a page, and files come without their patch.
# https://github.com/openjdk/skara/pull/1302
FILES_PER_PAGE = 50
# https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files
MAX_LISTED_FILES = 3_000
DIFF_TOO_LARGE = 406
JUST_PUSHED_S = 60.0

_GHOST = "ghost"
"""GitHub's own name for the author of what a deleted account left."""


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
    changed_files: int = 0


class FileWire(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the list; `patch` is absent of binaries, renames and what is too large."""

    filename: str
    status: str
    changes: int = 0
    patch: str | None = None
    previous_filename: str | None = None


class GitHubChanges:
    """Changes that are pull requests on GitHub."""

    def __init__(self, github: GitHub, *, config: Config | None = None) -> None:
        self._github = github
        self._config = config or Config()
        self._kept: OrderedDict[tuple[int, str, str], bytes] = OrderedDict()
        self._kept_bytes = 0

    async def open(self, target: Target) -> Change:
        """Fetch a pull request, pin both ends and parse its diff. Closed ones are opened too."""
        repository = self._github.repository(target)
        wire, diff = await _fetch_surely(repository, target)
        if _was_just_pushed(wire, self._github.clock.now()):
            diff = await _fetch_diff(repository, target.number)
        if diff is None:
            parsed, left_out = await _fetch_files(repository, target.number, wire.changed_files)
        else:
            parsed, left_out = await _parse(diff), ()
        pull = _pull(wire, target)
        log.event("change.opened", files=len(parsed.files), head=pull.head_sha)
        return Change(
            pull=pull,
            title=pull.title,
            body=pull.body,
            head_sha=pull.head_sha,
            base_sha=pull.base_sha,
            diff=parsed,
            config=self._config,
            not_in_diff=left_out,
        )

    async def confirm(self, change: Change) -> None:
        """Look again whether the head is still the one that was opened; else raise Overtaken."""
        if change.pull is None:
            raise ValueError("only pull requests have a head that moves")
        target = change.pull.target
        now = await fetch_pull(self._github.repository(target), target.number)
        if now.head.sha != change.pull.head_sha:
            raise Overtaken("a newer commit was pushed during the review")

    async def read(self, change: Change, path: str) -> bytes | None:
        """Return a file at the head; None where there is none or it is over 1 MB."""
        if change.pull is None or not _is_plain(path):
            return None
        target = change.pull.target
        key = (target.repository_id, change.pull.head_sha, path)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        content = await _fetch_file(self._github.repository(target), path, change.pull.head_sha)
        if content is not None and key not in self._kept:
            self._keep(key, content)
        return content

    def _keep(self, key: tuple[int, str, str], content: bytes) -> None:
        self._kept[key] = content
        self._kept_bytes += len(content)
        while self._kept_bytes > MAX_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)


async def fetch_pull(repository: Repository, number: int) -> PullWire:
    """Fetch a pull request as it is now. Raises PullRequestGone."""
    try:
        return await repository.get_json(f"pulls/{number}", PullWire)
    except NotFound as exc:
        raise PullRequestGone(
            "The pull request is gone, or the App may not see it",
            remedy="Check that the App is installed on this repository.",
        ) from exc


async def _fetch_surely(repository: Repository, target: Target) -> tuple[PullWire, bytes | None]:
    """Fetch pull request and diff, though another repository may bear the name by now."""
    try:
        wire, diff = await _fetch_together(repository, target.number)
    except PullRequestGone:
        if not await repository.find_by_id():
            raise
    else:
        if wire.base.repo.id == target.repository_id:
            return wire, diff
        await repository.find_by_id()
    return await _fetch_together(repository, target.number)


async def _fetch_together(repository: Repository, number: int) -> tuple[PullWire, bytes | None]:
    """Fetch pull request and diff side by side; the diff is None where it is too large."""
    return await asyncio.gather(fetch_pull(repository, number), _fetch_diff(repository, number))


async def _fetch_diff(repository: Repository, number: int) -> bytes | None:
    """Fetch the diff of the head as it is now; None where GitHub says it is too large."""
    try:
        return await repository.get(f"pulls/{number}", accept=DIFF)
    except Refused as exc:
        if exc.status == DIFF_TOO_LARGE:
            return None
        raise
    except NotFound as exc:
        raise PullRequestGone("The pull request has no diff") from exc


async def _parse(diff: bytes) -> Diff:
    if len(diff) > PARSED_IN_THREAD_BYTES:
        return await asyncio.to_thread(parse_diff, diff)
    return parse_diff(diff)


async def _fetch_files(
    repository: Repository, number: int, n_changed: int
) -> tuple[Diff, tuple[NotInDiff, ...]]:
    """Build the diff from the list of files, naming what the list leaves out."""
    wires: list[FileWire] = []
    pages = repository.pages(f"pulls/{number}/files", tuple[FileWire, ...], per_page=FILES_PER_PAGE)
    async for page in pages:
        wires += page
    left_out = [
        NotInDiff(
            path=wire.filename,
            reason=f"too large: GitHub shows no diff of {wire.changes} changed lines",
        )
        for wire in wires
        if wire.patch is None and wire.changes
    ]
    if len(wires) < n_changed:
        left_out.append(
            NotInDiff(
                path="",
                reason=f"{n_changed - len(wires)} more files: GitHub lists {MAX_LISTED_FILES:,}",
            )
        )
    shown = [wire for wire in wires if wire.patch is not None or not wire.changes]
    parsed = await asyncio.to_thread(lambda: [_parse_file(wire) for wire in shown])
    diff = Diff(
        files=tuple(file for file in parsed if isinstance(file, FileDiff)),
        damaged=tuple(file for file in parsed if isinstance(file, Damaged)),
    )
    return diff, tuple(left_out)


def _parse_file(wire: FileWire) -> FileDiff | Damaged:
    return parse_patch(
        (wire.patch or "").encode(),
        status=wire.status,
        filename=wire.filename,
        previous_filename=wire.previous_filename,
    )


async def _fetch_file(repository: Repository, path: str, sha: Sha) -> bytes | None:
    encoded = quote(path, safe="/", errors="surrogateescape")
    try:
        return await repository.get(
            f"contents/{encoded}?ref={sha}", accept=RAW, max_bytes=MAX_FILE_BYTES
        )
    except (NotFound, TooBig) as exc:
        log.event("file.not_read", path=path, reason=str(exc))
        return None


def _is_plain(path: str) -> bool:
    """No part of a path may be read as a way up when it stands in an address."""
    return all(part not in ("", ".", "..") for part in path.split("/"))


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
    )
