"""One question to a chat completions server, and everything that may come back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from app.errors import (
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
    PromptTooLong,
)
from app.llm.chat import MAX_ANSWER_BYTES, MAX_RATIO, MAX_TRIES, ChatModel
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt
from app.review.tokens import estimate
from tests.model_server import (
    BASE_URL,
    Completion,
    Fault,
    ModelServer,
    Reply,
    blank,
    cut_json,
    error,
    error_in_200,
    html,
    in_turn,
    slow,
)

pytestmark = pytest.mark.anyio

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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def model_over(client: httpx.AsyncClient, clock: FakeClock, **changes: Any) -> ChatModel:
    given: dict[str, Any] = {
        "base_url": BASE_URL,
        "api_key": KEY,
        "model": "m-1",
        "timeout_s": 60.0,
        "slots": asyncio.Semaphore(16),
        "jitter": lambda: 1.0,
    }
    return ChatModel(client=client, clock=clock, **(given | changes))


async def ask(server: ModelServer, clock: FakeClock, **changes: Any) -> Answer:
    async with server.client() as client:
        return await model_over(client, clock, **changes).ask(PROMPT)


async def test_a_question_is_sent_as_a_strict_schema_request(clock: FakeClock) -> None:
    server = ModelServer(in_turn("hello"))
    answer = await ask(server, clock)
    assert answer == Answer(text="hello", model="m-1", usage=USAGE)
    (question,) = server.questions
    assert question.body == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": "The diff."},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "findings", "strict": True, "schema": {"type": "object"}},
        },
    }
    assert question.headers["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_no_authorization_is_sent(clock: FakeClock) -> None:
    server = ModelServer(in_turn("hello"))
    await ask(server, clock, api_key="")
    assert "authorization" not in server.questions[0].headers


async def test_a_slash_behind_the_address_does_not_matter(clock: FakeClock) -> None:
    server = ModelServer(in_turn("hello"))
    assert (await ask(server, clock, base_url=f"{BASE_URL}/")).text == "hello"


async def test_the_key_is_not_in_the_repr(clock: FakeClock) -> None:
    async with httpx.AsyncClient() as client:
        assert KEY not in repr(model_over(client, clock))


# ---- what a completion may look like -------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "text", "is_cut"),
    [
        (Completion(text='{"findings": [', finish_reason="length"), '{"findings": [', True),
        (Completion(text="x", finish_reason=None), "x", False),
        (
            Completion(message={"content": [{"type": "text", "text": "a"}, {"text": "b"}]}),
            "ab",
            False,
        ),
        (Completion(text="x", message={"reasoning_content": "thoughts"}), "x", False),
        (Completion(text="x", message={"refusal": ""}), "x", False),
        (Completion(text="half \ud83d whole \U0001f600"), "half \ufffd whole \U0001f600", False),
    ],
)
async def test_a_completion_is_read(
    reply: Completion, text: str, is_cut: bool, clock: FakeClock
) -> None:
    answer = await ask(ModelServer(in_turn(as_json(reply))), clock)
    assert (answer.text, answer.is_cut) == (text, is_cut)


def as_json(reply: Completion) -> Fault:
    """Write a completion as ASCII, so that halves of characters can be sent."""
    message = {"role": "assistant", "content": reply.text, **reply.message}
    choice = {"message": message, "finish_reason": reply.finish_reason}
    return Fault(body=json.dumps({"choices": [choice], "usage": dict(reply.usage or {})}))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3, False)),
        (None, (0, 0, True)),
        ({}, (0, 0, True)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, True)),
        ({"prompt_tokens": None, "completion_tokens": 3}, (0, 3, True)),
        ({"prompt_tokens": -5, "completion_tokens": True}, (0, 0, True)),
        ({"prompt_tokens": 10**30, "completion_tokens": "3"}, (0, 0, True)),
    ],
)
async def test_tokens_are_counted_by_the_server_or_estimated(
    usage: dict[str, Any] | None, counted: tuple[int, int, bool], clock: FakeClock
) -> None:
    answer = await ask(ModelServer(in_turn(Completion(text="hello", usage=usage))), clock)
    tokens_in, tokens_out, is_estimated = counted
    assert answer.usage == Usage(
        calls=1,
        input_tokens=tokens_in or estimate(PROMPT.system) + estimate(PROMPT.user),
        output_tokens=tokens_out or estimate("hello"),
        is_estimated=is_estimated,
    )


# ---- what is final -------------------------------------------------------------------------------

FINAL: list[tuple[Reply, type[ModelError], str]] = [
    (error(401, "Incorrect API key provided"), ModelDenied, "OPENAI_API_KEY"),
    (error(403, "no"), ModelDenied, "OPENAI_API_KEY"),
    (error(404, "The model does not exist", code="model_not_found"), ModelDenied, "MODEL"),
    (Fault(status=404, body={"detail": "Not Found"}), ModelDenied, "OPENAI_BASE_URL"),
    (Fault(status=302, headers={"location": "/login"}), ModelDenied, "OPENAI_BASE_URL"),
    (error(402, "Insufficient Balance"), OutOfCredit, "Insufficient Balance"),
    (error(429, "quota", type="insufficient_quota"), OutOfCredit, "quota"),
    (error(400, "too long", code="context_length_exceeded"), PromptTooLong, "too long"),
    (error(400, "filtered", code="content_filter"), ModelRefused, "filter"),
    (error(400, "top_k is unknown", param="top_k"), ModelUnavailable, "top_k"),
    (error_in_200("Insufficient credits", 402), OutOfCredit, "Insufficient credits"),
    (Completion(text=None, message={"refusal": "I cannot help"}), ModelRefused, "I cannot help"),
    (Completion(text="{}", finish_reason="content_filter"), ModelRefused, "filter"),
    (Fault(body=b" " * (MAX_ANSWER_BYTES + 1)), ModelUnavailable, "8 MiB"),
]


@pytest.mark.parametrize(("reply", "expected", "word"), FINAL)
async def test_what_another_try_cannot_mend_is_told_at_once(
    reply: Reply, expected: type[ModelError], word: str, clock: FakeClock
) -> None:
    server = ModelServer(in_turn(reply))
    with pytest.raises(expected, match=word):
        await ask(server, clock)
    assert (len(server.questions), clock.slept) == (1, [])


async def test_the_key_follows_no_redirect(clock: FakeClock) -> None:
    elsewhere = Fault(status=307, headers={"location": f"{BASE_URL}/chat/completions"})
    server = ModelServer(in_turn(elsewhere, "hello"))
    transport = httpx.ASGITransport(app=server.app)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        with pytest.raises(ModelDenied):
            await model_over(client, clock).ask(PROMPT)
    assert len(server.questions) == 1


@pytest.mark.parametrize(
    "base_url", ["model.test/v1", "ftp://model.test", "http://[::1", "http://"]
)
async def test_an_address_that_is_none_is_told_at_once(base_url: str, clock: FakeClock) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ModelDenied, match="OPENAI_BASE_URL"):
            await model_over(client, clock, base_url=base_url).ask(PROMPT)
    assert clock.slept == []


async def test_a_key_that_is_no_header_is_told_at_once_and_not_quoted(clock: FakeClock) -> None:
    async with await _listener() as address, httpx.AsyncClient() as client:
        model = model_over(client, clock, base_url=address, api_key=f"{KEY}\nX: y")
        with pytest.raises(ModelDenied, match="OPENAI_API_KEY") as caught:
            await model.ask(PROMPT)
    assert KEY not in str(caught.value)


# ---- what is tried again -------------------------------------------------------------------------

PASSING: list[Reply] = [
    error(429, "slow down"),
    error(500, "boom"),
    error(503, "overloaded"),
    Fault(status=529, body={"error": {"type": "overloaded_error"}}),
    html(502),
    error(408, ""),
    error_in_200("Provider returned error", 502),
    Completion(text="{", finish_reason="insufficient_system_resource"),
    Completion(text="{", choice={"error": {"message": "lost", "code": 502}}),
    html(200),
    blank(),
    cut_json(),
    Fault(body="[]"),
    Fault(body={"choices": []}),
    Completion(text=None, finish_reason="tool_calls"),
]


@pytest.mark.parametrize("reply", PASSING)
async def test_what_passes_is_asked_again(reply: Reply, clock: FakeClock) -> None:
    server = ModelServer(in_turn(reply, "hello"))
    assert (await ask(server, clock)).text == "hello"
    assert len(server.questions) == 2


async def test_after_four_tries_the_question_stays_without_an_answer(clock: FakeClock) -> None:
    server = ModelServer(in_turn(error(500, "boom")))
    with pytest.raises(ModelUnavailable, match="boom"):
        await ask(server, clock)
    assert len(server.questions) == MAX_TRIES
    assert clock.slept == [2.0, 4.0, 8.0]


async def test_waits_are_spread_by_chance(clock: FakeClock) -> None:
    server = ModelServer(in_turn(error(500, "boom"), "hello"))
    await ask(server, clock, jitter=lambda: 0.25)
    assert clock.slept == [0.5]


@pytest.mark.parametrize("reply", [blank(), html(200), cut_json()])
async def test_nothing_is_asked_for_only_once_more(reply: Reply, clock: FakeClock) -> None:
    server = ModelServer(in_turn(reply))
    with pytest.raises(ModelUnavailable):
        await ask(server, clock)
    assert len(server.questions) == 2


async def test_a_model_that_spends_all_its_room_on_thoughts_needs_a_smaller_question(
    clock: FakeClock,
) -> None:
    server = ModelServer(in_turn(Completion(text="", finish_reason="length")))
    with pytest.raises(PromptTooLong):
        await ask(server, clock)
    assert len(server.questions) == 2


async def test_a_paid_answer_without_text_counts(clock: FakeClock) -> None:
    answer = await ask(ModelServer(in_turn(blank(), "hello")), clock)
    assert answer.usage == Usage(calls=2, input_tokens=200, output_tokens=40)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 8.0),
        ({"retry-after-ms": "250"}, 1.25),
        ({"x-ratelimit-reset-tokens": "1m2s"}, 63.0),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:20 GMT"}, 21.0),
    ],
)
async def test_the_wait_is_at_least_what_the_server_asks_for(
    headers: dict[str, str], wait_s: float, clock: FakeClock
) -> None:
    server = ModelServer(in_turn(error(429, "slow down", headers=headers), "hello"))
    assert (await ask(server, clock)).text == "hello"
    assert clock.slept == [wait_s]


async def test_a_wait_beyond_all_patience_is_not_begun(clock: FakeClock) -> None:
    server = ModelServer(in_turn(error(429, "slow down", headers={"retry-after": "3600"})))
    with pytest.raises(ModelUnavailable, match="3600 seconds"):
        await ask(server, clock)
    assert (len(server.questions), clock.slept) == (1, [])


async def test_waits_together_stay_within_the_deadline(clock: FakeClock) -> None:
    server = ModelServer(in_turn(error(429, "slow down", headers={"retry-after": "140"})))
    with pytest.raises(ModelUnavailable):
        await ask(server, clock)
    assert clock.slept == [141.0, 141.0]


async def test_a_server_that_does_not_answer_in_time_is_asked_again(clock: FakeClock) -> None:
    server = ModelServer(in_turn(slow(30), "hello"))
    async with server.client() as client:
        model = model_over(client, clock, timeout_s=0.05)
        assert (await model.ask(PROMPT)).text == "hello"
    assert len(server.questions) == 2


async def test_a_server_that_cannot_be_reached_is_tried_again(clock: FakeClock) -> None:
    async with await _listener() as address:
        pass
    async with httpx.AsyncClient() as client:
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await model_over(client, clock, base_url=address).ask(PROMPT)
    assert len(clock.slept) == MAX_TRIES - 1


class _Listener:
    """A server that closes each connection at once."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    async def __aenter__(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


