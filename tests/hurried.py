"""A clock for tests in which waiting is part of the story: all of it passes ten times as fast."""

import asyncio
import time

from tests.world import World

SPEED = 10


class HurriedClock:
    def __init__(self) -> None:
        self._epoch = time.time()
        self._began = time.monotonic()

    def now(self) -> float:
        return self._epoch + SPEED * (time.monotonic() - self._began)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


def hurry(world: World) -> World:
    """Give our program and its GitHub one such clock."""
    world.clock = clock = HurriedClock()
    world.state.now = clock.now
    return world
