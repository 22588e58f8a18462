"""`POST /chat/completions`, as every OpenAI-compatible server serves it. Pure.

https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Mapping, Sequence

import msgspec

from app.llm.ladder import Abilities, Form
from app.llm.wire import Said, count, fields, first, joined, text_of
from app.review.prompt import Prompt

PATH = "chat/completions"
ROOM: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
"""OpenAI's reasoning models refuse the old name aloud; others ignore the new one silently."""


def render(model: str, prompt: Prompt, can: Abilities) -> dict[str, object]:
    """Say no more than is needed: reasoning models refuse a temperature and starve on a limit."""
    request: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ],
        **stream_fields(can),
    }
    if form := _response_format(prompt, can.form):
        request["response_format"] = form
    return request


def read(events: Sequence[object]) -> Said | None:
    """Read chunks, or one whole completion; legacy completions look the same from here."""
    texts: list[str] = []
    refusals: list[str] = []
    end, error, is_ours = "", None, False
    usage: Mapping[str, object] = {}
    for event in map(fields, events):
        choice = first(event.get("choices"))
        part = fields(choice.get("message") or choice.get("delta"))
        texts.append(text_of(part.get("content")) or text_of(choice.get("text")))
        refusals.append(text_of(part.get("refusal")))
        end = text_of(choice.get("finish_reason")) or end
        usage = fields(event.get("usage")) or usage
        error = error or event.get("error") or choice.get("error")
        is_ours = is_ours or bool(choice or error)
    if not is_ours:
        return None
    return Said(
        text=joined(texts),
        refusal=joined(refusals),
        end=end,
        tokens_in=count(usage.get("prompt_tokens")),
        tokens_out=count(usage.get("completion_tokens")),
        error=error,
    )


def stream_fields(can: Abilities) -> dict[str, object]:
    """Ask for a stream that ends with the usage, as far as the server takes that."""
    if not can.takes("stream"):
        return {}
    options = {"stream_options": {"include_usage": True}} if can.takes("stream_options") else {}
    return {"stream": True, **options}


def _response_format(prompt: Prompt, form: Form) -> dict[str, object]:
    schema = msgspec.Raw(prompt.schema)
    match form:
        case Form.JSON_SCHEMA:
            named = {"name": prompt.schema_name, "strict": True, "schema": schema}
            return {"type": "json_schema", "json_schema": named}
        case Form.JSON_OBJECT_WITH_SCHEMA:
            # As llama.cpp's Python server takes it; others pass over the key.
            return {"type": "json_object", "schema": schema}
        case Form.JSON_OBJECT:
            return {"type": "json_object"}
        case Form.TEXT:
            return {}
