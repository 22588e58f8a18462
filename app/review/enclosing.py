"""Finds definitions in source text by how it is indented, in time linear in the text.

Knows the habits of many languages and the grammar of none: the text is hostile, so nothing parses
it, and a wrong guess only shows a reader other lines. Line numbers are 1-based, both ends included.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

MAX_LINES = 200
"""Lines of the largest definition that is taken as a whole."""
MAX_OUTER = 5
MAX_IMPORTS = 40
IMPORTS_WITHIN = 400
"""Imports are looked for in this many lines from the top."""

_LOOKED_AT = 300
"""Characters of a line that are looked at."""
_MAX_HEADER = 8
_MAX_ABOVE = 10
_TAB_STOP = 8


class Kind(StrEnum):
    """What is defined: something that runs, or something that holds definitions."""

    FUNCTION = "function"
    CLASS = "class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosing:
    """The definition around a place. `outer` are the first lines of what stands around it, the
    nearest few, outermost first."""

    first: int
    last: int
    header: int
    outer: tuple[int, ...] = ()


class Outline:
    """The lines of one text and how far each is indented.

    None for lines that say nothing about structure: blanks, comments, labels, text in literals.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = [line[:_LOOKED_AT] for line in lines]
        widths = [_width(line) for line in lines]
        for first, last in _literals(lines):
            widths[first:last] = [None] * (last - first)
        self._widths = widths

    def enclosing(self, first: int, last: int) -> Enclosing | None:
        """Find the definition around lines: the largest function that is not too long, else the
        class. None where no definition is found.
        """
        place = self._code_at(min(max(first, 1), len(self._lines)) - 1)
        around = list(self._definitions_around(place)) if place is not None else []
        chosen: tuple[int, int] | None = None
        n_inside = 0
        for header in around:
            end = self.end(header + 1, last + MAX_LINES) - 1
            is_last = self.kind(header + 1) is Kind.CLASS or end - header >= MAX_LINES
            if chosen and is_last:
                break
            chosen = header, end
            n_inside += 1
            if is_last:
                break
        if chosen is None:
            return None
        header, end = chosen
        return Enclosing(
            first=min(first, self._start(header) + 1),
            last=max(last, end + 1),
            header=header + 1,
            outer=tuple(line + 1 for line in reversed(around[n_inside : n_inside + MAX_OUTER])),
        )

    def kind(self, number: int) -> Kind | None:
        """Say what a line begins to define, if anything."""
        line = self._lines[number - 1]
        if self._widths[number - 1] is None or _CONTROL.match(line):
            return None
        if _FUNCTION.search(line):
            return Kind.FUNCTION
        if _CLASS.search(line):
            return Kind.CLASS
        return Kind.FUNCTION if _begins_body(self._header(number - 1)) else None

    def end(self, number: int, until: int) -> int:
        """Find the last line of what a line begins, looking no further than `until`."""
        least = self._widths[number - 1] or 0
        end = number
        for index in range(number, min(until, len(self._lines))):
            width = self._widths[index]
            if width is None:
                continue
            if width <= least and not (width == least and _CONTINUES.match(self._lines[index])):
                break
            end = index + 1
        return end

    def imports(self) -> tuple[int, ...]:
        """List the lines near the top that name other modules, also those of a list in brackets."""
        found: list[int] = []
        closing = ""
        for index, line in enumerate(self._lines[:IMPORTS_WITHIN]):
            if closing or _IMPORT.match(line):
                found.append(index + 1)
                closing = _still_open(line, closing)
        return tuple(found[:MAX_IMPORTS])

    def _code_at(self, index: int) -> int | None:
        """Go down to the line that a comment, decorator or blank belongs to."""
        for at in range(index, min(index + _MAX_ABOVE, len(self._lines))):
            if self._widths[at] is not None and not _ATTACHED.match(self._lines[at]):
                return at
        return None

    def _definitions_around(self, place: int) -> Iterator[int]:
        """Go up to ever less indented lines and give those that define something."""
        limit = (self._widths[place] or 0) + 1
        for index in range(place, -1, -1):
            width = self._widths[index]
            if width is None or width >= limit:
                continue
            if _CLOSER.match(self._lines[index]):
                limit = width + 1  # what it closes begins as far in
                continue
            limit = width
            if self.kind(index + 1) is not None:
                yield index
            if not limit:
                return

    def _start(self, header: int) -> int:
        """Find the first of the decorators and comments directly above a definition."""
        start = header
        while start > max(0, header - _MAX_ABOVE) and _ATTACHED.match(self._lines[start - 1]):
            start -= 1
        return start

    def _header(self, index: int) -> str:
        """Join a line with those after it up to the one that begins a body or ends a statement."""
        parts: list[str] = []
        for line in self._lines[index : index + _MAX_HEADER]:
            parts.append(line.strip())
            if parts[-1].endswith(_ENDS_OF_HEADER):
                break
        return " ".join(parts)


def defines(line: str, name: str) -> bool:
    """Say whether a line defines a name by a keyword, or assigns it at the outermost level."""
    line = line[:_LOOKED_AT]
    assigned = _ASSIGNED.match(line)
    return any(found[1] == name for found in (*_NAMED.finditer(line), *filter(None, [assigned])))


def name_of(line: str) -> str | None:
    """Tell the name that the first line of a definition gives it."""
    line = line[:_LOOKED_AT]
    found = _NAMED.search(line) or _ASSIGNED.match(line.lstrip()) or _BEFORE_BRACKET.search(line)
    return found[1] if found else None


