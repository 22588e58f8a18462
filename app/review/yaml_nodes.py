"""Reads one YAML document into nodes that know their line, refusing whatever could cost much.

Knows YAML and nothing of configurations. The events of the parser are counted as they come, so
that a bomb is dropped where it begins; nothing is resolved: no aliases, no tags, no types.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from yaml.error import Mark

from app.review.text import plain_line

if TYPE_CHECKING:  # not there where PyYAML was built without libyaml
    from yaml._yaml import Mark as CMark

MAX_BYTES = 65_536
MAX_DEPTH = 20
MAX_NODES = 5_000

ALIAS = "anchors and aliases (`&`, `*`) are not read here; write the value out"
TAG = "tags (`!`) are not read here; write the value without one"
CONTROL = "expected text without control characters"

Loader = type[yaml.CSafeLoader] | type[yaml.SafeLoader]
LOADER: Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value, as text. It stands at `source[start:end]`, quotes included; `is_plain`: it
    has none. `flaw` says why a node is not taken, here and below; empty where it may be."""

    line: int
    text: str
    start: int
    end: int
    is_plain: bool
    flaw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A sequence."""

    line: int
    items: tuple["Node", ...]
    flaw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """A mapping: keys and values in the order of the file, keys that stand twice included."""

    line: int
    pairs: tuple[tuple["Node", "Node"], ...]
    flaw: str = ""


Node = Scalar | Items | Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Why a file is no document, and where that shows (1-based)."""

    line: int
    reason: str


Document = Node | Unreadable | None
"""What a file holds; None where that is nothing but comments."""


# What YAML forbids, and lone halves of characters.
_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def decode(raw: bytes) -> str | Unreadable:
    """Return a file's text, without a byte order mark."""
    if len(raw) > MAX_BYTES:
        return Unreadable(line=1, reason=f"expected at most {MAX_BYTES} bytes, not {len(raw)}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        return Unreadable(line=line, reason="expected UTF-8; a byte here is not")
    if forbidden := _FORBIDDEN.search(text):
        line = text.count("\n", 0, forbidden.start()) + 1
        code = f"U+{ord(forbidden[0]):04X}"
        return Unreadable(line=line, reason=f"{CONTROL} ({code})")
    return text


def parse_yaml(text: str, loader: Loader = LOADER) -> Document:
    """Take a decoded document apart."""
    try:
        return _document(_bounded(yaml.parse(text, Loader=loader)))
    except _Refused as refused:
        return refused.why
    except yaml.MarkedYAMLError as problem:
        return _unreadable(problem, text)
    except (yaml.YAMLError, ValueError, OverflowError):  # an escape that is no character
        return Unreadable(line=1, reason="expected valid YAML")


class _Refused(Exception):
    """Valid YAML that we do not read."""

    def __init__(self, reason: str, event: yaml.Event) -> None:
        super().__init__(reason)
        self.why = Unreadable(line=_place(event.start_mark)[0], reason=reason)


def _bounded(events: Iterable[yaml.Event]) -> Iterator[yaml.Event]:
    """Hand on events until there are too many, or they are too deep."""
    depth = nodes = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise _Refused(f"expected at most {MAX_DEPTH} levels", event)
        if nodes > MAX_NODES:
            raise _Refused(f"expected at most {MAX_NODES} keys and values", event)
        yield event


def _document(events: Iterator[yaml.Event]) -> Node | None:
    next(events)  # the stream begins
    if isinstance(next(events), yaml.StreamEndEvent):
        return None
    node = _node(next(events), events)
    next(events)  # the document ends
    after = next(events)
    if not isinstance(after, yaml.StreamEndEvent):
        raise _Refused("expected one document, not several", after)
    return node


def _node(event: yaml.Event, rest: Iterator[yaml.Event]) -> Node:
    line, start = _place(event.start_mark)
    end = _place(event.end_mark)[1]
    match event:
        case yaml.ScalarEvent():
            flaw = CONTROL if _FORBIDDEN.search(event.value) else _flaw(event)
            return Scalar(
                line=line,
                text=event.value,
                start=start,
                end=end,
                is_plain=not event.style,
                flaw=flaw,
            )
        case yaml.SequenceStartEvent():
            return Items(line=line, items=tuple(_nodes(rest)), flaw=_flaw(event))
        case yaml.MappingStartEvent():
            nodes = _nodes(rest)
            pairs = tuple(zip(nodes, nodes, strict=True))
            return Pairs(line=line, pairs=pairs, flaw=_flaw(event))
        case _:  # an alias
            return Scalar(line=line, text="", start=start, end=end, is_plain=False, flaw=ALIAS)


def _nodes(rest: Iterator[yaml.Event]) -> Iterator[Node]:
    """Read nodes up to the end of their collection."""
    while not isinstance(event := next(rest), yaml.CollectionEndEvent):
        yield _node(event, rest)


def _flaw(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> str:
    if event.anchor is not None:
        return ALIAS
    return TAG if event.tag is not None else ""


def _unreadable(problem: yaml.MarkedYAMLError, text: str) -> Unreadable:
    line, index = _place(problem.problem_mark)
    line = max(1, min(line, len(text.rstrip().splitlines())))
    if text[index : index + 1] == "\t":
        return Unreadable(line=line, reason="expected blanks; YAML takes no tab here")
    told = f"expected valid YAML: {problem.problem}"
    if problem.context and problem.context_mark:
        told += f", {problem.context} that begins in line {_place(problem.context_mark)[0]}"
    return Unreadable(line=line, reason=plain_line(told, 200))


def _place(mark: "Mark | CMark | None") -> tuple[int, int]:
    """Return a mark's line, from 1, and its place in the text, from 0."""
    return (mark.line + 1, mark.index) if mark else (1, 0)
