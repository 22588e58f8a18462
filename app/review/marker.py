"""The hidden markers in everything we post: they tell a later run what is there already.

Knows their one format, `<!-- codex-review key=value … -->`. A marker proves nothing by itself: it
counts only in text whose author is our own App.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote

_MARKER = re.compile(r"<!-- codex-review((?: [a-z]+=[^\s<>]*)+) -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewMarker:
    """Stands in the body of a review."""

    run_id: str
    head_sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingMarker:
    """Stands in a comment on the diff."""

    run_id: str
    fingerprint: str
    head_sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentMarker:
    """Stands in a comment in the conversation that is edited rather than said again."""

    key: str


Marker = ReviewMarker | FindingMarker | CommentMarker


def review_marker(run_id: str, head_sha: str) -> str:
    """Render the marker of a run's review."""
    return _render(run=run_id, head=head_sha)


def finding_marker(run_id: str, fingerprint: str, head_sha: str) -> str:
    """Render the marker of one finding's comment."""
    return _render(run=run_id, finding=fingerprint, head=head_sha)


def comment_marker(key: str) -> str:
    """Render the marker of a comment that is said under `key`."""
    return _render(key=key)


def parse_markers(text: str) -> tuple[Marker, ...]:
    """Read all markers of a text in its order; what only looks like one is passed over."""
    return tuple(_known(text))


def _render(**fields: str) -> str:
    told = " ".join(f"{name}={_escape(value)}" for name, value in fields.items())
    return f"<!-- codex-review {told} -->"


def _escape(value: str) -> str:
    """Percent-encode, so that no value can close the comment; `--` may not stand inside one."""
    return quote(value, safe="", errors="surrogateescape").replace("--", "-%2D")


def _known(text: str) -> Iterator[Marker]:
    for found in _MARKER.finditer(text):
        pairs = (pair.partition("=") for pair in found[1].split())
        fields = {name: unquote(value, errors="surrogateescape") for name, _, value in pairs}
        match fields:
            case {"run": run, "finding": fingerprint, "head": head, **rest} if not rest:
                yield FindingMarker(run_id=run, fingerprint=fingerprint, head_sha=head)
            case {"run": run, "head": head, **rest} if not rest:
                yield ReviewMarker(run_id=run, head_sha=head)
            case {"key": key, **rest} if not rest:
                yield CommentMarker(key=key)
