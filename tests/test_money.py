"""Stories about money: limits that hold over every call, and reviews that wait for credit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.demo.records import CheckRun
from app.demo.state import AppIdentity, new_app
from tests.disk import rows
from tests.judges import is_second_look
from tests.model_server import Question, Reply, Script, error
from tests.world import World, build_world, finding, finds, receipt

pytestmark = pytest.mark.anyio
Make = Callable[[Script], World]


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    return lambda script: build_world(tmp_path, identity, script)


def state(run: CheckRun) -> tuple[Any, str | None]:
    return receipt(run)["state"], run.conclusion


async def test_what_ran_out_of_credit_is_reviewed_once_there_is_some(make: Make) -> None:
    has_credit = False
    answers = finds(finding())

    def script(question: Question) -> Reply:
        return answers(question) if has_credit else error(402, "Insufficient Balance")

    world = make(script)
    world.model.told["balance"] = {"balance": "0.00"}
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        assert state(first) == ("out_of_credit", "neutral")
        await world.until(lambda: world.ours)
        assert "once the operator has credit" in world.ours[0]
        n_asked = len(world.model.questions)
        has_credit = True
        world.model.told["balance"] = {"balance": "5.00"}
        second = await world.ended(2)
    assert state(second) == ("findings", "neutral")
    assert receipt(second)["head_sha"] == receipt(first)["head_sha"]
    assert len(world.reviews) == 1
    assert n_asked < len(world.model.questions)


async def test_a_server_that_tells_no_balance_is_not_asked_again_by_itself(make: Make) -> None:
    world = make(lambda _: error(402, "Insufficient Balance"))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        await world.until(lambda: world.ours)
        assert "ask the operator" in world.ours[0]
    lanes = [lane for (lane,) in rows(world.database, "SELECT lane FROM jobs ORDER BY id")]
    assert lanes == ["respond", "review"]


async def test_no_review_spends_more_than_it_may_and_none_of_it_is_green(make: Make) -> None:
    world = make(finds())
    world.env |= {"MODEL_PRICES": "scripted=1000/1000", "MAX_USD_PER_REVIEW": "0.01"}
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert state(run) == ("out_of_credit", "neutral")
    assert run.title == "NOT REVIEWED: over the limit of money"
    assert world.model.questions == []


async def test_the_cost_of_every_call_is_shown_and_a_restart_does_not_forget_it(
    make: Make,
) -> None:
    world = make(finds(finding()))
    world.env["MODEL_PRICES"] = "scripted=1/1"
    async with world.running():
        await world.comment("@codex review")
        usage = receipt(await world.ended())["usage"]
    assert usage["calls"] == len(world.model.questions)
    assert any(is_second_look(question.user) for question in world.model.questions)
    tokens = usage["input_tokens"] + usage["output_tokens"]
    assert usage["usd"] == pytest.approx(tokens / 1_000_000)


async def test_the_limit_of_a_pull_request_holds_over_its_reviews(make: Make) -> None:
    world = make(finds())
    world.env |= {"MODEL_PRICES": "scripted=10/10", "MAX_USD_PER_PULL_REQUEST": "0.07"}
    async with world.running():
        await world.comment("@codex review")
        assert state(await world.ended()) == ("clean", "success")
        for n in range(2, 9):
            await world.comment("@codex review full")
            last = await world.ended(n)
            if receipt(last)["state"] != "clean":
                break
    assert state(last)[0] in ("partial", "out_of_credit")
    assert last.conclusion == "neutral"


async def test_an_installation_has_so_many_reviews_in_a_day(make: Make) -> None:
    world = make(finds())
    world.env["MAX_REVIEWS_PER_DAY"] = "1"
    async with world.running():
        await world.comment("@codex review")
        assert state(await world.ended()) == ("clean", "success")
        await world.comment("@codex review full")
        refused = await world.ended(2)
        await world.until(lambda: world.ours)
    assert state(refused) == ("failed", "neutral")
    assert "the limit of 1 reviews in 24 hours" in (refused.title or "")
    assert "have the operator raise MAX" in world.ours[0]
