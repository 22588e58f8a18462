"""What a review would ask, planned and rendered as a review does it; no model is asked."""

import asyncio
from dataclasses import dataclass

from app.asking import Asking, prompt_for
from app.pipeline import plan_what_is_left
from app.ports import Run, Services
from app.review.dry_run import DryRun
from app.review.event import Request
from app.review.history import History
from app.review.price import Prices
from app.review.pull import RunId, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """The port Foresight; without `is_recalled` as if nothing had been covered yet."""

    services: Services
    asking: Asking
    prices: Prices
    is_recalled: bool = True

    async def foresee(self, target: Target, run_id: RunId, request: Request) -> DryRun:
        """Plan what is left and render its questions."""
        s, how, run = self.services, self.asking, Run(id=run_id, attempt=1)
        change = await s.changes.open(target)
        history = await s.memory.recall(target, run_id) if self.is_recalled else History()
        model = s.models.open(target, run_id, change.config) if s.models else None
        plan = await plan_what_is_left(change, request, run, history, model, s.memory, how)
        prompts = await asyncio.to_thread(
            lambda: tuple(prompt_for(one, change, request, run, how) for one in plan.chunks)
        )
        return DryRun(
            plan=plan,
            prompts=prompts,
            model=model.name if model else None,
            price=self.prices.get(model.name) if model else None,
            notices=change.not_in_diff,
            mistakes=change.mistakes,
        )
