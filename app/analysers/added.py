"""What all analysers share: which lines they may speak of, how they quote them, and how often."""

from collections.abc import Iterable
from dataclasses import replace

from app.review.classes import FileClass, classify
from app.review.diff import FileDiff, Side
from app.review.findings import Candidate, Location
from app.review.masking import mask, visible

MAX_OF_ONE_RULE = 3
MAX_LINES_NAMED = 20


def added_lines(file: FileDiff) -> dict[int, str]:
    """Return the added lines of a file: line number in the new file → text."""
    if file.is_symlink or file.is_submodule:
        return {}
    return {
        line.new: line.text
        for line in file.changed_lines
        if line.kind == "+" and line.new is not None
    }


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
    """Keep three candidates of one rule in a file; the last of them names the lines of the rest."""
    groups: dict[tuple[str, str | None], dict[int, Candidate]] = {}
    for candidate in sorted(candidates, key=_most_urgent_first):
        place = candidate.location
        groups.setdefault((place.path, candidate.rule), {}).setdefault(place.line, candidate)
    return tuple(kept for group in groups.values() for kept in _folded(list(group.values())))


def _most_urgent_first(candidate: Candidate) -> tuple[str, int]:
    return candidate.priority.value, candidate.location.line


def _folded(group: list[Candidate]) -> list[Candidate]:
    kept, rest = group[:MAX_OF_ONE_RULE], group[MAX_OF_ONE_RULE:]
    if rest:
        numbers = sorted(candidate.location.line for candidate in rest)
        named = ", ".join(str(number) for number in numbers[:MAX_LINES_NAMED])
        end = ", …" if len(numbers) > MAX_LINES_NAMED else "."
        lines = "line" if len(numbers) == 1 else "lines"
        note = f" … and {len(numbers)} more {lines}: {named}{end}"
        kept[-1] = replace(kept[-1], body=kept[-1].body + note)
    return kept
