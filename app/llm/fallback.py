"""A model that stands in where the main one is gone, refused to us or not to be reached."""

from dataclasses import replace

from app import log
from app.errors import ModelDenied, ModelError, ModelUnavailable
from app.ports import Clock, Model
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt

REST_S = 60.0
"""How long the main model is left alone after it failed: its deadline is not paid for each
question."""


class WithFallback:
    """Asks `main`, and `fallback` where nothing but the model is in the way.

    An empty account stops both; a question that is refused, too long or answered too long is the
    question's own matter. An answer names the model that gave it.
    """

    def __init__(self, main: Model, fallback: Model, clock: Clock) -> None:
        self._main = main
        self._fallback = fallback
        self._clock = clock
        self._rests_until = 0.0
        self._why: ModelError | None = None

    @property
    def name(self) -> str:
        return self._main.name

    @property
    def token_ratio(self) -> float:
        """The higher of both, so that a question fits either."""
        return max(self._main.token_ratio, self._fallback.token_ratio)

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask one or both. Raises the main model's error, with what both have cost."""
        why, spent = self._resting(), Usage()
        if why is None:
            try:
                return await self._main.ask(prompt)
            except (ModelDenied, ModelUnavailable) as exc:
                why, spent = exc, exc.usage or spent
                self._why, self._rests_until = exc, self._clock.now() + REST_S
                log.warning("model.fell_back", model=self._fallback.name, reason=str(exc))
        try:
            answer = await self._fallback.ask(prompt)
        except ModelError as exc:
            exc.usage = spent + (exc.usage or Usage())
            if isinstance(exc, ModelDenied | ModelUnavailable):
                text = f"{why}; {self._fallback.name}: {exc}"
                raise type(why)(text, usage=exc.usage) from exc
            raise
        return replace(answer, usage=spent + answer.usage)

    def _resting(self) -> ModelError | None:
        return self._why if self._clock.now() < self._rests_until else None
