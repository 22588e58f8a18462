"""Every call is booked, and none is made that could cost more than is allowed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import ModelUnavailable, OverBudget
from app.llm.metered import EXPECTED_OUTPUT_TOKENS, Meter, account_of
from app.ports import Model
from app.review.answer import Answer, Usage
from app.review.price import Limits, Price, Spent
from app.review.prompt import Prompt
from app.review.pull import RunId
from app.store.database import open_database
from app.store.spending import StoredLedger
from tests.jobs.builders import FakeClock, target

pytestmark = pytest.mark.anyio

PRICE = Price(input_usd=100.0, output_usd=100.0)
"""A ten-thousandth of a USD for a token."""
PAID = Usage(calls=1, input_tokens=10, output_tokens=20)
PROMPT = Prompt(system="", user="", schema_name="x", schema=b"{}")
RUN = RunId("r1")


@dataclass
class Scripted:
    """Answers at the price of `PAID`, or with an error; `may_answer` holds it back."""

    name: str = "m"
    token_ratio: float = 1.0
    error: Exception | None = None
    model: str = "m"
    asked: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, prompt: Prompt) -> Answer:
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return Answer(text="{}", model=self.model, usage=PAID)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[StoredLedger]:
    database = await open_database(tmp_path / "app.db")
    yield StoredLedger(database, FakeClock())
    await database.close()


@pytest.fixture
def scripted() -> Scripted:
    model = Scripted()
    model.may_answer.set()
    return model


def metered(
    ledger: StoredLedger,
    model: Model,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    review_usd: float | None = None,
    price: Price | None = PRICE,
) -> Model:
    meter = Meter(ledger, {"m": price} if price else {}, limits, FakeClock())
    return meter.over(model, target(), RUN, review_usd)


async def spent(ledger: StoredLedger) -> Spent:
    return (await ledger.spent([account_of(RUN)]))[account_of(RUN)]


async def test_a_call_is_booked_on_its_run_pull_request_and_month(
    ledger: StoredLedger, scripted: Scripted
) -> None:
    await metered(ledger, scripted).ask(PROMPT)
    repository = target().repository_id
    accounts = [account_of(RUN), f"pull/{repository}/{target().number}", "month/2026-01"]
    assert set((await ledger.spent(accounts)).values()) == {Spent(usage=PAID, usd=0.003)}


async def test_a_call_that_failed_is_booked_too(ledger: StoredLedger, scripted: Scripted) -> None:
    scripted.error = ModelUnavailable("no", usage=PAID)
    with pytest.raises(ModelUnavailable):
        await metered(ledger, scripted).ask(PROMPT)
    assert await spent(ledger) == Spent(usage=PAID, usd=0.003)


async def test_without_a_price_tokens_are_counted_and_the_cost_is_unknown(
    ledger: StoredLedger, scripted: Scripted
) -> None:
    await metered(ledger, scripted, price=None).ask(PROMPT)
    await metered(ledger, scripted).ask(PROMPT)
    assert await spent(ledger) == Spent(usage=PAID + PAID, usd=None)


async def test_another_model_that_answered_has_its_own_price(
    ledger: StoredLedger, scripted: Scripted
) -> None:
    scripted.model = "cheap"
    prices = {"m": PRICE, "cheap": Price(input_usd=0, output_usd=0)}
    meter = Meter(ledger, prices, Limits(), FakeClock())
    await meter.over(scripted, target(), RUN, None).ask(PROMPT)
    assert (await spent(ledger)).usd == 0


@pytest.mark.parametrize(
    ("limits", "review_usd", "whose"),
    [
        (Limits(review_usd=0.05), None, "one review"),
        (Limits(review_usd=9), 0.05, "one review"),
        (Limits(review_usd=0.05), 9, "one review"),
        (Limits(pull_request_usd=0.05), None, "one pull request"),
        (Limits(month_usd=0.05), None, "this month"),
    ],
)
async def test_no_call_is_made_that_could_exceed_a_limit(
    ledger: StoredLedger,
    scripted: Scripted,
    limits: Limits,
    review_usd: float | None,
    whose: str,
) -> None:
    model = metered(ledger, scripted, limits, review_usd=review_usd)
    with pytest.raises(OverBudget, match=f"0.05 USD for {whose}"):
        await model.ask(PROMPT)
    assert scripted.asked == 0
    assert await spent(ledger) == Spent()


async def test_a_call_waits_while_others_hold_what_is_left(
    ledger: StoredLedger, scripted: Scripted
) -> None:
    expected = PRICE.of(Usage(output_tokens=EXPECTED_OUTPUT_TOKENS))
    model = metered(ledger, scripted, Limits(review_usd=1.5 * expected))
    scripted.may_answer.clear()
    first = asyncio.create_task(model.ask(PROMPT))
    await scripted.was_asked.wait()
    second = asyncio.create_task(model.ask(PROMPT))
    done, _ = await asyncio.wait({second}, timeout=0.05)
    assert (scripted.asked, done) == (1, set())
    scripted.may_answer.set()
    await asyncio.gather(first, second)
    assert scripted.asked == 2
