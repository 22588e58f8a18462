"""A model that remembers: the same question is paid for once, also over a restart."""

import asyncio
import hashlib
from dataclasses import replace
from weakref import WeakValueDictionary

from app.ports import Answers, Model
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt

Locks = WeakValueDictionary[str, asyncio.Lock]


def new_locks() -> Locks:
    """Return locks for questions under way, none of them held."""
    return WeakValueDictionary()


class Remembered:
    """Keeps complete answers by the content of their question, beneath a `scope`.

    A kept answer comes back with an empty usage. The same question asked at the same time waits
    for the first; models that share `locks` wait for each other.
    """

    def __init__(
        self, model: Model, answers: Answers, locks: Locks | None = None, *, scope: str = ""
    ) -> None:
        self._model = model
        self._scope = scope
        self._answers = answers
        self._locks = new_locks() if locks is None else locks

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def token_ratio(self) -> float:
        return self._model.token_ratio

    async def ask(self, prompt: Prompt) -> Answer:
        """Return the kept answer, or ask and keep it."""
        key = self._scope + question_key(self.name, prompt)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            kept = await self._answers.get(key)
            if kept is not None:
                return replace(kept, usage=Usage())
            answer = await self._model.ask(prompt)
            await self._answers.put(key, answer)
            return answer


def question_key(model: str, prompt: Prompt) -> str:
    """Name a question by everything that decides its answer."""
    digest = hashlib.sha256()
    parts = (model, prompt.system, prompt.user, prompt.salt)
    for part in (prompt.schema, *(part.encode("utf-8", "surrogatepass") for part in parts)):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()
