"""Reviews that nobody asked for: what starts them, what stops them, and who is told why not."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.demo.deliveries import deliver
from app.demo.state import AppIdentity, new_app
from tests.disk import rows
from tests.events import base_event
from tests.model_server import Question, Reply, Script, slow
from tests.world import World, answer, build_world, finding, finds, receipt

pytestmark = pytest.mark.anyio
Make = Callable[..., World]

ALL = "[opened, reopened, ready_for_review, synchronize, 'label:review me']"


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    """A world whose repository wants reviews of its author's pull requests, or as told."""

    def build(script: Script | None = None, *, automatic: str = ALL, more: str = "") -> World:
        world = build_world(tmp_path, identity, script or finds())
        world.state.permit(world.pull.repository, world.pull.author, "write")
        world.configure(f"version: 1\nreview:\n  automatic: {automatic}\n{more}")
        return world

    return build


def shown(world: World) -> list[tuple[str, str | None]]:
    """Where check runs ended, oldest first: on the head of now or an older one, and how."""
    head = world.pull.head_sha
    return [("head" if c.suite.head_sha == head else "older", c.conclusion) for c in world.checks]


def until_pushed(world: World) -> None:
    """Let the model think for ever about the first head, and answer at once after a push."""
    first = world.pull.head_sha

    def script(question: Question) -> Reply:
        return slow(60) if world.pull.head_sha == first else answer()

    world.model.script = script


async def review_is_stored(world: World, n: int) -> None:
    """Wait until so many reviews were wanted, whether or not they began."""
    reviews = "SELECT id FROM jobs WHERE lane = 'review'"
    await world.until(lambda: len(rows(world.database, reviews)) == n)


@pytest.mark.parametrize("action", ["opened", "reopened", "ready_for_review"])
async def test_what_is_configured_starts_a_review(make: Make, action: str) -> None:
    world = make(finds(finding()))
    async with world.running():
        delivery = await world.happens(action)
        run = await world.ended()
    assert delivery.status_code == 202
    assert [comment.place.line for comment in world.inline] == [3]
    assert receipt(run)["state"] == "findings"
    assert world.ours == []


async def test_a_label_starts_the_review_that_is_configured_for_it(make: Make) -> None:
    world = make()
    async with world.running():
        await world.label("bug")
        await world.rest()
        assert world.checks == []
        await world.label("Review me")
        await world.ended()
    assert shown(world) == [("head", "success")]


@pytest.mark.parametrize("action", ["opened", "synchronize"])
async def test_what_is_not_configured_starts_nothing_and_reports_nothing(
    make: Make, action: str
) -> None:
    world = make(automatic="[]")
    world.pull.draft = True
    async with world.running():
        await world.happens(action)
        await world.rest()
    assert (world.checks, world.model.questions, world.ours) == ([], [], [])


async def test_nobody_asked_so_only_what_is_urgent_is_said(make: Make) -> None:
    world = make(finds(finding(priority=2)))
    async with world.running():
        await world.happens("opened")
        await world.ended()
        assert world.inline == []
        await world.comment("@codex review full")
        await world.ended(2)
    assert len(world.inline) == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("  branches: [release/*]\n", "its base branch is not among the configured branches"),
        ("  ignore_authors: [Contributor]\n", "its author is among the ignored authors"),
        ("  skip_labels: [wip]\n", "its label wip says so"),
        ("  automatic_for: admin\n", "its author has no admin access"),
    ],
)
async def test_what_is_skipped_says_why(make: Make, more: str, reason: str) -> None:
    world = make(more=f"{more}  check_name: our review\n")
    world.pull.labels.append("wip")
    async with world.running():
        await world.happens("opened")
        run = await world.ended()
        await world.rest()
    assert (run.name, run.conclusion, run.title) == (
        "our review",
        "neutral",
        f"NOT REVIEWED: {reason}",
    )
    assert receipt(run)["state"] == "skipped"
    assert receipt(run)["head_sha"] == run.suite.head_sha == world.pull.head_sha
    assert world.model.questions == []


