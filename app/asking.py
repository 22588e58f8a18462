"""Asks a model for candidates, once more where its answer breaks the schema."""

from app.errors import AnswerInvalid, ModelRefused, ModelUnavailable, PromptTooLong
from app.ports import Model
from app.review.answer import Answer, Parsed, Usage, parse_answer
from app.review.focus import Area
from app.review.prompt import Prompt, render_repair


class StillInvalid(AnswerInvalid):
    """No usable answer although the model was asked twice; `usage` is what that cost."""

    def __init__(self, message: str, *, usage: Usage) -> None:
        super().__init__(message)
        self.usage = usage


async def ask_for_candidates(
    model: Model, prompt: Prompt, areas: tuple[Area, ...]
) -> tuple[Parsed, Usage]:
    """Ask, read, and have a broken answer repaired once.

    Raises StillInvalid, or a ModelError of the first call; of the second only those that concern
    every chunk (ModelDenied, OutOfCredit).
    """
    answer = await model.ask(prompt)
    parsed, problem = _read(answer, areas)
    if not problem:
        return parsed, answer.usage
    try:
        repaired = await model.ask(render_repair(prompt, problem))
    except (ModelRefused, ModelUnavailable, PromptTooLong) as exc:
        raise StillInvalid(f"{problem}; asked again: {exc}", usage=answer.usage) from exc
    usage = answer.usage + repaired.usage
    parsed, problem = _read(repaired, areas)
    if problem:
        raise StillInvalid(f"asked twice, no answer obeyed the schema: {problem}", usage=usage)
    return parsed, usage


def _read(answer: Answer, areas: tuple[Area, ...]) -> tuple[Parsed, str]:
    """Parse an answer; the problem is empty where something in it can be used."""
    try:
        parsed = parse_answer(answer.text, areas=areas)
    except AnswerInvalid as exc:
        return Parsed(), str(exc)
    return parsed, parsed.problem
