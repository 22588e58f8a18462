"""What is kept comes back, once, and only where it belongs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.review.answer import Answer, Usage
from app.review.feedback import What
from app.review.history import History
from app.review.pull import RunId
from app.review.receipt import State, broken_off
from app.store.database import open_database
from app.store.memory import Store
from tests.jobs.builders import FakeClock, target
from tests.store.builders import became, receipt

pytestmark = pytest.mark.anyio

RUN = RunId("this run")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    database = await open_database(tmp_path / "app.db")
    yield Store(database, clock)
    await database.close()


def left_open(history: History) -> list[str]:
    return [finding.fingerprint for finding in history.open]


async def test_an_answer_comes_back_whole_and_a_later_one_replaces_it(store: Store) -> None:
    first = Answer(text='{"findings": "ü"}', model="m", usage=Usage(calls=1, input_tokens=9))
    second = Answer(text="{}", model="n", usage=Usage(is_estimated=True))
    assert await store.get("q") is None
    await store.put("q", first)
    assert await store.get("q") == first
    await store.put("q", second)
    assert await store.get("q") == second


async def test_the_last_verdict_tells_what_is_open_and_all_runs_what_is_covered(
    store: Store, clock: FakeClock
) -> None:
    await store.keep(target(1), receipt("r1", "f1", "f2"), ["h1"])
    clock.at += 1
    await store.keep(target(1), receipt("r2", "f2", "f3"), ["h1", "h2"])
    history = await store.recall(target(1), RUN)
    assert left_open(history) == ["f2", "f3"]
    assert history.covered == {"h1", "h2"}


async def test_other_pull_requests_are_not_recalled(store: Store) -> None:
    await store.keep(target(1), receipt("r1", "f1"), ["h1"])
    assert await store.recall(target(2), RUN) == History()
    assert await store.recall(target(1, repository=71), RUN) == History()


async def test_a_renamed_repository_is_recalled_by_its_id(store: Store) -> None:
    await store.keep(target(1, installation=7), receipt("r1", "f1"))
    assert left_open(await store.recall(target(1, installation=8), RUN)) == ["f1"]


async def test_a_run_does_not_recall_itself(store: Store) -> None:
    await store.keep(target(1), receipt("r1", "f1"), ["h1"])
    await store.keep(target(1), receipt(RUN, "f1", "f2"), ["h2"])
    history = await store.recall(target(1), RUN)
    assert left_open(history) == ["f1"]
    assert history.covered == {"h1"}


async def test_keeping_twice_is_keeping_once_and_the_last_receipt_counts(store: Store) -> None:
    await store.keep(target(1), receipt("r1", "f1", "f2"), ["h1"])
    for _ in range(2):
        await store.keep(target(1), receipt("r1", "f2"), ["h1"])
    assert await store.receipt(RunId("r1")) == receipt("r1", "f2")
    assert left_open(await store.recall(target(1), RUN)) == ["f2"]


async def test_an_unknown_run_has_no_receipt(store: Store) -> None:
    assert await store.receipt(RUN) is None


async def test_a_value_can_be_replaced(store: Store) -> None:
    assert await store.kept_value("slug") is None
    await store.keep_value("slug", "first")
    await store.keep_value("slug", "second")
    assert await store.kept_value("slug") == "second"


async def test_the_budget_of_a_run_is_settled_once(store: Store) -> None:
    assert await store.settle_budget(RUN, 6_000) == 6_000
    assert await store.settle_budget(RUN, 4_000) == 6_000
    assert await store.settle_budget(RunId("other"), 4_000) == 4_000


async def test_a_value_is_made_once(store: Store) -> None:
    assert await store.value("secret", "first") == "first"
    assert await store.value("secret", "second") == "first"
    assert await store.value("other", "third") == "third"


async def test_the_last_verdict_is_that_of_the_last_run_that_came_to_one(
    store: Store, clock: FakeClock
) -> None:
    assert await store.last_verdict(target(1)) is None
    broken = broken_off(RunId("r3"), head_sha="h", state=State.FAILED, reason="it broke")
    for number, kept in ((1, receipt("r1", "f1")), (1, receipt("r2")), (1, broken)):
        await store.keep(target(number), kept)
        clock.at += 1
    await store.keep(target(2), receipt("r4"))
    assert await store.last_verdict(target(1)) == receipt("r2")


async def test_a_pause_holds_for_one_pull_request_until_it_is_over(store: Store) -> None:
    assert not await store.is_paused(target(1))
    await store.pause(target(1), True)
    assert await store.is_paused(target(1, installation=8))
    assert not await store.is_paused(target(2))
    assert not await store.is_paused(target(1, repository=71))
    await store.pause(target(1), False)
    assert not await store.is_paused(target(1))


async def test_where_openai_s_own_bot_wrote_last_is_told_by_name(store: Store) -> None:
    renamed = replace(target(), repo="store")
    other = replace(target(), repository_id=71, repo="shop two")
    for place, at in ((target(), 5.0), (other, 6.0), (renamed, 7.0)):
        await store.note_other_codex(place, at)
    assert await store.other_codex() == (("acme/store", 7.0), ("acme/shop two", 6.0))


async def test_what_was_fixed_is_recalled_until_it_is_open_again(
    store: Store, clock: FakeClock
) -> None:
    await store.keep(target(1), receipt("r1", "f1", "f2"))
    clock.at += 1
    await store.keep(target(1), receipt("r2", "f2"), became=[became("f1", What.FIXED)])
    history = await store.recall(target(1), RUN)
    assert [finding.fingerprint for finding in history.fixed] == ["f1"]
    clock.at += 1
    await store.keep(target(1), receipt("r3", "f1", "f2"))
    assert (await store.recall(target(1), RUN)).fixed == ()
