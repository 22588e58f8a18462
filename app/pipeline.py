"""THE STORY: one review, from a job to a published verdict. Read this first."""

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app import log
from app.asking import Asking, ask_model, guidelines_about, why_not
from app.errors import Locked
from app.judging import Judge, Judged, judge_findings
from app.ports import Found, Memory, Model, Run, Services
from app.review.anchor import UNPROVEN, anchor
from app.review.coverage import ANY_RULES, Coverage, Plan, plan_review, settle
from app.review.event import Request
from app.review.feedback import Feedback, What, feedback, feedback_in, set_aside
from app.review.findings import Candidate, Finding, Gate
from app.review.guidelines import rules_of
from app.review.history import (
    History,
    News,
    Now,
    doubtful,
    lost_paths,
    paths_outside,
    settled,
    unknown_paths,
    unseen,
    why_again,
)
from app.review.judge import FAILED, NOT_SENDABLE
from app.review.merge import MODEL, merge
from app.review.price import Spent
from app.review.priority import Priority
from app.review.pull import Change, NotInDiff, Target
from app.review.rank import rank
from app.review.receipt import Outcome, Receipt, State, broken_off, conclude, unposted
from app.review.render import compose, render_fixed
from app.review.suppress import suppressed
from app.review.threads import Closing, Standing
from app.suggesting import check_suggestions

UNSURE = (State.PARTIAL, State.CHECKED, State.SKIPPED)
"""Verdicts that are told to a person even where there is no finding."""
NOT_HEARD = (FAILED, NOT_SENDABLE)
"""Why a second look says nothing about a finding."""
NOTHING_SPENT = Spent()
READS_AT_ONCE = 8
"""GitHub takes at most 100 requests at once, over all reviews of an installation."""


async def run_review(
    target: Target, request: Request, run: Run, s: Services, how: Asking
) -> Receipt:
    """Review one change and publish the result once."""
    change, history, standing = await asyncio.gather(
        s.changes.open(target), s.memory.recall(target, run.id), s.threads.fetch(target)
    )
    if change.pull and change.pull.is_archived:
        return await only_record(change, target, request, run, s)
    standing = standing.before(run.id)
    model = s.models.open(target, run.id, change.config) if s.models else None
    async with s.verdicts.open(change, run) as check:
        plan = await plan_what_is_left(change, request, run, history, model, s.memory, how)
        asked, analysed = await asyncio.gather(
            ask_model(change, request, run, plan, model, how), run_analysers(change, request, s)
        )
        plan = asked.plan
        proven = await prove(asked.candidates + analysed.candidates, change, plan, s)
        merged = merge(proven.kept)
        news = unseen(merged.kept, history, await look_around(change, plan, history, s), standing)
        wanted = suppressed(news.new, change.config.suppress)
        least = least_priority(change, request)
        judge = judge_of(model, change, request, run, how) if model else None
        doubted = doubtful(news, history, plan)
        judged = await judge_findings(
            wanted.kept + doubted, change, plan, s.changes, judge, least=least
        )
        news = settled(news, no_longer_proven(doubted, judged, analysed))
        proven_now = tuple(f for f in judged.gate.kept if f.fingerprint not in news.missed)
        due = set_aside(proven_now, history.unwanted)
        worth = rank(due, min_priority=least, max_comments=change.config.max_comments)
        kept = await check_suggestions(worth.kept, change, plan.shown, s.changes, s.syntax)
        unjudged = {number: why_not(error) for number, error in judged.gaps.items()}
        coverage = settle(plan, asked.outcomes | unjudged, asked.details)
        gates = (proven, merged, news, wanted, judged.gate, worth)
        receipt = conclude(
            Outcome(
                run_id=run.id,
                change=change,
                coverage=coverage,
                findings=kept + news.still_open,
                dropped=asked.dropped + tuple(one for gate in gates for one in gate.dropped),
                notices=change.not_in_diff + analysed.notices,
                spent=await s.models.spent(run.id) if s.models else NOTHING_SPENT,
                model=" and ".join(sorted(asked.models)) or model.name if model else None,
                tests_wanted=request.tests,
                again=why_again(plan, history, change, request),
            )
        )
        told = tuple(f for f in kept if f.fingerprint not in news.quiet)
        await s.changes.confirm(change)
        if told or (receipt.state in UNSURE and not receipt.findings):
            receipt = await publish(change, run, receipt, told, s)
        await s.threads.close(target, run, closings(news, history, standing, change))
        covered = (
            frozenset() if receipt.unposted else covered_keys(coverage, change, model, how, least)
        )
        became = feedback_of(told, news, history, standing, is_posted=not receipt.unposted)
        await s.memory.keep(target, receipt, covered, became)
        check.finish(receipt)
    return receipt


async def only_record(
    change: Change, target: Target, request: Request, run: Run, s: Services
) -> Receipt:
    """Keep a receipt of a run that may write nothing: an archived repository takes no writes."""
    reason = "the repository is archived"
    receipt = broken_off(
        run.id,
        head_sha=change.head_sha,
        state=State.SKIPPED,
        reason=reason,
        tests_wanted=request.tests,
    )
    await s.memory.keep(target, receipt)
    return receipt


