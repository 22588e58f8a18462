"""`POST /completions`, the legacy protocol: one text in, one text out, no roles and no forms. Pure.

https://platform.openai.com/docs/api-reference/completions
"""

from app.llm import chat
from app.llm.ladder import Abilities
from app.review.prompt import Prompt

PATH = "completions"
ROOM: tuple[str, ...] = ("max_tokens",)
ROOM_TOKENS = 4096
"""Without a limit of ours an answer would have 16 tokens."""

read = chat.read


def render(model: str, prompt: Prompt, can: Abilities) -> dict[str, object]:
    """Ask for the text that follows the rules and the question."""
    request: dict[str, object] = {
        "model": model,
        "prompt": f"{prompt.system}\n{prompt.user}\n",
        **chat.stream_fields(can),
    }
    if can.takes("max_tokens"):
        request["max_tokens"] = ROOM_TOKENS
    return request
