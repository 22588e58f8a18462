"""What earlier runs said about a pull request, what became of it, and what of a new run is news."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from app.review.anchor import OUTSIDE, Shown, anchor
from app.review.chunks import HunkToShow
from app.review.coverage import ANY_RULES, Asked, Plan, coverage_key
from app.review.diff import Diff, Side, hunk_key
from app.review.event import Request
from app.review.findings import (
    Candidate,
    Dropped,
    Finding,
    Fingerprint,
    Location,
    drop,
    fingerprint,
)
from app.review.masking import mask, visible
from app.review.merge import MODEL, has_similar_title, is_same_problem
from app.review.pull import Change, Sha
from app.review.threads import Standing, is_said_by_others, is_unwanted

GATE = "new"
"""The gate for what is new, and wanted (`suppress.py` is part of it)."""
DISMISSED = "dismissed"
SAID_BY_OTHERS = "already said by others"
UNWANTED = "people disliked or resolved a comment that told it"
OTHER_RULES = (
    "the prompts, the model, the configuration or the least priority is another one than before"
)
OTHER_BASE = "the base moved"
NEAR = 30
"""Lines within which code that was changed is looked for the same problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`open` are the findings of the last verdict, which was about `head_sha` and `base_sha`;
    `fixed` those of earlier ones that were fixed. `covered` are coverage keys of all runs,
    `unwanted` kinds of findings (`feedback.py`). `dismissed` are those that somebody with write
    access does not want to hear of."""

    open: tuple[Finding, ...] = ()
    fixed: tuple[Finding, ...] = ()
    covered: frozenset[str] = frozenset()
    dismissed: tuple[Finding, ...] = ()
    head_sha: Sha | None = None
    base_sha: Sha | None = None
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Where earlier findings may stand today.

    `renamed`: old path → new path since the last verdict. `heads`: the text of changed files, for
    quotes outside of the diff. What stands in files of `unknown` cannot be told.
    """

    diff: Diff
    shown: Shown
    renamed: Mapping[str, str]
    heads: Mapping[str, str]
    unknown: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Findings that no verdict has yet, earlier ones that are still there, and those that are not.

    Of the new ones those in `quiet` count, but need not be told: people know of them. Of those
    still there this run did not find the ones in `missed`.
    """

    new: tuple[Finding, ...]
    still_open: tuple[Finding, ...]
    fixed: tuple[Finding, ...] = ()
    quiet: frozenset[Fingerprint] = frozenset()
    missed: frozenset[Fingerprint] = frozenset()
    dropped: tuple[Dropped, ...] = ()


def unseen(findings: tuple[Finding, ...], history: History, now: Now, standing: Standing) -> News:
    """Tell news from what was already said on this pull request.

    An earlier finding stays open as long as the code that it quotes stands in the change, wherever
    it has moved to, and whether or not this run looked at it again; and where this run found the
    same problem in code that was changed. Found again as more urgent, it is more urgent. What
    stands in comments only, ours or others', counts where this run found it, and is not repeated.
    What was fixed and stands there again is news: code that comes back is not shown again. What was
    dismissed is none of this.
    """
    back = tuple(stands for old in history.fixed if (stands := _where_it_stands(old, now)))
    findings += tuple(f for f in back if not any(_is_the_same(g, f) for g in findings))
    dismissed = _dismissed(findings, history, now)
    findings = tuple(f for f in findings if f not in dismissed)
    followed = _follow(findings, history, now)
    untold = tuple(f for f in findings if f.fingerprint not in followed.told)
    known = [_as_people_know_it(finding, standing) for finding in untold]
    repeated = tuple(
        f
        for f in known
        if f and f.summary_reason == SAID_BY_OTHERS and f.fingerprint not in standing.said
    )
    return News(
        new=tuple(k or finding for finding, k in zip(untold, known, strict=True)),
        still_open=followed.still_open,
        fixed=followed.fixed,
        quiet=frozenset(finding.fingerprint for finding in known if finding),
        missed=followed.missed,
        dropped=(
            *(drop(finding, GATE, DISMISSED) for finding in dismissed),
            *(drop(finding, GATE, SAID_BY_OTHERS) for finding in repeated),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """What became of earlier findings; `told` are those of this run that tell of the same."""

    still_open: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    told: frozenset[Fingerprint]
    missed: frozenset[Fingerprint]


def _follow(findings: tuple[Finding, ...], history: History, now: Now) -> _Followed:
    """Follow each open finding to where its code stands, then those without to changed code."""
    unwanted = {one.fingerprint for one in history.dismissed}
    still_open: list[Finding] = []
    gone: list[Finding] = []
    fixed: list[Finding] = []
    told: set[Fingerprint] = set()
    missed: set[Fingerprint] = set()
    for old in (f for f in history.open if f.fingerprint not in unwanted):
        stands = _where_it_stands(old, now)
        if stands is None:
            gone.append(old)
            continue
        again = tuple(f for f in findings if _is_the_same(f, stands))
        told.update(f.fingerprint for f in again)
        still_open.append(_as_urgent(stands, again))
        if not again:
            missed.add(old.fingerprint)
    for old in gone:
        again = tuple(
            f for f in findings if f.fingerprint not in told and _is_changed(f, old, now.renamed)
        )
        told.update(f.fingerprint for f in again)
        if again:
            changed = replace(
                again[0], fingerprint=old.fingerprint, summary_reason=old.summary_reason
            )
            still_open.append(_as_urgent(changed, (old, *again)))
        else:
            fixed.append(old)
    return _Followed(
        still_open=tuple(still_open),
        fixed=tuple(fixed),
        told=frozenset(told),
        missed=frozenset(missed),
    )


def _as_people_know_it(finding: Finding, standing: Standing) -> Finding | None:
    """Return a finding that people know of, with where from; None for one that is news to them."""
    if finding.fingerprint in standing.said:
        return finding
    if is_unwanted(finding, standing.threads):
        return replace(finding, summary_reason=UNWANTED)
    if is_said_by_others(finding, standing.threads):
        return replace(finding, summary_reason=SAID_BY_OTHERS)
    return None


def _dismissed(findings: tuple[Finding, ...], history: History, now: Now) -> tuple[Finding, ...]:
    """Choose what was dismissed, wherever it has moved to; where its file has another name by now,
    what quotes the same code."""
    there = {file.path for file in now.diff.files}
    stands = [(old, _where_it_stands(old, now)) for old in history.dismissed]

    def is_dismissed(finding: Finding) -> bool:
        return any(
            finding.fingerprint == old.fingerprint
            or (one is not None and is_same_problem(finding, one))
            or (old.location.path not in there and _is_quoted_by(finding, old))
            for old, one in stands
        )

    return tuple(filter(is_dismissed, findings))


def doubtful(news: News, history: History, plan: Plan) -> tuple[Finding, ...]:
    """Choose the earlier findings whose code stands, but was changed around, looked at again, and
    in which this run found nothing: a guard may have come before it."""
    return tuple(
        finding
        for finding in news.still_open
        if finding.fingerprint in news.missed
        and any(
            coverage_key(hunk_key(shown.file, shown.hunk), finding.area, ANY_RULES)
            not in history.covered
            for shown in plan.hunks
            if finding.area in shown.areas and _is_in(finding.location, shown)
        )
    )


def _is_in(place: Location, shown: HunkToShow) -> bool:
    hunk = shown.hunk
    first, count = (
        (hunk.new_start, hunk.new_count)
        if place.side is Side.RIGHT
        else (hunk.old_start, hunk.old_count)
    )
    return shown.file.path == place.path and first <= place.line < first + count


def settled(news: News, gone: Collection[Finding]) -> News:
    """Take findings that a second look no longer proves for fixed."""
    names = {finding.fingerprint for finding in gone}
    return replace(
        news,
        still_open=tuple(f for f in news.still_open if f.fingerprint not in names),
        fixed=news.fixed + tuple(gone),
    )


def lost_paths(history: History, diff: Diff) -> frozenset[str]:
    """Name the files with open findings that the diff does not know by this name."""
    names = {name for file in diff.files for name in (file.path, file.old_path)}
    return frozenset(f.location.path for f in history.open) - names


def paths_outside(history: History) -> frozenset[str]:
    """Name the files in which open findings quote code outside of the diff."""
    return frozenset(f.location.path for f in history.open if f.summary_reason == OUTSIDE)


def unknown_paths(change: Change) -> frozenset[str]:
    """Name the files of which nobody can tell what became of the code in them."""
    diff = change.diff
    unread = {file.path for file in diff.files if file.unread}
    damaged = {damage.path for damage in diff.damaged if damage.path}
    return frozenset(unread | damaged | {one.path for one in change.not_in_diff})


def why_again(plan: Plan, history: History, change: Change, request: Request) -> str:
    """Say why code that an earlier run was shown is shown again, if nobody asked for that."""
    if request.full or request.wish:
        return ""
    asked = [
        coverage_key(row.hunk_key, area, ANY_RULES)
        for row in plan.rows
        for area, state in row.areas.items()
        if isinstance(state, Asked)
    ]
    if not history.covered.isdisjoint(asked):
        return OTHER_RULES
    is_same_head = history.head_sha is not None and history.head_sha == change.head_sha
    return OTHER_BASE if asked and is_same_head and history.base_sha != change.base_sha else ""


def _as_urgent(finding: Finding, others: tuple[Finding, ...]) -> Finding:
    return replace(finding, priority=min(f.priority for f in (finding, *others)))


def _is_the_same(finding: Finding, old: Finding) -> bool:
    """Say whether this run found an earlier finding again where that stands now."""
    is_same_file = finding.location.path == old.location.path
    return is_same_problem(finding, old) or (is_same_file and _is_quoted_by(finding, old))


def _is_changed(finding: Finding, old: Finding, renamed: Mapping[str, str]) -> bool:
    """Say whether this is an earlier finding whose code was changed, or went to another file."""
    if _is_quoted_by(finding, old):
        return True
    place, before = finding.location, old.location
    path = renamed.get(before.path, before.path)
    if (place.path, place.side, finding.area) != (path, before.side, old.area):
        return False
    if MODEL not in old.sources or MODEL not in finding.sources:
        return finding.title == old.title
    return abs(place.line - before.line) <= NEAR and has_similar_title(finding, old)


def _is_quoted_by(finding: Finding, old: Finding) -> bool:
    """Say whether a finding of the same area quotes the same code, in whatever file."""
    there = fingerprint(finding.location.path, old.area, old.evidence)
    return finding.fingerprint == there


def _where_it_stands(finding: Finding, now: Now) -> Finding | None:
    named = finding.location
    if named.path in now.unknown:
        return finding
    named = replace(named, path=now.renamed.get(named.path, named.path))
    candidate = Candidate(
        area=finding.area,
        priority=finding.priority,
        confidence=finding.confidence,
        title=finding.title,
        body=finding.body,
        trigger=finding.trigger,
        evidence=finding.evidence,
        location=named,
        source=finding.sources[0],
    )
    kept = anchor((candidate,), now.diff, now.shown, now.heads).kept
    location = kept[0].location if kept else _where_its_mask_stands(finding, named, now.diff)
    if location is None or location.side is not named.side:
        return None  # a line that was deleted and is there again, or the other way round
    return replace(finding, location=location)


def _where_its_mask_stands(finding: Finding, named: Location, diff: Diff) -> Location | None:
    """Find the line of a quote that is masked as a whole: no word of it is left to be found."""
    if any(sign.isalnum() for sign in finding.evidence):
        return None
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
