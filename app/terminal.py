"""A change from a diff file or from git on this machine, for `codex-review review`.

Knows files and git; posts nothing and remembers nothing.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import Unusable
from app.ports import Check, Run
from app.review.config import Config
from app.review.diff import FileDiff, parse_diff
from app.review.history import History
from app.review.pull import Change, NotInDiff, RunId, Sha, Target
from app.review.receipt import Receipt
from app.review.render import Review

MAX_FILE = 1 << 20
"""Bytes of a working-tree file that are read for the analysers."""

GIT_DIFF = [
    "git",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=true",
    "-c",
    "diff.suppressBlankEmpty=false",
    "diff",
    "--merge-base",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "-M",
    "-U3",
    "--end-of-options",
]
GIT = ("git", "-c", "core.fsmonitor=false")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffChanges:
    """A change that is only a diff. Files that it adds can be read from it; others cannot."""

    raw: bytes
    config: Config

    async def open(self, target: Target) -> Change:
        return Change(
            pull=None,
            title="",
            body="",
            head_sha=None,
            base_sha=None,
            diff=await asyncio.to_thread(parse_diff, self.raw),
            config=self.config,
        )

    async def confirm(self, change: Change) -> None:
        """Nobody else moves this head."""

    async def read(self, change: Change, path: str) -> bytes | None:
        file = next((f for f in change.diff.files if f.new_path == path), None)
        return _added_text(file) if file and file.old_path is None else None


@dataclass(slots=True, kw_only=True)
class GitChanges:
    """The working tree around `folder` against its merge base with `base`."""

    folder: Path
    base: str
    config: Config
    _top: Path = field(init=False, repr=False)

    async def open(self, target: Target) -> Change:
        """Ask git for the change. Raises Unusable with git's words where git cannot tell."""
        self._top = Path(_line(await self._git(*GIT, "rev-parse", "--show-toplevel")))
        raw = await self._git(*GIT_DIFF, self.base, "--")
        base = await self._git(*GIT, "merge-base", "--end-of-options", self.base, "HEAD")
        return Change(
            pull=None,
            title="",
            body="",
            head_sha=None,
            base_sha=Sha(_line(base)),
            diff=await asyncio.to_thread(parse_diff, raw),
            config=self.config,
            not_in_diff=await self._untracked(),
        )

    async def confirm(self, change: Change) -> None:
        """Nobody else moves this head."""

    async def read(self, change: Change, path: str) -> bytes | None:
        return await asyncio.to_thread(_read_regular, self._top, path)

    async def _untracked(self) -> tuple[NotInDiff, ...]:
        where = ("-C", str(self._top))
        names = await self._git(*GIT, *where, "ls-files", "--others", "--exclude-standard", "-z")
        return tuple(
            NotInDiff(
                path=name.decode("utf-8", "surrogateescape"),
                reason="untracked: git add it to have it reviewed",
            )
            for name in names.split(b"\0")
            if name
        )

    async def _git(self, *argv: str) -> bytes:
        """Run git as the user would: what GIT_DIR and the like say is meant."""
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=self.folder,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the revision
            raise Unusable(f"git cannot be started in {self.folder}: {exc}") from exc
        stdout, stderr = await process.communicate()
        if process.returncode:
            told = stderr.decode(errors="replace").strip()
            raise Unusable(f"git says: {told or f'exit status {process.returncode}'}")
        return stdout


class NoCheck:
    """The terminal has no check run: the receipt itself is the verdict."""

    @asynccontextmanager
    async def open(self, change: Change, run: Run) -> AsyncIterator[Check]:
        yield self

    def finish(self, receipt: Receipt) -> None:
        pass

    async def fail(self, target: Target, run_id: RunId, receipt: Receipt) -> None:
        pass


class NoPublisher:
    """The terminal publishes nothing."""

    async def publish(self, change: Change, run: Run, review: Review) -> None:
        pass


class NoMemory:
    """The terminal starts anew each time."""

    async def settle_budget(self, run_id: RunId, tokens: int) -> int:
        return tokens

    async def recall(self, target: Target, run_id: RunId) -> History:
        return History()

    async def keep(self, target: Target, receipt: Receipt, covered: Collection[str] = ()) -> None:
        pass


def _line(output: bytes) -> str:
    return os.fsdecode(output.rstrip(b"\n"))


def _added_text(file: FileDiff) -> bytes:
    text = "".join(
        line.text + ("\n" if line.has_newline else "") for hunk in file.hunks for line in hunk.lines
    )
    return text.encode("utf-8", "surrogateescape")


def _read_regular(top: Path, path: str) -> bytes | None:
    """Read a regular file below `top`; never through a link that leads out of it."""
    place = top / os.fsdecode(path.encode("utf-8", "surrogateescape"))
    try:
        if not place.resolve().is_relative_to(top.resolve()):
            return None
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE:
            return None
        return place.read_bytes()
    except (OSError, ValueError):
        return None
