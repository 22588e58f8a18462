"""THE STORY: one review, from a job to a published verdict. Read this first."""

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

from app import log
from app.asking import StillInvalid, ask_for_candidates
from app.errors import (
    AnswerInvalid,
    Locked,
    ModelDenied,
    ModelError,
    ModelRefused,
    OutOfCredit,
    PromptTooLong,
)
from app.ports import Found, Model, Run, Services
from app.review.anchor import UNPROVEN, anchor
from app.review.answer import Usage
from app.review.chunks import Chunk
from app.review.coverage import Plan, Reason, plan_review, settle
from app.review.event import Request
from app.review.findings import Candidate, Dropped, Finding, Gate
from app.review.history import History, unseen
from app.review.masking import mask
from app.review.merge import merge
from app.review.priority import Priority
from app.review.prompt import Prompts, render_prompt
from app.review.pull import Change, NotInDiff, Target
from app.review.rank import rank
from app.review.receipt import Outcome, Receipt, State, broken_off, conclude, unposted
from app.review.render import compose
from app.suggesting import check_suggestions

UNSURE = (State.PARTIAL, State.CHECKED, State.SKIPPED)
"""Verdicts that are told to a person even where there is no finding."""
READS_AT_ONCE = 8
"""GitHub takes at most 100 requests at once, over all reviews of an installation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the model is asked. `fence_secret` makes fences that a pull request cannot guess."""

    prompts: Prompts
    fence_secret: bytes
    budget_tokens: int = 6_000
    max_chunks: int = 60


async def run_review(
    target: Target, request: Request, run: Run, s: Services, how: Asking
) -> Receipt:
    """Review one change and publish the result once."""
    change = await s.changes.open(target)
    if change.pull and change.pull.is_archived:
        return await only_record(change, target, run, s)
    history = await s.memory.recall(target, run.id)
    async with s.verdicts.open(change, run) as check:
        plan = await plan_what_is_left(change, request, run, history, s, how)
        by_model, by_analysers = await asyncio.gather(
            ask_model(change, request, run, plan, s.model, how), run_analysers(change, request, s)
        )
        proven = await prove(by_model.candidates + by_analysers.candidates, change, plan, s)
        merged = merge(proven.kept)
        news = unseen(merged.kept, history, change.diff, plan.shown)
        worth = rank(
            news.new,
            min_priority=least_priority(change, request),
            max_comments=change.config.max_comments,
        )
        kept = await check_suggestions(worth.kept, change, plan.shown, s.changes, s.syntax)
        coverage = settle(plan, by_model.outcomes)
        receipt = conclude(
            Outcome(
                run_id=run.id,
                change=change,
                coverage=coverage,
                findings=kept + news.still_open,
                dropped=by_model.dropped + proven.dropped + merged.dropped + worth.dropped,
                notices=change.not_in_diff + by_analysers.notices,
                usage=by_model.usage,
                model=s.model.name if s.model else None,
            )
        )
        await s.changes.confirm(change)
        if kept or (receipt.state in UNSURE and not news.still_open):
            receipt = await publish(change, run, receipt, kept, s)
        covered = frozenset() if receipt.unposted else coverage.newly_covered_keys
        await s.memory.keep(target, receipt, covered)
        check.finish(receipt)
    return receipt


async def only_record(change: Change, target: Target, run: Run, s: Services) -> Receipt:
    """Keep a receipt of a run that may write nothing: an archived repository takes no writes."""
    reason = "the repository is archived"
    receipt = broken_off(run.id, head_sha=change.head_sha, state=State.SKIPPED, reason=reason)
    await s.memory.keep(target, receipt)
    return receipt


