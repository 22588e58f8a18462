"""What the protocols share: the shape of an answer taken apart, and fields that they all have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.llm.ladder import Abilities
from app.review.prompt import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a server said, in the words of chat completions.

    `end` is its finish_reason, empty where untold; tokens are 0 where untold.
    """

    text: str = ""
    refusal: str = ""
    end: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    error: object = None


class Wire(Protocol):
    """One protocol. `ROOM` are the names it may have for the most tokens of an answer."""

    PATH: str
    ROOM: tuple[str, ...]

    def render(self, model: str, prompt: Prompt, can: Abilities) -> dict[str, object]:
        """Write a request that holds nothing which the server refused."""

    def read(self, events: Sequence[object]) -> Said | None:
        """Read the events of a stream, or one whole answer as the only event.

        None where none of them belongs to this protocol.
        """


def fields(value: object) -> Mapping[str, object]:
    """Return a JSON object; for any other value an empty one."""
    return value if isinstance(value, dict) else {}


def first(values: object) -> Mapping[str, object]:
    """Return the first of a list of JSON objects, or an empty one."""
    return fields(values[0]) if isinstance(values, list) and values else {}


def text_of(content: object) -> str:
    """Return a text, given whole or as a list of parts."""
    if isinstance(content, list):
        texts = (fields(part).get("text") for part in content)
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def joined(parts: Iterable[str]) -> str:
    """Join the parts of a text and mend characters that were split between them."""
    whole = "".join(parts)
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def count(value: object) -> int:
    """Return a number of tokens, 0 where none was told."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 < value < 10**9 else 0
