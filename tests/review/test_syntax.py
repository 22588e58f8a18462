"""Which texts are well formed, by a real parser of each language and without one."""

import pytest

from app.review.syntax import (
    Language,
    count_errors,
    count_tree_errors,
    declares_other_encoding,
    is_prose,
    keeps_brackets,
    keeps_nesting,
    language_of,
)

WELL_FORMED = {
    Language.PYTHON: 'import re\n\n\ndef f(a: int) -> str:\n    return re.sub("\\d", "", str(a))\n',
    Language.JSON: '{"a": [1, 2.5, null], "b": {"c": "é"}}\n',
    Language.TOML: '[tool.x]\na = "b"\nc = [1, 2]\n',
    Language.YAML: "on:\n  push: {branches: [main]}\nenv: &e\n  A: 1\nother: *e\n",
    Language.C: "int main(void) { return f(1); }\n",
    Language.CPP: "template <typename T> T f(T a) { return a < 1 ? a : T{}; }\n",
    Language.C_SHARP: "class A { int F(List<int> a) => a[0]; }\n",
    Language.GO: "package a\n\nfunc f(a int) int {\n\treturn a + 1\n}\n",
    Language.JAVA: "class A { int f(List<String> a) { return a.size(); } }\n",
    Language.JAVASCRIPT: "const f = async (a) => { await g(`${a}`); };\n",
    Language.PHP: "<?php\nfunction f($a) { return $a + 1; }\n",
    Language.RUBY: "def f(a)\n  a.map { |x| x + 1 }\nend\n",
    Language.RUST: "fn f<'a>(a: &'a str) -> &'a str { a }\n",
    Language.TSX: "const A = (p: P) => <b>{p.c as string}</b>;\n",
    Language.TYPESCRIPT: "export function f<T>(a: T[]): T | undefined { return a[0]; }\n",
}
DAMAGE = {
    Language.YAML: "a: [1\nb: 2\n",
    Language.RUBY: "def f(\n",
}


@pytest.mark.parametrize("language", Language)
def test_a_well_formed_text_has_no_errors(language: Language) -> None:
    assert count_errors(language, WELL_FORMED[language]) == 0


@pytest.mark.parametrize("language", Language)
def test_line_ends_of_windows_and_a_byte_order_mark_are_no_errors(language: Language) -> None:
    text = "\ufeff" + WELL_FORMED[language].replace("\n", "\r\n")
    assert count_errors(language, text) == 0


@pytest.mark.parametrize("language", Language)
def test_a_damaged_text_has_errors(language: Language) -> None:
    text = WELL_FORMED[language] + DAMAGE.get(language, "}{(\n")
    assert (count_errors(language, text) or 0) > 0


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.PYTHON, "return 1\n"),
        (Language.PYTHON, "a = 1\0\n"),
        (Language.PYTHON, "-" * 100_000 + "1"),
        (Language.PYTHON, "x" + ".a" * 50_000),
        (Language.PYTHON, "a = '\ud800'\n"),
        (Language.JSON, '{"a": NaN}'),
        (Language.JSON, "[" * 100_000),
        (Language.TOML, "a = 1\na = 2\n"),
        (Language.TOML, "a = " + "[" * 10_000),
        (Language.YAML, "[\n" * 100_000),
        (Language.YAML, "a: \x01\n"),
        (Language.YAML, "a: \ud800\n"),
    ],
)
def test_a_text_made_to_hurt_is_only_an_error(language: Language, text: str) -> None:
    assert count_errors(language, text) == 1


