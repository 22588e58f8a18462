"""One question to a model server, and everything that may come back."""

import asyncio
import json
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.errors import (
    AnswerCut,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
    PromptTooLong,
    Unavailable,
)
from app.llm.connection import MAX_ANSWER_BYTES
from app.llm.ladder import TRUSTED_S, Api
from app.llm.model import MAX_RATIO, MAX_TRIES, MIN_PATIENCE_S, MORE_ROOM
from app.llm.turns import Turns
from app.review.answer import Answer, Usage
from app.review.tokens import estimate
from tests.llm.builders import KEY, PROMPT, USAGE, FakeClock, ask, model_over
from tests.model_server import (
    BASE_URL,
    Completion,
    Fault,
    ModelServer,
    Question,
    Reply,
    blank,
    cut_json,
    cut_stream,
    error,
    error_in_200,
    error_in_stream,
    events,
    html,
    in_turn,
    slow,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


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
        "stream": True,
        "stream_options": {"include_usage": True},
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


READ: list[tuple[Completion, str]] = [
    (Completion(text="x", finish_reason=None), "x"),
    (Completion(text="```json\n{}\n```\n", finish_reason=None), "```json\n{}\n```\n"),
    (Completion(message={"content": [{"type": "text", "text": "a"}, {"text": "b"}]}), "ab"),
    (Completion(text="x", message={"reasoning_content": "thoughts"}), "x"),
    (Completion(text="x", message={"refusal": ""}), "x"),
    (Completion(text="half \ud83d whole \U0001f600"), "half \ufffd whole \U0001f600"),
]


@pytest.mark.parametrize(("reply", "text"), READ)
async def test_a_completion_is_read(reply: Completion, text: str, clock: FakeClock) -> None:
    assert (await ask(ModelServer(in_turn(as_json(reply))), clock)).text == text


@pytest.mark.parametrize(("reply", "text"), READ)
async def test_a_streamed_completion_is_read(
    reply: Completion, text: str, clock: FakeClock
) -> None:
    assert (await ask(ModelServer(in_turn(reply)), clock)).text == text


def as_json(reply: Completion) -> Fault:
    """Write a completion as ASCII, so that halves of characters can be sent."""
    message = {"role": "assistant", "content": reply.text, **reply.message}
    choice = {"message": message, "finish_reason": reply.finish_reason}
    return Fault(body=json.dumps({"choices": [choice], "usage": dict(reply.usage or {})}))


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("streams", [True, False])
async def test_every_protocol_is_spoken_streamed_and_whole(
    api: Api, streams: bool, clock: FakeClock
) -> None:
    server = ModelServer(in_turn("hello"), streams=streams)
    answer = await ask(server, clock, api=api)
    assert answer == Answer(text="hello", model="m-1", usage=USAGE)
    [question] = server.questions
    assert question.path.endswith(api.value if api is not Api.CHAT else "chat/completions")
    assert PROMPT.user in question.user
    assert PROMPT.system in question.system + question.user


async def test_an_answer_that_ended_is_taken_though_the_connection_stays_open(
    clock: FakeClock,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        choice = {"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}
        yield f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
        await asyncio.sleep(30)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=pieces()))
    async with httpx.AsyncClient(transport=transport) as client:
        answer = await model_over(client, clock, idle_timeout_s=0.02).ask(PROMPT)
    assert answer.text == "hello"


@pytest.mark.parametrize("api", Api)
async def test_the_end_of_every_protocol_is_understood(api: Api, clock: FakeClock) -> None:
    server = ModelServer(in_turn(Completion(text="{", finish_reason="length")))
    with pytest.raises(AnswerCut) as caught:
        await ask(server, clock, api=api)
    assert caught.value.text == "{"
    server = ModelServer(in_turn(Completion(text="{", finish_reason="content_filter")))
    with pytest.raises(ModelRefused):
        await ask(server, clock, api=api)


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES])
async def test_a_refusal_is_told_in_the_models_words(api: Api, clock: FakeClock) -> None:
    reply = Completion(text=None, message={"refusal": "I cannot help"})
    with pytest.raises(ModelRefused, match="I cannot help"):
        await ask(ModelServer(in_turn(reply)), clock, api=api)


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
    (error(418, "I am a teapot"), ModelUnavailable, "teapot"),
    (error(404, "use v1/responses"), ModelDenied, "MODEL_API=responses"),
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
        await ask(server, clock, api=Api.CHAT)
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
    error_in_stream("Provider disconnected", 502),
    error_in_stream("overloaded", "server_error"),
    html(200),
    blank(),
    cut_json(),
    cut_stream(),
    Completion(text='{"findings": [{"ti', finish_reason=None),
    events(),
    events("no json", "[1]"),
    Completion(text="{", finish_reason="length"),
    Fault(body="[]"),
    Fault(body={"choices": []}),
    Completion(text=None, finish_reason="tool_calls"),
]


