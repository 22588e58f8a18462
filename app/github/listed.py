"""Builds the diff of a pull request that GitHub will not give whole.

Knows the list of files; where that shows no lines of a file that changed, the contents of both
sides are compared. GitHub takes no line comment on such a file. What is too much is named.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import msgspec

from app import log
from app.errors import Permanent, PullRequestGone, Unavailable
from app.github.contents import Contents
from app.github.local_diff import GitDiff
from app.github.transport import NotFound, Refused, Repository
from app.review.classes import Attributes, classify, is_reviewable, parse_attributes
from app.review.diff import GITHUB_STATUS, Damaged, Diff, FileDiff, Status, parse_patch
from app.review.globs import Globs, compile_globs
from app.review.pull import PullRequest, Sha

# More than about 70 on a page, and files come without their patch.
# https://github.com/openjdk/skara/pull/1302
FILES_PER_PAGE = 50
# https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files
MAX_LISTED_FILES = 3_000

MAX_SHOWN_LINES = 200_000
MAX_SHOWN_CHARACTERS = 8_000_000
"""Patches that are read of one list: many times what one review asks a model."""
MAX_COMPARED_FILES = 40
MAX_COMPARED_LINES = 100_000
COMPARED_AT_ONCE = 4

_ADDED, _REMOVED = "added", "removed"
"""Two of GitHub's statuses."""

NO_GIT = "git is not installed here"
TOO_MANY = f"one review compares {MAX_COMPARED_FILES} such files, {MAX_COMPARED_LINES:,} lines"
OVER_ROOM = f"one review reads {MAX_SHOWN_LINES:,} changed lines of such a pull request"
LIST_ENDS = f"GitHub lists the first {MAX_LISTED_FILES:,} files"
WRONG_CONTENT = "its contents are not those that GitHub compared"


