"""Texts are parsed in a child, so that a parser that hangs or crashes costs only itself."""

from pathlib import Path

import pytest

from app.review.syntax import Language
from app.sandbox.child import LimitedChild, Limits
from app.sandbox.parsing import ParsingChild

pytestmark = pytest.mark.anyio


async def test_errors_are_counted_text_by_text(tmp_path: Path) -> None:
    syntax = ParsingChild(LimitedChild(folder=tmp_path))
    texts = ("a = 1\n", "a = (\n", "", "a = 'é\ud800'\n")
    assert await syntax.count_errors(Language.PYTHON, texts) == (0, 1, 0, 1)


async def test_a_grammar_is_found_in_the_child(tmp_path: Path) -> None:
    syntax = ParsingChild(LimitedChild(folder=tmp_path))
    assert await syntax.count_errors(Language.GO, ("package a\n", "package\n")) == (0, 1)


@pytest.mark.slow
async def test_what_a_hanging_parser_leaves_undone_is_unknown(tmp_path: Path) -> None:
    syntax = ParsingChild(LimitedChild(Limits(wall_s=2, cpu_s=2), folder=tmp_path))
    texts = ("class A {}\n", "a<" * 30_000, "class B {}\n")
    assert await syntax.count_errors(Language.C_SHARP, texts) == (0, None, None)


async def test_without_a_child_nothing_is_known(tmp_path: Path) -> None:
    syntax = ParsingChild(LimitedChild(folder=tmp_path / "none"))
    assert await syntax.count_errors(Language.JSON, ("1", "2")) == (None, None)
