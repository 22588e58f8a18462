"""How an App comes to be on the stand-in: by a manifest that GitHub would take, and a code."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.demo.github import create_app
from app.demo.state import State, new_app
from tests.registering import ROUTES

pytestmark = pytest.mark.anyio
NEW = "/settings/apps/new"
MANIFEST: dict[str, Any] = {
    "name": "Reviews of Acme",
    "url": "https://acme.test",
    "hook_attributes": {"url": "https://acme.test/webhook", "active": True},
    "redirect_url": "https://acme.test/setup",
    "default_permissions": {"checks": "write"},
    "default_events": ["check_run"],
}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path, new_app("a secret")[0], now=lambda: 1_800_000_000.0)


def browser(state: State) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(state, ROUTES))
    return httpx.AsyncClient(transport=transport, base_url=state.api_url)


async def test_a_manifest_becomes_an_app_and_its_code_is_good_once(state: State) -> None:
    form = {"manifest": json.dumps(MANIFEST), "state": "s"}
    async with browser(state) as person:
        assert "Reviews of Acme" in (await person.post(f"{NEW}?state=s", data=form)).text
        there = urlsplit((await person.post(f"{NEW}/create", data=form)).headers["location"])
        (code,) = parse_qs(there.query)["code"]
        path = f"/app-manifests/{code}/conversions"
        first, second = await person.post(path), await person.post(path)
    assert (there.path, parse_qs(there.query)["state"]) == ("/setup", ["s"])
    assert (first.status_code, second.status_code) == (201, 404)
    made = first.json()
    assert (made["id"], made["slug"]) == (state.app.id, "reviews-of-acme")
    assert (made["permissions"], made["events"]) == ({"checks": "write"}, ["check_run"])
    assert made["webhook_secret"] == state.app.webhook_secret
    assert made["pem"].startswith("-----BEGIN RSA PRIVATE KEY-----")


async def test_a_code_lives_for_an_hour(state: State) -> None:
    async with browser(state) as person:
        form = {"manifest": json.dumps(MANIFEST)}
        there = (await person.post(f"{NEW}/create", data=form)).headers["location"]
        state.now = lambda: 1_800_003_601.0
        (code,) = parse_qs(urlsplit(there).query)["code"]
        assert (await person.post(f"/app-manifests/{code}/conversions")).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 35},
        {"hook_attributes": {"active": True}},
        {"hook_attributes": {"url": "ftp://acme.test"}},
        {"merge_queue": {}},
    ],
)
async def test_a_manifest_that_github_would_refuse_is_refused(
    state: State, change: dict[str, Any]
) -> None:
    async with browser(state) as person:
        form = {"manifest": json.dumps({**MANIFEST, **change})}
        assert (await person.post(NEW, data=form)).status_code == 422
