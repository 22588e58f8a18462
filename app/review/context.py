"""Chooses the code that a second look at findings needs: the definition around each, head and base
in one, imports, and where else in changed files the names concerned are defined and used.

Knows how much of it is shown and what it looks like; not what is asked about it.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

from app.review.chunks import MAX_LINE, shown_name
from app.review.diff import FileDiff, Line, Side
from app.review.enclosing import MAX_LINES, Enclosing, Kind, Outline, defines, name_of
from app.review.findings import Finding, Location
from app.review.masking import mask_lines, visible
from app.review.tokens import MARGIN, weight
from app.review.unfold import folded, unfold

MAX_FILE = 1_000_000
"""Bytes of a file of which more than its hunks is looked at."""
MAX_NAMES = 8
MAX_FILES_READ = 12
"""Changed files without findings in which names are looked for."""
MAX_LINES_SEARCHED = 20_000
"""Lines of each file in which names are looked for."""
WINDOW = 30
"""Lines on each side of a place that no definition encloses."""

_DEFINED_LINES = 12
_USE_LINES = 2
_MAX_DEFINED = 2
_MAX_USED = 4
_MAX_SEEN = 200
_KEPT = MAX_LINE - 40
_GAP = "…"


class Shown(NamedTuple):
    """A line as it is shown; `kind` is that of the diff."""

    kind: str
    text: str


class Page(NamedTuple):
    """Code as it is shown, and its lines in runs without gaps."""

    text: str
    runs: tuple[tuple[Shown, ...], ...]


class Sheet:
    """One changed file with all its lines, deleted ones among them, or with its hunks only."""

    def __init__(self, file: FileDiff, head: bytes | None) -> None:
        self.file = file
        text = None if head is None or len(head) > MAX_FILE else _decoded(head)
        whole = None if text is None else unfold(file, text)
        self.is_whole = whole is not None or file.new_path is None
        self.lines = folded(file) if whole is None else whole
        self.texts = _texts(self.lines)

    @cached_property
    def rows(self) -> Mapping[Side, tuple[int, ...]]:
        """The lines of each side, as places in `lines`."""
        kinds = [line.kind for line in self.lines]
        absent = {side: _other(side) for side in Side}
        return {
            side: tuple([row for row, kind in enumerate(kinds) if kind != other])
            for side, other in absent.items()
        }

    @cached_property
    def _numbers(self) -> Mapping[Side, Sequence[int]]:
        return {
            Side.LEFT: [line.old for line in self.lines if line.old is not None],
            Side.RIGHT: [line.new for line in self.lines if line.new is not None],
        }

    @cached_property
    def outlines(self) -> Mapping[Side, Outline]:
        return {side: Outline([self.lines[row].text for row in self.rows[side]]) for side in Side}

    def around(self, place: Location) -> Iterator[int]:
        """Give the rows that are needed to judge a place, the most needed first.

        They are those of the definition around it on its side, with what the change did there.
        """
        rows = self.rows[place.side]
        if not rows:
            return
        other = _other(place.side)
        first, last = self._between(place)
        begin, end = rows[first] - WINDOW, rows[last] + WINDOW
        if enclosing := self._enclosing(place):
            begin, end = rows[enclosing.first - 1], rows[min(enclosing.last, len(rows)) - 1]
            begin, end = self._with_changes_beside(begin, end, other)
            yield from (rows[number - 1] for number in (*enclosing.outer, enclosing.header))
        left = {True: MAX_LINES, False: MAX_LINES}
        for row in _outwards(rows[first], rows[last], max(0, begin), min(end, len(self.lines) - 1)):
            is_others = self.lines[row].kind == other
            left[is_others] -= 1
            if left[is_others] >= 0:
                yield row

    def imports(self) -> tuple[int, ...]:
        """Give the rows of the imports at the head; none where only hunks are known."""
        if not self.is_whole:
            return ()
        rows = self.rows[Side.RIGHT]
        return tuple(rows[number - 1] for number in self.outlines[Side.RIGHT].imports())

    def mentions(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
        """Give the rows near the top that match, and what there; each pair once, in order."""
        text, starts = self._searched
        found = ((bisect_right(starts, m.start()) - 1, m[0]) for m in pattern.finditer(text))
        yield from dict.fromkeys(found)

    @cached_property
    def _searched(self) -> tuple[str, Sequence[int]]:
        """The first lines as one text, and where each begins in it."""
        texts = [f"{line.text[:MAX_LINE]}\n" for line in self.lines[:MAX_LINES_SEARCHED]]
        return "".join(texts), [0, *accumulate(map(len, texts))]

    def definition_at(self, row: int, name: str) -> tuple[int, ...]:
        """Give the first rows of the definition of a name that begins in this row, if one does."""
        side = Side.LEFT if self.lines[row].kind == "-" else Side.RIGHT
        rows = self.rows[side]
        at = bisect_left(rows, row)
        text = self.lines[row].text
        if not defines(text, name):
            outline = self.outlines[side]
            if outline.kind(at + 1) is not Kind.FUNCTION or name_of(text) != name:
                return ()
        end = self.outlines[side].end(at + 1, at + _DEFINED_LINES)
        return rows[at:end]

    def name_around(self, place: Location) -> str | None:
        """Tell the name of the definition around a place."""
        enclosing = self._enclosing(place)
        if enclosing is None:
            return None
        return name_of(self.lines[self.rows[place.side][enclosing.header - 1]].text)

    def _enclosing(self, place: Location) -> Enclosing | None:
        if not self.is_whole or not self.rows[place.side]:
            return None
        first, last = self._between(place)
        return self.outlines[place.side].enclosing(first + 1, last + 1)

    def _between(self, place: Location) -> tuple[int, int]:
        """Find a place among the lines of its side, or what is nearest to it."""
        numbers = self._numbers[place.side]
        first = min(bisect_left(numbers, place.start_line), len(numbers) - 1)
        return first, max(first, bisect_right(numbers, place.line) - 1)

    def _with_changes_beside(self, begin: int, end: int, kind: str) -> tuple[int, int]:
        """Take in the other side's lines directly before and after: they were part of it."""
        while begin and self.lines[begin - 1].kind == kind:
            begin -= 1
        while end + 1 < len(self.lines) and self.lines[end + 1].kind == kind:
            end += 1
        return begin, end


