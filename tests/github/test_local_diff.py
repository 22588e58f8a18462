"""Comparing two contents, held to what git prints of two commits."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from app.demo.repository import GitRepository
from app.errors import Permanent
from app.github.local_diff import GitDiff
from app.ports import Ended
from app.review.diff import FileDiff, parse_diff, parse_patch
from app.sandbox.child import LimitedChild, Limits

pytestmark = pytest.mark.anyio

GIT = shutil.which("git") or ""
LINES = [f"line {n}\n".encode() for n in range(60)]
TEXT = b"".join(LINES)

PAIRS = {
    "added": (None, TEXT),
    "deleted": (TEXT, None),
    "changed in two places": (TEXT, TEXT.replace(b"line 5\n", b"").replace(b"line 40", b"l 40")),
    "no newline at the end any more": (TEXT, TEXT.removesuffix(b"\n")),
    "no newline at the end on either side": (b"a\nb", b"a\nc"),
    "a newline at the end for the first time": (b"a\nb", b"a\nb\n"),
    "CRLF": (TEXT.replace(b"\n", b"\r\n"), TEXT.replace(b"\n", b"\r\n").replace(b"7\r", b"x\r")),
    "from LF to CRLF": (TEXT, TEXT.replace(b"\n", b"\r\n")),
    "a lone CR, a form feed and a line separator": (
        TEXT,
        TEXT.replace(b"line 9\n", b"a\rb\x0cc\xe2\x80\xa8d\n"),
    ),
    "bytes that are no UTF-8": (TEXT, TEXT.replace(b"line 9\n", b"\xff\xfe\n")),
    "lines that look like a diff": (b"-- a\n@@ -1 +1 @@\n", b"++ b\n@@ -1 +1 @@\ndiff --git a b\n"),
    "a block that could stand in two places": (
        b"def a():\n    x\n\n\ndef b():\n    x\n",
        b"def a():\n    x\n\n\ndef c():\n    x\n\n\ndef b():\n    x\n",
    ),
}


class Ending:
    """A child whose programs end as told."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        return self.ended


@pytest.mark.parametrize("name", PAIRS)
async def test_the_hunks_are_those_of_git(name: str, tmp_path: Path) -> None:
    old, new = PAIRS[name]
    patch = await GitDiff(LimitedChild(), GIT).patch(old, new)
    status = "added" if old is None else "removed" if new is None else "modified"
    found = parse_patch(patch, status=status, filename="f.txt")
    assert isinstance(found, FileDiff)
    assert found.hunks
    assert found.hunks == (await truth(tmp_path, old, new)).hunks


async def truth(tmp_path: Path, old: bytes | None, new: bytes | None) -> FileDiff:
    git = GitRepository.create(tmp_path / "truth")
    base = git.commit("refs/heads/main", {"f.txt": old, "other": b""}, parent=None, message="1")
    head = git.commit("refs/heads/main", {"f.txt": new}, parent=base, message="2")
    return parse_diff(git.diff(base, head)).files[0]


async def test_a_byte_that_makes_git_think_of_a_binary_is_compared_all_the_same() -> None:
    patch = await GitDiff(LimitedChild(), GIT).patch(b"a\0\nb\n", b"a\0\nc\n")
    assert patch == b"@@ -1,2 +1,2 @@\n a\0\n-b\n+c\n"


async def test_equal_contents_have_no_hunks() -> None:
    assert await GitDiff(LimitedChild(), GIT).patch(TEXT, TEXT) == b""


async def test_a_comparison_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    child = LimitedChild(Limits(wall_s=0.3))
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(Permanent, match=r"git diff ran longer than 0\.3 s"):
        await GitDiff(child, str(slow)).patch(TEXT, b"")


@pytest.mark.parametrize("status", [2, 128])
async def test_a_git_that_fails_is_told(status: int) -> None:
    ended = Ended(status=status, stdout=b"@@ -1 +1 @@\n", stderr=b"fatal")
    with pytest.raises(Permanent, match=f"git diff ended with status {status}"):
        await GitDiff(Ending(ended), GIT).patch(b"a", b"b")
