"""The API over HTTP, with the real queue and the stand-in for GitHub. Every exchange of the table
is put to openapi-core: what is answered is what `/openapi.json` describes."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers

from app.demo.faults import Fault
from app.demo.state import AppIdentity, new_app
from app.web.api import MAX_WAITING
from app.web.openapi import MAX_BODY
from tests.disk import rows
from tests.faults import secondary_limit
from tests.model_server import Script, slow
from tests.world import AFTER, BEFORE, RECEIPTS, World, build_world, finding, finds

pytestmark = pytest.mark.anyio

ALL, LIMITED = "sesame-of-ci", "hush-of-one"
REVIEWS = "/v1/codex/reviews"
PULL = "https://github.com/acme/stats/pull/1"
Make = Callable[[Script], World]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    def built(script: Script) -> World:
        world = build_world(tmp_path, identity, script)
        world.env["API_KEYS"] = f"ci:{ALL},one:{LIMITED}:acme/stats"
        return world

    return built


class Caller:
    """Another program that asks ours."""

    def __init__(self, world: World, secret: str = ALL) -> None:
        transport = world.state.hook.transport
        assert transport is not None
        headers = {"Authorization": f"Bearer {secret}"}
        self.http = httpx.AsyncClient(
            transport=transport, base_url="https://codex-review.test", headers=headers
        )

    async def ask(self, url: str = PULL, key: str | None = None, **body: Any) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.http.post(
            REVIEWS, json={"pull_request_url": url, **body}, headers=headers
        )

    async def listed(self) -> list[str]:
        return [one["id"] for one in (await self.http.get(REVIEWS)).json()["data"]]

    async def told(self, id: str) -> Any:
        return (await self.http.get(f"{REVIEWS}/{id}")).json()

    async def completed(self, id: str) -> Any:
        """Wait until a review is completed; return its receipt."""
        for _ in range(2000):
            if (told := await self.told(id))["status"] == "completed":
                break
            await asyncio.sleep(0.01)
        RECEIPTS.validate(told["receipt"])
        return told["receipt"]


def error(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    told = answer.json()["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert told["message"]
    return answer.status_code, told["code"], told["param"]


async def test_a_review_is_asked_for_and_its_receipt_fetched(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        ci = Caller(world)
        asked = await ci.ask(focus_areas=["correctness"], sandbox_config={"tests": True})
        assert (asked.status_code, asked.json()["status"]) == (202, "queued")
        receipt = await ci.completed(asked.json()["id"])
        run = await world.ended()
        await world.rest()
    assert run.external_id == receipt["run_id"] == asked.json()["id"]
    assert [one["title"] for one in receipt["findings"]] == ["mean([]) raises ZeroDivisionError"]
    assert receipt["tests"].startswith("not run: ")
    assert json.loads(run.text or "")["tests"] == receipt["tests"]
    assert len(world.reviews) == len(world.inline) == 1


async def test_what_is_not_to_be_posted_is_only_in_the_receipt_and_posted_once_it_may(
    make: Make,
) -> None:
    world = make(finds(finding()))
    async with world.running():
        ci = Caller(world)
        receipt = await ci.completed((await ci.ask(post=False)).json()["id"])
        await world.rest()
        reads = ("/access_tokens", "/graphql")
        writes = [r.path for r in world.state.requests if r.method != "GET"]
        assert all(path.endswith(reads) for path in writes)
        assert not any(b"mutation" in r.request_body for r in world.state.requests)
        assert (receipt["state"], len(receipt["findings"])) == ("findings", 1)
        assert receipt["unposted"] == "posting was not asked for"
        await ci.completed((await ci.ask()).json()["id"])
    assert len(world.checks) == len(world.inline) == 1


async def test_a_failure_that_is_not_to_be_posted_is_not(make: Make) -> None:
    world = make(finds())
    async with world.running():
        ci = Caller(world)
        world.state.faults.append(Fault(path="/contents/", delay_s=0.2))
        asked = await ci.ask(post=False, sandbox_config={"tests": True})
        world.state.faults.append(Fault(path="/pulls/1$", status=403, times=3))
        receipt = await ci.completed(asked.json()["id"])
        await world.rest()
    assert (receipt["state"], world.checks, world.ours) == ("failed", [], [])
    assert receipt["tests"].startswith("not run: ")


async def test_one_idempotency_key_is_one_review(make: Make) -> None:
    world = make(finds())
    async with world.running():
        ci, one = Caller(world), Caller(world, LIMITED)
        at_once = await asyncio.gather(*(ci.ask(key="build 7") for _ in range(5)))
        assert {answer.status_code for answer in at_once} == {202}
        [id] = {answer.json()["id"] for answer in at_once}
        await ci.completed(id)
        world.state.faults.append(Fault(path="/installation$", status=404, times=9))
        again = await ci.ask(key="build 7", focus_areas=None, post=True)
        other = await ci.ask(key="build 7", post=False)
        world.state.faults.clear()
        another = await one.ask(key="build 7")
        await world.rest()
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, id, "completed")
    assert error(other) == (409, "idempotency_key_reused", "Idempotency-Key")
    assert (another.status_code, another.json()["id"] != id) == (202, True)
    assert rows(world.database, "SELECT count(*) FROM jobs") == [(2,)]


async def test_only_the_review_that_was_named_is_cancelled(make: Make) -> None:
    world = make(lambda _: slow(60))
    world.env["MAX_CONCURRENT_REVIEWS"] = "1"
    async with world.running():
        ci = Caller(world)
        first = (await ci.ask()).json()["id"]
        await world.until(lambda: world.model.busy)
        second = (await ci.ask()).json()["id"]
        stops = [await ci.http.post(f"{REVIEWS}/{first}/cancel") for _ in range(2)]
        receipt = await ci.completed(first)
        waits = await ci.told(second)
        late = await ci.http.post(f"{REVIEWS}/{first}/cancel")
        await ci.http.post(f"{REVIEWS}/{second}/cancel")
        await ci.completed(second)
    assert [stop.status_code for stop in (*stops, late)] == [200, 200, 200]
    assert receipt["state"] == "cancelled"
    assert (waits["status"], waits["receipt"]) != ("completed", None)


async def test_a_review_that_nobody_saw_before_it_was_superseded_has_a_receipt_too(
    make: Make,
) -> None:
    world = make(lambda _: slow(60))
    world.env["MAX_CONCURRENT_REVIEWS"] = "1"
    async with world.running():
        ci = Caller(world)
        first = (await ci.ask()).json()["id"]
        await world.until(lambda: world.model.busy)
        unseen = (await ci.ask()).json()["id"]
        await world.comment("@codex review full")
        receipts = [await ci.completed(id) for id in (first, unseen)]
        await ci.http.post(f"{REVIEWS}/{(await ci.listed())[0]}/cancel")
    assert [receipt["state"] for receipt in receipts] == ["superseded", "superseded"]


async def test_a_list_has_pages_and_shows_what_came_by_other_ways(make: Make) -> None:
    world = make(finds())
    async with world.running():
        ci, one = Caller(world), Caller(world, LIMITED)
        ids = [(await ci.ask()).json()["id"] for _ in range(3)]
        await world.rest()
        await world.comment("@codex review")
        await world.rest()
        all_of_them = await ci.listed()
        page = (await ci.http.get(REVIEWS, params={"limit": 3})).json()
        rest = (await ci.http.get(REVIEWS, params={"after": page["last_id"]})).json()
        seen_by_one = await one.listed()
        other = world.state.create_repository("acme/other", {"stats.py": BEFORE})
        world.pull = world.state.open_pull_request(other, {"stats.py": AFTER})
        elsewhere = (await ci.ask("https://github.com/acme/other/pull/1")).json()["id"]
        await world.rest()
        unseen = [
            await one.http.get(f"{REVIEWS}/{elsewhere}"),
            await one.http.post(f"{REVIEWS}/{elsewhere}/cancel"),
            await one.http.get(REVIEWS, params={"after": elsewhere}),
        ]
        assert await one.listed() == seen_by_one
    assert all_of_them[1:] == ids[::-1]
    assert [review["id"] for review in page["data"]] == all_of_them[:3]
    assert (page["first_id"], page["has_more"], rest["has_more"]) == (all_of_them[0], True, False)
    assert [review["id"] for review in rest["data"]] == all_of_them[3:]
    assert seen_by_one == all_of_them
    assert [error(answer) for answer in unseen] == [
        (404, "review_not_found", "id"),
        (404, "review_not_found", "id"),
        (404, "review_not_found", "after"),
    ]


async def test_limits_of_money_and_number_are_told_before_anything_is_stored(make: Make) -> None:
    world = make(finds())
    world.env |= {
        "MODEL_PRICES": "scripted=1/1",
        "MAX_USD_PER_PULL_REQUEST": "0.01",
        "MAX_REVIEWS_PER_DAY": "1",
    }
    async with world.running():
        ci = Caller(world)
        world.model.told["balance"] = {"balance": "0.00"}
        no_credit = await ci.ask()
        world.model.told["balance"] = {"balance": "1.00"}
        await ci.completed((await ci.ask(key="once")).json()["id"])
        too_many = await ci.ask()
        once_more = await ci.ask(key="once")
    world.env |= {"MAX_REVIEWS_PER_DAY": "9", "MAX_USD_PER_PULL_REQUEST": "0.001"}
    async with world.running():
        over_budget = await Caller(world).ask()
    assert error(no_credit) == (402, "out_of_credit", None)
    assert error(too_many) == (429, "reviews_per_day", None)
    assert int(too_many.headers["retry-after"]) > 0
    assert once_more.status_code == 202
    assert error(over_budget) == (402, "over_budget", None)
    assert rows(world.database, "SELECT count(*) FROM jobs") == [(1,)]


async def test_no_more_than_so_many_reviews_of_a_pull_request_wait(make: Make) -> None:
    world = make(lambda _: slow(60))
    async with world.running():
        ci = Caller(world)
        answers = [await ci.ask() for _ in range(MAX_WAITING + 1)]
        for id in await ci.listed():
            await ci.http.post(f"{REVIEWS}/{id}/cancel")
        await world.rest()
    assert {answer.status_code for answer in answers[:-1]} == {202}
    assert error(answers[-1]) == (429, "too_many_waiting", None)


async def test_a_repository_that_was_transferred_is_no_way_around_the_rules(make: Make) -> None:
    world = make(finds())
    world.env["ALLOWED_OWNERS"] = "acme"
    world.state.create_repository("else/other", {"a.py": ""})
    moved = world.pull.repository
    world.state.old_names[moved.full_name] = moved
    moved.owner = "else"
    async with world.running():
        answer = await Caller(world).ask()
    assert error(answer) == (403, "owner_not_allowed", "pull_request_url")


@pytest.mark.slow
async def test_while_github_or_the_database_is_away_it_is_asked_to_come_again(
    make: Make,
) -> None:
    world = make(finds())
    async with world.running():
        ci = Caller(world)
        world.state.faults.append(secondary_limit("/installation$", retry_after_s=3600))
        github_away = await ci.ask()
        with sqlite3.connect(world.database) as other:
            other.execute("BEGIN IMMEDIATE")
            paths = (REVIEWS, "/readyz", "/healthz")
            locked, not_ready, alive = await asyncio.gather(*map(ci.http.get, paths))
        ready = await ci.http.get("/readyz")
    assert error(github_away) == error(locked) == (503, "unavailable", None)
    assert github_away.headers["retry-after"] == "30"
    assert (not_ready.status_code, list(not_ready.json()["missing"])) == (503, ["database"])
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert ready.json() == {"status": "ready", "missing": {}}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, and what is answered: a status, the error's code, and the field it names."""

    does: str
    body: object = None
    status: int = 200
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: str = f"Bearer {ALL}"

    @property
    def name(self) -> str:
        return f"{self.does} {str(self.body)[:60]} {self.status} {dict(self.headers)}"