async def _listener() -> _Listener:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    return _Listener(await asyncio.start_server(hang_up, "127.0.0.1", 0))


async def test_a_connection_that_breaks_is_tried_again(clock: FakeClock) -> None:
    async with await _listener() as address, httpx.AsyncClient() as client:
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await model_over(client, clock, base_url=address).ask(PROMPT)
    assert len(clock.slept) == MAX_TRIES - 1


async def test_of_an_endless_answer_no_more_than_the_limit_is_read(clock: FakeClock) -> None:
    parts_read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal parts_read
        while True:
            parts_read += 1
            yield b" " * (1 << 20)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(ModelUnavailable, match="8 MiB"):
            await model_over(client, clock).ask(PROMPT)
    assert parts_read == 9


async def test_an_answer_packed_wrongly_is_tried_again(clock: FakeClock) -> None:
    packed = Fault(body=b"no gzip", headers={"content-encoding": "gzip"})
    server = ModelServer(in_turn(packed, "hello"))
    assert (await ask(server, clock)).text == "hello"


# ---- the form of the answer ----------------------------------------------------------------------


def knows_only(*forms: str, status: int = 400) -> Callable[..., Reply]:
    refusal = error(status, "'response_format.type' is not supported", param="response_format")
    return lambda question: "hello" if question.form in forms else refusal


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("json_schema", ["json_schema"]),
        ("json_object", ["json_schema", "json_object"]),
        ("", ["json_schema", "json_object", ""]),
    ],
)
async def test_a_server_that_refuses_a_form_is_asked_for_a_simpler_one(
    known: str, asked: list[str], status: int, clock: FakeClock
) -> None:
    server = ModelServer(knows_only(known, status=status))
    assert (await ask(server, clock)).text == "hello"
    assert [question.form for question in server.questions] == asked
    assert clock.slept == []


