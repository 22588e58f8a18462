"""Reads which findings stand on a pull request already: the hidden markers in what we wrote."""

from collections.abc import Awaitable, Callable

import msgspec

from app.github.publisher import PENDING
from app.github.transport import Account, GitHub
from app.review.findings import Fingerprint
from app.review.marker import FindingMarker, parse_markers
from app.review.pull import Target


class _TextWire(msgspec.Struct, frozen=True, kw_only=True):
    """A review, or a comment on the diff, which has no state."""

    body: str | None = None
    user: Account | None = None
    state: str = ""


class SaidFindings:
    """Findings in our reviews on GitHub. `author` tells whose reviews are ours, if it can."""

    def __init__(self, github: GitHub, author: Callable[[], Awaitable[Account | None]]) -> None:
        self._github = github
        self._author = author

    async def fingerprints(self, target: Target) -> frozenset[Fingerprint]:
        """Return what we said; a marker in anybody else's text means nothing."""
        us = await self._author()
        if us is None:
            return frozenset()
        repository = self._github.repository(target)
        texts = [
            text
            for place in ("reviews", "comments")
            async for page in repository.pages(
                f"pulls/{target.number}/{place}", tuple[_TextWire, ...], per_page=100
            )
            for text in page
        ]
        return frozenset(
            Fingerprint(marker.fingerprint)
            for text in texts
            if text.user == us and text.state != PENDING
            for marker in parse_markers(text.body or "")
            if isinstance(marker, FindingMarker)
        )
