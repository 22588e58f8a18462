"""Reads the files of a pull request's base that say how to look at its changes.

These are the root `.gitattributes` and the `AGENTS.md` files. The head's are never read: who
proposes a change does not decide how it is reviewed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import basename

import msgspec

from app import log
from app.errors import Permanent
from app.github.contents import Contents
from app.github.transport import NotFound, Repository, decode
from app.review.classes import LOCKS
from app.review.guidelines import AGENTS, MAX_AGENTS_TEXT, agents_paths
from app.review.pull import PullRequest, Sha

ATTRIBUTES = ".gitattributes"
PARSED_IN_THREAD_BYTES = 64 * 1024
MAX_AGENTS_BYTES = 4 * MAX_AGENTS_TEXT


class _EntryWire(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    path: str
    type: str


class _TreeWire(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GitHub cuts a tree at 100,000 entries; what it tells is what we look at."""

    tree: tuple[_EntryWire, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFiles:
    """Which of these files there are."""

    has_attributes: bool = False
    agents: tuple[str, ...] = ()
    locks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """The files of guidelines that concern a change: path → text; `unread`: what could not be
    read, and why.
    """

    texts: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()


async def list_base_files(repository: Repository, base_sha: Sha) -> BaseFiles:
    """Look which of the files there are; where GitHub lists none, those of the root may be."""
    try:
        body = await repository.get(f"git/trees/{base_sha}?recursive=1")
    except Permanent as exc:
        log.warning("base.not_listed", reason=str(exc))
        return BaseFiles(has_attributes=True, agents=(AGENTS,))
    if len(body) > PARSED_IN_THREAD_BYTES:
        return await asyncio.to_thread(_parse, body)
    return _parse(body)


async def read_attributes(contents: Contents, pull: PullRequest, base: BaseFiles) -> str:
    """Return the root `.gitattributes`; empty where there is none."""
    if not base.has_attributes:
        return ""
    try:
        content = await contents.read(pull.target, ATTRIBUTES, pull.base_sha)
    except Permanent:
        return ""
    return content.decode("utf-8", "surrogateescape")


async def read_agents(
    contents: Contents, pull: PullRequest, base: BaseFiles, changed: Sequence[str]
) -> Agents:
    """Read the `AGENTS.md` files that concern the changed paths, side by side."""
    if not base.agents:
        return Agents()
    wanted = agents_paths(changed, base.agents)
    read = await asyncio.gather(*(_read_agents(contents, pull, path) for path in wanted))
    return Agents(
        texts=tuple(one for one in read if isinstance(one, tuple)),
        unread=tuple(one for one in read if isinstance(one, str)),
    )


async def _read_agents(
    contents: Contents, pull: PullRequest, path: str
) -> tuple[str, str] | str | None:
    """Return path and text, in words why it was not read, or None where there is none."""
    try:
        content = await contents.read(pull.target, path, pull.base_sha, max_bytes=MAX_AGENTS_BYTES)
    except NotFound:
        return None
    except Permanent as exc:
        return f"{path}: not read: {exc}"
    return path, content.decode("utf-8", "replace")[:MAX_AGENTS_TEXT]


def _parse(body: bytes) -> BaseFiles:
    files = [entry.path for entry in decode(body, _TreeWire).tree if entry.type == "blob"]
    return BaseFiles(
        has_attributes=ATTRIBUTES in files,
        agents=tuple(path for path in files if basename(path) == AGENTS),
        locks=frozenset(path for path in files if basename(path) in LOCKS),
    )
