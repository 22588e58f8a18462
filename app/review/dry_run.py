"""What a review would ask and take; as text for a person at a terminal, the very questions too."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.review.answer import Usage
from app.review.coverage import Covered, Plan
from app.review.price import Price
from app.review.prompt import Prompt
from app.review.pull import NotInDiff
from app.review.receipt import ReceiptCoverage, ReceiptNotice
from app.review.render import obeyed_by_no_terminal, what_was_skipped
from app.review.tokens import estimate

COVERED = Covered()


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

    @property
    def n_tokens(self) -> int:
        return sum(map(_tokens, self.prompts))

    @property
    def usd(self) -> float | None:
        """What the questions cost before any answer; None where the price is unknown."""
        asked = Usage(calls=len(self.prompts), input_tokens=self.n_tokens)
        return self.price.of(asked) if self.price else None

    @property
    def n_covered(self) -> int:
        """How many hunks need no question, for an area at least, because of earlier runs."""
        return sum(COVERED in row.areas.values() for row in self.plan.rows)

    @property
    def skipped(self) -> dict[str, str]:
        """Path → why the model would not see it, or an area of it."""
        coverage = [
            ReceiptCoverage(
                path=row.path,
                hunk=row.hunk,
                areas={area.value: str(state) for area, state in row.areas.items()},
            )
            for row in self.plan.rows
        ]
        notices = [ReceiptNotice(path=one.path, reason=one.reason) for one in self.notices]
        return what_was_skipped(coverage, notices)


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
    if skipped := dry.skipped:
        yield "Left out:"
        yield from (f"- {path}: {why}" for path, why in skipped.items())


def _sum(dry: DryRun) -> str:
    n, tokens, usd = len(dry.prompts), dry.n_tokens, dry.usd
    questions = "1 question" if n == 1 else f"{n} questions"
    model = dry.model or "no model is configured"
    price = "price unknown" if usd is None else f"about {usd:.4f} USD before any answer"
    return f"{questions}, about {tokens:,} tokens in ({model}), {price}; nothing was sent"


def _tokens(prompt: Prompt) -> int:
    return estimate(prompt.system) + estimate(prompt.user) + estimate(prompt.schema.decode())
