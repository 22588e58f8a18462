"""Comments that a change adds to silence a checker: of all rules, or of one about security.

A comment that names the one rule that it silences is how checkers are meant to be used, and is
left alone. The linters that we run hear none of them. One about security that gives a reason is a
nit, and so is one in Python, where ruff tells what it would silence.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from app.analysers.added import InDiff, added_lines, at_line, each_file, quote
from app.review.classes import FileClass, classify
from app.review.diff import FileDiff
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.priority import Priority

NAME = "suppressions"
MAX_LINE = 1_000
"""Characters that are searched; longer lines are no person's."""


class _Kind(NamedTuple):
    """One kind of comment: what it silences, and how it is written."""

    rule: str
    area: Area
    priority: Priority
    title: str
    body: str
    regex: re.Pattern[str]


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_REASON = re.compile(r"(?:[A-Za-z']{2,}[\s,]+){2}[A-Za-z']{2,}")
"""Three words, behind what silences."""
_END = r"\s*(?:\*/|-->|$)"
_KINDS = (
    _Kind(
        "silenced-security",
        Area.SECURITY,
        Priority.P2,
        "A warning about security is silenced",
        "Nobody is warned of it again on this line.",
        _any_of(
            r"#\s*nosec\b",
            r"//\s*#nosec\b",
            r"//\s*nolint:[\w,]*\bgosec\b",
            r"#\s*noqa:\s*(?:\w+[,\s]+)*S(?!101\b)\d",
            r"(?:eslint|oxlint)-disable[\w-]*\s.*(?:security/|no-eval|no-implied-eval|no-script-url)",
            r"\b(?:nosemgrep|NOSONAR)\b",
            r"#\s*(?:zizmor: ignore|checkov:skip|tfsec:ignore|trivy:ignore|kics-scan ignore)",
            r"\b(?:lgtm|codeql)\[[\w/-]+\]",
        ),
    ),
    _Kind(
        "silenced-file",
        Area.CORRECTNESS,
        Priority.P2,
        "A checker is silenced for a whole file",
        "No mistake in this file is reported any more, old or new: name the rule instead.",
        _any_of(
            r"^\s*#\s*(?:ruff|flake8)[:=]\s*noqa\s*$",
            r"^\s*#\s*mypy:\s*ignore-errors",
            r"^\s*#\s*pylint:\s*(?:skip-file|disable=all)",
            r"^\s*/\*\s*(?:eslint|oxlint|tslint:)-?disable" + _END,
            r"^\s*//\s*@ts-nocheck\b",
            r"^\s*#!\[allow\((?:warnings|clippy::all)\)\]",
            r"^\s*#\s*rubocop:disable all",
            r"^\s*#\s*shellcheck disable=all",
        ),
    ),
    _Kind(
        "silenced-line",
        Area.CORRECTNESS,
        Priority.P3,
        "A checker is silenced for all rules",
        "Other mistakes on this line are not reported either: name the rule instead.",
        _any_of(
            r"#\s*noqa\s*$",
            r"#\s*type:\s*ignore\s*(?:#|$)",
            r"#\s*pyright:\s*ignore\s*$",
            r"(?:eslint|oxlint)-disable-(?:next-)?line" + _END,
            r"//\s*@ts-ignore\b",
            r"//\s*nolint\s*(?://|$)",
            r"@SuppressWarnings\(\s*\"all\"\s*\)",
            r"^\s*#pragma warning disable\s*$",
            r"(?<!^)\s#\s*pragma:\s*no cover\s*$",
        ),
    ),
)
_TRIGGER = "A checker would have told of a mistake here."


def _in_file(file: FileDiff) -> Iterator[Candidate]:
    added = [
        (number, text, kind)
        for number, text in added_lines(file).items()
        if (kind := _kind_of(text))
    ]
    if not added or classify(file) not in (FileClass.SOURCE, FileClass.CONFIGURATION):
        return
    gone = Counter(
        kind.rule
        for line in file.changed_lines
        if line.kind == "-" and (kind := _kind_of(line.text))
    )
    for number, text, kind in added:
        if gone[kind.rule]:  # it only moved
            gone[kind.rule] -= 1
            continue
        yield Candidate(
            area=kind.area,
            priority=Priority.P3 if _is_usual(file.path, text, kind) else kind.priority,
            confidence=0.8,
            title=kind.title,
            body=kind.body,
            trigger=_TRIGGER,
            evidence=quote(text),
            location=at_line(file.path, number),
            source=NAME,
            rule=kind.rule,
        )


def _kind_of(text: str) -> _Kind | None:
    text = text[:MAX_LINE]
    return next((kind for kind in _KINDS if kind.regex.search(text)), None)


def _is_usual(path: str, text: str, kind: _Kind) -> bool:
    if kind.area is not Area.SECURITY:
        return False
    silencer = kind.regex.search(text)
    has_reason = silencer and _REASON.search(text, silencer.end(), silencer.end() + MAX_LINE)
    return path.endswith((".py", ".pyi")) or has_reason is not None


SUPPRESSIONS = InDiff(name=NAME, search=each_file(_in_file))
