"""Somebody presses "Re-run", or the button, on a check of ours: the review, once more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.demo.deliveries import redeliver
from app.demo.state import AppIdentity, new_app
from app.jobs.job import Again, Review
from app.ports import KnownCheck
from app.rerun import review_again
from app.review.event import FULL_REVIEW
from app.review.pull import RunId
from tests.disk import rows
from tests.jobs.builders import target
from tests.model_server import Script, error, slow
from tests.world import World, build_world, finding, finds, receipt

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
Make = Callable[[Script], World]


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    return lambda script: build_world(tmp_path, identity, script)


async def test_a_failed_review_is_run_again_as_a_new_check_of_the_same_name(make: Make) -> None:
    world = make(lambda _: error(401, "no such key"))
    async with world.running():
        await world.comment("@codex review")
        failed = await world.ended()
        world.model.script = finds(finding())
        await world.rerun(failed)
        again = await world.ended(2)
    assert failed.conclusion == again.conclusion == "neutral"
    assert (again.name, again.suite, again.title) == (
        failed.name,
        failed.suite,
        "Reviewed: 1 finding (1 P1)",
    )
    assert receipt(again)["run_id"] == again.external_id != failed.external_id
    assert len(world.inline) == 1


async def test_what_is_covered_is_not_asked_again_but_by_the_button(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        n_asked = len(world.model.questions)
        await world.rerun(first)
        second = await world.ended(2)
        assert len(world.model.questions) == n_asked
        [button] = second.actions
        await world.rerun(second, str(button["identifier"]))
        await world.ended(3)
    assert button["identifier"] == FULL_REVIEW
    assert len(world.model.questions) == 2 * n_asked
    assert [run.conclusion for run in world.checks] == ["success"] * 3


async def test_the_same_press_delivered_twice_is_one_review(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        pressed = await world.rerun(await world.ended())
        await redeliver(world.state, pressed.guid)
        await world.rest()
    assert len(world.checks) == 2


async def test_the_button_takes_the_place_of_a_review_that_runs(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        n_asked = len(world.model.questions)
        world.model.script = lambda _: slow(60)
        await world.comment("@codex review full")
        await world.until(lambda: len(world.model.questions) > n_asked)
        world.model.script = finds()
        await world.rerun(first, FULL_REVIEW)
        await world.ended(3)
    assert [run.conclusion for run in world.checks] == ["success", "cancelled", "success"]


async def test_re_run_all_checks_reviews_again(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        await world.rerun_all()
        await world.ended(2)
        await world.rest()
    assert [run.conclusion for run in world.checks] == ["success", "success"]


@pytest.mark.parametrize("which", ["run", "suite"])
async def test_a_pull_request_from_a_fork_is_found_though_github_does_not_name_it(
    make: Make, which: str
) -> None:
    world = make(finds())
    world.pull = world.state.open_pull_request(
        world.pull.repository, {"new.py": "x = 1\n"}, author="eve", from_fork=True
    )
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        await (world.rerun(first) if which == "run" else world.rerun_all())
        again = await world.ended(2)
    assert again.suite.head_sha == world.pull.head_sha
    assert again.conclusion == "success"


async def test_a_check_that_we_have_forgotten_is_found_by_what_github_names(make: Make) -> None:
    world = make(finds())
    run = world.state.check_run(world.pull.repository, world.pull.head_sha, "codex review")
    run.external_id, run.status = "long gone", "completed"
    async with world.running():
        await world.rerun(run)
        await world.ended(2)
    assert world.checks[1].conclusion == "success"


@dataclass(frozen=True)
class Remembered:
    """The port KnownChecks."""

    known: Sequence[KnownCheck]

    async def check_runs(self, run_id: RunId) -> Sequence[KnownCheck]:
        return self.known

    async def checks_on(self, head_sha: str) -> Sequence[KnownCheck]:
        return self.known


def known(number: int, repository: int = 70) -> KnownCheck:
    about = replace(target(number, repository=repository), repo="its-old-name")
    return KnownCheck(run_id=RunId("r"), target=about, head_sha="h", name="codex review")


@pytest.mark.parametrize("asked_run", ["r", ""])
async def test_each_pull_request_of_this_repository_is_reviewed_once_under_its_present_name(
    asked_run: str,
) -> None:
    checks = Remembered([known(2), known(1), known(2), known(9, repository=71)])
    work = Again(target=target(0), head_sha="h", asked_run=asked_run, numbers=(5,), full=True)
    jobs = await review_again(work, RunId("pressed"), checks)
    assert [job.work for job in jobs] == [
        Review(target=target(2), full=True),
        Review(target=target(1), full=True),
    ]
    assert len({job.run_id for job in jobs} | {job.dedupe_key for job in jobs}) == 4


async def test_what_nobody_knows_starts_nothing() -> None:
    work = Again(target=target(0), head_sha="h", asked_run="r")
    assert await review_again(work, RunId("pressed"), Remembered([])) == ()


async def test_the_check_of_another_app_is_none_of_our_business(make: Make) -> None:
    world = make(finds())
    run = world.state.check_run(world.pull.repository, world.pull.head_sha, "theirs")
    async with world.running():
        await world.rerun(run, "another-button")
    assert rows(world.database, "SELECT id FROM jobs") == []
