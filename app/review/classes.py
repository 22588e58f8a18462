"""Says what kind of file a changed file is: by its path, by marks in its text, and by the base's
`.gitattributes`. Knows nothing of focus areas.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from posixpath import basename, splitext

from app.review.diff import FileDiff, Line, Status
from app.review.globs import Globs, compile_globs, compile_list

LOCKS_OF: Mapping[str, tuple[str, ...]] = {
    "package.json": (
        *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock"),
        *("pnpm-lock.yaml", "bun.lock", "bun.lockb"),
    ),
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock"),
    "Pipfile": ("Pipfile.lock",),
    "Cargo.toml": ("Cargo.lock",),
    "Gemfile": ("Gemfile.lock",),
    "composer.json": ("composer.lock",),
    "go.mod": ("go.sum",),
}
"""Manifest → lock files that may belong to it, in its own folder or one above."""
LOCKS = frozenset(lock for locks in LOCKS_OF.values() for lock in locks)


class FileClass(StrEnum):
    SOURCE = "source"
    TEST = "test"
    MANIFEST = "manifest"
    CONFIGURATION = "configuration"
    DOCS = "docs"
    DATA = "data"
    SUBMODULE = "submodule"
    SYMLINK = "symlink"
    LOCK_FILE = "lock file"
    GENERATED = "generated"
    VENDORED = "vendored"
    MINIFIED = "minified"
    BINARY = "binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One line of a `.gitattributes` file: what it says of one class; later lines win.

    `is_set` is None where a line takes back (`!`) what lines before it say.
    """

    globs: Globs
    file_class: FileClass
    is_set: bool | None