class FileWire(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the list; `patch` is absent of binaries, renames and what is too large."""

    filename: str
    status: str
    sha: str | None = None
    additions: int = 0
    deletions: int = 0
    changes: int = 0
    patch: str | None = None
    previous_filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the list and the contents come from. Without git nothing is compared.

    `attributes` is the base's root `.gitattributes`.
    """

    repository: Repository
    contents: Contents
    git: GitDiff | None
    pull: PullRequest
    n_changed: int
    attributes: str = ""
    ignore: tuple[str, ...] = ()


async def fetch_listed_diff(source: Source) -> Diff:
    """Build the diff. A file whose lines could not be had has no hunks, and `unread` says why.

    Raises PullRequestGone, and Permanent where GitHub cannot make the list.
    """
    worth = _Worth(parse_attributes(source.attributes), compile_globs(source.ignore))
    listed = await _fetch_list(source, worth)
    parsed = await asyncio.to_thread(lambda: [_parse(file) for file in listed])
    to_compare = [file.wire for file, found in zip(listed, parsed, strict=True) if found is None]
    compared = iter(await _compare_all(source, to_compare))
    files = [next(compared) if found is None else found for found in parsed]
    n_missing = source.n_changed - len(listed)
    damaged = [Damaged(path=_more(n_missing), reason=LIST_ENDS)] if n_missing > 0 else []
    log.event("change.listed", files=len(files), compared=len(to_compare), missing=n_missing)
    return Diff(files=tuple(files), damaged=tuple(damaged))


def _more(n_files: int) -> str:
    return "(1 more file)" if n_files == 1 else f"({n_files:,} more files)"


# ---- the list ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Worth:
    """Tells the files that a review would look at, by their paths."""

    attributes: Attributes
    ignore: Globs

    def looking_at(self, wire: FileWire) -> bool:
        name = wire.filename
        file = FileDiff(old_path=name, new_path=name, status=Status.MODIFIED)
        is_ignored = self.ignore.matches(name)
        return not is_ignored and is_reviewable(classify(file, self.attributes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A file of the list. `has_room`: what GitHub shows of it is within what we read."""

    wire: FileWire
    is_worth: bool
    has_room: bool


@dataclass(slots=True)
class _Room:
    """How much more is read."""

    lines: int = MAX_SHOWN_LINES
    characters: int = MAX_SHOWN_CHARACTERS

    def take(self, wire: FileWire) -> bool:
        if wire.patch is None:
            return True
        if wire.changes > self.lines or len(wire.patch) > self.characters:
            return False
        self.lines -= wire.changes
        self.characters -= len(wire.patch)
        return True


async def _fetch_list(source: Source, worth: _Worth) -> list[_Listed]:
    """Fetch all pages, dropping what there is no room for as they come."""
    rooms = {True: _Room(), False: _Room()}  # lock files and the like take nobody's room
    listed: list[_Listed] = []
    path = f"pulls/{source.pull.target.number}/files"
    pages = source.repository.pages(path, tuple[FileWire, ...], per_page=FILES_PER_PAGE)
    try:
        async for page in pages:
            listed += await asyncio.to_thread(_make_room, page, worth, rooms)
    except NotFound as exc:
        raise PullRequestGone("GitHub has no list of this pull request's files") from exc
    except Refused as exc:
        raise Permanent(
            f"GitHub cannot make the diff of this pull request: {exc}",
            remedy="Open its files on GitHub; if none are shown there either, push to it again.",
        ) from exc
    return listed


def _make_room(
    page: tuple[FileWire, ...], worth: _Worth, rooms: Mapping[bool, _Room]
) -> list[_Listed]:
    listed = []
    for wire in page:
        is_worth = worth.looking_at(wire)
        has_room = rooms[is_worth].take(wire)
        kept = wire if has_room else msgspec.structs.replace(wire, patch=None)
        listed.append(_Listed(wire=kept, is_worth=is_worth, has_room=has_room))
    return listed


def _parse(file: _Listed) -> FileDiff | None:
    """Read what the list shows of a file; None where the contents have to be compared."""
    wire = file.wire
    if not file.has_room:
        return _unread(wire, OVER_ROOM)
    if wire.patch is not None or not wire.changes:
        patch = (wire.patch or "").encode("utf-8", "surrogateescape")
        shown = _parse_patch(wire, patch)
        if isinstance(shown, FileDiff) and _is_whole(shown, wire):
            return shown
    return None if file.is_worth else _unread(wire)


def _parse_patch(wire: FileWire, patch: bytes) -> FileDiff | Damaged:
    return parse_patch(
        patch,
        status=wire.status,
        filename=wire.filename,
        previous_filename=wire.previous_filename,
    )


def _is_whole(file: FileDiff, wire: FileWire) -> bool:
    return file.n_added >= wire.additions and file.n_deleted >= wire.deletions


def _unread(wire: FileWire, why: str = "") -> FileDiff:
    """Describe a file whose changed lines could not be had."""
    status = GITHUB_STATUS.get(wire.status, Status.MODIFIED)
    old_path = wire.previous_filename or wire.filename
    return FileDiff(
        old_path=None if status is Status.ADDED else old_path,
        new_path=None if status is Status.DELETED else wire.filename,
        status=status,
        takes_comments=False,
        unread="; ".join(filter(None, (f"{wire.changes:,} changed lines", why))),
    )


# ---- files of which the list shows no lines ------------------------------------------------------


async def _compare_all(source: Source, wires: Sequence[FileWire]) -> list[FileDiff]:
    """Compare the contents of as many files as may be, the smallest first; answer in order."""
    chosen = _choose(wires)
    needs_base = any(_has_old_side(wires[number]) for number in chosen)
    base = await _find_merge_base(source) if needs_base else None
    slots = asyncio.Semaphore(COMPARED_AT_ONCE)

    async def compare(number: int) -> FileDiff:
        if number not in chosen:
            return _unread(wires[number], TOO_MANY)
        async with slots:
            return await _compare(source, wires[number], base)

    return await asyncio.gather(*(compare(number) for number in range(len(wires))))


def _choose(wires: Sequence[FileWire]) -> frozenset[int]:
    by_size = sorted(range(len(wires)), key=lambda number: wires[number].changes)
    sums = accumulate(wires[number].changes for number in by_size)
    fitting = [n for n, lines in zip(by_size, sums, strict=True) if lines <= MAX_COMPARED_LINES]
    return frozenset(fitting[:MAX_COMPARED_FILES])


async def _find_merge_base(source: Source) -> Sha | None:
    """Ask which commit GitHub's diffs start from; `base_sha` is only where the branch was."""
    path = f"compare/{source.pull.base_sha}...{source.pull.head_sha}"
    try:
        # The second page has no files, which may be megabytes.
        found = await source.repository.get_json(path, _CompareWire, per_page=1, page=2)
    except (Permanent, Unavailable) as exc:
        log.warning("change.no_merge_base", problem=str(exc))
        return None
    return Sha(found.merge_base_commit.sha)


async def _compare(source: Source, wire: FileWire, base: Sha | None) -> FileDiff:
    """Make the diff of one file; whatever fails costs only this file."""
    if source.git is None:
        return _unread(wire, NO_GIT)
    try:
        old = await _read_old(source, wire, base) if _has_old_side(wire) else None
        new = await _read_new(source, wire) if wire.status != _REMOVED else None
        patch = await source.git.patch(old, new)
    except (Permanent, Unavailable) as exc:
        return _unread(wire, str(exc))
    file = await asyncio.to_thread(_parse_patch, wire, patch)
    if isinstance(file, Damaged):
        return _unread(wire, file.reason)
    shown = old if new is None else new
    is_same_blob = wire.sha is None or wire.sha == _blob_sha(shown or b"")
    if not is_same_blob or file.n_added - file.n_deleted != wire.additions - wire.deletions:
        return _unread(wire, WRONG_CONTENT)
    return replace(file, takes_comments=False)


async def _read_old(source: Source, wire: FileWire, base: Sha | None) -> bytes:
    if base is None:
        raise Permanent("GitHub does not say where the branches parted")
    path = wire.previous_filename or wire.filename
    return await source.contents.read(source.pull.target, path, base)


async def _read_new(source: Source, wire: FileWire) -> bytes:
    return await source.contents.read(source.pull.target, wire.filename, source.pull.head_sha)


def _has_old_side(wire: FileWire) -> bool:
    return wire.status != _ADDED


def _blob_sha(content: bytes) -> str:
    """Name a content as git does; what a symlink leads to has another name than the link."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


class _CommitWire(msgspec.Struct, frozen=True, kw_only=True):
    sha: str


class _CompareWire(msgspec.Struct, frozen=True, kw_only=True):
    merge_base_commit: _CommitWire