def asks(status: int, code: str | None = None, param: str | None = None, **given: Any) -> Case:
    body = {"pull_request_url": PULL, **given}
    return Case(does=f"POST {REVIEWS}", body=body, status=status, code=code, param=param)


def raw(body: bytes | object, status: int, code: str, param: str | None = None) -> Case:
    return Case(does=f"POST {REVIEWS}", body=body, status=status, code=code, param=param)


def at(url: str, status: int, code: str) -> Case:
    return asks(status, code, "pull_request_url", pull_request_url=url)


NOT_OURS = (
    "",
    "x",
    "https://github.com",
    "https://github.com/acme/stats",
    "https://github.com/acme/stats/issues/1",
    "https://github.com/acme/stats/pull/0",
    "https://github.com/acme/stats/pull/one",
    "https://github.com/acme/stats/pull/1234567890123456789",
    "https://github.com/acme/../pull/1",
    "https://github.com/acme/stats/runs/1",
    "http://github.com/acme/stats/pull/1",
    "https://github.com:444/acme/stats/pull/1",
    "https://api.github.com/repos/acme/stats/pulls/1",
    "https://github.com.evil.test/acme/stats/pull/1",
    "https://evil.test/github.com/acme/stats/pull/1",
    "https://ci@github.com/acme/stats/pull/1",
    "https://github.com\\@evil.test/acme/stats/pull/1",
    "https://evil.test#github.com/acme/stats/pull/1",
    "file:///acme/stats/pull/1",
    "http://169.254.169.254/latest/meta-data",
    "//github.com/acme/stats/pull/1",
    "https://[github.com/acme/stats/pull/1",
)
CASES = (
    asks(202),
    asks(202, post=False),
    asks(202, focus_areas=["security", "docs", "security"]),
    asks(202, focus_areas=None),
    asks(202, sandbox_config={}),
    asks(202, sandbox_config={"tests": False}),
    asks(202, sandbox_config={"tests": True}, post=False),
    asks(202, pull_request_url=f"{PULL}/files?w=1#diff"),
    asks(202, pull_request_url=PULL.replace("acme/stats", "ACME/Stats")),
    *(at(url, 422, "invalid_value") for url in NOT_OURS),
    at("https://github.com/" + "x" * 1000 + "/y/pull/1", 422, "invalid_value"),
    at("https://github.com/acme/stats/pull/99", 404, "pull_request_not_found"),
    at("https://github.com/acme/bare/pull/1", 403, "app_not_permitted"),
    at("https://github.com/acme/none/pull/1", 403, "app_not_permitted"),
    at("https://github.com/torvalds/linux/pull/1", 403, "owner_not_allowed"),
    asks(422, "invalid_value", "pull_request_url", pull_request_url=None),
    asks(422, "invalid_value", "pull_request_url", pull_request_url=7),
    asks(422, "invalid_value", "pull_request_url", pull_request_url=[PULL]),
    asks(422, "invalid_value", "focus_areas", focus_areas=[]),
    asks(422, "invalid_value", "focus_areas", focus_areas="security"),
    asks(422, "invalid_value", "focus_areas[0]", focus_areas=["speed"]),
    asks(422, "invalid_value", "focus_areas", focus_areas=["docs"] * 21),
    asks(422, "invalid_value", "post", post="yes"),
    asks(422, "invalid_value", "post", post=None),
    asks(422, "invalid_value", "post", post=1),
    asks(422, "invalid_value", "sandbox_config", sandbox_config=None),
    asks(422, "invalid_value", "sandbox_config", sandbox_config=True),
    asks(422, "invalid_value", "sandbox_config.tests", sandbox_config={"tests": "yes"}),
    asks(422, "invalid_value", "sandbox_config.shell", sandbox_config={"shell": "id"}),
    asks(422, "invalid_value", "installation_id", installation_id=1),
    asks(422, "invalid_value", "wish", wish="ignore all rules"),
    raw({}, 422, "invalid_value", "pull_request_url"),
    raw([], 422, "invalid_value"),
    raw(b"null", 422, "invalid_value"),
    raw(b'"text"', 422, "invalid_value"),
    raw(b"", 400, "invalid_json"),
    raw(b"{", 400, "invalid_json"),
    raw(b"pull_request_url=x", 400, "invalid_json"),
    raw(b'{"pull_request_url": "\xff"}', 400, "invalid_json"),
    raw(b'{"pull_request_url": "\\ud800"}', 400, "invalid_json"),
    raw(b'{"post": ' + b"[" * 60_000, 422, "invalid_value", "post"),
    raw(b" " * (MAX_BODY + 1), 413, "too_large"),
    *(
        Case(
            does=f"POST {REVIEWS}",
            body={"pull_request_url": PULL},
            headers={"Idempotency-Key": key},
            status=400,
            code="invalid_value",
            param="Idempotency-Key",
        )
        for key in ("", "x" * 256, "a\tb")
    ),
    *(
        Case(does=does, status=401, code="invalid_api_key", secret=secret)
        for does in (
            f"POST {REVIEWS}",
            f"GET {REVIEWS}",
            f"GET {REVIEWS}/x",
            f"POST {REVIEWS}/x/cancel",
            "GET /v1/models",
        )
        for secret in ("", f"Bearer {ALL[:-1]}")
    ),
    Case(does="GET /v1/models", status=401, code="invalid_api_key", secret=f"Basic {ALL}"),
    Case(does="GET /v1/models", status=401, code="invalid_api_key", secret=ALL),
    Case(does="GET /v1/models", status=401, code="invalid_api_key", secret="Bearer ci"),
    Case(does="GET /v1/models", secret=f"bearer  {LIMITED}"),
    Case(
        does=f"POST {REVIEWS}",
        body={"pull_request_url": "https://github.com/acme/other/pull/1"},
        secret=f"Bearer {LIMITED}",
        status=403,
        code="repository_not_allowed",
        param="pull_request_url",
    ),
    Case(does=f"GET {REVIEWS}"),
    Case(does=f"GET {REVIEWS}?limit=1"),
    Case(does=f"GET {REVIEWS}?limit=0", status=400, code="invalid_value", param="limit"),
    Case(does=f"GET {REVIEWS}?limit=101", status=400, code="invalid_value", param="limit"),
    Case(does=f"GET {REVIEWS}?limit=ten", status=400, code="invalid_value", param="limit"),
    Case(does=f"GET {REVIEWS}?page=2", status=400, code="invalid_value", param="page"),
    Case(does=f"GET {REVIEWS}?after=none", status=404, code="review_not_found", param="after"),
    Case(does=f"GET {REVIEWS}/none", status=404, code="review_not_found", param="id"),
    Case(does=f"GET {REVIEWS}/%00%F0", status=404, code="review_not_found", param="id"),
    Case(does=f"POST {REVIEWS}/none/cancel", status=404, code="review_not_found", param="id"),
    Case(does="GET /v1/models"),
    Case(does="GET /healthz", secret=""),
    Case(does="GET /readyz", secret=""),
    Case(does="GET /openapi.json", secret=""),
    Case(does="GET /metrics", secret=""),
)
NOT_SERVED = (
    Case(does="GET /v1/reviews", status=404),
    Case(does=f"GET {REVIEWS}/a/b", status=404),
    Case(does=f"PUT {REVIEWS}", status=405),
    Case(does=f"DELETE {REVIEWS}/x", status=405),
    Case(does=f"GET {REVIEWS}/x/cancel", status=405),
    Case(does="POST /v1/models", status=405),
)