@pytest.mark.parametrize("reply", PASSING)
async def test_what_passes_is_asked_again(reply: Reply, clock: FakeClock) -> None:
    server = ModelServer(in_turn(reply, "hello"))
    assert (await ask(server, clock)).text == "hello"
    assert len(server.questions) == 2


async def test_a_stream_without_a_word_is_asked_for_in_one_piece_this_once(
    clock: FakeClock,
) -> None:
    server = ModelServer(in_turn(events(), "hello"))
    async with server.client() as client:
        model = model_over(client, clock)
        assert [(await model.ask(PROMPT)).text for _ in range(2)] == ["hello", "hello"]
    assert [question.body.get("stream") for question in server.questions] == [True, None, True]


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


@pytest.mark.parametrize("reply", [html(200), cut_json()])
async def test_what_is_no_answer_at_all_is_asked_for_only_once_more(
    reply: Reply, clock: FakeClock
) -> None:
    server = ModelServer(in_turn(reply))
    with pytest.raises(ModelUnavailable):
        await ask(server, clock)
    assert len(server.questions) == 2


# ---- answers that need more room -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Completion(text="{", finish_reason="length"), "{"),
        (Completion(text="", finish_reason="length"), ""),
        (cut_stream("{"), "{"),
        (blank(), "  \n "),
    ],
)
async def test_an_answer_without_room_gets_more_once_then_needs_a_smaller_question(
    reply: Reply, text: str, clock: FakeClock
) -> None:
    server = ModelServer(in_turn(reply))
    with pytest.raises(AnswerCut) as caught:
        await ask(server, clock)
    assert isinstance(caught.value, PromptTooLong)
    assert caught.value.text == text
    assert [q.body.get("max_tokens") for q in server.questions] == [None, MORE_ROOM]


async def test_an_answer_that_was_long_already_gets_twice_that_room(clock: FakeClock) -> None:
    long = {"prompt_tokens": 100, "completion_tokens": MORE_ROOM}
    cut = Completion(text="{", finish_reason="length", usage=long)
    server = ModelServer(in_turn(cut, "hello"))
    assert (await ask(server, clock)).text == "hello"
    assert server.questions[1].body["max_tokens"] == 2 * MORE_ROOM


async def test_a_server_that_knows_room_only_by_its_new_name_gets_that(clock: FakeClock) -> None:
    refusal = error(
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        param="max_tokens",
    )

    def script(question: Question) -> Reply:
        if "max_tokens" in question.body:
            return refusal
        is_cut = "max_completion_tokens" not in question.body
        return Completion(text="{", finish_reason="length" if is_cut else "stop")

    server = ModelServer(script)
    assert (await ask(server, clock)).text == "{"
    assert len(server.questions) == 3


@pytest.mark.parametrize(
    "second",
    [
        error(400, "max_tokens is too large: the model's maximum context length is 4096"),
        error(500, "boom"),
        html(),
    ],
)
async def test_of_a_cut_answer_is_kept_what_came_if_more_room_does_not_help(
    second: Reply, clock: FakeClock
) -> None:
    server = ModelServer(in_turn(Completion(text="{", finish_reason="length"), second))
    with pytest.raises(AnswerCut) as caught:
        await ask(server, clock)
    assert (caught.value.text, caught.value.usage) == ("{", USAGE)


