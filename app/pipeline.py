"""THE STORY: one review, from a job to a published verdict. Read this first."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from app import log
from app.asking import StillInvalid, ask_for_candidates
from app.errors import (
    AnswerInvalid,
    ModelDenied,
    ModelError,
    ModelRefused,
    OutOfCredit,
    PromptTooLong,
)
from app.ports import Found, Model, Run, Services
from app.review.anchor import anchor
from app.review.answer import Usage
from app.review.chunks import Chunk
from app.review.coverage import Plan, Reason, plan_review, settle
from app.review.event import Request
from app.review.findings import Candidate, Dropped
from app.review.history import History, unseen
from app.review.merge import merge
from app.review.priority import Priority
from app.review.prompt import Prompts, render_prompt
from app.review.pull import Change, NotInDiff, Target
from app.review.rank import rank
from app.review.receipt import Outcome, Receipt, State, conclude
from app.review.render import compose

UNSURE = (State.PARTIAL, State.CHECKED, State.SKIPPED)
"""Verdicts that are told to a person even where there is no finding."""


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
    history = await s.memory.recall(target, run.id)
    async with s.verdicts.open(change, run) as check:
        plan = await plan_what_is_left(change, request, history, s.model, how)
        by_model, by_analysers = await asyncio.gather(
            ask_model(change, request, run, plan, s.model, how), run_analysers(change, s)
        )
        proven = anchor(by_model.candidates + by_analysers.candidates, change.diff, plan.shown)
        merged = merge(proven.kept)
        news = unseen(merged.kept, history, change.diff, plan.shown)
        worth = rank(
            news.new,
            min_priority=least_priority(change, request),
            max_comments=change.config.max_comments,
        )
        coverage = settle(plan, by_model.outcomes)
        receipt = conclude(
            Outcome(
                run_id=run.id,
                change=change,
                coverage=coverage,
                findings=worth.kept + news.still_open,
                dropped=by_model.dropped + proven.dropped + merged.dropped + worth.dropped,
                notices=change.not_in_diff + by_analysers.notices,
                usage=by_model.usage,
                model=s.model.name if s.model else None,
            )
        )
        await s.changes.confirm(change)
        if worth.kept or (receipt.state in UNSURE and not news.still_open):
            await s.publisher.publish(change, run, compose(receipt, worth.kept))
        await s.memory.keep(target, receipt, coverage.newly_covered_keys)
        check.finish(receipt)
    return receipt


async def plan_what_is_left(
    change: Change, request: Request, history: History, model: Model | None, how: Asking
) -> Plan:
    """Plan what no run has covered yet; a wish is new for everything it may concern."""
    asked_with = "\0".join((how.prompts.hash, model.name if model else ""))
    return await asyncio.to_thread(
        plan_review,
        change.diff,
        request,
        change.config,
        covered=frozenset() if request.wish else history.covered,
        budget_tokens=how.budget_tokens,
        max_chunks=how.max_chunks,
        rules_hash=hashlib.sha256(asked_with.encode()).hexdigest(),
    )


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
        log.warning("chunk.not_reviewed", chunk=chunk.number, reason=reason.value, error=str(exc))
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
    """What the analysers said, and what they could not look at."""

    candidates: tuple[Candidate, ...] = ()
    notices: tuple[NotInDiff, ...] = ()


async def run_analysers(change: Change, s: Services) -> Analysed:
    """Run every analyser over the changed files, side by side."""
    wanted = [
        file.new_path
        for file in change.diff.files
        if file.new_path
        and file.hunks
        and not (file.is_submodule or file.is_symlink)
        and any(finder.wants(file.new_path) for finder in s.finders)
    ]
    contents = await asyncio.gather(*(s.changes.read(change, path) for path in wanted))
    files = {path: text for path, text in zip(wanted, contents, strict=True) if text is not None}
    found = await asyncio.gather(*(finder.find(change, files) for finder in s.finders))
    unread = {path: "not analysed: needs the file" for path in wanted if path not in files}
    return Analysed(
        candidates=tuple(c for one in found for c in one.candidates),
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