async def test_a_stranger_s_pull_request_is_not_paid_for(make: Make) -> None:
    world = make()
    world.state.permit(world.pull.repository, world.pull.author, "read")
    async with world.running():
        await world.happens("opened")
        run = await world.ended()
    assert run.title == "NOT REVIEWED: its author has no write access"
    assert world.model.questions == []


async def test_a_draft_is_reviewed_when_it_is_ready(make: Make) -> None:
    world = make()
    world.pull.draft = True
    async with world.running():
        await world.happens("opened")
        first = await world.ended()
        world.pull.draft = False
        await world.happens("ready_for_review")
        await world.ended(2)
    assert first.title == "NOT REVIEWED: it is a draft"
    assert shown(world) == [("head", "neutral"), ("head", "success")]


async def test_a_verdict_is_never_covered_by_a_reason_why_there_is_no_review(make: Make) -> None:
    world = make(finds(finding()), more="  fail_on: P1\n")
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        world.pull.draft = True
        await world.happens("reopened")
        await world.rest()
    assert shown(world) == [("head", "failure")]


@pytest.mark.slow
async def test_no_reason_is_given_beside_a_review_that_runs(make: Make) -> None:
    world = make(lambda _: slow(0.5, answer()))
    async with world.running():
        await world.comment("@codex review")
        await world.until(lambda: world.model.questions)
        world.pull.draft = True
        await world.happens("reopened")
        await world.rest()
    assert shown(world) == [("head", "success")]


async def test_pushes_in_quick_succession_are_one_review_of_the_last(make: Make) -> None:
    world = make()
    async with world.running(debounce_s=0.5):
        for n in range(3):
            await world.push({"other.py": f"x = {n}\n"})
            await review_is_stored(world, n + 1)
        await world.ended()
        await world.rest()
    assert shown(world) == [("head", "success")]
    begun = rows(world.database, "SELECT id FROM jobs WHERE lane = 'review' AND attempt > 0")
    assert len(begun) == 1


async def test_a_push_supersedes_the_review_that_runs(make: Make) -> None:
    world = make()
    until_pushed(world)
    async with world.running():
        await world.happens("opened")
        await world.until(lambda: world.model.questions)
        await world.push({"other.py": "x = 1\n"})
        await world.ended(2)
        await world.rest()
    assert shown(world) == [("older", "cancelled"), ("head", "success")]
    assert world.checks[0].title == "Superseded: a newer review takes its place"


@pytest.mark.parametrize("automatic", ["[]", "[synchronize]"])
async def test_a_push_takes_the_review_that_somebody_asked_for_to_the_new_head(
    make: Make, automatic: str
) -> None:
    world = make(automatic=automatic)
    until_pushed(world)
    async with world.running():
        comment = await world.comment("@codex review for memory leaks")
        await world.until(lambda: world.model.questions)
        n_asked = len(world.model.questions)
        await world.push({"other.py": "x = 1\n"})
        await world.ended(2)
        await world.until(lambda: "+1" in world.reactions(comment))
        await world.rest()
    assert shown(world) == [("older", "cancelled"), ("head", "success")]
    assert all("memory leaks" in q.user for q in world.model.questions[n_asked:])
    assert world.ours == []


async def test_a_narrow_review_is_taken_along_and_the_whole_one_follows(make: Make) -> None:
    world = make()
    until_pushed(world)
    async with world.running():
        await world.comment("@codex review security")
        await world.until(lambda: world.model.questions)
        await world.push({"other.py": "x = 1\n"})
        await world.ended(3)
        await world.rest()
    assert [(where, c) for where, c in shown(world)] == [
        ("older", "cancelled"),
        ("head", "neutral"),
        ("head", "success"),
    ]


