"""Cases: changes with known bugs, and clean ones that tempt to find some.

Knows the JSONL format of `app/cases/README.md` and what makes a case usable; reads no file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from app.errors import Unusable
from app.review.diff import Diff, Side, parse_diff
from app.review.focus import DEFAULT_AREAS, Area, parse_area
from app.review.priority import Priority

CONTROL = "/control"
"""Stands behind the id of a case to name its control."""
MAX_PROBLEMS = 20
"""So many mistakes are told at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBug:
    """What a reviewer must find, and where: `start_line` … `end_line`, both included.

    `right_hunk` are lines of the new file where a finding about deleted lines is as good.
    """

    area: Area
    priority: Priority
    path: str
    side: Side
    start_line: int
    end_line: int
    text: str
    right_hunk: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A change to review. `bugs` is one bug in one or more places: finding one place counts.

    Without `bugs` the change is a control: whatever is found in it is a false alarm. `heads` are
    the changed files as the change leaves them, by path, as far as the case has them.
    """

    id: str
    diff: Diff
    title: str = ""
    body: str = ""
    bugs: tuple[KnownBug, ...] = ()
    heads: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def area(self) -> Area | None:
        return self.bugs[0].area if self.bugs else None


_PRIORITIES = dict(zip(("critical", "high", "medium", "low"), Priority, strict=True))
_LineNumber = Annotated[int, Meta(ge=1)]


class _Golden(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    side: Side
    start_line: _LineNumber
    end_line: _LineNumber
    severity: Literal["critical", "high", "medium", "low"]
    category: str
    text: str
    right_hunk: tuple[_LineNumber, _LineNumber] | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    head: str | None = None
    base: str | None = None


class _Control(msgspec.Struct, frozen=True, kw_only=True):
    diff: str


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(min_length=1)]
    diff: str
    golden: tuple[_Golden, ...]
    title: str = ""
    body: str = ""
    control: _Control | None = None
    files: dict[str, _File] = msgspec.field(default_factory=dict)


class _FilesRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    files: dict[str, _File]


class _Mistake(Exception):
    """What is wrong in one line, and what was expected."""


def parse_cases(
    raw: bytes, name: str, files: bytes = b"", files_name: str = ""
) -> tuple[Case, ...]:
    """Read cases, each followed by its control if it has one; `files` are rows of whole files.

    A control is the same change the right way round: its heads are the case's bases.

    Raises Unusable that lists what is wrong as `name:line: what was expected`.
    """
    problems: list[str] = []
    beside = {row.id: row.files for _, row in _rows(files, files_name, _FilesRow, problems)}
    cases: dict[str, Case] = {}
    for number, row in _rows(raw, name, _Row, problems):
        try:
            for case in _cases(row, row.files or beside.get(row.id, {})):
                if case.id in cases:
                    raise _Mistake(f"expected an id of its own, {case.id!r} stands above")
                cases[case.id] = case
        except _Mistake as mistake:
            problems.append(f"{name}:{number}: {mistake}")
    if not problems and not cases:
        problems.append(f"{name}: expected at least one case")
    if problems:
        raise Unusable("\n".join(problems[:MAX_PROBLEMS]))
    return tuple(cases.values())


def areas_of(cases: tuple[Case, ...]) -> tuple[Area, ...]:
    """Return the areas that a review of these cases must look for: the usual, and their own."""
    asked = {*DEFAULT_AREAS, *(bug.area for case in cases for bug in case.bugs)}
    return tuple(area for area in Area if area in asked)


_Kind = TypeVar("_Kind", bound=msgspec.Struct)


def _rows(
    raw: bytes, name: str, kind: type[_Kind], problems: list[str]
) -> Iterator[tuple[int, _Kind]]:
    """Read one record a line; what cannot be read is told and left out."""
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            # Not msgspec's own reader: whole files may hold surrogate escapes.
            yield number, msgspec.convert(json.loads(line), kind)
        except msgspec.ValidationError as exc:
            problems.append(f"{name}:{number}: {exc}")
        except (ValueError, RecursionError) as exc:
            problems.append(f"{name}:{number}: expected one JSON object: {exc}")


def _cases(row: _Row, files: Mapping[str, _File]) -> Iterator[Case]:
    diff = _diff(row.diff, "diff")
    yield Case(
        id=row.id,
        title=row.title,
        body=row.body,
        diff=diff,
        bugs=tuple(_bug(golden, n, diff) for n, golden in enumerate(row.golden)),
        heads=_contents(files, "head"),
    )
    if row.control:
        yield Case(
            id=f"{row.id}{CONTROL}",
            diff=_diff(row.control.diff, "control.diff"),
            heads=_contents(files, "base"),
        )


def _contents(files: Mapping[str, _File], end: Literal["head", "base"]) -> dict[str, bytes]:
    texts = {path: getattr(file, end) for path, file in files.items()}
    return {path: _bytes(text) for path, text in texts.items() if text is not None}


def _diff(text: str, key: str) -> Diff:
    diff = parse_diff(_bytes(text))
    if diff.damaged:
        damage = diff.damaged[0]
        raise _Mistake(
            f"expected a whole unified diff in {key}: {damage.path or key}: {damage.reason}"
        )
    if not any(file.hunks for file in diff.files):
        raise _Mistake(f"expected a unified diff with changed lines in {key}")
    return diff


def _bug(golden: _Golden, number: int, diff: Diff) -> KnownBug:
    where = f"golden[{number}]"
    area = parse_area(golden.category)
    if area is None:
        known = ", ".join(Area)
        raise _Mistake(f"{where}.category: expected `bug` or one of {known}")
    lines = _lines(diff, golden.path, golden.side)
    if not lines:
        raise _Mistake(f"{where}.path: expected a file with {golden.side} lines in the diff")
    if golden.start_line > golden.end_line:
        raise _Mistake(f"{where}: expected start_line at or before end_line")
    if lines.isdisjoint(range(golden.start_line, golden.end_line + 1)):
        raise _Mistake(f"{where}: expected {golden.side} lines that the diff shows")
    return KnownBug(
        area=area,
        priority=_PRIORITIES[golden.severity],
        path=golden.path,
        side=golden.side,
        start_line=golden.start_line,
        end_line=golden.end_line,
        text=golden.text,
        right_hunk=golden.right_hunk,
    )


def _lines(diff: Diff, path: str, side: Side) -> set[int]:
    return {
        number
        for file in diff.files
        if file.path == path
        for hunk in file.hunks
        for line in hunk.lines
        if (number := line.new if side is Side.RIGHT else line.old) is not None
    }


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
