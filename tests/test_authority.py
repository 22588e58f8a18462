"""Least authority: what `app.yml` asks for, what each token may do, and whom we speak to."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.demo.records import Token
from app.demo.state import new_app
from app.review.config import CONFIG_PATH
from tests.conftest import CHECKOUT
from tests.hurried import hurry
from tests.world import AFTER, World, build_world, finding, finds

pytestmark = pytest.mark.anyio

REVIEWING = {
    "metadata": "read",
    "contents": "read",
    "pull_requests": "write",
    "issues": "write",
    "checks": "write",
}
READING = {"metadata": "read", "contents": "read"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> World:
    """A whole story: two repositories, a fork, the organisation's file, guidelines, a refusal."""
    folder: Path = tmp_path_factory.mktemp("world")
    world = hurry(build_world(folder, new_app("a secret"), finds(finding())))
    state, pull = world.state, world.pull
    state.create_repository("acme/.github", {CONFIG_PATH: "review: {fail_on: P1}\n"})
    state.commit(pull.repository, {"AGENTS.md": "Be kind.\n", ".gitattributes": "*.x binary\n"})
    state.push(pull, {"more.py": "x = 1\n"})
    other = state.create_repository("acme/other", {"stats.py": ""})
    state.permit(other, "riley", "write")
    async with world.running():
        await world.comment("@codex help\n@codex review")
        await world.comment("@codex review", "stranger")
        await world.ended()
        await world.until(lambda: len(world.ours) == 2)
        world.pull = state.open_pull_request(
            other, {"stats.py": AFTER}, author="mallory", from_fork=True
        )
        await world.comment("@codex review")
        await world.ended(2)
    return world


def asked(world: World) -> list[Any]:
    """What was asked for, each time that a token was."""
    return [r.json() for r in world.state.requests if r.path.endswith("/access_tokens")]


def granted(world: World) -> list[tuple[list[str], Token]]:
    """Every token, and the repositories that it reaches."""
    state = world.state
    tokens = [token for token in state.tokens.values() if token.installation]
    return [([r.full_name for r in state.repositories_of(token)], token) for token in tokens]


def test_the_manifest_asks_for_what_we_promise_and_no_more() -> None:
    manifest = yaml.safe_load((CHECKOUT / "app.yml").read_text("utf-8"))
    assert manifest["default_permissions"] == REVIEWING
    assert manifest["public"] is False


async def test_every_token_is_asked_for_with_one_repository_and_all_that_it_may_do(
    world: World,
) -> None:
    ours = [
        {"repository_ids": [repository.id], "permissions": REVIEWING}
        for repository in world.state.repositories.values()
        if repository.installed and repository.name != ".github"
    ]
    organisation = {"repositories": [".github"], "permissions": READING}
    assert len(ours) == 2
    assert all(body in (*ours, organisation) for body in asked(world))
    assert all(body in asked(world) for body in (*ours, organisation))


async def test_every_token_reaches_one_repository(world: World) -> None:
    reached = granted(world)
    assert {tuple(names) for names, _ in reached} == {
        ("acme/stats",),
        ("acme/other",),
        ("acme/.github",),
    }
    for names, token in reached:
        assert token.permissions == (READING if names == ["acme/.github"] else REVIEWING)


async def test_of_the_organisation_only_its_configuration_is_read(world: World) -> None:
    there = {(r.method, r.path) for r in world.state.requests if "/acme/.github/" in r.path}
    assert there == {("GET", f"/repos/acme/.github/contents/{CONFIG_PATH}")}


async def test_nothing_is_asked_of_a_fork(world: World) -> None:
    assert not [r for r in world.state.requests if "/mallory/" in r.path]


async def test_nobody_but_github_and_the_model_is_spoken_to(world: World) -> None:
    hosts = {f"{r.url.scheme}://{r.url.host}" for r in world.sent}
    assert hosts == {"https://api.github.com", "http://model.test"}


async def test_the_model_is_shown_no_token(world: World) -> None:
    tokens = [text.encode() for text in world.state.tokens]
    to_model = [r for r in world.sent if r.url.host == "model.test"]
    assert to_model
    for request in to_model:
        told = request.content + repr(request.headers).encode()
        assert not any(token in told for token in tokens)
