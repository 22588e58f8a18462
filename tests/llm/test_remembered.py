"""The same question is paid for once."""

import asyncio
from dataclasses import replace

import pytest

from app.errors import ModelUnavailable
from app.llm.remembered import Remembered
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt

pytestmark = pytest.mark.anyio

PROMPT = Prompt(system="rules", user="diff", schema_name="findings", schema=b"{}")
USAGE = Usage(calls=1, input_tokens=10, output_tokens=5)


class Kept:
    """Answers in a dict."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}

    async def get(self, key: str) -> Answer | None:
        await asyncio.sleep(0)
        return self.answers.get(key)

    async def put(self, key: str, answer: Answer) -> None:
        await asyncio.sleep(0)
        self.answers[key] = answer


class Counting:
    """A model that numbers its answers; those listed in `failing` it does not give."""

    token_ratio = 1.0

    def __init__(self, *, name: str = "m-1", failing: int = 0) -> None:
        self.name = name
        self.asked = 0
        self._failing = failing

    async def ask(self, prompt: Prompt) -> Answer:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0.001)
        if number <= self._failing:
            raise ModelUnavailable("no")
        return Answer(text=f"{number}", model=self.name, usage=USAGE)


async def test_a_question_asked_before_costs_nothing() -> None:
    kept, model = Kept(), Counting()
    first = await Remembered(model, kept).ask(PROMPT)
    second = await Remembered(model, kept).ask(PROMPT)
    assert first == Answer(text="1", model="m-1", usage=USAGE)
    assert second == Answer(text="1", model="m-1", usage=Usage())
    assert model.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(PROMPT, system="rules."),
        replace(PROMPT, user="diff."),
        replace(PROMPT, schema=b"[]"),
        replace(PROMPT, system="rulesd", user="iff"),
    ],
)
async def test_another_question_is_asked(other: Prompt) -> None:
    model = Counting()
    remembered = Remembered(model, Kept())
    await remembered.ask(PROMPT)
    assert (await remembered.ask(other)).text == "2"


async def test_another_model_is_asked() -> None:
    kept = Kept()
    await Remembered(Counting(), kept).ask(PROMPT)
    other = Counting(name="m-2")
    await Remembered(other, kept).ask(PROMPT)
    assert other.asked == 1


async def test_another_salt_asks_anew_and_the_same_salt_does_not() -> None:
    kept, model = Kept(), Counting()
    remembered = Remembered(model, kept)
    texts = [(await remembered.ask(replace(PROMPT, salt=salt))).text for salt in ("", "r", "r")]
    assert texts == ["1", "2", "2"]


async def test_the_same_question_at_the_same_time_is_asked_once() -> None:
    model = Counting()
    remembered = Remembered(model, Kept())
    answers = await asyncio.gather(*(remembered.ask(PROMPT) for _ in range(8)))
    assert model.asked == 1
    assert {answer.text for answer in answers} == {"1"}
    assert sum(answer.usage.calls for answer in answers) == 1


async def test_different_questions_do_not_wait_for_each_other() -> None:
    gate = asyncio.Event()

    class Waiting(Counting):
        token_ratio = 1.0

        async def ask(self, prompt: Prompt) -> Answer:
            if prompt.user == "slow":
                await gate.wait()
            return await super().ask(prompt)

    remembered = Remembered(Waiting(), Kept())
    slow = asyncio.create_task(remembered.ask(replace(PROMPT, user="slow")))
    await remembered.ask(PROMPT)
    gate.set()
    assert (await slow).text == "2"


async def test_after_a_failure_the_next_one_asks_again() -> None:
    model = Counting(failing=1)
    remembered = Remembered(model, Kept())
    results = await asyncio.gather(
        remembered.ask(PROMPT), remembered.ask(PROMPT), return_exceptions=True
    )
    assert isinstance(results[0], ModelUnavailable)
    assert results[1] == Answer(text="2", model="m-1", usage=USAGE)


async def test_who_gives_up_waiting_does_not_hold_up_the_others() -> None:
    model = Counting()
    remembered = Remembered(model, Kept())
    first, second = (asyncio.create_task(remembered.ask(PROMPT)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).text in {"1", "2"}
