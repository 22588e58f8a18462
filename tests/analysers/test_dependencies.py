"""What a change does to dependencies: told where it matters, silent where it is usual."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from app.analysers.dependencies import MAX_BYTES, Dependencies
from app.ports import Ended, Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from app.sandbox.child import LimitedChild, Limits
from tests.analysers.changes import contents, make_change
from tests.analysers.children import Scripted

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SHA = "0123456789abcdef0123456789abcdef01234567"
PINS = "a==1.0\nb==2.0\nc==3.0\nd==4.0\n"


async def analyse(
    files: Mapping[str, str],
    before: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Found:
    child = LimitedChild(limits) if limits else LimitedChild()
    return await Dependencies(child).find(make_change(files, before), contents(files))


async def told(path: str, old: str, new: str) -> list[tuple[str | None, Priority, int]]:
    found = await analyse({path: new}, {path: old})
    assert found.not_analysed is None
    return [(c.rule, c.priority, c.location.line) for c in found.candidates]


def npm(**data: object) -> str:
    return json.dumps(data, indent=2) + "\n"


async def test_a_finding_is_told_whole() -> None:
    found = await analyse(
        {"requirements.txt": PINS.replace("b==2.0", "b>=2.0")}, {"requirements.txt": PINS}
    )

    assert found == Found(
        finder="dependencies",
        candidates=(
            Candidate(
                area=Area.DEPENDENCIES,
                priority=Priority.P2,
                confidence=0.8,
                title="`b` is held less tightly than before",
                body="It was `==2.0` and is now `>=2.0`, "
                "so an install may bring another version than the tested one.",
                trigger="A new version of it is published.",
                evidence="b>=2.0",
                location=Location(path="requirements.txt", side=Side.RIGHT, start_line=2, line=2),
                source="dependencies",
                rule="loosened",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "rule", "priority"),
    [
        # loosened
        (
            "package.json",
            npm(dependencies={"a": "1.2.3"}),
            npm(dependencies={"a": "^1.2.3"}),
            "loosened",
            Priority.P3,
        ),
        (
            "package.json",
            npm(dependencies={"a": "^1.2.3"}),
            npm(dependencies={"a": "latest"}),
            "loosened",
            Priority.P2,
        ),
        (
            "pyproject.toml",
            "[project]\ndependencies = ['a>=1,<2']\n",
            "[project]\ndependencies = ['a>=1']\n",
            "loosened",
            Priority.P3,
        ),
        (
            "Cargo.toml",
            "[dependencies]\na = '1.2'\n",
            "[dependencies]\na = '*'\n",
            "loosened",
            Priority.P2,
        ),
        # unpinned
        ("requirements.txt", PINS, PINS + "e\n", "unpinned", Priority.P2),
        ("package.json", npm(), npm(dependencies={"a": "*"}), "unpinned", Priority.P2),
        (
            "composer.json",
            npm(),
            npm(require={"a/b": "dev-main"}),
            "unpinned",
            Priority.P2,
        ),
        # sources
        ("package.json", npm(), npm(dependencies={"a": "x/a"}), "git-source", Priority.P2),
        (
            "package.json",
            npm(),
            npm(dependencies={"a": f"x/a#{SHA}"}),
            "git-source",
            Priority.P3,
        ),
        (
            "package.json",
            npm(dependencies={"a": "1.0.0"}),
            npm(dependencies={"a": "http://x.org/a.tgz"}),
            "url-source",
            Priority.P1,
        ),
        (
            "requirements.txt",
            PINS,
            PINS + "git+https://x.org/e.git@main#egg=e\n",
            "git-source",
            Priority.P2,
        ),
        (
            "pyproject.toml",
            "[tool.uv.sources]\n",
            "[tool.uv.sources]\na = { git = 'https://x.org/a' }\n",
            "git-source",
            Priority.P2,
        ),
        (
            "Cargo.toml",
            "[dependencies]\na = '1.2'\n",
            "[dependencies.a]\ngit = 'https://x.org/a'\n",
            "git-source",
            Priority.P2,
        ),
        ("Gemfile", "gem 'a'\n", "gem 'a', github: 'x/a'\n", "git-source", Priority.P2),
        (
            "Cargo.toml",
            "[dependencies]\na = '1.2'\n",
            "[dependencies]\na = '1.2'\n[patch.crates-io]\na = { git = 'https://x.org/a' }\n",
            "git-source",
            Priority.P2,
        ),
        (
            "package.json",
            npm(),
            npm(overrides={"b": {"a": "https://x.org/a.tgz"}}),
            "url-source",
            Priority.P2,
        ),
        ("package.json", npm(), npm(resolutions={"a": "x/a"}), "git-source", Priority.P2),
        (
            "composer.json",
            npm(),
            npm(repositories=[{"type": "vcs", "url": "https://github.com/x/a"}]),
            "git-source",
            Priority.P2,
        ),
        ("requirements.txt", PINS, PINS + "--trusted-host x.org\n", "unchecked-host", Priority.P1),
        (
            "go.mod",
            "module m\n",
            "module m\n\nreplace a.b/c => ../c\n",
            "local-source",
            Priority.P2,
        ),
        (
            "go.mod",
            "module m\n",
            "module m\n\nreplace a.b/c => d.e/f v1.0.0\n",
            "git-source",
            Priority.P2,
        ),
        (
            "package.json",
            npm(dependencies={"a": "1.0.0"}),
            npm(dependencies={"a": "file:../a"}),
            "local-source",
            Priority.P2,
        ),
        # scripts
        (
            "package.json",
            npm(name="a"),
            npm(name="a", scripts={"postinstall": "node x.js"}),
            "install-script",
            Priority.P1,
        ),
        (
            "package.json",
            npm(private=True, scripts={"install": "a"}),
            npm(private=True, scripts={"install": "b"}),
            "install-script",
            Priority.P2,
        ),
        # registries
        (".npmrc", "a=b\n", "a=b\nregistry=https://x.org/\n", "registry", Priority.P1),
        (
            "requirements.txt",
            PINS,
            PINS + "--extra-index-url https://x.org/simple\n",
            "registry",
            Priority.P1,
        ),
        (
            "package-lock.json",
            '{\n"resolved": "https://registry.npmjs.org/a.tgz"\n}\n',
            '{\n"resolved": "https://x.org/a.tgz"\n}\n',
            "registry",
            Priority.P1,
        ),
        (
            "Cargo.lock",
            'name = "a"\n',
            'name = "a"\nsource = "registry+https://x.org/index"\n',
            "registry",
            Priority.P1,
        ),
        # locks
        (
            "go.mod",
            "module m\n",
            "module m\n\nrequire a.b/c v1.2.3\n",
            "not-locked",
            Priority.P2,
        ),
    ],
)
async def test_what_matters_is_told(
    path: str, old: str, new: str, rule: str, priority: Priority
) -> None:
    assert [(r, p) for r, p, _ in await told(path, old, new)] == [(rule, priority)]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        # another version, held as tightly or tighter
        ("requirements.txt", PINS, PINS.replace("2.0", "2.1")),
        ("requirements.txt", PINS.replace("b==2.0", "b"), PINS),
        ("package.json", npm(dependencies={"a": "^1"}), npm(dependencies={"a": "~2"})),
        # usual ways to ask for something new
        ("package.json", npm(), npm(dependencies={"a": "^1.2.3"})),
        ("package.json", npm(), npm(dependencies={"a": "workspace:*"})),
        ("package.json", npm(), npm(peerDependencies={"a": "*"})),
        ("pyproject.toml", "[project]\n", "[project]\ndependencies = ['a', 'b>=1']\n"),
        ("requirements.txt", "a\nb\nc==1.0\n", "a\nb\nc==1.0\nd\n"),
        ("Gemfile", "", "gem 'a'\n"),
        ("Cargo.toml", "[dependencies]\n", "[dependencies]\na = { path = '../a' }\n"),
        # moved within the file
        ("package.json", npm(dependencies={"b": "*"}), npm(name="x", dependencies={"b": "*"})),
        # sources and registries that were there, or are everybody's
        (
            "package.json",
            npm(dependencies={"a": "x/a#one"}),
            npm(dependencies={"a": "x/a#two"}),
        ),
        (".npmrc", "registry=https://x.org/a\n", "registry=https://x.org/b\n"),
        (".npmrc", "registry=https://x.org/a\n", "registry=https://registry.npmjs.org/\n"),
        (
            "yarn.lock",
            '  resolved "https://registry.yarnpkg.com/a"\n',
            '  resolved "https://registry.npmjs.org/b"\n',
        ),
        # scripts that do not run on install
        ("package.json", npm(), npm(scripts={"test": "x", "prepare": "husky"})),
        # a requirement that only became direct
        ("go.mod", "require a.b/c v1.2.3 // indirect\n", "require a.b/c v1.2.3\n"),
        ("go.mod", "module m\n\ngo 1.21\n", "module m\n\ngo 1.22\n"),
    ],
)
async def test_what_is_usual_is_left_alone(path: str, old: str, new: str) -> None:
    assert await told(path, old, new) == []


async def test_go_sum_beside_go_mod_is_a_lock() -> None:
    files = {"m/go.mod": "require a.b/c v1.2.3\n", "m/go.sum": "a.b/c v1.2.3 h1:x=\n"}

    found = await analyse(files, {"m/go.mod": "\n", "m/go.sum": "\n"})

    assert found.candidates == ()


@pytest.mark.parametrize(
    ("path", "lock", "old", "new", "is_told"),
    [
        ("package.json", "yarn.lock", npm(), npm(dependencies={"a": "^1.0.0"}), True),
        ("web/package.json", "package-lock.json", npm(), npm(dependencies={"a": "^1.0.0"}), True),
        ("package.json", "web/yarn.lock", npm(), npm(dependencies={"a": "^1.0.0"}), False),
        ("package.json", "uv.lock", npm(), npm(dependencies={"a": "^1.0.0"}), False),
        ("package.json", "yarn.lock", npm(), npm(description="a"), False),
        ("package.json", "yarn.lock", npm(), npm(dependencies={"a": "file:../a"}), False),
        ("pyproject.toml", "uv.lock", "", '[project]\ndependencies = ["a>=1,<2"]\n', True),
        ("pyproject.toml", "uv.lock", "", '[build-system]\nrequires = ["a>=1,<2"]\n', False),
        ("Cargo.toml", "Cargo.lock", "", '[dependencies]\na = "1.0"\n', True),
        ("Gemfile", "Gemfile.lock", "", 'gem "a", "~> 1.0"\n', True),
        ("composer.json", "composer.lock", "{}\n", npm(require={"a/b": "^1.0"}), True),
    ],
)
async def test_a_lock_file_that_was_left_behind_is_told(
    path: str, lock: str, old: str, new: str, is_told: bool
) -> None:
    change = replace(make_change({path: new}, {path: old}), locks=frozenset({lock}))
    found = await Dependencies(LimitedChild()).find(change, contents({path: new}))
    assert [c.rule for c in found.candidates] == ["not-locked"] * is_told


async def test_a_lock_file_that_changed_too_is_none_left_behind() -> None:
    files = {"package.json": npm(dependencies={"a": "^1.0.0"}), "yarn.lock": "a@^1.0.0:\n"}
    change = make_change(files, {"package.json": npm(), "yarn.lock": "\n"})
    change = replace(change, locks=frozenset({"yarn.lock"}))
    found = await Dependencies(LimitedChild()).find(change, contents(files))
    assert found.candidates == ()


async def test_vendored_manifests_are_left_alone() -> None:
    assert await analyse({"vendor/a/package.json": npm(dependencies={"a": "*"})}) == Found(
        finder="dependencies"
    )


async def test_a_broken_manifest_is_not_analysed_and_the_others_are() -> None:
    files = {"a/package.json": "{", "b/package.json": npm(dependencies={"a": "*"})}

    found = await analyse(files)

    assert found.not_analysed == {"a/package.json": "it cannot be read"}
    assert [c.location.path for c in found.candidates] == ["b/package.json"]


@pytest.mark.slow
async def test_a_manifest_that_a_parser_hangs_on_costs_only_itself() -> None:
    hostile = ".".join("a" * 60_000) + " = 1\n"
    fine = "[dependencies]\na = '*'\n"
    began = time.monotonic()

    found = await analyse(
        {"a/Cargo.toml": fine, "b/Cargo.toml": hostile, "c/Cargo.toml": fine},
        limits=Limits(wall_s=2, cpu_s=2),
    )

    assert time.monotonic() - began < 8
    assert found.not_analysed == {"b/Cargo.toml": "it cannot be read"}
    assert [c.location.path for c in found.candidates] == ["a/Cargo.toml", "c/Cargo.toml"]


async def test_a_manifest_that_is_too_large_is_not_analysed() -> None:
    found = await analyse({"package.json": npm(name="a" * MAX_BYTES)})

    assert found.not_analysed == {"package.json": f"it is larger than {MAX_BYTES:,} bytes"}


async def test_what_a_child_said_before_it_was_ended_counts() -> None:
    files = {"a/package.json": "{}\n", "b/package.json": "{}\n"}
    told = b'[{},{"scripts":{}}]\n[{},{"scr'
    cut = Ended(status=None, stdout=told, stderr=b"", problem="wrote more than 8 bytes")

    found = await Dependencies(Scripted(cut)).find(make_change(files), contents(files))

    assert found.not_analysed is None, "each was the first in its turn"


async def test_without_a_child_no_manifest_is_analysed() -> None:
    files = {"a/package.json": "{}\n", "b/package.json": "{}\n"}
    gone = Scripted(Ended(status=None, stdout=b"", stderr=b"", problem="could not be started"))

    found = await Dependencies(gone).find(make_change(files), contents(files))

    assert found.not_analysed == dict.fromkeys(files, "it cannot be read")


async def test_a_manifest_of_another_commit_is_not_compared() -> None:
    change = make_change({"package.json": "{}\n"}, {"package.json": "{ }\n"})

    found = await Dependencies(LimitedChild()).find(change, {"package.json": b"other\n"})

    assert found.not_analysed == {"package.json": "its lines are not those of the diff"}


async def test_a_name_that_is_long_or_holds_markup_is_cut() -> None:
    name = "a" * 5_000

    found = await analyse({"package.json": npm(dependencies={name: "*"})})

    assert len(found.candidates[0].title) < 200


async def test_a_password_in_a_url_is_masked() -> None:
    line = "git+https://app:9xKq2LmZ7vTr@x.org/a.git\n"

    found = await analyse({"requirements.txt": PINS + line}, {"requirements.txt": PINS})

    assert [c.rule for c in found.candidates] == ["git-source"]
    assert "9xKq2LmZ" not in repr(found)


async def test_a_manifest_of_very_many_dependencies_is_done_in_time() -> None:
    many = npm(dependencies={f"d{n}": "*" for n in range(15_000)})
    began = time.monotonic()

    found = await analyse({"package.json": many})

    assert time.monotonic() - began < 5
    assert len(found.candidates) == 1


@pytest.mark.parametrize(("path", "wanted"), [("a/go.mod", True), ("go.sum", False)])
def test_manifests_are_wanted(path: str, wanted: bool) -> None:
    assert Dependencies(LimitedChild()).wants(path) is wanted