class Selection:
    """Rows of several files that are shown together. `weight` is what they weigh in all."""

    def __init__(self) -> None:
        self.weight = 0.0
        self._rows: dict[str, set[int]] = {}

    def has(self, path: str, row: int) -> bool:
        return row in self._rows.get(path, ())

    def fits(self, sheet: Sheet, rows: Iterable[int], limit: float) -> bool:
        """Say whether rows can be taken without weighing more than `limit`."""
        new = {row for row in rows if not self.has(sheet.file.path, row)}
        return self.weight + sum(_weight(sheet, row) for row in new) <= limit

    def add(self, sheet: Sheet, rows: Iterable[int], limit: float) -> None:
        """Take rows in turn, until one would make it weigh more than `limit`."""
        taken = self._rows.setdefault(sheet.file.path, set())
        for row in rows:
            if row in taken:
                continue
            size = _weight(sheet, row)
            if self.weight + size > limit:
                return
            taken.add(row)
            self.weight += size

    def page(self, sheets: Mapping[str, Sheet]) -> Page:
        """Print the files in the order in which they were first taken from."""
        pieces: list[str] = []
        runs: list[tuple[Shown, ...]] = []
        for path, taken in self._rows.items():
            sheet = sheets[path]
            of_file = [tuple(run) for run in _runs(sheet, sorted(taken))]
            if of_file:
                printed = ("\n".join(_printed(sheet, row) for row in run) for run in of_file)
                pieces.append(f"{_heading(sheet.file)}\n" + f"\n{_GAP}\n".join(printed))
            runs += (
                tuple(Shown(sheet.lines[row].kind, sheet.texts[row]) for row in run)
                for run in of_file
            )
        return Page("\n\n".join(pieces), tuple(runs))


