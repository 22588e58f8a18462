"""Says of which changed code no analyser, or not every one that knows it, can say anything."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from posixpath import splitext

from app.analysers.added import words
from app.analysers.linter import Tool
from app.analysers.scripts import with_suffix
from app.ports import Found
from app.review.classes import classify, is_reviewable
from app.review.pull import Change

REASON = "none knows its language"
MISSING = "it is not installed"

_CODE = words(
    """
    .bash .bats .c .cc .cjs .clj .cljs .cpp .cs .cts .cxx .dart .dash .erl .ex .exs .f90 .fs .fsx
    .go .groovy .h .hh .hpp .hs .hxx .java .jl .js .jsx .ksh .kt .kts .lua .m .mjs .ml .mm .mts
    .nim .php .pl .pm .ps1 .py .pyi .r .rake .rb .rs .scala .sh .sol .sql .svelte .swift .ts .tsx
    .vb .vue .zig .zsh
    """
)


class Languages:
    """A Finder that finds nothing, and names the code that none of `tools` can read."""

    name = "any analyser"

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tools

    def wants(self, path: str) -> bool:
        """Say no: the name is enough, or the first line where others want it."""
        return False

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Name each changed file of code that no tool knows."""
        unknown = await asyncio.to_thread(
            lambda: {
                path: REASON
                for path, name in _reviewable(change, files)
                if splitext(name)[1].lower() in _CODE
                and not any(tool.wants(name) for tool in self._tools)
            }
        )
        return Found(finder=self.name, not_analysed=unknown or None)


class Missing:
    """A Finder in the place of one that is not installed: it names what that would read."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool

    @property
    def name(self) -> str:
        return self._tool.name

    def wants(self, path: str) -> bool:
        """Say no: nobody would read it."""
        return False

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Name each changed file that the program would be run on."""
        missed = await asyncio.to_thread(
            lambda: {
                path: MISSING for path, name in _reviewable(change, files) if self._tool.wants(name)
            }
        )
        return Found(finder=self.name, not_analysed=missed or None)


def _reviewable(change: Change, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """List the path of each file that people wrote, and with a script's suffix."""
    for file in change.diff.files:
        if file.new_path is not None and file.hunks and is_reviewable(classify(file)):
            yield file.path, with_suffix(file.path, files.get(file.path, b""))
