"""Asks a model about every chunk of a plan: once more where its answer breaks the schema, in
smaller chunks where question or answer was too long. A chunk without an answer costs only itself.
"""

import asyncio
from dataclasses import dataclass, field, replace

from app import log
from app.errors import (
    AnswerCut,
    AnswerInvalid,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
    OverBudget,
    PromptTooLong,
)
from app.ports import Model, Run
from app.review.answer import Answer, Parsed, parse_answer
from app.review.chunks import Chunk
from app.review.coverage import Plan, Reason, split_chunks
from app.review.event import Request
from app.review.findings import Candidate, Dropped
from app.review.focus import Area
from app.review.guidelines import guidelines_for
from app.review.masking import mask
from app.review.prompt import Prompt, Prompts, render_prompt, render_repair
from app.review.pull import Change
from app.review.text import cut, plain_line

MAX_SPLITS = 3
"""How often chunks are made smaller: to one area, then to a quarter at most."""
NO_ROOM = (Reason.ANSWER_CUT, Reason.ANSWER_EMPTY)
TOO_LONG = (Reason.TOO_LONG, *NO_ROOM)
MAX_DETAIL = 200
"""Characters of an error that are published: our own words, up to what a server said."""
ASK_THE_OPERATOR = (
    "ask the operator of this app to run codex-review doctor there, and to look for this run in "
    "what the server wrote to stderr"
)
RAISE_LIMIT = (
    "raise `limits.usd_per_review`, or have the operator raise MAX_USD_PER_REVIEW, "
    "MAX_USD_PER_PULL_REQUEST or MAX_USD_PER_MONTH"
)
CONCERNS_ALL = (ModelDenied, OutOfCredit, OverBudget)
"""Errors after which no other question can be answered either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the model is asked. `fence_secret` makes fences that a pull request cannot guess."""

    prompts: Prompts
    fence_secret: bytes
    budget_tokens: int = 6_000
    max_chunks: int = 60
    at_once: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the model said. `plan` is what was asked in the end; `outcomes`: chunk number → None,
    or why it was not reviewed, of which `details` tell more; `models` are those that answered."""

    plan: Plan
    candidates: tuple[Candidate, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    outcomes: dict[int, Reason | None] = field(default_factory=dict)
    details: dict[int, str] = field(default_factory=dict)
    models: frozenset[str] = frozenset()


async def ask_model(
    change: Change, request: Request, run: Run, plan: Plan, model: Model | None, how: Asking
) -> Asked:
    """Ask about every chunk, side by side, and about those that were too long in smaller ones."""
    if model is None:
        return Asked(plan=plan, outcomes={chunk.number: Reason.NO_MODEL for chunk in plan.chunks})
    round = _Round(change=change, request=request, run=run, model=model, how=how)
    answers = latest = await round.ask(plan.chunks)
    for n_splits in range(MAX_SPLITS):
        too_long = {one.number for one in latest if one.outcome in TOO_LONG}
        new = 2 * how.max_chunks - len(plan.chunks)
        smaller = split_chunks(plan, too_long, max_chunks=new) if too_long else plan
        if len(smaller.chunks) == len(plan.chunks):
            break
        latest = await round.ask(smaller.chunks[len(plan.chunks) :])
        answers = answers + latest
        plan = smaller
        if n_splits and all(one.outcome in NO_ROOM for one in latest):
            break  # every answer is paid for, and fewer lines did not help one of them
    return Asked(
        plan=plan,
        candidates=tuple(c for answer in answers for c in answer.parsed.candidates),
        dropped=tuple(d for answer in answers for d in answer.parsed.rejected),
        outcomes={answer.number: answer.outcome for answer in answers},
        details={answer.number: answer.detail for answer in answers if answer.detail},
        models=frozenset(answer.model for answer in answers if answer.model),
    )


def prompt_for(chunk: Chunk, change: Change, request: Request, run: Run, how: Asking) -> Prompt:
    """Render the question about one chunk."""
    return render_prompt(
        how.prompts,
        chunk.text,
        chunk.areas,
        title=change.title,
        body=change.body,
        file_list=tuple(file.path for file in change.diff.files),
        guidelines=guidelines_about(change, tuple(path for path, _, _ in chunk.shown)),
        wish=request.wish,
        fence_secret=how.fence_secret,
        salt=run.id if request.full else "",
    )


def guidelines_about(change: Change, paths: tuple[str, ...]) -> str:
    """Tell what the repository's own people say about these files, and in which language."""
    config = change.config
    told = guidelines_for(tuple(dict.fromkeys(paths)), config.instructions, change.agents)
    return told if config.is_english else f"Language: {config.language}\n\n{told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """What became of one chunk; `model` is who answered, empty where nobody did."""

    number: int
    outcome: Reason | None = None
    detail: str = ""
    parsed: Parsed = field(default_factory=Parsed)
    model: str = ""


@dataclass(slots=True, kw_only=True)
class _Round:
    """Questions of one run; `stop` is set by the first that learns that no further one helps."""

    change: Change
    request: Request
    run: Run
    model: Model
    how: Asking
    stop: Reason | None = None
    known: dict[tuple[tuple[Area, ...], str], _Answered] = field(default_factory=dict)

    async def ask(self, chunks: tuple[Chunk, ...]) -> list[_Answered]:
        slots = asyncio.Semaphore(self.how.at_once)

        async def in_turn(chunk: Chunk) -> _Answered:
            key = (chunk.areas, chunk.text)
            async with slots:
                if key not in self.known:
                    self.known[key] = await self._ask_chunk(chunk)
                return replace(self.known[key], number=chunk.number)

        return await asyncio.gather(*map(in_turn, chunks))

    async def _ask_chunk(self, chunk: Chunk) -> _Answered:
        number = chunk.number
        if self.stop:
            return _Answered(number=number, outcome=self.stop)
        prompt = prompt_for(chunk, self.change, self.request, self.run, self.how)
        try:
            parsed, model = await ask_for_candidates(self.model, prompt, chunk.areas)
        except (ModelError, AnswerInvalid) as exc:
            reason = why_not(exc)
            if isinstance(exc, CONCERNS_ALL):
                self.stop = reason
            error = mask(str(exc))
            log.warning("chunk.not_reviewed", chunk=number, reason=reason.value, error=error)
            begun = _begun(exc, chunk.areas) if isinstance(exc, AnswerCut) else Parsed()
            detail = cut(plain_line(error.partition(": ")[0]), MAX_DETAIL)
            return _Answered(number=number, outcome=reason, detail=detail, parsed=begun)
        outcome = Reason.ANSWER_CUT if parsed.was_cut else None
        return _Answered(number=number, outcome=outcome, parsed=parsed, model=model)


async def ask_for_candidates(
    model: Model, prompt: Prompt, areas: tuple[Area, ...]
) -> tuple[Parsed, str]:
    """Ask, read, and have a broken answer repaired once; return also who answered.

    Raises AnswerInvalid, or a ModelError of the first call; of the second only those that concern
    every chunk.
    """
    answer = await model.ask(prompt)
    parsed, problem = _read(answer, areas)
    if not problem:
        return parsed, answer.model
    try:
        answer = await model.ask(render_repair(prompt, problem))
    except (ModelRefused, ModelUnavailable, PromptTooLong) as exc:
        raise AnswerInvalid(f"{problem}; asked again: {exc}") from exc
    parsed, problem = _read(answer, areas)
    if problem:
        raise AnswerInvalid(f"asked twice, no answer obeyed the schema: {problem}")
    return parsed, answer.model


def why_not(error: ModelError | AnswerInvalid) -> Reason:
    """Say in words for people why a question has no answer."""
    match error:
        case ModelRefused():
            return Reason.MODEL_REFUSED
        case AnswerCut():
            return Reason.ANSWER_CUT if error.text.strip() else Reason.ANSWER_EMPTY
        case PromptTooLong():
            return Reason.TOO_LONG
        case ModelDenied():
            return Reason.MODEL_DENIED
        case OutOfCredit():
            return Reason.OUT_OF_CREDIT
        case OverBudget():
            return Reason.OVER_BUDGET
        case AnswerInvalid():
            return Reason.ANSWER_INVALID
        case _:
            return Reason.MODEL_UNAVAILABLE


def _read(answer: Answer, areas: tuple[Area, ...]) -> tuple[Parsed, str]:
    """Parse an answer; the problem is empty where something in it can be used."""
    try:
        parsed = parse_answer(answer.text, areas=areas)
    except AnswerInvalid as exc:
        return Parsed(), str(exc)
    return parsed, parsed.problem


def _begun(error: AnswerCut, areas: tuple[Area, ...]) -> Parsed:
    """Keep the complete findings of an answer that was cut."""
    try:
        return parse_answer(error.text, areas=areas)
    except AnswerInvalid:
        return Parsed()
