"""Trees that were made to silence, stop or slow down the analysers, all of them together."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from app.analysers.table import build_finders
from app.ports import Found
from app.review.diff import SYMLINK_MODE, Diff, FileDiff, Hunk, Line, Status
from app.review.pull import Change
from app.sandbox.isolation import find_sandbox
from tests.analysers.changes import contents, make_change

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TOKEN = "ghp_" + "a1B2c3D4e5" * 4
BAD = {
    "src/a.py": f"print(missing)\nkey = '{TOKEN}'\n",
    "src/a.js": "export const a = 1;\na = 2;\nel.innerHTML = `<b>${a}</b>`;\n",
    "src/a.go": "package a\n\nvar c = &tls.Config{InsecureSkipVerify: true}\n",
    "src/a.sh": '#!/bin/sh\nrm -rf "$1/"*\n',
    "src/requirements.txt": "git+https://x.org/a.git@main#egg=a\n",
    "tests/a.test.js": "it.only('a', () => {});\n",
    ".github/workflows/a.yml": (
        "on: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - run: echo ${{ github.event.pull_request.title }}\n"
    ),
}
CONFIGURATION = {
    "ruff.toml": "lint.ignore = ['ALL']\n",
    "pyproject.toml": "[tool.ruff.lint]\nignore = ['ALL']\n",
    ".oxlintrc.json": '{"ignorePatterns": ["**"], "jsPlugins": ["./src/plugin.js"]}\n',
    "oxlint.config.ts": "process.exit(7);\n",
    "sgconfig.yml": "ruleDirs: []\ncustomLanguages: {a: {libraryPath: a.so}}\n",
    ".shellcheckrc": "disable=all\n",
    "zizmor.yml": "rules: {template-injection: {disable: true}}\n",
    ".gitignore": "*\n",
    ".ignore": "*\n",
    ".gitattributes": "* linguist-vendored\n",
    "src/conftest.py": "import os\nos._exit(7)\n",
    "src/sitecustomize.py": "import os\nos._exit(7)\n",
    "src/msgspec.py": "import os\nos._exit(7)\n",
}

Told = set[tuple[str, str | None, str, int]]


async def run(change: Change, files: Mapping[str, bytes]) -> list[Found]:
    finders = build_finders(find_sandbox().child())
    return list(await asyncio.gather(*(finder.find(change, files) for finder in finders)))


def told(found: list[Found]) -> Told:
    return {
        (one.finder, c.rule, c.location.path, c.location.line)
        for one in found
        for c in one.candidates
    }


def refused(found: list[Found]) -> set[str]:
    return {path for one in found for path in one.not_analysed or ()}


async def analyse(files: Mapping[str, str]) -> list[Found]:
    return await run(make_change(files), contents(files))


async def test_the_configuration_of_every_tool_changes_nothing() -> None:
    without = told(await analyse(BAD))

    with_all = await analyse({**CONFIGURATION, **BAD})

    assert {path for _, _, path, _ in without} >= {"src/a.py", "src/requirements.txt"}
    assert {one for one in told(with_all) if one[2] in BAD} == without
    assert not refused(with_all) & set(BAD) - refused(await analyse(BAD))


@pytest.mark.parametrize(
    "name", ["-rf", "--config=x", "@x", "$(id)", "a\nb", "\u202ex", "..", "{files}"]
)
async def test_a_name_is_only_a_name(name: str) -> None:
    renamed = {f"{name}/{name}{path[path.rindex('.') :]}": text for path, text in BAD.items()}
    renamed = {path: text for path, text in renamed.items() if path.endswith((".py", ".js", ".sh"))}

    found = await analyse(renamed)

    assert {path for _, _, path, _ in told(found)} >= {f"{name}/{name}.py"}
    assert not refused(found) - {f"{name}/{name}.js", f"{name}/{name}.sh"}


async def test_a_symlink_is_not_followed() -> None:
    change = make_change({"src/a.py": "/etc/passwd\n", "package.json": "../../secret.json\n"})
    links = tuple(replace(file, new_mode=SYMLINK_MODE) for file in change.diff.files)

    found = await run(replace(change, diff=Diff(files=links)), {})

    assert told(found) == set()


async def test_a_canary_in_our_environment_never_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-7f3a")
    files = {"a.py": "import os\nos.environ['OPENAI_API_KEY'], missing\n", **BAD}

    assert "canary-7f3a" not in repr(await analyse(files))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".py", ".js", ".ts", ".go", ".java", ".sh", ".txt", ".json"])
async def test_a_line_of_50_megabytes_is_done_in_time(suffix: str) -> None:
    name = "package" if suffix == ".json" else "requirements" if suffix == ".txt" else "a"
    files = {f"{name}{suffix}": "x = " + "(a" * 25_000_000 + "\n", "b.py": "print(missing)\n"}
    change = one_line_each(files)
    began = time.monotonic()

    found = await run(change, contents(files))

    assert time.monotonic() - began < 20
    assert ("ruff", "F821", "b.py", 1) in told(found)
    assert refused(found) >= {f"{name}{suffix}"}


@pytest.mark.slow
async def test_100_000_files_are_done_in_time() -> None:
    files = {f"src/m{n}.py": "print(missing)\n" for n in range(100_000)}
    change = one_line_each(files)
    began = time.monotonic()

    found = await run(change, contents(files))

    assert time.monotonic() - began < 60
    assert len(told(found)) + len(refused(found)) == 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.js", "a = " + "(" * 200_000),
        ("a.ts", "a<" * 100_000),
        ("a.go", "package a\nvar x = " + "[]" * 200_000),
        ("a.java", "class A { int x = " + "-" * 200_000 + "1; }"),
        ("a.sh", "#!/bin/sh\n" + "$(" * 20_000),
        ("a.sh", "#!/bin/sh\n" + "if true; then\n" * 5_000),
        (".github/workflows/a.yml", "a: " + "[" * 100_000),
        (
            ".github/workflows/a.yml",
            "a: &a [x]\n" + "".join(f"b{n}: [*a, *a]\n" for n in range(9_999)),
        ),
        ("package.json", '{"a":' * 100_000),
        ("Cargo.toml", ".".join("a" * 100_000) + " = 1"),
        ("a.py", "(" * 200_000),
    ],
)
async def test_what_was_made_to_hang_a_parser_costs_only_itself(path: str, text: str) -> None:
    others = {other: text for other, text in BAD.items() if other != path}
    without = told(await analyse(others))
    began = time.monotonic()

    found = await analyse({path: text + "\n", **others})

    assert time.monotonic() - began < 30
    assert without <= told(found)


def one_line_each(files: Mapping[str, str]) -> Change:
    """Build a change that adds files of one line, without the cost of comparing texts."""
    added = tuple(
        FileDiff(
            old_path=None,
            new_path=path,
            status=Status.ADDED,
            hunks=(
                Hunk(
                    old_start=0,
                    old_count=0,
                    new_start=1,
                    new_count=1,
                    section="",
                    lines=(Line("+", None, 1, text.removesuffix("\n"), True),),
                ),
            ),
        )
        for path, text in files.items()
    )
    return replace(make_change({}), diff=Diff(files=added))