async def test_legacy_completions_are_never_asked_without_room(clock: FakeClock) -> None:
    server = ModelServer(in_turn("hello"))
    await ask(server, clock, api=Api.COMPLETIONS)
    assert server.questions[0].body["max_tokens"] > 16


# ---- what was paid for ---------------------------------------------------------------------------


async def test_a_paid_answer_without_text_counts(clock: FakeClock) -> None:
    answer = await ask(ModelServer(in_turn(blank(), "hello")), clock)
    assert answer.usage == Usage(calls=2, input_tokens=200, output_tokens=40)


@pytest.mark.parametrize(
    ("replies", "usage"),
    [
        ([blank()], USAGE + USAGE),
        ([Completion(text=None, message={"refusal": "no"})], USAGE),
        ([blank(), error(402, "empty")], USAGE),
        ([error(500, "boom")], Usage()),
        ([html()], Usage()),
        ([error_in_200("boom", 502)], Usage()),
    ],
)
async def test_an_error_tells_what_trying_has_cost(
    replies: list[Reply], usage: Usage, clock: FakeClock
) -> None:
    with pytest.raises(ModelError) as caught:
        await ask(ModelServer(in_turn(*replies)), clock)
    assert caught.value.usage == usage


async def test_a_stream_that_broke_off_counts_as_far_as_it_can_be_told(clock: FakeClock) -> None:
    answer = await ask(ModelServer(in_turn(error_in_stream("lost", 502), "hello")), clock)
    assert answer.usage.calls == 2
    assert answer.usage.is_estimated
    assert answer.usage.input_tokens > USAGE.input_tokens


# ---- how long to wait ----------------------------------------------------------------------------


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
    with pytest.raises(ModelUnavailable, match="wait 3600 s"):
        await ask(server, clock)
    assert (len(server.questions), clock.slept) == (1, [])


async def test_waits_together_stay_within_the_deadline(clock: FakeClock) -> None:
    server = ModelServer(in_turn(error(429, "slow down", headers={"retry-after": "140"})))
    with pytest.raises(ModelUnavailable):
        await ask(server, clock)
    assert clock.slept == [141.0, 142.0]


async def test_waits_that_the_server_tells_use_up_no_tries(clock: FakeClock) -> None:
    limit = error(429, "slow down", headers={"retry-after": "2"})
    server = ModelServer(in_turn(*[limit] * (MAX_TRIES + 1), "hello"))
    assert (await ask(server, clock, jitter=lambda: 0.0)).text == "hello"
    assert clock.slept == [2.0] * (MAX_TRIES + 1)


async def test_a_failing_server_is_not_tried_more_often_for_naming_its_limits(
    clock: FakeClock,
) -> None:
    server = ModelServer(in_turn(error(500, "boom", headers={"x-ratelimit-reset-tokens": "1s"})))
    with pytest.raises(ModelUnavailable):
        await ask(server, clock)
    assert len(server.questions) == MAX_TRIES


async def test_a_server_that_always_says_now_is_asked_ever_less_often(clock: FakeClock) -> None:
    server = ModelServer(in_turn(error(429, "slow down", headers={"retry-after": "0"})))
    with pytest.raises(ModelUnavailable, match="slow down"):
        await ask(server, clock)
    assert clock.slept[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert sum(clock.slept) < MIN_PATIENCE_S


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


# ---- what a server does not take -----------------------------------------------------------------


def knows_only(*forms: str, status: int = 400) -> Callable[..., Reply]:
    refusal = error(status, "'response_format.type' is not supported", param="response_format")
    return lambda question: "hello" if question.form in forms else refusal


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ("json_schema", ["json_schema"]),
        ("json_object", ["json_schema", "json_object"]),
        ("", ["json_schema", "json_object", "json_object", ""]),
    ],
)
async def test_a_server_that_refuses_a_form_is_asked_for_a_simpler_one(
    known: str, asked: list[str], status: int, clock: FakeClock
) -> None:
    server = ModelServer(knows_only(known, status=status))
    assert (await ask(server, clock)).text == "hello"
    assert [question.form for question in server.questions] == asked
    assert clock.slept == []


