"""A broken answer is repaired once."""

import json

import pytest

from app.asking import ask_for_candidates
from app.errors import (
    AnswerInvalid,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
)
from app.review.answer import Answer, Usage
from app.review.focus import Area
from app.review.prompt import Prompt

pytestmark = pytest.mark.anyio

PROMPT = Prompt(system="rules", user="diff", schema_name="findings", schema=b"{}")
USAGE = Usage(calls=1, input_tokens=10, output_tokens=5)
AREAS = (Area.CORRECTNESS,)
CLEAN = '{"findings": []}'
GOOD = {
    "title": "t",
    "body": "b",
    "priority": 1,
    "confidence_score": 0.9,
    "area": "correctness",
    "code_location": {"path": "a.py", "side": "RIGHT", "line_range": {"start": 1, "end": 1}},
    "evidence_quote": "x = 1",
    "trigger": "always",
    "suggestion": None,
}


class Scripted:
    """A model that answers, or fails, in turn."""

    token_ratio = 1.0

    name = "m-1"

    def __init__(self, *replies: str | ModelError) -> None:
        self.replies = list(replies)
        self.prompts: list[Prompt] = []

    async def ask(self, prompt: Prompt) -> Answer:
        self.prompts.append(prompt)
        reply = self.replies.pop(0)
        if isinstance(reply, ModelError):
            raise reply
        return Answer(text=reply, model=self.name, usage=USAGE)


def findings(*items: object) -> str:
    return json.dumps({"findings": items})


@pytest.mark.parametrize("text", [CLEAN, findings(GOOD), findings(GOOD, "junk")])
async def test_an_answer_that_can_be_used_is_asked_for_once(text: str) -> None:
    model = Scripted(text)
    parsed, who = await ask_for_candidates(model, PROMPT, AREAS)
    assert len(parsed.candidates) == text.count('"title"')
    assert (who, model.prompts) == ("m-1", [PROMPT])


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("LGTM!", "no JSON object"),
        ('{"findings": [{"title"', "cut"),
        (findings({"file": "a.py", "message": "bad"}), "findings[0]: title: missing"),
    ],
)
async def test_a_broken_answer_is_asked_for_again_with_what_was_wrong(
    broken: str, told: str
) -> None:
    model = Scripted(broken, findings(GOOD))
    parsed, who = await ask_for_candidates(model, PROMPT, AREAS)
    assert [candidate.title for candidate in parsed.candidates] == ["t"]
    assert who == "m-1"
    first, second = model.prompts
    assert first == PROMPT
    assert second.user.startswith(PROMPT.user)
    assert told in second.user.removeprefix(PROMPT.user)
    assert broken not in second.user


async def test_after_two_broken_answers_it_gives_up() -> None:
    model = Scripted("LGTM!", "LGTM!", CLEAN)
    with pytest.raises(AnswerInvalid, match="asked twice"):
        await ask_for_candidates(model, PROMPT, AREAS)
    assert len(model.prompts) == 2


@pytest.mark.parametrize("error", [ModelRefused("declined"), ModelUnavailable("busy")])
async def test_if_the_repair_is_not_answered_the_answer_is_broken(error: ModelError) -> None:
    with pytest.raises(AnswerInvalid, match=str(error)):
        await ask_for_candidates(Scripted("LGTM!", error), PROMPT, AREAS)


@pytest.mark.parametrize("error", [ModelDenied("key"), OutOfCredit("money")])
async def test_what_concerns_every_chunk_is_passed_on(error: ModelError) -> None:
    with pytest.raises(type(error)):
        await ask_for_candidates(Scripted("LGTM!", error), PROMPT, AREAS)
