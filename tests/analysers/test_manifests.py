"""Each format of manifest, read."""

import pytest

from app.analysers.manifests import (
    Manifest,
    Requirement,
    Room,
    Source,
    host_of,
    kind_of,
    parse_manifest,
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("web/package.json", "package.json"),
        ("requirements.txt", "requirements.txt"),
        ("requirements-dev.txt", "requirements.txt"),
        ("requirements/base.txt", "requirements.txt"),
        ("constraints.txt", "requirements.txt"),
        (".cargo/config.toml", ".cargo/config.toml"),
        ("a/go.mod", "go.mod"),
        ("config.toml", None),
        ("notes.txt", None),
        ("package.json.md", None),
    ],
)
def test_a_manifest_is_known_by_its_name(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind


def one(kind: str, text: str) -> Requirement:
    manifest = parse_manifest(kind, text)
    assert manifest is not None
    (requirement,) = manifest.requirements.values()
    return requirement


@pytest.mark.parametrize(
    ("kind", "text", "name", "version", "room"),
    [
        ("package.json", '{"dependencies": {"a": "1.2.3"}}', "a", "1.2.3", Room.ONE),
        ("package.json", '{"devDependencies": {"a": "^1.2.3"}}', "a", "^1.2.3", Room.SOME),
        ("package.json", '{"dependencies": {"a": "*"}}', "a", "*", Room.ANY),
        ("package.json", '{"dependencies": {"a": ">=1"}}', "a", ">=1", Room.ANY),
        ("package.json", '{"dependencies": {"a": ">=1 <2"}}', "a", ">=1 <2", Room.SOME),
        ("package.json", '{"dependencies": {"a": "workspace:*"}}', "a", "workspace:*", Room.SOME),
        ("requirements.txt", "a==1.2.3  # why\n", "a", "==1.2.3", Room.ONE),
        ("requirements.txt", "a[b]==1.2 ; python_version<'3'\n", "a", "==1.2", Room.ONE),
        ("requirements.txt", "a==1.2 --hash=sha256:00\n", "a", "==1.2", Room.ONE),
        ("requirements.txt", "a==1.2 \\\n    --hash=sha256:00\n", "a", "==1.2", Room.ONE),
        ("requirements.txt", "a>=1,<2\n", "a", ">=1,<2", Room.SOME),
        ("requirements.txt", "a\n", "a", "", Room.ANY),
        ("pyproject.toml", "[project]\ndependencies = ['a~=1.2']", "a", "~=1.2", Room.SOME),
        ("pyproject.toml", "[dependency-groups]\nx = ['a']", "a", "", Room.ANY),
        ("pyproject.toml", "[build-system]\nrequires = ['a==1.*']", "a", "==1.*", Room.SOME),
        (
            "pyproject.toml",
            "[tool.poetry.dependencies]\npython = '^3.11'\na = '^1.2'",
            "a",
            "^1.2",
            Room.SOME,
        ),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = '1.2'", "a", "1.2", Room.ONE),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = '==1.2'", "a", "==1.2", Room.ONE),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = '1.*'", "a", "1.*", Room.SOME),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = '*'", "a", "*", Room.ANY),
        ("Pipfile", "[packages]\na = '*'", "a", "*", Room.ANY),
        ("setup.cfg", "[options]\ninstall_requires =\n  a>=1\n", "a", ">=1", Room.ANY),
        ("Cargo.toml", "[dependencies]\na = '1.2'", "a", "1.2", Room.SOME),
        ("Cargo.toml", "[dev-dependencies]\na = {version = '=1.2'}", "a", "=1.2", Room.ONE),
        ("Cargo.toml", "[target.'cfg(x)'.dependencies]\na = '*'", "a", "*", Room.ANY),
        ("go.mod", "module m\n\ngo 1.22\n\nrequire a.b/c v1.2.3\n", "a.b/c", "v1.2.3", Room.ONE),
        ("go.mod", "require (\n\ta.b/c v1.2.3 // indirect\n)\n", "a.b/c", "v1.2.3", Room.ONE),
        ("Gemfile", "gem 'a', '~> 1.2', require: false\n", "a", "~> 1.2", Room.SOME),
        ("Gemfile", "gem 'a'\n", "a", "", Room.ANY),
        ("composer.json", '{"require": {"php": "^8", "a/b": "^1"}}', "a/b", "^1", Room.SOME),
        ("composer.json", '{"require": {"a/b": "dev-main"}}', "a/b", "dev-main", Room.ANY),
    ],
)
def test_how_many_versions_a_requirement_lets_in(
    kind: str, text: str, name: str, version: str, room: Room
) -> None:
    assert one(kind, text) == Requirement(name=name, text=version, room=room)


SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("kind", "text", "source", "is_fixed"),
    [
        ("package.json", '{"dependencies": {"a": "git+https://x.org/a.git"}}', Source.GIT, False),
        ("package.json", '{"dependencies": {"a": "user/a"}}', Source.GIT, False),
        ("package.json", f'{{"dependencies": {{"a": "user/a#{SHA}"}}}}', Source.GIT, True),
        ("package.json", '{"dependencies": {"a": "https://x.org/a.tgz"}}', Source.URL, False),
        ("package.json", '{"dependencies": {"a": "file:../a"}}', Source.PATH, False),
        ("requirements.txt", "git+https://x.org/a.git@main#egg=a\n", Source.GIT, False),
        ("requirements.txt", f"-e git+https://x.org/a.git@{SHA}#egg=a\n", Source.GIT, True),
        ("requirements.txt", "a @ https://x.org/a.whl\n", Source.URL, False),
        ("requirements.txt", "a @ https://x.org/a.whl#sha256=00\n", Source.URL, True),
        ("pyproject.toml", "[tool.uv.sources]\na = {git = 'https://x.org/a'}", Source.GIT, False),
        ("pyproject.toml", "[tool.uv.sources]\na = {path = '../a'}", Source.PATH, False),
        ("Cargo.toml", "[dependencies]\na = {git = 'https://x.org/a'}", Source.GIT, False),
        (
            "Cargo.toml",
            f"[dependencies]\na = {{git = 'https://x.org/a', rev = '{SHA}'}}",
            Source.GIT,
            True,
        ),
        ("go.mod", "replace a.b/c => ../c\n", Source.PATH, False),
        ("go.mod", "replace a.b/c => d.e/f v1.0.0\n", Source.GIT, False),
        ("Gemfile", "gem 'a', github: 'x/a'\n", Source.GIT, False),
        ("Gemfile", "gem 'a', :git => 'https://x.org/a.git'\n", Source.GIT, False),
    ],
)
def test_where_a_requirement_comes_from(
    kind: str, text: str, source: Source, is_fixed: bool
) -> None:
    requirement = one(kind, text)

    assert (requirement.source, requirement.is_fixed) == (source, is_fixed)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("requirements.txt", "--index-url https://x.org/simple\n"),
        ("requirements.txt", "--extra-index-url=https://x.org/simple\n"),
        ("pyproject.toml", "[[tool.uv.index]]\nurl = 'https://x.org/simple'"),
        ("pyproject.toml", "[[tool.poetry.source]]\nurl = 'https://x.org/simple'"),
        ("Pipfile", "[[source]]\nurl = 'https://x.org/simple'"),
        ("Gemfile", "source 'https://x.org/simple'\n"),
        (
            "composer.json",
            '{"repositories": [{"type": "composer", "url": "https://x.org/simple"}]}',
        ),
        ("package.json", '{"publishConfig": {"registry": "https://x.org/simple"}}'),
        (".npmrc", "@mine:registry=https://x.org/simple\n"),
        (".yarnrc.yml", 'npmRegistryServer: "https://x.org/simple"\n'),
        ("pip.conf", "[global]\nindex-url = https://x.org/simple\n"),
        (".cargo/config.toml", '[registries]\nregistry = "sparse+https://x.org/simple"\n'),
    ],
)
def test_registries_are_found(kind: str, text: str) -> None:
    manifest = parse_manifest(kind, text)

    assert manifest is not None
    assert manifest.registries == ("https://x.org/simple",)


def test_only_scripts_that_run_on_install_are_told() -> None:
    npm = parse_manifest("package.json", '{"scripts": {"postinstall": "x", "test": "y"}}')
    composer = parse_manifest("composer.json", '{"scripts": {"post-install-cmd": ["x", "y"]}}')

    assert npm == Manifest(scripts={"postinstall": "x"}, is_published=True)
    assert composer == Manifest(scripts={"post-install-cmd": "x y"})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("package.json", "{"),
        ("package.json", "[]"),
        ("package.json", "[" * 100_000),
        ("package.json", "1" * 10_000),
        ("composer.json", '{"scripts": [1]}'),
        ("composer.json", '{"repositories": 7}'),
        ("pyproject.toml", "[project"),
        ("pyproject.toml", "tool = 7"),
        ("pyproject.toml", "[project]\ndependencies = 7"),
        ("Cargo.toml", "dependencies = [1]"),
        ("setup.cfg", "install_requires = a"),
    ],
)
def test_what_is_broken_is_no_manifest(kind: str, text: str) -> None:
    assert parse_manifest(kind, text) is None


@pytest.mark.parametrize(
    ("url", "host"), [("https://X.org:8/a", "x.org"), ("x", ""), ("http://[", "")]
)
def test_a_host_is_taken_from_a_url(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("requirements.txt", "--trusted-host x.org\n"),
        ("requirements.txt", "--trusted-host=x.org\n"),
        ("pip.conf", "[global]\ntrusted-host = x.org\n"),
    ],
)
def test_hosts_whose_certificates_are_not_looked_at_are_found(kind: str, text: str) -> None:
    manifest = parse_manifest(kind, text)

    assert manifest is not None
    assert manifest.unchecked == ("x.org",)
