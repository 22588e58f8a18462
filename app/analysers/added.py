"""What all analysers share: which lines they may speak of, how they quote them, and how often."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from app.ports import Found
from app.review.classes import FileClass, classify
from app.review.diff import FileDiff, Side
from app.review.findings import Candidate, Location
from app.review.masking import mask, visible
from app.review.pull import Change

MAX_OF_ONE_RULE = 3
MAX_LINES_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InDiff:
    """A Finder that needs no whole file: `search` finds candidates in the change alone."""

    name: str
    search: Callable[[Change], Iterable[Candidate]]

    def wants(self, path: str) -> bool:
        """Say no: the diff is enough."""
        return False

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Find candidates; those of one rule that are many are folded."""
        found = await asyncio.to_thread(lambda: fold(self.search(change)))
        return Found(finder=self.name, candidates=found)


def each_file(
    search: Callable[[FileDiff], Iterable[Candidate]],
) -> Callable[[Change], Iterable[Candidate]]:
    """Search each file of a change by itself."""
    return lambda change: (c for file in change.diff.files for c in search(file))


def words(text: str) -> frozenset[str]:
    """Split a table that is written as text."""
    return frozenset(text.split())


def added_lines(file: FileDiff) -> dict[int, str]:
    """Return the added lines of a file: line number in the new file → text."""
    if file.is_symlink or file.is_submodule:
        return {}
    return {
        line.new: line.text
        for line in file.changed_lines
        if line.kind == "+" and line.new is not None
    }


def before(file: FileDiff, head: str) -> str | None:
    """Undo the hunks of a file; None where they do not fit its text at the head."""
    lines = head.split("\n")
    old: list[str] = []
    at = 0
    for hunk in file.hunks:
        first = hunk.new_start - 1 if hunk.new_count else hunk.new_start
        new = [line.text for line in hunk.lines if line.new is not None]
        if lines[first : first + len(new)] != new:
            return None
        old += lines[at:first]
        old += (line.text for line in hunk.lines if line.old is not None)
        at = first + len(new)
    return "\n".join(old + lines[at:])


def at_line(path: str, line: int) -> Location:
    """Point at one line of the new file."""
    return Location(path=path, side=Side.RIGHT, start_line=line, line=line)


def quote(text: str) -> str:
    """Quote a line as the model is shown it: without secrets, with what does not show."""
    return visible(mask(text.rstrip("\r\n")))


def is_test(file: FileDiff) -> bool:
    """Say whether a file is a test, or something that tests read."""
    return classify(file) is FileClass.TEST


def fold(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Make one candidate of those of one rule in a file that are more than three.

    The most urgent one stays, and says how often and on which lines the rule was broken.
    """
    groups: dict[tuple[str, str | None], dict[tuple[Side, int], Candidate]] = {}
    for candidate in sorted(candidates, key=_most_urgent_first):
        place = candidate.location
        group = groups.setdefault((place.path, candidate.rule), {})
        group.setdefault((place.side, place.line), candidate)
    return tuple(kept for group in groups.values() for kept in _folded(list(group.values())))


def _most_urgent_first(candidate: Candidate) -> tuple[str, int]:
    return candidate.priority.value, candidate.location.line


def _folded(group: list[Candidate]) -> list[Candidate]:
    if len(group) <= MAX_OF_ONE_RULE:
        return group
    first, rest = group[0], group[1:]
    numbers = sorted(candidate.location.line for candidate in rest)
    named = ", ".join(str(number) for number in numbers[:MAX_LINES_NAMED])
    end = ", …" if len(numbers) > MAX_LINES_NAMED else ""
    note = f" ({len(group)} times in this file, also on lines {named}{end})"
    return [replace(first, body=first.body + note, suggestion=None)]
