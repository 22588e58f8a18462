"""Reads changed files as they are at the head. Does not know what they are read for."""

import asyncio
from collections.abc import Collection, Mapping

from app.ports import Changes
from app.review.pull import Change

READS_AT_ONCE = 8
"""GitHub takes at most 100 requests at once, over all reviews of an installation."""


async def read_heads(change: Change, paths: Collection[str], changes: Changes) -> dict[str, bytes]:
    """Read changed files at the head, a few at a time; those that cannot be had are left out."""
    changed = [
        file.new_path
        for file in change.diff.files
        if file.new_path in paths and file.hunks and not (file.is_submodule or file.is_symlink)
    ]
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def read(path: str) -> bytes | None:
        async with slots:
            return await changes.read(change, path)

    contents = await asyncio.gather(*(read(path) for path in changed if path))
    return {
        path: content
        for path, content in zip(changed, contents, strict=True)
        if path and content is not None
    }


def texts_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Read files as text, whatever their bytes."""
    return {path: text.decode("utf-8", "surrogateescape") for path, text in contents.items()}
