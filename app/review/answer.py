"""Answers of a model, validated item by item: what it found, and what it cost.

Every item that cannot be used is dropped with a reason, and costs only itself. How JSON is found in
an answer is known to `reading.py`.
"""

import re
from dataclasses import dataclass

from app.review.diff import Side
from app.review.findings import Candidate, Dropped, Location
from app.review.focus import Area, parse_area
from app.review.priority import Priority
from app.review.reading import NotJson, as_number, find_items, printable

GATE = "parsed"
SOURCE = "model"

MAX_FINDINGS = 100
MAX_TITLE = 160
MAX_BODY = 3_000
MAX_TRIGGER = 1_000
MAX_QUOTE = 2_000
MAX_SUGGESTION = 5_000
MAX_PATH = 1_024
MAX_LINE = 10_000_000

UNKNOWN_CONFIDENCE = 0.5
"""Stands where a model gave no number; confidence alone decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one or more calls. `is_estimated` when the server did not tell."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    is_estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            is_estimated=self.is_estimated or other.is_estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The text a model answered with and what it cost; `usage.calls` is 0 for a kept answer.

    `model` is the one that spoke, which may be another than the one that was asked.
    """

    text: str
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What an answer holds. `was_cut` when its list of findings broke off: more may have followed.

    `problem` tells the model how it broke the schema; empty if any of its findings obeyed it, or
    if it had none. What it thinks of the change as a whole decides nothing.
    """

    candidates: tuple[Candidate, ...] = ()
    rejected: tuple[Dropped, ...] = ()
    was_cut: bool = False
    problem: str = ""


def parse_answer(text: str, *, areas: tuple[Area, ...]) -> Parsed:
    """Read the findings out of a model's answer; `areas` are those that the chunk asked for.

    Of a cut text the complete items are read. Raises AnswerInvalid when nothing can be read; its
    text quotes nothing of the answer.
    """
    found = find_items(text, "findings", ("title", "code_location"))
    candidates: list[Candidate] = []
    rejected: list[Dropped] = []
    problems: list[str] = []
    for index, item in enumerate(found.items[:MAX_FINDINGS]):
        try:
            candidates.append(_candidate(item, areas))
        except _Unfit as unfit:
            rejected.append(_dropped(item, unfit.reason))
            if not unfit.obeys_schema:
                problems.append(f"findings[{index}]: {unfit.reason}")
    if len(found.items) > MAX_FINDINGS:
        rejected.append(_dropped(None, f"{len(found.items) - MAX_FINDINGS} findings too many"))
    return Parsed(
        candidates=tuple(candidates),
        rejected=tuple(rejected),
        was_cut=found.was_cut,
        problem="" if candidates else "; ".join(problems),
    )


# ---- one item ------------------------------------------------------------------------------------


class _Unfit(Exception):
    """This item cannot become a candidate; `reason` says why and quotes nothing."""

    def __init__(self, reason: str, *, obeys_schema: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.obeys_schema = obeys_schema


_PRIORITIES = tuple(Priority)
_PRIORITY_WORD = re.compile(r"\[?P?([0-3])\]?", re.IGNORECASE)
_PRIORITY_TAG = re.compile(r"^\s*\[P[0-3]\][\s:-]*", re.IGNORECASE)
_SIDES = {"RIGHT": Side.RIGHT, "NEW": Side.RIGHT, "LEFT": Side.LEFT, "OLD": Side.LEFT}
_NOTHING = frozenset({"", "null", "none", "n/a"})


def _candidate(item: object, areas: tuple[Area, ...]) -> Candidate:
    if not isinstance(item, dict):
        raise _Unfit("not JSON" if isinstance(item, NotJson) else "not an object")
    return Candidate(
        area=_area(item.get("area"), areas),
        priority=_priority(item.get("priority")),
        confidence=_confidence(item.get("confidence_score")),
        title=_line(_PRIORITY_TAG.sub("", _text(item, "title")), MAX_TITLE, "title"),
        body=_required(_text(item, "body").strip()[:MAX_BODY], "body"),
        trigger=_required(_text(item, "trigger").strip()[:MAX_TRIGGER], "trigger"),
        evidence=_quote(_text(item, "evidence_quote")),
        location=_location(item.get("code_location")),
        source=SOURCE,
        suggestion=_suggestion(item.get("suggestion")),
    )


def _area(value: object, areas: tuple[Area, ...]) -> Area:
    """An area that was asked for. A word that is no area means the one area, if only one was."""
    area = parse_area(value) if isinstance(value, str) else None
    if area in areas:
        return area
    if area is not None:
        raise _Unfit(f"area: {area} was not asked for", obeys_schema=True)
    if len(areas) == 1:
        return areas[0]
    raise _Unfit("area: not a focus area")


def _priority(value: object) -> Priority:
    """0 to 3, also as text or as `P1`; normal where the model gave none."""
    if value is None:
        return Priority.P2
    if isinstance(value, str) and (word := _PRIORITY_WORD.fullmatch(value.strip())):
        return _PRIORITIES[int(word[1])]
    number = as_number(value)
    if number is None or number not in range(len(_PRIORITIES)):
        raise _Unfit("priority: not 0, 1, 2 or 3")
    return _PRIORITIES[int(number)]


def _confidence(value: object) -> float:
    number = as_number(value)
    return UNKNOWN_CONFIDENCE if number is None else min(1.0, max(0.0, number))


def _location(value: object) -> Location:
    if not isinstance(value, dict):
        raise _Unfit("code_location: not an object")
    lines = value.get("line_range")
    if not isinstance(lines, dict):
        raise _Unfit("code_location.line_range: not an object")
    first = _line_number(lines.get("start"), "start")
    last = first if lines.get("end") is None else _line_number(lines.get("end"), "end")
    return Location(
        path=_path(value.get("path", value.get("absolute_file_path"))),
        side=_side(value.get("side")),
        start_line=min(first, last),
        line=max(first, last),
    )


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Unfit("code_location.path: missing")
    if len(value) > MAX_PATH:
        raise _Unfit(f"code_location.path: longer than {MAX_PATH} characters")
    return printable(value.strip())


def _side(value: object) -> Side:
    """The side; the new file where the model gave none, as the quote decides in the end."""
    if value is None:
        return Side.RIGHT
    side = _SIDES.get(value.strip().upper()) if isinstance(value, str) else None
    if side is None:
        raise _Unfit("code_location.side: not LEFT or RIGHT")
    return side


def _line_number(value: object, name: str) -> int:
    """A line; one that cannot exist becomes the nearest that can, as the quote decides."""
    number = as_number(value)
    if number is None:
        raise _Unfit(f"code_location.line_range.{name}: not a number")
    return int(min(MAX_LINE, max(1, number)))


def _quote(text: str) -> str:
    """The quoted lines with their indentation; of an overlong quote the first whole lines."""
    quote = text.strip("\r\n")
    if len(quote) > MAX_QUOTE:
        quote = quote[:MAX_QUOTE].rpartition("\n")[0]
    if not quote.strip():
        raise _Unfit("evidence_quote: missing")
    return quote


def _suggestion(value: object) -> str | None:
    """A replacement, or None: what is no usable text is no reason to drop the finding."""
    if not isinstance(value, str) or value.strip().lower() in _NOTHING:
        return None
    return printable(value) if len(value) <= MAX_SUGGESTION else None


def _text(item: dict[str, object], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise _Unfit(f"{name}: missing" if value is None else f"{name}: not a text")
    return printable(value)


def _line(text: str, limit: int, name: str) -> str:
    return _required(" ".join(text.split())[:limit], name)


def _required(text: str, name: str) -> str:
    if not text:
        raise _Unfit(f"{name}: empty")
    return text


def _optional_text(value: object) -> str | None:
    return printable(value).strip()[:MAX_BODY] if isinstance(value, str) else None


def _dropped(item: object, reason: str) -> Dropped:
    """Record a rejected item under whatever it tells of its title and place."""
    fields = item if isinstance(item, dict) else {}
    place = fields.get("code_location")
    place = place if isinstance(place, dict) else {}
    lines = place.get("line_range")
    number = as_number(lines.get("start")) if isinstance(lines, dict) else None
    return Dropped(
        gate=GATE,
        reason=reason,
        title=(_optional_text(fields.get("title")) or "")[:MAX_TITLE],
        path=(_optional_text(place.get("path")) or "")[:MAX_PATH],
        line=int(min(MAX_LINE, max(0, number or 0))),
        source=SOURCE,
    )
