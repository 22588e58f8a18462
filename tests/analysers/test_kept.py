"""What an analyser said of the same contents is not asked again."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from app.analysers.kept import MAX_KEPT, KeepingChild
from app.analysers.table import build_finders
from app.ports import Ended
from app.sandbox.child import LimitedChild
from app.store.database import Database, open_database
from app.store.memory import Store
from tests.analysers.changes import contents, make_change
from tests.jobs.builders import FakeClock

pytestmark = pytest.mark.anyio

PROGRAM = "/bin/true"


class Counting:
    """A child that counts its runs."""

    def __init__(self, ended: Ended | None = None) -> None:
        self.n_runs = 0
        self._ended = ended

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        self.n_runs += 1
        return self._ended or await LimitedChild().run(argv, files)


def said(stdout: bytes = b"[]", status: int | None = 0, problem: str | None = None) -> Ended:
    return Ended(status=status, stdout=stdout, stderr=b"", problem=problem)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(tmp_path / "kept.db")
    yield opened
    await opened.close()


async def test_a_second_run_over_the_same_change_starts_no_child(
    tmp_path: Path, database: Database
) -> None:
    files = {"a.py": "print(missing)\n", "a.sh": "cd x\n", "requirements.txt": "a\n"}
    change, child = make_change(files), Counting()
    finders = build_finders(child, Store(database, FakeClock()))
    first = [await finder.find(change, contents(files)) for finder in finders]
    n_runs = child.n_runs
    reopened = await open_database(tmp_path / "kept.db")

    again = build_finders(child, Store(reopened, FakeClock()))
    second = [await finder.find(change, contents(files)) for finder in again]

    await reopened.close()
    assert n_runs > 0
    assert child.n_runs == n_runs
    assert second == first


@pytest.mark.parametrize(
    ("argv", "files"),
    [
        ((PROGRAM, "-b"), {"a": b"x"}),
        ((PROGRAM, "-a", "a"), {"a": b"x"}),
        ((PROGRAM, "-a"), {"a": b"y"}),
        ((PROGRAM, "-a"), {"b": b"x"}),
        ((PROGRAM, "-a"), {"a": b"x", "b": b""}),
        (("/bin/false", "-a"), {"a": b"x"}),
    ],
)
async def test_what_differs_in_anything_is_run(
    database: Database, argv: tuple[str, ...], files: dict[str, bytes]
) -> None:
    inner = Counting(said())
    child = KeepingChild(inner, Store(database, FakeClock()))
    await child.run((PROGRAM, "-a"), {"a": b"x"})

    await child.run(argv, files)

    assert inner.n_runs == 2


@pytest.mark.parametrize(
    ("ended", "is_kept"),
    [
        (said(), True),
        (said(b""), True),
        (said(status=14), True),
        (said(b"", status=2), False),
        (said(status=101), False),
        (said(status=None, problem="ran longer than 10 s"), False),
        (said(b"x" * (MAX_KEPT + 1)), False),
    ],
)
async def test_only_answers_are_kept(database: Database, ended: Ended, is_kept: bool) -> None:
    inner = Counting(ended)
    child = KeepingChild(inner, Store(database, FakeClock()))

    outputs = [(await child.run((PROGRAM,), {})).stdout for _ in range(2)]

    assert inner.n_runs == (1 if is_kept else 2)
    assert outputs == [ended.stdout] * 2


async def test_what_is_kept_is_cleaned_like_all_else(database: Database) -> None:
    clock = FakeClock()
    store = Store(database, clock)
    await store.keep_output("key", b"x")

    await database.clean(clock.now() + 1)

    assert await store.output("key") is None
