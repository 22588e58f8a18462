"""Reads what `git diff` prints: files, hunks and the lines that may carry a comment.

Written apart from the parser of the app, on purpose: the stand-in is a second witness.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Side = Literal["LEFT", "RIGHT"]

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_STATUS = {
    "A": "added",
    "D": "removed",
    "M": "modified",
    "R": "renamed",
    "C": "copied",
    "T": "changed",
}
_NO_BLOB = "0" * 40


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk; `lines` begin with their marker, `places` says which of them holds (side, line)."""

    header: str
    lines: tuple[str, ...]
    places: dict[tuple[Side, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file of a diff; `sha` is its blob, the old one where the file was removed."""

    path: str
    previous_path: str | None
    status: str
    sha: str
    hunks: tuple[Hunk, ...]
    additions: int
    deletions: int

    @property
    def patch(self) -> str | None:
        """The hunks as text, or None where there are none (binary, rename, mode, empty file)."""
        parts = ["\n".join((hunk.header, *hunk.lines)) for hunk in self.hunks]
        return "\n".join(parts) or None

    def find(self, side: Side, line: int) -> Hunk | None:
        """The hunk that shows this line on this side."""
        return next((hunk for hunk in self.hunks if (side, line) in hunk.places), None)

    def position(self, hunk: Hunk, index: int) -> int:
        """Count the lines below the file's first `@@`, later `@@` lines included."""
        before = self.hunks[: self.hunks.index(hunk)]
        return sum(len(earlier.lines) + 1 for earlier in before) + index + 1

    def follow(self, line: int) -> int | None:
        """Where an old line stands in the new file, or None where it was removed."""
        offset = 0
        for hunk in self.hunks:
            old_lines = [number for side, number in hunk.places if side == "LEFT"]
            if old_lines and line < min(old_lines):
                break
            if ("LEFT", line) in hunk.places:
                here = hunk.places["LEFT", line]
                right = {at: new for (side, new), at in hunk.places.items() if side == "RIGHT"}
                return right.get(here)
            added = sum(text[0] == "+" for text in hunk.lines)
            offset += added - sum(text[0] == "-" for text in hunk.lines)
        return line + offset


def parse_changes(raw: bytes, text: bytes) -> tuple[FileChange, ...]:
    """Join `git diff --raw -z` (exact names) with the sections of `git diff` (hunks)."""
    sections = _sections(text)
    changes = []
    for letter, old_blob, new_blob, names in _raw_records(raw):
        section = next(sections)
        if letter == "T":  # git prints a change of type as a removal and an addition
            section += next(sections)
        hunks = _hunks(section)
        lines = [line for hunk in hunks for line in hunk.lines]
        changes.append(
            FileChange(
                path=names[-1],
                previous_path=names[0] if letter in "RC" else None,
                status=_STATUS[letter],
                sha=old_blob if new_blob == _NO_BLOB else new_blob,
                hunks=hunks,
                additions=sum(line[0] == "+" for line in lines),
                deletions=sum(line[0] == "-" for line in lines),
            )
        )
    return tuple(changes)


def _raw_records(raw: bytes) -> Iterator[tuple[str, str, str, list[str]]]:
    fields = iter(raw.decode("utf-8", "surrogateescape").split("\0"))
    for head in fields:
        if not head:
            return
        _, _, old_blob, new_blob, status = head.split(" ")
        names = [next(fields) for _ in range(2 if status[0] in "RC" else 1)]
        yield status[0], old_blob, new_blob, names


def _sections(text: bytes) -> Iterator[list[str]]:
    """Split at `diff --git`: no line of content can begin with it, a marker stands before each."""
    section: list[str] = []
    for line in text.decode("utf-8", "replace").removesuffix("\n").split("\n"):
        if line.startswith("diff --git ") and section:
            yield section
            section = []
        section.append(line)
    yield section


def _hunks(section: list[str]) -> tuple[Hunk, ...]:
    starts = [index for index, line in enumerate(section) if line.startswith("@@ ")]
    return tuple(_hunk(section[start:end]) for start, end in pairwise([*starts, len(section)]))


def _hunk(section: list[str]) -> Hunk:
    match = _HUNK.match(section[0])
    if match is None:
        raise ValueError(f"not a hunk header: {section[0]!r}")
    old, new = int(match[1]), int(match[2])
    lines = tuple(line for line in section[1:] if line[:1] in ("+", "-", " ", "\\"))
    places: dict[tuple[Side, int], int] = {}
    for index, line in enumerate(lines):
        if line[0] in " -":
            places["LEFT", old] = index
            old += 1
        if line[0] in " +":
            places["RIGHT", new] = index
            new += 1
    return Hunk(section[0], lines, places)
