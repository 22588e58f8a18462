"""Reads files as they were at a commit, and keeps them for the second reader.

Asks the base repository for either side: it can read the head of a fork too.
"""

from collections import OrderedDict
from urllib.parse import quote

from app.github.transport import RAW, GitHub, NotFound
from app.review.pull import Sha, Target

MAX_FILE_BYTES = 1_000_000
MAX_KEPT_BYTES = 4 * 1024 * 1024
"""Contents that are kept for the second reader, over all changes; the oldest go first."""


class Contents:
    """Files at commits. A symlink to a file of the repository is read as that file."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._kept: OrderedDict[tuple[int, str, str], bytes] = OrderedDict()
        self._kept_bytes = 0

    async def read(
        self, target: Target, path: str, sha: Sha, *, max_bytes: int = MAX_FILE_BYTES
    ) -> bytes:
        """Return a file. Raises Permanent where it cannot be had: none there, too large, …"""
        if not _is_plain(path):
            raise NotFound("this is no path of a file")
        key = (target.repository_id, sha, path)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        encoded = quote(path, safe="/", errors="surrogateescape")
        content = await self._github.repository(target).get(
            f"contents/{encoded}?ref={sha}", accept=RAW, max_bytes=max_bytes
        )
        if key not in self._kept:
            self._keep(key, content)
        return content

    def _keep(self, key: tuple[int, str, str], content: bytes) -> None:
        self._kept[key] = content
        self._kept_bytes += len(content)
        while self._kept_bytes > MAX_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)


def _is_plain(path: str) -> bool:
    """No part of a path may be read as a way up when it stands in an address."""
    return all(part not in ("", ".", "..") for part in path.split("/"))
