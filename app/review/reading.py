"""Reads the JSON in a model's answer leniently: a list of objects under a name.

Models wrap, cut, double-encode and misspell their JSON. What can be read without guessing at its
meaning is read. Knows nothing of what the objects mean.
"""

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from app.errors import AnswerInvalid

MAX_DIGITS = 18


class Items(NamedTuple):
    """The items of a list, still unproven JSON values.

    `was_cut` when the list broke off: more may have followed.
    """

    items: list[object]
    was_cut: bool


class NotJson(NamedTuple):
    """Stands for what cannot be decoded."""


_THOUGHTS = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_END_OF_THOUGHTS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_START_OF_ANSWER = re.compile(r'\s*[{\["`]')
_EMPTY_LIST = re.compile(r"(?:```(?:json)?)?\s*\[\s*\]\s*(?:```)?")
# A string (perhaps without its end) or a bracket; possessive, so that time is linear.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\]]', re.DOTALL)
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)')
_OPENING, _CLOSING = "{[", "}]"


def find_items(text: str, name: str, fields: tuple[str, ...]) -> Items:
    """Find the list called `name`; `fields` tell an object that would belong in it, but is alone.

    The text may hold a byte order mark, thoughts, fences and prose around the JSON; of a cut text
    the complete items are read. Where it holds several objects with such a list, all of them
    count: quoting an empty one hides nothing. Raises AnswerInvalid when nothing can be read; its
    text quotes nothing of the answer.
    """
    text = _without_thoughts(text, name)
    if text.startswith('"') and isinstance(inner := _decode(text), str):
        text = inner.strip()  # JSON within a JSON string
    values: list[object] = []
    found: list[Items] = []
    was_cut = False
    for start, end in _objects_in(text):
        was_cut = end is None
        piece = text[start:end]
        value = NotJson() if was_cut else _decode(piece)
        values.append(value)
        if holder := _holder(value, name):
            found.append(Items(_as_list(holder[name]), was_cut=False))
        else:
            found.extend(_salvage(piece, name))
    if found:
        return _joined(found)
    if loose := [value for value in values if _has_all(value, fields)]:
        return Items(loose, was_cut)
    if _EMPTY_LIST.fullmatch(text):
        return Items([], was_cut=False)
    raise AnswerInvalid(f"the answer holds no JSON object with a list `{name}`")


def find_text(text: str, name: str) -> str:
    """Find the text called `name`; where there is no JSON with it, all of the answer is the text.

    Raises AnswerInvalid where it is empty or was cut off.
    """
    text = _without_thoughts(text, name)
    for start, end in _objects_in(text):
        value = NotJson() if end is None else _decode(text[start:end])
        if isinstance(value, dict) and isinstance(found := value.get(name), str):
            text = found
            break
    else:
        if f'"{name}"' in text:
            raise AnswerInvalid(f"the answer holds no JSON object with a text `{name}`")
    if not text.strip():
        raise AnswerInvalid("the answer is empty")
    return printable(text.strip())


def as_number(value: object) -> float | None:
    """Return a finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value[:40]) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def printable(text: str) -> str:
    """Replace what no database and no wire takes: halves of characters, and NUL."""
    return re.sub("[\ud800-\udfff\0]", "\ufffd", text)


def _without_thoughts(text: str, name: str) -> str:
    """Drop `<think>…</think>` in front of the answer, also where its opening is missing."""
    text = text.strip("\ufeff \t\r\n")
    last_list = text.rfind(f'"{name}"')
    at, brace = 0, text.find("{")
    while not _START_OF_ANSWER.match(text, at) and (tag := _THOUGHTS.search(text, at)):
        if tag[1]:
            if last_list < tag.end():
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


def _joined(found: list[Items]) -> Items:
    items = [item for part in found for item in part.items]
    was_cut = any(part.was_cut for part in found)
    if was_cut and not items:
        raise AnswerInvalid("the answer was cut before its first item was complete")
    return Items(items, was_cut)


def _objects_in(text: str) -> Iterator[tuple[int, int | None]]:
    """Find each outermost `{…}`; the end of the last is None where it is never closed."""
    at = text.find("{")
    while at != -1:
        end = _end_of_value(text, at)
        yield at, end
        at = -1 if end is None else text.find("{", end)


def _salvage(text: str, name: str) -> Iterator[Items]:
    """Take the complete objects of each list of that name in text that is no JSON."""
    opening = _opening_of(name)
    at: int | None = 0
    while at is not None and (start := opening.search(text, at)):
        items, at = _items_of_list(text, start.end())
        yield Items(items, was_cut=at is None)


@cache
def _opening_of(name: str) -> re.Pattern[str]:
    return re.compile(rf'"{re.escape(name)}"\s*:\s*\[')


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


def _holder(value: object, name: str) -> dict[str, object] | None:
    """Return the object that holds the list: this one, or one directly within it."""
    if not isinstance(value, dict):
        return None
    for candidate in (value, *value.values()):
        if isinstance(candidate, dict) and isinstance(candidate.get(name), list):
            return candidate
    return None


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _has_all(value: object, fields: tuple[str, ...]) -> bool:
    return isinstance(value, dict) and all(field in value for field in fields)


def _decode(text: str) -> object:
    """Decode JSON that may hold raw line ends and wrong escapes in its strings."""
    for attempt in (text, _ESCAPE.sub(_right_escape, text)):
        try:
            return _json(attempt)
        except (ValueError, RecursionError):
            continue
    return NotJson()


def _json(text: str) -> Any:
    return json.loads(text, strict=False, parse_int=_integer)


def _integer(digits: str) -> int:
    """Read an integer of any length, the longest ones only as something huge."""
    return int(digits[:MAX_DIGITS])


def _right_escape(match: re.Match[str]) -> str:
    return match[0] if match[1] else "\\\\"
