"""What can go wrong on the way to GitHub, on demand; and a record of every request that came.

An ASGI layer around the stand-in. After a fault "after" the effect stands; the answer is lost.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal, Protocol

import httpx
import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One kind of trouble for the next `times` requests that match; `path` is a regex, searched.

    Waits `delay_s`, then answers `status`, or cuts the connection, or (neither) lets it pass.
    """

    path: str
    method: str = ""
    status: int | None = None
    message: str = "Server Error"
    headers: dict[str, str] = {}
    cut: bool = False
    delay_s: float = 0.0
    when: Literal["before", "after"] = "before"
    times: int = 1

    def matches(self, method: str, path: str) -> bool:
        return (
            self.times > 0
            and self.method in ("", method)
            and re.search(self.path, path) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """One request and its true answer; `fault` says that the client saw something else."""

    method: str
    path: str
    query: str
    accept: str
    status: int
    request_body: bytes
    response_body: bytes
    fault: Fault | None = None

    def json(self) -> object:
        """What was sent."""
        return json.loads(self.request_body)

    def answer(self) -> object:
        return json.loads(self.response_body)


class Recorded(Protocol):
    requests: list[RecordedRequest]
    faults: list[Fault]

    @property
    def now(self) -> Callable[[], float]: ...


@dataclass(slots=True)
class _Captured:
    """An answer kept back until it is known whether the client may see it."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")


class FaultsAndRecord:
    """The outermost layer: reads the request, applies faults, records, adds GitHub's headers."""

    def __init__(self, app: ASGIApp, state: Recorded) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        fault = self._next_fault(scope)
        captured = _Captured()
        if fault is not None and fault.when == "before":
            await asyncio.sleep(fault.delay_s)
        if fault is not None and fault.when == "before" and (fault.cut or fault.status):
            await _answer_of(fault, scope, captured)
        else:
            await self._app(scope, _replay(body), captured.take)
        self._record(scope, body, captured, fault)
        if fault is not None and fault.when == "after":
            await asyncio.sleep(fault.delay_s)
            if fault.status:
                captured = _Captured()
                await _answer_of(fault, scope, captured)
        await self._send(captured, send, cut=fault is not None and fault.cut)

    def _next_fault(self, scope: Scope) -> Fault | None:
        for fault in self._state.faults:
            if fault.matches(scope["method"], scope["path"]):
                fault.times -= 1
                return fault
        return None

    def _record(self, scope: Scope, body: bytes, captured: _Captured, fault: Fault | None) -> None:
        self._state.requests.append(
            RecordedRequest(
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                accept=Headers(scope=scope).get("accept", ""),
                status=captured.status,
                request_body=body,
                response_body=captured.body,
                fault=fault,
            )
        )

    async def _send(self, captured: _Captured, send: Send, *, cut: bool) -> None:
        start: Message = {
            "type": "http.response.start",
            "status": captured.status,
            "headers": captured.headers or [],
        }
        headers = MutableHeaders(raw=start["headers"])
        headers["date"] = formatdate(self._state.now(), usegmt=True)
        headers.setdefault("x-ratelimit-limit", "5000")
        headers.setdefault("x-ratelimit-remaining", str(max(0, 5000 - len(self._state.requests))))
        headers.setdefault("x-ratelimit-reset", str(int(self._state.now()) + 3600))
        headers.setdefault("x-ratelimit-resource", "core")
        if cut:
            # Over a port the promised bytes never come; in process the client meets the error.
            start["status"], headers["content-length"] = 200, "1000000"
            await send(start)
            raise httpx.ReadError("the stand-in cut the connection")
        await send(start)
        await send({"type": "http.response.body", "body": captured.body})


async def _answer_of(fault: Fault, scope: Scope, captured: _Captured) -> None:
    status = fault.status or 502
    content = {"message": fault.message, "status": str(status)}
    response = JSONResponse(content, status, fault.headers)
    await response(scope, _replay(b""), captured.take)


async def _read(receive: Receive) -> bytes | None:
    """Read a request's body; None of a client that hung up, or was killed, before its end."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body", False):
            return body


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