Attributes = tuple[Attribute, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# https://github.com/github-linguist/linguist/blob/main/docs/overrides.md
_ATTRIBUTES = {
    "linguist-generated": (FileClass.GENERATED, True),
    "linguist-vendored": (FileClass.VENDORED, True),
    "linguist-documentation": (FileClass.DOCS, True),
    "binary": (FileClass.BINARY, True),
    "diff": (FileClass.BINARY, False),  # `-diff` tells git to treat a file as binary
}

_LOCK_FILES = _words(
    """
    bun.lock bun.lockb cargo.lock cartfile.resolved composer.lock conan.lock deno.lock flake.lock
    gemfile.lock go.sum go.work.sum gradle.lockfile mix.lock npm-shrinkwrap.json package-lock.json
    package.resolved packages.lock.json paket.lock pdm.lock pipfile.lock pixi.lock pnpm-lock.yaml
    podfile.lock poetry.lock pubspec.lock pylock.toml rebar.lock stack.yaml.lock uv.lock yarn.lock
    .terraform.lock.hcl module.bazel.lock
    """
)
_MANIFESTS = compile_list(
    """
    package.json pyproject.toml setup.py setup.cfg Pipfile requirements*.txt requirements*.in
    requirements/*.txt constraints*.txt environment.yml conda.yml Cargo.toml go.mod go.work Gemfile
    gems.rb *.gemspec composer.json pom.xml build.gradle build.gradle.kts settings.gradle
    settings.gradle.kts libs.versions.toml build.sbt *.csproj *.fsproj *.vbproj
    Directory.Packages.props packages.config Package.swift Podfile *.podspec Cartfile pubspec.yaml
    mix.exs rebar.config deps.edn project.clj stack.yaml *.cabal *.nimble *.opam dune-project
    conanfile.txt conanfile.py vcpkg.json MODULE.bazel WORKSPACE bower.json deno.json
    pnpm-workspace.yaml Chart.yaml flake.nix .gitmodules
    """
)
_VENDORED = compile_list(
    """
    /vendor/** **/vendor/github.com/** **/vendor/golang.org/** **/vendor/bundle/**
    **/node_modules/** **/bower_components/** **/jspm_packages/** **/third_party/**
    **/third-party/** **/thirdparty/** **/3rdparty/** **/Pods/** Carthage/** **/site-packages/**
    **/.yarn/releases/** **/.yarn/plugins/** **/.yarn/cache/** .pnp.cjs
    """
)
_GENERATED = compile_list(
    """
    *.pb.go *.pb.cc *.pb.h *.pb.swift *_pb2.py *_pb2.pyi *_pb2_grpc.py *_pb.js *_pb.ts *_pb.d.ts
    *_grpc_pb.js *.pb.rs zz_generated.* *_generated.go *.generated.* *.g.dart *.freezed.dart *.g.cs
    *.g.i.cs *.designer.cs *.Designer.cs **/__generated__/** *.snap *.js.map *.css.map *.mjs.map
    **/dist/**/*.js **/dist/**/*.cjs **/dist/**/*.mjs **/dist/**/*.css **/dist/**/*.d.ts
    *.xcuserstate project.pbxproj gradlew gradlew.bat mvnw mvnw.cmd
    """
)
_MINIFIED = compile_list("*.min.js *.min.mjs *.min.cjs *.min.css *-min.js *-min.css")
_TESTS = compile_list(
    """
    **/test/** **/tests/** **/__tests__/** **/__mocks__/** **/testdata/** spec/**
    **/e2e/** **/cypress/** src/*Test/** **/androidTest/** **/*Tests/** test_*.py
    *_test.py conftest.py *_test.go *.test.* *.spec.* *_test.rb *_spec.rb *_test.exs *_test.dart
    *Test.java *Tests.java *Test.kt *Tests.kt *Test.php *Tests.cs *Test.cs *Tests.swift
    *Test.scala *Spec.scala *Spec.hs *_test.cc *_test.cpp *_unittest.cc *_test.c test_*.c *.t
    """
)
_DOCS_NAMES = _words(
    """
    readme license licence copying notice authors contributors changelog changes history news
    codeowners maintainers thanks todo
    """
)
_DOCS_TYPES = _words(
    ".md .mdx .markdown .rst .adoc .asciidoc .org .txt .tex .rdoc .pod .textile .wiki"
)
_CONFIGURATION_TYPES = _words(
    """
    .yaml .yml .toml .ini .cfg .conf .config .json .json5 .jsonc .xml .properties .plist .tf
    .tfvars .hcl .nix .service .env .editorconfig .props .targets
    """
)
_CONFIGURATION = compile_list(
    """
    Dockerfile* *.dockerfile Containerfile* docker-compose* .dockerignore Makefile GNUmakefile *.mk
    Jenkinsfile* Procfile Vagrantfile Caddyfile nginx.conf .github/** .circleci/** .buildkite/**
    .gitlab/** .gitignore .gitattributes .npmrc .yarnrc .babelrc .eslintrc* .prettierrc*
    .pre-commit-config.yaml CMakeLists.txt BUILD BUILD.bazel tox.ini
    """
)
_DATA_TYPES = _words(
    ".csv .tsv .svg .po .pot .geojson .jsonl .ndjson .log .patch .diff .dat .out .golden"
)

_HEAD_LINES = 40
_MARK_WIDTH = 300
_MARK = re.compile(
    r"[ \t]{0,20}(?://|#|/\*|\*|--|;|%|<!--|\"\"\"|''').{0,200}?"
    r"(?:code generated .{0,100}do not edit|@generated\b|<auto-?generated"
    r"|auto(?:matically)?[- ]?generated (?:by|from|file|code|on|using)"
    r"|(?:file|code) (?:is|was) (?:auto(?:matically)?[- ]?)?generated (?:by|from|using)"
    r"|generated by .{0,100}do not (?:edit|modify|change))",
    re.IGNORECASE,
)
_WEB_TYPES = frozenset((".js", ".mjs", ".cjs", ".css", ".json", ".html", ".svg"))
_MINIFIED_WIDTH = 500
"""Characters a line on average. Linguist says 110; people do write 110."""


def parse_attributes(text: str) -> Attributes:
    """Read the root `.gitattributes` (of the base); lines that say nothing to us are skipped."""
    return tuple(
        attribute
        for line in text.split("\n")
        if line.strip() and not line.startswith("#")
        for attribute in _line_attributes(line)
    )


def classify(file: FileDiff, attributes: Attributes = ()) -> FileClass:
    """Say what kind of file this is. What nothing is known of is source."""
    if file.is_submodule:
        return FileClass.SUBMODULE
    if file.is_binary:
        return FileClass.BINARY
    if file.is_symlink:
        return FileClass.SYMLINK
    said = _said(file.path, attributes)
    for file_class in (FileClass.BINARY, FileClass.GENERATED, FileClass.VENDORED, FileClass.DOCS):
        if said.get(file_class):
            return file_class
    found = _class_of_path(file.path) or _class_of_text(file) or class_of_name(file.path)
    if said.get(found) is False:
        return class_of_name(file.path)
    return found


def is_reviewable(file_class: FileClass) -> bool:
    """Say whether a person wrote the lines of such a file."""
    return file_class not in NOT_REVIEWABLE


NOT_REVIEWABLE = (
    FileClass.LOCK_FILE,
    FileClass.GENERATED,
    FileClass.VENDORED,
    FileClass.MINIFIED,
    FileClass.BINARY,
)
"""Each of these is a reason, in the same word, why lines were not shown."""


def _line_attributes(line: str) -> Iterator[Attribute]:
    pattern, *words = line.split()
    globs = compile_globs([pattern])
    for word in words:
        name, _, value = word.lstrip("-!").partition("=")
        if name in _ATTRIBUTES:
            file_class, meaning = _ATTRIBUTES[name]
            is_set = not word.startswith("-") and value.lower() != "false"
            says = None if word.startswith("!") else is_set is meaning
            yield Attribute(globs=globs, file_class=file_class, is_set=says)


def _said(path: str, attributes: Attributes) -> dict[FileClass, bool | None]:
    return {a.file_class: a.is_set for a in attributes if a.globs.matches(path)}


def _class_of_path(path: str) -> FileClass | None:
    """Find the kinds that no line of a file can change."""
    if basename(path).lower() in _LOCK_FILES:
        return FileClass.LOCK_FILE
    for file_class, globs in (
        (FileClass.VENDORED, _VENDORED),
        (FileClass.MINIFIED, _MINIFIED),
        (FileClass.GENERATED, _GENERATED),
    ):
        if globs.matches(path):
            return file_class
    return None


def _class_of_text(file: FileDiff) -> FileClass | None:
    """Look at lines of the base, and at a new file's own: no change exempts a file from review."""
    kind = "+" if file.status is Status.ADDED else "-"
    if any(_MARK.match(line.text[:_MARK_WIDTH]) for line in _head(file, kind)):
        return FileClass.GENERATED
    if splitext(file.path)[1].lower() in _WEB_TYPES:
        widths = [len(line.text) for line in file.changed_lines if line.kind == kind]
        if widths and sum(widths) > _MINIFIED_WIDTH * len(widths):
            return FileClass.MINIFIED
    return None


def _head(file: FileDiff, kind: str) -> Iterator[Line]:
    if not file.hunks or min(file.hunks[0].old_start, file.hunks[0].new_start) > _HEAD_LINES:
        return iter(())
    lines = islice(file.hunks[0].lines, _HEAD_LINES)
    return (line for line in lines if line.kind in (kind, " "))


def class_of_name(path: str) -> FileClass:
    """Say what kind of file this is as far as its name alone tells; else it is source."""
    name = basename(path)
    stem, suffix = splitext(name)
    suffix = suffix.lower()
    if _MANIFESTS.matches(path):
        return FileClass.MANIFEST
    if _CONFIGURATION.matches(path) and suffix not in _DOCS_TYPES - {".txt"}:
        return FileClass.CONFIGURATION
    if suffix in _DOCS_TYPES or (not suffix and stem.lower() in _DOCS_NAMES):
        return FileClass.DOCS
    if _TESTS.matches(path):
        return FileClass.TEST
    if suffix in _CONFIGURATION_TYPES:
        return FileClass.CONFIGURATION
    return FileClass.DATA if suffix in _DATA_TYPES else FileClass.SOURCE