async def plan_what_is_left(
    change: Change, request: Request, run: Run, history: History, s: Services, how: Asking
) -> Plan:
    """Plan what no run has covered yet; a wish is new for everything it may concern."""
    budget = how.budget_tokens
    if s.model:
        budget = await s.memory.settle_budget(run.id, round(budget / s.model.token_ratio))
    asked_with = "\0".join((how.prompts.hash, s.model.name if s.model else ""))
    return await asyncio.to_thread(
        plan_review,
        change.diff,
        request,
        change.config,
        covered=frozenset() if request.wish else history.covered,
        budget_tokens=budget,
        max_chunks=how.max_chunks,
        attributes=change.attributes,
        rules_hash=hashlib.sha256(asked_with.encode()).hexdigest(),
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
    texts = {path: head.decode("utf-8", "surrogateescape") for path, head in heads.items()}
    return await asyncio.to_thread(anchor, candidates, change.diff, plan.shown, texts)


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
    """Nobody asked: only what is urgent. Somebody asked: what they configured."""
    config = change.config
    return config.min_priority_automatic if request.is_automatic else config.min_priority


NOTHING_SPENT = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the model said. `outcomes`: chunk number → None, or why it was not reviewed."""

    candidates: tuple[Candidate, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    outcomes: dict[int, Reason | None] = field(default_factory=dict)
    usage: Usage = NOTHING_SPENT


async def ask_model(
    change: Change, request: Request, run: Run, plan: Plan, model: Model | None, how: Asking
) -> Asked:
    """Ask about every chunk, side by side; a chunk without an answer costs only itself."""
    if model is None:
        return Asked(outcomes={chunk.number: Reason.NO_MODEL for chunk in plan.chunks})
    stop = Stop()
    answers = await asyncio.gather(
        *(_ask_chunk(change, request, run, chunk, model, how, stop) for chunk in plan.chunks)
    )
    return Asked(
        candidates=tuple(c for answer in answers for c in answer.candidates),
        dropped=tuple(d for answer in answers for d in answer.dropped),
        outcomes={n: reason for answer in answers for n, reason in answer.outcomes.items()},
        usage=sum((answer.usage for answer in answers), NOTHING_SPENT),
    )


@dataclass(slots=True)
class Stop:
    """Set by the first chunk that learns that no further question can be answered."""

    reason: Reason | None = None


async def _ask_chunk(
    change: Change,
    request: Request,
    run: Run,
    chunk: Chunk,
    model: Model,
    how: Asking,
    stop: Stop,
) -> Asked:
    if stop.reason:
        return Asked(outcomes={chunk.number: stop.reason})
    prompt = render_prompt(
        how.prompts,
        chunk.text,
        chunk.areas,
        title=change.title,
        body=change.body,
        file_list=tuple(file.path for file in change.diff.files),
        guidelines="",
        wish=request.wish,
        fence_secret=how.fence_secret,
        salt=run.id if request.full else "",
    )
    try:
        parsed, usage = await ask_for_candidates(model, prompt, chunk.areas)
    except (ModelError, AnswerInvalid) as exc:
        reason = _why_not(exc)
        if isinstance(exc, ModelDenied | OutOfCredit):
            stop.reason = reason
        log.warning(
            "chunk.not_reviewed", chunk=chunk.number, reason=reason.value, error=mask(str(exc))
        )
        spent = exc.usage if isinstance(exc, StillInvalid) else NOTHING_SPENT
        return Asked(outcomes={chunk.number: reason}, usage=spent)
    return Asked(
        candidates=parsed.candidates,
        dropped=parsed.rejected,
        outcomes={chunk.number: Reason.ANSWER_CUT if parsed.was_cut else None},
        usage=usage,
    )


def _why_not(error: ModelError | AnswerInvalid) -> Reason:
    match error:
        case ModelRefused():
            return Reason.MODEL_REFUSED
        case PromptTooLong():
            return Reason.TOO_LONG
        case ModelDenied():
            return Reason.MODEL_DENIED
        case OutOfCredit():
            return Reason.OUT_OF_CREDIT
        case AnswerInvalid():
            return Reason.ANSWER_INVALID
        case _:
            return Reason.MODEL_UNAVAILABLE


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
