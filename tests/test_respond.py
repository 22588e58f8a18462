"""Who is heard: as the repository's configuration has it, whatever the pull request says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.demo.state import AppIdentity, new_app
from tests.world import World, build_world, finds

pytestmark = pytest.mark.anyio
Make = Callable[[str], World]

BOT = "merge-bot[bot]"


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    """A world whose repository says who may command."""

    def build(who: str) -> World:
        world = build_world(tmp_path, identity, finds())
        world.state.person(BOT, "Bot")
        world.configure(f"version: 1\nwho: {{{who}}}\n")
        return world

    return build


@pytest.mark.parametrize(
    ("who", "login"),
    [
        ("may_command: author", "contributor"),
        ("may_command: author", "riley"),
        ("may_command: read", "stranger"),
        (f"bots: ['{BOT}']", BOT),
    ],
)
async def test_whoever_may_command_is_heard(make: Make, who: str, login: str) -> None:
    world = make(who)
    async with world.running():
        comment = await world.comment("@codex review", login)
        run = await world.ended()
    assert run.conclusion == "success"
    assert "eyes" in world.reactions(comment)
    assert world.ours == []


@pytest.mark.parametrize(
    ("who", "login", "needed"),
    [
        ("may_command: admin", "riley", "admin access"),
        ("may_command: author", "stranger", "write access"),
        ("may_command: write", "contributor", "write access"),
    ],
)
async def test_whoever_may_not_command_is_told_what_it_takes(
    make: Make, who: str, login: str, needed: str
) -> None:
    world = make(who)
    async with world.running():
        await world.comment("@codex review", login)
        await world.rest()
    [refusal] = world.ours
    assert needed in refusal
    assert (world.checks, world.model.questions) == ([], [])


@pytest.mark.parametrize(
    ("who", "login"),
    [("may_command: read", "stranger"), ("may_command: author", "contributor")],
)
async def test_whoever_may_not_write_may_not_dismiss(make: Make, who: str, login: str) -> None:
    world = make(who)
    async with world.running():
        await world.comment("@codex dismiss", login)
        await world.until(lambda: world.ours)
    assert "Only people with write access may command that" in world.ours[0]


async def test_whoever_may_write_may_dismiss_even_where_only_admins_command(make: Make) -> None:
    world = make("may_command: admin")
    async with world.running():
        comment = await world.comment("@codex dismiss", "riley")
        await world.until(lambda: world.ours)
    assert "eyes" in world.reactions(comment)


async def test_a_bot_that_nobody_listed_is_not_even_answered(make: Make) -> None:
    world = make("may_command: read, bots: ['another[bot]']")
    world.state.permit(world.pull.repository, BOT, "admin")
    async with world.running():
        comment = await world.comment("@codex review", BOT)
        await world.rest()
    assert (world.ours, world.reactions(comment), world.checks) == ([], [], [])


async def test_what_the_pull_request_itself_says_about_that_does_not_count(make: Make) -> None:
    world = make("may_command: write")
    world.state.push(
        world.pull, {".github/codex-review.yml": "version: 1\nwho: {may_command: read}\n"}
    )
    async with world.running():
        await world.comment("@codex review", "stranger")
        await world.until(lambda: world.ours)
    assert world.checks == []
