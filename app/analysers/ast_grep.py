"""ast-grep with rules of our own, for what is sharp in JavaScript, TypeScript, Go and Java.

Knows ast-grep's JSON; the rules stand in `rules/`, one file a language. Rules are handed over as an
argument, so no configuration is read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import splitext
from types import MappingProxyType

import msgspec
import yaml

from app.analysers.added import words
from app.analysers.filled import is_constant, is_harmless
from app.analysers.linter import LOADER, Rule, Said, Tool
from app.review.focus import Area
from app.review.priority import Priority

NAME = "ast-grep"
RULES = Path(__file__).parent / "rules"

# Which grammar reads which files. JavaScript may hold JSX, TypeScript may hold casts.
_NAMES = MappingProxyType(
    {
        "module.tsx": frozenset((".cjs", ".js", ".jsx", ".mjs", ".tsx")),
        "module.ts": frozenset((".cts", ".mts", ".ts")),
        "module.go": frozenset((".go",)),
        "module.java": frozenset((".java",)),
    }
)
_SEPARATOR = "\n---\n"
_TSX, _TYPESCRIPT = "\nlanguage: Tsx\n", "\nlanguage: TypeScript\n"
_BY_SUFFIX = {suffix: name for name, suffixes in _NAMES.items() for suffix in suffixes}
_WEIGHED = words(
    """
    go-error-ignored go-sql-from-string java-sql-from-string js-inner-html js-shell-from-string
    js-html-value js-html-in-jsx js-sql-from-string
    """
)
_SHELLS = ("child_process", "shelljs", "cross-spawn", "execa")
# `json.Marshal` of what is written there, which it can always write.
_MARSHALS_LITERAL = re.compile(
    r"json\.Marshal(?:Indent)?\(&?(?:map\[string\]|\[\])?[\w.]+(?:\{\})?\{"
)
_HTML = re.compile(r"(?:innerHTML\s*=|outerHTML\s*=|__html\s*:)\s*([\w$.]+)")
_CLEANS = r"[^\n]{0,200}(?i:saniti|purif|escap|stringify|encode)"
_CLEANED = re.compile(r"\$\{[^{}]{0,200}(?i:saniti|purif|escap|encode)[^{}]{0,200}\}")
_PARSES_GROUP = re.compile(r"strconv\.\w+\((\w+)\[")


class _Meta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    area: Area
    priority: str
    confidence: float
    trigger: str


class _RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of a rule; the rest is ast-grep's."""

    id: str
    message: str
    note: str
    metadata: _Meta


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    line: int


class _Range(msgspec.Struct, frozen=True, kw_only=True):
    start: _Place
    end: _Place


class _Match(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    file: str
    rule_id: str
    message: str
    range: _Range


def load_rules(folder: Path) -> tuple[str, Mapping[str, Rule]]:
    """Read our rules: as ast-grep takes them, and by their id what they mean to us."""
    text = _SEPARATOR.join(path.read_text("utf-8") for path in sorted(folder.glob("*.yml")))
    written = yaml.load_all(text, Loader=LOADER)
    read = [msgspec.convert(rule, type=_RuleFile) for rule in written]
    rules = text.split(_SEPARATOR)
    again = (r.replace(_TSX, _TYPESCRIPT) for r in rules if _TSX in r and "jsx_" not in r)
    return _SEPARATOR.join((text, *again)), {rule.id: _meaning(rule) for rule in read}


def build_tool() -> Tool:
    """Read our rules, and make the tool of them."""
    text, rules = load_rules(RULES)

    def judge(said: Said, in_test: bool) -> Rule | None:
        """In tests, texts are the test's own, and errors are seen."""
        return None if in_test else rules.get(said.code)

    return Tool(
        name=NAME,
        arguments=("scan", "--inline-rules", text, "--no-ignore", "hidden", "--json=stream"),
        wants=_wants,
        rename=_rename,
        read=_read,
        judge=judge,
        unmute=_unmute,
        weighed=_WEIGHED,
        is_mild=_is_mild,
    )


def _meaning(rule: _RuleFile) -> Rule:
    return Rule(
        area=rule.metadata.area,
        priority=Priority(rule.metadata.priority),
        confidence=rule.metadata.confidence,
        title=rule.message,
        body=rule.note,
        trigger=rule.metadata.trigger,
    )


def _wants(path: str) -> bool:
    return splitext(path)[1] in _BY_SUFFIX


def _rename(path: str) -> str:
    return _BY_SUFFIX[splitext(path)[1]]


def _unmute(text: bytes) -> bytes:
    return text.replace(b"ast-grep-ignore", b"ast-grep_ignore")


def _is_mild(said: Said, code: str, module: str) -> bool:
    match said.code:
        case "js-shell-from-string":  # a function of its own that is called so
            return not any(name in module for name in _SHELLS)
        case "js-html-value" | "js-html-in-jsx":
            return _is_clean(code, module)
        case "js-inner-html":
            return is_harmless(_CLEANED.sub("", code), module)
        case "go-error-ignored":
            return _cannot_fail(code, module)
        case _:
            return is_harmless(code, module)


def _is_clean(code: str, module: str) -> bool:
    """Whether the value is a constant of the file, or was made harmless in it."""
    found = _HTML.search(code)
    if found is None:
        return False
    name = found[1]
    cleaned = re.search(rf"(?<![\w.]){re.escape(name)}\s*=(?!=){_CLEANS}", module)
    return cleaned is not None or is_constant(name, module)


def _cannot_fail(code: str, module: str) -> bool:
    """Whether a literal is written as JSON, or a number is read that a regular expression found."""
    group = _PARSES_GROUP.search(code)
    if group is None:
        return _MARSHALS_LITERAL.search(code) is not None
    found = rf"\b{group[1]}\b[ \t]*:?=[^\n=]{{0,200}}\.Find(?:All)?StringSubmatch\("
    return re.search(found, module) is not None


def _read(stdout: bytes) -> list[Said]:
    return [_said(line) for line in stdout.splitlines()]


def _said(line: bytes) -> Said:
    match = msgspec.json.decode(line, type=_Match)
    return Said(
        file=match.file,
        line=match.range.start.line + 1,
        end=match.range.end.line + 1,
        code=match.rule_id,
        message=match.message,
    )
