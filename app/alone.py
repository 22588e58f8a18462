"""What a review that is posted nowhere has where others have check runs, and one at a terminal
where a server has memory and a log.

Nothing here outlives the run; the receipt is all that stays.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TextIO

from app.errors import Locked
from app.ports import Changes, Check, KnownCheck, Model, Run, Threads
from app.review.answer import Answer
from app.review.feedback import Feedback
from app.review.history import History
from app.review.priority import Priority
from app.review.prompt import Prompt
from app.review.pull import Change, RunId, Sha, Target
from app.review.receipt import Receipt
from app.review.render import Review
from app.review.threads import Closing, Standing


class NoCheck:
    """There is no check run: the receipt itself is the verdict."""

    @asynccontextmanager
    async def open(self, change: Change, run: Run) -> AsyncIterator[Check]:
        yield self

    def finish(self, receipt: Receipt) -> None:
        pass

    async def fail(
        self, target: Target, run_id: RunId, receipt: Receipt, *, check_name: str = ""
    ) -> None:
        pass


class NoPublisher:
    """Nothing is published."""

    async def publish(self, change: Change, run: Run, review: Review) -> None:
        pass


class NotPosted:
    """Reviews are not to be posted, and nobody shall believe that they were."""

    async def publish(self, change: Change, run: Run, review: Review) -> None:
        raise Locked("posting was not asked for")


class NoMemory:
    """Each run starts anew."""

    async def settle_budget(self, run_id: RunId, tokens: int) -> int:
        return tokens

    async def recall(self, target: Target, run_id: RunId) -> History:
        return History()

    async def keep(
        self,
        target: Target,
        receipt: Receipt,
        covered: Collection[str] = (),
        became: Collection[Feedback] = (),
    ) -> None:
        pass


class NoThreads:
    """Nobody has said anything, or nothing will be said."""

    async def fetch(self, target: Target) -> Standing:
        return Standing()

    async def renamed(self, target: Target, since: Sha, until: Sha) -> Mapping[str, str]:
        return {}

    async def close(self, target: Target, run: Run, closings: Sequence[Closing]) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadsToRead:
    """What stands on a pull request, for a run that may write nothing there."""

    threads: Threads

    async def fetch(self, target: Target) -> Standing:
        return await self.threads.fetch(target)

    async def renamed(self, target: Target, since: Sha, until: Sha) -> Mapping[str, str]:
        return await self.threads.renamed(target, since, until)

    async def close(self, target: Target, run: Run, closings: Sequence[Closing]) -> None:
        pass


class ChecksOfOneRun:
    """Knows the check runs of the one run that there is."""

    def __init__(self) -> None:
        self._by_head: dict[str, KnownCheck] = {}

    async def check_runs(self, run_id: RunId) -> Sequence[KnownCheck]:
        return tuple(self._by_head.values())

    async def keep_check(self, check: KnownCheck) -> None:
        self._by_head[check.head_sha] = check

    async def forget_check(self, check: KnownCheck) -> None:
        self._by_head.pop(check.head_sha, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """A change whose findings block from `fail_on` on, whatever its repository says."""

    changes: Changes
    fail_on: Priority | None

    async def open(self, target: Target) -> Change:
        change = await self.changes.open(target)
        return replace(change, config=replace(change.config, fail_on=self.fail_on))

    async def confirm(self, change: Change) -> None:
        await self.changes.confirm(change)

    async def read(self, change: Change, path: str) -> bytes | None:
        return await self.changes.read(change, path)


class Progress:
    """One line that the next one replaces, for a person who watches; nothing for a file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None

    def say(self, text: str) -> None:
        """Show a line, which must be short, in place of the one before; empty: none."""
        if self._stream is not None:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()


class WatchedModel:
    """A model that tells how many of the questions to it are answered."""

    def __init__(self, model: Model, progress: Progress) -> None:
        self._model, self._progress = model, progress
        self._asked = self._answered = 0

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def token_ratio(self) -> float:
        return self._model.token_ratio

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask the model. Raises what it raises."""
        self._asked += 1
        self._tell()
        try:
            return await self._model.ask(prompt)
        finally:
            self._answered += 1
            self._tell()

    def _tell(self) -> None:
        self._progress.say(f"{self._answered} of {self._asked} questions answered")
