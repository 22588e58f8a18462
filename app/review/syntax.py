"""Tells whether text is well formed: by a real parser where there is one, else by its brackets and
indentation. Knows what a language is, nothing of reviews.

A parser can be slow, or worse, on text that was made for that (some grammars take a minute for
60 kB of `a<a<a<`): outside of tests `count_errors` runs in a child, see `sandbox/parsing.py`.
The grammars are those of the extra `syntax`.
"""

import json
import re
import tomllib
import warnings
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from importlib import import_module
from posixpath import basename, splitext

import yaml

try:
    import tree_sitter
except ImportError:  # the extra `syntax` is not installed
    HAS_TREE_SITTER = False
else:
    HAS_TREE_SITTER = True

MAX_YAML_DEPTH = 200
TAB_STOP = 8


class Language(StrEnum):
    """A language that we may have a parser for."""

    PYTHON = "python"
    JSON = "json"
    TOML = "toml"
    YAML = "yaml"
    C = "c"
    CPP = "cpp"
    C_SHARP = "c_sharp"
    GO = "go"
    JAVA = "java"
    JAVASCRIPT = "javascript"
    PHP = "php"
    RUBY = "ruby"
    RUST = "rust"
    TSX = "tsx"
    TYPESCRIPT = "typescript"


_BY_EXTENSION = {
    extension: language
    for language, extensions in {
        Language.PYTHON: ".py .pyi",
        Language.JSON: ".json .geojson .webmanifest .ipynb",
        Language.TOML: ".toml",
        Language.YAML: ".yaml .yml",
        Language.C: ".c",
        # What is C in a header is nearly always C++ too.
        Language.CPP: ".h .cc .cpp .cxx .hh .hpp .hxx",
        Language.C_SHARP: ".cs",
        Language.GO: ".go",
        Language.JAVA: ".java",
        Language.JAVASCRIPT: ".js .cjs .mjs .jsx",
        Language.PHP: ".php",
        Language.RUBY: ".rb .rake .gemspec",
        Language.RUST: ".rs",
        Language.TSX: ".tsx",
        Language.TYPESCRIPT: ".ts .cts .mts",
    }.items()
    for extension in extensions.split()
}
_BY_NAME = {"Gemfile": Language.RUBY, "Pipfile": Language.TOML, "Rakefile": Language.RUBY}
_PROSE = frozenset((".md", ".markdown", ".rst", ".adoc", ".txt"))
_PROSE_NAMES = frozenset(
    ("CHANGELOG", "CONTRIBUTING", "COPYING", "LICENSE", "NEWS", "NOTICE", "README")
)

_GRAMMARS = {
    Language.PHP: ("tree_sitter_php", "language_php"),
    Language.TSX: ("tree_sitter_typescript", "language_tsx"),
    Language.TYPESCRIPT: ("tree_sitter_typescript", "language_typescript"),
}
"""Module and function of a grammar, where they are not `tree_sitter_<language>`, `language`."""


def language_of(path: str) -> Language | None:
    """Tell the language of a file by its name."""
    return _BY_NAME.get(basename(path)) or _BY_EXTENSION.get(_extension(path))


def is_prose(path: str) -> bool:
    """Whether a file holds text for people, where brackets need no partner."""
    return basename(path) in _PROSE_NAMES or _extension(path) in _PROSE


def count_errors(language: Language, text: str) -> int | None:
    """Count what is wrong with a text, 0 or 1 where the parser stops at the first error.

    None where no parser for it is installed. Never raises.
    """
    text = text.removeprefix("\ufeff")
    match language:
        case Language.PYTHON:
            return _stops(_parse_python, text)
        case Language.JSON:
            return _stops(_parse_json, text)
        case Language.TOML:
            return _stops(tomllib.loads, text)
        case Language.YAML:
            return _stops(_parse_yaml, text)
        case _:
            grammar = _GRAMMARS.get(language, (f"tree_sitter_{language}", "language"))
            return count_tree_errors(*grammar, text)


