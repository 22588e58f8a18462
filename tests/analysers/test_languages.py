"""Code that no analyser knows is named, and nothing else is."""

from collections.abc import Mapping

import pytest

from app.analysers.languages import MISSING, REASON, Languages, Missing
from app.analysers.ruff import RUFF
from app.analysers.shellcheck import SHELLCHECK
from app.ports import Found
from tests.analysers.changes import contents, make_change

pytestmark = pytest.mark.anyio


async def analyse(files: Mapping[str, str]) -> Found:
    return await Languages([RUFF]).find(make_change(files), contents(files))


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


async def test_a_script_is_known_by_its_first_line() -> None:
    files = {
        "bin/run": "#!/usr/bin/ruby -w\n",
        "bin/py": "#!/usr/bin/env python3\n",
        "bin/a": "x\n",
    }

    assert (await analyse(files)).not_analysed == {"bin/run": REASON}


async def test_a_program_that_is_not_installed_names_what_it_would_read() -> None:
    files = {"a.sh": "x\n", "bin/b": "#!/bin/bash\n", "a.py": "x\n", "vendor/a.sh": "x\n"}

    found = await Missing(SHELLCHECK).find(make_change(files), contents(files))

    assert found == Found(finder="shellcheck", not_analysed={"a.sh": MISSING, "bin/b": MISSING})
