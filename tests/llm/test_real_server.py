"""What a real server answered, replayed: llama-cpp-python's, with a context of 256 tokens.

Requests are compared by their body: one that has changed is answered by nobody. How to record anew
stands in `.github/CONTRIBUTING.md`; the literal answers below are those of the recording.
"""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import vcr

from app.errors import AnswerCut, ModelDenied, PromptTooLong
from app.llm.ladder import Abilities, Api, Form, encode
from app.llm.model import MORE_ROOM, ServedModel
from app.llm.server import list_models, read_balance
from app.review.answer import Usage
from app.review.prompt import Prompt
from tests.conftest import CHECKOUT
from tests.llm.builders import KEY, FakeClock, connection_over, model_over
from tests.model_server import BASE_URL
from tests.real_model import ALIAS, real_model

pytestmark = pytest.mark.anyio

CASSETTES = CHECKOUT / "tests" / "cassettes" / "llm"
RECORDS = bool(os.environ.get("RECORD_CASSETTES"))
CONTEXT_TOKENS = 256
MAX_CASSETTES_BYTES = 200_000

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["is_prime", "number"],
    "properties": {"is_prime": {"type": "boolean"}, "number": {"type": "integer", "enum": [7, 8]}},
}
PROMPT = Prompt(
    system="Answer in JSON.",
    user="Is 7 a prime number?",
    schema_name="primes",
    schema=json.dumps(SCHEMA).encode(),
)
IN_PROSE = Prompt(
    system="Answer with one sentence.",
    user="What is the capital of France?",
    schema_name="primes",
    schema=b"{}",
)
WHOLE = Abilities(api=Api.CHAT, form=Form.TEXT, refused=frozenset({"stream"}))


class Kept:
    """What was learnt, in memory."""

    def __init__(self, clock: FakeClock, can: Abilities | None = None) -> None:
        self._text = encode(can, learnt_at=clock.now()) if can else None

    async def kept_value(self, name: str) -> str | None:
        return self._text

    async def keep_value(self, name: str, text: str) -> None:
        self._text = text


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    if not RECORDS:
        yield BASE_URL
        return
    with real_model(context_tokens=CONTEXT_TOKENS) as model:
        yield model.url


@pytest.fixture
def tape(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Replay this test's cassette, or record it; each exchange of it must be asked for."""
    path = CASSETTES / f"{request.function.__name__.removeprefix('test_')}.yaml"
    if RECORDS:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="once" if RECORDS else "none",
        match_on=("method", "uri", "body"),
        before_record_request=_without_secrets,
        before_record_response=_without_paths,
    )
    with recorder.use_cassette(str(path)) as tape:
        yield tape
    assert RECORDS or tape.all_played


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def _without_secrets(request: Any) -> Any:
    """Keep of a request what a server's answer depends on; any server is called `BASE_URL`."""
    neutral, path = urlsplit(BASE_URL), urlsplit(request.uri).path
    request.uri = urlunsplit((neutral.scheme, neutral.netloc, path, "", ""))
    request.headers = {"content-type": "application/json"}
    return request


def _without_paths(response: dict[str, Any]) -> dict[str, Any]:
    """Keep no header but the type; a server's traceback tells where it is installed."""
    headers = {name.lower(): value for name, value in response["headers"].items()}
    body = re.sub(rb"/[^\s\"\\]*/site-packages/", b"site-packages/", response["body"]["string"])
    kept = {"content-type": headers["content-type"]}
    return {**response, "headers": kept, "body": {"string": body}}


def bodies(tape: Any) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in tape.requests]


def forms(tape: Any) -> list[str]:
    return [body["response_format"]["type"] for body in bodies(tape)]


def served(
    client: httpx.AsyncClient, clock: FakeClock, base_url: str, **changes: Any
) -> ServedModel:
    return model_over(client, clock, base_url=base_url, model=ALIAS, **changes)


