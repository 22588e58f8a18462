"""What a server tells of itself, and what we make of it."""

import json
import logging
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from app.errors import ModelDenied, ModelUnavailable
from app.llm.server import Balance, list_models, read_balance, remarks, warn_of_models
from tests.llm.builders import KEY, FakeClock, connection_over
from tests.model_server import Fault, ModelServer, Reply, error, html, in_turn

pytestmark = pytest.mark.anyio

NOW = FakeClock().now()  # 15 January 2027


async def asked(server: ModelServer, function: Callable[..., Any]) -> Any:
    async with server.client() as client:
        return await function(connection_over(client), FakeClock())


def telling(**told: Reply | dict[str, Any]) -> ModelServer:
    server = ModelServer(in_turn("hello"))
    server.told = {path.replace("__", "/"): value for path, value in told.items()}
    return server


async def test_models_are_listed_with_their_last_day() -> None:
    models = [{"id": "a", "shutdown_date": "2027-02-01"}, {"id": "b", "shutdown_date": None}]
    listed = await asked(telling(models={"object": "list", "data": models}), list_models)
    assert listed == {"a": date(2027, 2, 1), "b": None}


@pytest.mark.parametrize(
    "reply",
    [error(404), error(405), html(), Fault(body="[]"), Fault(body="{}"), Fault(body='{"data": 1}')],
)
async def test_a_server_that_lists_nothing_tells_nothing(reply: Fault) -> None:
    assert await asked(telling(models=reply), list_models) is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [(error(401, "bad key"), ModelDenied), (error(500, "boom"), ModelUnavailable)],
)
async def test_a_server_that_refuses_us_is_told(reply: Fault, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        await asked(telling(models=reply), list_models)


@pytest.mark.parametrize(
    ("told", "balance"),
    [
        ({"balance": 12.5, "currency": "USD"}, Balance(has_credit=True, told="12.5 USD")),
        ({"balance": "0.00"}, Balance(has_credit=False, told="0")),
        ({"data": {"total_balance": 3}}, Balance(has_credit=True, told="3")),
        ({"balance": {"amount": -1, "currency": "EUR"}}, Balance(has_credit=False, told="-1 EUR")),
        ({"credits_usd": 8.5, "total_spent": 1.5}, Balance(has_credit=True, told="8.5")),
        ({"available": False}, Balance(has_credit=False, told="no amount told")),
        ({"is_available": True, "balance": 0}, Balance(has_credit=True, told="0")),
        ({"balance": True}, None),
        ({"balance": "nan"}, None),
        ({"message": "hello"}, None),
    ],
)
async def test_a_balance_is_read(told: dict[str, Any], balance: Balance | None) -> None:
    assert await asked(telling(balance=told), read_balance) == balance


async def test_a_balance_is_also_found_where_deepseek_has_it() -> None:
    infos = [{"currency": "CNY", "total_balance": "110.00", "granted_balance": "10.00"}]
    told = {"is_available": False, "balance_infos": infos}
    balance = await asked(telling(user__balance=told), read_balance)
    assert balance == Balance(has_credit=False, told="110 CNY")


async def test_a_server_without_a_balance_tells_none() -> None:
    assert await asked(telling(), read_balance) is None


def test_what_is_not_listed_or_will_soon_be_gone_is_remarked() -> None:
    listed = {
        "soon": date(2027, 2, 1),
        "gone": date(2026, 1, 1),
        "late": date(2028, 1, 1),
        "": None,
    }
    found = remarks(listed, ("soon", "gone", "late", "", "absent"), NOW)
    assert [model for model, _ in found] == ["soon", "gone", "absent"]
    assert "2027-02-01" in found[0][1]


def test_where_nothing_is_listed_nothing_is_remarked() -> None:
    assert remarks(None, ("m-1",), NOW) == ()


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (telling(models={"data": [{"id": "m-2"}]}), ["does not list"]),
        (telling(models={"data": [{"id": "m-1"}]}, balance={"balance": 0}), ["no credit"]),
        (telling(models={"data": [{"id": "m-1"}]}, balance={"balance": 1}), []),
        (telling(), []),
        (telling(models=error(401, f"bad key {KEY}")), ["OPENAI_API_KEY"]),
    ],
)
async def test_a_start_warns_of_what_a_review_would_fail_by(
    server: ModelServer, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="codex_review"):
        async with server.client() as client:
            await warn_of_models(connection_over(client), ("m-1",), FakeClock())
    reasons = [json.loads(record.message)["reason"] for record in caplog.records]
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    assert KEY not in "".join(reasons)
