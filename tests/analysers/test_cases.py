"""What the analysers say of changes that others made: of right ones, hardly anything."""

from pathlib import Path

import pytest

from app.analysers.table import build_finders
from app.sandbox.isolation import find_sandbox
from tests.benchmarks.analysers import measure_cases, measure_diffs

pytestmark = [pytest.mark.anyio, pytest.mark.conformance]

MAX_TOLD = 1
"""Of 111 real changes; today nothing is said, but new versions of the tools have new rules."""


async def test_hardly_any_control_has_a_false_alarm(shared: Path) -> None:
    assert await measure_cases(build_finders(find_sandbox().child()), shared / "cases")


async def test_little_is_said_of_real_changes(shared: Path) -> None:
    finders = build_finders(find_sandbox().child())

    assert await measure_diffs(finders, shared / "diffs") <= MAX_TOLD
