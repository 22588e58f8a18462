"""What a model server tells of itself: its models, their last day, and the money that is left.

Few servers tell all of it; what is not told is no fault. Shapes seen: OpenAI's `GET /models`,
DeepSeek's `GET /user/balance`, gateways' `GET /balance`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus

from app import log
from app.errors import ModelError
from app.llm.connection import Connection
from app.llm.faults import Kind, error_of, fault_of_answer
from app.llm.wire import fields, first, text_of
from app.ports import Clock

TIMEOUT_S = 10.0
NOTICE_DAYS = 60
"""How long before a model's last day we say so; vendors give notice of two weeks to six months."""

_AMOUNTS = (
    *("balance", "total_balance", "available_balance", "balance_usd", "total_available"),
    *("credits", "credits_usd", "remaining", "available", "amount"),
)
_NOT_SERVED = (Kind.DENIED, Kind.BAD_REQUEST, Kind.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Whether questions are answered for money or credit that is left, and what was told of it."""

    has_credit: bool
    told: str


async def list_models(connection: Connection, clock: Clock) -> Mapping[str, date | None] | None:
    """Return the models and their last day, where one is set; None where none are listed.

    Raises a ModelError when the server refuses the key or cannot be asked.
    """
    value = await _get(connection, "models", clock)
    listed = fields(value).get("data", value)
    models = [fields(item) for item in listed] if isinstance(listed, list) else []
    return {str(m["id"]): _date(m.get("shutdown_date")) for m in models if "id" in m} or None


async def read_balance(connection: Connection, clock: Clock) -> Balance | None:
    """Return what is left; None where the server does not tell. Raises as `list_models`."""
    for path in ("balance", "user/balance"):
        told = fields(await _get(connection, path, clock))
        for account in (told, fields(told.get("data")), fields(told.get("balance"))):
            if balance := _balance(account):
                return balance
    return None


async def warn_of_models(connection: Connection, models: tuple[str, ...], clock: Clock) -> None:
    """Log what a person should know before a review fails by it. Raises nothing."""
    try:
        for model, remark in remarks(await list_models(connection, clock), models, clock.now()):
            log.warning("model.warning", model=model, reason=remark)
        balance = await read_balance(connection, clock)
    except ModelError as exc:
        log.warning("model.warning", reason=str(exc))
    else:
        if balance and not balance.has_credit:
            log.warning(
                "model.warning", reason=f"no credit left at the model server: {balance.told}"
            )


class Account:
    """The port Credit, of the account that a key belongs to."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def has_credit(self) -> bool | None:
        """Ask the server; while it does not answer, there is none."""
        try:
            balance = await read_balance(self._connection, self._clock)
        except ModelError as exc:
            log.warning("model.balance_unknown", reason=str(exc))
            return False
        return None if balance is None else balance.has_credit

    async def is_used_up(self) -> bool:
        """Say whether the server tells that nothing is left; one that is away tells nothing."""
        try:
            balance = await read_balance(self._connection, self._clock)
        except ModelError:
            return False
        return balance is not None and not balance.has_credit


def remarks(
    listed: Mapping[str, date | None] | None, models: tuple[str, ...], now: float
) -> tuple[tuple[str, str], ...]:
    """Say which of our models the server does not list, or will not serve much longer."""
    found: list[tuple[str, str]] = []
    for model in models:
        if listed is not None and model not in listed:
            found.append((model, "the model server does not list this model"))
        elif (last := (listed or {}).get(model)) and (last - _day(now)).days <= NOTICE_DAYS:
            found.append((model, f"the model server shuts this model down on {last}"))
    return tuple(found)


async def _get(connection: Connection, path: str, clock: Clock) -> object:
    """Return a JSON value, None where there is none to have."""
    received = await connection.send("GET", path, timeout_s=TIMEOUT_S)
    fault = received.fault
    if fault is None and received.status != HTTPStatus.OK:
        fault = fault_of_answer(
            received.status,
            received.headers,
            bytes(received.body),
            now=clock.now(),
            secret=connection.api_key,
        )
        if fault.kind in _NOT_SERVED and received.status != HTTPStatus.UNAUTHORIZED:
            return None
    if fault is not None:
        raise error_of(fault)
    return received.values[0]


def _balance(told: Mapping[str, object]) -> Balance | None:
    """Read a flag, or else the amount, of an account; None where this is none."""
    info = first(told.get("balance_infos"))
    numbers = (_number(told.get(name, info.get(name))) for name in _AMOUNTS)
    amount = next((number for number in numbers if number is not None), None)
    flag = told.get("is_available", told.get("available"))
    if not isinstance(flag, bool):
        if amount is None:
            return None
        flag = amount > 0
    currency = text_of(told.get("currency") or info.get("currency"))[:8]
    text = "no amount told" if amount is None else f"{amount:g} {currency}".strip()
    return Balance(has_credit=flag, told=text)


def _number(value: object) -> float | None:
    """Read a number, also one that is written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(text_of(value))
    except ValueError:
        return None


def _day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
