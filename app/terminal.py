"""A change from a diff file or from git on this machine, for `codex-review review`.

Knows files and git. What governs the review of a working tree lies at the base, never in the tree.
"""

import asyncio
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import basename

from app.errors import Unusable
from app.review.classes import LOCKS
from app.review.config import CONFIG_PATH, Ceilings, Config, Configured, Layer
from app.review.config_file import read_config
from app.review.diff import Diff, FileDiff, parse_diff
from app.review.guidelines import agents_paths
from app.review.pull import Change, NotInDiff, Sha, Target

MAX_FILE = 1 << 20
"""Bytes of a working-tree file that are read for the analysers."""
MAX_CHARACTERS = 2_000_000
"""Characters of a file's hunks; GitHub shows and tells far less."""

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
ATTRIBUTES, AGENTS = ".gitattributes", "AGENTS.md"


@dataclass(slots=True, kw_only=True)
class DiffChanges:
    """A change that is only a diff. Files that it adds can be read from it; others from `folder`,
    where it holds them as the diff leaves them."""

    raw: bytes
    folder: Path | None = None
    _files: Mapping[str | None, FileDiff] = field(init=False, repr=False)

    async def open(self, target: Target) -> Change:
        diff = await asyncio.to_thread(_parse, self.raw)
        self._files = {file.new_path: file for file in diff.files}
        return Change(
            pull=None,
            title="",
            body="",
            head_sha=None,
            base_sha=None,
            diff=diff,
            config=Config(),
        )

    async def confirm(self, change: Change) -> None:
        """Nobody else moves this head."""

    async def read(self, change: Change, path: str) -> bytes | None:
        file = self._files.get(path)
        if file is None:
            return None
        if file.old_path is None:
            return _added_text(file)
        if self.folder is None:
            return None
        content = await asyncio.to_thread(_read_regular, self.folder, path)
        return content if content is not None and _fits(file, content) else None


@dataclass(slots=True, kw_only=True)
class GitChanges:
    """The working tree around `folder` against its merge base with `base`."""

    folder: Path
    base: str
    server: Layer | None = None
    ceilings: Ceilings = field(default_factory=Ceilings)
    _top: Path = field(init=False, repr=False)

    async def open(self, target: Target) -> Change:
        """Ask git for the change. Raises Unusable with git's words where git cannot tell."""
        self._top = Path(_line(await self._git(*GIT, "rev-parse", "--show-toplevel")))
        raw = await self._git(*GIT_DIFF, self.base, "--")
        base = await self._git(*GIT, "merge-base", "--end-of-options", self.base, "HEAD")
        diff = await asyncio.to_thread(_parse, raw)
        files = await self._files_at_base()
        agents = agents_paths((file.path for file in diff.files), _named(AGENTS, files))
        configured = await self._configured(files)
        return Change(
            pull=None,
            title="",
            body="",
            head_sha=None,
            base_sha=Sha(_line(base)),
            diff=diff,
            config=configured.config,
            not_in_diff=await self._untracked(),
            attributes=await self._text(files, ATTRIBUTES),
            mistakes=tuple(map(str, configured.mistakes)),
            agents=tuple([(path, await self._text(files, path)) for path in agents]),
            locks=frozenset(path for path in files if basename(path) in LOCKS),
        )

    async def confirm(self, change: Change) -> None:
        """Nobody else moves this head."""

    async def read(self, change: Change, path: str) -> bytes | None:
        return await asyncio.to_thread(_read_regular, self._top, path)

    async def _files_at_base(self) -> dict[str, str]:
        """List the base's regular files: path → name of the blob."""
        tip = _line(await self._git(*GIT, "rev-list", "-n1", "--end-of-options", self.base, "--"))
        listed = await self._git(*GIT, "ls-tree", "-r", "-z", "--full-tree", tip)
        entries = (entry.partition(b"\t") for entry in listed.split(b"\0") if entry)
        return {
            path.decode("utf-8", "surrogateescape"): told.split(b" ")[2].decode()
            for told, _, path in entries
            if told.startswith(b"100")
        }

    async def _configured(self, files: Mapping[str, str]) -> Configured:
        layers = [self.server] if self.server else []
        if CONFIG_PATH in files:
            raw = await self._git(*GIT, "cat-file", "blob", files[CONFIG_PATH])
            layers.append(Layer(name=f"{self.base}:{CONFIG_PATH}", raw=raw))
        return await asyncio.to_thread(read_config, layers, self.ceilings)

    async def _text(self, files: Mapping[str, str], path: str) -> str:
        """Return a text at the base; empty where there is none."""
        if path not in files:
            return ""
        raw = await self._git(*GIT, "cat-file", "blob", files[path])
        return raw.decode("utf-8", "surrogateescape")

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


def _parse(raw: bytes) -> Diff:
    """Parse a diff; of a file whose changes are too long only the name is kept."""
    diff = parse_diff(raw)
    return replace(diff, files=tuple(map(_bounded, diff.files)))


def _bounded(file: FileDiff) -> FileDiff:
    if sum(len(line.text) for hunk in file.hunks for line in hunk.lines) <= MAX_CHARACTERS:
        return file
    return replace(file, hunks=(), unread=f"more than {MAX_CHARACTERS:,} characters")


def _line(output: bytes) -> str:
    return os.fsdecode(output.rstrip(b"\n"))


def _named(name: str, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if basename(path) == name)


def _fits(file: FileDiff, content: bytes) -> bool:
    """Say whether every line that a diff shows of the new file stands in its place."""
    lines = content.split(b"\n")
    return all(
        line.new is None or (line.new <= len(lines) and lines[line.new - 1] == _encoded(line.text))
        for hunk in file.hunks
        for line in hunk.lines
    )


def _added_text(file: FileDiff) -> bytes:
    text = "".join(
        line.text + ("\n" if line.has_newline else "") for hunk in file.hunks for line in hunk.lines
    )
    return _encoded(text)


def _encoded(text: str) -> bytes:
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