async def plan_what_is_left(
    change: Change,
    request: Request,
    run: Run,
    history: History,
    model: Model | None,
    memory: Memory,
    how: Asking,
) -> Plan:
    """Plan what no run has covered yet; a wish is new for everything it may concern."""
    budget = how.budget_tokens
    if model:
        budget = await memory.settle_budget(run.id, round(budget / model.token_ratio))
    least = least_priority(change, request)
    return await asyncio.to_thread(
        plan_review,
        change.diff,
        request,
        change.config,
        covered=frozenset() if request.wish else history.covered,
        budget_tokens=budget,
        max_chunks=how.max_chunks,
        attributes=change.attributes,
        rules_hash=rules_hash(change, model, how, least),
    )


def rules_hash(change: Change, model: Model | None, how: Asking, least: Priority) -> str:
    """Name all that decides what a review finds in a hunk, and from which priority on it tells."""
    config = change.config
    rules = rules_of(config.instructions, change.agents, config.language)
    hidden = repr(config.suppress) if config.suppress else ""
    parts = (how.prompts.hash, model.name if model else "", rules, hidden, least)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def covered_keys(
    coverage: Coverage, change: Change, model: Model | None, how: Asking, least: Priority
) -> frozenset[str]:
    """Name what is covered: whoever told of P2 has told of P1, but not the other way round."""
    rules = (rules_hash(change, model, how, p) for p in Priority if p.at_or_above(least))
    return frozenset().union(*map(coverage.keys_covered_by, (*rules, ANY_RULES)))


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
    heads = texts_of(await read_heads(change, outside, s))
    changed = {file.new_path for file in change.diff.files}
    return Now(
        diff=change.diff,
        shown=plan.shown,
        renamed=renamed,
        heads=heads,
        unknown=unknown_paths(change) | ((outside & changed) - heads.keys()),
    )


def no_longer_proven(
    doubted: tuple[Finding, ...], judged: Judged, analysed: "Analysed"
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


async def prove(
    candidates: tuple[Candidate, ...], change: Change, plan: Plan, s: Services
) -> Gate[Finding]:
    """Keep the candidates whose quote stands in the change, or in a changed file outside of it."""
    proven = await asyncio.to_thread(anchor, candidates, change.diff, plan.shown)
    unproven = {dropped.path for dropped in proven.dropped if dropped.reason == UNPROVEN}
    heads = await read_heads(change, unproven, s)
    if not heads:
        return proven
    return await asyncio.to_thread(anchor, candidates, change.diff, plan.shown, texts_of(heads))


def texts_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Read files as text, whatever their bytes."""
    return {path: text.decode("utf-8", "surrogateescape") for path, text in contents.items()}


def judge_of(model: Model, change: Change, request: Request, run: Run, how: Asking) -> Judge:
    """Have the same model look again, in a fresh context."""
    return Judge(
        model=model,
        prompts=how.prompts,
        fence_secret=how.fence_secret,
        guidelines=lambda paths: guidelines_about(change, tuple(paths)),
        salt=run.id if request.full else "",
    )


async def publish(
    change: Change, run: Run, receipt: Receipt, new: tuple[Finding, ...], s: Services
) -> Receipt:
    """Post the review. Where nobody may comment, the check run alone has it, and says so."""
    try:
        await s.publisher.publish(change, run, compose(receipt, new))
    except Locked as exc:
        log.warning("review.not_posted", reason=str(exc))
        return unposted(receipt, new, str(exc))
    return receipt


def least_priority(change: Change, request: Request) -> Priority:
    """Nobody asked: only what is urgent. Somebody asked: what they configured. What blocks is
    always told."""
    config = change.config
    asked = config.min_priority_automatic if request.is_automatic else config.min_priority
    return max(asked, config.fail_on or asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """What the analysers said within the focus, and what they could not look at."""

    candidates: tuple[Candidate, ...] = ()
    notices: tuple[NotInDiff, ...] = ()


async def run_analysers(change: Change, request: Request, s: Services) -> Analysed:
    """Run every analyser over the changed files, side by side; keep what the focus asks for."""
    paths = {file.new_path or "" for file in change.diff.files}
    wanted = {path for path in paths if any(finder.wants(path) for finder in s.finders)}
    files = await read_heads(change, wanted, s)
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


async def read_heads(change: Change, paths: Collection[str], s: Services) -> dict[str, bytes]:
    """Read changed files at the head, a few at a time; those that cannot be had are left out."""
    changed = [
        file.new_path
        for file in change.diff.files
        if file.new_path in paths and file.hunks and not (file.is_submodule or file.is_symlink)
    ]
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def read(path: str) -> bytes | None:
        async with slots:
            return await s.changes.read(change, path)

    contents = await asyncio.gather(*(read(path) for path in changed if path))
    return {
        path: content
        for path, content in zip(changed, contents, strict=True)
        if path and content is not None
    }


def _missed(found: list[Found]) -> dict[str, str]:
    """What the analysers themselves could not look at: path → reasons."""
    missed: dict[str, str] = {}
    for one in found:
        for path, reason in (one.not_analysed or {}).items():
            why = f"not analysed by {one.finder}: {reason}"
            missed[path] = f"{missed[path]}; {why}" if path in missed else why
    return missed
