"""OpenAI's own client understands the scripted server: what we test against speaks the protocol.

Skipped, and saying so, where that client is not installed.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.demo.serving import serving
from tests.model_server import ModelServer, Question, error, in_turn

openai = pytest.importorskip("openai", reason="the client `openai` is not installed")
pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MESSAGES = [{"role": "system", "content": "rules"}, {"role": "user", "content": "diff"}]
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
FORM = {"name": "findings", "strict": True, "schema": SCHEMA}


@pytest.fixture
def server() -> ModelServer:
    return ModelServer(in_turn("hello"))


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[Any]:
    async with (
        serving(server.app) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="made-up", max_retries=0) as client,
    ):
        yield client


async def test_it_reads_a_completion(client: Any, server: ModelServer) -> None:
    completion = await client.chat.completions.create(
        model="m-1",
        messages=MESSAGES,
        response_format={"type": "json_schema", "json_schema": FORM},
    )
    assert completion.choices[0].message.content == "hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.prompt_tokens == 100
    [question] = server.questions
    assert (question.system, question.user, question.form) == ("rules", "diff", "json_schema")


async def test_it_reads_a_stream_with_its_usage(client: Any) -> None:
    stream = await client.chat.completions.create(
        model="m-1",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "hello"
    assert chunks[-1].usage.completion_tokens == 20


async def test_it_reads_a_response(client: Any, server: ModelServer) -> None:
    form = {"type": "json_schema", **FORM}
    response = await client.responses.create(
        model="m-1", instructions="rules", input="diff", text={"format": form}
    )
    assert (response.output_text, response.status) == ("hello", "completed")
    assert response.usage.output_tokens == 20
    [question] = server.questions
    assert (question.system, question.user, question.form) == ("rules", "diff", "json_schema")


async def test_it_reads_a_streamed_response(client: Any) -> None:
    async with client.responses.stream(model="m-1", input="diff") as stream:
        kinds = [event.type async for event in stream]
        response = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert response.output_text == "hello"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_it_reads_a_legacy_completion(client: Any, is_streamed: bool) -> None:
    told = await client.completions.create(model="m-1", prompt="diff", stream=is_streamed)
    parts = [part async for part in told] if is_streamed else [told]
    assert "".join(part.choices[0].text for part in parts) == "hello"


async def test_it_reads_models(client: Any, server: ModelServer) -> None:
    model = {"id": "m-1", "object": "model", "created": 1, "owned_by": "us"}
    server.told["models"] = {"object": "list", "data": [model]}
    assert [model.id async for model in client.models.list()] == ["m-1"]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
async def test_it_reads_an_error(client: Any, server: ModelServer, status: int, name: str) -> None:
    def script(_: Question) -> Any:
        return error(status, "why", code="a_code")

    server.script = script
    with pytest.raises(getattr(openai, name)) as caught:
        await client.chat.completions.create(model="m-1", messages=MESSAGES)
    assert caught.value.code == "a_code"
