"""oxlint on the changed JavaScript and TypeScript files, with our flags and configuration only.

Knows oxlint's JSON and what we make of its rules. A rule that is not named here is a nit: new
rules of a new oxlint cannot become loud by themselves.
"""

import re
from posixpath import basename

import msgspec

from app.analysers.linter import FILES, Rule, Said, Tool, load_meanings

FLAGS = (
    *("-c", f"{FILES}/ours/oxlintrc.json"),
    "--disable-nested-config",
    "--no-ignore",
    *("-f", "json"),
    *("-A", "all", "-D", "correctness", "-D", "no-await-in-loop"),
    *("-D", "no-eval", "-D", "no-implied-eval", "-D", "no-new-func", "-D", "no-script-url"),
)
CONFIGURATION = {"ours/oxlintrc.json": b"{}"}

_NAME = re.compile(r"(?:\.d)?\.(?:[cm]?[jt]sx?|vue)$")
_SILENCES = re.compile(rb"\b(eslint|oxlint)-(?=disable)")
_CODE = re.compile(r"[\w-]+\(([\w-]+)\)")
_NOISE = frozenset({"no-unused-vars", "no-useless-escape", "no-control-regex"})

_MEANINGS = load_meanings("oxlint")


class _Span(msgspec.Struct, frozen=True, kw_only=True):
    line: int


class _Label(msgspec.Struct, frozen=True, kw_only=True):
    span: _Span


class _Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of a diagnostic. It has no code where the file could not be parsed.

    Of several labels the last in the file is the mistake, the others say what it goes against.
    """

    message: str
    filename: str
    labels: tuple[_Label, ...] = ()
    code: str = ""


class _Output(msgspec.Struct, frozen=True, kw_only=True):
    diagnostics: tuple[_Diagnostic, ...]


def _wants(path: str) -> bool:
    return _NAME.search(path) is not None


def _rename(path: str) -> str:
    """Keep what says which language it is."""
    found = _NAME.search(basename(path))
    return "module" + (found[0] if found else ".js")


def _unmute(text: bytes) -> bytes:
    return _SILENCES.sub(rb"\1_", text)


def _read(stdout: bytes) -> list[Said]:
    output = msgspec.json.decode(stdout, type=_Output)
    return [_said(one) for one in output.diagnostics]


def _said(one: _Diagnostic) -> Said:
    code = _CODE.fullmatch(one.code)
    return Said(
        file=one.filename,
        line=max((label.span.line for label in one.labels), default=0),
        code=code[1] if code else "",
        message=one.message.rstrip("."),
        is_trouble=code is None,  # Flow, or a proposal: nothing says that it is no JavaScript
    )


def _judge(said: Said, in_test: bool) -> Rule | None:
    return None if said.code in _NOISE else _MEANINGS.get(said.code, _MEANINGS["ANY"])


OXLINT = Tool(
    name="oxlint",
    arguments=FLAGS,
    wants=_wants,
    rename=_rename,
    read=_read,
    judge=_judge,
    beside=CONFIGURATION,
    unmute=_unmute,
)
