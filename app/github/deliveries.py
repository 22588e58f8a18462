"""What GitHub recorded of the App's deliveries, and what became of each.

Knows the list and its pages. GitHub never delivers twice by itself; it keeps a delivery for 3 days.
https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from app import log
from app.errors import Unavailable
from app.github.transport import GitHub, NotFound, Refused, TooBig, parse_time
from app.ports import ListedDelivery

KEPT_S = 3 * 24 * 3600.0
PER_PAGE = 100
MAX_PAGES = 1_000
"""Of an hour's 5,000 requests as the App; 100,000 deliveries in 3 days are one every 3 seconds."""
OK = "OK"


class _AttemptWire(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt in the list. `status_code` is no help: of a timeout nobody knows which it is."""

    id: int
    guid: str
    delivered_at: str
    status: str
    event: str
    action: str | None = None


class _RequestWire(msgspec.Struct, frozen=True, kw_only=True):
    payload: msgspec.Raw = msgspec.Raw(b"null")


class _DeliveryWire(msgspec.Struct, frozen=True, kw_only=True):
    request: _RequestWire


class GitHubDeliveries:
    """The port Deliveries."""

    def __init__(self, github: GitHub) -> None:
        self._github = github

    async def listed(self, since: float) -> Sequence[ListedDelivery]:
        """List what was delivered since then, or tried to be; oldest first.

        A delivery is failed when none of its attempts since then went well.
        """
        await self._github.identity()  # whoever judges these must know our own name
        since = max(since, self._github.clock.now() - KEPT_S)
        attempts = defaultdict[str, list[_AttemptWire]](list)
        pages = self._github.app.pages(
            "/app/hook/deliveries",
            tuple[_AttemptWire, ...],
            per_page=PER_PAGE,
            max_pages=MAX_PAGES,
        )
        async for page in pages:  # the newest first
            for attempt in page:
                attempts[attempt.guid].append(attempt)
            if page and _time(page[-1]) < since:
                break
        deliveries = (_delivery(guid, found) for guid, found in attempts.items())
        return sorted((d for d in deliveries if d.delivered_at >= since), key=_age)

    async def fetch(self, delivery: ListedDelivery) -> bytes | None:
        try:
            path = f"/app/hook/deliveries/{delivery.id}"
            found = await self._github.app.get_json(path, _DeliveryWire)
        except (NotFound, Refused, TooBig) as exc:
            log.warning("delivery.gone", delivery=delivery.guid, reason=str(exc))
            return None
        return bytes(found.request.payload)


def _delivery(guid: str, attempts: Sequence[_AttemptWire]) -> ListedDelivery:
    latest = max(attempts, key=_time)
    return ListedDelivery(
        guid=guid,
        id=latest.id,
        delivered_at=_time(latest),
        is_failed=all(attempt.status != OK for attempt in attempts),
        event=latest.event,
        action=latest.action or "",
    )


def _age(delivery: ListedDelivery) -> tuple[float, int]:
    return delivery.delivered_at, delivery.id


def _time(attempt: _AttemptWire) -> float:
    try:
        return parse_time(attempt.delivered_at)
    except ValueError as exc:
        raise Unavailable("GitHub tells a delivery's time in a form that we cannot read") from exc
