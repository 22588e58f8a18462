"""What servers say when they refuse, and what we make of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    AnswerCut,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
    PromptTooLong,
)
from app.llm.faults import Fault, Kind, error_of, fault, fault_of_answer, fault_of_error

NOW = 1_800_000_000.0
KEY = "made-up-key-of-this-test"


def refused(status: int, body: Any, headers: dict[str, str] | None = None) -> Fault:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fault_of_answer(status, headers or {}, raw, now=NOW, secret=KEY)


def openai(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "code": None, "param": None, **fields}}


TABLE: list[tuple[int, Any, Kind]] = [
    (401, openai("Incorrect API key provided", code="invalid_api_key"), Kind.DENIED),
    (401, {"detail": "Unauthorized"}, Kind.DENIED),
    (403, openai("You are not allowed to sample from this model"), Kind.DENIED),
    (403, {"error": {"message": "Your input was flagged", "code": 403}}, Kind.REFUSED),
    (404, openai("The model `x` does not exist", code="model_not_found"), Kind.DENIED),
    (404, {"detail": "Not Found"}, Kind.DENIED),
    (404, b"<html>no such page</html>", Kind.DENIED),
    (405, b"", Kind.DENIED),
    (301, b"", Kind.DENIED),
    (307, b"moved", Kind.DENIED),
    (400, openai("no", code="model_not_found"), Kind.DENIED),
    (400, openai("x/y is not a valid model ID"), Kind.DENIED),
    (400, openai("The model `gpt-5-codex` has been deprecated"), Kind.DENIED),
    (410, b"", Kind.DENIED),
    (402, openai("Insufficient Balance"), Kind.OUT_OF_CREDIT),
    (402, b"Payment Required", Kind.OUT_OF_CREDIT),
    (402, openai("wait", code="in_flight_budget_exhausted"), Kind.PASSING),
    (429, openai("You exceeded your current quota", type="insufficient_quota"), Kind.OUT_OF_CREDIT),
    (429, {"error": "insufficient_quota"}, Kind.OUT_OF_CREDIT),
    (403, openai("", code="insufficient_user_quota"), Kind.OUT_OF_CREDIT),
    (429, openai("You exceeded your current quota, per minute"), Kind.PASSING),
    (429, openai("", code="credit_balance_exhausted"), Kind.OUT_OF_CREDIT),
    (429, openai("", code="project_spend_limit_exceeded"), Kind.OUT_OF_CREDIT),
    (429, openai("", code="organization_usage_limit_exceeded"), Kind.OUT_OF_CREDIT),
    (429, openai("Rate limit reached", code="rate_limit_exceeded"), Kind.PASSING),
    (429, openai("Resource Unavailable"), Kind.PASSING),
    (429, openai("Too many tokens, slow down"), Kind.PASSING),
    (429, openai("Request too large for x on tokens per min"), Kind.TOO_LONG),
    (400, openai("This model's maximum context length is 8192"), Kind.TOO_LONG),
    (400, openai("", code="context_length_exceeded"), Kind.TOO_LONG),
    (400, openai("", type="exceed_context_size_error"), Kind.TOO_LONG),
    (400, {"message": "prompt is too long: 210000 tokens"}, Kind.TOO_LONG),
    (413, b"", Kind.TOO_LONG),
    (500, openai("the request exceeds the available context size"), Kind.TOO_LONG),
    (400, openai("The response was filtered", code="content_filter"), Kind.REFUSED),
    (400, openai("... triggering Azure's content management policy"), Kind.REFUSED),
    (400, openai("Invalid", param="response_format"), Kind.FORMAT_REFUSED),
    (400, openai("'response_format.type' must be json_object"), Kind.FORMAT_REFUSED),
    (422, {"detail": [{"loc": ["body", "response_format", "type"]}]}, Kind.FORMAT_REFUSED),
    (
        500,
        openai("[{'type': 'literal_error', 'loc': ('body', 'response_format')}]"),
        Kind.FORMAT_REFUSED,
    ),
    (400, openai("Invalid schema: grammar could not be compiled"), Kind.FORMAT_REFUSED),
    (400, openai("Unknown parameter: 'text.format'", param="text.format"), Kind.FORMAT_REFUSED),
    (400, openai("no", param="stream_options"), Kind.PARAMETER_REFUSED),
    (400, openai("Unrecognized request argument: stream_options"), Kind.PARAMETER_REFUSED),
    (400, openai("Unsupported parameter: 'max_tokens'"), Kind.PARAMETER_REFUSED),
    (422, {"detail": [{"loc": ["body", "store"]}]}, Kind.PARAMETER_REFUSED),
    (400, openai("the stream of words in this store"), Kind.BAD_REQUEST),
    (400, openai("temperature is not supported", param="temperature"), Kind.BAD_REQUEST),
    (422, b"", Kind.BAD_REQUEST),
    (404, openai("only supported in v1/responses and not in v1/chat"), Kind.API_REFUSED),
    (404, openai("This is not a chat model ... v1/completions?"), Kind.API_REFUSED),
    (400, openai("no", code="unsupported_api_for_model"), Kind.API_REFUSED),
    (418, b"I'm a teapot", Kind.UNKNOWN),
    (408, b"", Kind.PASSING),
    (409, b"", Kind.PASSING),
    (498, openai("capacity exceeded"), Kind.PASSING),
    (500, b"", Kind.PASSING),
    (502, b"<html><body>Bad Gateway</body></html>", Kind.PASSING),
    (503, {"error": "overloaded"}, Kind.PASSING),
    (529, {"type": "error", "error": {"type": "overloaded_error"}}, Kind.PASSING),
]


@pytest.mark.parametrize(("status", "body", "kind"), TABLE)
def test_a_refusal_is_of_the_kind_that_the_table_names(status: int, body: Any, kind: Kind) -> None:
    assert refused(status, body).kind is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "Provider returned error", "code": 502}, Kind.PASSING),
        ({"message": "No credit", "code": 402}, Kind.OUT_OF_CREDIT),
        ({"message": "Bad key", "code": "401"}, Kind.DENIED),
        ({"message": "Rate limited", "code": 429}, Kind.PASSING),
        ({"message": "x", "code": "context_length_exceeded"}, Kind.TOO_LONG),
        ({"message": "flagged", "code": "content_filter"}, Kind.REFUSED),
        ({"message": "boom"}, Kind.PASSING),
        ("overloaded", Kind.PASSING),
        ({"message": "", "code": 502, "metadata": {"raw": "upstream"}}, Kind.PASSING),
    ],
)
def test_an_error_within_a_200_is_that_error(error: object, kind: Kind) -> None:
    assert fault_of_error(error, secret=KEY).kind is kind


ERRORS = {
    Kind.DENIED: ModelDenied,
    Kind.OUT_OF_CREDIT: OutOfCredit,
    Kind.TOO_LONG: PromptTooLong,
    Kind.API_REFUSED: ModelDenied,
    Kind.CUT: AnswerCut,
    Kind.BLANK: AnswerCut,
    Kind.REFUSED: ModelRefused,
    Kind.PASSING: ModelUnavailable,
    Kind.GARBLED: ModelUnavailable,
    Kind.BAD_REQUEST: ModelUnavailable,
    Kind.PARAMETER_REFUSED: ModelUnavailable,
    Kind.FORMAT_REFUSED: ModelUnavailable,
    Kind.UNKNOWN: ModelUnavailable,
}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_ends_as_one_error(kind: Kind) -> None:
    error: ModelError = error_of(fault(kind, "why", secret=""))
    assert type(error) is ERRORS[kind]
    assert str(error) == "why"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (openai("'max_tokens' is not supported. Use 'max_completion_tokens'."), "max_tokens"),
        (openai("use max_tokens", param="max_completion_tokens"), "max_completion_tokens"),
        (openai("", param="stream"), "stream"),
        (openai("streaming is not supported"), "stream"),
    ],
)
def test_the_field_that_is_refused_is_named(body: Any, named: str) -> None:
    assert refused(400, body).named == named


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, openai("bad key"), ["OPENAI_API_KEY", "401", "bad key"]),
        (404, openai("The model `x` does not exist"), ["MODEL", "OPENAI_BASE_URL", "`x`"]),
        (302, b"", ["OPENAI_BASE_URL", "302"]),
        (402, openai("Insufficient Balance"), ["credit", "Insufficient Balance"]),
        (503, {"error": "overloaded"}, ["503", "overloaded"]),
        (503, {"detail": "starting"}, ["503", "starting"]),
        (500, b"plain words", ["500", "plain words"]),
        (500, b"", ["500", "no reason given"]),
    ],
)
def test_the_text_says_what_to_do_and_what_the_server_said(
    status: int, body: Any, words: list[str]
) -> None:
    text = refused(status, body).text
    assert [word for word in words if word not in text] == []


def test_a_page_of_html_is_not_quoted() -> None:
    assert "<" not in refused(502, b"<html><body>Bad Gateway</body></html>").text


def test_keys_are_never_quoted() -> None:
    other = "sk-proj-" + "a1B2c3D4" * 6
    text = refused(401, openai(f"Incorrect API key: {KEY}, or {other}")).text
    assert KEY not in text
    assert other not in text


@pytest.mark.parametrize(
    "echoed",
    ["sk-abcdef", "sk-abcd********wxyz", "sk-proj-aB3", "sk-ant-api03-made-up", "sk-svcacct-…9Z"],
)
def test_keys_of_others_are_not_quoted_however_short_or_starred(echoed: str) -> None:
    text = refused(401, openai(f"Incorrect API key provided: {echoed}. Find yours at x.y.")).text
    assert echoed.removeprefix("sk-") not in text
    assert "Incorrect API key provided: sk-… Find yours at x.y." in text
    assert "task-based" in refused(500, openai("task-based scheduling")).text


def test_a_key_is_hidden_wherever_the_text_is_cut() -> None:
    for n_before in range(2_350, 2_420):
        assert KEY[:8] not in refused(500, openai(" " * n_before + KEY)).text


def test_a_text_is_one_line_of_at_most_300_visible_characters() -> None:
    text = refused(500, openai("a\n\u202eb\x1b[31m " + "x" * 9000)).text
    assert len(text) == 300
    assert text.isprintable()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:20 GMT"}, 20.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-tokens": ""}, None),
        ({"x-ratelimit-reset-tokens": "tomorrow"}, None),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 1.0),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-remaining-tokens": "0",
            },
            360.0,
        ),
    ],
)
def test_a_server_says_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    assert refused(429, openai("slow down"), headers).wait_s == wait_s


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "detail", "metadata", "raw"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.integers(300, 599), json_values, st.text(max_size=12))
def test_no_body_and_no_header_crashes_the_table(status: int, body: Any, header: str) -> None:
    told = refused(status, body, {"retry-after": header, "x-ratelimit-reset-tokens": header})
    assert 0 < len(told.text) <= 300
    fault_of_error(body, secret=KEY)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_table(raw: bytes) -> None:
    text = refused(500, raw).text
    assert len(text.splitlines()) == 1
    text.encode()


def test_a_body_nested_too_deep_is_read_as_text() -> None:
    assert refused(500, b"[" * 200_000).kind is Kind.PASSING
