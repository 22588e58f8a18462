"""What Markdown comes to when it is shown, read from markdown-it's tokens."""

from collections.abc import Iterator, Set

from markdown_it import MarkdownIt
from markdown_it.token import Token

_GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])

LIVE = frozenset(
    (
        "html_block",
        "html_inline",
        "link_open",
        "image",
        "heading_open",
        "blockquote_open",
        "hr",
        "table_open",
        "em_open",
        "strong_open",
        "s_open",
    )
)
"""Tokens that do something beyond showing words, lists and code."""


def tokens(markdown: str) -> Iterator[Token]:
    """Yield all tokens, those within a line too."""
    for token in _GFM.parse(markdown):
        yield token
        yield from token.children or ()


def live_tokens(markdown: str) -> Set[str]:
    return LIVE & {token.type for token in tokens(markdown)}


def html(markdown: str) -> list[str]:
    """List the HTML that gets through as it is."""
    return [t.content for t in tokens(markdown) if t.type in ("html_block", "html_inline")]


def words(markdown: str) -> str:
    """Return the text that is shown outside of code."""
    return "\n".join(t.content for t in tokens(markdown) if t.type == "text")


def code(markdown: str) -> list[str]:
    """List what is shown as code."""
    kinds = ("code_inline", "fence", "code_block")
    return [t.content for t in tokens(markdown) if t.type in kinds]
