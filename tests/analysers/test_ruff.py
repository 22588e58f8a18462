"""ruff itself on changes, well-meant and hostile; and what becomes of its trouble."""

import time
from collections.abc import Mapping, Sequence

import pytest

from app.analysers.ruff import MAX_BYTES, Ruff, find_binary
from app.ports import Ended, Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from app.sandbox.child import LimitedChild
from tests.analysers.changes import contents, make_change

pytestmark = pytest.mark.anyio

BAD = "import subprocess\n\n\ndef f(x, y=[]):\n    subprocess.run(f'ls {x}', shell=True)\n"


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    finder = Ruff(LimitedChild(), find_binary())
    return await finder.find(make_change(files, before), contents(files))


def told(found: Found) -> list[tuple[str | None, str, int]]:
    return sorted((c.rule, c.location.path, c.location.line) for c in found.candidates)


class Scripted:
    """A child that says what it is told to, whatever runs in it."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        return self._ended


async def test_a_finding_is_told_whole() -> None:
    found = await analyse({"app/a.py": "def f():\n    return missing\n"})

    assert found == Found(
        finder="ruff",
        candidates=(
            Candidate(
                area=Area.CORRECTNESS,
                priority=Priority.P1,
                confidence=0.95,
                title="Undefined name `missing`",
                body="Python raises NameError.",
                trigger="The line runs.",
                evidence="    return missing",
                location=Location(path="app/a.py", side=Side.RIGHT, start_line=2, line=2),
                source="ruff",
                rule="F821",
            ),
        ),
    )


async def test_each_file_gets_its_own_findings() -> None:
    found = await analyse({"a.py": "x = 1\nprint(missing)\n", "b/a.py": BAD, "c.pyi": "y = gone\n"})

    assert told(found) == [
        ("B006", "b/a.py", 4),
        ("F821", "a.py", 2),
        ("F821", "c.pyi", 1),
        ("S602", "b/a.py", 5),
    ]


@pytest.mark.parametrize(
    ("code", "rule", "area", "priority"),
    [
        ("def f(:\n", "invalid-syntax", Area.CORRECTNESS, Priority.P1),
        ("print('%d %d' % (1,))\n", "F507", Area.CORRECTNESS, Priority.P1),
        ("assert (1, 'm')\n", "F631", Area.CORRECTNESS, Priority.P2),
        ("raise NotImplemented\n", "F901", Area.CORRECTNESS, Priority.P2),
        ("def f(x={}): ...\n", "B006", Area.CORRECTNESS, Priority.P2),
        ("import yaml\nyaml.load('', yaml.Loader)\n", "S506", Area.SECURITY, Priority.P1),
        ("import os\nx = input()\nos.system(x)\n", "S605", Area.SECURITY, Priority.P1),
        ("import os\nos.system('ls')\n", "S605", Area.SECURITY, Priority.P3),
        ("eval(input())\n", "S307", Area.SECURITY, Priority.P1),
        (
            "import requests\nrequests.get('', verify=False, timeout=1)\n",
            "S501",
            Area.SECURITY,
            Priority.P1,
        ),
        (
            "import time\nasync def f():\n    time.sleep(1)\n",
            "ASYNC251",
            Area.PERFORMANCE,
            Priority.P2,
        ),
        (
            "import asyncio\nasync def f():\n    asyncio.create_task(g())\nasync def g(): ...\n",
            "RUF006",
            Area.CORRECTNESS,
            Priority.P2,
        ),
        ("x = []\nfor y in [1]:\n    x.append(y)\n", "PERF402", Area.PERFORMANCE, Priority.P3),
        ("x = list([1])\n", "C410", Area.PERFORMANCE, Priority.P3),
    ],
)
async def test_a_rule_has_its_area_and_priority(
    code: str, rule: str, area: Area, priority: Priority
) -> None:
    found = await analyse({"a.py": code})

    assert [(c.rule, c.area, c.priority) for c in found.candidates] == [(rule, area, priority)]


async def test_only_added_lines_are_spoken_of() -> None:
    before = "print(old_one)\nx = 1\nprint(old_two)\n"
    after = "print(old_one)\nprint(new)\nprint(old_two)\n"

    found = await analyse({"a.py": after}, before={"a.py": before})

    assert told(found) == [("F821", "a.py", 2)]


async def test_a_rule_is_told_three_times_a_file_and_then_by_its_lines() -> None:
    many = "".join(f"print(missing{n})\n" for n in range(5))

    found = await analyse({"a.py": many, "b.py": "print(other)\n"})

    assert told(found) == [("F821", "a.py", n) for n in (1, 2, 3)] + [("F821", "b.py", 1)]
    (last,) = [c for c in found.candidates if c.location == _at("a.py", 3)]
    assert last.body == "Python raises NameError. … and 2 more lines: 4, 5."


def _at(path: str, line: int) -> Location:
    return Location(path=path, side=Side.RIGHT, start_line=line, line=line)


async def test_of_a_broken_file_only_the_first_error_is_told() -> None:
    found = await analyse({"a.py": "def f(:\n  x = (1\nclass\n"})

    assert told(found) == [("invalid-syntax", "a.py", 1)]


async def test_a_file_that_was_broken_before_is_not_told_of() -> None:
    before = "print 'python 2'\n"

    found = await analyse({"a.py": before + "print 'more'\n"}, before={"a.py": before})

    assert found.candidates == ()


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    pass\nexcept* ValueError:\n    pass\n",
        "type X = int\n",
        "def f[T](x: T) -> T:\n    return x\n",
        'x = 1\ny = f"{"a" + str(x)}"\n',
        "raise ExceptionGroup('m', [])\n",
    ],
)
async def test_new_python_is_no_mistake(code: str) -> None:
    assert (await analyse({"a.py": code})).candidates == ()


async def test_tests_may_do_what_tests_do_and_nothing_there_is_urgent() -> None:
    code = (
        "import pickle, requests\n"
        "password = 'abc'\n"
        "pickle.loads(b'')\n"
        "requests.get('', verify=False, timeout=1)\n"
        "print(missing)\n"
    )

    found = await analyse({"tests/test_a.py": code})

    assert [(c.rule, c.priority) for c in found.candidates] == [
        ("S501", Priority.P2),
        ("F821", Priority.P2),
    ]


async def test_vendored_code_is_left_alone() -> None:
    assert await analyse({"vendor/a.py": BAD}) == Found(finder="ruff")


async def test_a_secret_on_a_line_is_masked() -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4

    found = await analyse({"a.py": f"x = {{'{token}': 1, '{token}': missing}}\n"})

    assert {c.rule for c in found.candidates} == {"F601", "F821"}
    assert token not in repr(found)
    assert token[4:20] not in repr(found)


# ---- hostile -------------------------------------------------------------------------------------


class Planted:
    """A child in whose folder configuration lies beside the files."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        self._planted = contents(planted)

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        beside = {f"0001/{name}": text for name, text in self._planted.items()}
        return await LimitedChild().run(argv, {**files, **self._planted, **beside})


