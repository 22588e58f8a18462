"""Characters on added lines that do not show, or that make code read otherwise than it runs.

Knows which of them honest text needs: joiners and marks of scripts that are written with them,
emoji, and the mark that a file may begin with.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from app.analysers.added import InDiff, added_lines, at_line, each_file, is_test, quote
from app.review.diff import FileDiff
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.priority import Priority

NAME = "unicode"
BODY = "What the line shows is not what it holds: remove the character or write it as an escape."
TRIGGER = "Somebody reads the line as it shows."
SHOWN_AROUND = 200
"""Characters quoted on each side in a long line."""


class _Kind(NamedTuple):
    """One kind of character. Group 1 of `regex` is it; what honest text has matches without."""

    rule: str
    title: str
    priority: Priority
    regex: re.Pattern[str]


_KINDS = (
    # Trojan Source: https://trojansource.codes (CVE-2021-42574)
    _Kind(
        "bidirectional",
        "Bidirectional control character",
        Priority.P1,
        re.compile("([\u202a-\u202e\u2066-\u2069])"),
    ),
    # Tags and runs of variation selectors spell text that only a machine reads. The flags of
    # England, Scotland and Wales are made of tags.
    _Kind(
        "hidden-text",
        "Hidden text",
        Priority.P1,
        re.compile(
            "\U0001f3f4[\U000e0061-\U000e007a]{1,6}\U000e007f"
            "|([\U000e0000-\U000e007f]|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3})"
        ),
    ),
    # Joiners belong between letters of some scripts and between emoji, never between ASCII.
    _Kind(
        "invisible",
        "Invisible character",
        Priority.P2,
        re.compile(
            "([\u115f\u1160\u180e\u200b\u2060-\u2064\u3164\ufeff\uffa0]"
            "|(?<=[!-~])[\u200c\u200d\u00ad](?=[!-~]))"
        ),
    ),
)
_BYTE_ORDER_MARK = "\ufeff"
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_TEXT_FILES = (
    *(".adoc", ".csv", ".htm", ".html", ".md", ".rst", ".svg", ".tex", ".txt"),
    *(".arb", ".json", ".po", ".pot", ".properties", ".resx", ".strings", ".xlf", ".xliff"),
    *(".xml", ".yaml", ".yml"),
)


def _in_file(file: FileDiff) -> Iterator[Candidate]:
    for number, line in added_lines(file).items():
        if line.isascii():
            continue
        text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        for kind in _KINDS:
            match = next((m for m in kind.regex.finditer(text) if m[1]), None)
            if match and not _is_honest(file.path, kind, text):
                yield _candidate(file, number, kind, match)


def _is_honest(path: str, kind: _Kind, text: str) -> bool:
    """Say whether a text or a translation may need the character: it is laid out, not run."""
    if not path.lower().endswith(_TEXT_FILES):
        return False
    if kind.rule == "bidirectional":
        return _RIGHT_TO_LEFT.search(text) is not None
    return kind.rule == "invisible"


def _candidate(file: FileDiff, number: int, kind: _Kind, match: re.Match[str]) -> Candidate:
    text = match.string
    return Candidate(
        area=Area.SECURITY,
        priority=Priority.P2 if is_test(file) else kind.priority,
        confidence=0.9,
        title=f"{kind.title} (U+{ord(match[1][0]):04X})",
        body=BODY,
        trigger=TRIGGER,
        evidence=quote(text[max(0, match.start() - SHOWN_AROUND) : match.end() + SHOWN_AROUND]),
        location=at_line(file.path, number),
        source=NAME,
        rule=kind.rule,
    )


UNICODE = InDiff(name=NAME, search=each_file(_in_file))
