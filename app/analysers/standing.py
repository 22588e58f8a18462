"""Tells the faults that a change brings from those that stood in the lines that it replaced.

Knows only lines, and that something is said of them.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from app.review.diff import FileDiff

Spoken = tuple[int, Hashable]
"""A line (1-based), and what is said of it."""


def find_old(file: FileDiff, now: Sequence[Spoken], before: Sequence[Spoken]) -> frozenset[int]:
    """Return the places in `now` of what was said already `before`, and as often.

    What is said of an added line is old where the same was said of the same text, wherever the
    change took that out, or of a line in whose place the added one stands.
    """
    added, gone = _changed(file)
    old: set[int] = set()
    used: set[int] = set()
    for kind in (0, 1):  # the same text before the same place
        known: defaultdict[Hashable, list[int]] = defaultdict(list)
        for at, (line, what) in enumerate(before):
            if line in gone and at not in used:
                known[what, gone[line][kind]].append(at)
        for at, (line, what) in enumerate(now):
            if line in added and at not in old and (same := known[what, added[line][kind]]):
                used.add(same.pop())
                old.add(at)
    return frozenset(old)


_Lines = dict[int, tuple[str, int]]


def _changed(file: FileDiff) -> tuple[_Lines, _Lines]:
    """Return the added and the removed lines: number → text, and which run of changes it is in."""
    added: _Lines = {}
    gone: _Lines = {}
    run = 0
    for hunk in file.hunks:
        run += 1
        for line in hunk.lines:
            if line.kind == "+" and line.new is not None:
                added[line.new] = (line.text.strip(), run)
            elif line.kind == "-" and line.old is not None:
                gone[line.old] = (line.text.strip(), run)
            else:
                run += 1
    return added, gone
