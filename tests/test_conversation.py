"""Conversations, as people have them on a pull request: what was said, and what we answered."""

from pathlib import Path

import pytest

from app.demo.faults import Fault
from app.demo.state import AppIdentity, new_app
from app.dispatch import OTHER_CODEX
from app.review.command import parse_commands
from tests.disk import rows
from tests.world import World, build_world, finding, finds

pytestmark = pytest.mark.anyio

MENTIONS = ("@codex", "/codex")


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    """A change with one bug in it, which the model finds."""
    return build_world(tmp_path, identity, finds(finding()))


@pytest.fixture
def clean(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    return build_world(tmp_path, identity, finds())


async def told(world: World, n: int = 1) -> str:
    """Wait for our n-th answer in the conversation."""
    await world.until(lambda: len(world.ours) >= n)
    return world.ours[n - 1].partition("\n\n<!-- ")[0]


async def test_a_command_in_a_review_s_body_starts_a_review(world: World) -> None:
    async with world.running():
        review = await world.say_in_review("Nearly there.\n\n@codex review")
        await world.ended()
        assert world.reactions(review) == ["eyes"]
        assert len(world.inline) == 1
        assert world.ours == []


async def test_a_command_on_the_diff_starts_a_review_and_a_clean_one_is_thumbed_up(
    clean: World,
) -> None:
    async with clean.running():
        remark = await clean.remark("Is that right?", 3)
        reply = await clean.reply(remark, "@codex review")
        await clean.ended()
        await clean.rest()
        assert clean.reactions(reply) == ["eyes", "+1"]
        assert (clean.replies(remark), clean.ours, clean.reactions(remark)) == ([], [], [])


async def test_a_slip_in_a_thread_is_answered_there(world: World) -> None:
    async with world.running():
        remark = await world.remark("@codex reveiw", 3)
        await world.until(lambda: world.replies(remark))
        await world.rest()
    assert world.replies(remark) == [
        "I do not know `reveiw`. Did you mean `@codex review`? `@codex help` lists what I know."
    ]
    assert (world.ours, world.checks, world.reactions(remark)) == ([], [], ["eyes"])


async def test_an_estimate_knows_what_is_covered_and_asks_nobody(world: World) -> None:
    async with world.running():
        await world.comment("@codex estimate")
        before = await told(world)
        assert world.model.questions == []
        await world.comment("@codex review")
        await world.ended()
        n_asked = len(world.model.questions)
        await world.comment("@codex estimate")
        after = await told(world, 2)
        await world.rest()
    assert before.startswith("A review would ask `scripted` 2 questions: about ")
    assert after.startswith("Nothing is left to ask the model about.\n\nCovered by earlier runs: 1")
    assert len(world.model.questions) == n_asked
    assert len(world.checks) == 1


async def test_why_tells_of_the_last_review_and_config_what_governs_it(world: World) -> None:
    world.configure("version: 1\nreview: {fail_on: P1, tone: kind}\npaths: {ignore: ['*.md']}\n")
    async with world.running():
        await world.comment("@codex why")
        assert (await told(world)).startswith("Nothing was reviewed here yet.")
        await world.comment("@codex review")
        await world.ended()
        await world.comment("@codex why?\n@codex config")
        why, config = sorted([await told(world, 2), await told(world, 3)], reverse=True)
    head = world.pull.head_sha[:7]
    assert why.startswith(f"The last review of `{head}`. Reviewed: 1 finding (1 P1)")
    assert '- `review.fail_on: "P1"` from acme/stats: .github/codex-review.yml' in config
    assert '- `paths.ignore: ["*.md"]` from acme/stats' in config
    assert "review.tone: no such key" in config


async def test_an_edit_adds_a_command_and_does_not_repeat_the_first(clean: World) -> None:
    async with clean.running():
        comment = await clean.comment("@codex help")
        assert "this table" in await told(clean)
        await clean.edit(comment, "@codex help\n@codex pause")
        assert (await told(clean, 2)).startswith("No automatic reviews here")
        await clean.edit(comment, "@codex help!\n@codex pause\n\nThank you.")
        await clean.edit(comment, "@codex cancel", editor="stranger")
        await clean.rest()
    assert len(clean.ours) == 2


async def test_a_review_and_a_remark_command_once_they_are_edited(clean: World) -> None:
    async with clean.running():
        review = await clean.say_in_review("> @codex resume")
        remark = await clean.remark("`@codex help`", 3)
        await clean.edit(review, "@codex resume")
        assert (await told(clean)).startswith("Automatic reviews again")
        await clean.edit(remark, "@codex help")
        await clean.until(lambda: clean.replies(remark))
        await clean.rest()
    assert (len(clean.ours), len(clean.replies(remark))) == (1, 1)


async def test_a_failure_is_told_where_it_was_asked_for(clean: World) -> None:
    async with clean.running():
        clean.state.faults.append(Fault(path="/pulls/1$", status=403))
        remark = await clean.remark("@codex estimate", 3)
        await clean.until(lambda: clean.replies(remark))
        await clean.rest()
    [reply] = clean.replies(remark)
    assert reply.startswith("**Not answered:** ")
    assert clean.ours == []


async def test_whoever_may_not_command_is_told_once_wherever_they_try(clean: World) -> None:
    async with clean.running():
        remark = await clean.remark("@codex is this safe?", 3, "stranger")
        await told(clean)
        await clean.say_in_review("@codex review", "stranger")
        await clean.rest()
    assert len(clean.ours) == 1
    assert (clean.replies(remark), clean.reactions(remark), clean.checks) == ([], [], [])


async def test_openai_s_own_bot_is_noted_and_not_answered(clean: World) -> None:
    clean.state.person(OTHER_CODEX, "Bot")
    async with clean.running():
        bots = await clean.comment("@codex review", OTHER_CODEX)
        await clean.say_in_review("Codex reviewed this.\n\n@codex review", OTHER_CODEX)
        await clean.rest()
    assert (clean.ours, clean.checks, clean.reactions(bots)) == ([], [], [])
    noted = rows(clean.database, "SELECT text FROM settled WHERE name LIKE 'other_codex/%'")
    assert [str(text).split()[1] for (text,) in noted] == ["acme/stats"]


ECHOED = (
    "@codex @codex review",
    "@codex /codex review `@codex review`",
    "@codex x</details>\u2028@codex review",
    "@codex review `@codex review",
    "@codex pause <b>@codex help</b>",
)


async def test_nothing_that_we_say_is_a_command(world: World) -> None:
    world.configure('version: 1\nreview: {check_name: "@codex review", tone: "@codex help"}\n')
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        await world.comment("\n".join((*ECHOED, "@codex help", "@codex config", "@codex why")))
        await told(world, len(ECHOED) + 3)
        await world.comment("@codex estimate")
        await told(world, len(ECHOED) + 4)
    reviews = [review.body for review in world.reviews]
    for text in (*world.ours, *reviews, *(comment.body for comment in world.inline)):
        for in_thread in (False, True):
            assert parse_commands(text, MENTIONS, in_thread=in_thread) == ()