@pytest.mark.parametrize(
    "configuration",
    [
        {"ruff.toml": "lint.ignore = ['ALL']\n"},
        {".ruff.toml": "lint.ignore = ['ALL']\n"},
        {"pyproject.toml": "[tool.ruff.lint]\nselect = []\nignore = ['ALL']\n"},
        {"ruff.toml": "this is [ no toml"},
        {"ruff.toml": "exclude = ['*']\nforce-exclude = true\n", ".gitignore": "*.py\n"},
    ],
)
async def test_configuration_in_the_change_changes_nothing(configuration: dict[str, str]) -> None:
    files = {"a.py": BAD, **configuration}

    as_changed = await analyse(files)
    as_planted = await Ruff(Planted(configuration), find_binary()).find(
        make_change(files), contents(files)
    )

    assert told(as_changed) == [("B006", "a.py", 4), ("S602", "a.py", 5)]
    assert as_planted == as_changed


@pytest.mark.parametrize(
    "comment", ["# ruff: noqa", "# flake8: noqa", "# ruff: noqa: F821", "# ruff: disable[F821]"]
)
async def test_comments_silence_nothing(comment: str) -> None:
    found = await analyse({"a.py": f"{comment}\nprint(missing)  # noqa\n"})

    assert told(found) == [("F821", "a.py", 2)]


