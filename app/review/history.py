"""What earlier runs said about a pull request, and what of a new run is therefore no news."""

from dataclasses import dataclass, replace

from app.review.anchor import Shown, anchor
from app.review.diff import Diff, Side
from app.review.findings import Candidate, Dropped, Finding, Fingerprint, Location, drop
from app.review.masking import mask, visible
from app.review.merge import is_same_problem

GATE = "new"
"""The gate for what is new, and wanted (`suppress.py` is part of it)."""
DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`open` are the findings of the last verdict; `covered` are coverage keys of all runs.

    `dismissed` are findings that somebody with write access does not want to hear of. `said`
    stands in our comments, where no verdict is remembered.
    """

    open: tuple[Finding, ...] = ()
    covered: frozenset[str] = frozenset()
    dismissed: tuple[Finding, ...] = ()
    said: frozenset[Fingerprint] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Findings that nobody has read yet, those told before whose code is still there, and those
    that were dismissed."""

    new: tuple[Finding, ...]
    still_open: tuple[Finding, ...]
    dropped: tuple[Dropped, ...] = ()


def unseen(findings: tuple[Finding, ...], history: History, diff: Diff, shown: Shown) -> News:
    """Tell news from what an earlier run already said on this pull request.

    An earlier finding stays open as long as the code that it quotes stands in the change, wherever
    it has moved to, and whether or not this run looked at it again, unless it was dismissed. What
    is only known to be said is open where this run found it again.
    """
    known = {one.fingerprint for one in history.dismissed}
    standing = [_where_it_stands(one, diff, shown) for one in history.dismissed]
    dismissed = tuple(
        f
        for f in findings
        if f.fingerprint in known or any(one and is_same_problem(f, one) for one in standing)
    )
    still_open = tuple(
        moved
        for old in history.open
        if (moved := _where_it_stands(old, diff, shown)) is not None
        and old.fingerprint not in known
    )
    others = tuple(
        f
        for f in findings
        if f not in dismissed and not any(is_same_problem(f, o) for o in still_open)
    )
    return News(
        new=tuple(f for f in others if f.fingerprint not in history.said),
        still_open=still_open + tuple(f for f in others if f.fingerprint in history.said),
        dropped=tuple(drop(finding, GATE, DISMISSED) for finding in dismissed),
    )


def _where_it_stands(finding: Finding, diff: Diff, shown: Shown) -> Finding | None:
    candidate = Candidate(
        area=finding.area,
        priority=finding.priority,
        confidence=finding.confidence,
        title=finding.title,
        body=finding.body,
        trigger=finding.trigger,
        evidence=finding.evidence,
        location=finding.location,
        source=finding.sources[0],
    )
    kept = anchor((candidate,), diff, shown).kept
    location = kept[0].location if kept else _where_its_mask_stands(finding, diff)
    return replace(finding, location=location) if location else None


def _where_its_mask_stands(finding: Finding, diff: Diff) -> Location | None:
    """Find the line of a quote that is masked as a whole: no word of it is left to be found."""
    if any(sign.isalnum() for sign in finding.evidence):
        return None
    named = finding.location
    masked = finding.evidence.strip()
    numbers = [
        number
        for file in diff.files
        if file.path == named.path
        for hunk in file.hunks
        for line in hunk.lines
        if (number := line.new if named.side is Side.RIGHT else line.old) is not None
        and visible(mask(line.text)).strip() == masked
    ]
    if not numbers:
        return None
    nearest = min(numbers, key=lambda number: abs(number - named.line))
    return replace(named, start_line=nearest, line=nearest)
