"""All analysers of the table, side by side."""

import asyncio
import time

import pytest

from app.analysers.table import PROGRAMS, build_finders
from app.sandbox.child import LimitedChild
from tests.analysers.changes import contents, make_change

pytestmark = pytest.mark.anyio

FILE = "".join(
    f"def f{n}(x):\n    if x > {n}:\n        return x + {n}\n    return f{n}(x)\n"
    for n in range(100)
)


OURS = ["any analyser", "secrets", "unicode", "conflicts", "dependencies", "tests", "suppressions"]


async def test_every_analyser_has_its_own_name_and_finds_by_it() -> None:
    files = {"a.py": "x = 1\n"}
    finders = build_finders(LimitedChild())

    found = [await finder.find(make_change(files), contents(files)) for finder in finders]

    names = [finder.name for finder in finders]
    assert names == [*PROGRAMS, *OURS]
    assert [one.finder for one in found] == names
    assert all(one.not_analysed is None for one in found)


def test_every_program_stands_under_its_own_name() -> None:
    assert [build().name for build in PROGRAMS.values()] == list(PROGRAMS)


async def test_a_change_of_25_files_takes_less_than_a_second() -> None:
    files = {f"app/m{n}.py": FILE for n in range(25)}
    change = make_change(files)
    finders = build_finders(LimitedChild())
    began = time.monotonic()

    await asyncio.gather(*(finder.find(change, contents(files)) for finder in finders))

    assert time.monotonic() - began < 1
