"""What a value of the configuration may be: each kind reads a node.

Knows shapes, bounds and how a mistake is told; which keys there are stands in `config_file.py`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum, auto
from typing import Protocol

from app.review.config import Mistake
from app.review.text import plain_line
from app.review.yaml_nodes import Items, Node, Pairs, Scalar, Unreadable

MAX_TOLD = 20
"""Mistakes told of one layer; the others are counted."""
MAX_QUOTED = 40
MAX_NAME = 60


class Broken(Enum):
    """In place of a value that has no effect; why has been told."""

    BROKEN = auto()


BROKEN = Broken.BROKEN


@dataclass(slots=True, kw_only=True)
class Told:
    """The mistakes of one layer. `masked` is its text without secrets, to quote from."""

    layer: str
    masked: str
    first: list[Mistake] = field(default_factory=list)
    more: int = 0
    last_line: int = 1

    def tell(self, node: Node | Unreadable, key: str, expected: str) -> Broken:
        """Note a mistake; the key is shown as it stands in the file."""
        if len(self.first) < MAX_TOLD:
            shown = plain_line(key, 2 * MAX_NAME)
            self.first.append(
                Mistake(layer=self.layer, line=node.line, key=shown, expected=expected)
            )
        else:
            self.more += 1
            self.last_line = node.line
        return BROKEN

    def wrong(
        self, node: Node, key: str, what: str, *, meant: Mapping[str, str] | None = None
    ) -> Broken:
        """Note a value that is none of `what`. `meant`: words that are near → what to propose."""
        found = self._quoted(node)
        near = _near(node.text, meant) if isinstance(node, Scalar) and not self._is_full else ""
        return self.tell(node, key, f"expected {what}, not {found}{near}")

    def unknown(
        self, node: Scalar, prefix: str, names: Collection[str], meant: Mapping[str, str]
    ) -> Broken:
        """Note a key that is none of `names`. `meant`: words that are near → what to propose."""
        name = node.text.lower().replace("-", "_")
        reason = _NOT_HERE.get(name)
        if not reason and not self._is_full:
            reason = f"no such key{_near(name, meant) or f'; expected {_or(names)}'}"
        return self.tell(node, prefix + node.text[:MAX_NAME], reason or "")

    def all(self) -> tuple[Mistake, ...]:
        """Return the mistakes in the order of the lines, the last line for those not told."""
        told = sorted(self.first, key=lambda mistake: mistake.line)
        if self.more:
            more = f"… and {self.more} more mistakes in this file"
            told.append(Mistake(layer=self.layer, line=self.last_line, key="", expected=more))
        return tuple(told)

    @property
    def _is_full(self) -> bool:
        return len(self.first) >= MAX_TOLD

    def _quoted(self, node: Node) -> str:
        if isinstance(node, Scalar):
            source = self.masked[node.start : node.end][:200].replace("`", "'")
            return f"`{plain_line(source, MAX_QUOTED)}`" if source else "nothing"
        return "a list" if isinstance(node, Items) else "a mapping"


# What people look for here, and what a repository must never decide.
_SERVERS = """
    api_key apikey key token secret private_key webhook_secret app_id password credentials
    openai_api_key openai_base_url base_url api_base endpoint url host proxy
    models fallback_model prices provider model_api timeout timeout_s temperature
    sandbox prompts prompts_dir mention bot_mention
    usd_per_month usd_per_pull_request reviews_per_day max_usd_per_month max_usd_per_review
