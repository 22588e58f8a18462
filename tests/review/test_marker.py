import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.marker import (
    CommentMarker,
    FindingMarker,
    ReviewMarker,
    comment_marker,
    finding_marker,
    parse_markers,
    review_marker,
)

texts = st.text(max_size=40)


def test_a_review_marker_looks_as_documented() -> None:
    assert review_marker("r-1", "abc") == "<!-- codex-review run=r-1 head=abc -->"


@given(texts, texts, texts)
def test_what_is_marked_is_read_back(run: str, fingerprint: str, head: str) -> None:
    text = "\n".join(
        (
            review_marker(run, head),
            "said",
            finding_marker(run, fingerprint, head),
            comment_marker(run),
        )
    )
    assert parse_markers(text) == (
        ReviewMarker(run_id=run, head_sha=head),
        FindingMarker(run_id=run, fingerprint=fingerprint, head_sha=head),
        CommentMarker(key=run),
    )


@given(st.text(alphabet="->!< =x", max_size=20))
def test_no_value_can_close_the_comment(value: str) -> None:
    inner = comment_marker(value).removeprefix("<!--").removesuffix("-->")
    assert "--" not in inner
    assert ">" not in inner
    assert parse_markers(comment_marker(value)) == (CommentMarker(key=value),)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- codex-review -->",
        "<!-- codex-review run=r -->",
        "<!-- codex-review run=r head=h more=m -->",
        "<!-- codex-review key=k run=r -->",
        "<!-- codex-reviewer key=k -->",
        "<!-- codex-review key=a b -->",
        "<!--codex-review key=k-->",
    ],
)
def test_what_only_looks_like_a_marker_is_none(text: str) -> None:
    assert parse_markers(text) == ()
