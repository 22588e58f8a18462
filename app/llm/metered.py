"""A model whose every call is counted, and refused where it could cost more than is allowed.

Knows prices, limits and what is on its way at this moment; where the sums are kept it does not.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from app.errors import ModelError, OverBudget
from app.llm.remembered import Remembered, new_locks
from app.ports import Answers, Clock, Ledger, Model
from app.review.answer import Answer, Usage
from app.review.config import Config
from app.review.price import USD_PER_REVIEW, Limits, Price, Prices, Spent
from app.review.prompt import Prompt
from app.review.pull import RunId, Target

_NONE: Mapping[str, Model] = MappingProxyType({})
NOTHING_SPENT = Spent()
EXPECTED_OUTPUT_TOKENS = 2_000
"""What an answer takes that is on its way: more than most do."""
CHARACTERS_A_TOKEN = 4
"""Of a question that is on its way: as many as most texts have."""


class MeteredModels:
    """The ports Models and Budget: every call is booked, answers are kept if `answers` are given.

    `own` is asked unless a configuration names one of the `others`.
    """

    def __init__(
        self,
        own: Model,
        meter: "Meter",
        *,
        others: Mapping[str, Model] = _NONE,
        answers: Answers | None = None,
    ) -> None:
        self._own = own
        self._others = others
        self._meter = meter
        self._answers = answers
        self._locks = new_locks()

    @property
    def name(self) -> str:
        return self._own.name

    def open(self, target: Target, run_id: RunId, config: Config) -> Model:
        model = self._others.get(config.model, self._own)
        metered = self._meter.over(model, target, run_id, config.usd_per_review)
        if self._answers is None:
            return metered
        # By repository: none profits from what another one asked, and each can be forgotten.
        scope = f"{target.repository_id}/"
        return Remembered(metered, self._answers, self._locks, scope=scope)

    async def spent(self, run_id: RunId) -> Spent:
        return await self._meter.spent(run_id)

    async def check(self, target: Target) -> None:
        await self._meter.check(target, self._own.name)


class LedgerOfOneRun:
    """Keeps the sums for as long as the process lives."""

    def __init__(self) -> None:
        self._spent: dict[str, Spent] = {}

    async def book(self, accounts: Sequence[str], usage: Usage, usd: float | None) -> None:
        for account in accounts:
            before = self._spent.get(account, NOTHING_SPENT)
            total = None if usd is None or before.usd is None else before.usd + usd
            self._spent[account] = Spent(usage=before.usage + usage, usd=total)

    async def spent(self, accounts: Sequence[str]) -> Mapping[str, Spent]:
        return {account: self._spent.get(account, NOTHING_SPENT) for account in accounts}


@dataclass(frozen=True, slots=True)
class _Account:
    """What a call is booked on, and `whose` limit in USD holds there; None is no limit."""

    name: str
    limit_usd: float | None
    whose: str


class Meter:
    """Counts what all reviews spend, together and each."""

    def __init__(self, ledger: Ledger, prices: Prices, limits: Limits, clock: Clock) -> None:
        self._ledger = ledger
        self._prices = prices
        self._limits = limits
        self._clock = clock
        self._on_their_way: Counter[str] = Counter()
        """Account → micro-USD that calls without an answer may cost."""
        self._freed = asyncio.Event()

    def over(self, model: Model, target: Target, run_id: RunId, review_usd: float | None) -> Model:
        """Return the model as one run may use it. `review_usd` may only lower the limit."""
        most = [usd for usd in (review_usd, self._limits.review_usd) if usd is not None]
        return _Metered(self, model, target, run_id, min(most, default=USD_PER_REVIEW))

    async def spent(self, run_id: RunId) -> Spent:
        account = account_of(run_id)
        return (await self._ledger.spent([account]))[account]

    def price(self, model: str) -> Price | None:
        return self._prices.get(model)

    def accounts(
        self, target: Target, run_id: RunId, review_usd: float | None
    ) -> Sequence[_Account]:
        """Return what a call is booked on."""
        month = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m")
        pull = f"pull/{target.repository_id}/{target.number}"
        return (
            _Account(account_of(run_id), review_usd, "one review"),
            _Account(pull, self._limits.pull_request_usd, "one pull request"),
            _Account(f"month/{month}", self._limits.month_usd, "this month"),
        )

    @asynccontextmanager
    async def reserved(self, accounts: Sequence[_Account], usd: float) -> AsyncIterator[None]:
        """Hold what a call may cost, until it is booked or was for nothing.

        Where only what others hold is in the way, wait for them. Raises OverBudget where a limit
        leaves no room for this call.
        """
        while not await self._has_room(accounts, usd):
            await self._freed.wait()
        held = Counter(dict.fromkeys((account.name for account in accounts), round(usd * 1e6)))
        self._on_their_way.update(held)
        try:
            yield
        finally:
            self._on_their_way.subtract(held)
            self._on_their_way += Counter()
            self._freed.set()
            self._freed = asyncio.Event()

    async def _has_room(self, accounts: Sequence[_Account], usd: float) -> bool:
        limited = [account for account in accounts if account.limit_usd is not None]
        if not limited:
            return True
        spent = await self._ledger.spent([account.name for account in limited])
        has_room = True
        for account in limited:
            limit = account.limit_usd or 0.0
            known = (spent[account.name].usd or 0.0) + usd
            if known > limit:
                raise OverBudget(f"the limit of {limit:g} USD for {account.whose} is reached")
            has_room &= known + self._on_their_way[account.name] / 1e6 <= limit
        return has_room

    async def check(self, target: Target, model: str) -> None:
        """Raise OverBudget where not even an answer has room, whichever run asks."""
        price = self.price(model)
        answer = Usage(calls=1, output_tokens=EXPECTED_OUTPUT_TOKENS)
        _, *shared = self.accounts(target, RunId(""), None)
        await self._has_room(shared, price.of(answer) if price else 0.0)

    async def book(self, accounts: Sequence[str], usage: Usage, price: Price | None) -> None:
        if usage.calls:
            await self._ledger.book(accounts, usage, price.of(usage) if price else None)


class _Metered:
    def __init__(
        self, meter: Meter, model: Model, target: Target, run_id: RunId, review_usd: float | None
    ) -> None:
        self._meter = meter
        self._model = model
        self._target = target
        self._run_id = run_id
        self._review_usd = review_usd

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def token_ratio(self) -> float:
        return self._model.token_ratio

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask, and book what it cost whatever comes of it. Raises OverBudget without asking."""
        accounts = self._meter.accounts(self._target, self._run_id, self._review_usd)
        names = [account.name for account in accounts]
        price = self._meter.price(self.name)
        expected_usd = price.of(_expected(prompt)) if price else 0.0
        async with self._meter.reserved(accounts, expected_usd):
            try:
                answer = await self._model.ask(prompt)
            except ModelError as exc:
                await self._meter.book(names, exc.usage or Usage(), price)
                raise
            await self._meter.book(names, answer.usage, self._meter.price(answer.model) or price)
            return answer


def account_of(run_id: RunId) -> str:
    """Name the account of one run in the ledger."""
    return f"run/{run_id}"


def _expected(prompt: Prompt) -> Usage:
    tokens = (len(prompt.system) + len(prompt.user)) // CHARACTERS_A_TOKEN
    return Usage(calls=1, input_tokens=tokens, output_tokens=EXPECTED_OUTPUT_TOKENS)
