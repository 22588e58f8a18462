"""What earlier runs said about this pull request, and what of a new run is therefore no news."""

from dataclasses import dataclass

from app.review.findings import Finding, Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`said` are the fingerprints of findings already posted on this pull request, `covered` the
    coverage keys of what was shown for them."""

    said: frozenset[Fingerprint] = frozenset()
    covered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Findings that nobody has read yet, and those that were posted before and are still there."""

    new: tuple[Finding, ...]
    still_open: tuple[Finding, ...]


def unseen(findings: tuple[Finding, ...], history: History) -> News:
    """Tell news from what an earlier run already said on this pull request."""
    return News(
        new=tuple(f for f in findings if f.fingerprint not in history.said),
        still_open=tuple(f for f in findings if f.fingerprint in history.said),
    )
