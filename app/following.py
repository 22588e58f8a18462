"""Follows earlier findings into this run: where their code is now, what became of them, and which
comments that closes. What counts as fixed is decided in `review/history.py`."""

from collections.abc import Mapping

from app.analysing import Analysed
from app.heads import read_heads, texts_of
from app.judging import Judged
from app.ports import Services
from app.review.coverage import Plan
from app.review.feedback import Feedback, What, feedback, feedback_in
from app.review.findings import Finding
from app.review.history import History, News, Now, lost_paths, paths_outside, unknown_paths
from app.review.judge import FAILED, NOT_SENDABLE
from app.review.merge import MODEL
from app.review.pull import Change
from app.review.render import render_fixed
from app.review.threads import Closing, Standing

NOT_HEARD = (FAILED, NOT_SENDABLE)
"""Why a second look says nothing about a finding."""


async def look_around(change: Change, plan: Plan, history: History, s: Services) -> Now:
    """Learn where the code of earlier findings may be now, asking for nothing that is not needed.

    A file that the diff does not know may have been renamed since; code outside of the diff is
    looked for in its file.
    """
    renamed: Mapping[str, str] = {}
    if change.pull and history.head_sha and lost_paths(history, change.diff):
        head_sha = change.pull.head_sha
        renamed = await s.threads.renamed(change.pull.target, history.head_sha, head_sha)
    outside = paths_outside(history)
    heads = texts_of(await read_heads(change, outside, s.changes))
    changed = {file.new_path for file in change.diff.files}
    return Now(
        diff=change.diff,
        shown=plan.shown,
        renamed=renamed,
        heads=heads,
        unknown=unknown_paths(change) | ((outside & changed) - heads.keys()),
    )


def no_longer_proven(
    doubted: tuple[Finding, ...], judged: Judged, analysed: Analysed
) -> tuple[Finding, ...]:
    """Choose the earlier findings that a second look, or the analyser that found them, could have
    proven again and did not."""
    kept = {finding.fingerprint for finding in judged.gate.kept}
    dropped = judged.gate.dropped
    unheard = {(one.path, one.line, one.title) for one in dropped if one.reason in NOT_HEARD}
    not_analysed = {notice.path for notice in analysed.notices}

    def is_gone(finding: Finding) -> bool:
        place = finding.location
        if MODEL not in finding.sources:
            return place.path not in not_analysed
        is_heard = (place.path, place.line, finding.title) not in unheard
        return is_heard and finding.fingerprint not in kept

    return tuple(filter(is_gone, doubted))


def closings(
    news: News, history: History, standing: Standing, change: Change
) -> tuple[Closing, ...]:
    """Say for each comment of ours on what is fixed what it becomes, if that is still to be done.

    What an earlier run found fixed, but could not or should not tell, is told by this one.
    """
    there = {finding.fingerprint for finding in news.new + news.still_open}
    gone = {finding.fingerprint for finding in news.fixed + history.fixed} - there
    return tuple(
        Closing(thread=thread, body=render_fixed(thread.body, change.head_sha or ""))
        for thread in standing.threads
        if thread.fingerprint in gone and not (thread.is_closed and thread.is_minimized)
    )


def feedback_of(
    told: tuple[Finding, ...],
    news: News,
    history: History,
    standing: Standing,
    *,
    is_posted: bool,
) -> tuple[Feedback, ...]:
    """Note what became of the findings of this run and of earlier ones."""
    return (
        *(feedback(finding, What.SAID) for finding in told if is_posted),
        *(feedback(finding, What.FIXED) for finding in news.fixed),
        *feedback_in(standing.threads, history.open),
    )
