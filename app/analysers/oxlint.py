"""oxlint on the changed JavaScript and TypeScript files, with our flags and configuration only.

Knows oxlint's JSON and what we make of its rules. A rule that is not named here is a nit: new
rules of a new oxlint cannot become loud by themselves.
"""

import re
from collections.abc import Mapping
from posixpath import basename
from types import MappingProxyType

import msgspec

from app.analysers.linter import FILES, Rule, Said, Tool
from app.review.focus import Area
from app.review.priority import Priority

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

_THROWS = """
    constructor-super no-class-assign no-const-assign no-invalid-regexp no-new-native-nonconstructor
    no-obj-calls no-this-before-super
    """
_WRONG = """
    bad-array-method-on-arguments bad-char-at-comparison bad-comparison-sequence bad-min-max-func
    bad-object-literal-comparison const-comparisons erasing-op for-direction getter-return
    missing-throw no-async-promise-executor no-await-in-promise-methods no-compare-neg-zero
    no-dupe-class-members no-dupe-else-if no-dupe-keys no-duplicate-case no-ex-assign
    no-func-assign no-global-assign no-import-assign no-invalid-fetch-options
    no-invalid-remove-event-listener no-loss-of-precision no-non-null-asserted-optional-chain
    no-self-assign no-setter-return no-sparse-arrays no-unsafe-finally no-unsafe-negation
    no-unsafe-optional-chaining number-arg-out-of-range uninvoked-array-callback use-isnan
    valid-typeof
    """
_RUNS_TEXT = """
    no-eval no-implied-eval no-new-func no-script-url
    """

_NIT = Rule(
    area=Area.CORRECTNESS,
    priority=Priority.P3,
    confidence=0.4,
    body="It often hides a mistake.",
    trigger="The line runs.",
)


def _rules(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: Mapping[str, Rule] = MappingProxyType(
    _rules(
        _THROWS,
        Rule(
            area=Area.CORRECTNESS,
            priority=Priority.P1,
            confidence=0.9,
            body="JavaScript throws an error.",
            trigger="The line runs.",
        ),
    )
    | _rules(
        _WRONG,
        Rule(
            area=Area.CORRECTNESS,
            priority=Priority.P2,
            confidence=0.8,
            body="It runs, and hardly does what was meant.",
            trigger="The line runs.",
        ),
    )
    | _rules(
        _RUNS_TEXT,
        Rule(
            area=Area.SECURITY,
            priority=Priority.P2,
            confidence=0.7,
            body="Whoever controls a part of the text runs any code they like.",
            trigger="A part of the text comes from outside.",
            title="Text is run as code",
        ),
    )
    | _rules(
        "no-await-in-loop",
        Rule(
            area=Area.PERFORMANCE,
            priority=Priority.P3,
            confidence=0.5,
            body="Each turn waits for the one before: `Promise.all` lets them wait together.",
            trigger="The turns do not depend on each other.",
            title="`await` within a loop",
        ),
    )
)


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
    return None if said.code in _NOISE else RULES.get(said.code, _NIT)


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
