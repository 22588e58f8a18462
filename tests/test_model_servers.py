"""Reviews over servers that need to be spoken to in their own way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.demo.state import AppIdentity, new_app
from tests.model_server import Question, Reply, Script, blank, error
from tests.world import World, build_world, finding, finds, receipt

pytestmark = pytest.mark.anyio
Make = Callable[[Script], World]


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    return lambda script: build_world(tmp_path, identity, script)


@pytest.mark.parametrize("api", ["chat", "responses", "completions"])
async def test_a_review_is_the_same_in_every_protocol(make: Make, api: str) -> None:
    world = make(finds(finding()))
    world.env["MODEL_API"] = api
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert [found["title"] for found in receipt(run)["findings"]] == [finding()["title"]]
    assert {question.path.rpartition("/")[2] for question in world.model.questions} == {
        "completions" if api == "chat" else api
    }


async def test_the_fallback_answers_where_the_model_is_gone(make: Make) -> None:
    answers = finds(finding())

    def script(question: Question) -> Reply:
        if question.body["model"] == "scripted":
            return error(404, "The model `scripted` does not exist", code="model_not_found")
        return answers(question)

    world = make(script)
    world.env["FALLBACK_MODEL"] = "second"
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert receipt(run)["state"] == "findings"


async def test_what_is_too_long_for_several_areas_is_asked_for_each(make: Make) -> None:
    answers = finds(finding())

    def script(question: Question) -> Reply:
        if question.user.count("# Focus: ") > 1:
            return error(400, "maximum context length exceeded", code="context_length_exceeded")
        return answers(question)

    world = make(script)
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert receipt(run)["state"] == "findings"
    assert [found["title"] for found in receipt(run)["findings"]] == [finding()["title"]]


async def test_what_is_too_long_however_small_is_named_and_costs_only_itself(make: Make) -> None:
    answers = finds()

    def script(question: Question) -> Reply:
        if "# Focus: security" not in question.user:
            return error(400, "maximum context length exceeded", code="context_length_exceeded")
        return answers(question)

    world = make(script)
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert (receipt(run)["state"], run.conclusion) == ("partial", "neutral")
    assert "too long for the model" in (run.title or "")
    bodies = [question.user for question in world.model.questions]
    assert len(bodies) == len(set(bodies))


async def test_a_model_that_never_says_a_word_is_not_asked_ever_smaller_questions(
    make: Make,
) -> None:
    world = make(lambda _: blank())
    lines = "".join(f"def f{n}(a):\n    return a + {n}\n\n\n" for n in range(40))
    world.state.push(world.pull, {"many.py": lines})
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert (receipt(run)["state"], run.conclusion) == ("failed", "neutral")
    assert "the model's answer was empty" in (run.title or "")
    assert len(world.model.questions) < 50


async def test_what_a_server_does_not_take_is_learnt_once_for_all_starts(make: Make) -> None:
    answers = finds()

    def script(question: Question) -> Reply:
        if question.form == "json_schema":
            return error(400, "'response_format.type' must be 'json_object'")
        return answers(question)

    world = make(script)
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
    n_asked = len(world.model.questions)
    async with world.running():
        await world.comment("@codex review full")
        await world.ended(2)
    assert "json_schema" in {question.form for question in world.model.questions[:n_asked]}
    assert {question.form for question in world.model.questions[n_asked:]} == {"json_object"}
