"""An answer of GitHub that is lost, refused or late changes nothing: one review, one check run, one
comment.

Every request of a story without trouble is named here, and each in turn goes wrong.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.demo.faults import Fault, RecordedRequest
from app.demo.state import AppIdentity, new_app
from tests.faults import expired_token, secondary_limit
from tests.hurried import hurry
from tests.model_server import Question, Reply
from tests.outcome import Outcome, read_outcome
from tests.world import World, build_world, finding, finds

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COMMANDS = "@codex review\n@codex help"
OUTCOME = Outcome(
    reviews=("COMMENTED on the head: stats.py:3",),
    checks=("completed neutral on the head, 0 annotations: Reviewed: 1 finding (1 P1)",),
    said=("answer",),
    reactions=("eyes",),
)

WRITES = (
    "POST /app/installations/…/access_tokens",
    "POST /repos/acme/stats/check-runs",
    "PATCH /repos/acme/stats/check-runs/…",
    "POST /repos/acme/stats/issues/1/comments",
    "POST /repos/acme/stats/issues/comments/…/reactions",
    "POST /repos/acme/stats/pulls/1/reviews",
    "POST /repos/acme/stats/pulls/1/reviews/…/events",
)
READS = (
    "GET /app",
    "GET /app/hook/deliveries",
    "GET /repos/acme/stats/collaborators/riley/permission",
    "GET /repos/acme/stats/contents/.github/codex-review.yml",
    "GET /repos/acme/stats/contents/stats.py",
    "GET /repos/acme/stats/git/trees/BASE",
    "GET /repos/acme/stats/issues/1/comments",
    "GET /repos/acme/stats/pulls/1",
    "GET /repos/acme/stats/pulls/1/reviews",
    "POST /graphql",
)
LOST = {
    "502 after the effect": Fault(path="", status=502, when="after"),
    "cut after the effect": Fault(path="", cut=True, when="after"),
}
TROUBLE = {
    "401": expired_token(""),
    "secondary limit": secondary_limit("", retry_after_s=1),
    "429": Fault(path="", status=429, message="Too many", headers={"retry-after": "1"}),
    "two 500s": Fault(path="", status=500, times=2),
    "cut before the effect": Fault(path="", cut=True),
    "slow": Fault(path="", delay_s=0.5),
}


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    return hurry(build_world(tmp_path, identity, finds(finding())))


async def play(world: World) -> Outcome:
    """Let somebody ask for a review and for help, and wait until both are there."""
    async with world.running():
        comment = await world.comment(COMMANDS)
        await world.ended()
        await world.until(lambda: world.ours)
    return read_outcome(world, comment.id)


def _name(request: RecordedRequest) -> str:
    path = re.sub(r"[0-9a-f]{40}", "BASE", request.path)
    return f"{request.method} {re.sub(r'[0-9]{6,}', '…', path)}"


def _on(fault: Fault, request: str) -> Fault:
    """The same trouble, for the next requests of this name."""
    method, _, path = request.partition(" ")
    pattern = "^" + re.escape(path).replace("…", r"\d+").replace("BASE", "[0-9a-f]{40}") + "$"
    return Fault(
        method=method,
        path=pattern,
        status=fault.status,
        message=fault.message,
        headers=fault.headers,
        cut=fault.cut,
        delay_s=fault.delay_s,
        when=fault.when,
        times=fault.times,
    )


def _times(world: World, request: str) -> int:
    return [_name(made) for made in world.state.requests].count(request)


async def test_these_are_all_the_requests_of_a_story(world: World) -> None:
    assert await play(world) == OUTCOME
    assert {_name(request) for request in world.state.requests} == {*WRITES, *READS}


@pytest.mark.parametrize(
    "lost",
    ["502 after the effect", pytest.param("cut after the effect", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_whose_answer_is_lost_is_made_once(
    world: World, write: str, lost: str
) -> None:
    fault = _on(LOST[lost], write)
    world.state.faults.append(fault)
    assert await play(world) == OUTCOME
    assert fault.times == 0


async def test_the_answers_of_all_writes_may_be_lost_in_one_story(world: World) -> None:
    faults = [_on(LOST["502 after the effect"], write) for write in WRITES]
    world.state.faults += faults
    assert await play(world) == OUTCOME
    assert {fault.times for fault in faults} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("request_name", [*WRITES, *READS])
async def test_trouble_with_one_request_changes_nothing(
    world: World, request_name: str, trouble: str
) -> None:
    fault = _on(TROUBLE[trouble], request_name)
    world.state.faults.append(fault)
    assert await play(world) == OUTCOME
    assert fault.times == 0


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_trouble_with_the_review_itself_changes_nothing(world: World, trouble: str) -> None:
    fault = _on(TROUBLE[trouble], "POST /repos/acme/stats/pulls/1/reviews")
    world.state.faults.append(fault)
    assert await play(world) == OUTCOME
    assert fault.times == 0


async def test_a_token_that_expires_in_the_middle_is_renewed(world: World) -> None:
    found = world.model.script

    def expire(question: Question) -> Reply:
        for token in world.state.tokens.values():
            token.expires_at = 0.0
        return found(question)

    world.model.script = expire
    assert await play(world) == OUTCOME
    assert len(world.state.tokens) == 2
    assert 401 in {request.status for request in world.state.requests}


async def test_a_pending_review_of_an_older_run_makes_way(world: World) -> None:
    stale = world.state.review(
        world.pull, world.state.app.bot, "From long ago", review_state="PENDING"
    )
    assert await play(world) == OUTCOME
    assert stale.id not in world.state.reviews


async def test_a_pending_review_that_appears_while_we_write_makes_way(world: World) -> None:
    """GitHub allows one, tells only its author of it, and refuses any other with a 422."""
    create = "POST /repos/acme/stats/pulls/1/reviews"
    one_pending = "User can only have one pending review per pull request"
    world.state.faults.append(_on(Fault(path="", status=422, message=one_pending), create))
    refused = ("POST /repos/acme/stats/pulls/1/reviews: 422",)
    assert await play(world) == replace(OUTCOME, refused=refused)
    assert _times(world, create) == 2


async def test_a_locked_conversation_ends_with_a_check_run_that_says_so(world: World) -> None:
    world.pull.locked = True
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert (run.conclusion, world.reviews, world.ours) == ("neutral", [], [])
    assert "locked" in (run.title or "") + (run.summary or "")
