"""shellcheck on the changed shell scripts, without their configuration or what they source.

Knows shellcheck's JSON and what we make of its codes; what is only a warning is a nit.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from posixpath import splitext
from types import MappingProxyType

import msgspec

from app.analysers.added import words
from app.analysers.linter import Rule, Said, Tool
from app.review.focus import Area
from app.review.priority import Priority

FLAGS = ("--norc", "-f", "json1", "-S", "warning", "--")
SUFFIXES = frozenset((".sh", ".bash", ".dash", ".ksh", ".bats"))

_PARSING = range(1000, 2000)
"""Codes of what could not be read: another shell's script, or a template."""
# Variables of other files, files that are sourced, and what every `sh` of today knows.
_NOISE = words("SC1090 SC1091 SC2034 SC2148 SC2153 SC2154 SC3028 SC3037 SC3040 SC3043 SC3045")
_DIRECTIVE = re.compile(rb"(?m)^[ \t]*#[ \t]*shellcheck[ \t].*$")
_DISABLES = re.compile(rb"\bdisable=[^\s#]+")
_MILD = Rule(
    area=Area.CORRECTNESS,
    priority=Priority.P3,
    confidence=0.5,
    body="The shell may not do what was meant.",
    trigger="The line runs.",
)
_ERROR = replace(_MILD, priority=Priority.P2, confidence=0.7)
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "SC2115": Rule(
            area=Area.CORRECTNESS,
            priority=Priority.P1,
            confidence=0.8,
            title="Removes everything when the variable is empty",
            body='`"${name:?}"` stops instead.',
            trigger="The variable is empty or not set.",
        ),
        "SC2114": Rule(
            area=Area.CORRECTNESS,
            priority=Priority.P1,
            confidence=0.8,
            title="Removes a folder of the system",
            body="The machine does not work without it.",
            trigger="The line runs.",
        ),
    }
)


class _Comment(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    line: int
    level: str
    code: int
    message: str


class _Output(msgspec.Struct, frozen=True, kw_only=True):
    comments: tuple[_Comment, ...]


def _wants(path: str) -> bool:
    return splitext(path)[1] in SUFFIXES


def _rename(path: str) -> str:
    return "script" + splitext(path)[1]


def _unmute(text: bytes) -> bytes:
    """Put a word of no effect (no file is followed) where a directive disables something."""
    return _DIRECTIVE.sub(
        lambda line: _DISABLES.sub(lambda word: b"source=.".ljust(len(word[0])), line[0]), text
    )


def _read(stdout: bytes) -> list[Said]:
    output = msgspec.json.decode(stdout, type=_Output)
    return [_said(one) for one in output.comments]


def _said(one: _Comment) -> Said:
    is_error = one.level == "error"
    return Said(
        file=one.file,
        line=one.line,
        code=f"SC{one.code}",
        message=one.message.rstrip("."),
        is_error=is_error,
        is_trouble=is_error and one.code in _PARSING,
    )


def _judge(said: Said, in_test: bool) -> Rule | None:
    if said.code in _NOISE:
        return None
    return RULES.get(said.code, _ERROR if said.is_error else _MILD)


SHELLCHECK = Tool(
    name="shellcheck",
    arguments=FLAGS,
    wants=_wants,
    rename=_rename,
    read=_read,
    judge=_judge,
    unmute=_unmute,
)
