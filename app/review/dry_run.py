"""What a review would ask, as text for a person at a terminal: the plan, or the very questions."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.review.answer import Usage
from app.review.coverage import Plan
from app.review.price import Price
from app.review.prompt import Prompt
from app.review.pull import NotInDiff
from app.review.receipt import ReceiptCoverage, ReceiptNotice
from app.review.render import obeyed_by_no_terminal, what_was_skipped
from app.review.tokens import estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A plan and one question for each of its chunks, in their order. `model` is who would be
    asked, at `price`; `mistakes` are those of the configuration."""

    plan: Plan
    prompts: tuple[Prompt, ...]
    model: str | None
    price: Price | None = None
    notices: tuple[NotInDiff, ...] = ()
    mistakes: tuple[str, ...] = ()


def render_dry_run(dry: DryRun) -> str:
    """List the questions with their areas, files and tokens, and what would be left out."""
    return obeyed_by_no_terminal([*_questions(dry), *_left_out(dry), _sum(dry)])


def render_prompts(dry: DryRun) -> str:
    """Print every question exactly as it would be sent: the instructions once, then each rest."""
    told = [
        f"==== instructions, the same for every question\n\n{p.system}" for p in dry.prompts[:1]
    ]
    told += [
        f"==== question {chunk.number}: {', '.join(chunk.areas)}\n\n{prompt.user}"
        for chunk, prompt in zip(dry.plan.chunks, dry.prompts, strict=True)
    ]
    return "\n".join([*told, f"==== {_sum(dry)}"])


def _questions(dry: DryRun) -> Iterator[str]:
    for chunk, prompt in zip(dry.plan.chunks, dry.prompts, strict=True):
        paths = ", ".join(dict.fromkeys(path for path, _, _ in chunk.shown))
        areas = ", ".join(chunk.areas)
        yield f"question {chunk.number}: {areas}, about {_tokens(prompt):,} tokens: {paths}"


def _left_out(dry: DryRun) -> Iterator[str]:
    coverage = [
        ReceiptCoverage(
            path=row.path,
            hunk=row.hunk,
            areas={area.value: str(state) for area, state in row.areas.items()},
        )
        for row in dry.plan.rows
    ]
    notices = [ReceiptNotice(path=one.path, reason=one.reason) for one in dry.notices]
    if skipped := what_was_skipped(coverage, notices):
        yield "Left out:"
        yield from (f"- {path}: {why}" for path, why in skipped.items())


def _sum(dry: DryRun) -> str:
    n, tokens = len(dry.prompts), sum(map(_tokens, dry.prompts))
    questions = "1 question" if n == 1 else f"{n} questions"
    model = dry.model or "no model is configured"
    asked = Usage(calls=n, input_tokens=tokens)
    price = (
        f"about {dry.price.of(asked):.4f} USD before any answer" if dry.price else "price unknown"
    )
    return f"{questions}, about {tokens:,} tokens in ({model}), {price}; nothing was sent"


def _tokens(prompt: Prompt) -> int:
    return estimate(prompt.system) + estimate(prompt.user) + estimate(prompt.schema.decode())
