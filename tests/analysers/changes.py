"""Changes for analysers, made from what the files were and are."""

from collections.abc import Mapping
from difflib import unified_diff

from app.review.config import Config
from app.review.diff import Damaged, Diff, FileDiff, parse_patch
from app.review.pull import Change


def make_change(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Change:
    """Make a change to `files` (path → content); what `before` does not name is a new file."""
    return Change(
        pull=None,
        title="",
        body="",
        head_sha=None,
        base_sha=None,
        diff=Diff(
            files=tuple(file_diff(path, (before or {}).get(path), files[path]) for path in files)
        ),
        config=Config(),
    )


def file_diff(path: str, old: str | None, new: str) -> FileDiff:
    hunks = list(unified_diff(lines(old or ""), lines(new)))[2:]
    file = parse_patch(
        "".join(hunks).encode("utf-8", "surrogateescape"),
        status="added" if old is None else "modified",
        filename=path,
    )
    assert not isinstance(file, Damaged)
    return file


def lines(text: str) -> list[str]:
    """Split at newlines only, as git does; the last line gets one."""
    return [line + "\n" for line in text.removesuffix("\n").split("\n")] if text else []


def contents(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode("utf-8", "surrogateescape") for path, text in files.items()}