async def test_the_form_that_worked_is_remembered(clock: FakeClock) -> None:
    server = ModelServer(knows_only("json_object"))
    async with server.client() as client:
        model = model_over(client, clock)
        await model.ask(PROMPT)
        await model.ask(PROMPT)
    assert [question.form for question in server.questions] == [
        "json_schema",
        "json_object",
        "json_object",
    ]


async def test_a_form_that_did_not_help_is_not_remembered(clock: FakeClock) -> None:
    server = ModelServer(knows_only("nothing"))
    async with server.client() as client:
        model = model_over(client, clock)
        with pytest.raises(ModelUnavailable):
            await model.ask(PROMPT)
        server.script = in_turn("hello")
        await model.ask(PROMPT)
    assert server.questions[-1].form == "json_schema"


# ---- many at once --------------------------------------------------------------------------------


async def test_no_more_requests_are_under_way_than_there_are_slots(clock: FakeClock) -> None:
    server = ModelServer(in_turn(slow(0.01)))
    async with server.client() as client:
        model = model_over(client, clock, slots=asyncio.Semaphore(3))
        await asyncio.gather(*(model.ask(PROMPT) for _ in range(12)))
    assert (len(server.questions), server.busiest) == (12, 3)


async def test_who_waits_to_try_again_holds_no_slot(clock: FakeClock) -> None:
    slots = asyncio.Semaphore(1)
    free: list[bool] = []

    class Watching(FakeClock):
        async def sleep(self, seconds: float) -> None:
            free.append(not slots.locked())

    server = ModelServer(in_turn(error(500, "boom"), "hello"))
    await ask(server, Watching(), slots=slots)
    assert free == [True]


async def test_what_the_server_counts_moves_the_ratio_of_tokens(clock: FakeClock) -> None:
    usage = {"prompt_tokens": 10_000, "completion_tokens": 5}
    server = ModelServer(in_turn(Completion(text="hello", usage=usage)))
    async with server.client() as client:
        model = model_over(client, clock)
        assert model.token_ratio == 1.0
        for _ in range(20):
            await model.ask(PROMPT)
        assert model.token_ratio == MAX_RATIO
