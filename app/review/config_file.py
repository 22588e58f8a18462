"""Reads configuration files, the weaker ones first: what is good holds, what is wrong is told.

Knows the keys of `.github/codex-review.yml` in one table. A file never stops a review: a broken key
has the value of a weaker layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from app.review.config import (
    DEFAULTS,
    AutomaticFor,
    Ceilings,
    Configured,
    Instruction,
    Layer,
    MayCommand,
    Mistake,
    Suppression,
    Trigger,
)
from app.review.config_kinds import (
    BROKEN,
    GLOB,
    LABEL_TRIGGER,
    LANGUAGE,
    LINE_OR_EMPTY,
    LINES,
    LOGIN,
    Flag,
    Kind,
    Many,
    Number,
    Record,
    Text,
    Told,
    Words,
    entries,
    take,
)
from app.review.focus import ALIASES
from app.review.masking import mask
from app.review.priority import Priority
from app.review.yaml_nodes import Document, Node, Pairs, Scalar, Unreadable, decode, parse_yaml

VERSION = 1
SERVER = "the server's settings"
"""The source of a value that no file gave."""

NO_CEILINGS = Ceilings()
MAX_OFFERED = 10
"""Models that a mistake names."""

_ADDS_UP = "paths.never_send"
_OFFERED = "model.name"
_LIMITED = "limits.usd_per_review"


def _words(words: type[StrEnum]) -> dict[str, object]:
    return {word.value.lower(): word for word in words}


_GLOB = Text("a pattern such as `src/**`, without `!`, `./` or backslash", 200, GLOB)
_LOGIN = Text("a login such as `octocat` or `renovate[bot]`", 100, LOGIN)
_LABEL = Text("the name of a label", 50)
_ADVICE = Text("what a reviewer should know", 2_000, LINES)
_ABOUT = Text("what the findings that nobody wants are about", 300)
_LANGUAGE = Text("a language such as `en`, `pt-BR` or `German`", 40, LANGUAGE)
_CHECK = Text("a name in one line", 100)
_MODEL = Text("the name of a model", 200, LINE_OR_EMPTY)
_EVENT = Words(
    {trigger.value: trigger.value for trigger in Trigger},
    free=Text("`label:` and a name", 56, LABEL_TRIGGER),
)
_AREA = Words(dict(ALIASES))
_PRIORITY = Words(_words(Priority))
_THRESHOLD = Words(
    {**_words(Priority), "never": None},
    slips=dict.fromkeys(("false", "no", "off", "none", "null", "~", "nothing"), "never"),
)
_INSTRUCTION = Record({"path": _GLOB, "text": _ADVICE}, Instruction, required=("path", "text"))
_SUPPRESSION = Record({"area": _AREA, "path": _GLOB, "about": _ABOUT}, Suppression)


KEYS: Mapping[str, Kind] = {
    "review.automatic": Many(_EVENT, "events", 20, keeps_good=True),
    "review.automatic_for": Words(_words(AutomaticFor)),
    "review.focus": Many(_AREA, "areas", 50, least=1),
    "review.min_priority": _PRIORITY,
    "review.min_priority_automatic": _PRIORITY,
    "review.max_comments": Number(0, 50, is_whole=True),
    "review.fail_on": _THRESHOLD,
    "review.fail_on_error": Flag(),
    "review.drafts": Flag(),
    "review.branches": Many(_GLOB, "patterns", 50),
    "review.ignore_authors": Many(_LOGIN, "logins", 100),
    "review.skip_labels": Many(_LABEL, "labels", 50),
    "review.language": _LANGUAGE,
    "review.check_name": _CHECK,
    "paths.ignore": Many(_GLOB, "patterns", 100, keeps_good=True),
    "paths.never_send": Many(_GLOB, "patterns", 100, keeps_good=True, protects=True),
    "paths.instructions": Many(_INSTRUCTION, "instructions", 50, keeps_good=True),
    "suppress": Many(_SUPPRESSION, "rules", 100, keeps_good=True),
    "who.may_command": Words(_words(MayCommand)),
    "who.bots": Many(_LOGIN, "logins", 100),
    "model.name": _MODEL,
    "limits.usd_per_review": Number(0, 10_000),
}
"""The keys, in the order of the README's table. Each sets the field of `Config` of its name."""

