"""No answer of any shape crashes the reader of any protocol."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm import chat, completions, responses
from app.llm.wire import Said, Wire, count, text_of

WIRES: tuple[Wire, ...] = (chat, completions, responses)
KEYS = (
    *("choices", "message", "delta", "content", "text", "refusal", "finish_reason", "usage"),
    *("error", "type", "response", "output", "status", "incomplete_details", "reason"),
)
WORDS = ("response.output_text.delta", "error", "incomplete", "length", "stop")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("wire", WIRES)
@given(st.lists(values, max_size=4))
def test_nothing_that_is_json_crashes_a_reader(wire: Wire, events: list[Any]) -> None:
    said = wire.read(events)
    assert said is None or isinstance(said, Said)
    if said:
        (said.text + said.refusal).encode()


def test_halves_of_a_character_in_two_events_are_one_character() -> None:
    events = [{"choices": [{"delta": {"content": half}}]} for half in ("\ud83d", "\ude00")]
    assert chat.read(events) == Said(text="\U0001f600")


@pytest.mark.parametrize(
    ("content", "text"),
    [("a", "a"), ([{"text": "a"}, {"x": 1}, 2, {"text": "b"}], "ab"), (None, ""), ({}, "")],
)
def test_a_content_is_a_text_or_parts_of_it(content: object, text: str) -> None:
    assert text_of(content) == text


@pytest.mark.parametrize(
    ("told", "counted"), [(5, 5), (0, 0), (-1, 0), (True, 0), (10**9, 0), ("5", 0), (None, 0)]
)
def test_only_a_number_counts(told: object, counted: int) -> None:
    assert count(told) == counted
