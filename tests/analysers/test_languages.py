"""Code that no analyser knows is named, and nothing else is."""

from collections.abc import Mapping

import pytest

from app.analysers.languages import REASON, Languages
from app.analysers.linter import Linter
from app.analysers.ruff import RUFF
from app.ports import Ended, Found
from tests.analysers.changes import make_change
from tests.analysers.children import Scripted

pytestmark = pytest.mark.anyio

PYTHON = Linter(Scripted(Ended(status=0, stdout=b"[]", stderr=b"")), RUFF, "/bin/ruff")


async def analyse(files: Mapping[str, str]) -> Found:
    return await Languages([PYTHON]).find(make_change(files), {})


@pytest.mark.parametrize("path", ["a.c", "src/b.RS", "tests/c.swift", "d.ts"])
async def test_a_language_without_an_analyser_is_named(path: str) -> None:
    assert await analyse({path: "x\n"}) == Found(finder="any analyser", not_analysed={path: REASON})


@pytest.mark.parametrize(
    "path", ["a.py", "README.md", "a.json", "LICENSE", "vendor/a.c", "a.pb.go"]
)
async def test_what_is_known_or_no_code_is_not_named(path: str) -> None:
    assert await analyse({path: "x\n"}) == Found(finder="any analyser")


def test_no_file_is_wanted_whole() -> None:
    assert not Languages([]).wants("a.c")
