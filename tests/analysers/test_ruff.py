"""ruff itself on changes, well-meant and hostile; and what becomes of its trouble."""

import time
from collections.abc import Mapping

import pytest

from app.analysers.linter import MAX_BYTES
from app.analysers.ruff import RUFF
from app.ports import Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.children import Planted, told
from tests.analysers.children import analyse as run

pytestmark = pytest.mark.anyio

BAD = "import subprocess\n\n\ndef f(x, y=[]):\n    subprocess.run(f'ls {x}', shell=True)\n"


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    return await run(RUFF, files, before)


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


async def test_a_rule_that_is_broken_often_in_a_file_is_told_once_with_its_lines() -> None:
    many = "".join(f"print(missing{n})\n" for n in range(5))

    found = await analyse({"a.py": many, "b.py": "print(other)\n"})

    assert told(found) == [("F821", "a.py", 1), ("F821", "b.py", 1)]
    (first,) = [c for c in found.candidates if c.location.path == "a.py"]
    assert first.body == (
        "Python raises NameError. (5 times in this file, also on lines 2, 3, 4, 5)"
    )


async def test_a_safe_fix_within_the_line_is_suggested() -> None:
    found = await analyse({"a.py": "def f(x):\n    raise NotImplemented\n"})

    assert [c.suggestion for c in found.candidates] == ["    raise NotImplementedError"]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("x = list([1])\n", id="unsafe"),
        pytest.param("if x is 'é': print('ghp_" + "a1B2c3D4e5" * 4 + "')\n", id="hidden"),
    ],
)
async def test_a_fix_that_is_not_safe_or_not_shown_is_not_suggested(code: str) -> None:
    found = await analyse({"a.py": code})

    assert {c.suggestion for c in found.candidates} == {None}


@pytest.mark.parametrize(
    ("code", "priority"),
    [
        ("yaml.load(x, Loader=loader)", Priority.P3),
        ("yaml.load(x, Loader=yaml.UnsafeLoader)", Priority.P1),
        ("yaml.load(x)", Priority.P1),
    ],
)
async def test_a_loader_of_ones_own_may_be_safe(code: str, priority: Priority) -> None:
    found = await analyse({"a.py": f"import yaml\ndef f(x, loader):\n    {code}\n"})

    assert [c.priority for c in found.candidates] == [priority]


async def test_names_of_python_2_in_code_for_both_are_no_mistake() -> None:
    code = "import sys\nif sys.version_info[0] == 2:\n    text = unicode\n"

    assert (await analyse({"a.py": code})).candidates == ()


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
    as_planted = await run(RUFF, files, child=Planted(configuration))

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


async def test_of_a_very_long_line_only_what_is_urgent_is_told_and_its_beginning_quoted() -> None:
    long = f"print(missing, 1 is 1, '{'a' * 500_000}')\n"

    found = await analyse({"a.py": long})

    assert told(found) == [("F821", "a.py", 1)]
    assert found.candidates[0].evidence == "print(missing, 1 is 1, '"


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
    ("path", "wanted"), [("a.py", True), ("b/c.pyi", True), ("a.pyc", False), ("py", False)]
)
def test_python_files_are_wanted(path: str, wanted: bool) -> None:
    assert RUFF.wants(path) is wanted


@pytest.mark.parametrize(
    ("code", "priority"),
    [
        ("def f(db, x):\n    db.execute(f'SELECT a FROM t WHERE b = {x}')\n", Priority.P2),
        ("def f(db, x):\n    db.execute(f'SELECT a FROM {TABLE} WHERE b = %s', x)\n", Priority.P3),
        (
            "def f(db, ids):\n    marks = ','.join('?' * len(ids))\n"
            "    db.execute(f'SELECT a FROM t WHERE b IN ({marks})', ids)\n",
            Priority.P3,
        ),
        (
            "def f(db, ids):\n    ids = ','.join(ids)\n"
            "    db.execute(f'SELECT a FROM t WHERE b IN ({ids})')\n",
            Priority.P2,
        ),
        ("import hashlib\n\n\ndef cache_key(b):\n    return hashlib.md5(b)\n", Priority.P3),
        ("import hashlib\n\n\ndef f(password):\n    return hashlib.md5(password)\n", Priority.P2),
        ("import hashlib\n\n\ndef sign(b):\n    x = b\n    return hashlib.sha1(b)\n", Priority.P2),
        ("import pickle\n\nX = pickle.loads(Path(__file__).read_bytes())\n", Priority.P3),
        ("import pickle\n\nX = pickle.loads(Path(name).read_bytes())\n", Priority.P2),
        ("import pickle\n\nX = pickle.loads(CACHE_FILE.read_bytes())\n", Priority.P3),
        ("import pickle\n\ny = pickle.loads(pickle.dumps(x))\n", Priority.P3),
        ("import pickle\n\ny = pickle.loads(request.data)\n", Priority.P2),
        ('DATE = "Y/n/j\u060c\u200f G:i"\n', Priority.P3),
        ('NAME = "admin\u200f"\n', Priority.P1),
        ("def f(a=SSL.SSLv23_METHOD): ...\n", Priority.P3),
        ("def f(a=SSL.SSLv3_METHOD): ...\n", Priority.P2),
    ],
)
async def test_what_is_likely_harmless_is_a_nit(code: str, priority: Priority) -> None:
    found = await analyse({"a.py": code})

    assert {c.priority for c in found.candidates if c.area is Area.SECURITY} == {priority}


@pytest.mark.parametrize(
    ("line", "priority"),
    [
        ("print i", Priority.P3),
        ("print 'a', i", Priority.P3),
        ("raise ValueError, i", Priority.P3),
        ("exec i", Priority.P3),
        ("print(i j)", Priority.P1),
        ("prints i", Priority.P1),
        ("return i j", Priority.P1),
    ],
)
async def test_a_statement_of_python_2_is_a_nit(line: str, priority: Priority) -> None:
    found = await analyse({"a.py": f"def f(i):\n    {line}\n"})

    assert [c.priority for c in found.candidates if c.rule == "invalid-syntax"] == [priority]


@pytest.mark.parametrize("name", ["_", "get_ipython", "reveal_type"])
async def test_a_name_that_others_bring_is_known(name: str) -> None:
    assert (await analyse({"a.py": f"print({name}('files'))\n"})).candidates == ()


@pytest.mark.parametrize(
    ("annotation", "priority"), [('Literal["head"]', Priority.P3), ('List["head"]', Priority.P1)]
)
async def test_a_value_of_another_literal_than_typings_is_a_nit(
    annotation: str, priority: Priority
) -> None:
    found = await analyse({"a.py": f"from own import *\n\n\ndef f(a: {annotation}): ...\n"})

    assert {c.priority for c in found.candidates if c.rule == "F821"} <= {priority}
