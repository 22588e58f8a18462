"""A merge queue asks for a verdict on a commit of its own: it has one at once, whatever we know."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.demo.faults import Fault
from app.demo.records import CheckRun
from app.demo.state import AppIdentity, new_app
from tests.events import base_event
from tests.model_server import Script
from tests.world import World, build_world, finding, finds, receipt

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
Make = Callable[[Script], World]

NO_VERDICT = "NOT REVIEWED: there is no verdict about the head of this pull request"


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    def build(script: Script) -> World:
        world = build_world(tmp_path, identity, script)
        world.configure("version: 1\nreview:\n  fail_on: P1\n  check_name: our review\n")
        return world

    return build


def on(world: World, head: str) -> list[CheckRun]:
    return [run for run in world.checks if run.suite.head_sha == head]


@pytest.mark.parametrize(
    ("findings", "conclusion", "title"),
    [
        ((), "success", "Reviewed: no findings"),
        ((finding(),), "failure", "Reviewed: 1 finding (1 P1)"),
    ],
)
async def test_the_queue_is_told_the_verdict_of_the_pull_request(
    make: Make, findings: tuple[dict[str, object], ...], conclusion: str, title: str
) -> None:
    world = make(finds(*findings))
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        n_asked = len(world.model.questions)
        head = await world.queue()
        queued = await world.ended(2)
    assert on(world, head) == [queued]
    assert (queued.name, queued.conclusion, queued.title) == ("our review", conclusion, title)
    assert receipt(queued) == receipt(first)
    assert len(world.model.questions) == n_asked


async def test_without_a_verdict_the_queue_is_told_so(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.queue()
        run = await world.ended()
    assert (run.name, run.conclusion, run.title) == ("our review", "neutral", NO_VERDICT)


async def test_a_verdict_about_an_older_head_is_none(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        world.state.push(world.pull, {"other.py": "x = 1\n"})
        head = await world.queue()
        await world.ended(2)
    [run] = on(world, head)
    assert (run.conclusion, run.title) == ("neutral", NO_VERDICT)


async def test_a_verdict_about_the_change_to_another_base_is_none(make: Make) -> None:
    world = make(finds())
    world.state.commit(world.pull.repository, {"old.py": "x = 1\n"}, branch="stable")
    async with world.running():
        await world.comment("@codex review")
        reviewed = await world.ended()
        base_event(world.state, world.pull, "stable")
        head = await world.queue()
        await world.ended(2)
    assert (reviewed.conclusion, receipt(reviewed)["base_ref"]) == ("success", "main")
    [run] = on(world, head)
    assert (run.conclusion, run.title) == (
        "neutral",
        "NOT REVIEWED: the verdict about this pull request is about another base branch",
    )


async def test_re_run_in_the_queue_asks_again_there(make: Make) -> None:
    world = make(finds())
    async with world.running():
        head = await world.queue()
        await world.comment("@codex review")
        await world.ended(2)
        await world.rerun(on(world, head)[0])
        await world.ended(3)
    assert [run.conclusion for run in on(world, head)] == ["neutral", "success"]


async def test_a_queue_that_cannot_be_told_the_verdict_is_told_that(make: Make) -> None:
    world = make(finds())
    world.state.faults.append(Fault(path="/check-runs$", method="POST", status=403))
    async with world.running():
        head = await world.queue()
        run = await world.ended()
    assert [run] == on(world, head)
    assert (run.name, run.conclusion) == ("our review", "neutral")
    assert (run.title or "").startswith("NOT REVIEWED: GitHub forbids")


async def test_a_queue_of_a_pull_request_that_is_gone_is_not_kept_waiting(make: Make) -> None:
    world = make(finds())
    async with world.running():
        repository = world.pull.repository
        world.pull.number = 999
        await world.queue()
        run = await world.ended()
    assert repository.pulls[1] is world.pull
    assert (run.name, run.conclusion, run.title) == ("codex review", "neutral", NO_VERDICT)
