"""Opens a diff up: the whole file as one run of lines, the deleted ones among those of the head.

Without its `-` lines that is the file at the head, without its `+` lines the file at the base:
the base is never asked for. Knows nothing of reviews.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from app.review.diff import FileDiff, Hunk, Line


def unfold(file: FileDiff, head: str) -> tuple[Line, ...] | None:
    """Give all lines of a file, numbered on both sides, in the order in which git prints them.

    None where the hunks are not those of this head, or not all of the file's.
    """
    if file.unread or file.is_binary or file.new_path is None:
        return None
    lines = _lines(head)
    opened: list[Line] = []
    at = shift = 0
    for hunk in file.hunks:
        start = hunk.new_start - 1 if hunk.new_count else hunk.new_start
        new = [(line.text, line.has_newline) for line in hunk.lines if line.kind != "-"]
        if not at <= start <= len(lines) or lines[start : start + len(new)] != new:
            return None
        opened += _unchanged(lines[at:start], at, shift)
        opened += hunk.lines
        at, shift = start + len(new), _shift_after(hunk, start + len(new))
    opened += _unchanged(lines[at:], at, shift)
    return tuple(opened)


def folded(file: FileDiff) -> tuple[Line, ...]:
    """Give the lines of the hunks, where no more is known of a file."""
    return tuple(chain.from_iterable(hunk.lines for hunk in file.hunks))


def _lines(text: str) -> list[tuple[str, bool]]:
    """Split at `\\n` only, as git does; the second value says whether the line ends so."""
    *whole, last = text.split("\n")
    return [(line, True) for line in whole] + ([(last, False)] if last else [])


def _shift_after(hunk: Hunk, new_end: int) -> int:
    """Tell how many more lines the base has than the head, from the hunk's end on."""
    old_end = hunk.old_start - 1 + hunk.old_count if hunk.old_count else hunk.old_start
    return old_end - new_end


def _unchanged(lines: Sequence[tuple[str, bool]], at: int, shift: int) -> Iterator[Line]:
    for number, (text, has_newline) in enumerate(lines, start=at + 1):
        yield Line(" ", number + shift, number, text, has_newline)
