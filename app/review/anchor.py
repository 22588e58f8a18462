"""The gate between claim and proof: a finding stays only if the code it quotes is in the change.

Knows which lines of a diff can carry a comment, and where a quote stands. A quote is compared as a
run of words and signs, so white space and line ends do not count. Knows nothing of what a finding
means. See `product.md` §3: anchored, moved, to the summary, or dropped; never refused by GitHub.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from posixpath import basename, normpath
from typing import NamedTuple

from app.review.chunks import shown_name
from app.review.diff import Diff, FileDiff, Hunk, Side, Status
from app.review.findings import (
    NOT_CHECKED,
    Candidate,
    Dropped,
    Finding,
    Gate,
    Location,
    fingerprint,
)
from app.review.masking import mask_lines, visible

GATE = "anchored"
UNPROVEN = "unproven"
UNKNOWN_PATH = "unknown_path"
AMBIGUOUS = "the quoted code stands in several places, equally near"
OUTSIDE = "the quoted code is outside the changed lines and those around them"
OTHER_RANGE = "it was made for other lines than those that its finding stands on"
NOT_SHOWN = "GitHub shows no diff of this file, so no comment can stand in it"

MIN_FRAGMENT = 4
"""Signs, without white space, that a quote needs to prove something if it is no whole line."""

Shown = Mapping[tuple[str, Side, int], str]
"""The text of a line as a prompt showed it, by path, side and number."""


class Range(NamedTuple):
    """Lines `first` … `last`, 1-based, both ends included."""

    first: int
    last: int


def commentable(file: FileDiff, side: Side) -> tuple[Range, ...]:
    """Tell the lines of one side that can carry a comment, in order; no range leaves its hunk.

    RIGHT: all new lines of each hunk (added and context). LEFT: runs of deleted lines. None of a
    file that GitHub shows no diff of.
    """
    return _ranges(file, side) if file.takes_comments else ()


def is_commentable(file: FileDiff, side: Side, start_line: int, line: int) -> bool:
    """Whether GitHub takes a comment on these lines (`start_line == line` for a single one)."""
    return any(
        first <= start_line <= line <= last  # a range in one piece, within one hunk
        for first, last in commentable(file, side)
    )


def anchor(
    candidates: Sequence[Candidate],
    diff: Diff,
    shown: Shown,
    head_text: Mapping[str, str] | None = None,
) -> Gate[Finding]:
    """Put each candidate where its quote stands; drop it if that is nowhere.

    A quote may have a line as the diff has it, or masked and made visible, as everything that we
    show is. `shown` is needed for lines that a prompt showed otherwise, or that are in no hunk;
    `head_text` (path to text) lets quotes from outside the hunks be recognised.
    """
    paths = _Paths(diff.files)
    by_path: dict[str, list[int]] = {}
    results: list[Finding | Dropped] = []
    for number, candidate in enumerate(candidates):
        results.append(_dropped(candidate, UNKNOWN_PATH))
        path = paths.find(candidate.location.path)
        if path is not None:
            by_path.setdefault(path, []).append(number)
    shown_in = _by_path(shown, by_path)
    for path, numbers in by_path.items():
        files = [file for file in diff.files if file.path == path]
        places = _Places(_sources(files, shown_in[path], (head_text or {}).get(path)))
        takes_comments = all(file.takes_comments for file in files)
        for number in numbers:
            result = _judge(candidates[number], path, places)
            if isinstance(result, Finding) and not takes_comments:
                result = replace(result, summary_reason=result.summary_reason or NOT_SHOWN)
            results[number] = result
    return Gate(
        kept=tuple(result for result in results if isinstance(result, Finding)),
        dropped=tuple(result for result in results if isinstance(result, Dropped)),
    )


def standing(quotes: Iterable[str], runs: Iterable[Sequence[str]]) -> frozenset[str]:
    """Tell which quotes stand in these runs of lines, by the rule that evidence is held to."""
    numbered = enumerate(chain.from_iterable((None, *run) for run in runs), start=1)
    text = _Text((_Row(number, None), line) for number, line in numbered if line is not None)
    return frozenset(q for q in quotes if any(any(text.find(read)) for read in _quotes(q)))


def _ranges(file: FileDiff, side: Side) -> tuple[Range, ...]:
    return tuple(lines for hunk in file.hunks for lines in _commentable_in(hunk, side))


def _commentable_in(hunk: Hunk, side: Side) -> Iterator[Range]:
    if side is Side.RIGHT:
        if hunk.new_count:
            yield Range(hunk.new_start, hunk.new_start + hunk.new_count - 1)
        return
    run: Range | None = None
    for line in hunk.lines:
        if line.kind != "-" or line.old is None:
            continue
        if run and line.old == run.last + 1:
            run = Range(run.first, line.old)
            continue
        if run:
            yield run
        run = Range(line.old, line.old)
    if run:
        yield run


# ---- one candidate -------------------------------------------------------------------------------


def _judge(candidate: Candidate, path: str, places: "_Places") -> Finding | Dropped:
    named = candidate.location
    for quote in _quotes(candidate.evidence):
        found = _nearest(places, quote, named)
        if found:
            location = Location(
                path=path, side=found.side, start_line=found.lines.first, line=found.lines.last
            )
            return _finding(candidate, location, found.summary_reason)
    return _dropped(candidate, UNPROVEN)


class _Found(NamedTuple):
    side: Side
    lines: Range
    summary_reason: str | None


class _Spot(NamedTuple):
    """The nearest place on one side, and how far it is from the lines that were named."""

    distance: int
    side: Side
    place: "_Place"
    is_ambiguous: bool


def _nearest(places: "_Places", quote: str, named: Location) -> _Found | None:
    """Find the place of a quote: on the lines named, else whole lines, else a part of lines."""
    wanted = Range(*sorted((named.start_line, named.line)))
    whole = _best_spot(places, quote, named.side, wanted, is_whole=True)
    if whole and _is_there(whole, named.side):
        return _there(whole, wanted)
    part = _best_spot(places, quote, named.side, wanted, is_whole=False)
    if part and _is_there(part, named.side):
        return _there(part, wanted)
    spot = whole or part
    if spot:
        return _Found(spot.side, spot.place.lines, AMBIGUOUS if spot.is_ambiguous else None)
    outside = places.outside(quote)
    return _Found(Side.RIGHT, outside, OUTSIDE) if outside else None


def _is_there(spot: _Spot, side: Side) -> bool:
    return spot.distance == 0 and spot.side is side


def _there(spot: _Spot, wanted: Range) -> _Found:
    """Keep the lines that were named, as far as they can carry one comment."""
    first = max(wanted.first, spot.place.bounds.first)
    last = min(wanted.last, spot.place.bounds.last)
    return _Found(spot.side, Range(first, last), None)


def _best_spot(
    places: "_Places", quote: str, side: Side, wanted: Range, *, is_whole: bool
) -> _Spot | None:
    other = Side.LEFT if side is Side.RIGHT else Side.RIGHT
    spots = [
        spot
        for where in (side, other)
        if (spot := _spot(where, places.inside(where, quote, is_whole=is_whole), wanted))
    ]
    return min(spots, key=lambda spot: spot.distance, default=None)


def _spot(side: Side, places: Sequence["_Place"], wanted: Range) -> _Spot | None:
    """Choose among places in order: the last that begins before the wanted end, or the next one."""
    if not places:
        return None
    after = bisect_right(places, wanted.last, key=lambda place: place.lines.first)
    near = [(_distance(place.lines, wanted), place) for place in places[max(0, after - 2) : after]]
    near.reverse()
    near += [(_distance(place.lines, wanted), place) for place in places[after : after + 1]]
    distance, best = min(near, key=lambda item: item[0])
    rivals = {place.quote_at for far, place in near if far == distance}
    return _Spot(distance, side, best, len(rivals) > 1)


def _distance(lines: Range, wanted: Range) -> int:
    return max(0, lines.first - wanted.last, wanted.first - lines.last)


# ---- quotes and where they stand -----------------------------------------------------------------

_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIFF_MARKER = re.compile(r"^[-+]", re.MULTILINE)
_PRINTED_BEFORE = re.compile(r"^ *\d{1,7}(?: [-+]| {2}|$)", re.MULTILINE)
"""The number and the sign before each line that a question shows."""
_GAP = "\n"


def _quotes(evidence: str) -> Iterator[str]:
    """Give the readings of a quote: as it is, and without what was printed before its lines.

    That is the marker of a diff, or the line's number and the marker, if all lines have one.
    """
    lines = [line for line in evidence.split("\n") if line.strip()]
    readings = [evidence]
    readings += [
        printed.sub("", evidence)
        for printed in (_DIFF_MARKER, _PRINTED_BEFORE)
        if all(map(printed.match, lines))
    ]
    for reading in readings:
        if any(sign.isalnum() for sign in reading):
            yield " ".join(_TOKEN.findall(reading))


class _Place(NamedTuple):
    """Lines on which (a part of) a quote stands, and the range that a comment there may have."""

    lines: Range
    bounds: Range
    quote_at: int


class _Row(NamedTuple):
    number: int
    bounds: Range | None


class _Text:
    """The known lines of one side of a file as one string of tokens, to be searched.

    Each token has a space before and after it, each gap in the numbers a sign that is no token.
    """

    def __init__(self, lines: Iterable[tuple[_Row, str]]) -> None:
        self.rows: list[_Row] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._tokens: set[str] = set()
        pieces = [""]
        size = 0
        previous = 0
        for row, text in lines:
            if row.number != previous + 1:
                pieces.append(_GAP)
                size += 1 + len(_GAP)
            previous = row.number
            if tokens := _TOKEN.findall(text):
                pieces.append(" ".join(tokens))
                self._tokens.update(tokens)
                self.rows.append(row)
                self._starts.append(size)
                size += 1 + len(pieces[-1])
                self._ends.append(size)
        self._string = " ".join(pieces) + " "

    def find(self, quote: str) -> Iterator[tuple[bool, tuple[_Row, ...]]]:
        """Find the rows on which a quote stands, and whether it fills them."""
        if not self._tokens.issuperset(quote.split(" ")):
            return
        needle = f" {quote} "
        at = self._string.find(needle)
        while at != -1:
            end = at + len(needle) - 1
            first = bisect_right(self._starts, at) - 1
            last = bisect_left(self._ends, end)
            is_whole = self._starts[first] == at and self._ends[last] == end
            if is_whole or len(quote) - quote.count(" ") >= MIN_FRAGMENT:
                yield is_whole, tuple(self.rows[first : last + 1])
            at = self._string.find(needle, at + 1)


class _Source(NamedTuple):
    """All that is known of one side of a file, by line number."""

    bounds: dict[int, Range | None]
    texts: dict[int, str]
    shown: dict[int, str]


class _Places:
    """Finds quotes in one file. Remembers what it found, as the same quote may come again."""

    def __init__(self, sources: Mapping[Side, _Source]) -> None:
        self._texts = {side: tuple(_texts(source)) for side, source in sources.items()}
        self._inside: dict[tuple[Side, str, bool], list[_Place]] = {}

    def inside(self, side: Side, quote: str, *, is_whole: bool) -> list[_Place]:
        """Find where a quote can carry a comment, in order: on whole lines or on parts of them."""
        if (side, quote, is_whole) not in self._inside:
            found: dict[bool, set[_Place]] = {True: set(), False: set()}
            for text in self._texts[side]:
                for fills, rows in text.find(quote):
                    found[fills].update(_pieces(rows))
            for fills, places in found.items():
                self._inside[side, quote, fills] = sorted(places)
        return self._inside[side, quote, is_whole]

    def outside(self, quote: str) -> Range | None:
        """Find a quote on lines of the new file; asked only when it is in no hunk."""
        found = [found for text in self._texts[Side.RIGHT] for found in text.find(quote)]
        if not found:
            return None
        _, rows = max(found, key=lambda item: item[0])
        return Range(rows[0].number, rows[-1].number)


def _pieces(rows: Sequence[_Row]) -> Iterator[_Place]:
    """Cut the rows of a quote into the runs that can carry a comment."""
    by_bounds: dict[Range, list[int]] = {}
    for row in rows:
        if row.bounds:
            by_bounds.setdefault(row.bounds, []).append(row.number)
    for bounds, numbers in by_bounds.items():
        yield _Place(Range(numbers[0], numbers[-1]), bounds, rows[0].number)


def _texts(source: _Source) -> Iterator[_Text]:
    """Build what is searched: the lines as they are, and as they were shown if that differs."""
    numbers = sorted(source.bounds)
    yield _Text((_Row(n, source.bounds[n]), source.texts[n]) for n in numbers)
    if any(source.texts[n] != text for n, text in source.shown.items()):
        yield _Text(
            (_Row(n, source.bounds[n]), source.shown.get(n, source.texts[n])) for n in numbers
        )


def _by_path(shown: Shown, paths: Iterable[str]) -> dict[str, list[tuple[Side, int, str]]]:
    by_path: dict[str, list[tuple[Side, int, str]]] = {path: [] for path in paths}
    for (path, side, number), text in shown.items():
        if path in by_path:
            by_path[path].append((side, number, text))
    return by_path


def _sources(
    files: Iterable[FileDiff], shown: Iterable[tuple[Side, int, str]], head_text: str | None
) -> dict[Side, _Source]:
    """Collect what is known of one path (two files of it: a change of type)."""
    sources = {side: _Source({}, {}, {}) for side in Side}
    if head_text is not None:
        right = sources[Side.RIGHT]
        for number, text in enumerate(head_text.split("\n"), start=1):
            right.bounds[number], right.texts[number] = None, text
    for file in files:
        for side, source in sources.items():
            _add_hunks(source, file, side)
    for side, number, text in shown:
        source = sources[side]
        source.bounds.setdefault(number, None)
        source.texts.setdefault(number, text)
        source.shown[number] = text
    return sources


def _add_hunks(source: _Source, file: FileDiff, side: Side) -> None:
    absent = "-" if side is Side.RIGHT else "+"
    for hunk in file.hunks:
        known = [line for line in hunk.lines if line.kind != absent]
        masked = mask_lines([line.text for line in known])
        for line, text in zip(known, masked, strict=True):
            number = (line.new if side is Side.RIGHT else line.old) or 0
            source.bounds[number], source.texts[number] = None, line.text
            if (shown := visible(text)) != line.text:
                source.shown[number] = shown
    for lines in _ranges(file, side):
        for number in range(lines.first, lines.last + 1):
            source.bounds[number] = lines


# ---- paths and results ---------------------------------------------------------------------------


_PRINTED_BEHIND = re.compile(
    r" \((?:added|removed|modified|renamed|copied|changed)[^()]*\)$"
    r"|(?::\d{1,9}(?:[-:]\d{1,9})?|#L\d{1,9}(?:-L?\d{1,9})?)$"
)


class _Paths:
    """The names that files may be called by: their own, the one that a question shows, and the
    old name of a renamed one."""

    def __init__(self, files: Iterable[FileDiff]) -> None:
        files = tuple(files)
        self._paths = {file.path: file.path for file in files}
        for file in files:
            if file.status is Status.RENAMED and file.old_path is not None:
                self._paths.setdefault(file.old_path, file.path)
        shown = Counter(shown_name(file.path) for file in files)
        for file in files:
            if shown[shown_name(file.path)] == 1:
                self._paths.setdefault(shown_name(file.path), file.path)
        self._by_name: dict[str, list[str]] = {}
        for path in self._paths:
            self._by_name.setdefault(basename(path), []).append(path)

    def find(self, path: str) -> str | None:
        """Find a file by its name, allowing for quotes, other ways to write a path, the prefixes of
        a diff, what is printed behind a name, and folders that are missing, or those above a root,
        where that leaves one file only."""
        bare = _PRINTED_BEHIND.sub("", path.strip("`'\" ").removeprefix("file://"))
        bare = normpath(bare.replace("\\", "/")).lstrip("/")
        for name in (path, bare, bare.removeprefix("a/"), bare.removeprefix("b/")):
            if name in self._paths:
                return self._paths[name]
        alike = {
            self._paths[name]
            for name in self._by_name.get(basename(bare), ())
            if name.endswith(f"/{bare}") or (path.startswith("/") and path.endswith(f"/{name}"))
        }
        return alike.pop() if len(alike) == 1 else None


def _finding(candidate: Candidate, location: Location, summary_reason: str | None) -> Finding:
    is_as_long = _n_lines(candidate.location) == _n_lines(location)
    return Finding(
        area=candidate.area,
        priority=candidate.priority,
        confidence=candidate.confidence,
        title=candidate.title,
        body=candidate.body,
        trigger=candidate.trigger,
        evidence=candidate.evidence,
        location=location,
        fingerprint=fingerprint(location.path, candidate.area, candidate.evidence),
        sources=(candidate.source,),
        rule=candidate.rule,
        suggestion=candidate.suggestion,
        suggestion_refused=NOT_CHECKED if is_as_long else OTHER_RANGE,
        summary_reason=summary_reason,
    )


def _n_lines(location: Location) -> int:
    return abs(location.line - location.start_line) + 1


def _dropped(candidate: Candidate, reason: str) -> Dropped:
    return Dropped(
        gate=GATE,
        reason=reason,
        title=candidate.title,
        path=candidate.location.path,
        line=candidate.location.line,
        source=candidate.source,
    )
