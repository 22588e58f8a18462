"""The whole story with a real model: what it says is worth little, so only robustness is claimed.

Takes a minute or two; `tests/real_model.py` says where the model comes from.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.demo.records import CheckRun
from app.demo.state import new_app
from tests.model_server import ModelServer, in_turn
from tests.real_model import RealModel, real_model
from tests.world import World, build_world, receipt

pytestmark = [pytest.mark.anyio, pytest.mark.real_model]

PATIENCE_S = 900.0
CONTEXT_TOKENS = 4096
"""Room for one real question, and for an answer that a small model fills without an end."""


class Reached(ModelServer):
    """Stands where a story has its scripted server, and leaves every question to the network."""

    def __init__(self) -> None:
        super().__init__(in_turn())

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient()


@pytest.fixture(scope="module")
def served() -> Iterator[RealModel]:
    with real_model(context_tokens=CONTEXT_TOKENS) as served:
        yield served


@pytest.fixture
def world(tmp_path: Path, served: RealModel) -> World:
    world = build_world(tmp_path, new_app("a secret"), in_turn())
    world.model = Reached()
    world.env |= {
        "OPENAI_BASE_URL": served.url,
        "MODEL": served.name,
        "MODEL_TIMEOUT_S": "280",
        # llama-cpp-python's server breaks a stream off as soon as another question comes.
        "MAX_CONCURRENT_MODEL_CALLS": "1",
    }
    return world


async def test_a_signed_command_becomes_a_verdict_whatever_the_model_says(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="codex_review"):
        async with world.running():
            comment = await world.comment("@codex review correctness")
            run = await ended(world)
            told = receipt(run)
    assert world.state.deliveries[0].status_code == 202
    assert "eyes" in world.reactions(comment)
    assert len(world.checks) == 1
    assert told["run_id"] == run.external_id
    assert told["state"] in ("clean", "findings", "partial", "checked")
    assert run.conclusion == told["conclusion"]
    assert len(world.reviews) == (0 if told["state"] == "clean" else 1)
    assert all(review.state == "COMMENTED" for review in world.reviews)
    [row] = told["coverage"]
    assert row["path"] == "stats.py"
    if any(area.startswith("shown") for area in row["areas"].values()):
        usage = told["usage"]
        assert usage["model"] == world.env["MODEL"]
        assert usage["input_tokens"] > 1_000 * usage["calls"] > 0
        assert usage["output_tokens"] > 0
    lines = [
        json.loads(record.message) for record in caplog.records if record.name == "codex_review"
    ]
    assert lines
    assert not [line for line in lines if "exception" in line or line["level"] == "error"]


async def ended(world: World) -> CheckRun:
    """Wait for the check run as long as a small model on a busy machine takes."""
    end = time.monotonic() + PATIENCE_S
    while not (world.checks and world.checks[0].status == "completed"):
        if time.monotonic() > end:
            raise TimeoutError("no verdict came")
        await asyncio.sleep(0.2)
    return world.checks[0]
