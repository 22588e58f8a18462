"""Turns hunks into chunks: what one call shows to the model, with true line numbers, within a
token budget, riskiest first. Knows neither what is left out nor what the model is asked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from posixpath import basename, dirname

from app.review.classes import FileClass
from app.review.diff import FileDiff, Hunk, Line, Side, Status
from app.review.focus import GROUPS, Area
from app.review.masking import mask, mask_lines, visible
from app.review.tokens import MARGIN, weight, with_margin

CONTEXT_LINES = 5
"""Unchanged lines kept on each side of a change; a wider diff is cut down to this."""

MAX_LINE = 500
"""Characters of a line that are shown; what follows is counted, not shown."""

Place = tuple[str, Side, int]
"""Path, side and line number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HunkToShow:
    """A hunk and the areas it is shown for; `row` is the number it is accounted under."""

    row: int
    file: FileDiff
    file_class: FileClass
    hunk: Hunk
    areas: tuple[Area, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What one call shows. `number` counts from 1, in the order in which to ask.

    `shown` is every line of `text` as the model sees it: masked, made visible, cut. A line of
    context stands on the new side. `rows` are the hunks that have lines here.
    """

    number: int
    areas: tuple[Area, ...]
    text: str
    shown: Mapping[Place, str]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """All chunks. `placed` is (row, area) → numbers of the chunks that show all its lines; what
    found no room is not in it. `n_cut_lines` is row → changed lines that are not shown in full.
    """

    chunks: tuple[Chunk, ...]
    placed: Mapping[tuple[int, Area], tuple[int, ...]]
    n_cut_lines: Mapping[int, int]


def make_chunks(
    hunks: Sequence[HunkToShow], *, budget_tokens: int, max_chunks: int, first: int = 1
) -> Chunks:
    """Spread hunks over at most `max_chunks` chunks of at most `budget_tokens`, group by group.

    Only a chunk with a single changed line may be larger than the budget. They are numbered from
    `first`.
    """
    room, max_chunks = budget_tokens / MARGIN, max(0, max_chunks)
    clusters = _clusters(hunks, capacity=room * max_chunks)
    splits = _Splits(room=room, max_parts=max_chunks)
    drafts: list[_Draft] = []
    unplaced: set[tuple[int, Area]] = set()
    for group in GROUPS:
        packer = _Packer(group=group, room=room, max_drafts=max_chunks, splits=splits)
        for cluster in clusters:
            unplaced |= packer.place([h for h in cluster if not set(h.areas).isdisjoint(group)])
        drafts += packer.drafts
    # The first chunk of each group, then the second of each: a limit takes from all alike.
    drafts.sort(key=lambda draft: draft.rank)
    for draft in drafts[max_chunks:]:
        unplaced |= draft.asked
    placed: dict[tuple[int, Area], tuple[int, ...]] = {}
    kept = tuple(enumerate(drafts[:max_chunks], start=first))
    for number, draft in kept:
        for pair in draft.asked - unplaced:
            placed[pair] = (*placed.get(pair, ()), number)
    return Chunks(
        chunks=tuple(_chunk(number, draft) for number, draft in kept),
        placed=placed,
        n_cut_lines=splits.n_cut_lines,
    )


# ---- order ---------------------------------------------------------------------------------------

_CLASS_ORDER = {
    FileClass.SOURCE: 0,
    FileClass.SYMLINK: 0,
    FileClass.TEST: 1,
    FileClass.MANIFEST: 2,
    FileClass.CONFIGURATION: 2,
    FileClass.SUBMODULE: 2,
}
_LAST_CLASS = 3

_SECURITY_WORDS = """
    auth login passw secret token crypt hmac cookie session csrf cors jwt permission privilege
    sanitiz escape deserial pickle marshal eval( exec( system( popen subprocess shell sql upload
    redirect ../ chmod unsafe memcpy strcpy malloc verify certificate tls
"""
_LOOKED_AT = 300
"""Changed lines of a file, and characters of a line, in which to look for security."""

_CHARACTERS_A_TOKEN = 3
_MAX_SHARE = 4
"""A cluster that would take more than a quarter of all chunks comes last, so as not to starve
the others."""

_TEST_AFFIX = re.compile(r"^test_|(?:[_.-](?:tests?|spec|unittest)|Tests?|Spec)$")
_MAX_CANDIDATES = 50


def _clusters(hunks: Sequence[HunkToShow], *, capacity: float) -> list[list[HunkToShow]]:
    """Gather the hunks of files that belong together, riskiest first."""
    leads = _leads({hunk.file.path: hunk.file_class for hunk in hunks})
    clusters: dict[str, list[HunkToShow]] = {}
    for hunk in hunks:
        clusters.setdefault(leads[hunk.file.path], []).append(hunk)
    for lead, cluster in clusters.items():
        cluster.sort(key=lambda hunk: (hunk.file.path != lead, hunk.file.path, hunk.row))
    return sorted(clusters.values(), key=lambda cluster: _urgency(cluster, capacity))


def _leads(classes: Mapping[str, FileClass]) -> dict[str, str]:
    """Find for each path the file that it is reviewed with: for a test, what it tests."""
    sources: dict[str, list[str]] = {}
    for path in sorted(classes):
        if classes[path] is FileClass.SOURCE:
            sources.setdefault(_stem(path), []).append(path)
    leads = {path: path for path in classes}
    for path, file_class in classes.items():
        if file_class is FileClass.TEST:
            subject = _TEST_AFFIX.sub("", _stem(path))
            candidates = sources.get(subject, [])[:_MAX_CANDIDATES]
            leads[path] = max(candidates, key=lambda c: _n_shared(c, path), default=path)
    return leads


def _stem(path: str) -> str:
    return basename(path).rpartition(".")[0] or basename(path)


def _n_shared(one: str, other: str) -> int:
    return len(set(dirname(one).split("/")) & set(dirname(other).split("/")))


def _urgency(cluster: list[HunkToShow], capacity: float) -> tuple[bool, int, bool, int, str]:
    first = cluster[0]
    lines = [line for hunk in cluster for line in hunk.hunk.changed_lines]
    n_characters = sum(min(len(line.text), MAX_LINE) for line in lines)
    return (
        n_characters / _CHARACTERS_A_TOKEN > capacity / _MAX_SHARE,
        _CLASS_ORDER.get(first.file_class, _LAST_CLASS),
        not _looks_like_security(first.file.path, lines),
        -len(lines),
        first.file.path,
    )


def _looks_like_security(path: str, lines: Iterable[Line]) -> bool:
    texts = (line.text[:_LOOKED_AT] for line in islice(lines, _LOOKED_AT))
    text = "\n".join((path, *texts)).lower()
    return any(word in text for word in _SECURITY_WORDS.split())


# ---- into chunks ---------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A chunk while it is being filled."""

    group: tuple[Area, ...]
    rank: int
    parts: list["_Part"] = field(default_factory=list)
    places: set[Place] = field(default_factory=set)
    weight: float = 0

    @property
    def asked(self) -> set[tuple[int, Area]]:
        return {pair for part in self.parts for pair in _asked(part.hunk, self.group)}


@dataclass(slots=True, kw_only=True)
class _Packer:
    """Fills the chunks of one group: what belongs together goes together where it fits."""

    group: tuple[Area, ...]
    room: float
    max_drafts: int
    splits: "_Splits"
    drafts: list[_Draft] = field(default_factory=list)
    is_full: bool = False

    def place(self, cluster: list[HunkToShow]) -> set[tuple[int, Area]]:
        """Place the hunks of a cluster; return what found no room."""
        if self.is_full:
            return {pair for hunk in cluster for pair in _asked(hunk, self.group)}
        parts = [part for hunk in cluster for part in self.splits.parts(hunk)]
        unplaced = {hunk.row for hunk in cluster if not self.splits.is_whole(hunk)}
        if not self._add(parts):
            for _, of_file in groupby(parts, key=lambda part: part.path):
                unplaced |= self._place_file(list(of_file))
        lost = (hunk for hunk in cluster if hunk.row in unplaced)
        return {pair for hunk in lost for pair in _asked(hunk, self.group)}

    def _place_file(self, parts: list["_Part"]) -> set[int]:
        if self._add(parts):
            return set()
        return {part.hunk.row for part in parts if not self._add([part])}

    def _add(self, parts: list["_Part"]) -> bool:
        """Add parts to the first chunk that has room for all of them, or open a new one."""
        if not parts:
            return True
        places = {place for part in parts for place in part.shown}
        needed = sum(part.weight for part in parts) + sum(
            next(of_file).heading_weight for _, of_file in groupby(parts, key=lambda p: p.heading)
        )
        is_ambiguous = len(places) < sum(len(part.shown) for part in parts)
        if len(parts) > 1 and (is_ambiguous or needed > self.room):
            return False
        for draft in self.drafts:
            if draft.weight + needed <= self.room and draft.places.isdisjoint(places):
                break
        else:
            if len(self.drafts) == self.max_drafts:
                self.is_full = True
                return False
            draft = _Draft(group=self.group, rank=len(self.drafts))
            self.drafts.append(draft)
        draft.parts += parts
        draft.places |= places
        draft.weight += needed
        return True


def _asked(hunk: HunkToShow, group: tuple[Area, ...]) -> Iterator[tuple[int, Area]]:
    return ((hunk.row, area) for area in group if area in hunk.areas)


def _chunk(number: int, draft: _Draft) -> Chunk:
    pieces: list[str] = []
    heading = ""
    for part in draft.parts:
        if part.heading != heading:
            heading = part.heading
            pieces.append(f"\n{heading}" if pieces else heading)
        pieces.append(part.text)
    text = "\n".join(pieces) + "\n"
    asked = {area for _, area in draft.asked}
    return Chunk(
        number=number,
        areas=tuple(area for area in draft.group if area in asked),
        text=text,
        shown={place: line for part in draft.parts for place, line in part.shown.items()},
        tokens=with_margin(draft.weight),
    )


# ---- into parts ----------------------------------------------------------------------------------

_MAX_NAME = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Lines of one hunk that stay together, with the headings that stand above them."""

    hunk: HunkToShow
    heading: str
    heading_weight: float
    text: str
    weight: float
    shown: Mapping[Place, str]
    n_cut_lines: int

    @property
    def path(self) -> str:
        return self.hunk.file.path


@dataclass(slots=True, kw_only=True)
class _Splits:
    """Hunks cut into parts that fit one chunk each; each hunk is cut once, for all groups."""

    room: float
    max_parts: int
    known: dict[int, tuple[_Part, ...]] = field(default_factory=dict)

    def parts(self, hunk: HunkToShow) -> tuple[_Part, ...]:
        """Return the parts that may find room, at most `max_parts`."""
        return self._known(hunk)[: self.max_parts]

    def is_whole(self, hunk: HunkToShow) -> bool:
        return len(self._known(hunk)) <= self.max_parts

    @property
    def n_cut_lines(self) -> dict[int, int]:
        return {row: sum(part.n_cut_lines for part in parts) for row, parts in self.known.items()}

    def _known(self, hunk: HunkToShow) -> tuple[_Part, ...]:
        if hunk.row not in self.known:
            # One more than there is room for tells that the hunk is not whole.
            parts = islice(_split(hunk, self.room), self.max_parts + 1)
            self.known[hunk.row] = tuple(parts)
        return self.known[hunk.row]


def _split(hunk: HunkToShow, room: float) -> Iterator[_Part]:
    """Cut a hunk between lines wherever the next one would not fit; each part holds a change."""
    heading = _file_heading(hunk.file)
    title = f"@@ {shown_name(hunk.hunk.section)}".rstrip()
    room -= weight(f"\n{heading}\n{title} (continued)\n\n")
    lines: list[_ShownLine] = []
    size = 0.0
    has_change = False
    for line in _shown_lines(hunk.hunk):
        if has_change and size + line.weight > room:
            yield _part(hunk, heading, title, lines)
            lines, size, has_change = [], 0.0, False
            title = title.removesuffix(" (continued)") + " (continued)"
        while lines and size + line.weight > room:  # context that leaves no room for a change
            size -= lines.pop(0).weight
        lines.append(line)
        size += line.weight
        has_change = has_change or line.is_changed
    if has_change:
        yield _part(hunk, heading, title, lines)


def _part(hunk: HunkToShow, heading: str, title: str, lines: list["_ShownLine"]) -> _Part:
    text = "\n".join((title, *(line.rendered for line in lines)))
    return _Part(
        hunk=hunk,
        heading=heading,
        heading_weight=weight(f"\n{heading}\n"),
        text=text,
        weight=weight(f"{title}\n") + sum(line.weight for line in lines),
        shown={(hunk.file.path, line.side, line.number): line.text for line in lines},
        n_cut_lines=sum(line.is_cut and line.is_changed for line in lines),
    )


def _file_heading(file: FileDiff) -> str:
    status = file.status.value
    if file.status in (Status.RENAMED, Status.COPIED) and file.old_path is not None:
        status = f"{status} from {shown_name(file.old_path)}"
    return f"## File: {shown_name(file.path)} ({status})"


def shown_name(text: str) -> str:
    """Return a name as a question shows it: one line, masked, nothing in it invisible."""
    return visible(mask(text[:_MAX_NAME])).replace("\n", "<U+000A>")


# ---- what a line looks like ----------------------------------------------------------------------

_MAX_EXAMINED = 8 * MAX_LINE
_BLOCK = 500
"""Lines that are searched for secrets together: a private key has many."""

_KEPT = MAX_LINE - 40  # leaves room for the note that the rest is cut
_NO_NEWLINE = "\\ No newline at end of file"
_GAP = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShownLine:
    """A line as the model sees it: `text` is its own, `rendered` has its number and mark before."""

    side: Side
    number: int
    text: str
    rendered: str
    weight: float
    is_changed: bool
    is_cut: bool


def _shown_lines(hunk: Hunk) -> Iterator[_ShownLine]:
    """Render changed lines and the context near them, in order, as far as anyone asks."""
    # Where only some lines end so, the CR is what changed: it is made visible.
    has_crlf = all(line.text.endswith("\r") for line in hunk.lines if line.has_newline)
    kept = _kept(hunk.lines)
    expected = 0
    while block := list(islice(kept, _BLOCK)):
        texts = [
            (line.text.removesuffix("\r") if has_crlf else line.text)[:_MAX_EXAMINED]
            for _, line in block
        ]
        for (index, line), text in zip(block, mask_lines(texts), strict=True):
            is_after_gap = 0 < expected < index
            yield _shown_line(line, text, is_after_gap=is_after_gap)
            expected = index + 1


def _kept(lines: Sequence[Line]) -> Iterator[tuple[int, Line]]:
    """Number the lines of a hunk, leaving out context that is far from every change."""
    changes = (index for index, line in enumerate(lines) if line.kind != " ")
    last, following = -len(lines) - CONTEXT_LINES, next(changes, None)
    for index, line in enumerate(lines):
        if index == following:
            last, following = index, next(changes, None)
        is_before_change = following is not None and following - index <= CONTEXT_LINES
        if is_before_change or index - last <= CONTEXT_LINES:
            yield index, line


def _shown_line(line: Line, masked: str, *, is_after_gap: bool) -> _ShownLine:
    side, number = (Side.LEFT, line.old) if line.new is None else (Side.RIGHT, line.new)
    text = visible(masked)
    n_characters = len(text) + max(0, len(line.text) - _MAX_EXAMINED)
    is_cut = n_characters > MAX_LINE
    if is_cut:
        text = text[:_KEPT] + f"… [{n_characters - _KEPT} more characters]"
    rendered = f"{number} {line.kind}{text}"
    if line.kind != " " and not line.has_newline:
        rendered += f"\n{_NO_NEWLINE}"
    if is_after_gap:
        rendered = f"{_GAP}\n{rendered}"
    return _ShownLine(
        side=side,
        number=number or 0,
        text=text,
        rendered=rendered,
        weight=weight(f"{rendered}\n"),
        is_changed=line.kind != " ",
        is_cut=is_cut,
    )
