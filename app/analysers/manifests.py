"""Reads dependency manifests: what is required, how tightly, from where, and what runs on install.

Knows the formats of pip, Poetry, uv, npm, Go, Cargo, Bundler and Composer. Knows nothing of diffs.
Some texts take its parsers minutes (TOML keys of a thousand parts): it runs in a child.
"""

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from posixpath import basename
from typing import Any
from urllib.parse import urlsplit


class Source(StrEnum):
    """Where a dependency comes from."""

    REGISTRY = "registry"
    GIT = "git"
    URL = "url"
    PATH = "path"


class Room(IntEnum):
    """How many versions a requirement lets in."""

    ONE = 0
    SOME = 1
    ANY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One dependency. `text` is what stands in the file: a version, a URL, a path.

    `is_fixed`: it names a commit or a checksum, so what is there cannot change.
    """

    name: str
    text: str
    source: Source = Source.REGISTRY
    room: Room = Room.SOME
    is_fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says. `requirements` by section and name; `registries` are URLs, `unchecked`
    hosts whose certificates are not looked at."""

    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    registries: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    is_published: bool = False


def kind_of(path: str) -> str | None:
    """Name the kind of a manifest by the file name it usually has; None where it is none."""
    name = basename(path)
    if name in _READERS:
        return name
    if path.endswith(CARGO_CONFIGURATION):
        return CARGO_CONFIGURATION
    return PIP if _PIP_FILE.fullmatch(path) else None


def parse_manifest(kind: str, text: str) -> Manifest | None:
    """Read a manifest; None where it is broken."""
    try:
        return _READERS[kind](text)
    except (ValueError, RecursionError, TypeError, AttributeError, configparser.Error):
        return None


PIP, CARGO_CONFIGURATION = "requirements.txt", ".cargo/config.toml"
_PIP_FILE = re.compile(
    r"(?:.*/)?(?:requirements/[^/]+|[^/]*requirements[^/]*|constraints[^/]*)\.txt"
)
_PINNED_COMMIT = re.compile(r"(?:[@#]|/archive/|\?rev=)[0-9a-f]{40}\b|#(?:sha256|sha512|md5)=")
_VERSION = re.compile(r"[=v ]{0,3}\d+(?:\.\d+)+(?:[-+.]?[\w.+-]+)?")


def _by_key(found: Iterator[tuple[str, Requirement]]) -> dict[str, Requirement]:
    return {f"{section}\0{one.name}": one for section, one in found}


def _remote(name: str, url: str, *, rev: str = "", is_git: bool = False) -> Requirement:
    """Make a requirement of a URL, which may be a repository's."""
    looks_git = is_git or url.startswith(("git+", "git:", "git@", "ssh:")) or url.endswith(".git")
    return Requirement(
        name=name,
        text=url,
        source=Source.GIT if looks_git else Source.URL,
        is_fixed=_PINNED_COMMIT.search(url) is not None
        or re.fullmatch(r"[0-9a-f]{40}", rev) is not None,
    )


def _local(name: str, path: str) -> Requirement:
    return Requirement(name=name, text=path, source=Source.PATH)


def _strings(value: Any) -> dict[str, str]:
    """Take the pairs of a table whose values are strings."""
    if not isinstance(value, dict):
        return {}
    return {key: said for key, said in value.items() if isinstance(said, str)}


# ---- npm -----------------------------------------------------------------------------------------

_NPM_SECTIONS = ("dependencies", "devDependencies", "optionalDependencies")
_NPM_INSTALL = ("preinstall", "install", "postinstall")
_NPM_GIT = re.compile(r"(?:github|gitlab|bitbucket|gist):|[\w.-]+/[\w.-]+(?:#.*)?$")
_NPM_OPEN = re.compile(r"\*|x|X|latest|next|canary|")


def _npm(text: str) -> Manifest:
    data = json.loads(text)
    return Manifest(
        requirements=_by_key(
            (section, _npm_requirement(name, spec)) for section, name, spec in _npm_entries(data)
        ),
        scripts={
            name: command
            for name, command in _strings(data.get("scripts")).items()
            if name in _NPM_INSTALL
        },
        registries=tuple(_strings(data.get("publishConfig")).get("registry", "").split()),
        is_published=data.get("private") is not True,
    )


