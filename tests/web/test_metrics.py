"""What Prometheus reads after a story, and what it must not read."""

import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.demo.state import AppIdentity, new_app
from tests.model_server import slow
from tests.world import World, build_world, finding, finds

pytestmark = pytest.mark.anyio

Numbers = Mapping[tuple[str, tuple[str, ...]], float]


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    world = build_world(tmp_path, identity, finds(finding()))
    world.env["MODEL_PRICES"] = "scripted=1/10"
    return world


async def scrape(world: World) -> Numbers:
    """Return name and label values → number."""
    assert world.state.hook.transport is not None
    http = httpx.AsyncClient(transport=world.state.hook.transport, base_url="http://us")
    text = (await http.get("/metrics")).text
    assert not re.search("stats|acme|riley|secret", text)
    return {
        (sample.name.removeprefix("codex_review_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_review_is_counted_with_its_delivery_its_calls_and_its_cost(world: World) -> None:
    async with world.running():
        await world.comment("@codex review")
        await world.comment("thank you")
        await world.rest()
        seen = await scrape(world)
    n_calls = len(world.model.questions)
    assert seen["deliveries_total", ("queued",)] == 1
    assert seen["deliveries_total", ("ignored",)] == 1
    assert seen["reviews_total", ("findings",)] == 1
    assert seen["model_calls_total", ()] == seen["model_seconds_count", ()] == n_calls
    assert seen["model_tokens_total", ("input",)] == 100 * n_calls
    assert seen["model_usd_total", ()] == pytest.approx(n_calls * 0.0003)
    assert seen["job_seconds_count", ("respond",)] == seen["job_seconds_count", ("review",)] == 1
    assert seen["github_requests_total", ("POST", "2xx")] >= 3
    assert 0 < seen["github_requests_left", ()] < 5000
    assert seen["jobs", ("review", "queued")] == seen["queue_age_seconds", ("review",)] == 0


async def test_money_is_counted_over_restarts(world: World) -> None:
    async with world.running():
        await world.comment("@codex review")
        await world.rest()
        before = await scrape(world)
    async with world.running():
        after = await scrape(world)
    assert after["model_usd_total", ()] == before["model_usd_total", ()] > 0
    assert ("reviews_total", ("findings",)) not in after


async def test_what_waits_is_counted_with_its_age_and_what_is_stopped_with_its_state(
    world: World,
) -> None:
    world.model.script = lambda _: slow(60)
    world.env["MAX_CONCURRENT_REVIEWS"] = "1"
    async with world.running():
        await world.comment("@codex review")
        await world.until(lambda: world.model.busy)
        await world.comment("@codex review security")
        await world.until(lambda: len(world.state.deliveries) == 2)
        seen: Numbers = {}
        while not seen.get(("jobs", ("review", "queued"))):
            seen = await scrape(world)
        aged = await scrape(world)
        await world.comment("@codex cancel")
        await world.rest()
        ended = await scrape(world)
    assert seen["jobs", ("review", "running")] == seen["jobs", ("review", "queued")] == 1
    assert aged["queue_age_seconds", ("review",)] > 0
    assert ended["reviews_total", ("cancelled",)] == 2