"""
_NOT_HERE = dict.fromkeys(_SERVERS.split(), "only the server's settings decide this") | {
    "<<": "merge keys are not read here; write the keys out"
}


def _near(word: str, meant: Mapping[str, str] | None) -> str:
    near = get_close_matches(word.strip().lower()[:MAX_NAME], meant or (), n=1, cutoff=0.6)
    return f"; did you mean `{meant[near[0]]}`?" if meant and near else ""


class Kind(Protocol):
    """What a value may be."""

    def read(self, node: Node, key: str, told: Told) -> object:
        """Return the value; what is wrong is told."""


def take(kind: Kind, node: Node, key: str, told: Told) -> object:
    """Read a node that may have a flaw: then it has no effect."""
    if node.flaw:
        told.tell(node, key, node.flaw)
        if not (isinstance(kind, Many) and kind.protects and isinstance(node, Items)):
            return BROKEN
    return kind.read(node, key, told)


def entries(
    node: Pairs, prefix: str, names: Collection[str], near: Mapping[str, str], told: Told
) -> tuple[list[tuple[str, Node]], set[str]]:
    """Name what stands in a mapping, and the keys there that are wrong ("" for unknown ones).

    Unknown keys are left out; a key that stands twice is wrong, for nobody knows which is meant.
    `near`: what people may have meant → what to propose.
    """
    found: list[tuple[str, Node]] = []
    unclear: set[str] = set()
    lines: dict[str, int] = {}
    for key, value in node.pairs:
        if key.flaw or not isinstance(key, Scalar):
            told.tell(key, prefix.rstrip("."), key.flaw or "expected a word as the key")
            unclear.add("")
        elif key.text not in names:
            told.unknown(key, prefix, names, near)
            unclear.add("")
        else:
            if key.text in lines:
                since = lines[key.text]
                told.tell(key, prefix + key.text, f"expected once; line {since} has it already")
                unclear.add(key.text)
            lines.setdefault(key.text, key.line)
            found.append((key.text, value))
    return found, unclear


# Scalars are read as YAML 1.2 and editors do: `no` and `on` are text, `010` is a number.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_FLAG_SLIPS = dict.fromkeys(("true", "yes", "on"), "true") | dict.fromkeys(
    ("false", "no", "off"), "false"
)
_LOOKS_LIKE_A_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,8})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Flag:
    def read(self, node: Node, key: str, told: Told) -> object:
        if isinstance(node, Scalar) and node.is_plain and node.text in _FLAGS:
            return _FLAGS[node.text]
        return told.wrong(node, key, "true or false", meant=_FLAG_SLIPS)


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds, both included."""

    least: int
    most: int
    is_whole: bool = False

    def read(self, node: Node, key: str, told: Told) -> object:
        shape = _WHOLE if self.is_whole else _NUMBER
        if isinstance(node, Scalar) and node.is_plain and shape.fullmatch(node.text):
            value = int(node.text) if self.is_whole else float(node.text)
            if self.least <= value <= self.most:
                return value
        what = "a whole number" if self.is_whole else "a number"
        return told.wrong(node, key, f"{what} from {self.least} to {self.most}")


