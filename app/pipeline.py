"""THE STORY: one review, from a job to a published verdict. Read this first."""

import asyncio
import hashlib

from app import log
from app.analysing import run_analysers
from app.asking import Asking, ask_model, guidelines_about, why_not
from app.errors import Locked
from app.following import closings, feedback_of, look_around, no_longer_proven
from app.heads import read_heads, texts_of
from app.judging import Judge, judge_findings
from app.ports import Memory, Model, Run, Services
from app.review.anchor import UNPROVEN, anchor
from app.review.coverage import ANY_RULES, Coverage, Plan, plan_review, settle
from app.review.event import Request
from app.review.feedback import set_aside
from app.review.findings import Candidate, Finding, Gate
from app.review.guidelines import rules_of
from app.review.history import (
    History,
    doubtful,
    settled,
    unseen,
    why_again,
)
from app.review.merge import merge
from app.review.price import Spent
from app.review.priority import Priority
from app.review.pull import Change, Target
from app.review.rank import rank
from app.review.receipt import Outcome, Receipt, State, broken_off, conclude, unposted
from app.review.render import compose
from app.review.suppress import suppressed
from app.suggesting import check_suggestions

UNSURE = (State.PARTIAL, State.CHECKED, State.SKIPPED)
"""Verdicts that are told to a person even where there is no finding."""
NOTHING_SPENT = Spent()


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


async def prove(
    candidates: tuple[Candidate, ...], change: Change, plan: Plan, s: Services
) -> Gate[Finding]:
    """Keep the candidates whose quote stands in the change, or in a changed file outside of it."""
    proven = await asyncio.to_thread(anchor, candidates, change.diff, plan.shown)
    unproven = {dropped.path for dropped in proven.dropped if dropped.reason == UNPROVEN}
    heads = await read_heads(change, unproven, s.changes)
    if not heads:
        return proven
    return await asyncio.to_thread(anchor, candidates, change.diff, plan.shown, texts_of(heads))


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
