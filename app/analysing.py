"""Runs the analysers over a change. Knows what they need, not what they look for."""

import asyncio
from dataclasses import dataclass

from app.heads import read_heads
from app.ports import Found, Services
from app.review.event import Request
from app.review.findings import Candidate
from app.review.pull import Change, NotInDiff


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """What the analysers said within the focus, and what they could not look at."""

    candidates: tuple[Candidate, ...] = ()
    notices: tuple[NotInDiff, ...] = ()


async def run_analysers(change: Change, request: Request, s: Services) -> Analysed:
    """Run every analyser over the changed files, side by side; keep what the focus asks for."""
    paths = {file.new_path or "" for file in change.diff.files}
    wanted = {path for path in paths if any(finder.wants(path) for finder in s.finders)}
    files = await read_heads(change, wanted, s.changes)
    found = await asyncio.gather(*(finder.find(change, files) for finder in s.finders))
    asked = request.areas or change.config.focus
    unread = {
        file.path: "not analysed: needs the file"
        for file in change.diff.files
        if file.path in wanted and file.hunks and file.path not in files
    }
    return Analysed(
        candidates=tuple(c for one in found for c in one.candidates if c.area in asked),
        notices=tuple(
            NotInDiff(path=path, reason=reason)
            for path, reason in (unread | _missed(found)).items()
        ),
    )


def _missed(found: list[Found]) -> dict[str, str]:
    """What the analysers themselves could not look at: path → reasons."""
    missed: dict[str, str] = {}
    for one in found:
        for path, reason in (one.not_analysed or {}).items():
            why = f"not analysed by {one.finder}: {reason}"
            missed[path] = f"{missed[path]}; {why}" if path in missed else why
    return missed
