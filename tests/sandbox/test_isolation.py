"""The probe tells what holds, and children are started accordingly."""

import asyncio
import sys
from pathlib import Path

import pytest

from app.ports import Ended
from app.sandbox.bubblewrap import find_bubblewrap
from app.sandbox.child import Limits
from app.sandbox.isolation import Isolation, Kind, Sandbox, find_sandbox, probe

pytestmark = pytest.mark.anyio

WHO = (sys.executable, "-I", "-S", "-B", "-c", "import os; print(os.getcwd())")


def script(folder: Path, text: str) -> str:
    place = folder / "bwrap"
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o700)
    return str(place)


async def test_without_bubblewrap_there_are_limits_only() -> None:
    found = await probe(None)

    assert found == Isolation(reason="it is not installed")
    assert found.kind is Kind.LIMITS
    assert found.describe().endswith("let bubblewrap work here: it is not installed")


async def test_a_bubblewrap_that_fails_is_not_used_and_says_why(tmp_path: Path) -> None:
    failing = script(tmp_path, "echo 'bwrap: Creating new namespace failed' >&2\nexit 1")

    found = await probe(failing)

    assert found.kind is Kind.LIMITS
    assert found.reason == (
        "could not be started in the sandbox, bwrap: Creating new namespace failed"
    )


async def test_a_bubblewrap_that_keeps_nothing_apart_is_not_used(tmp_path: Path) -> None:
    transparent = script(tmp_path, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')

    found = await probe(transparent)

    assert found.kind is Kind.LIMITS
    assert "it sees our files" in found.reason
    assert "it reaches the network" in found.reason
    assert "it may write to /" in found.reason


async def test_where_bubblewrap_works_children_run_in_it() -> None:
    bwrap = find_bubblewrap()
    if bwrap is None or (await probe(bwrap)).bwrap is None:
        pytest.skip("no bubblewrap here")
    sandbox = Sandbox(bwrap)

    ended = await sandbox.child().run(WHO, {})

    assert ended == Ended(status=0, stdout=b"/empty\n", stderr=b"")
    assert (await sandbox.isolation()).kind is Kind.BUBBLEWRAP
    assert "in bubblewrap" in (await sandbox.isolation()).describe()


async def test_where_it_does_not_children_have_their_limits() -> None:
    child = Sandbox(None).child(Limits(wall_s=0.3))

    ended = await child.run((sys.executable, "-c", "import time; time.sleep(60)"), {})

    assert ended.problem == "ran longer than 0.3 s"


async def test_the_probe_runs_once_for_all_children(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    sandbox = Sandbox(script(tmp_path, f"mkdir {runs}/$$\nexit 1"))

    await asyncio.gather(*(sandbox.child().run(("/bin/true",), {}) for _ in range(4)))
    await sandbox.isolation()

    assert len(list(runs.iterdir())) == 1


async def test_this_machine_has_a_sandbox_of_some_kind() -> None:
    assert (await find_sandbox().isolation()).kind in Kind
