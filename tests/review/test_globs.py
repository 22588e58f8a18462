"""Globs mean what `.gitattributes` means by them, and take no longer for a hostile pattern."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.globs import compile_globs, compile_list


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("*.pem", "a.pem", True),
        ("*.pem", "deep/down/a.pem", True),
        ("*.pem", "a.pem.txt", False),
        ("*.pem", "a.pem/x", False),
        (".env*", "app/.env.local", True),
        (".env*", "app/x.env", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/a/b.py", False),
        ("src/*.py", "x/src/a.py", False),
        ("/setup.py", "setup.py", True),
        ("/setup.py", "a/setup.py", False),
        ("tests/**", "tests/a/b.py", True),
        ("tests/**", "a/tests/b.py", False),
        ("tests/**", "tests", False),
        ("**/tests/**", "tests/a.py", True),
        ("**/tests/**", "a/b/tests/a.py", True),
        ("**/tests/**", "mytests/a.py", False),
        ("**/tests/**", "a/mytests/a.py", False),
        ("docs/", "a/docs/b/c.md", True),
        ("docs/", "docs", False),
        ("a/docs/", "a/docs/c.md", True),
        ("a/docs/", "b/a/docs/c.md", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/xb", False),
        ("a/**/*.py", "a/c.py", True),
        ("**/**/b", "x/y/b", True),
        ("a/***/b", "a/xyz/b", True),
        ("a/***/b", "a/x/z/b", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a?c", "ac", False),
        ("*", "any/thing", True),
        ("**", "any/thing", True),
        ("[ab].py", "[ab].py", True),
        ("[ab].py", "a.py", False),
        ("{a,b}", "a", False),
        ("", "a", False),
        ("/", "a", False),
        ("größe?.txt", "x/größe1.txt", True),
        ("A.py", "a.py", False),
    ],
)
def test_a_pattern_matches_as_in_gitattributes(pattern: str, path: str, is_match: bool) -> None:
    assert compile_globs([pattern]).matches(path) is is_match


def test_any_of_several_patterns_is_enough() -> None:
    globs = compile_list("*.a  /b/**\n c?")
    assert [path for path in ("x.a", "b/y", "c1", "x.b", "a/b/y") if globs.matches(path)] == [
        "x.a",
        "b/y",
        "c1",
    ]


def test_no_pattern_matches_nothing() -> None:
    assert not compile_globs([]).matches("a")


def test_stars_do_not_multiply_the_time() -> None:
    hostile = compile_globs(["*a" * 200 + "/**/" + "**/*b*/" * 50 + "c"])
    start = time.perf_counter()
    assert not hostile.matches("a" * 2_000 + "/" + "ab/" * 1_000)
    assert time.perf_counter() - start < 1


@given(
    st.text("ab*?/.", max_size=12),
    st.text("ab/.", min_size=1, max_size=14),
)
def test_a_pattern_with_slashes_means_the_same_as_its_regular_expression(
    pattern: str, path: str
) -> None:
    parts = [part for part in f"/{pattern.strip('/')}"[1:].split("/") if part]
    pattern = "/" + "/".join(parts)
    regex = ""
    for number, part in enumerate(parts, start=1):
        if part == "**":
            regex += ".*" if number == len(parts) else "(?:[^/]*/)*"
        else:
            regex += re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            regex += "" if number == len(parts) else "/"
    expected = bool(parts) and re.fullmatch(regex, path) is not None
    assert compile_globs([pattern]).matches(path) is expected
