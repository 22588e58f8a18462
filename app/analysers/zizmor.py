"""zizmor on changed GitHub workflows and actions, offline and without its configuration.

Knows zizmor's JSON and what we make of its audits; an audit that is not named here is a nit.
"""

import re
from collections.abc import Iterator
from posixpath import basename

import msgspec

from app.analysers.linter import Rule, Said, Tool, load_meanings

FLAGS = (
    *("--offline", "--no-config", "--no-ignores", "--no-progress", "--persona", "regular"),
    "--strict-collection",  # or it leaves out what it cannot read
    *("--min-severity", "medium", "--min-confidence", "medium", "--format", "json-v1", "--"),
)

_PATH = re.compile(r"(?:.*/)?\.github/workflows/[^/]+\.ya?ml|(?:.*/)?action\.ya?ml")
_MEANINGS = load_meanings("zizmor")


class _Point(msgspec.Struct, frozen=True, kw_only=True):
    row: int


class _Range(msgspec.Struct, frozen=True, kw_only=True):
    start_point: _Point


class _Concrete(msgspec.Struct, frozen=True, kw_only=True):
    location: _Range


class _Local(msgspec.Struct, frozen=True, kw_only=True):
    verbatim_path: str


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    local: _Local = msgspec.field(name="Local")


class _Symbolic(msgspec.Struct, frozen=True, kw_only=True):
    key: _Key
    kind: str


class _Location(msgspec.Struct, frozen=True, kw_only=True):
    symbolic: _Symbolic
    concrete: _Concrete


class _Finding(msgspec.Struct, frozen=True, kw_only=True):
    ident: str
    desc: str
    locations: tuple[_Location, ...]


def _wants(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def _rename(path: str) -> str:
    """Keep what zizmor tells an action from a workflow by."""
    return "action.yml" if basename(path).startswith("action.y") else "workflow.yml"


def _read(stdout: bytes) -> list[Said]:
    return [
        said
        for one in msgspec.json.decode(stdout, type=tuple[_Finding, ...])
        for said in _at_primary(one)
    ]


def _at_primary(one: _Finding) -> Iterator[Said]:
    for location in one.locations:
        if location.symbolic.kind == "Primary":
            yield Said(
                file=location.symbolic.key.local.verbatim_path,
                line=location.concrete.location.start_point.row + 1,
                code=one.ident,
                message=one.desc[:1].upper() + one.desc[1:],
            )


def _judge(said: Said, in_test: bool) -> Rule | None:
    return _MEANINGS.get(said.code, _MEANINGS["ANY"])


ZIZMOR = Tool(
    name="zizmor",
    arguments=FLAGS,
    wants=_wants,
    rename=_rename,
    read=_read,
    judge=_judge,
)