def _npm_entries(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """List section, name and what is asked for; what is put in others' place can be nested."""
    for section in _NPM_SECTIONS:
        for name, spec in _strings(data.get(section)).items():
            yield section, name, spec
    replaced = [data.get("overrides"), data.get("resolutions")]
    replaced.append(data["pnpm"].get("overrides") if "pnpm" in data else None)
    while replaced:
        table = replaced.pop()
        if isinstance(table, dict):
            replaced += table.values()
            for name, spec in _strings(table).items():
                yield "overrides", name, spec


def _npm_requirement(name: str, spec: str) -> Requirement:
    if spec.startswith(("file:", "link:", "portal:")):
        return _local(name, spec)
    if spec.startswith(("workspace:", "npm:", "catalog:")):
        return Requirement(name=name, text=spec)
    if _NPM_GIT.match(spec) or "://" in spec or spec.startswith("git@"):
        commit = spec.rpartition("#")[2]
        return _remote(name, spec, rev=commit, is_git=_NPM_GIT.match(spec) is not None)
    return Requirement(name=name, text=spec, room=_npm_room(spec.strip()))


def _npm_room(spec: str) -> Room:
    if _NPM_OPEN.fullmatch(spec) or (spec.startswith(">") and "<" not in spec):
        return Room.ANY
    return Room.ONE if _VERSION.fullmatch(spec) else Room.SOME


# ---- Python --------------------------------------------------------------------------------------

_PEP_508 = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:@\s*(\S+)|([^;#]*))")
_PIP_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url|-f|--find-links)[ =]\s*(\S+)")
_TRUSTED_HOST = re.compile(r"(?:--)?trusted-host[ =]+(\S+)")
_EGG = re.compile(r"[#&]egg=([\w.-]+)")


def _pip(text: str) -> Manifest:
    lines = [re.sub(r"(?:^|\s+)#.*", "", line).strip() for line in text.split("\n")]
    indexes = (_PIP_INDEX.match(line) for line in lines)
    return Manifest(
        requirements=_by_key(("", one) for line in lines if (one := _pip_line(line))),
        registries=tuple(found[1] for found in indexes if found),
        unchecked=_unchecked(lines),
    )


def _unchecked(lines: list[str]) -> tuple[str, ...]:
    return tuple(found[1] for line in lines if (found := _TRUSTED_HOST.match(line)))


def _pip_line(line: str) -> Requirement | None:
    line = re.sub(r"^(?:-e|--editable)[ =]\s*", "", line).removesuffix("\\").strip()
    if "://" in line.split(" ")[0] or line.startswith("git@"):
        egg = _EGG.search(line)
        url = line.split(" ")[0]
        return _remote(egg[1] if egg else url, url)
    if not line or line.startswith(("-", ".", "/")):
        return None
    return _python_requirement(re.split(r"\s--hash", line)[0])


def _python_requirement(text: str) -> Requirement | None:
    found = _PEP_508.match(text)
    if found is None:
        return None
    name, url, spec = found[1], found[2], (found[3] or "").strip(" ()")
    if url:
        return _local(name, url) if url.startswith(("file:", ".")) else _remote(name, url)
    return Requirement(name=name, text=spec, room=_python_room(spec))


def _python_room(spec: str) -> Room:
    if spec.startswith("==") and "*" not in spec and "," not in spec:
        return Room.ONE
    is_bounded = any(sign in spec for sign in ("<", "~=", "==", "^", "~"))
    return Room.SOME if is_bounded else Room.ANY


def _poetry_room(spec: str) -> Room:
    """Poetry takes a version alone for exactly this one, and `1.*` for some."""
    if not spec[:1].isdigit():
        return _python_room(spec)
    return Room.ONE if re.fullmatch(r"[\w.+-]+", spec) else Room.SOME


def _pyproject(text: str) -> Manifest:
    data = tomllib.loads(text)
    tool = data.get("tool", {})
    uv = tool.get("uv", {})
    indexes = [
        *uv.get("index", []),
        *tool.get("poetry", {}).get("source", []),
        *tool.get("pdm", {}).get("source", []),
    ]
    urls = [*(one.get("url", "") for one in indexes), uv.get("index-url", "")]
    return Manifest(
        requirements=_by_key(_python_entries(data)),
        registries=tuple(filter(None, (*urls, *uv.get("extra-index-url", [])))),
    )


def _python_entries(data: dict[str, Any]) -> Iterator[tuple[str, Requirement]]:
    project, tool = data.get("project", {}), data.get("tool", {})
    groups = {
        "project": project.get("dependencies", []),
        "build": data.get("build-system", {}).get("requires", []),
        **{
            f"extra {name}": some for name, some in project.get("optional-dependencies", {}).items()
        },
        **{f"group {name}": some for name, some in data.get("dependency-groups", {}).items()},
    }
    for section, texts in groups.items():
        for text in texts:
            if isinstance(text, str) and (one := _python_requirement(text)):
                yield section, one
    poetry = tool.get("poetry", {})
    tables = {
        "poetry": poetry.get("dependencies", {}),
        "poetry dev": poetry.get("dev-dependencies", {}),
        **{
            f"poetry {name}": g.get("dependencies", {})
            for name, g in poetry.get("group", {}).items()
        },
        "uv": tool.get("uv", {}).get("sources", {}),
    }
    for section, table in tables.items():
        for name, spec in table.items():
            if name != "python" and (one := _table_requirement(name, spec, _poetry_room)):
                yield section, one


def _pipfile(text: str) -> Manifest:
    data = tomllib.loads(text)
    return Manifest(
        requirements=_by_key(
            (section, one)
            for section in ("packages", "dev-packages")
            for name, spec in data.get(section, {}).items()
            if (one := _table_requirement(name, spec, _python_room))
        ),
        registries=tuple(one.get("url", "") for one in data.get("source", [])),
    )


def _table_requirement(name: str, spec: Any, room: Callable[[str], Room]) -> Requirement | None:
    """Read `name = "1.2"` or `name = {version = …, git = …}`; None where nothing is said."""
    if isinstance(spec, str):
        return Requirement(name=name, text=spec, room=room(spec))
    if not isinstance(spec, dict):
        return None
    said = _strings(spec)
    if "git" in said:
        return _remote(name, said["git"], rev=said.get("rev", said.get("ref", "")), is_git=True)
    if "url" in said:
        return _remote(name, said["url"])
    if "path" in said:
        return _local(name, said["path"])
    if "version" in said:
        return Requirement(name=name, text=said["version"], room=room(said["version"]))
    return None


def _setup_cfg(text: str) -> Manifest:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    wanted = parser.get("options", "install_requires", fallback="")
    return Manifest(
        requirements=_by_key(
            ("", one) for line in wanted.split("\n") if (one := _python_requirement(line.strip()))
        )
    )


# ---- Cargo, Go, Bundler, Composer ----------------------------------------------------------------


def _cargo(text: str) -> Manifest:
    return Manifest(requirements=_by_key(_cargo_entries(tomllib.loads(text))))


def _cargo_entries(data: dict[str, Any]) -> Iterator[tuple[str, Requirement]]:
    places = {"": data, "workspace": data.get("workspace", {})} | data.get("target", {})
    for place, tables in places.items():
        for section in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name, spec in tables.get(section, {}).items():
                if one := _table_requirement(name, spec, _cargo_room):
                    yield f"{place} {section}", one
    for place, table in data.get("patch", {}).items():
        for name, spec in table.items():
            if one := _table_requirement(name, spec, _cargo_room):
                yield f"patch {place}", one


def _cargo_room(spec: str) -> Room:
    if spec == "*" or (spec.startswith(">") and "<" not in spec):
        return Room.ANY
    return Room.ONE if spec.startswith("=") else Room.SOME


_GO_LINE = re.compile(
    r"\s*(?:(require|replace)\s+)?([^\s()]+)(?:\s+(v[^\s()]+))?(?:\s+=>\s+(\S+)(?:\s+(\S+))?)?"
)


def _go(text: str) -> Manifest:
    return Manifest(requirements=_by_key(_go_entries(text)))


def _go_entries(text: str) -> Iterator[tuple[str, Requirement]]:
    block = ""
    for line in text.split("\n"):
        line = line.partition("//")[0].strip()
        if line.endswith("("):
            block = line.removesuffix("(").strip()
            continue
        if line == ")":
            block = ""
            continue
        found = _GO_LINE.fullmatch(line)
        kind = found and (found[1] or block)
        if not found or kind not in ("require", "replace"):
            continue
        _, name, version, target, _ = found.groups()
        if kind == "require" and version:
            yield kind, Requirement(name=name, text=version, room=Room.ONE)
        elif kind == "replace" and target:
            is_path = target.startswith((".", "/"))
            yield kind, _local(name, target) if is_path else _remote(name, target, is_git=True)


_GEM = re.compile(r"\s*gem\s*\(?\s*[\"']([\w.-]+)[\"']((?:\s*,\s*[\"'][^\"']*[\"'])*)(.*)")
_GEM_OPTION = re.compile(r"\b(git|github|gist|bitbucket|path|ref)(?::|\s*=>)\s*[\"']([^\"']+)[\"']")
_GEM_SOURCE = re.compile(r"\s*source\s*\(?\s*[\"'](https?://[^\"']+)[\"']")


def _gemfile(text: str) -> Manifest:
    lines = text.split("\n")
    sources = (_GEM_SOURCE.match(line) for line in lines)
    return Manifest(
        requirements=_by_key(("", _gem(found)) for line in lines if (found := _GEM.match(line))),
        registries=tuple(found[1] for found in sources if found),
    )


def _gem(found: re.Match[str]) -> Requirement:
    name, versions, options = found[1], found[2].strip(" ,"), dict(_GEM_OPTION.findall(found[3]))
    for kind in ("git", "github", "gist", "bitbucket"):
        if kind in options:
            return _remote(name, options[kind], rev=options.get("ref", ""), is_git=True)
    if "path" in options:
        return _local(name, options["path"])
    version = versions.strip("\"'")
    is_bounded = "~>" in version or "<" in version
    room = Room.ONE if _VERSION.fullmatch(version) else Room.SOME if is_bounded else Room.ANY
    return Requirement(name=name, text=version, room=room)


_COMPOSER_INSTALL = tuple(
    f"{when}-{what}"
    for when in ("pre", "post")
    for what in ("install-cmd", "update-cmd", "autoload-dump")
)


_COMPOSER_REPOSITORIES = ("vcs", "git", "github", "gitlab", "bitbucket", "svn", "hg")


def _composer(text: str) -> Manifest:
    data = json.loads(text)
    repositories = data.get("repositories", [])
    listed = repositories.values() if isinstance(repositories, dict) else repositories
    places = [said for one in listed if "url" in (said := _strings(one))]
    scripts = data.get("scripts", {})
    return Manifest(
        requirements=_by_key(
            (section, Requirement(name=name, text=spec, room=_composer_room(spec)))
            for section in ("require", "require-dev")
            for name, spec in _strings(data.get(section)).items()
            if "/" in name
        )
        | _by_key(
            ("repositories", _remote(_of_repository(one["url"]), one["url"], is_git=True))
            for one in places
            if one.get("type") in _COMPOSER_REPOSITORIES
        ),
        scripts={
            name: command if isinstance(command, str) else " ".join(command)
            for name, command in scripts.items()
            if name in _COMPOSER_INSTALL
        },
        registries=tuple(one["url"] for one in places if one.get("type") == "composer"),
    )


def _of_repository(url: str) -> str:
    """Name a repository by its owner and itself."""
    return "/".join(re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))[-2:])