# No control characters, no line ends, nothing that reorders or hides what a reader sees.
_LINE = (
    r"^(?![\s\S]*[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufffe\uffff])"
)
LINE = _LINE + r"(?=[\s\S]*\S)"
LINE_OR_EMPTY = _LINE
LINES = (
    r"^(?![\s\S]*[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff])"
    r"(?=[\s\S]*\S)"
)
GLOB = _LINE + r"(?!!|\.{1,2}/|[ /]*$)[^\\]*$"
LOGIN = _LINE + r"[A-Za-z0-9][A-Za-z0-9_-]*(\[bot\])?$"
LABEL_TRIGGER = _LINE + r"label:[\s\S]*\S"
LANGUAGE = _LINE + r"[A-Za-z\u00c0-\u1fff\u2c00-\ud7ff][A-Za-z0-9\u00c0-\u1fff\u2c00-\ud7ff ()-]*$"


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a shape; `pattern` means the same in Python and in JSON schemas."""

    what: str
    most: int
    pattern: str = LINE

    def read(self, node: Node, key: str, told: Told) -> object:
        what = f"{self.what} (at most {self.most} characters)"
        if not isinstance(node, Scalar):
            return told.wrong(node, key, what)
        if node.is_plain and _is_no_text(node.text):
            return told.wrong(node, key, f"{what}, in quotes" if node.text else what)
        return node.text if self.fits(node) else told.wrong(node, key, what)

    def fits(self, node: Scalar) -> bool:
        """Say whether text is of this shape."""
        return len(node.text) <= self.most and re.search(self.pattern, node.text) is not None


def _is_no_text(text: str) -> bool:
    return text in _NULL or text in _FLAGS or _LOOKS_LIKE_A_NUMBER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Words:
    """One of some words (lower case → value); case does not matter. `slips`: words that people
    write instead → what they mean. `free`: text that is taken beside the words."""

    words: Mapping[str, object]
    slips: Mapping[str, str] = field(default_factory=dict)
    free: Text | None = None

    def read(self, node: Node, key: str, told: Told) -> object:
        if isinstance(node, Scalar):
            word = node.text.strip().lower()
            if word in self.words:
                return self.words[word]
            if self.free and self.free.fits(node):
                return node.text
        meant = {word: str(spelled(value)) for word, value in self.words.items()}
        names = list(dict.fromkeys(meant.values())) + ([self.free.what] if self.free else [])
        return told.wrong(node, key, _or(names), meant={**meant, **self.slips})


def _or(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def spelled(value: object) -> object:
    """Write a value of the configuration as its JSON; None is said as `never`."""
    if isinstance(value, tuple):
        return [spelled(item) for item in value]
    if is_dataclass(value):
        told = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: spelled(one) for name, one in told.items() if one is not None}
    if isinstance(value, Enum):
        return value.value
    return "never" if value is None else value


@dataclass(frozen=True, slots=True)
class Many:
    """A list. `keeps_good`: a broken item costs only itself, else all. `protects`: whatever can
    be made out counts, because less would show more to others."""

    item: Kind
    what: str
    most: int
    least: int = 0
    keeps_good: bool = False
    protects: bool = False

    def read(self, node: Node, key: str, told: Told) -> object:
        if not isinstance(node, Items):
            told.wrong(node, key, f"a list of {self.what}")
            if not self.protects:
                return BROKEN
            return _tuple([take(self.item, node, key, Told(layer="", masked=""))])
        if not self.least <= len(node.items) <= self.most:
            bounds = f"{self.least} to {self.most} {self.what}"
            told.tell(node, key, f"expected {bounds}, not {len(node.items)}")
            if not self.keeps_good:
                return BROKEN
        items = enumerate(node.items[: self.most])
        values = [take(self.item, item, f"{key}[{place}]", told) for place, item in items]
        if BROKEN in values and not self.keeps_good:
            return BROKEN
        return _tuple(values) if values else ()


def _tuple(values: Iterable[object]) -> object:
    """Return the values that are good, each once; BROKEN where there are none."""
    good = tuple(dict.fromkeys(value for value in values if value is not BROKEN))
    return good or BROKEN


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with fields; one broken or unknown field breaks it, so that it means no more
    than was meant. Without `required`, one field has to be there."""

    fields: Mapping[str, Kind]
    make: Callable[..., object]
    required: tuple[str, ...] = ()

    def read(self, node: Node, key: str, told: Told) -> object:
        names = list(self.fields)
        if not isinstance(node, Pairs):
            return told.wrong(node, key, f"a mapping with {self._said(names)}")
        found, unclear = entries(node, f"{key}.", names, {n: n for n in names}, told)
        values = {n: take(self.fields[n], child, f"{key}.{n}", told) for n, child in found}
        missing = [name for name in self.required or names if name not in values]
        if missing if self.required else not found:
            return told.tell(node, key, f"expected {self._said(missing)} here")
        return BROKEN if unclear or BROKEN in values.values() else self.make(**values)

    def _said(self, names: list[str]) -> str:
        return (" and " if self.required else " or ").join(names)
