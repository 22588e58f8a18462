"""Characters that do not show: told where they deceive, left alone where text needs them."""

from collections.abc import Mapping

import pytest

from app.analysers.unicode import BODY, TRIGGER, UNICODE
from app.ports import Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.changes import make_change

pytestmark = pytest.mark.anyio


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    return await UNICODE.find(make_change(files, before), {})


def told(found: Found) -> list[tuple[str | None, int, Priority]]:
    return [(c.rule, c.location.line, c.priority) for c in found.candidates]


async def test_a_character_is_told_whole_and_made_visible() -> None:
    found = await analyse({"a.c": "int x;\nif (admin\u202e) {\n"})

    assert found == Found(
        finder="unicode",
        candidates=(
            Candidate(
                area=Area.SECURITY,
                priority=Priority.P1,
                confidence=0.9,
                title="Bidirectional control character (U+202E)",
                body=BODY,
                trigger=TRIGGER,
                evidence="if (admin<U+202E>) {",
                location=Location(path="a.c", side=Side.RIGHT, start_line=2, line=2),
                source="unicode",
                rule="bidirectional",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("path", "line", "rule"),
    [
        ("a.js", "/* \u2066 */", "bidirectional"),
        ("a.js", "// שלום \u202e", "bidirectional"),
        ("README.md", "hello \u202e", "bidirectional"),
        ("a.js", "x\U000e0041\U000e0042", "hidden-text"),
        ("README.md", "x\U000e0041", "hidden-text"),
        ("a.js", "`\ufe01\ufe0f\U000e0101`", "hidden-text"),
        ("a.js", "\U0001f3f4" + "\U000e0041" * 20, "hidden-text"),
        ("a.js", "ad\u200bmin", "invisible"),
        ("a.js", "ad\u200dmin", "invisible"),
        ("a.js", "x = \u3164", "invisible"),
        ("a.js", "x = '\ufeff'", "invisible"),
    ],
)
async def test_what_deceives_is_told(path: str, line: str, rule: str) -> None:
    found = await analyse({path: "first\n" + line + "\n"})

    assert [(c.rule, c.location.line) for c in found.candidates] == [(rule, 2)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.js", "plain"),
        ("a.js", "naïve – “quotes” 漢字 Ελληνικά שלום"),
        ("a.js", "👩\u200d👩\u200d👧 ❤\ufe0f"),
        ("a.js", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"),
        ("a.js", "می\u200cخواهم"),
        ("he.po", "msgstr \u2067שלום\u2069"),
        ("index.html", "Donau\u00addampf\u200bschiff"),
        ("a.js", "x\ty\f"),
    ],
)
async def test_what_text_needs_is_left_alone(path: str, line: str) -> None:
    assert told(await analyse({path: "first\n" + line + "\n"})) == []


async def test_a_byte_order_mark_begins_a_file_and_no_other_line() -> None:
    found = await analyse({"a.cs": "\ufeffusing System;\n\ufeffclass A {}\n"})

    assert told(found) == [("invisible", 2, Priority.P2)]


async def test_only_added_lines_are_spoken_of() -> None:
    found = await analyse({"a.c": "a\u202e\nb\n"}, before={"a.c": "a\u202e\n"})

    assert told(found) == []


async def test_tests_of_such_characters_are_not_urgent() -> None:
    assert told(await analyse({"tests/a.py": "'\u202e'\n"})) == [("bidirectional", 1, Priority.P2)]


async def test_of_a_long_line_only_the_surroundings_are_quoted() -> None:
    found = await analyse({"a.js": "x" * 500_000 + "\u202e" + "y" * 1_000 + "\n"})

    assert found.candidates[0].evidence == "x" * 200 + "<U+202E>" + "y" * 200