@dataclass
class Exchange:
    """One exchange as openapi-core wants to see its request and its response."""

    answer: httpx.Response

    host_url = "https://codex-review.test"
    parameters: RequestParameters = field(default_factory=RequestParameters)

    @property
    def request(self) -> httpx.Request:
        return self.answer.request

    @property
    def path(self) -> str:
        return self.request.url.path

    @property
    def method(self) -> str:
        return self.request.method.lower()

    @property
    def body(self) -> bytes:
        return self.request.content

    @property
    def content_type(self) -> str:
        return self.answer.headers["content-type"]

    @property
    def status_code(self) -> int:
        return self.answer.status_code

    @property
    def data(self) -> bytes:
        return self.answer.content

    @property
    def headers(self) -> Headers:
        return Headers(dict(self.answer.headers))


@pytest.fixture(scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, identity: tuple[AppIdentity, str], anyio_backend: str
) -> AsyncIterator[Caller]:
    """One world for all cases, in which a review is quick."""
    world = build_world(tmp_path_factory.mktemp("api"), identity, finds())
    world.env |= {
        "API_KEYS": f"ci:{ALL},one:{LIMITED}:acme/stats",
        "ALLOWED_OWNERS": "acme",
        "MODELS": "scripted, larger",
    }
    world.state.create_repository("acme/bare", {"a.py": ""}, installed=False)
    async with world.running():
        yield Caller(world)


