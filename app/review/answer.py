"""Answers of a model, taken apart leniently and validated item by item.

Models wrap, cut, double-encode and misspell their JSON. What can be read without guessing at its
meaning is read; every item that cannot is dropped with a reason, and costs only itself.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.errors import AnswerInvalid
from app.review.diff import Side
from app.review.findings import Candidate, Dropped, Location
from app.review.focus import Area, parse_area
from app.review.priority import Priority

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
MAX_DIGITS = 18

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

    `is_cut` when the server says that the model ran out of room.
    """

    text: str
    model: str
    usage: Usage
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What an answer holds. `was_cut` when its list of findings broke off: more may have followed.

    `problem` tells the model how it broke the schema; empty if any of its findings obeyed it, or
    if it had none. The overall values are the model's own opinion, None where it gave none.
    """

    candidates: tuple[Candidate, ...] = ()
    rejected: tuple[Dropped, ...] = ()
    was_cut: bool = False
    problem: str = ""
    overall_correctness: str | None = None
    overall_explanation: str | None = None
    overall_confidence: float | None = None


def parse_answer(text: str, *, areas: tuple[Area, ...]) -> Parsed:
    """Read the findings out of a model's answer; `areas` are those that the chunk asked for.

    The text may hold a byte order mark, thoughts, fences and prose around the JSON; of a cut text
    the complete items are read. Where it holds several objects with findings, all of them count:
    quoting an empty one hides nothing. Raises AnswerInvalid when nothing can be read; its text
    quotes nothing of the answer.
    """
    found = _find_items(_without_thoughts(text))
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
        overall_correctness=_optional_text(found.overall.get("overall_correctness")),
        overall_explanation=_optional_text(found.overall.get("overall_explanation")),
        overall_confidence=_number(found.overall.get("overall_confidence_score")),
    )


# ---- where the findings are ----------------------------------------------------------------------


class _Found(NamedTuple):
    """Items of `findings`, still unproven JSON values, and the object around them."""

    items: list[object]
    overall: dict[str, object]
    was_cut: bool


class _NotJson(NamedTuple):
    """Stands for what cannot be decoded."""


_THOUGHTS = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_END_OF_THOUGHTS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_START_OF_ANSWER = re.compile(r'\s*[{\["`]')
_FINDINGS_LIST = re.compile(r'"findings"\s*:\s*\[')
_EMPTY_LIST = re.compile(r"(?:```(?:json)?)?\s*\[\s*\]\s*(?:```)?")
# A string (perhaps without its end) or a bracket; possessive, so that time is linear.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\]]', re.DOTALL)
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)')
_OPENING, _CLOSING = "{[", "}]"


def _without_thoughts(text: str) -> str:
    """Drop `<think>…</think>` in front of the answer, also where its opening is missing."""
    text = text.strip("\ufeff \t\r\n")
    last_findings = text.rfind('"findings"')
    at, brace = 0, text.find("{")
    while not _START_OF_ANSWER.match(text, at) and (tag := _THOUGHTS.search(text, at)):
        if tag[1]:
            if last_findings < tag.end():
                break
            at = tag.end()
            continue
        if at <= brace < tag.start():
            break
        end = _END_OF_THOUGHTS.search(text, tag.end())
        if end is None:
            raise AnswerInvalid("the answer ended before its thoughts did")
        at = end.end()
        brace = text.find("{", at) if brace < at else brace
    return text[at:].strip()


def _find_items(text: str) -> _Found:
    if text.startswith('"') and isinstance(inner := _decode(text), str):
        text = inner.strip()  # JSON within a JSON string
    values: list[object] = []
    found: list[_Found] = []
    was_cut = False
    for start, end in _objects_in(text):
        was_cut = end is None
        piece = text[start:end]
        value = _NotJson() if was_cut else _decode(piece)
        values.append(value)
        if holder := _holder(value):
            found.append(_Found(_as_list(holder["findings"]), holder, was_cut=False))
        else:
            found.extend(_salvage(piece))
    if found:
        return _joined(found)
    if loose := [value for value in values if _is_finding(value)]:
        return _Found(loose, {}, was_cut)
    if _EMPTY_LIST.fullmatch(text):
        return _Found([], {}, was_cut=False)
    raise AnswerInvalid("the answer holds no JSON object with a list `findings`")


def _joined(found: list[_Found]) -> _Found:
    items = [item for part in found for item in part.items]
    was_cut = any(part.was_cut for part in found)
    if was_cut and not items:
        raise AnswerInvalid("the answer was cut before its first finding was complete")
    return _Found(items, found[-1].overall, was_cut)


def _objects_in(text: str) -> Iterator[tuple[int, int | None]]:
    """Find each outermost `{…}`; the end of the last is None where it is never closed."""
    at = text.find("{")
    while at != -1:
        end = _end_of_value(text, at)
        yield at, end
        at = -1 if end is None else text.find("{", end)


def _salvage(text: str) -> Iterator[_Found]:
    """Take the complete objects of each list `findings` in text that is no JSON."""
    at: int | None = 0
    while at is not None and (start := _FINDINGS_LIST.search(text, at)):
        items, at = _items_of_list(text, start.end())
        yield _Found(items, {}, was_cut=at is None)


def _items_of_list(text: str, at: int) -> tuple[list[object], int | None]:
    """Decode the objects of a list; the second value is where it ends, None where it is cut."""
    items: list[object] = []
    while token := _TOKEN.search(text, at):
        if token[0] in _CLOSING:
            return items, token.end()
        end = _end_of_value(text, token.start()) if token[0] in _OPENING else token.end()
        if end is None:
            break
        if token[0] == "{":
            items.append(_decode(text[token.start() : end]))
        at = end
    return items, None


def _end_of_value(text: str, start: int) -> int | None:
    """Return where the bracket at `start` is closed; brackets within strings do not count."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in _OPENING:
            depth += 1
        elif token[0] in _CLOSING:
            depth -= 1
            if depth == 0:
                return token.end()
    return None


