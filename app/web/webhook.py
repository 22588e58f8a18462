"""The door: one delivery is limited, verified, parsed, decided and stored, then answered 202.

Knows HTTP and signatures. What a delivery means and leads to is known to `intake`.
"""

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import log
from app.errors import BadPayload, DeliveryError, TooLarge, Unavailable
from app.github.signature import HEADER as SIGNATURE
from app.github.signature import verify_signature
from app.intake import Delivery, Rules, judge, take
from app.ports import Jobs

# GitHub sends no more: https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
MAX_BODY = 25 * 1024 * 1024
# From here on reading a delivery takes long enough to keep others waiting.
LARGE_BODY = 32 * 1024
BODY_S = 10.0
"""GitHub gives up then: https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks"""
RETRY_AFTER_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the door needs to know. `secrets` are all that may sign at the moment."""

    secrets: tuple[bytes, ...] = field(repr=False)
    rules: Rules


def webhook(door: Door, jobs: Jobs) -> Route:
    """Build the route that GitHub delivers to."""

    async def receive(request: Request) -> Response:
        try:
            delivery = await _read_delivery(request, door)
        except DeliveryError as exc:
            return _refused(request, exc.status, str(exc))
        except ClientDisconnect:
            return _refused(request, HTTPStatus.BAD_REQUEST, "the sender hung up")
        except TimeoutError:
            return _refused(request, HTTPStatus.REQUEST_TIMEOUT, "the delivery came too slowly")
        return await _take(delivery, jobs)

    return Route("/webhook", receive, methods=["POST"])


async def _read_delivery(request: Request, door: Door) -> Delivery:
    body = await read_body(request, MAX_BODY)
    if len(body) < LARGE_BODY:
        return _judge(body, request.headers, door)
    return await to_thread.run_sync(_judge, body, request.headers, door)


async def read_body(request: Request, most: int) -> bytes:
    """Read the body up to the limit, whatever length it claims. Raises TooLarge, TimeoutError."""
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and len(claimed) < 20 and int(claimed) > most:
        raise TooLarge(f"a body has at most {most} bytes here")
    body = bytearray()
    async with asyncio.timeout(BODY_S):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise TooLarge(f"a body has at most {most} bytes here")
    return bytes(body)


def _judge(body: bytes, headers: Headers, door: Door) -> Delivery:
    """Verify before anything else is looked at, then parse and decide. Raises DeliveryError."""
    verify_signature(body, headers.get(SIGNATURE), door.secrets)
    name = _required(headers, "X-GitHub-Event")
    delivery_id = _required(headers, "X-GitHub-Delivery")
    content_type = headers.get("content-type")
    return judge(name, delivery_id, body, door.rules, content_type=content_type)


def _required(headers: Headers, name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise BadPayload(f"the header {name} is missing")
    return value


def _refused(request: Request, status: int, reason: str) -> Response:
    # Nobody has vouched for this id, but it is what an admin finds in GitHub's own list.
    claimed = request.headers.get("X-GitHub-Delivery", "")[:100]
    log.event("delivery.refused", delivery=claimed, status=status, reason=reason)
    return JSONResponse({"error": reason}, status)


async def _take(delivery: Delivery, jobs: Jobs) -> Response:
    try:
        taken = await take(delivery, jobs)
    except Unavailable as exc:
        log.error("delivery.not_stored", delivery=delivery.id, reason=str(exc))
        return JSONResponse(
            {"error": "the delivery cannot be stored now"},
            HTTPStatus.SERVICE_UNAVAILABLE,
            {"Retry-After": str(RETRY_AFTER_S)},
        )
    status = "queued" if taken.is_queued else "ignored"
    return JSONResponse({"status": status, "reason": taken.reason}, HTTPStatus.ACCEPTED)
