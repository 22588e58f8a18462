"""Says of which changed code no analyser here can say anything."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from posixpath import splitext

from app.analysers.added import words
from app.ports import Finder, Found
from app.review.classes import classify, is_reviewable
from app.review.pull import Change

REASON = "none that is installed knows its language"

_CODE = words(
    """
    .bash .bats .c .cc .cjs .clj .cljs .cpp .cs .cts .cxx .dart .dash .erl .ex .exs .f90 .fs .fsx
    .go .groovy .h .hh .hpp .hs .hxx .java .jl .js .jsx .ksh .kt .kts .lua .m .mjs .ml .mm .mts
    .nim .php .pl .pm .ps1 .py .pyi .r .rake .rb .rs .scala .sh .sol .sql .svelte .swift .ts .tsx
    .vb .vue .zig .zsh
    """
)


class Languages:
    """A Finder that finds nothing, and names the code that the other `finders` cannot read."""

    name = "any analyser"

    def __init__(self, finders: Sequence[Finder]) -> None:
        self._finders = finders

    def wants(self, path: str) -> bool:
        """Say no: the name is enough."""
        return False

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Name each changed file of code that no finder wants to see."""
        unknown = await asyncio.to_thread(lambda: dict.fromkeys(self._unknown(change), REASON))
        return Found(finder=self.name, not_analysed=unknown or None)

    def _unknown(self, change: Change) -> Iterator[str]:
        for file in change.diff.files:
            is_code = file.new_path is not None and splitext(file.path)[1].lower() in _CODE
            if not is_code or any(finder.wants(file.path) for finder in self._finders):
                continue
            if is_reviewable(classify(file)):
                yield file.path
