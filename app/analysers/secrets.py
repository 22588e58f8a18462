"""Secrets that a change adds. Says what kind and where; nothing of a secret leaves this module."""

import asyncio
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate

from app.analysers.added import at_line, fold
from app.ports import Found
from app.review.classes import FileClass, classify
from app.review.diff import FileDiff, Hunk
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.masking import MASK, MAX_EXAMINED, Secret, find_secrets, mask, visible
from app.review.priority import Priority
from app.review.pull import Change

BODY = (
    "Revoke it and read it from the environment or a secret store: "
    "it stays in the history after the line is gone."
)
TRIGGER = "Anyone reads this repository, a clone or a fork of it."

_GUESSED = frozenset(
    {
        "Authorization header",
        "JSON web token",
        "credentials in a URL",
        "password",
        "secret",
        "secret in the environment",
    }
)
"""Kinds that are told by the name beside them or that often stand in examples."""
_MADE_UP_IN = frozenset({FileClass.TEST, FileClass.VENDORED})
_PLACEHOLDER = re.compile(r"example|dummy|placeholder|changeme", re.IGNORECASE)
_WORDS = re.compile(r"ssw(?:or)?d|secret|pwd|test|user", re.IGNORECASE)
"""In a value that was only guessed to be a secret: what people write in examples."""
_MIN_DISTINCT = 6
_MAX_LINE = 400
"""Characters; a line of a minified file can have megabytes."""
_KEY_MARKER = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----")
_CUT_WORDS = re.compile(r"^\w+|\w+$")
_KEY_MATERIAL = re.compile(r"[A-Za-z0-9+/]{32}")


class Secrets:
    """A Finder for tokens, keys and passwords on added lines. Needs no whole file."""

    name = "secrets"

    def wants(self, path: str) -> bool:
        """Say no: the diff is enough."""
        return False

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Find one candidate for each kind of secret on each added line."""
        return await asyncio.to_thread(self._find, change)

    def _find(self, change: Change) -> Found:
        candidates: list[Candidate] = []
        too_long: dict[str, str] = {}
        for file in change.diff.files:
            if file.is_submodule:
                continue
            for hunk in file.hunks:
                right = _RightSide(hunk)
                candidates += _in_hunk(file, right)
                if len(right.text) > MAX_EXAMINED:
                    too_long[file.path] = f"a hunk is longer than {MAX_EXAMINED:,} characters"
        return Found(finder=self.name, candidates=fold(candidates), not_analysed=too_long or None)


class _RightSide:
    """A hunk as it is afterwards: its text, and where each line of it starts."""

    def __init__(self, hunk: Hunk) -> None:
        self._lines = [line for line in hunk.lines if line.new is not None]
        self.text = "\n".join(line.text for line in self._lines)
        lengths = (len(line.text) + 1 for line in self._lines)
        self.starts = list(accumulate(lengths, initial=0))

    def first_added(self, secret: Secret) -> int | None:
        """Return the index of the first added line that holds a part of the secret."""
        first = bisect_right(self.starts, secret.start) - 1
        last = bisect_right(self.starts, secret.end - 1)
        return next((i for i in range(first, last) if self._lines[i].kind == "+"), None)

    def number(self, index: int) -> int:
        return self._lines[index].new or 0


def _in_hunk(file: FileDiff, right: _RightSide) -> Iterator[Candidate]:
    secrets = find_secrets(right.text)
    if not secrets:
        return
    shown = mask(right.text)
    told: set[tuple[int, str]] = set()
    for secret in secrets:
        index = right.first_added(secret)
        if index is None or (index, secret.kind) in told or _is_placeholder(right.text, secret):
            continue
        told.add((index, secret.kind))
        evidence = _evidence(right, shown, secret, index)
        yield _candidate(file, right.number(index), evidence, secret.kind)


def _evidence(right: _RightSide, shown: str, secret: Secret, index: int) -> str:
    """Quote the masked line; if nothing is left of it, or it is long, what stands next to it."""
    start, end = right.starts[index], right.starts[index + 1] - 1
    if end - start <= _MAX_LINE and any(sign.isalnum() for sign in shown[start:end]):
        return visible(shown[start:end].rstrip("\r"))
    if secret.kind == "private key":
        marker = _KEY_MARKER.search(right.text, secret.start, secret.end + _MAX_LINE)
        return marker[0] if marker else ""
    before = shown[max(start, secret.start - _MAX_LINE) : max(start, secret.start)]
    return visible(_CUT_WORDS.sub("", before.rpartition(MASK)[2]))


def _is_placeholder(text: str, secret: Secret) -> bool:
    value = text[secret.start : secret.end]
    if secret.kind == "private key":
        return _KEY_MATERIAL.search(value) is None
    if _PLACEHOLDER.search(value) or len(set(value)) < _MIN_DISTINCT:
        return True
    return secret.kind in _GUESSED and _WORDS.search(value) is not None


def _candidate(file: FileDiff, line: int, evidence: str, kind: str) -> Candidate:
    is_guess = kind in _GUESSED
    return Candidate(
        area=Area.SECURITY,
        priority=_priority(file, is_guess=is_guess),
        confidence=0.7 if is_guess else 0.95,
        title=f"{kind[:1].upper()}{kind[1:]} in plain text",
        body=BODY,
        trigger=TRIGGER,
        evidence=evidence,
        location=at_line(file.path, line),
        source=Secrets.name,
        rule=kind,
    )


def _priority(file: FileDiff, *, is_guess: bool) -> Priority:
    if classify(file) in _MADE_UP_IN:
        return Priority.P3 if is_guess else Priority.P2
    return Priority.P1 if is_guess else Priority.P0
