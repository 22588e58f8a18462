"""What a single review has in place of a server keeps to what the ports promise."""

from dataclasses import replace
from io import StringIO

import pytest

from app.alone import Blocking, ChecksOfOneRun, Progress
from app.ports import KnownCheck
from app.review.priority import Priority
from app.terminal import DiffChanges
from tests.builders import HEAD, RUN, added_files, make_target

pytestmark = pytest.mark.anyio


async def test_check_runs_are_known_by_their_head_until_they_are_forgotten() -> None:
    checks = ChecksOfOneRun()
    first = KnownCheck(run_id=RUN, target=make_target(), head_sha=HEAD, name="c")
    other = replace(first, head_sha="other")
    await checks.keep_check(first)
    await checks.keep_check(other)
    opened = replace(first, id=7)
    await checks.keep_check(opened)
    assert await checks.check_runs(RUN) == (opened, other)
    await checks.forget_check(other)
    assert await checks.check_runs(RUN) == (opened,)


async def test_only_the_threshold_of_a_change_is_replaced() -> None:
    inner = DiffChanges(raw=added_files({"a.py": "x\n"}))
    outer = Blocking(changes=inner, fail_on=Priority.P2)
    change = await outer.open(make_target())
    plain = await inner.open(make_target())
    assert change == replace(plain, config=replace(plain.config, fail_on=Priority.P2))
    assert await outer.read(change, "a.py") == b"x\n"


async def test_progress_is_for_people_only() -> None:
    file = StringIO()
    Progress(file).say("Reading the change")
    assert file.getvalue() == ""
