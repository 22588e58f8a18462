"""One exchange with a model server: what is sent, what comes back, within which limits.

Knows bytes, time-outs and broken connections; knows no protocol and never tries again.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field

import httpx

from app.llm.faults import Fault, Kind
from app.llm.sse import EventReader

MAX_ANSWER_BYTES = 8 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 60.0
"""How long a stream may fall silent once words have come; before, a model may be thinking."""

# What follows these is not waited for: some servers keep the connection open.
_LAST = re.compile(r'\s*\[DONE\]\s*\Z|.*"type"\s*:\s*"response\.(?:completed|incomplete|failed)"')
# Text in an event of any protocol; that of a role, or of a response that was only begun, has none.
_WORDS = re.compile(r'"(?:content|delta|text|reasoning|reasoning_content)"\s*:\s*"[^"]')
# Errors of TLS that another try does not mend.
_WRONG_TLS = re.compile(r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER")


@dataclass(slots=True, kw_only=True)
class Received:
    """What came back; `status` is 0 where nothing did, `fault` says how it broke off, if it did.

    `events` is filled where it was a stream, `is_ended` when that said itself that it is complete.
    """

    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)
    events: list[str] = field(default_factory=list)
    is_ended: bool = False
    has_words: bool = False
    fault: Fault | None = None

    @property
    def values(self) -> list[object]:
        """The JSON values of the events, or of the body; None for what is no JSON."""
        return [_loads(text) for text in self.events or [self.body.decode("utf-8", "replace")]]

    def take(self, events: list[str]) -> None:
        for event in events:
            self.is_ended = self.is_ended or _LAST.match(event) is not None
            self.has_words = self.has_words or _WORDS.search(event) is not None
        self.events += events


class Connection:
    """A model server's address and key."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        base_url: str,
        api_key: str,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
    ) -> None:
        self._client = client
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self._idle_timeout_s = idle_timeout_s

    async def send(
        self, method: str, path: str, content: bytes | None = None, *, timeout_s: float
    ) -> Received:
        """Make one request that takes `timeout_s` at most, from first to last byte."""
        received = Received()
        try:
            async with asyncio.timeout(timeout_s), asyncio.timeout(None) as silence:
                await self._exchange(method, path, content, received, silence, timeout_s)
        except TimeoutError:
            waited_s = self._idle_timeout_s if silence.expired() else timeout_s
            is_slow = received.has_words and not silence.expired()
            what = "did not finish its answer" if is_slow else "said nothing"
            text = f"the model server {what} within {round(waited_s, 1):g} s"
            received.fault = Fault(kind=Kind.PASSING, text=text)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as exc:
            # The exception's text may hold the key.
            text = "OPENAI_BASE_URL or OPENAI_API_KEY cannot be used as they are"
            received.fault = Fault(kind=Kind.DENIED, text=f"{text} ({type(exc).__name__})")
        except httpx.RequestError as exc:
            received.fault = _unreachable(exc)
        return received

    async def _exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        received: Received,
        silence: asyncio.Timeout,
        timeout_s: float,
    ) -> None:
        """Read into `received`; of an answer beyond the limit no more than the limit is read."""
        async with self._client.stream(
            method,
            f"{self.base_url}/{path}",
            content=content,
            headers=self._headers(),
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            follow_redirects=False,
        ) as response:
            received.status, received.headers = response.status_code, response.headers
            events = EventReader()
            async for piece in response.aiter_bytes():
                received.body += piece
                if len(received.body) > MAX_ANSWER_BYTES:
                    text = "the model server's answer is larger than 8 MiB"
                    received.fault = Fault(kind=Kind.UNKNOWN, text=text)
                    return
                received.take(events.feed(piece))
                if received.is_ended:
                    return
                if received.has_words:
                    now = asyncio.get_running_loop().time()
                    silence.reschedule(now + self._idle_timeout_s)
            received.take(events.close())

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Accept", b"application/json, text/event-stream"),
        ]
        if self.api_key:
            headers.append((b"Authorization", b"Bearer " + self.api_key.encode()))
        return headers


def _loads(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _unreachable(error: httpx.RequestError) -> Fault:
    if _WRONG_TLS.search(str(error)):
        text = "no secure connection to the model server; check OPENAI_BASE_URL and certificates"
        return Fault(kind=Kind.DENIED, text=text)
    text = f"the model server cannot be reached ({type(error).__name__})"
    return Fault(kind=Kind.PASSING, text=text)
