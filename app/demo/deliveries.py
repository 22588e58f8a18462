"""The App's webhook: signed deliveries, what came of them, and delivering again.

GitHub never delivers twice by itself: a failed delivery stays in the list until somebody asks.
"""

import hashlib
import hmac
import json
import uuid
from dataclasses import replace
from time import perf_counter
from urllib.parse import urlsplit

import httpx

from app.demo import shapes
from app.demo.call import Answer, Call, NotFound, Route
from app.demo.events import Event
from app.demo.records import Delivery
from app.demo.shapes import Json
from app.demo.state import State

DELIVERY_TIMEOUT_S = 10.0
HOOK_ID = 470_001


async def deliver(state: State, event: Event, *, guid: str | None = None) -> Delivery:
    """Sign an event, post it to the hook's URL and record what came of it."""
    body = json.dumps(event.payload, separators=(",", ":")).encode()
    guid = guid or str(uuid.uuid4())
    attempt = Delivery(
        id=state.next_id("delivery"),
        guid=guid,
        event=event.name,
        action=event.action,
        repository_id=event.repository_id,
        installation_id=event.installation_id,
        body=body,
        request_headers=_headers(state, event.name, guid, body),
        delivered_at=state.now(),
        redelivery=False,
    )
    return await _attempt(state, attempt)


async def redeliver(state: State, guid: str) -> Delivery:
    """Send the last attempt of a delivery once more, with the same guid and body."""
    last = next(item for item in reversed(state.deliveries) if item.guid == guid)
    again = replace(
        last,
        id=state.next_id("delivery"),
        delivered_at=state.now(),
        redelivery=True,
        request_headers=_headers(state, last.event, guid, last.body),
    )
    return await _attempt(state, again)


def sign(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def get_hook_config(call: Call) -> Answer:
    url = call.state.hook.url or "https://example.com/webhook"
    config = {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": url}
    return Answer(content=config)


def list_deliveries(call: Call) -> Answer:
    """Newest first, in pages that a cursor leads through."""
    size = min(int(call.query.get("per_page", "30")), 100)
    newest = list(reversed(call.state.deliveries))
    if "cursor" in call.query:
        newest = [
            item for item in newest if item.id <= int(call.query["cursor"].removeprefix("v1_"))
        ]
    headers = {}
    if len(newest) > size:
        url = f"{call.state.api_url}{call.path}?per_page={size}&cursor=v1_{newest[size].id}"
        headers["link"] = f'<{url}>; rel="next"'
    return Answer(content=[shapes.delivery(item) for item in newest[:size]], headers=headers)


def get_delivery(call: Call) -> Answer:
    item = _delivery(call)
    details: Json = {
        "url": call.state.hook.url or "",
        "request": {"headers": item.request_headers, "payload": json.loads(item.body)},
        "response": {"headers": item.response_headers, "payload": item.response_body},
    }
    return Answer(content={**shapes.delivery(item), **details})


def _headers(state: State, event: str, guid: str, body: bytes) -> dict[str, str]:
    secret = state.app.webhook_secret
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/stand-in",
        "X-GitHub-Delivery": guid,
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": str(HOOK_ID),
        "X-GitHub-Hook-Installation-Target-ID": str(state.app.id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": sign(secret, body),
    }


async def _attempt(state: State, attempt: Delivery) -> Delivery:
    began = perf_counter()
    try:
        attempt.status_code, attempt.response_headers, attempt.response_body = await _post(
            state, attempt
        )
        good = 200 <= attempt.status_code < 300
        attempt.status = "OK" if good else f"Invalid HTTP Response: {attempt.status_code}"
    except httpx.TimeoutException:
        attempt.status, attempt.status_code = "timed out", 0
    except httpx.TransportError:
        attempt.status, attempt.status_code = "failed to connect to host", 0
    attempt.duration = perf_counter() - began
    state.deliveries.append(attempt)
    return attempt


async def _post(state: State, attempt: Delivery) -> tuple[int, dict[str, str], str]:
    hook = state.hook
    if hook.url is None:
        raise httpx.ConnectError("the hook has no URL")
    if (urlsplit(hook.url).hostname or "").endswith(".invalid"):
        raise httpx.ConnectError("nobody has this name")
    async with httpx.AsyncClient(
        transport=hook.transport, timeout=DELIVERY_TIMEOUT_S, trust_env=False
    ) as client:
        answer = await client.post(hook.url, content=attempt.body, headers=attempt.request_headers)
    return answer.status_code, dict(answer.headers), answer.text


def _delivery(call: Call) -> Delivery:
    wanted = call.number("id")
    found = next((item for item in call.state.deliveries if item.id == wanted), None)
    if found is None:
        raise NotFound
    return found


ROUTES = (
    Route("GET", "/app/hook/config", get_hook_config, "app"),
    Route("GET", "/app/hook/deliveries", list_deliveries, "app"),
    Route("GET", "/app/hook/deliveries/{id}", get_delivery, "app"),
)