def _holder(value: object) -> dict[str, object] | None:
    """Return the object that holds `findings`: this one, or one directly within it."""
    if not isinstance(value, dict):
        return None
    for candidate in (value, *value.values()):
        if isinstance(candidate, dict) and isinstance(candidate.get("findings"), list):
            return candidate
    return None


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_finding(value: object) -> bool:
    return isinstance(value, dict) and "title" in value and "code_location" in value


def _decode(text: str) -> object:
    """Decode JSON that may hold raw line ends and wrong escapes in its strings."""
    for attempt in (text, _ESCAPE.sub(_right_escape, text)):
        try:
            return _json(attempt)
        except (ValueError, RecursionError):
            continue
    return _NotJson()


def _json(text: str) -> Any:
    return json.loads(text, strict=False, parse_int=_integer)


def _integer(digits: str) -> int | float:
    """Read an integer of any length; Python refuses those of more than 4300 digits."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _right_escape(match: re.Match[str]) -> str:
    return match[0] if match[1] else "\\\\"


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
        raise _Unfit("not JSON" if isinstance(item, _NotJson) else "not an object")
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
    number = _number(value)
    if number is None or number not in range(len(_PRIORITIES)):
        raise _Unfit("priority: not 0, 1, 2 or 3")
    return _PRIORITIES[int(number)]


def _confidence(value: object) -> float:
    number = _number(value)
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
    return _printable(value.strip())


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
    number = _number(value)
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
    return _printable(value) if len(value) <= MAX_SUGGESTION else None


def _text(item: dict[str, object], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise _Unfit(f"{name}: missing" if value is None else f"{name}: not a text")
    return _printable(value)


def _line(text: str, limit: int, name: str) -> str:
    return _required(" ".join(text.split())[:limit], name)


def _required(text: str, name: str) -> str:
    if not text:
        raise _Unfit(f"{name}: empty")
    return text


def _optional_text(value: object) -> str | None:
    return _printable(value).strip()[:MAX_BODY] if isinstance(value, str) else None


def _number(value: object) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value[:40]) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _printable(text: str) -> str:
    """Replace what no database and no wire takes: halves of characters, and NUL."""
    return re.sub("[\ud800-\udfff\0]", "\ufffd", text)


def _dropped(item: object, reason: str) -> Dropped:
    """Record a rejected item under whatever it tells of its title and place."""
    fields = item if isinstance(item, dict) else {}
    place = fields.get("code_location")
    place = place if isinstance(place, dict) else {}
    lines = place.get("line_range")
    number = _number(lines.get("start")) if isinstance(lines, dict) else None
    return Dropped(
        gate=GATE,
        reason=reason,
        title=(_optional_text(fields.get("title")) or "")[:MAX_TITLE],
        path=(_optional_text(place.get("path")) or "")[:MAX_PATH],
        line=int(min(MAX_LINE, max(0, number or 0))),
        source=SOURCE,
    )
