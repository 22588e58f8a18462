"""Whether the process lives, and whether it can work: for whatever restarts and routes."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Literal

import msgspec

from app.web.openapi import Call, Operation, Reply


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether deliveries can be taken; `missing` is what → why not."""

    status: Literal["ready", "not ready"]
    missing: dict[str, str]


def probes(look: Callable[[], Awaitable[Mapping[str, str]]]) -> tuple[Operation, ...]:
    """Build the probes; `look` returns what is missing."""

    async def healthz(call: Call) -> Reply:
        return Reply(body=Alive())

    async def readyz(call: Call) -> Reply:
        missing = dict(await look())
        if not missing:
            return Reply(body=Readiness(status="ready", missing={}))
        body = Readiness(status="not ready", missing=missing)
        return Reply(body=body, status=HTTPStatus.SERVICE_UNAVAILABLE)

    return (
        Operation(
            method="GET",
            path="/healthz",
            name="isAlive",
            summary="Say that the process lives.",
            handle=healthz,
            answers={200: Alive},
        ),
        Operation(
            method="GET",
            path="/readyz",
            name="isReady",
            summary="Say whether deliveries can be taken, and what is missing.",
            handle=readyz,
            answers={200: Readiness, 503: Readiness},
        ),
    )
