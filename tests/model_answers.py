"""How a completion looks in each protocol of a model server, whole and as a stream."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MADE_AT = 1_800_000_000
_STATUS = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A completion; `message` and `choice` change its parts, None for `usage` leaves it out."""

    text: str | None = ""
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20}
    )
    message: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)


def whole(path: str, reply: Completion, model: str) -> dict[str, Any]:
    """Write an answer as `POST {path}` gives it in one piece."""
    if path == "responses":
        return _response(reply, model)
    choice: dict[str, Any] = {"index": 0, "finish_reason": reply.finish_reason, "logprobs": None}
    if path == "completions":
        choice["text"] = reply.text
    else:
        choice["message"] = {
            **{"role": "assistant", "content": reply.text, "refusal": None},
            **reply.message,
        }
    answer = _head(path, "", model) | {"choices": [choice | dict(reply.choice)]}
    return answer if reply.usage is None else answer | {"usage": dict(reply.usage)}


def stream(path: str, reply: Completion, body: Mapping[str, Any]) -> str:
    """Write an answer as server-sent events, as the question's `body` asks for them."""
    model = str(body.get("model", ""))
    if path == "responses":
        events = list(_response_events(reply, model))
        return "".join(f"event: {e['type']}\n{_event(e)}" for e in events)
    with_usage = body.get("stream_options", {}).get("include_usage", False)
    chunks = [
        _head(path, ".chunk", model) | {"choices": [choice]} for choice in _choices(path, reply)
    ]
    if with_usage and reply.usage is not None:
        chunks.append(_head(path, ".chunk", model) | {"choices": [], "usage": dict(reply.usage)})
    return "".join(map(_event, chunks)) + "data: [DONE]\n\n"


def _event(value: object) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _head(path: str, suffix: str, model: str) -> dict[str, Any]:
    name = "text_completion" if path == "completions" else f"chat.completion{suffix}"
    return {"id": "cmpl-1", "object": name, "created": MADE_AT, "model": model}


def _choices(path: str, reply: Completion) -> Iterator[dict[str, Any]]:
    """Yield the choice of each chunk: the role, two halves of the text, the end."""
    text = reply.text or ""
    halves = (text[: len(text) // 2], text[len(text) // 2 :])
    blank: dict[str, Any] = {"index": 0, "finish_reason": None, "logprobs": None}
    if path == "completions":
        yield from (blank | {"text": half} for half in halves)
        yield blank | {"text": "", "finish_reason": reply.finish_reason} | dict(reply.choice)
        return
    yield blank | {"delta": {"role": "assistant", "content": ""}}
    if "content" not in reply.message:
        yield from (blank | {"delta": {"content": half}} for half in halves)
    if reply.message:
        yield blank | {"delta": dict(reply.message)}
    yield blank | {"delta": {}, "finish_reason": reply.finish_reason} | dict(reply.choice)


def _response(reply: Completion, model: str) -> dict[str, Any]:
    refusal = reply.message.get("refusal")
    content: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": []}
    if refusal:
        content = {"type": "refusal", "refusal": refusal}
    reason = _STATUS.get(reply.finish_reason or "")
    usage = dict(reply.usage or {})
    tokens_in, tokens_out = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": MADE_AT,
        "model": model,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "incomplete" if reason else "completed",
                "content": [content],
            }
        ],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": None
        if reply.usage is None
        else {
            "input_tokens": tokens_in,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens_out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens_in + tokens_out,
        },
    }


def _response_events(reply: Completion, model: str) -> Iterator[dict[str, Any]]:
    final = _response(reply, model)
    begun = final | {"status": "in_progress", "output": [], "usage": None}
    text = reply.text or ""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress"}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"content": []},
        },
        {"type": "response.content_part.added", **place, "part": part},
        *(
            {"type": "response.output_text.delta", **place, "delta": half, "logprobs": []}
            for half in (text[: len(text) // 2], text[len(text) // 2 :])
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": final["output"][0]},
        {"type": f"response.{final['status']}", "response": final},
    ]
    yield from (event | {"sequence_number": n} for n, event in enumerate(events))