async def test_the_schema_goes_along_where_only_json_objects_are_known(clock: FakeClock) -> None:
    server = ModelServer(knows_only("json_object"))
    await ask(server, clock)
    form = {"type": "json_object", "schema": {"type": "object"}}
    assert server.questions[-1].body["response_format"] == form


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        ("stream", "Streaming is not supported for this model"),
        ("stream", "'stream' must be false"),
    ],
)
async def test_a_field_that_is_refused_is_left_out_from_then_on(
    field: str, message: str, clock: FakeClock
) -> None:
    server = ModelServer(lambda q: error(400, message) if field in q.body else "hello")
    async with server.client() as client:
        model = model_over(client, clock)
        assert [(await model.ask(PROMPT)).text for _ in range(2)] == ["hello", "hello"]
    assert [field in question.body for question in server.questions] == [True, False, False]


async def test_a_server_that_refuses_without_a_reason_is_asked_as_plainly_as_can_be(
    clock: FakeClock,
) -> None:
    plain = {"model", "messages"}
    server = ModelServer(lambda q: "hello" if set(q.body) == plain else error(400, "Bad Request"))
    assert (await ask(server, clock)).text == "hello"


async def test_a_bad_request_of_a_server_that_took_others_is_final(clock: FakeClock) -> None:
    server = ModelServer(in_turn("hello", error(400, "Bad Request")))
    async with server.client() as client:
        model = model_over(client, clock)
        await model.ask(PROMPT)
        with pytest.raises(ModelUnavailable, match="Bad Request"):
            await model.ask(PROMPT)
    assert len(server.questions) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        error(404, "This model is only supported in v1/responses and not in v1/chat/completions."),
        error(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions "
            "endpoint. Did you mean to use v1/completions?",
        ),
        error(400, "unsupported", code="unsupported_api_for_model"),
    ],
)
async def test_a_model_that_needs_responses_gets_them_and_is_not_asked_again(
    refusal: Fault, clock: FakeClock
) -> None:
    server = ModelServer(lambda q: "hello" if q.path == "responses" else refusal)
    async with server.client() as client:
        model = model_over(client, clock)
        assert [(await model.ask(PROMPT)).text for _ in range(2)] == ["hello", "hello"]
    paths = ["chat/completions", "responses", "responses"]
    assert [question.path for question in server.questions] == paths
    last = server.questions[-1].body
    assert last["text"]["format"]["schema"] == {"type": "object"}
    assert last["store"] is False


# ---- what is remembered --------------------------------------------------------------------------


