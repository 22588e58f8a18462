"""Turns are held by so many at once, taken by the urgent first, and never lost."""

import asyncio
from contextlib import suppress

import pytest

from app.llm.turns import Turns

pytestmark = pytest.mark.anyio


async def hold(turns: Turns, name: str, order: list[str], *, is_urgent: bool = False) -> None:
    async with turns.turn(is_urgent=is_urgent):
        order.append(name)
        await asyncio.sleep(0)


async def test_the_urgent_go_first_and_the_others_as_they_came() -> None:
    turns, order = Turns(1), list[str]()
    waiting = (("first", False), ("a", False), ("b", False), ("judge", True), ("answer", True))
    await asyncio.gather(*(hold(turns, name, order, is_urgent=urgent) for name, urgent in waiting))
    assert order == ["first", "judge", "answer", "a", "b"]


async def test_only_so_many_hold_a_turn_at_once() -> None:
    turns, held, most = Turns(3), 0, 0

    async def one() -> None:
        nonlocal held, most
        async with turns.turn():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(*(one() for _ in range(12)))
    assert (held, most) == (0, 3)


@pytest.mark.parametrize("is_given", [False, True], ids=["waiting", "just given"])
async def test_who_is_cancelled_takes_no_turn_away(is_given: bool) -> None:
    turns, order = Turns(1), list[str]()
    async with turns.turn():
        leaving = asyncio.create_task(hold(turns, "never", order))
        await asyncio.sleep(0)
        if not is_given:
            leaving.cancel()
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    async with asyncio.timeout(1):
        await hold(turns, "last", order)
    assert order == ["last"]