@pytest.mark.parametrize(
    "path",
    [
        "-rf.py",
        "--config=x.py",
        "../x.py",
        "/etc/x.py",
        "a\nb.py",
        "a\0b.py",
        "@args.py",
        "a\u202eb.py",
        "{files}.py",
        "\udcff.py",
        "a/" * 200 + "b.py",
        "ruff.toml/../a.py",
    ],
)
async def test_a_name_is_only_a_name(path: str) -> None:
    found = await analyse({path: "print(missing)\n"})

    assert told(found) == [("F821", path, 1)]


async def test_a_package_is_judged_as_one() -> None:
    code = "__all__ = ['submodule']\n"

    found = await analyse({"pkg/__init__.py": code, "pkg/other.py": code})

    assert told(found) == [("F822", "pkg/other.py", 1)]


async def test_a_file_that_is_too_large_is_not_analysed_and_the_others_are() -> None:
    found = await analyse({"a.py": f"x = '{'a' * 5_000_000}'\n", "b.py": "print(missing)\n"})

    assert found.not_analysed == {"a.py": f"it is larger than {MAX_BYTES:,} bytes"}
    assert told(found) == [("F821", "b.py", 1)]


async def test_a_very_long_line_is_not_quoted() -> None:
    found = await analyse({"a.py": f"print(missing, '{'a' * 500_000}')\n"})

    assert found == Found(finder="ruff")


async def test_a_file_with_carriage_returns_inside_of_lines_is_not_analysed() -> None:
    found = await analyse({"a.py": "x = 1\ry = 2\nprint(missing)\n"})

    assert found == Found(
        finder="ruff", not_analysed={"a.py": "it has carriage returns within lines"}
    )


async def test_windows_line_ends_are_no_trouble() -> None:
    found = await analyse({"a.py": "x = 1\r\nprint(missing)\r\n"})

    assert told(found) == [("F821", "a.py", 2)]
    assert found.candidates[0].evidence == "print(missing)"


async def test_bytes_that_are_no_utf_8_are_not_analysed() -> None:
    found = await analyse({"a.py": "x = '\udcff'\n", "b.py": "print(missing)\n"})

    assert found.not_analysed == {"a.py": "ruff could not read it"}
    assert told(found) == [("F821", "b.py", 1)]


@pytest.mark.parametrize(
    "code", ["(" * 100_000 + "\n", "x = " + "-" * 50_000 + "1\n", "a\n" * 40_000]
)
async def test_a_file_that_breaks_ruff_is_not_analysed_in_time(code: str) -> None:
    began = time.monotonic()

    found = await analyse({"a.py": code})

    assert time.monotonic() - began < 5
    assert found.not_analysed is not None or len(found.candidates) <= 3


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (
            Ended(status=None, stdout=b"", stderr=b"", problem="ran longer than 10 s"),
            "ruff ran longer than 10 s",
        ),
        (Ended(status=2, stdout=b"", stderr=b"error"), "ruff gave no answer that can be read"),
        (Ended(status=0, stdout=b"{}", stderr=b""), "ruff gave no answer that can be read"),
        (
            Ended(status=0, stdout=b'[{"code": 1}]', stderr=b""),
            "ruff gave no answer that can be read",
        ),
    ],
)
async def test_trouble_is_told_for_every_file(ended: Ended, reason: str) -> None:
    files = {"a.py": "x = 1\n", "b.py": "y = 1\n"}

    found = await Ruff(Scripted(ended), "/bin/ruff").find(make_change(files), contents(files))

    assert found == Found(finder="ruff", not_analysed={"a.py": reason, "b.py": reason})


async def test_without_ruff_python_is_not_analysed() -> None:
    files = {"a.py": "x = 1\n", "b.js": ""}

    found = await Ruff(LimitedChild(), None).find(make_change(files), contents(files))

    assert found == Found(finder="ruff", not_analysed={"a.py": "ruff is not installed"})


async def test_nothing_runs_when_there_is_no_python() -> None:
    failing = Scripted(Ended(status=None, stdout=b"", stderr=b"", problem="ran"))

    found = await Ruff(failing, "/bin/ruff").find(
        make_change({"a.js": "x\n"}), contents({"a.js": "x\n"})
    )

    assert found == Found(finder="ruff")


@pytest.mark.parametrize(
    ("path", "wanted"), [("a.py", True), ("b/c.pyi", True), ("a.pyc", False), ("py", False)]
)
def test_python_files_are_wanted(path: str, wanted: bool) -> None:
    assert Ruff(LimitedChild(), None).wants(path) is wanted
