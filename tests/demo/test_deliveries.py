"""Deliveries: signed, recorded, never repeated by themselves."""

import hashlib
import hmac
import json

import pytest

from app.demo import deliveries, events
from app.demo.records import PullRequest
from app.demo.state import State
from tests.demo.conftest import Client, receive

pytestmark = pytest.mark.anyio


def test_the_signature_is_githubs() -> None:
    signature = deliveries.sign("It's a Secret to Everybody", b"Hello, World!")
    assert signature == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


async def test_a_comment_is_delivered_signed_and_in_full(state: State, pull: PullRequest) -> None:
    receiver = receive(state, 202)
    comment = state.comment(pull, "ann", "@codex review")
    delivery = await deliveries.deliver(state, events.comment_event(state, comment))
    [request] = receiver.got
    digest = hmac.new(b"a secret", request.content, hashlib.sha256).hexdigest()
    assert request.headers["x-hub-signature-256"] == f"sha256={digest}"
    assert request.headers["x-github-event"] == "issue_comment"
    assert request.headers["x-github-delivery"] == delivery.guid
    assert request.headers["x-github-hook-installation-target-id"] == str(state.app.id)
    payload = json.loads(request.content)
    assert payload["issue"]["pull_request"]["url"].endswith("/pulls/1")
    assert (payload["sender"]["login"], payload["comment"]["body"]) == ("ann", "@codex review")
    assert payload["installation"]["id"] == delivery.installation_id
    assert (delivery.status, delivery.status_code) == ("OK", 202)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [(403, "Invalid HTTP Response: 403", 403), (0, "failed to connect to host", 0)],
)
async def test_a_failed_delivery_waits_to_be_asked_for(
    client: Client, state: State, pull: PullRequest, answer: int, status: str, code: int
) -> None:
    receiver = receive(state, answer, 202)
    made = await deliveries.deliver(state, events.pull_event(state, pull, "opened"))
    [listed] = (await client.as_app("GET", "/app/hook/deliveries")).json()
    assert (listed["status"], listed["status_code"]) == (status, code)
    await deliveries.redeliver(state, made.guid)
    newest, oldest = (await client.as_app("GET", "/app/hook/deliveries")).json()
    assert (newest["guid"], newest["redelivery"], newest["status"]) == (made.guid, True, "OK")
    assert oldest["id"] == made.id
    first, second = receiver.got
    assert first.content == second.content
    assert first.headers["x-github-delivery"] == second.headers["x-github-delivery"]


async def test_deliveries_are_listed_newest_first_in_pages(
    client: Client, state: State, pull: PullRequest
) -> None:
    receive(state, *[200] * 5)
    made = [
        (await deliveries.deliver(state, events.pull_event(state, pull, "edited"))).id
        for _ in range(5)
    ]
    first = await client.as_app("GET", "/app/hook/deliveries?per_page=3")
    second = await client.as_app("GET", first.links["next"]["url"])
    assert [item["id"] for item in first.json() + second.json()] == made[::-1]
    assert "next" not in second.links


async def test_a_delivery_shows_what_was_sent(
    client: Client, state: State, pull: PullRequest
) -> None:
    receive(state, 200)
    made = await deliveries.deliver(state, events.pull_event(state, pull, "opened"))
    shown = (await client.as_app("GET", f"/app/hook/deliveries/{made.id}")).json()
    assert shown["request"]["payload"]["number"] == 1
    assert shown["request"]["headers"]["X-GitHub-Event"] == "pull_request"
