"""The states that a response may end in."""

from typing import Any

import pytest

from app.llm import responses
from app.llm.wire import Said

MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}


def response(**changes: Any) -> dict[str, Any]:
    return {"object": "response", "status": "completed", "output": [MESSAGE], **changes}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([response()], Said(text="hello", end="stop")),
        ([response(output=[{"type": "reasoning", "summary": []}, MESSAGE])], None),
        ([response(usage={"input_tokens": 7, "output_tokens": 3})], None),
        (
            [response(status="incomplete", incomplete_details={"reason": "max_output_tokens"})],
            Said(text="hello", end="length"),
        ),
        (
            [response(status="incomplete", incomplete_details=None)],
            Said(text="hello", end="length"),
        ),
        (
            [response(status="failed", output=[], error={"code": "server_error"})],
            Said(end="error", error={"code": "server_error"}),
        ),
        ([{"type": "error", "code": "x"}], Said(error={"type": "error", "code": "x"})),
        ([{"error": {"message": "boom"}}], Said(error={"message": "boom"})),
        (
            [
                {"type": "response.created", "response": {"status": "in_progress", "output": []}},
                {"type": "response.output_text.delta", "delta": "hel"},
                {"type": "response.output_text.delta", "delta": "lo"},
            ],
            Said(text="hello"),
        ),
        (
            [
                {"type": "response.output_text.delta", "delta": "hello"},
                {"type": "response.completed", "response": {"status": "completed"}},
            ],
            Said(text="hello", end="stop"),
        ),
    ],
)
def test_a_response_is_read(events: list[Any], said: Said | None) -> None:
    found = responses.read(events)
    if said is None:  # only its text and tokens are at stake
        assert found
        assert (found.text, found.tokens_in in (0, 7)) == ("hello", True)
        return
    assert found == said


@pytest.mark.parametrize("events", [[], [{}], ["x"], [{"choices": []}]])
def test_what_is_no_response_is_none(events: list[Any]) -> None:
    assert responses.read(events) is None
