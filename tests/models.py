"""Scripted models as a run is handed them."""

from app.llm.metered import LedgerOfOneRun, Meter, MeteredModels
from app.parts import SystemClock
from app.ports import Model
from app.review.price import Limits, Price


def models_of(
    model: Model | None,
    price: Price | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> MeteredModels | None:
    """Count what a model costs; no price is no known one."""
    if model is None:
        return None
    prices = {model.name: price} if price else {}
    return MeteredModels(model, Meter(LedgerOfOneRun(), prices, limits, SystemClock()))
