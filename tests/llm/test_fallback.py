"""Who answers when the main model does not."""

import pytest

from app.errors import (
    AnswerCut,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
    PromptTooLong,
)
from app.llm.fallback import REST_S, WithFallback
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt
from tests.llm.builders import PROMPT, USAGE, FakeClock

pytestmark = pytest.mark.anyio


class Scripted:
    """A model that answers with its name, or fails while `error` is set."""

    def __init__(self, name: str, error: ModelError | None = None, ratio: float = 1.0) -> None:
        self.name = name
        self.error = error
        self.token_ratio = ratio
        self.asked = 0

    async def ask(self, prompt: Prompt) -> Answer:
        self.asked += 1
        if self.error:
            raise self.error
        return Answer(text="hello", model=self.name, usage=USAGE)


def two(main: ModelError | None, other: ModelError | None = None) -> tuple[Scripted, Scripted]:
    return Scripted("main", main), Scripted("other", other)


@pytest.mark.parametrize(
    "error", [ModelDenied("gone", usage=USAGE), ModelUnavailable("down", usage=USAGE)]
)
async def test_where_the_main_model_is_in_the_way_the_other_answers_in_its_own_name(
    error: ModelError,
) -> None:
    main, other = two(error)
    answer = await WithFallback(main, other, FakeClock()).ask(PROMPT)
    assert answer == Answer(text="hello", model="other", usage=USAGE + USAGE)


@pytest.mark.parametrize(
    "error", [OutOfCredit("0"), ModelRefused("no"), PromptTooLong("big"), AnswerCut("cut")]
)
async def test_what_another_model_cannot_mend_does_not_reach_it(error: ModelError) -> None:
    main, other = two(error)
    with pytest.raises(type(error)):
        await WithFallback(main, other, FakeClock()).ask(PROMPT)
    assert other.asked == 0


async def test_the_main_model_is_left_alone_for_a_while_and_then_asked_again() -> None:
    main, other = two(ModelUnavailable("down"))
    clock = FakeClock()
    model = WithFallback(main, other, clock)
    spoke = [(await model.ask(PROMPT)).model for _ in range(3)]
    assert (spoke, main.asked) == (["other"] * 3, 1)
    main.error = None
    clock.time += REST_S
    assert (await model.ask(PROMPT)).model == "main"


@pytest.mark.parametrize(
    ("main_error", "other_error", "expected"),
    [
        (ModelDenied("key", usage=USAGE), ModelDenied("key"), ModelDenied),
        (ModelUnavailable("down", usage=USAGE), ModelDenied("gone"), ModelUnavailable),
        (ModelUnavailable("down", usage=USAGE), OutOfCredit("0"), OutOfCredit),
        (ModelUnavailable("down", usage=USAGE), PromptTooLong("big"), PromptTooLong),
    ],
)
async def test_if_neither_answers_the_error_tells_what_both_have_cost(
    main_error: ModelError, other_error: ModelError, expected: type[ModelError]
) -> None:
    main, other = two(main_error, other_error)
    with pytest.raises(expected) as caught:
        await WithFallback(main, other, FakeClock()).ask(PROMPT)
    assert type(caught.value) is expected
    assert caught.value.usage == USAGE


async def test_a_call_that_failed_before_is_not_counted_again() -> None:
    main, other = two(ModelUnavailable("down", usage=USAGE))
    model = WithFallback(main, other, FakeClock())
    await model.ask(PROMPT)
    assert (await model.ask(PROMPT)).usage == USAGE
    other.error = ModelUnavailable("down too")
    with pytest.raises(ModelUnavailable, match="down; other: down too") as caught:
        await model.ask(PROMPT)
    assert caught.value.usage == Usage()


def test_a_question_must_fit_either_model() -> None:
    model = WithFallback(Scripted("a", ratio=0.8), Scripted("b", ratio=1.4), FakeClock())
    assert (model.name, model.token_ratio) == ("a", 1.4)
