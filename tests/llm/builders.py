"""A question, a clock and a model over a scripted server."""

import asyncio
from typing import Any

import httpx

from app.llm.connection import Connection
from app.llm.model import ServedModel
from app.llm.turns import Turns
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt
from tests.model_server import BASE_URL, ModelServer

KEY = "made-up-key-of-this-test"
PROMPT = Prompt(
    system="Answer in JSON.", user="The diff.", schema_name="findings", schema=b'{"type":"object"}'
)
USAGE = Usage(calls=1, input_tokens=100, output_tokens=20)


class FakeClock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def connection_over(client: httpx.AsyncClient, **changes: Any) -> Connection:
    given: dict[str, Any] = {"base_url": BASE_URL, "api_key": KEY}
    return Connection(client=client, **(given | changes))


def model_over(
    client: httpx.AsyncClient,
    clock: FakeClock,
    *,
    base_url: str = BASE_URL,
    api_key: str = KEY,
    idle_timeout_s: float = 60.0,
    **changes: Any,
) -> ServedModel:
    given: dict[str, Any] = {
        "model": "m-1",
        "timeout_s": 60.0,
        "turns": Turns(16),
        "jitter": lambda: 1.0,
    }
    connection = connection_over(
        client, base_url=base_url, api_key=api_key, idle_timeout_s=idle_timeout_s
    )
    return ServedModel(connection=connection, clock=clock, **(given | changes))


async def ask(server: ModelServer, clock: FakeClock, **changes: Any) -> Answer:
    async with server.client() as client:
        return await model_over(client, clock, **changes).ask(PROMPT)
