"""What tokens cost. Knows no model by name: prices are settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.review.answer import Usage

MILLION = 1_000_000
USD_PER_REVIEW = 1.0
"""What one review may cost where nobody says otherwise, and a price is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD for a million tokens."""

    input_usd: float
    output_usd: float

    def of(self, usage: Usage) -> float:
        """Return what this usage costs, in USD."""
        paid = usage.input_tokens * self.input_usd + usage.output_tokens * self.output_usd
        return paid / MILLION


Prices = Mapping[str, Price]
"""Model name → price. What is not there has none: its cost is unknown, not zero."""


NOTHING = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What calls have cost together; `usd` is None where the price of any of them is unknown."""

    usage: Usage = NOTHING
    usd: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that may be spent, in USD; None is no limit."""

    review_usd: float | None = None
    pull_request_usd: float | None = None
    month_usd: float | None = None
