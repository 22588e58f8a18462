"""Makes a case of a bug fix: the fix reversed puts the bug back, at a place that is known.

Knows which files of a fix tell of its bug; what kind of bug it is, a person has to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from app.errors import Unusable
from app.review.cases import parse_cases
from app.review.classes import FileClass, classify
from app.review.diff import FileDiff, Hunk, Line, Side, Status
from app.review.pull import Change
from app.review.unfold import unfold

TELLING = (FileClass.SOURCE, FileClass.CONFIGURATION, FileClass.MANIFEST)
_REVERSED = {"+": "-", "-": "+", " ": " "}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """A file of a fix, reversed: `text` is the whole file with the bug."""

    path: str
    hunks: tuple[Hunk, ...]
    text: str


def paths_of_fix(change: Change) -> tuple[str, ...]:
    """Return the files that a fix repaired: changed, no tests, nothing generated."""
    return tuple(
        file.path
        for file in change.diff.files
        if file.status is Status.MODIFIED and file.hunks and classify(file) in TELLING
    )


def case_of_fix(id: str, change: Change, heads: Mapping[str, bytes]) -> bytes:
    """Write the case, one line of JSON, of a fix whose files at the head are given.

    Raises Unusable where no file of it can be reversed.
    """
    broken = [
        one
        for file in change.diff.files
        if file.path in heads and (one := _reversed(file, heads[file.path]))
    ]
    if not broken:
        raise Unusable(f"{id} changes no source file that we can reverse")
    case = {
        "id": id,
        "golden": [golden for one in broken for golden in _golden(one, change.title)],
        "diff": "".join(_diff(one) for one in broken),
        "files": {one.path: {"head": one.text} for one in broken},
    }
    line = msgspec.json.encode(case) + b"\n"
    parse_cases(line, id)
    return line


def _reversed(file: FileDiff, head: bytes) -> _Broken | None:
    try:
        lines = unfold(file, head.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    if lines is None:
        return None
    return _Broken(
        path=file.path,
        hunks=tuple(_reversed_hunk(hunk) for hunk in file.hunks),
        text="".join(_printed(line) for line in lines if line.kind != "+"),
    )


def _reversed_hunk(hunk: Hunk) -> Hunk:
    return Hunk(
        old_start=hunk.new_start,
        old_count=hunk.new_count,
        new_start=hunk.old_start,
        new_count=hunk.old_count,
        section=hunk.section,
        lines=tuple(_reversed_lines(hunk.lines)),
    )


def _reversed_lines(lines: Sequence[Line]) -> Iterator[Line]:
    """Turn lines round; within a run of changed ones the deleted stand first, as git has them."""
    turned = (
        Line(_REVERSED[line.kind], line.new, line.old, line.text, line.has_newline)
        for line in lines
    )
    for _, run in groupby(turned, key=lambda line: line.kind == " "):
        yield from sorted(run, key=lambda line: line.kind == "+")


def _golden(broken: _Broken, text: str) -> Iterator[dict[str, object]]:
    """Name each run of changed lines: the added ones, or where a check was taken out."""
    for hunk in broken.hunks:
        for is_changed, grouped in groupby(hunk.lines, key=lambda line: line.kind != " "):
            run = list(grouped)
            if not is_changed:
                continue
            added = [line.new for line in run if line.new is not None]
            lines = added or [line.old for line in run if line.old is not None]
            golden: dict[str, object] = {
                "path": broken.path,
                "side": Side.RIGHT if added else Side.LEFT,
                "start_line": lines[0],
                "end_line": lines[-1],
                "severity": "medium",
                "category": "bug",
                "text": text,
            }
            if not added and hunk.new_count:
                golden["right_hunk"] = [hunk.new_start, hunk.new_start + hunk.new_count - 1]
            yield golden


def _diff(broken: _Broken) -> str:
    hunks = "".join(
        hunk.header + "\n" + "".join(line.kind + _marked(line) for line in hunk.lines)
        for hunk in broken.hunks
    )
    path = broken.path
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunks}"


def _marked(line: Line) -> str:
    return line.text + ("\n" if line.has_newline else "\n\\ No newline at end of file\n")


def _printed(line: Line) -> str:
    return line.text + ("\n" if line.has_newline else "")
