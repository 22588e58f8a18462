"""`POST /responses`, which OpenAI's newer and Codex models ask for. Pure.

https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Mapping, Sequence

import msgspec

from app.llm.ladder import Abilities, Form
from app.llm.wire import Said, count, fields, joined, text_of
from app.review.prompt import Prompt

PATH = "responses"
ROOM: tuple[str, ...] = ("max_output_tokens",)

_ENDS = {"completed": "stop", "cancelled": "error", "failed": "error"}
_CUTS = {"max_output_tokens": "length"}


def render(model: str, prompt: Prompt, can: Abilities) -> dict[str, object]:
    """Ask without leaving a copy on the server, which keeps one unless told not to."""
    request: dict[str, object] = {
        "model": model,
        "instructions": prompt.system,
        "input": prompt.user,
    }
    request |= {name: value for name, value in _EXTRAS if can.takes(name)}
    if form := _format(prompt, can.form):
        request["text"] = {"format": form}
    return request


_EXTRAS: tuple[tuple[str, bool], ...] = (("store", False), ("stream", True))


def read(events: Sequence[object]) -> Said | None:
    """Read the events of a stream, or one whole response; the last state of it counts."""
    response: Mapping[str, object] = {}
    texts: list[str] = []
    refusals: list[str] = []
    error: object = None
    for event in map(fields, events):
        match event.get("type"):
            case "response.output_text.delta":
                texts.append(text_of(event.get("delta")))
            case "response.refusal.delta":
                refusals.append(text_of(event.get("delta")))
            case "error":
                error = event.get("error") or event
        error = error or event.get("error")
        response = fields(event.get("response")) or (event if "output" in event else response)
    if not (response or texts or error):
        return None
    parts = [part for item in _list(response.get("output")) for part in _list(item.get("content"))]
    usage = fields(response.get("usage"))
    return Said(
        text=joined(text_of(part.get("text")) for part in parts) or joined(texts),
        refusal=joined(text_of(part.get("refusal")) for part in parts) or joined(refusals),
        end=_end(response),
        tokens_in=count(usage.get("input_tokens")),
        tokens_out=count(usage.get("output_tokens")),
        error=error or response.get("error"),
    )


def _end(response: Mapping[str, object]) -> str:
    """Translate how it ended; empty where it did not."""
    status = text_of(response.get("status"))
    if status != "incomplete":
        return _ENDS.get(status, "")
    reason = text_of(fields(response.get("incomplete_details")).get("reason"))
    return _CUTS.get(reason, reason or "length")


def _list(values: object) -> list[Mapping[str, object]]:
    return [fields(value) for value in values] if isinstance(values, list) else []


def _format(prompt: Prompt, form: Form) -> dict[str, object]:
    match form:
        case Form.JSON_SCHEMA:
            schema = msgspec.Raw(prompt.schema)
            named = {"name": prompt.schema_name, "strict": True, "schema": schema}
            return {"type": "json_schema", **named}
        case Form.JSON_OBJECT_WITH_SCHEMA | Form.JSON_OBJECT:
            return {"type": "json_object"}
        case Form.TEXT:
            return {}