def _composer_room(spec: str) -> Room:
    if spec in ("*", "@dev") or spec.startswith("dev-") or (spec[:1] == ">" and "<" not in spec):
        return Room.ANY
    return Room.ONE if _VERSION.fullmatch(spec) else Room.SOME


# ---- files that only name a registry -------------------------------------------------------------

_REGISTRY_LINE = re.compile(
    r"\s*[\"']?(?:@[\w.-]+:)?(?:registry|npmRegistryServer|(?:extra-)?index-url|find-links)[\"']?"
    r"\s*[=: ]\s*[\"']?(?:sparse\+)?(https?://[^\s\"']+)"
)


def _registry_lines(text: str) -> Manifest:
    lines = text.split("\n")
    found = (_REGISTRY_LINE.match(line) for line in lines)
    return Manifest(registries=tuple(one[1] for one in found if one), unchecked=_unchecked(lines))


_READERS: Mapping[str, Callable[[str], Manifest]] = {
    "package.json": _npm,
    "pyproject.toml": _pyproject,
    "Pipfile": _pipfile,
    "setup.cfg": _setup_cfg,
    "Cargo.toml": _cargo,
    "go.mod": _go,
    "Gemfile": _gemfile,
    "gems.rb": _gemfile,
    "composer.json": _composer,
    PIP: _pip,
    CARGO_CONFIGURATION: _registry_lines,
    ".npmrc": _registry_lines,
    ".yarnrc": _registry_lines,
    ".yarnrc.yml": _registry_lines,
    "pip.conf": _registry_lines,
}


def host_of(url: str) -> str:
    """Return the host of a URL; empty where it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