@pytest.mark.slow
async def test_a_late_word_of_a_push_leaves_the_review_of_that_head_alone(make: Make) -> None:
    world = make(automatic="[]")
    world.model.script = lambda _: slow(0.5, answer())
    world.state.push(world.pull, {"other.py": "x = 1\n"})
    async with world.running():
        await world.comment("@codex review")
        await world.until(lambda: world.model.questions)
        await world.happens("synchronize")
        await world.rest()
    assert shown(world) == [("head", "success")]


async def test_a_push_while_nothing_runs_starts_nothing_that_is_not_configured(make: Make) -> None:
    world = make(automatic="[opened]")
    async with world.running():
        await world.push({"other.py": "x = 1\n"})
        await world.rest()
    assert world.checks == []


async def test_another_base_is_another_diff(make: Make) -> None:
    world = make()
    world.state.commit(world.pull.repository, {"base.py": "x = 1\n"}, branch="next")
    async with world.running():
        event = await asyncio.to_thread(base_event, world.state, world.pull, "next")
        await deliver(world.state, event)
        await world.ended()
    assert shown(world) == [("head", "success")]


async def test_closing_stops_a_review_that_nobody_asked_for(make: Make) -> None:
    world = make(lambda _: slow(60))
    async with world.running():
        await world.happens("opened")
        await world.until(lambda: world.model.questions)
        world.pull.state = "closed"
        await world.happens("closed")
        run = await world.ended()
        await world.rest()
    assert (run.conclusion, run.title) == ("cancelled", "Cancelled: a person stopped it")


async def test_closing_does_not_stop_a_review_that_somebody_asked_for(make: Make) -> None:
    world = make(lambda _: slow(0.3, answer()))
    async with world.running():
        await world.comment("@codex review")
        await world.until(lambda: world.model.questions)
        world.pull.state, world.pull.merged = "closed", True
        await world.happens("closed")
        run = await world.ended()
    assert run.conclusion == "success"


async def test_pause_stops_automatic_reviews_and_resume_brings_them_back(make: Make) -> None:
    world = make()
    async with world.running():
        comment = await world.comment("@codex pause")
        await world.until(lambda: world.ours)
        await world.push({"other.py": "x = 1\n"})
        paused = await world.ended()
        await world.comment("@codex review")
        asked = await world.ended(2)
        await world.comment("@codex resume")
        await world.until(lambda: len(world.ours) == 2)
        await world.push({"other.py": "x = 2\n"})
        resumed = await world.ended(3)
    assert world.reactions(comment) == ["eyes"]
    assert "`@codex resume`" in world.ours[0]
    assert paused.title == "NOT REVIEWED: automatic reviews are paused here"
    assert (asked.conclusion, resumed.conclusion) == ("success", "success")


async def test_pause_stops_the_review_that_runs_if_nobody_asked_for_it(make: Make) -> None:
    world = make(lambda _: slow(60))
    async with world.running():
        await world.happens("opened")
        await world.until(lambda: world.model.questions)
        await world.comment("@codex pause")
        await world.ended()
    assert shown(world) == [("head", "cancelled")]


async def test_cancel_stops_the_review_and_says_so(make: Make) -> None:
    world = make(lambda _: slow(60))
    async with world.running():
        await world.comment("@codex review")
        await world.until(lambda: world.model.questions)
        await world.comment("@codex cancel")
        run = await world.ended()
        await world.until(lambda: world.ours)
        await world.rest()
    assert (run.conclusion, run.title) == ("cancelled", "Cancelled: a person stopped it")
    assert "No review runs or waits here any more" in world.ours[0]
    assert len(world.ours) == len(world.checks) == 1


async def test_a_stranger_neither_pauses_nor_cancels(make: Make) -> None:
    world = make(lambda _: slow(0.5, answer()))
    async with world.running():
        await world.happens("opened")
        await world.until(lambda: world.model.questions)
        await world.comment("@codex cancel\n@codex pause", "stranger")
        run = await world.ended()
        await world.rest()
        assert run.conclusion == "success"
        await world.push({"other.py": "x = 1\n"})
        await world.ended(2)
    assert shown(world) == [("older", "success"), ("head", "success")]
    assert "write access" in world.ours[0]
