"""Every request of ours against GitHub's own description: nothing that GitHub would not know.

Whole stories are played, with all that can go wrong on the way; then each request is held against
the description, and each host, header and token against what `app.yml` asks for.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import yaml

from app.demo.deliveries import deliver
from app.demo.events import comment_event
from app.demo.faults import Fault, RecordedRequest
from app.demo.state import new_app
from tests.conformance.description import Description
from tests.conftest import CHECKOUT
from tests.hurried import hurry
from tests.model_server import Question, Reply, error
from tests.outcome import is_question
from tests.world import AFTER, World, answer, build_world, finding, finds

pytestmark = [pytest.mark.anyio, pytest.mark.conformance]

JSON, DIFF, RAW = (
    "application/vnd.github+json",
    "application/vnd.github.diff",
    "application/vnd.github.raw+json",
)
LINES = [f"limit_{letter} = {number}" for number, letter in enumerate("abcdef", start=10)]

GRAPHQL = "/graphql"

TOUCHED = {
    "GET /app",
    "GET /app/hook/deliveries",
    "GET /app/hook/deliveries/{delivery_id}",
    "POST /app/installations/{installation_id}/access_tokens",
    "GET /repos/{owner}/{repo}",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/files",
    "GET /repos/{owner}/{repo}/contents/{path}",
    "GET /repos/{owner}/{repo}/git/trees/{tree_sha}",
    "POST /repos/{owner}/{repo}/check-runs",
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "GET /repos/{owner}/{repo}/commits/{ref}/check-runs",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews",
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews",
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/events",
    "DELETE /repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}",
    "GET /app/installations/{installation_id}",
    "GET /repos/{owner}/{repo}/compare/{basehead}",
    "PATCH /repos/{owner}/{repo}/pulls/comments/{comment_id}",
}
"""What the stories below ask of GitHub; a story that no longer does what it tells is found out."""


async def everything_at_once(world: World) -> None:
    """Six findings, one more than a review may have; help, and somebody who may not ask."""
    world.state.push(world.pull, {"limits.py": "".join(f"{line}\n" for line in LINES)}, force=True)
    place = {"path": "limits.py", "side": "RIGHT"}
    world.model.script = finds(
        *(
            finding(
                title=f"Limit {n} is off by one",
                evidence_quote=line,
                code_location={**place, "line_range": {"start": n, "end": n}},
            )
            for n, line in enumerate(LINES, start=1)
        )
    )
    async with world.running():
        await world.comment("@codex help\n@codex review")
        await world.comment("@codex review", "stranger")
        await world.ended()
        await world.until(lambda: len(world.ours) == 2)


async def lost_answers(world: World) -> None:
    """All answers to writes are lost once, and an older run left a pending review."""
    world.state.review(world.pull, world.state.app.bot, "Stale", review_state="PENDING")
    for path in (r"/reviews$", r"/events$", r"/check-runs$", r"/issues/1/comments$"):
        world.state.faults.append(Fault(path=path, method="POST", status=502, when="after"))
    async with world.running():
        await world.comment("@codex review\n@codex help")
        await world.ended()
        await world.until(lambda: world.ours)


async def no_credit_twice(world: World) -> None:
    """The same failure is told twice under one comment, so the second time edits it."""
    world.model.script = lambda _: error(429, "No credit", code="insufficient_quota")
    async with world.running():
        await world.comment("@codex review security\n@codex review tests")
        await world.ended()
        await world.until(lambda: "PATCH" in _comment_methods(world))


def _comment_methods(world: World) -> set[str]:
    return {r.method for r in world.state.requests if "/issues/comments/" in r.path}


async def a_push_meanwhile(world: World) -> None:
    """The first answer comes after another push."""

    def push_then_find(question: Question) -> Reply:
        if len(world.pull.commits()) == 1:
            world.state.push(world.pull, {"other.py": "x = 1\n"})
        return answer()

    world.model.script = push_then_find
    async with world.running():
        await world.comment("@codex review")
        await world.ended(2)


async def a_large_change(world: World) -> None:
    """GitHub shows no diff of more than 300 files, only their list."""
    world.state.push(world.pull, {f"data/{number}.txt": "1\n" for number in range(301)})
    async with world.running():
        await world.comment("@codex review")
        await world.ended()


async def a_new_name(world: World) -> None:
    """The repository is renamed between the delivery and the review."""
    comment = world.state.comment(world.pull, "riley", "@codex review")
    event = comment_event(world.state, comment)
    world.state.rename(world.pull.repository, "statistics")
    async with world.running():
        await deliver(world.state, event)
        await world.ended()


async def a_missed_delivery(world: World) -> None:
    """Nobody listens when the command comes; it is found in GitHub's list."""
    await world.comment("@codex review")
    world.state.deliveries[-1].status_code = 502
    async with world.running():
        await world.ended()