def names_of(finding: Finding, sheet: Sheet) -> tuple[str, ...]:
    """List the names that a finding is about: what is around it, what its evidence calls or uses
    (but for short words, which are names of variables), what its words put into backticks.
    """
    evidence = finding.evidence[:_MAX_EXAMINED]
    words = " ".join((finding.title, finding.body, finding.trigger))[:_MAX_EXAMINED]
    quoted = " ".join(_QUOTED.findall(words))
    around = sheet.name_around(finding.location)
    found = (
        *([around] if around else []),
        *_CALLED.findall(evidence),
        *(name for name in _NAME.findall(evidence) if not name.islower() or "_" in name),
        *_NAME.findall(quoted),
    )
    return tuple(dict.fromkeys(name for name in found if _tells(name)))[:MAX_NAMES]


def add_elsewhere(
    selection: Selection, names: Sequence[str], sheets: Sequence[Sheet], limit: float
) -> None:
    """Take in where names are defined and used outside of what was selected, as far as it fits."""
    if not names:
        return
    spans = _Spans(names)
    for order, sheet in enumerate(sheets):
        for row, name in sheet.mentions(spans.pattern):
            if not selection.has(sheet.file.path, row):
                spans.look_at(sheet, order, row, name)
    for sheet, rows in spans.in_order():
        if selection.fits(sheet, rows, limit):
            selection.add(sheet, rows, limit)


def rank_files(findings: Sequence[Finding], files: Sequence[FileDiff]) -> tuple[str, ...]:
    """Choose the changed files that may tell more about findings in others, likeliest first."""
    evidence = "\n".join(f.evidence[:_MAX_EXAMINED] for f in findings)
    names = frozenset(name for name in _NAME.findall(evidence) if _tells(name))
    endings = {f.location.path.rpartition(".")[2] for f in findings}
    own = {f.location.path for f in findings}

    def likelihood(file: FileDiff) -> tuple[bool, bool]:
        changed = "\n".join(line.text[:MAX_LINE] for line in file.changed_lines)
        mentions = not names.isdisjoint(_NAME.findall(changed[:_MAX_SEARCHED]))
        return not mentions, file.path.rpartition(".")[2] not in endings

    others = [file for file in files if file.hunks and file.path not in own]
    return tuple(file.path for file in sorted(others, key=likelihood)[:MAX_FILES_READ])


def room_of(tokens: int) -> float:
    """Turn tokens into the weight that fits them."""
    return tokens / MARGIN


# ---- names ---------------------------------------------------------------------------------------

