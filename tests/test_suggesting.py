"""Suggestions are checked on the files at the head, each read once and parsed once."""

from collections.abc import Sequence

import pytest

from app.review.diff import Side
from app.review.pull import Change, Target
from app.review.suggestion import Refusal
from app.review.syntax import Language, count_errors
from app.suggesting import check_suggestions
from tests.builders import make_change, make_diff, make_finding, make_location

pytestmark = pytest.mark.anyio

FILES = {"a.py": "a = 1\nb = 2\n", "b.py": "c = 3\n", "c.kt": "d(4)\n", "gone.py": "e = 5\n"}


class Folder:
    """Changes whose files are given; notes what is read."""

    def __init__(self) -> None:
        self.read_paths: list[str] = []

    async def open(self, target: Target) -> Change:
        raise NotImplementedError

    async def confirm(self, change: Change) -> None:
        raise NotImplementedError

    async def read(self, change: Change, path: str) -> bytes | None:
        self.read_paths.append(path)
        return None if path == "gone.py" else FILES[path].encode()


class Parsers:
    """A Syntax in this process; notes what is parsed."""

    def __init__(self) -> None:
        self.parsed: list[tuple[Language, tuple[str, ...]]] = []

    async def count_errors(
        self, language: Language, texts: Sequence[str]
    ) -> tuple[int | None, ...]:
        self.parsed.append((language, tuple(texts)))
        return tuple(count_errors(language, text) for text in texts)


async def test_each_file_is_read_once_and_parsed_before_and_after() -> None:
    findings = (
        make_finding(suggestion="a = 10", location=make_location("a.py", 1)),
        make_finding(suggestion="c = = 3", location=make_location("b.py", 1)),
        make_finding(suggestion="b = (2", location=make_location("a.py", 2)),
        make_finding(suggestion="d(5)", location=make_location("c.kt", 1)),
        make_finding(suggestion="e = 6", location=make_location("gone.py", 1)),
        make_finding(location=make_location("a.py", 1)),
    )
    changes, syntax = Folder(), Parsers()
    checked = await check_suggestions(
        findings, make_change(diff=make_diff(FILES)), {}, changes, syntax
    )
    assert [(f.suggestion, f.suggestion_refused) for f in checked] == [
        ("a = 10\n", None),
        ("c = = 3", Refusal.BREAKS),
        ("b = (2", Refusal.BREAKS),
        ("d(5)\n", None),
        ("e = 6", Refusal.NO_FILE),
        (None, findings[5].suggestion_refused),
    ]
    assert changes.read_paths == ["a.py", "b.py", "c.kt", "gone.py"]
    assert syntax.parsed == [
        (Language.PYTHON, ("a = 1\nb = 2\n", "a = 10\nb = 2\n", "a = 1\nb = (2\n")),
        (Language.PYTHON, ("c = 3\n", "c = = 3\n")),
    ]


async def test_without_suggestions_nothing_is_read() -> None:
    changes = Folder()
    findings = (
        make_finding(),
        make_finding(suggestion="x", location=make_location(side=Side.LEFT)),
    )
    checked = await check_suggestions(findings, make_change(), {}, changes, Parsers())
    assert changes.read_paths == []
    assert [f.suggestion_refused for f in checked] == [
        findings[0].suggestion_refused,
        Refusal.NOT_INLINE,
    ]
