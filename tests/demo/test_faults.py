"""Trouble on demand, and the record of what was asked."""

import asyncio
import socket
from time import perf_counter

import httpx
import pytest
import uvicorn

from app.demo.faults import Fault
from app.demo.github import create_app
from app.demo.records import PullRequest
from app.demo.state import State
from tests.demo.conftest import STARTED_AT, Client
from tests.faults import expired_token, primary_limit, secondary_limit

pytestmark = pytest.mark.anyio
COMMENTS = "/repos/acme/shop/issues/1/comments"


async def bodies(client: Client) -> list[str]:
    return [comment["body"] for comment in (await client("GET", COMMENTS)).json()]


@pytest.mark.parametrize(
    ("fault", "status", "headers"),
    [
        (Fault(path="comments", status=502), 502, {}),
        (expired_token("comments"), 401, {}),
        (secondary_limit("comments"), 403, {}),
        (secondary_limit("comments", retry_after_s=7), 403, {"retry-after": "7"}),
        (
            primary_limit("comments", reset_at=99, status=429),
            429,
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99"},
        ),
    ],
)
async def test_a_fault_before_the_effect_has_no_effect(
    client: Client, pull: PullRequest, fault: Fault, status: int, headers: dict[str, str]
) -> None:
    client.state.faults.append(fault)
    answer = await client("POST", COMMENTS, {"body": "one"})
    assert answer.status_code == status
    assert headers.items() <= dict(answer.headers).items()
    assert await bodies(client) == []


async def test_a_fault_after_the_effect_loses_only_the_answer(
    client: Client, pull: PullRequest
) -> None:
    client.state.faults.append(Fault(path="comments$", method="POST", status=502, when="after"))
    assert (await client("POST", COMMENTS, {"body": "one"})).status_code == 502
    assert (await client("POST", COMMENTS, {"body": "two"})).status_code == 201
    assert await bodies(client) == ["one", "two"]
    posts = [r for r in client.state.requests if (r.method, r.path) == ("POST", COMMENTS)]
    assert [(r.status, r.fault is not None) for r in posts] == [(201, True), (201, False)]


async def test_a_cut_connection_is_a_transport_error(client: Client, pull: PullRequest) -> None:
    client.state.faults.append(Fault(path="comments", cut=True, when="after"))
    with pytest.raises(httpx.TransportError):
        await client("POST", COMMENTS, {"body": "one"})
    assert await bodies(client) == ["one"]


async def test_a_fault_happens_as_often_as_it_says(client: Client, pull: PullRequest) -> None:
    client.state.faults.append(Fault(path="comments", status=500, times=2))
    statuses = [(await client("GET", COMMENTS)).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]


async def test_a_slow_answer_is_slow(client: Client, pull: PullRequest) -> None:
    client.state.faults.append(Fault(path="comments", delay_s=0.05))
    began = perf_counter()
    assert (await client("GET", COMMENTS)).status_code == 200
    assert perf_counter() - began >= 0.05


async def test_every_answer_tells_the_time_of_the_stand_in(client: Client) -> None:
    answer = await client("GET", "/rate_limit")
    assert answer.headers["date"] == "Thu, 28 May 2026 20:26:40 GMT"
    assert answer.headers["x-ratelimit-reset"] == str(int(STARTED_AT) + 3600)


async def test_requests_are_recorded_with_their_bodies(client: Client, pull: PullRequest) -> None:
    await client("POST", COMMENTS, {"body": "one"})
    last = client.state.requests[-1]
    assert (last.method, last.path, last.status) == ("POST", COMMENTS, 201)
    assert last.json() == {"body": "one"}
    answer = last.answer()
    assert isinstance(answer, dict)
    assert answer["body"] == "one"


async def test_over_a_port_a_cut_connection_is_cut(
    client: Client, state: State, pull: PullRequest
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(state), log_config=None, date_header=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    port = listening.getsockname()[1]
    headers = {"authorization": f"Bearer {client.token}"}
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
        state.faults.append(Fault(path="comments", cut=True, when="after"))
        with pytest.raises(httpx.TransportError):
            await http.post(COMMENTS, json={"body": "one"})
        answer = await http.get(COMMENTS)
        assert [comment["body"] for comment in answer.json()] == ["one"]
        assert answer.headers.get_list("date") == ["Thu, 28 May 2026 20:26:40 GMT"]
    server.should_exit = True
    await serving
