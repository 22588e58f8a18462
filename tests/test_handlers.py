"""What a pull request is told when a job fails, whenever it fails."""

from pathlib import Path

import pytest

from app.demo.faults import Fault
from app.demo.state import AppIdentity, new_app
from tests.world import World, build_world, finds, receipt

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    """A repository in which what was not reviewed blocks."""
    world = build_world(tmp_path, identity, finds())
    world.configure("version: 1\nreview: {fail_on_error: true, check_name: our review}\n")
    return world


async def command_until(world: World, fault: Fault) -> None:
    """Let somebody ask for a review, and wait until it meets this."""
    world.state.faults.append(fault)
    await world.comment("@codex review")
    await world.until(lambda: fault.times == 0)


async def test_a_review_that_fails_before_it_is_configured_blocks_as_configured(
    world: World,
) -> None:
    async with world.running():
        await command_until(world, Fault(path="/reactions$", delay_s=0.3))
        world.state.faults.append(Fault(path="/pulls/1$", status=403))
        run = await world.ended()
        await world.until(lambda: world.ours)
    assert (run.name, run.conclusion) == ("our review", "failure")
    assert (run.title or "").startswith("NOT REVIEWED")
    assert receipt(run)["state"] == "failed"
    assert run.external_id in world.ours[0]


async def test_what_is_stopped_before_its_check_is_open_does_not_block(world: World) -> None:
    async with world.running():
        await command_until(world, Fault(path="/check-runs$", method="POST", delay_s=5))
        await world.comment("@codex cancel")
        run = await world.ended()
    assert (run.name, run.conclusion) == ("our review", "cancelled")


async def test_where_the_configuration_cannot_be_had_the_failure_is_told_all_the_same(
    world: World,
) -> None:
    async with world.running():
        await command_until(
            world, Fault(path="/check-runs$", method="POST", status=403, delay_s=0.3)
        )
        world.state.faults.append(Fault(path="/pulls/1$", status=403))
        run = await world.ended()
    assert run.conclusion == "neutral"
    assert (run.title or "").startswith("NOT REVIEWED")