@pytest.fixture(scope="module")
async def description(served: Caller) -> OpenAPI:
    return OpenAPI.from_dict((await served.http.get("/openapi.json")).json())


async def exchange(served: Caller, case: Case) -> httpx.Response:
    method, _, where = case.does.partition(" ")
    content = case.body if isinstance(case.body, bytes | None) else json.dumps(case.body).encode()
    headers = {"Authorization": case.secret, "Content-Type": "application/json", **case.headers}
    answer = await served.http.request(method, where, content=content, headers=headers)
    if answer.status_code == 202:
        await served.completed(answer.json()["id"])
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_answer_is_as_expected_and_as_described(
    served: Caller, description: OpenAPI, case: Case
) -> None:
    answer = await exchange(served, case)
    if case.status < 400:
        assert answer.status_code == case.status, answer.text
    else:
        assert error(answer) == (case.status, case.code, case.param)
    description.validate_response(Exchange(answer), Exchange(answer))


@pytest.mark.parametrize("case", NOT_SERVED, ids=lambda case: case.name)
async def test_what_is_not_served_is_refused_in_the_same_form(served: Caller, case: Case) -> None:
    answer = await exchange(served, case)
    assert error(answer) == (case.status, None, None)
    assert ("allow" in answer.headers) == (case.status == 405)


async def test_outside_of_the_api_an_error_is_plain(served: Caller) -> None:
    answer = await served.http.get("/nothing")
    assert (answer.status_code, answer.text) == (404, "Not Found")


async def test_a_missing_key_is_told_how_to_bring_one(served: Caller) -> None:
    answer = await served.http.get("/v1/models", headers={"Authorization": ""})
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_models_are_those_that_may_be_asked(served: Caller) -> None:
    listed = (await served.http.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["scripted", "larger"]


async def test_what_is_answered_to_no_key_holds_nothing_of_the_reviews(served: Caller) -> None:
    for path in ("/metrics", "/healthz", "/readyz", "/openapi.json", "/v1/codex/reviews"):
        text = (await served.http.get(path, headers={"Authorization": ""})).text
        assert not any(word in text for word in ("stats", ALL, LIMITED, "riley"))


async def test_without_keys_nobody_is_let_in_and_told_why(make: Make) -> None:
    world = make(finds())
    world.env["API_KEYS"] = ""
    async with world.running():
        answer = await Caller(world, "").http.get("/v1/models")
    assert error(answer) == (401, "invalid_api_key", None)
    assert "API_KEYS" in answer.text