async def test_a_refused_schema_is_asked_for_in_the_next_form_from_then_on(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    kept = Kept(clock)
    answer = await served(client, clock, base_url, learned=kept).ask(PROMPT)
    again = await served(client, clock, base_url, learned=kept).ask(PROMPT)
    assert forms(tape) == ["json_schema", "json_object", "json_object"]
    assert bodies(tape)[1]["response_format"]["schema"] == SCHEMA
    assert (answer.usage.calls, again.usage.calls, clock.slept) == (1, 1, [])
    assert (answer.text, answer.model) == ('{"is_prime":false, "number":7}', ALIAS)
    assert again.text == '{ "is_prime": true, "number": 7}'


async def test_a_stream_tells_no_usage_although_it_was_asked_to(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    kept = Kept(clock, Abilities(api=Api.CHAT, form=Form.TEXT))
    answer = await served(client, clock, base_url, learned=kept).ask(IN_PROSE)
    [body] = bodies(tape)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert (answer.usage.calls, answer.usage.is_estimated) == (1, True)
    assert answer.text == (
        "The capital of France is Paris, but it's also the largest metropolis in Europe and a major"
        " global city."
    )


async def test_an_answer_in_one_piece_tells_its_usage(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    answer = await served(client, clock, base_url, learned=Kept(clock, WHOLE)).ask(IN_PROSE)
    [body] = bodies(tape)
    assert "stream" not in body
    assert answer.usage == Usage(calls=1, input_tokens=26, output_tokens=7)
    assert answer.text == "The capital of France is Paris."


async def test_legacy_completions_answer(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    answer = await served(client, clock, base_url, api=Api.COMPLETIONS).ask(IN_PROSE)
    [body] = bodies(tape)
    assert body["prompt"] == "Answer with one sentence.\nWhat is the capital of France?\n"
    assert (answer.usage.calls, answer.usage.is_estimated) == (1, True)
    assert answer.text == "The answer is:"


async def test_a_question_beyond_the_context_is_too_long(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    prompt = replace(IN_PROSE, user="1 " * 300)
    model = served(client, clock, base_url, learned=Kept(clock, WHOLE))
    with pytest.raises(PromptTooLong, match="256 tokens") as caught:
        await model.ask(prompt)
    assert not isinstance(caught.value, AnswerCut)
    assert (len(tape.requests), caught.value.usage) == (1, Usage())


async def test_a_question_beyond_the_context_that_ends_a_stream_without_a_word_is_too_long(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    prompt = replace(IN_PROSE, user="1 " * 300)
    kept = Kept(clock, Abilities(api=Api.CHAT, form=Form.TEXT))
    with pytest.raises(PromptTooLong, match="256 tokens"):
        await served(client, clock, base_url, learned=kept).ask(prompt)
    assert [body.get("stream") for body in bodies(tape)] == [True, None]


async def test_an_answer_that_fills_the_context_is_cut_also_when_given_more_room(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    prompt = replace(IN_PROSE, system="Tell everything.", user="Write a novel.")
    model = served(client, clock, base_url, learned=Kept(clock, WHOLE))
    with pytest.raises(AnswerCut) as caught:
        await model.ask(prompt)
    assert [body.get("max_tokens") for body in bodies(tape)] == [None, MORE_ROOM]
    assert caught.value.usage == Usage(
        calls=2, input_tokens=2 * 21, output_tokens=2 * (CONTEXT_TOKENS - 21)
    )
    assert caught.value.text.startswith("As the last wisps of sunlight danced")


async def test_a_protocol_that_is_not_served_is_told_at_once(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    with pytest.raises(ModelDenied, match="404"):
        await served(client, clock, base_url, api=Api.RESPONSES).ask(PROMPT)
    assert len(tape.requests) == 1


async def test_a_server_lists_its_model_and_tells_no_balance(
    tape: Any, client: httpx.AsyncClient, clock: FakeClock, base_url: str
) -> None:
    connection = connection_over(client, base_url=base_url)
    assert await list_models(connection, clock) == {ALIAS: None}
    assert await read_balance(connection, clock) is None


def test_cassettes_are_small_and_hold_nothing_of_the_machine_that_recorded_them() -> None:
    texts = [path.read_text("utf-8") for path in CASSETTES.glob("*.yaml")]
    assert texts
    assert sum(map(len, texts)) < MAX_CASSETTES_BYTES
    for text in texts:
        assert KEY not in text
        assert set(re.findall(r"uri: http://([^/]+)/", text)) == {urlsplit(BASE_URL).netloc}
        assert not re.search(r"/(?:home|root|tmp|usr|opt|Users)/|127\.0\.0\.1|localhost", text)