_MAX_EXAMINED = 4_000
_MAX_SEARCHED = 200_000
_NAME = re.compile(r"[A-Za-z_$][\w$]{2,60}")
_CALLED = re.compile(r"([A-Za-z_$][\w$]{2,60})\s{0,2}\(")
_QUOTED = re.compile(r"`([^`\n]{1,200})`")
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*(?:\s|/|$)|--\s)")
_COMMON_WORDS = """
    and any args array assert async await bool boolean break byte bytes case catch char class const
    continue data def default defer delete dict double elif else end enum err error except export
    extends false final finally float for foreach format from func function get global has
    implements import include index int integer interface is_a item items key keys len let list
    long main map match new next nil none not null number object open option override package
    parent pass print private protected public put raise range read return self set short size
    static std str string struct super switch test the then this throw throws true try tuple type
    typeof undefined unsigned use using value values var void when while with write yield
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def _tells(name: str) -> bool:
    return name.lower() not in _COMMON


class _Spans:
    """Where names stand: definitions before uses, the first names before the others."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        # Every name is a run of letters, digits, `_` and `$`. What stands before it is looked at
        # last: so there is text to search for.
        whole = (rf"{name}(?<![\w$]{name})(?![\w$])" for name in map(re.escape, names))
        self.pattern = re.compile("|".join(whole))
        self._found: list[tuple[tuple[bool, int, int, int], Sheet, tuple[int, ...]]] = []
        self._n_seen: Counter[str] = Counter()
        self._n_taken: Counter[tuple[str, bool]] = Counter()

    def look_at(self, sheet: Sheet, order: int, row: int, name: str) -> None:
        self._n_seen[name] += 1
        if self._n_seen[name] > _MAX_SEEN:
            return
        definition = sheet.definition_at(row, name)
        is_use = not definition
        if is_use and _COMMENT.match(sheet.lines[row].text):
            return
        if self._n_taken[name, is_use] >= (_MAX_USED if is_use else _MAX_DEFINED):
            return
        self._n_taken[name, is_use] += 1
        rows = definition or range(
            max(0, row - _USE_LINES), min(row + _USE_LINES + 1, len(sheet.lines))
        )
        rank = (is_use, self._names.index(name), order, row)
        self._found.append((rank, sheet, tuple(rows)))

    def in_order(self) -> Iterator[tuple[Sheet, tuple[int, ...]]]:
        for _, sheet, rows in sorted(self._found, key=lambda found: found[0]):
            yield sheet, rows


# ---- lines ---------------------------------------------------------------------------------------


def _other(side: Side) -> str:
    """Give the mark of lines that only the other side has."""
    return "-" if side is Side.RIGHT else "+"


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _texts(lines: Sequence[Line]) -> tuple[str, ...]:
    """Mask each side as a whole, as a secret may have many lines; show and cut each line."""
    has_crlf = all(line.text.endswith("\r") for line in lines if line.has_newline)
    raw = [line.text.removesuffix("\r") if has_crlf else line.text for line in lines]
    masked = list(raw)
    for absent in "-+":
        rows = [row for row, line in enumerate(lines) if line.kind != absent]
        hidden = mask_lines([raw[row] for row in rows])
        for row, text in zip(rows, hidden, strict=True):
            if text != raw[row]:
                masked[row] = text
    return tuple(_cut(visible(text)) for text in masked)


def _cut(text: str) -> str:
    if len(text) <= MAX_LINE:
        return text
    return text[:_KEPT] + f"{_GAP} [{len(text) - _KEPT} more characters]"


def _outwards(first: int, last: int, begin: int, end: int) -> Iterator[int]:
    """Count from first to last, then away from both to begin and end."""
    yield from range(first, last + 1)
    for distance in range(1, max(first - begin, end - last) + 1):
        if first - distance >= begin:
            yield first - distance
        if last + distance <= end:
            yield last + distance


def _runs(sheet: Sheet, rows: Sequence[int]) -> Iterator[list[int]]:
    """Cut rows where lines are missing between them."""
    cuts = [0]
    for at, (one, other) in enumerate(pairwise(rows), start=1):
        if other != one + 1 or _is_gap(sheet.lines[one], sheet.lines[other]):
            cuts.append(at)
    for begin, end in pairwise((*cuts, len(rows))):
        if begin < end:
            yield list(rows[begin:end])


def _is_gap(one: Line, other: Line) -> bool:
    """Whether a line is missing between two rows: where only hunks are known, many are."""
    old = one.old is not None and other.old is not None and other.old > one.old + 1
    return old or (one.new is not None and other.new is not None and other.new > one.new + 1)


def _weight(sheet: Sheet, row: int) -> float:
    return weight(_printed(sheet, row) + "\n")


def _printed(sheet: Sheet, row: int) -> str:
    line = sheet.lines[row]
    return f"{line.old if line.new is None else line.new} {line.kind}{sheet.texts[row]}"


def _heading(file: FileDiff) -> str:
    return f"## File: {shown_name(file.path)} ({file.status.value})"
