"""A conversation on the diff: what was said in it, and the code that it is about.

Knows no names: whoever reads a thread leaves them out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.review.context import Selection, Sheet, room_of
from app.review.coverage import Plan
from app.review.diff import Side
from app.review.findings import Location
from app.review.marker import FindingMarker
from app.review.prompt import without_html_comments
from app.review.text import cut

MAX_CODE_TOKENS = 4_000
MAX_SAID = 2_000
"""Characters of one comment that are shown."""

_CODE = re.compile(r"(`{3,}[^`]*`{3,}|`[^`\n]*`)")
_MENTION = re.compile(r"(?<![\w/.])@[A-Za-z0-9][\w-]*(?:\[bot\])?(?:/[\w.-]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One comment, and who wrote it: the app, or a person who has only a number."""

    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A thread up to some comment. `root` is the id of its first comment.

    `place` is None where that comment is about a whole file, or about lines that are no more in the
    diff; `hunk` is the code that GitHub keeps with it. `finding` is what we told there, if we did.
    """

    root: int
    path: str
    place: Location | None
    hunk: str
    said: tuple[Said, ...] = ()
    finding: FindingMarker | None = None


def without_names(text: str) -> str:
    """Return a comment as a reader sees it, with nobody mentioned."""
    parts = _CODE.split(without_html_comments(text).replace("\r\n", "\n"))
    parts[::2] = (_MENTION.sub("@someone", part) for part in parts[::2])
    return "".join(parts).strip()


def render_talk(said: Sequence[Said]) -> str:
    """Write what was said, in its order."""
    return "\n\n".join(f"{one.by}:\n{cut(one.text, MAX_SAID)}" for one in said)


def render_code(talk: Talk, sheet: Sheet | None) -> str:
    """Write the definition and the hunk that a thread is about; of what is no more in the diff,
    the lines that GitHub keeps."""
    if sheet is None or (talk.place is None and talk.hunk):
        return f"## File: {talk.path}\n{talk.hunk}" if talk.hunk else ""
    selection, limit = Selection(), room_of(MAX_CODE_TOKENS)
    if talk.place:
        selection.add(sheet, sheet.around(talk.place), limit)
    selection.add(sheet, _rows_of_hunks(sheet, talk.place), limit)
    selection.add(sheet, sheet.imports(), limit)
    return selection.page({sheet.file.path: sheet}).text


def choose_chunk(plan: Plan, question: str) -> str:
    """Return the part of a change that has most words of a question; of equals the riskiest."""
    asked = _words(question)
    texts = [chunk.text for chunk in plan.chunks]
    return max(texts, key=lambda text: len(asked & _words(text)), default="")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower()))


def _rows_of_hunks(sheet: Sheet, place: Location | None) -> list[int]:
    """Find the rows of the hunk that holds a place; of all hunks for a whole file."""
    hunks = [{(line.old, line.new) for line in hunk.lines} for hunk in sheet.file.hunks]
    if place:
        at = 1 if place.side is Side.RIGHT else 0
        hunks = [hunk for hunk in hunks if any(pair[at] == place.line for pair in hunk)]
    shown = {pair for hunk in hunks for pair in hunk}
    return [row for row, line in enumerate(sheet.lines) if (line.old, line.new) in shown]
