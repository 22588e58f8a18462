"""Streams of events, in whatever pieces they come."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.sse import EventReader


def read(*pieces: bytes) -> list[str]:
    reader = EventReader()
    found = [event for piece in pieces for event in reader.feed(piece)]
    return found + reader.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data:  indented\n\n", [" indented"]),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n", ["a"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", ["a"]),
        (b"event: x\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a", ["a"]),
        (b"data: a\r", ["a"]),
        (b"data\n\n", []),
        ("data: ä€😀\n\n".encode(), ["ä€😀"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b'{"error": {\n "data": 1}}\n', []),
        (b"<html>\n\n</html>", []),
    ],
)
def test_a_stream_is_read(stream: bytes, events: list[str]) -> None:
    assert read(stream) == events


def test_an_event_is_told_as_soon_as_it_is_complete() -> None:
    reader = EventReader()
    assert [reader.feed(piece) for piece in (b"data: a", b"\n", b"\n")] == [[], [], ["a"]]


pieces = st.lists(
    st.one_of(
        st.sampled_from([b"data: ", b"data:", b": x", b"event: e", b"\n", b"\r", b"\r\n", b"\n\n"]),
        st.text(max_size=6).map(str.encode),
        st.binary(max_size=4),
    ),
    max_size=30,
)


@given(pieces, st.lists(st.integers(0, 200)))
def test_however_a_stream_is_split_its_events_are_the_same(
    parts: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(parts)
    at = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    split = [stream[a:b] for a, b in pairwise(at)]
    one_by_one = [stream[i : i + 1] for i in range(len(stream))]
    assert read(stream) == read(*split) == read(*one_by_one)


@given(st.lists(st.text(min_size=1).map(lambda t: " ".join(t.split()) or "x"), max_size=8))
def test_what_is_sent_arrives(texts: list[str]) -> None:
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    assert read("".join(f"data: {text}\n\n" for text in clean).encode()) == clean