class Values:
    """Values kept in a dict; `is_broken` as a full disk is."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.is_broken = False

    async def kept_value(self, name: str) -> str | None:
        if self.is_broken:
            raise Unavailable("disk")
        return self.kept.get(name)

    async def keep_value(self, name: str, text: str) -> None:
        if self.is_broken:
            raise Unavailable("disk")
        self.kept[name] = text


async def test_what_worked_is_remembered_over_a_restart(clock: FakeClock) -> None:
    server, values = ModelServer(knows_only("")), Values()
    for _ in range(2):
        await ask(server, clock, learned=values)
    assert [q.form for q in server.questions][-2:] == ["", ""]
    assert len(server.questions) == 5


async def test_what_was_learnt_of_one_model_says_nothing_of_another(clock: FakeClock) -> None:
    server, values = ModelServer(knows_only("json_object", "json_schema")), Values()
    server.script = knows_only("json_object")
    await ask(server, clock, learned=values)
    server.script = in_turn("hello")
    await ask(server, clock, learned=values, model="m-2")
    await ask(server, clock, learned=values, base_url="http://model.test/v1/")
    forms = ["json_schema", "json_object", "json_schema", "json_object"]
    assert [q.form for q in server.questions] == forms


@pytest.mark.parametrize("is_new_process", [True, False])
async def test_after_a_day_a_server_may_have_learnt_something_itself(
    is_new_process: bool, clock: FakeClock
) -> None:
    server, values = ModelServer(knows_only("json_object")), Values()
    async with server.client() as client:
        model = model_over(client, clock, learned=values)
        await model.ask(PROMPT)
        server.script = in_turn("hello")
        clock.time += TRUSTED_S + 1
        if is_new_process:
            model = model_over(client, clock, learned=values)
        await model.ask(PROMPT)
    assert server.questions[-1].form == "json_schema"


async def test_a_memory_that_fails_costs_no_answer(clock: FakeClock) -> None:
    values = Values()
    values.is_broken = True
    assert (await ask(ModelServer(in_turn("hello")), clock, learned=values)).text == "hello"


@pytest.mark.parametrize("junk", ["", "{}", "no json", '{"learnt_at": "x"}'])
async def test_a_memory_full_of_junk_is_no_memory(junk: str, clock: FakeClock) -> None:
    values, server = Values(), ModelServer(in_turn("hello"))
    await ask(server, clock, learned=values)
    values.kept = dict.fromkeys(values.kept, junk)
    await ask(server, clock, learned=values)
    assert server.questions[-1].form == "json_schema"


async def test_a_form_that_did_not_help_is_not_remembered(clock: FakeClock) -> None:
    server = ModelServer(knows_only("nothing"))
    async with server.client() as client:
        model = model_over(client, clock)
        with pytest.raises(ModelUnavailable):
            await model.ask(PROMPT)
        server.script = in_turn("hello")
        await model.ask(PROMPT)
    assert server.questions[-1].form == "json_schema"


async def test_what_several_questions_learn_at_once_is_joined(clock: FakeClock) -> None:
    def script(question: Question) -> Reply:
        if question.form == "json_schema":
            return error(400, "json_schema")
        return error(400, "stream_options") if "stream_options" in question.body else "hello"

    server = ModelServer(script)
    async with server.client() as client:
        model = model_over(client, clock)
        await asyncio.gather(*(model.ask(PROMPT) for _ in range(4)))
        before = len(server.questions)
        await model.ask(PROMPT)
    assert len(server.questions) == before + 1


# ---- many at once --------------------------------------------------------------------------------


class SharedClock(FakeClock):
    """Time that passes for all sleepers at once, when nobody has anything else to do."""

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        await asyncio.sleep(0.02)
        self.time = max(self.time, until)


@pytest.mark.parametrize("n_slots", [16, 100])
async def test_a_limit_told_to_one_question_is_kept_by_all(n_slots: int) -> None:
    clock = SharedClock()
    window_s, n_taken, taken, refused = 4, 3, Counter[int](), 0
    began = clock.now()

    def limited(_: Question) -> Reply:
        nonlocal refused
        window, into = divmod(clock.now(), window_s)
        if taken[int(window)] < n_taken:
            taken[int(window)] += 1
            return "hello"
        refused += 1
        return error(429, "slow down", headers={"retry-after": str(math.ceil(window_s - into))})

    server = ModelServer(limited)
    async with server.client() as client:
        model = model_over(client, clock, turns=Turns(n_slots), jitter=lambda: 0.0)
        answers = await asyncio.gather(*(model.ask(PROMPT) for _ in range(18)))
    assert [answer.text for answer in answers] == ["hello"] * 18
    assert refused <= 30  # without sharing 45: 15 + 12 + 9 + 6 + 3
    assert clock.now() - began <= 18 / n_taken * window_s + window_s


async def test_who_waits_as_told_holds_no_slot() -> None:
    turns = Turns(1)
    free: list[bool] = []

    class Watching(FakeClock):
        async def sleep(self, seconds: float) -> None:
            async with asyncio.timeout(1), turns.turn():
                free.append(True)
            await super().sleep(seconds)

    limit = error(429, "slow down", headers={"retry-after": "5"})
    server = ModelServer(in_turn(limit, "hello"))
    await ask(server, Watching(), turns=turns)
    assert free == [True]


async def test_a_limit_that_lasts_ends_every_question_at_its_deadline(clock: FakeClock) -> None:
    began = clock.now()
    server = ModelServer(in_turn(error(429, "slow down", headers={"retry-after": "20"})))
    async with server.client() as client:
        model = model_over(client, clock)
        asked = (model.ask(PROMPT) for _ in range(12))
        ends = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(end) for end in ends} == {ModelUnavailable}
    assert all("slow down" in str(end) for end in ends)
    assert clock.now() - began <= MIN_PATIENCE_S


async def test_after_a_limit_as_many_are_asked_at_once_as_before(clock: FakeClock) -> None:
    limit = error(429, "slow down", headers={"retry-after": "5"})
    server = ModelServer(in_turn(limit, slow(0.01)))
    async with server.client() as client:
        model = model_over(client, clock)
        await model.ask(PROMPT)
        server.busiest = 0
        await asyncio.gather(*(model.ask(PROMPT) for _ in range(40)))
    assert server.busiest == 16


async def test_no_more_requests_are_under_way_than_there_are_slots(clock: FakeClock) -> None:
    server = ModelServer(in_turn(slow(0.01)))
    async with server.client() as client:
        model = model_over(client, clock, turns=Turns(3))
        await asyncio.gather(*(model.ask(PROMPT) for _ in range(12)))
    assert (len(server.questions), server.busiest) == (12, 3)


async def test_who_waits_to_try_again_holds_no_slot(clock: FakeClock) -> None:
    turns = Turns(1)
    free: list[bool] = []

    class Watching(FakeClock):
        async def sleep(self, seconds: float) -> None:
            async with asyncio.timeout(1), turns.turn():
                free.append(True)

    server = ModelServer(in_turn(error(500, "boom"), "hello"))
    await ask(server, Watching(), turns=turns)
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


@pytest.mark.parametrize(("tokens", "is_cut"), [(1, True), (100, False)])
async def test_a_server_that_read_much_less_than_it_was_sent_is_noted(
    tokens: int, is_cut: bool, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    usage = {"prompt_tokens": tokens, "completion_tokens": 5}
    with caplog.at_level(logging.WARNING, logger="codex_review"):
        await ask(ModelServer(in_turn(Completion(text="hello", usage=usage))), clock)
    assert ("model.read_less" in caplog.text) is is_cut


def llama_cpp(question: Question) -> Reply:
    """Answer as llama-cpp-python's server was measured to (0.3.36, SmolLM2)."""
    if question.path == "responses":
        return Fault(status=404, body={"detail": "Not Found"})
    if question.form == "json_schema":
        expected = "'literal_error', 'loc': ('body', 'response_format', 'type')"
        return error(500, f"[{{'type': {expected}, 'msg': \"Input should be 'text'\"}}]")
    if len(question.user) > 1_000:
        text = "This model's maximum context length is 4096 tokens."
        return error(400, text, code="context_length_exceeded", param="messages")
    is_cut = question.body.get("max_tokens") == 5
    return Completion(text="{}", usage=None, finish_reason="length" if is_cut else "stop")


@pytest.mark.parametrize("api", [None, Api.CHAT, Api.COMPLETIONS])
async def test_the_server_of_llama_cpp_is_spoken_to_as_it_wants(
    api: Api | None, clock: FakeClock
) -> None:
    answer = await ask(ModelServer(llama_cpp), clock, api=api)
    assert (answer.text, answer.usage.calls, answer.usage.is_estimated) == ("{}", 1, True)
    with pytest.raises(ModelDenied):
        await ask(ModelServer(llama_cpp), clock, api=Api.RESPONSES)
    async with ModelServer(llama_cpp).client() as client:
        with pytest.raises(PromptTooLong) as caught:
            await model_over(client, clock, api=api).ask(replace(PROMPT, user="x" * 2_000))
    assert type(caught.value) is PromptTooLong
    assert clock.slept == []
