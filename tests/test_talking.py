"""Conversations on the diff: a question and its answer, why, and a finding that is dismissed."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.demo.records import Place, ReviewComment
from app.demo.state import AppIdentity, new_app
from tests.judges import blocks
from tests.model_server import Question, Script, error, slow
from tests.world import AFTER, BEFORE, World, answer, build_world, finding, finds, receipt

pytestmark = pytest.mark.anyio
Make = Callable[..., World]

SAID = "Yes, line 3 divides by zero. @riley see https://e.vil <b>now</b>"


def is_question(question: Question) -> bool:
    return "question" in blocks(question.user)


def answers(text: str, review: Script | None = None) -> Script:
    """Answer questions of people with this text, and reviews as told."""
    review = review or finds(finding())
    return lambda q: json.dumps({"answer": text}) if is_question(q) else review(q)


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    def build(script: Script | None = None, config: str = "") -> World:
        world = build_world(tmp_path, identity, script or answers(SAID))
        if config:
            world.configure(f"version: 1\n{config}")
        return world

    return build


def on_line(world: World, body: str, line: int = 3, path: str = "stats.py") -> ReviewComment:
    """Let somebody begin a thread on a line of the diff."""
    review = world.state.review(world.pull, "casey", "")
    hunk = "@@ -1,4 +1,3 @@\n def mean(values):\n-    if not values:\n-        return 0.0"
    return world.state.review_comment(review, body, Place(path=path, line=line, diff_hunk=hunk))


def asked(world: World) -> list[dict[str, str]]:
    return [blocks(q.user) for q in world.model.questions if is_question(q)]


async def reviewed(world: World) -> ReviewComment:
    """Have the change reviewed; return the comment of its one finding."""
    await world.comment("@codex review")
    await world.ended()
    await world.rest()
    [comment] = world.inline
    return comment


# ---- ask -----------------------------------------------------------------------------------------


async def test_a_question_in_a_thread_is_answered_there_from_the_code_around_it(make: Make) -> None:
    world = make()
    first = on_line(world, "Is this safe, @riley? <!-- hidden -->")
    async with world.running():
        world.state.reply(first, "mona", "I think `@cache` helps.")
        question = await world.reply(first, "@codex does mean([]) still work?\nI saw 0.0 before.")
        await world.rest()
    [said] = world.replies(first)
    assert said.startswith("Yes, line 3 divides by zero.")
    assert "@riley" not in said
    assert "`https://e.vil`" in said
    assert "<b>" not in said
    assert "scripted: 1 call" in said
    assert world.reactions(question) == ["eyes"]
    [given] = asked(world)
    assert given["question"] == "does mean([]) still work?"
    assert given["thread"] == (
        "person 1:\nIs this safe, @someone?\n\nperson 2:\nI think `@cache` helps.\n\n"
        "person 3:\n@someone does mean([]) still work?\nI saw 0.0 before."
    )
    assert "2 -    if not values:" in given["code"]
    assert "3 +" not in given["code"].split("def mean")[0]
    assert "3      return total / len(values)" in given["code"].replace("+", " ")
    assert (world.ours, world.checks) == ([], [])


async def test_nobody_is_answered_who_did_not_mention_us(make: Make) -> None:
    world = make()
    first = on_line(world, "Is this safe?")
    async with world.running():
        await world.reply(first, "does mean([]) still work?")
        await world.reply(first, "> @codex is it?\n\nI ask you, riley.")
        await world.rest()
    assert (world.replies(first), world.model.questions) == ([], [])


async def test_a_question_on_the_pull_request_is_answered_there_from_the_change(make: Make) -> None:
    world = make()
    async with world.running():
        await world.comment("@codex ask does mean still guard its input?")
        await world.rest()
    [said] = world.ours
    assert said.startswith("Yes, line 3")
    [given] = asked(world)
    assert "2 -    if not values:" in given["code"]
    assert "thread" not in given


async def test_a_thread_on_lines_that_are_gone_is_answered_from_what_github_keeps(
    make: Make,
) -> None:
    world = make()
    first = on_line(world, "Hm.")
    world.state.push(world.pull, {"stats.py": BEFORE, "other.py": "x = 1\n"})
    async with world.running():
        await world.reply(first, "@codex ask was it safe?")
        await world.rest()
    assert len(world.replies(first)) == 1
    assert asked(world)[0]["code"].startswith("## File: stats.py\n@@ -1,4")


async def test_a_file_that_never_leaves_is_withheld_and_that_is_said(make: Make) -> None:
    world = make(config="paths: {never_send: ['stats.*']}\n")
    first = on_line(world, "Hm.")
    async with world.running():
        question = await world.reply(first, "@codex ask is it safe?")
        await world.comment("@codex ask is it safe?")
        await world.rest()
    for said in (*world.replies(first), *world.ours):
        assert said.startswith("**Not answered:**")
        assert "What to do:" in said
    assert "withheld from the model: stats.\\*" in world.replies(first)[0]
    assert world.model.questions == []
    assert "confused" in world.reactions(question)


async def test_a_secret_in_question_thread_and_code_is_masked(make: Make) -> None:
    world = make()
    token = "ghp_" + "Zk3vQ9rT1xWb7LmN5cYd2HsJ8pFg4aKeUo6R"
    world.state.push(world.pull, {"stats.py": f'{AFTER}KEY = "{token}"\n'})
    first = on_line(world, f"We use {token}.")
    async with world.running():
        await world.reply(first, f"@codex ask is {token} a key?")
        await world.rest()
    [given] = asked(world)
    assert token not in "".join(given.values())


@pytest.mark.parametrize(
    ("script", "env", "told"),
    [
        (
            lambda _: error(401, "no"),
            {},
            ("denied by the model's server", "ask the operator"),
        ),
        (
            None,
            {"MODEL_PRICES": "scripted=1/1", "MAX_USD_PER_REVIEW": "0.0000001"},
            ("the limit of 1e-07 USD for one review is reached", "MAX_USD_PER_REVIEW"),
        ),
        (
            None,
            {"MODEL_API": "static", "MODEL": "", "OPENAI_BASE_URL": ""},
            ("no model is configured", "OPENAI_BASE_URL"),
        ),
    ],
    ids=["denied", "limit", "none"],
)
async def test_without_an_answer_the_thread_says_why_and_what_to_do(
    make: Make, script: Script | None, env: dict[str, str], told: tuple[str, str]
) -> None:
    world = make(script)
    world.env.update(env)
    first = on_line(world, "Hm.")
    async with world.running():
        await world.reply(first, "@codex ask is it safe?")
        await world.rest()
    [said] = world.replies(first)
    reason, remedy = told
    assert said.startswith(f"**Not answered:** {reason}")
    assert remedy in said.split("What to do:")[1].replace("\\", "")


async def test_an_answer_that_takes_long_delays_no_command(make: Make) -> None:
    world = make(lambda _: slow(30))
    first = on_line(world, "Hm.")
    async with world.running(grace_s=0.0):
        for n in range(5):
            await world.reply(first, f"@codex ask is it safe? {n}")
        await world.until(lambda: world.model.busy == 2)
        comment = await world.comment("@codex help")
        await asyncio.wait_for(world.until(lambda: world.ours), 5)
    assert world.reactions(comment) == ["eyes"]


@pytest.mark.slow
async def test_an_answer_waits_until_our_pending_review_is_out_of_the_way(make: Make) -> None:
    world = make()
    first = on_line(world, "Hm.")
    world.state.review(world.pull, world.state.app.bot, "", review_state="PENDING")
    async with world.running():
        await world.reply(first, "@codex ask is it safe?")
        await world.until(lambda: any(r.path.endswith("/replies") for r in world.state.requests))
        pending = next(r for r in world.reviews if r.state == "PENDING")
        del world.state.reviews[pending.id]
        await world.rest()
    assert (len(world.replies(first)), len(asked(world))) == (1, 1)


# ---- why -----------------------------------------------------------------------------------------


async def test_why_tells_what_was_recorded_and_asks_no_model(make: Make) -> None:
    world = make(config="paths: {instructions: [{path: '*.py', text: Guard empty lists.}]}\n")
    async with world.running():
        comment = await reviewed(world)
        before = len(world.model.questions)
        await world.reply(comment, "@codex why")
        await world.rest()
    [said] = world.replies(comment)
    assert len(world.model.questions) == before
    for told in (
        "**P1 · correctness**",
        "Instruction: `prompts/focus/correctness.md`, `paths.instructions: *.py`.",
        "return total / len(values)",
        "The second look: As told.",
        "introduced here? Yes: `",
    ):
        assert told in said


# ---- dismiss -------------------------------------------------------------------------------------


async def test_a_dismissed_finding_is_withdrawn_and_leaves_the_verdict(make: Make) -> None:
    world = make(config="review: {fail_on: P1}\n")
    async with world.running():
        comment = await reviewed(world)
        before = len(world.model.questions)
        await world.reply(comment, "@codex dismiss callers never pass an empty list")
        await world.rest()
        first, second = world.checks
        assert (first.conclusion, second.conclusion) == ("failure", "success")
        assert comment.body.startswith(
            "Dismissed by riley: callers never pass an empty list\n\n**P1"
        )
        [said] = world.replies(comment)
        assert 'suppress:\n  - {area: correctness, path: "/stats.py", about: "mean([])' in said
        now = receipt(second)
        assert (now["state"], now["findings"]) == ("clean", [])
        assert [(d["gate"], d["reason"]) for d in now["dropped"]] == [("new", "dismissed")]
        assert len(world.model.questions) == before
        await world.comment("@codex review full")
        third = await world.ended(3)
        await world.rest()
    assert third.conclusion == "success"
    assert ("new", "dismissed") in [(d["gate"], d["reason"]) for d in receipt(third)["dropped"]]
    bot = world.state.app.bot
    assert [c for c in world.inline if c.author == bot and c.in_reply_to is None] == [comment]


@pytest.mark.slow
async def test_a_dismissed_finding_stays_so_wherever_its_code_moves(make: Make) -> None:
    world = make()
    async with world.running():
        comment = await reviewed(world)
        await world.reply(comment, "@codex dismiss")
        await world.rest()
        place = {"path": "stats.py", "side": "RIGHT", "line_range": {"start": 5, "end": 5}}
        world.model.script = finds(finding(code_location=place, title="Division by zero"))
        await world.push({"stats.py": f"# mean\n\n{AFTER}"})
        await world.comment("@codex review")
        run = await world.ended(3)
        await world.rest()
    assert run.conclusion == "success"
    assert [d["reason"] for d in receipt(run)["dropped"]] == ["dismissed"]


@pytest.mark.slow
async def test_the_one_who_writes_may_dismiss_whoever_may_command(make: Make) -> None:
    world = make(config="who: {may_command: admin}\n")
    world.state.permit(world.pull.repository, "adam", "admin")
    async with world.running():
        await world.comment("@codex review", "adam")
        await world.ended()
        await world.rest()
        [comment] = world.inline
        await world.reply(comment, "@codex dismiss")
        await world.rest()
    assert comment.body.startswith("Dismissed by riley.\n\n")


async def test_who_may_not_write_is_told_so_once(make: Make) -> None:
    world = make(config="who: {may_command: read}\n")
    async with world.running():
        comment = await reviewed(world)
        for _ in range(2):
            await world.reply(comment, "@codex dismiss", "stranger")
        await world.rest()
    [refusal] = world.ours
    assert refusal.startswith("Only people with write access may command that here; `stranger`")
    assert comment.body.startswith("**P1")
    assert (len(world.checks), world.replies(comment)) == (1, [])


async def test_a_dismissal_during_a_review_counts_for_its_verdict_too(make: Make) -> None:
    world = make()
    async with world.running():
        comment = await reviewed(world)
        world.model.script = lambda _: slow(0.3, answer())
        await world.push({"stats.py": f"# mean\n\n{AFTER}"})
        await world.comment("@codex review")
        await world.until(lambda: world.model.busy)
        await world.reply(comment, "@codex dismiss")
        await world.rest()
    verdicts = [(run.suite.head_sha, receipt(run)["state"]) for run in world.checks[1:]]
    assert verdicts == [(world.pull.head_sha, "findings"), (world.pull.head_sha, "clean")]


async def test_dismiss_elsewhere_is_answered_with_how_to_use_it(make: Make) -> None:
    world = make()
    theirs = on_line(world, "<!-- codex-review run=r finding=f head=h -->")
    async with world.running():
        await world.reply(theirs, "@codex dismiss")
        await world.comment("@codex dismiss")
        await world.rest()
    [in_thread], [on_pull] = world.replies(theirs), world.ours
    assert in_thread.startswith("`@codex dismiss` is for the thread of a finding of mine")
    assert on_pull.startswith("`@codex dismiss` is for")
    assert world.checks == []
