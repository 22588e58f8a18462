"""One exchange: limits on size and time, connections that break."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.llm.connection import MAX_ANSWER_BYTES, Received
from app.llm.faults import Kind
from tests.llm.builders import connection_over

pytestmark = pytest.mark.anyio

WORD = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
THOUGHT = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'


async def send_to(
    pieces: AsyncIterator[bytes], *, timeout_s: float = 5.0, idle_timeout_s: float = 5.0
) -> Received:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=pieces))
    async with httpx.AsyncClient(transport=transport) as client:
        connection = connection_over(client, idle_timeout_s=idle_timeout_s)
        return await connection.send("POST", "x", b"{}", timeout_s=timeout_s)


async def test_reading_ends_where_the_stream_says_so() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield WORD + b"data: [DO"
        yield b"NE]\n\n"
        await asyncio.sleep(30)

    received = await send_to(pieces())
    assert (len(received.events), received.is_ended, received.fault) == (2, True, None)


@pytest.mark.parametrize("state", ["completed", "incomplete", "failed"])
async def test_reading_ends_with_the_last_state_of_a_response(state: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'data: {"type": "response.output_text.delta", "delta": "\\"type\\""}\n\n'
        yield b'data: {"response": {"output": []}, "type": "response.%s"}\n\n' % state.encode()
        await asyncio.sleep(30)

    received = await send_to(pieces())
    assert (len(received.events), received.is_ended) == (2, True)


@pytest.mark.parametrize(("first", "kept"), [(WORD, 1), (THOUGHT, 1)])
async def test_a_stream_that_falls_silent_is_given_up_and_what_came_is_kept(
    first: bytes, kept: int
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield first
        await asyncio.sleep(30)

    is_talking = first is WORD
    limits = (5.0, 0.1) if is_talking else (0.1, 5.0)
    received = await send_to(pieces(), timeout_s=limits[0], idle_timeout_s=limits[1])
    assert received.fault
    assert received.fault.kind is Kind.PASSING
    assert received.fault.text == "the model server said nothing within 0.1 s"
    assert len(received.events) == kept


async def test_a_model_may_think_in_silence_before_its_first_word() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield THOUGHT
        await asyncio.sleep(0.1)
        yield WORD

    received = await send_to(pieces(), idle_timeout_s=0.02)
    assert (len(received.events), received.fault) == (2, None)


async def test_a_stream_that_keeps_talking_is_still_bounded() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield WORD
            await asyncio.sleep(0.005)

    received = await send_to(pieces(), timeout_s=0.1)
    assert received.fault
    assert received.fault.kind is Kind.PASSING
    assert received.fault.text == "the model server did not finish its answer within 0.1 s"


async def test_of_an_endless_answer_no_more_than_the_limit_is_read() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b" " * (1 << 20)

    received = await send_to(pieces())
    assert received.fault
    assert received.fault.kind is Kind.UNKNOWN
    assert len(received.body) == MAX_ANSWER_BYTES + (1 << 20)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", Kind.DENIED),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", Kind.DENIED),
        ("[Errno 111] Connection refused", Kind.PASSING),
    ],
)
async def test_a_certificate_is_not_mended_by_another_try(text: str, kind: Kind) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(text, request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
        received = await connection_over(client).send("GET", "models", timeout_s=1)
    assert received.fault
    assert (received.status, received.fault.kind) == (0, kind)


@pytest.mark.parametrize(
    ("body", "values"),
    [(b'{"a": 1}', [{"a": 1}]), (b"<html>", [None]), (b"", [None]), (b"[" * 200_000, [None])],
)
async def test_a_body_that_is_no_json_is_no_value(body: bytes, values: list[object]) -> None:
    assert Received(body=bytearray(body)).values == values


async def test_a_wrong_content_type_does_not_hide_a_stream() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'data: {"a": 1}\n\n'

    assert (await send_to(pieces())).values == [{"a": 1}]