def test_aliases_that_would_multiply_are_not_followed() -> None:
    rows = ["a0: &a0 [x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert count_errors(Language.YAML, "\n".join(rows)) == 0


def test_many_lists_are_not_deep() -> None:
    assert count_errors(Language.YAML, "- [a]\n" * 1_000) == 0


def test_each_error_is_counted_where_the_parser_goes_on() -> None:
    text = "function f() { return 1 +; }\nfunction g() { return; }\nfunction h() { return 2 *; }\n"
    assert count_errors(Language.JAVASCRIPT, text) == 2


def test_a_missing_sign_is_an_error() -> None:
    assert count_errors(Language.C, "int a = 1\n") == 1


@pytest.mark.parametrize(
    ("module", "function"),
    [("tree_sitter_none", "language"), ("tree_sitter_go", "none")],
)
def test_without_a_grammar_nothing_is_known(module: str, function: str) -> None:
    assert count_tree_errors(module, function, "x") is None


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", Language.PYTHON),
        ("A.PY", Language.PYTHON),
        ("Gemfile", Language.RUBY),
        ("web/app.tsx", Language.TSX),
        ("inc/a.h", Language.CPP),
        ("Dockerfile", None),
        ("py", None),
        (".py", None),
        ("a.kt", None),
        ("dir.py/README", None),
    ],
)
def test_a_name_tells_the_language(path: str, language: Language | None) -> None:
    assert language_of(path) == language


def test_only_text_for_people_is_prose() -> None:
    prose = [p for p in ("a/README", "a.md", "b.RST", "Gemfile", "Makefile", "a.py") if is_prose(p)]
    assert prose == ["a/README", "a.md", "b.RST"]


@pytest.mark.parametrize(
    ("text", "is_other"),
    [
        ("# -*- coding: latin-1 -*-\n", True),
        ("#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n", True),
        ("# -*- coding: utf-8 -*-\n", False),
        ("# coding=UTF_8\n", False),
        ("\n\n# coding: latin-1\n", False),
        ("x = 'coding: latin-1'\n", False),
        ("", False),
    ],
)
def test_an_encoding_is_declared_in_the_first_two_lines(text: str, is_other: bool) -> None:
    assert declares_other_encoding(text) is is_other


@pytest.mark.parametrize(
    ("old", "new", "is_kept"),
    [
        ("f(a)", "g(a, b)", True),
        ("f(a,", "f(b,", True),
        ("} else {", "} else if (a) {", True),
        ("f(a)", "f(a", False),
        ("f(a)", "f(a))", False),
        ("f(a)", "f(a]", False),
        ("f(a)", "f([a)]", False),
        ("if a {", "while a (", False),
        ("f(a)", 'f("(")', True),
        ("f(a)", "f('\\'(')", True),
        ("f(a)", "f(a) // (", True),
        ("f(a)", "f(a) /* ( \n [ */", True),
        ("f(a)", "f(a) # :(", True),
        ("f(a)", "it's f(a)", True),
        ("f(a)", "it's f(a", False),
        ("f(a)", "a#(", False),
        ("f(a)", "/\\(/", True),
    ],
)
def test_brackets_are_kept_if_the_same_ones_stay_open(old: str, new: str, is_kept: bool) -> None:
    assert keeps_brackets(old, new) is is_kept


@pytest.mark.parametrize("hostile", ["'\\", '"\\"', "((", "/*", "`", "'a", "\\", "a/", "#("])
def test_brackets_of_a_long_text_are_found_in_time(hostile: str) -> None:
    text = hostile * 20_000
    assert keeps_brackets(text, text)


@pytest.mark.parametrize(
    ("old", "new", "after", "is_kept"),
    [
        (["  b"], ["  c", "  d"], ["e"], True),
        (["  b"], ["  c", "d"], ["e"], False),
        (["  b:"], ["  c:"], ["    d"], True),
        (["  b"], ["  c:", "    d"], ["  e"], True),
        (["b", "  c"], ["b"], ["  d"], True),
        (["  b", "    c"], [], ["    d"], False),
        (["  b"], [], ["  c"], True),
        (["  b"], ["  "], ["", "  c"], True),
        (["b"], [], [], True),
        (["        b"], ["\tc"], ["\td"], True),
    ],
)
def test_nesting_is_kept_if_the_line_after_stays_where_it_was(
    old: list[str], new: list[str], after: list[str], is_kept: bool
) -> None:
    assert keeps_nesting(old, new, after) is is_kept
