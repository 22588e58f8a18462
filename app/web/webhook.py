"""The door: one delivery is limited, verified, parsed, decided and stored, then answered 202.

Knows HTTP. What a payload means is known to `github/payloads.py`, what it leads to to `dispatch`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from http import HTTPStatus

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import log
from app.dispatch import Decision, Ignore, decide
from app.errors import BadPayload, DeliveryError, TooLarge, Unavailable
from app.github.payloads import parse_event
from app.github.signature import HEADER as SIGNATURE
from app.github.signature import verify_signature
from app.ports import Jobs
from app.review.event import CommentCreated, Event

# GitHub sends no more: https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
MAX_BODY = 25 * 1024 * 1024
# From here on reading a delivery takes long enough to keep others waiting.
LARGE_BODY = 32 * 1024
RETRY_AFTER_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the door needs to know. `secrets` are all that may sign at the moment; `slug` tells
    the App's own name, once it is known."""

    secrets: tuple[bytes, ...] = field(repr=False)
    app_id: int
    slug: Callable[[], str | None]
    mentions: tuple[str, ...]
    allowed_owners: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    id: str
    event: Event
    decision: Decision


def webhook(door: Door, jobs: Jobs) -> Route:
    """Build the route that GitHub delivers to."""

    async def receive(request: Request) -> Response:
        try:
            delivery = await _read_delivery(request, door)
        except DeliveryError as exc:
            return _refused(request, exc.status, str(exc))
        except ClientDisconnect:
            return _refused(request, HTTPStatus.BAD_REQUEST, "the sender hung up")
        with log.bind(delivery=delivery.id, **_named(delivery.event)):
            return await _take(delivery.id, delivery.decision, jobs)

    return Route("/webhook", receive, methods=["POST"])


async def _read_delivery(request: Request, door: Door) -> _Delivery:
    body = await _read_body(request)
    if len(body) < LARGE_BODY:
        return _judge(body, request.headers, door)
    return await to_thread.run_sync(_judge, body, request.headers, door)


async def _read_body(request: Request) -> bytes:
    """Read the body up to the limit, whatever length it claims. Raises TooLarge."""
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and len(claimed) < 20 and int(claimed) > MAX_BODY:
        raise TooLarge(f"a delivery has at most {MAX_BODY} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"a delivery has at most {MAX_BODY} bytes")
    return bytes(body)


def _judge(body: bytes, headers: Headers, door: Door) -> _Delivery:
    """Verify before anything else is looked at, then parse and decide. Raises DeliveryError."""
    verify_signature(body, headers.get(SIGNATURE), door.secrets)
    name = _required(headers, "X-GitHub-Event")
    delivery_id = _required(headers, "X-GitHub-Delivery")
    event = parse_event(name, body, headers.get("content-type"))
    decision = decide(
        event,
        delivery_id,
        app_id=door.app_id,
        slug=door.slug(),
        mentions=door.mentions,
        allowed_owners=door.allowed_owners,
    )
    return _Delivery(id=delivery_id, event=event, decision=decision)


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


async def _take(delivery_id: str, decision: Decision, jobs: Jobs) -> Response:
    if isinstance(decision, Ignore):
        return _ignored(decision.reason)
    try:
        stored = await jobs.submit(delivery_id, decision.jobs)
    except Unavailable as exc:
        log.error("delivery.not_stored", reason=str(exc))
        return JSONResponse(
            {"error": "the delivery cannot be stored now"},
            HTTPStatus.SERVICE_UNAVAILABLE,
            {"Retry-After": str(RETRY_AFTER_S)},
        )
    if not stored:
        return _ignored("already seen")
    reason = _queued(len(stored), decision.left_out)
    log.event("delivery.queued", reason=reason, jobs=len(stored), left_out=decision.left_out)
    return _accepted("queued", reason)


def _queued(stored: int, left_out: int) -> str:
    reason = "1 command" if stored == 1 else f"{stored} commands"
    return f"{reason}, {left_out} over the limit" if left_out else reason


def _ignored(reason: str) -> Response:
    log.event("delivery.ignored", reason=reason)
    return _accepted("ignored", reason)


def _accepted(status: str, reason: str) -> Response:
    return JSONResponse({"status": status, "reason": reason}, HTTPStatus.ACCEPTED)


def _named(event: Event) -> dict[str, object]:
    """Return the ids that stand in every log line about this delivery."""
    if isinstance(event, CommentCreated):
        return {"repo": event.target.full_name, "pull": event.target.number}
    return {"github_event": event.name, "action": event.action}
