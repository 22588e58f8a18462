"""Comments that silence checkers: told where they silence much, or warnings about security."""

from collections.abc import Mapping

import pytest

from app.analysers.suppressions import SUPPRESSIONS
from app.ports import Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.changes import make_change

pytestmark = pytest.mark.anyio


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    return await SUPPRESSIONS.find(make_change(files, before), {})


def told(found: Found) -> list[tuple[str | None, Priority, int]]:
    return [(c.rule, c.priority, c.location.line) for c in found.candidates]


async def test_a_finding_is_told_whole() -> None:
    found = await analyse({"a.py": "# ruff: noqa\nx = 1\n"})

    assert found == Found(
        finder="suppressions",
        candidates=(
            Candidate(
                area=Area.CORRECTNESS,
                priority=Priority.P2,
                confidence=0.8,
                title="A checker is silenced for a whole file",
                body="No mistake in this file is reported any more, old or new: "
                "name the rule instead.",
                trigger="A checker would have told of a mistake here.",
                evidence="# ruff: noqa",
                location=Location(path="a.py", side=Side.RIGHT, start_line=1, line=1),
                source="suppressions",
                rule="silenced-file",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("path", "line", "rule", "priority"),
    [
        ("a.py", "# flake8: noqa", "silenced-file", Priority.P2),
        ("a.py", "# mypy: ignore-errors", "silenced-file", Priority.P2),
        ("a.py", "# pylint: skip-file", "silenced-file", Priority.P2),
        ("a.ts", "// @ts-nocheck", "silenced-file", Priority.P2),
        ("a.js", "/* eslint-disable */", "silenced-file", Priority.P2),
        ("a.js", "/* tslint:disable */", "silenced-file", Priority.P2),
        ("a.rs", "#![allow(warnings)]", "silenced-file", Priority.P2),
        ("a.sh", "# shellcheck disable=all", "silenced-file", Priority.P2),
        ("a.py", "f(x)  # nosec", "silenced-security", Priority.P3),
        ("a.py", "f(x)  # noqa: S602", "silenced-security", Priority.P3),
        ("a.py", "f(x)  # noqa: E501, S602", "silenced-security", Priority.P3),
        ("a.go", "f(x) //nolint:errcheck,gosec", "silenced-security", Priority.P2),
        ("a.js", "// eslint-disable-next-line no-eval", "silenced-security", Priority.P2),
        ("a.java", "f(x); // NOSONAR", "silenced-security", Priority.P2),
        ("a.java", "f(x); // NOSONAR see it", "silenced-security", Priority.P2),
        ("a.java", "f(x); // NOSONAR the key is public", "silenced-security", Priority.P3),
        ("a.go", "f(x) //nolint:gosec // it is only jitter", "silenced-security", Priority.P3),
        (
            ".github/workflows/a.yml",
            "- uses: a@b # zizmor: ignore[x]",
            "silenced-security",
            Priority.P2,
        ),
        ("a.py", "f(x)  # noqa", "silenced-line", Priority.P3),
        ("a.py", "f(x)  # type: ignore", "silenced-line", Priority.P3),
        ("a.js", "// eslint-disable-next-line", "silenced-line", Priority.P3),
        ("a.ts", "// @ts-ignore", "silenced-line", Priority.P3),
        ("a.go", "f(x) //nolint", "silenced-line", Priority.P3),
        ("a.java", '@SuppressWarnings("all")', "silenced-line", Priority.P3),
        ("a.cs", "#pragma warning disable", "silenced-line", Priority.P3),
        ("a.py", "if x:  # pragma: no cover", "silenced-line", Priority.P3),
    ],
)
async def test_each_checker_is_understood(
    path: str, line: str, rule: str, priority: Priority
) -> None:
    assert told(await analyse({path: f"first\n{line}\n"})) == [(rule, priority, 2)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "f(x)  # noqa: E501"),
        ("a.py", "f(x)  # type: ignore[attr-defined] # no types"),
        ("a.py", "# pylint: disable=too-many-arguments"),
        ("a.js", "// eslint-disable-next-line no-console"),
        ("a.js", "/* eslint-disable no-console */"),
        ("a.ts", "// @ts-expect-error the types are wrong"),
        ("a.go", "f(x) //nolint:errcheck // closing"),
        ("a.java", '@SuppressWarnings("unchecked")'),
        ("a.cs", "#pragma warning disable CS0618"),
        ("a.py", "# what noqa means"),
        ("tests/test_a.py", "# ruff: noqa"),
        ("README.md", "# ruff: noqa"),
        ("vendor/a.py", "# ruff: noqa"),
    ],
)
async def test_a_comment_that_names_its_rule_is_left_alone(path: str, line: str) -> None:
    assert told(await analyse({path: f"first\n{line}\n"})) == []


async def test_a_comment_that_only_moved_is_left_alone() -> None:
    old = "a(x)  # noqa\nb(x)\n"

    found = await analyse({"a.py": "b(x)\na(y)  # noqa\nc(x)  # noqa\n"}, {"a.py": old})

    assert told(found) == [("silenced-line", Priority.P3, 3)]


async def test_a_very_long_line_is_searched_only_so_far() -> None:
    assert told(await analyse({"a.py": "x" * 2_000_000 + "  # noqa\n"})) == []
