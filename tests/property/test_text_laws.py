"""Laws of untrusted text: whatever it says, what we post of it shows words, lists and code only."""

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.review.marker import parse_markers
from app.review.text import ZERO_WIDTH_SPACE, code_span, fenced, safe_line, safe_prose
from tests.markdown import code, live_tokens, words

TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
PIECES = (
    *"`~*_[]()<>!|#@&\\-+=:/.$\"' \n\t0a",
    *("``", "```", "````", "~~~", "---", "===", "- ", "  - ", "1. ", "12) ", "> ", "    ", "\n\n"),
    *("<b>", "</b>", "<!--", "-->", "<script>", "&lt;", "&#64;", "<https://e.vil>", "![a](b)"),
    *("[a](b)", "[a]: http://e.vil", "http://e.vil/", "www.e.vil", "javascript:x", "me@e.vil"),
    *("@acme/team", "@codex review", "/approve", "#1", "GH-1", "acme/shop#1", "| - | - |", "\r\n"),
    *(
        "<!-- codex-review run=1 head=2 -->",
        "```suggestion\n",
        "\\color{white}",
        "\u200b",
        "\u202e",
    ),
    *(f" {TOKEN} ", "\udcff", "\r", "\x1b[2J", "é", "🙂"),
)
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=25).map("".join)
RENDERERS: tuple[Callable[[str], str], ...] = (safe_prose, safe_line, code_span, fenced)

MENTION = re.compile(r"@\w")
REFERENCE = re.compile(r"#\w|\bGH-\d", re.IGNORECASE)
ADDRESS = re.compile(r"https?://|www\.\w|mailto:", re.IGNORECASE)
COMMAND = re.compile(r"^\s{0,3}(?:/[a-z]|@\w)", re.IGNORECASE | re.MULTILINE)


@pytest.mark.parametrize("render", RENDERERS)
@given(text=texts)
@example(text="title\n- ")
@example(text="1. 1. # heading")
@example(text="123456789. > quote")
@example(text="http://a/``b`@c``")
@example(text="`a``b`@c")
def test_only_words_lists_and_code_are_shown(render: Callable[[str], str], text: str) -> None:
    for shown in (render(text), f"- **P0** `x` {safe_line(text)}: {code_span(text)} (why)\n- next"):
        assert live_tokens(shown) <= {"strong_open"}
        assert not MENTION.search(words(shown))
        assert not REFERENCE.search(words(shown))
        assert not ADDRESS.search(words(shown))


@pytest.mark.parametrize("render", RENDERERS)
@given(text=texts)
def test_the_raw_text_is_inert_too(render: Callable[[str], str], text: str) -> None:
    shown = render(text)
    assert "<!--" not in shown
    assert parse_markers(shown) == ()
    assert not COMMAND.search(shown) or render is fenced
    assert not re.search(r"^(?:/[A-Za-z]|@\w)", shown, re.MULTILINE)
    assert TOKEN[4:] not in shown
    shown.encode("utf-8")


@pytest.mark.parametrize("render", [safe_prose, safe_line])
@given(text=texts, limit=st.integers(30, 200))
def test_what_is_cut_leaves_no_code_open(
    render: Callable[[str, int], str], text: str, limit: int
) -> None:
    shown = render(text, limit)
    assert len(shown) <= limit
    after = f"{shown}\n\nafter"
    assert "after" in words(after)
    assert live_tokens(after) == frozenset()


@given(text=st.text(st.sampled_from("ab`~\n /@<&"), min_size=1).filter(str.strip))
def test_a_code_block_holds_exactly_its_text_but_for_broken_commands(text: str) -> None:
    (shown,) = code(fenced(text))
    assert shown.replace(ZERO_WIDTH_SPACE, "") == text.strip("\n") + "\n"
    assert re.search(f"[^/@]{ZERO_WIDTH_SPACE}|^{ZERO_WIDTH_SPACE}", shown) is None


@given(text=st.text(st.sampled_from("ab`\\<&*_ "), min_size=1).filter(str.strip))
def test_a_span_holds_exactly_its_text(text: str) -> None:
    (shown,) = code(code_span(text))
    assert shown.strip() == text.strip()
