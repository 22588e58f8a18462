"""How often a server wants to be asked, since it told one of our questions to wait.

Knows times and counts; who asks, and what about, it does not.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from app.llm.faults import Fault
from app.ports import Clock

FIRST_SPREAD_S, MAX_SPREAD_S = 1.0, 30.0
"""By how much a told wait is lengthened by chance; it doubles while no question is answered."""


class Pace:
    """What all questions to one server share: nobody asks before the time that one was told.

    After each such wait half as many may ask at once; when all of these were answered, one more.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._not_before = 0.0
        self._at_once = math.inf
        self._under_way = 0
        self._spread_s = FIRST_SPREAD_S
        self._freed = asyncio.Event()
        self.told: Fault | None = None
        """The latest fault that told to wait."""

    @property
    def wait_s(self) -> float:
        """How long nobody may ask yet."""
        return max(0.0, self._not_before - self._clock.now())

    @property
    def is_open(self) -> bool:
        return not self.wait_s and self._under_way + 1 <= self._at_once

    async def until_open(self) -> None:
        """Wait for the told time or, after it, until one of those who ask now has ended."""
        if self.wait_s:
            await self._clock.sleep(self.wait_s)
        elif not self.is_open:
            await self._freed.wait()

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._free()

    def wait_of(self, told_s: float, jitter: float) -> float:
        """Return how long a wait becomes that a server told."""
        return told_s + jitter * self._spread_s

    def slow_down(self, fault: Fault, wait_s: float) -> None:
        """Let nobody ask for so long; what is told during a wait counts as the same one."""
        if not self.wait_s:
            self._spread_s = min(MAX_SPREAD_S, 2 * self._spread_s)
            if self._under_way or self._at_once < math.inf:
                self._at_once = max(1.0, min(self._at_once, self._under_way + 1) // 2)
        self._not_before = max(self._not_before, self._clock.now() + wait_s)
        self.told = fault

    def speed_up(self) -> None:
        """Count an answer; one that comes while we wait says nothing of the time after it."""
        self._spread_s = FIRST_SPREAD_S
        if not self.wait_s:
            self._at_once += 1 / self._at_once
            self._free()

    def _free(self) -> None:
        self._freed.set()
        self._freed = asyncio.Event()
