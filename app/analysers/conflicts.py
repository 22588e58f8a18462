"""Markers of a merge conflict that a change adds."""

import re
from collections.abc import Iterator

from app.analysers.added import InDiff, added_lines, at_line, each_file, is_test, quote
from app.review.diff import FileDiff
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.priority import Priority

NAME = "conflicts"
TITLE = "Conflict marker left in the file"
BODY = "A merge was not finished: both sides stand in the file."
TRIGGER = "The file is read or run."

# https://git-scm.com/docs/git-merge#_how_conflicts_are_presented
_MARKER = re.compile(r"(<{7}|>{7}) \S")
_PROSE = (".adoc", ".md", ".rst", ".txt")
"""They explain conflicts, and underline and quote with the same characters."""


def _in_file(file: FileDiff) -> Iterator[Candidate]:
    is_open = False
    for number, text in added_lines(file).items():
        marker = _MARKER.match(text)
        if marker is None:
            continue
        is_start = marker[1].startswith("<")
        if is_start or not is_open:
            yield _candidate(file, number, text)
        is_open = is_start


def _candidate(file: FileDiff, number: int, text: str) -> Candidate:
    is_sure = not (is_test(file) or file.path.lower().endswith(_PROSE))
    return Candidate(
        area=Area.CORRECTNESS,
        priority=Priority.P1 if is_sure else Priority.P3,
        confidence=0.95 if is_sure else 0.4,
        title=TITLE,
        body=BODY,
        trigger=TRIGGER,
        evidence=quote(text[:200]),
        location=at_line(file.path, number),
        source=NAME,
        rule="conflict-marker",
    )


CONFLICTS = InDiff(name=NAME, search=each_file(_in_file))