def count_tree_errors(module: str, function: str, text: str) -> int | None:
    """Count the ERROR and MISSING nodes of a text, by the grammar that `module.function()` gives.

    None where it is not installed.
    """
    if not HAS_TREE_SITTER:
        return None
    try:
        language = tree_sitter.Language(getattr(import_module(module), function)())
    except (ImportError, AttributeError, ValueError):  # ValueError: made for another tree-sitter
        return None
    nodes = [tree_sitter.Parser(language).parse(text.encode("utf-8", "replace")).root_node]
    n_errors = 0
    while nodes:
        node = nodes.pop()
        n_errors += node.is_error or node.is_missing
        nodes += [child for child in node.children if child.has_error]
    return n_errors


def _extension(path: str) -> str:
    return splitext(path)[1].lower()


def _stops(parse: Callable[[str], object], text: str) -> int:
    try:
        parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, yaml.YAMLError):
        return 1
    return 0


_CODING = re.compile(r"[ \t\f]*#.{0,200}?coding[:=][ \t]*([\w.-]+)")


def declares_other_encoding(text: str) -> bool:
    """Whether one of the first two lines says that the file is not UTF-8 (PEP 263; Ruby too)."""
    declared = (_CODING.match(line) for line in text.split("\n", 2)[:2])
    return any(
        found and found[1].lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-unix")
        for found in declared
    )


def _parse_python(text: str) -> None:
    """Compile, which also finds a `return` outside of a function; nothing is run or kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(text, "<text>", "exec", dont_inherit=True)


def _parse_json(text: str) -> None:
    json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


def _parse_yaml(text: str) -> None:
    """Read the events only: nothing is built, no alias is followed."""
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            raise ValueError("too deep")


# ---- without a parser ----------------------------------------------------------------------------

_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(
    r"""/\*.*?(?:\*/|\Z)            # a comment
    | //[^\n]*+ | (?<!\S)(?:\#|--)(?=\s|!|\Z)[^\n]*+
    | \\.
    | "(?:[^"\\\n]|\\.){0,2000}+"  # a string, if it ends on its line; else a lonely quote
    | '(?:[^'\\\n]|\\.){0,2000}+'
    | `(?:[^`\\\n]|\\.){0,2000}+`
    | ([()\[\]{}])""",
    re.DOTALL | re.VERBOSE,
)


def keeps_brackets(old: str, new: str) -> bool:
    """Whether two texts leave the same brackets open and close the same ones from before them.

    Aware of the commonest comments and strings; that is a guess, as no language is known.
    """
    return _open_brackets(old) == _open_brackets(new)


def _open_brackets(text: str) -> tuple[list[str], list[str]]:
    """List the brackets that close none of the text's own, and those that it leaves open."""
    closing: list[str] = []
    opened: list[str] = []
    for found in _TOKEN.finditer(text):
        bracket = found[1]
        if bracket in _CLOSED_BY:
            opened.append(bracket)
        elif bracket and opened and _CLOSED_BY[opened[-1]] == bracket:
            opened.pop()
        elif bracket:
            closing.append(bracket)
    return closing, opened


def keeps_nesting(old: Sequence[str], new: Sequence[str], after: Iterable[str]) -> bool:
    """Whether new lines leave no block that the old ones were in, and the line after them in its.

    `after` are the lines that follow.
    """
    widths = [_width(line) for line in old if line.strip()]
    new_widths = [_width(line) for line in new if line.strip()]
    if widths and new_widths and min(new_widths) < min(widths):
        return False
    following = next((_width(line) for line in after if line.strip()), 0)
    return _parent(widths, following) == _parent(new_widths, following)


def _parent(widths: Sequence[int], width: int) -> int | None:
    """Tell how far the line is indented that a later line is nested under, if it is among these."""
    return next((above for above in reversed(widths) if above < width), None)


def _width(line: str) -> int:
    """Measure an indentation in columns."""
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    return len(indent.expandtabs(TAB_STOP))
