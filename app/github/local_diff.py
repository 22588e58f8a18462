"""Compares two contents as git does, where GitHub will not.

git itself does it, in a child process: its hunks are then those that GitHub would have shown, and
a pair made to be slow to compare (seconds for 1 MB) can neither hold the event loop nor outlast
the child's limits.
"""

from app.errors import Permanent
from app.ports import Child

_SAME, _DIFFERENT = 0, 1
"""Exit statuses of `git diff --no-index`."""

# What the machine's configuration could say otherwise is said here.
_OPTIONS = (
    "-c",
    "core.autocrlf=false",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "diff.suppressBlankEmpty=false",
    "diff",
    "--no-index",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--text",  # GitHub counted lines, so it took both for text
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--inter-hunk-context=0",
    "-U3",
    "--",
)


class GitDiff:
    """`git diff`, held by a child's limits. `program` is an absolute path."""

    def __init__(self, child: Child, program: str) -> None:
        self._child = child
        self._program = program

    async def patch(self, old: bytes | None, new: bytes | None) -> bytes:
        """Return the hunks alone, as in a `patch` of GitHub's; None is a file that is not there.

        Raises Permanent where git came to no end.
        """
        files = {"old": old, "new": new}
        ended = await self._child.run(
            [
                self._program,
                *_OPTIONS,
                *(
                    "/dev/null" if text is None else f"{{files}}/{name}"
                    for name, text in files.items()
                ),
            ],
            {name: text for name, text in files.items() if text is not None},
        )
        if ended.status not in (_SAME, _DIFFERENT):
            raise Permanent(f"git diff {ended.problem or f'ended with status {ended.status}'}")
        at = ended.stdout.find(b"\n@@ -")
        return ended.stdout[at + 1 :] if at != -1 else b""
