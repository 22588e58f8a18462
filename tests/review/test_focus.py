"""Areas are known by what people call them; tables say what concerns them and who shares a call."""

from collections import Counter

import pytest

from app.review.classes import FileClass
from app.review.focus import (
    ALIASES,
    CONCERNS,
    DEFAULT_AREAS,
    GROUPS,
    Area,
    closest,
    concerns,
    parse_area,
)


@pytest.mark.parametrize(
    ("word", "area"),
    [
        ("security", Area.SECURITY),
        ("Sec", Area.SECURITY),
        ("PERF", Area.PERFORMANCE),
        ("deps", Area.DEPENDENCIES),
        ("bugs", Area.CORRECTNESS),
        ("bug", Area.CORRECTNESS),
        ("doc", Area.DOCS),
        (" test ", Area.TESTS),
        ("nits", Area.STYLE),
        ("everything", None),
        ("", None),
    ],
)
def test_a_word_names_an_area(word: str, area: Area | None) -> None:
    assert parse_area(word) is area


@pytest.mark.parametrize(
    ("word", "area"),
    [
        ("securty", Area.SECURITY),
        ("Preformance", Area.PERFORMANCE),
        ("dependancies", Area.DEPENDENCIES),
        ("tets", Area.TESTS),
        ("lunch", None),
        ("", None),
        ("x" * 10_000, None),
    ],
)
def test_a_mistyped_word_is_nearest_to_an_area(word: str, area: Area | None) -> None:
    assert closest(word) is area


def test_no_alias_names_two_areas() -> None:
    assert all(ALIASES[area.value] is area for area in Area)
    words = [word for word in ALIASES if word != word.lower() or " " in word]
    assert words == []


def test_each_area_is_in_one_group_and_has_its_rule() -> None:
    assert Counter(area for group in GROUPS for area in group) == Counter(Area)
    assert set(CONCERNS) == set(Area)


def test_a_source_file_costs_two_calls_of_the_default_areas() -> None:
    areas = {area for area in DEFAULT_AREAS if concerns(area, FileClass.SOURCE, "a.py")}
    assert areas == {Area.CORRECTNESS, Area.SECURITY, Area.PERFORMANCE, Area.TESTS}
    groups = [group for group in GROUPS if areas & set(group)]
    assert groups == [
        (Area.CORRECTNESS, Area.PERFORMANCE, Area.TESTS),
        (Area.SECURITY,),
    ]


@pytest.mark.parametrize(
    ("area", "file_class", "path", "expected"),
    [
        (Area.DEPENDENCIES, FileClass.MANIFEST, "package.json", True),
        (Area.DEPENDENCIES, FileClass.CONFIGURATION, "Dockerfile", True),
        (Area.DEPENDENCIES, FileClass.CONFIGURATION, ".github/workflows/ci.yml", True),
        (Area.DEPENDENCIES, FileClass.CONFIGURATION, "config.yml", False),
        (Area.DEPENDENCIES, FileClass.SOURCE, "a.py", False),
        (Area.SECURITY, FileClass.DOCS, "README.md", False),
        (Area.SECURITY, FileClass.DOCS, "src/AGENTS.md", True),
        (Area.SECURITY, FileClass.TEST, "tests/test_a.py", False),
        (Area.DOCS, FileClass.DOCS, "README.md", True),
        (Area.TESTS, FileClass.TEST, "tests/test_a.py", True),
        (Area.CORRECTNESS, FileClass.DATA, "a.csv", False),
        *((area, FileClass.LOCK_FILE, "uv.lock", False) for area in Area),
        *((area, FileClass.BINARY, "a.png", False) for area in Area),
    ],
)
def test_an_area_is_concerned_by_class_or_path(
    area: Area, file_class: FileClass, path: str, expected: bool
) -> None:
    assert concerns(area, file_class, path) is expected
