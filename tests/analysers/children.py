"""Children that stand in a real one's place, and finders that run the real programs."""

from collections.abc import Mapping, Sequence

import pytest

from app.analysers.linter import Linter, Tool, find_program
from app.ports import Child, Ended, Found
from app.sandbox.child import LimitedChild
from tests.analysers.changes import contents, make_change


class Scripted:
    """A child that says what it is told to, whatever runs in it."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        return self._ended


class Planted:
    """A child in whose folder other files lie beside those that are asked about."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        self._planted = contents(planted)

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        beside = {f"0001/{name}": text for name, text in self._planted.items()}
        return await LimitedChild().run(argv, {**files, **self._planted, **beside})


class Choking:
    """A child whose program ends badly as soon as a file holds `POISON`; it counts its runs."""

    POISON = "# poison\n"

    def __init__(self) -> None:
        self.n_runs = 0

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        self.n_runs += 1
        if any(self.POISON.encode() in text for text in files.values()):
            return Ended(status=None, stdout=b"", stderr=b"", problem="was ended by SIGSEGV")
        return await LimitedChild().run(argv, files)


def linter(tool: Tool, child: Child | None = None) -> Linter:
    """Make a finder that runs the real program; the test is skipped where it is not installed."""
    binary = find_program(tool.name)
    if binary is None:
        pytest.skip(f"{tool.name} is not installed: it comes with the extra `analysers`")
    return Linter(child or LimitedChild(), tool, binary)


async def analyse(
    tool: Tool,
    files: Mapping[str, str],
    before: Mapping[str, str] | None = None,
    child: Child | None = None,
) -> Found:
    """Run a tool on a change to `files`."""
    return await linter(tool, child).find(make_change(files, before), contents(files))


def told(found: Found) -> list[tuple[str | None, str, int]]:
    """List rule, path and line of what was found, in order."""
    return sorted((c.rule, c.location.path, c.location.line) for c in found.candidates)