# ---- lines that begin something ------------------------------------------------------------------

_ALONE = r"(?<![\w.$-])(?:{})(?![\w.-])(?!\s*[:=.,)])"
_FUNCTION_WORDS = "def|defp|defmacrop?|func|fun|fn|function|sub|proc|procedure|constructor|init"
_CLASS_WORDS = (
    "class|struct|interface|enum|trait|impl|module|defmodule|namespace|object|protocol|extension|"
    "record|union|type|contract"
)
_FUNCTION = re.compile(_ALONE.format(_FUNCTION_WORDS))
_CLASS = re.compile(_ALONE.format(_CLASS_WORDS) + r"(?!\s*\()")
_CONTROL = re.compile(
    r"[}\s]*(?:if|else|elif|elsif|elseif|for|foreach|while|until|unless|switch|case|match|when|try|"
    r"catch|except|finally|rescue|ensure|with|do|loop|using|lock|synchronized|select|repeat|begin|"
    r"return|throw|raise|yield|await|assert|new|in|go|defer|import|from|use)\b"
)
_NAMED = re.compile(
    rf"(?<![\w.$-])(?:{_FUNCTION_WORDS}|{_CLASS_WORDS})\b[*!]?\s{{1,8}}(?:\([^()]{{0,80}}\)\s{{0,4}})?"
    r"(?:self\.)?([A-Za-z_$][\w$]{0,80})"
)
_ASSIGNED = re.compile(
    r"(?:(?:export|const|let|var|val|static|final|public|private|pub)\s{1,4}){0,4}"
    r"([A-Za-z_$][\w$]{0,80})\s{0,4}(?::[^=\n]{0,60})?:?=(?![=>])"
)
_BEFORE_BRACKET = re.compile(r"([A-Za-z_$][\w$]{0,80})\s{0,2}\(")
_DO = re.compile(r"\bdo(?:\s{1,4}\|[^|]{0,60}\|)?$")
_ENDS_OF_HEADER = ("{", ":", ";", "=>", "}", " do")


def _begins_body(header: str) -> bool:
    """Say whether text is the head of a function without a keyword: `name(…) … {`, `… => {`."""
    if header.endswith(("=> {", "=>{", "=>")) or _DO.search(header[-80:]):
        return True
    opened, closed = header.find("("), header.rfind(")")
    if not header.endswith("{") or not 0 < opened < closed:
        return False
    before, between = header[opened - 1], header[closed + 1 :]
    return (before.isalnum() or before in "_$>] ") and not any(sign in between for sign in ",;=(")


_IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|\#\s*include\b|use\s|using\s|require(?:_relative)?\b|"
    r"package\s|extern\s+crate\b|(?:const|let|var)\s[^=]{1,200}=\s*require\()"
)
_PAIRS = {"(": ")", "{": "}"}


def _still_open(line: str, closing: str) -> str:
    """Return the bracket that has to come before a list of imports ends; empty where none has."""
    if closing:
        return "" if closing in line else closing
    last = line.split("#")[0].split("//")[0].rstrip()[-1:]
    return _PAIRS.get(last, "")


# ---- how far lines are indented ------------------------------------------------------------------

_TRANSPARENT = re.compile(
    r"\s*(?:$|\#(?!\[)|//|/\*|\*(?:\s|/|$)|--\s|;;|[{]\s*$"
    r"|(?!(?:else|try|finally|begin|do)\s*:)[A-Za-z_]\w{0,60}\s*:\s*$)"
)
_ATTACHED = re.compile(r"\s*(?:@\w|\#|//|/\*|\*(?:\s|/|$)|\[[A-Z]\w*.{0,200}\]\s*$)")
_CLOSER = re.compile(r"\s*[)\]}]")
_CONTINUES = re.compile(r"\s*(?:[)\]}]|(?:end|fi|done|esac|rescue|ensure|else|elsif)\b)")


def _width(line: str) -> int | None:
    """Measure an indentation in columns; None for a line that says nothing about structure."""
    if _TRANSPARENT.match(line[:_LOOKED_AT]):
        return None
    bare = line.lstrip(" \t")
    return len(line[: len(line) - len(bare)].expandtabs(_TAB_STOP)) if bare else None


# What stands before is looked at last: so each alternative begins with a sign to search for.
_OPENING = re.compile(
    r"""
    "{3} | '{3} | /\*(?<![^\s(,;{}\[=]/\*) | `
    | // | \#(?<!\S\#)                     # a comment up to the end of its line
    | "(?:[^"\\\n]|\\.)*+"? | '(?:[^'\\\n]|\\.)*+'?   # a lonely quote takes the rest of its line
    """,
    re.VERBOSE,
)
_CLOSED_BY = {'"""': '"""', "'''": "'''", "/*": "*/", "`": "`"}


def _literals(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Find text of several lines that is no code; each as the lines after its first one.

    An opening that nothing closes counts for nothing, and is looked for no further.
    """
    text = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    unclosed: set[str] = set()
    at = 0
    while opening := _OPENING.search(text, at):
        at = opening.end()
        mark = opening[0]
        if mark in ("//", "#"):
            end = text.find("\n", at)
            at = len(text) if end == -1 else end
        elif closing := _CLOSED_BY.get(mark):
            end = -1 if mark in unclosed else text.find(closing, at)
            if end == -1:
                unclosed.add(mark)
                continue
            first, last = bisect_left(starts, at), bisect_left(starts, end + 1)
            at = end + len(closing)
            yield first, last
