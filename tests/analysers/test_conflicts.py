"""Conflict markers that a change adds."""

from collections.abc import Mapping

import pytest

from app.analysers.conflicts import BODY, CONFLICTS, TITLE, TRIGGER
from app.ports import Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.changes import make_change

pytestmark = pytest.mark.anyio

CONFLICT = "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n"


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    return await CONFLICTS.find(make_change(files, before), {})


def told(found: Found) -> list[tuple[int, Priority]]:
    return [(c.location.line, c.priority) for c in found.candidates]


async def test_a_conflict_is_told_once_where_it_begins() -> None:
    found = await analyse({"a.go": "x\n" + CONFLICT})

    assert found == Found(
        finder="conflicts",
        candidates=(
            Candidate(
                area=Area.CORRECTNESS,
                priority=Priority.P1,
                confidence=0.95,
                title=TITLE,
                body=BODY,
                trigger=TRIGGER,
                evidence="<<<<<<< HEAD",
                location=Location(path="a.go", side=Side.RIGHT, start_line=2, line=2),
                source="conflicts",
                rule="conflict-marker",
            ),
        ),
    )


async def test_every_conflict_and_every_marker_left_over_is_told() -> None:
    found = await analyse({"a.go": CONFLICT + CONFLICT + ">>>>>>> left\n"})

    assert [line for line, _ in told(found)] == [1, 6, 11]


@pytest.mark.parametrize(
    "text",
    [
        "=======\n",
        "Title\n=======\n",
        "<<<<<<<<<< HEAD\n",
        ">>>>>>>\n",
        "  <<<<<<< HEAD\n",
        "cat <<<<<<< HEAD\n",
        ">>> x\n",
    ],
)
async def test_what_only_looks_alike_is_left_alone(text: str) -> None:
    assert told(await analyse({"a.txt": text, "b.sh": text})) == []


async def test_only_added_lines_are_spoken_of() -> None:
    assert told(await analyse({"a": CONFLICT + "c\n"}, before={"a": CONFLICT})) == []


@pytest.mark.parametrize("path", ["docs/merging.md", "tests/test_merge.py"])
async def test_where_conflicts_are_explained_or_tested_it_is_a_nit(path: str) -> None:
    assert told(await analyse({path: CONFLICT})) == [(1, Priority.P3)]