async def a_finding_is_fixed(world: World) -> None:
    """A file with a comment of ours goes away, perhaps to another name; its thread is closed."""
    world.state.push(world.pull, {"more.py": AFTER})
    place = {"path": "more.py", "side": "RIGHT", "line_range": {"start": 3, "end": 3}}
    world.model.script = finds(finding(code_location=place))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        world.state.push(world.pull, {"more.py": None})
        await world.comment("@codex review")
        await world.ended(2)


STORIES: dict[str, Callable[[World], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        everything_at_once,
        lost_answers,
        no_credit_twice,
        a_push_meanwhile,
        a_large_change,
        a_new_name,
        a_missed_delivery,
        a_finding_is_fixed,
    )
}


@pytest.fixture(scope="module")
async def worlds(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> dict[str, World]:
    """Every story, played once for all tests here."""
    identity = new_app("a secret")
    played = {}
    for name, story in STORIES.items():
        world = hurry(build_world(tmp_path_factory.mktemp(name), identity, finds(finding())))
        await story(world)
        played[name] = world
    return played


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def _named(request: RecordedRequest) -> str:
    return f"{request.method} {request.path}?{request.query}"


async def test_every_request_is_as_described(
    worlds: dict[str, World], description: Description
) -> None:
    problems = [
        f"{name}: {_named(request)}: {problem}"
        for name, world in worlds.items()
        for request in world.state.requests
        if request.path != GRAPHQL
        for problem in description.request_problems(request)
    ]
    assert problems == []


async def test_the_stories_touch_what_they_tell(
    worlds: dict[str, World], description: Description
) -> None:
    touched = {
        f"{request.method} {description.operation(request.method, request.path)[0]}"
        for world in worlds.values()
        for request in world.state.requests
        if request.path != GRAPHQL
    }
    assert touched == TOUCHED


async def test_nothing_that_we_send_is_refused(worlds: dict[str, World]) -> None:
    refused = [
        f"{name}: {_named(request)}: {request.response_body!r}"
        for name, world in worlds.items()
        for request in world.state.requests
        if request.status in (400, 415, 422) and request.fault is None and not is_question(request)
    ]
    assert refused == []


async def test_a_diff_is_asked_of_the_pull_request_alone(worlds: dict[str, World]) -> None:
    diffs = [r for world in worlds.values() for r in world.state.requests if r.accept == DIFF]
    assert {re.sub(r"^/repos/acme/\w+", "", request.path) for request in diffs} == {"/pulls/1"}
    told = {request.response_body[:11] for request in diffs if request.status == 200}
    assert told == {b"diff --git "}


async def test_only_github_and_the_model_are_spoken_to(worlds: dict[str, World]) -> None:
    hosts = {f"{r.url.scheme}://{r.url.host}" for world in worlds.values() for r in world.sent}
    assert hosts == {"https://api.github.com", "http://model.test"}


async def test_every_request_says_who_asks_and_in_which_version(worlds: dict[str, World]) -> None:
    said = {
        (r.headers["user-agent"], r.headers["x-github-api-version"]) for r in _to_github(worlds)
    }
    assert said == {("codex-review", "2022-11-28")}
    assert {r.headers["accept"] for r in _to_github(worlds)} == {JSON, DIFF, RAW}


async def test_no_token_goes_to_the_model(worlds: dict[str, World]) -> None:
    to_model = [r for w in worlds.values() for r in w.sent if r.url.host == "model.test"]
    assert to_model
    for request in to_model:
        assert not re.search(rb"gh[a-z]_\w|eyJ\w", request.content)
        assert "gh" not in request.headers.get("authorization", "")


async def test_a_token_is_for_one_repository_with_what_the_manifest_asks_for(
    worlds: dict[str, World],
) -> None:
    manifest = yaml.safe_load((CHECKOUT / "app.yml").read_text("utf-8"))
    asked: list[Any] = [
        json.loads(r.content) for r in _to_github(worlds) if r.url.path.endswith("/access_tokens")
    ]
    assert asked
    [repository_id] = {
        repository.id
        for world in worlds.values()
        for repository in world.state.repositories.values()
    }
    ours = {
        "repository_ids": [repository_id],
        "permissions": manifest["default_permissions"],
    }
    organisation = {
        "repositories": [".github"],
        "permissions": {"contents": "read", "metadata": "read"},
    }
    assert all(body in (ours, organisation) for body in asked)
    assert ours in asked


def _to_github(worlds: dict[str, World]) -> list[httpx.Request]:
    sent = (request for world in worlds.values() for request in world.sent)
    return [request for request in sent if request.url.host == "api.github.com"]
