"""Says of which changed code no analyser, or not every one that knows it, can say anything."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
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
            lambda: dict.fromkeys(_those(change, files, self._is_unknown), REASON)
        )
        return Found(finder=self.name, not_analysed=unknown or None)

    def _is_unknown(self, name: str) -> bool:
        is_code = splitext(name)[1].lower() in _CODE
        return is_code and not any(tool.wants(name) for tool in self._tools)


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
            lambda: dict.fromkeys(_those(change, files, self._tool.wants), MISSING)
        )
        return Found(finder=self.name, not_analysed=missed or None)


def _those(
    change: Change, files: Mapping[str, bytes], are_meant: Callable[[str], bool]
) -> Iterator[str]:
    """List the files that people wrote and that are meant, by a name with a script's suffix."""
    for file in change.diff.files:
        name = with_suffix(file.path, files.get(file.path, b""))
        if file.new_path and file.hunks and are_meant(name) and is_reviewable(classify(file)):
            yield file.path
