"""The arrows of `app/__init__.py`, read from the imports; documents held to the code."""

import ast
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

import app
from app.demo.state import new_app
from app.review.command import COMMANDS
from app.review.config_file import KEYS
from app.review.focus import Area
from app.review.render import render_help
from app.settings import read_settings
from tests.conftest import CHECKOUT
from tests.world import build_world, finds

APP = CHECKOUT / "app"
ROOMS = ("analysers", "demo", "github", "jobs", "llm", "review", "sandbox", "store", "web")
PURE_OUTSIDE_REVIEW = (
    "app.github.signature",
    "app.github.payloads",
    "app.github.addresses",
    "app.github.manifest",
    "app.jobs.job",
    "app.dispatch",
)

MAY_IMPORT = {
    "review": ("app.review", "app.errors"),
    "github": ("app.github", "app.review", "app.errors", "app.ports", "app.log"),
    "llm": ("app.llm", "app.review", "app.errors", "app.ports", "app.log"),
    "analysers": ("app.analysers", "app.review", "app.errors", "app.ports", "app.log"),
    "sandbox": ("app.sandbox", "app.review", "app.errors", "app.ports", "app.log"),
    "store": ("app.store", "app.review", "app.errors", "app.ports", "app.log"),
    "jobs": ("app.jobs", "app.store", "app.review", "app.errors", "app.ports", "app.log"),
    "web": (
        "app.web",
        "app.intake",
        "app.review",
        "app.errors",
        "app.ports",
        "app.log",
        *PURE_OUTSIDE_REVIEW,
    ),
    "demo": ("app.demo", "app.errors"),
}
CODE = re.compile(r"`([^`]+)`")
BUILDERS = ("app.bootstrap", "app.single_runs", "app.parts", "app.cli", "app.doctor")


def modules() -> list[Path]:
    return sorted(APP.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name == "app" or name.startswith("app.")}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_what_its_arrow_allows(path: Path) -> None:
    room = path.relative_to(APP).parts[0]
    if room not in MAY_IMPORT:
        return
    allowed = MAY_IMPORT[room]
    modules_used = {name for name in imported(path) if name.count(".") >= 1}
    strays = {n for n in modules_used if not any(n == a or n.startswith(f"{a}.") for a in allowed)}
    assert not {n for n in strays if n.removeprefix("app.") not in {a[4:] for a in allowed}}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_builders_and_the_command_line_reach_for_adapters(path: Path) -> None:
    name = name_of(path)
    if name in BUILDERS or path.relative_to(APP).parts[0] in ROOMS:
        return
    adapters = tuple(
        f"app.{room}." for room in ("analysers", "github", "llm", "sandbox", "store", "web")
    )
    strays = {n for n in imported(path) if n.startswith(adapters)}
    assert not {n for n in strays if not n.startswith(PURE_OUTSIDE_REVIEW)}


@pytest.mark.parametrize("path", sorted((APP / "review").glob("*.py")), ids=name_of)
def test_the_pure_room_touches_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert not names & {"asyncio", "httpx", "logging", "os", "random", "socket", "sqlite3", "time"}
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))


def test_every_room_stands_on_the_map() -> None:
    assert app.__doc__ is not None
    folders = {p.name for p in APP.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert folders == set(ROOMS)
    for room in ROOMS:
        assert f"    {room}/" in app.__doc__


def test_every_module_on_the_map_exists() -> None:
    assert app.__doc__ is not None
    for name in re.findall(r"\b([a-z_]+(?:/[a-z_]+)*\.py)\b", app.__doc__):
        assert (APP / name).exists() or (CHECKOUT / name).exists(), name


def test_the_readme_names_every_focus_area_command_and_setting() -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    for area in Area:
        assert f"`{area}`" in readme, area
    for setting in settings_read():
        assert f"`{setting}`" in readme, setting
    for command in commands():
        assert f"codex-review {command}" in readme, command


@pytest.mark.parametrize("word", COMMANDS)
def test_the_readme_and_the_help_name_every_command_of_a_comment(word: str) -> None:
    command = re.compile(rf"`@codex {word}[` ]")
    assert command.search((CHECKOUT / "README.md").read_text("utf-8"))
    assert command.search(render_help("@codex"))


class Recorder(dict[str, str]):
    """An environment that notes which variables are asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: object = None) -> str:
        self.asked.add(key)
        return super().get(key, "")


def settings_read() -> set[str]:
    asked: set[str] = set()
    for values in ({}, {"PRIVATE_KEY_PATH": "/none"}, {"MODEL_API": "chat"}):
        env = Recorder(dict(values))
        with pytest.raises(Exception, match="APP_ID"):
            read_settings(env)
        asked |= env.asked
    return asked


def commands() -> set[str]:
    from app.cli import main

    return {name for name, command in main.commands.items() if not command.hidden}


@pytest.mark.parametrize(
    "document", ["README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"]
)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = (CHECKOUT / document).read_text("utf-8")
    for name in re.findall(r"`((?:app|tests|prompts)/[\w./-]*)`", text):
        assert (CHECKOUT / name).exists(), name


def test_the_readme_has_a_row_for_each_key_of_the_configuration_in_order() -> None:
    assert rows_of("| Key | Values | Default | Meaning |") == list(KEYS)


def test_the_readme_names_no_setting_that_nothing_reads() -> None:
    code = "".join((APP / name).read_text("utf-8") for name in ("settings.py", "credentials.py"))
    for row in rows_of("| variable | meaning |"):
        assert f'"{row}"' in code, row


@pytest.mark.anyio
async def test_the_readme_names_every_route_and_no_other(tmp_path: Path) -> None:
    world = build_world(tmp_path, new_app("a secret"), finds())
    async with world.running():
        transport = world.state.hook.transport
        assert isinstance(transport, httpx.ASGITransport)
        assert isinstance(transport.app, Starlette)
        routes = [route for route in transport.app.routes if isinstance(route, Route)]
        served = [f"{how} {r.path}" for r in routes for how in (r.methods or set()) - {"HEAD"}]
    told = rows_of("| route | for |") + rows_of("| route | for whoever operates it |")
    assert sorted(told) == sorted([*served, "GET /setup"])


def rows_of(head: str) -> list[str]:
    """What stands first in the rows of a table of the README, if it is code."""
    _, _, below = (CHECKOUT / "README.md").read_text("utf-8").partition(head)
    table = below.partition("\n\n")[0]
    return [name for row in re.findall(r"(?m)^\| (`.*?) \|", table) for name in CODE.findall(row)]


def test_every_threat_names_tests_that_exist() -> None:
    text = (CHECKOUT / ".github/SECURITY.md").read_text("utf-8")
    threats = re.findall(r"(?m)^\| (?!threat|---)(.*) \| .* \| (.*) \|$", text)
    assert len(threats) > 20
    for threat, shown in threats:
        ids = CODE.findall(shown)
        assert ids, threat
        for file, _, name in (test.partition("::") for test in ids):
            code = (CHECKOUT / file).read_text("utf-8")
            assert re.search(rf"def {name}\(", code), f"{threat}: {file}::{name}"
