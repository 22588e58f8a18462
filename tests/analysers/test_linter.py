"""What all programs share: trouble with one file costs only that file, and is told."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest

from app.analysers.linter import MAX_WEIGHED, Linter, Patience, find_program
from app.analysers.ruff import RUFF
from app.ports import Ended, Found
from app.review.priority import Priority
from tests.analysers.changes import contents, make_change
from tests.analysers.children import Choking, Scripted, analyse, told

pytestmark = pytest.mark.anyio

FINE = "print(missing)\n"


async def scripted(ended: Ended, files: Mapping[str, str]) -> Found:
    return await Linter(Scripted(ended), RUFF, "/bin/ruff").find(
        make_change(files), contents(files)
    )


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (
            Ended(status=None, stdout=b"", stderr=b"", problem="ran longer than 10 s"),
            "ruff ran longer than 10 s",
        ),
        (Ended(status=2, stdout=b"", stderr=b"error"), "ruff gave no answer that can be read"),
        (Ended(status=0, stdout=b"{}", stderr=b""), "ruff gave no answer that can be read"),
        (
            Ended(status=0, stdout=b'[{"code": 1}]', stderr=b""),
            "ruff gave no answer that can be read",
        ),
    ],
)
async def test_trouble_is_told_for_every_file(ended: Ended, reason: str) -> None:
    found = await scripted(ended, {"a.py": "x = 1\n", "b.py": "y = 1\n"})

    assert found == Found(finder="ruff", not_analysed={"a.py": reason, "b.py": reason})


async def test_nothing_runs_when_no_file_is_wanted() -> None:
    failing = Ended(status=None, stdout=b"", stderr=b"", problem="ran")

    assert await scripted(failing, {"a.js": "x\n"}) == Found(finder="ruff")


@pytest.mark.parametrize("at", [0, 7, 24])
async def test_a_file_that_breaks_the_program_costs_only_itself(at: int) -> None:
    files = {f"m{n:02}.py": FINE for n in range(25)}
    files[f"m{at:02}.py"] = Choking.POISON
    child = Choking()

    found = await analyse(RUFF, files, child=child)

    assert found.not_analysed == {f"m{at:02}.py": "ruff was ended by SIGSEGV"}
    assert len(told(found)) == 24
    assert child.n_runs <= 1 + 7 + 4


async def test_a_file_that_is_alone_is_not_asked_about_again() -> None:
    child = Choking()

    found = await analyse(RUFF, {"a.py": Choking.POISON}, child=child)

    assert found.not_analysed == {"a.py": "ruff was ended by SIGSEGV"}
    assert child.n_runs == 1


class Hanging:
    """A child whose program never comes back while it has one of the files that it hangs on."""

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        if any(b"hang" in text for text in files.values()):
            await asyncio.sleep(3600)
        return Ended(status=0, stdout=b"[]", stderr=b"")


@pytest.mark.parametrize("n_hostile", [1, 25])
async def test_a_program_that_hangs_is_given_up_in_time(n_hostile: int) -> None:
    patience = Patience(all_s=1.0, part_s=0.1)
    files = {f"m{n:02}.py": "hang" if n < n_hostile else "x = 1" for n in range(25)}
    began = time.monotonic()

    found = await Linter(Hanging(), RUFF, "/bin/ruff", patience).find(
        make_change(files), contents(files)
    )

    assert time.monotonic() - began < 2
    refused = found.not_analysed or {}
    assert set(refused.values()) == {"ruff took too long"}
    assert set(list(files)[:n_hostile]) <= set(refused)


async def test_what_was_wrong_before_is_not_told_again() -> None:
    before = {"a.py": "import pickle\n\n\ndef f(a, b=[]):\n    return pickle.load(a)\n"}
    after = (
        "import pickle\nfrom typing import Any\n\n\ndef f(a: Any, b: list[str] = []) -> Any:\n"
        "    return pickle.load(a)  # nosec\n\n\ndef g(a, b=[]):\n    return missing\n"
    )

    found = await analyse(RUFF, {"a.py": after}, before)

    assert told(found) == [("B006", "a.py", 9), ("F821", "a.py", 10)]


async def test_a_harmless_fault_made_worse_is_new() -> None:
    before = {"a.py": "def f(db, x):\n    db.execute(f'SELECT a FROM {TABLE}', x)\n"}
    after = "def f(db, x):\n    db.execute(f'SELECT a FROM {x}', x)\n"

    (only,) = (await analyse(RUFF, {"a.py": after}, before)).candidates

    assert (only.rule, only.priority) == ("S608", Priority.P2)


async def test_a_base_that_the_program_cannot_read_hides_nothing() -> None:
    before = {"a.py": Choking.POISON}

    found = await analyse(RUFF, {"a.py": FINE}, before, child=Choking())

    assert told(found) == [("F821", "a.py", 1)]
    assert found.not_analysed is None


async def test_only_so_much_is_weighed() -> None:
    one = "        db.execute(f'SELECT a FROM {self.TABLE}', self.x)\n"
    begin = "class A:\n    def f(self, db):\n"
    files = {"a.py": begin + one * MAX_WEIGHED, "b.py": begin + one}

    found = await analyse(RUFF, files)

    told_as = {c.location.path: c.priority for c in found.candidates}
    assert told_as == {"a.py": Priority.P3, "b.py": Priority.P2}


def test_a_program_that_is_not_installed_is_not_found() -> None:
    assert find_program("no-such-linter") is None