_SECTIONS = {
    section: [key.removeprefix(f"{section}.") for key in KEYS if key.startswith(f"{section}.")]
    for section in (key.partition(".")[0] for key in KEYS if "." in key)
}
_TOP = ["version", *_SECTIONS, *(key for key in KEYS if "." not in key)]
_NEAR = {key.rpartition(".")[2]: key for key in KEYS} | {name: name for name in _TOP}


def read_config(layers: Sequence[Layer], ceilings: Ceilings = NO_CEILINGS) -> Configured:
    """Put layers on top of each other, the weakest first.

    A later layer's value replaces an earlier one's, lists too; but `paths.never_send` adds up.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for layer in layers:
        read, told = _read_layer(layer, ceilings)
        mistakes += told
        for name, value in read.items():
            field, source = field_of(name), layer.name
            if name == _ADDS_UP and field in values:
                value = tuple(dict.fromkeys((*values[field], *value)))
                source = f"{sources[name]}, {source}"
            values[field], sources[name] = value, source
    if ceilings.usd_per_review is not None and _LIMITED not in sources:
        values[field_of(_LIMITED)], sources[_LIMITED] = ceilings.usd_per_review, SERVER
    return Configured(
        config=replace(DEFAULTS, **values),
        sources=tuple(sources.items()),
        mistakes=tuple(mistakes),
    )


def field_of(key: str) -> str:
    """Return the field of `Config` that a key sets."""
    return "model" if key == _OFFERED else key.rpartition(".")[2]


def _read_layer(layer: Layer, ceilings: Ceilings) -> tuple[dict[str, Any], tuple[Mistake, ...]]:
    """Return what is good in one file (dotted key → value), and what is not."""
    text = decode(layer.raw)
    document = parse_yaml(text) if isinstance(text, str) else text
    told = Told(layer=layer.name, masked=mask(text) if isinstance(text, str) else "")
    values: dict[str, Any] = {}
    for name, node, is_clear in _leaves(document, told):
        if not is_clear and name != _ADDS_UP:
            continue
        value: Any = take(KEYS[name], node, name, told)
        if value is BROKEN or not _is_allowed(name, value, node, ceilings, told):
            continue
        values[name] = (*values.get(name, ()), *value) if name == _ADDS_UP else value
    return values, told.all()


def _leaves(document: Document, told: Told) -> Iterator[tuple[str, Node, bool]]:
    """Name the values of a file, sections opened; with each, whether nothing speaks against it."""
    if isinstance(document, Unreadable):
        told.tell(document, "", document.reason)
        return
    if document is None or (isinstance(document, Scalar) and not document.text + document.flaw):
        return
    if not isinstance(document, Pairs):
        told.wrong(document, "", "keys such as `review:`")
        return
    if document.flaw:
        told.tell(document, "", document.flaw)
    found, unclear = entries(document, "", _TOP, _NEAR, told)
    if any(name == "version" and not _is_version(node, told) for name, node in found):
        return
    for name, node in found:
        is_clear = name not in unclear and not node.flaw and not document.flaw
        if name in KEYS:
            yield name, node, is_clear
        if name not in _SECTIONS:
            continue
        if node.flaw:
            told.tell(node, name, node.flaw)
        if isinstance(node, Pairs):
            inner, doubtful = entries(node, f"{name}.", _SECTIONS[name], _NEAR, told)
            for leaf, value in inner:
                yield f"{name}.{leaf}", value, is_clear and leaf not in doubtful
        elif not node.flaw:
            told.wrong(node, name, f"keys such as `{_SECTIONS[name][0]}:`")


def _is_version(node: Node, told: Told) -> bool:
    """Say whether we know this version; else nothing in the file counts."""
    if node.flaw:
        told.tell(node, "version", node.flaw)
        return False
    if isinstance(node, Scalar) and node.is_plain and node.text == str(VERSION):
        return True
    told.wrong(node, "version", f"{VERSION}, the only version that this server reads")
    return False


def _is_allowed(name: str, value: Any, node: Node, ceilings: Ceilings, told: Told) -> bool:
    """Say whether the operator allows a value."""
    if name == _OFFERED and value and value not in ceilings.models:
        names = [f"`{model}`" for model in ceilings.models[:MAX_OFFERED]] or ["none other"]
        offered = ", ".join([*names, *(["…"] if len(ceilings.models) > MAX_OFFERED else [])])
        told.wrong(node, name, f"one of the models that the server offers ({offered})")
        return False
    most = ceilings.usd_per_review
    if name == _LIMITED and most is not None and value > most:
        told.wrong(node, name, f"at most {most:g}, which is the server's limit and holds")
        return False
    return True
