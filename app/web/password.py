"""Lets in who knows the admin's password (HTTP basic; the user's name does not matter).

Whoever guesses is not heard for a while: his address soon, everybody when many guess.
"""

import base64
import binascii
import hmac
from collections import deque
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app import log
from app.ports import Clock
from app.review.rights import digest_of

FORGIVEN_S = 60.0
MAX_WRONG = 5
"""Wrong passwords from one address, within `FORGIVEN_S`, after which it is not heard."""
MAX_WRONG_IN_ALL = 100

_NOT_FOUND = PlainTextResponse("Not Found", HTTPStatus.NOT_FOUND)
_ASK = PlainTextResponse(
    "This takes the server's ADMIN_PASSWORD; any user name will do.\n",
    HTTPStatus.UNAUTHORIZED,
    {"WWW-Authenticate": 'Basic realm="codex-review", charset="UTF-8"'},
)
_WAIT = PlainTextResponse(
    "Too many wrong passwords: wait a minute.\n",
    HTTPStatus.TOO_MANY_REQUESTS,
    {"Retry-After": f"{FORGIVEN_S:.0f}"},
)


class Password:
    """The admin's password; without one nobody is let in, and nothing is there."""

    def __init__(self, password: str, clock: Clock) -> None:
        self._digest = digest_of(password) if password else None
        self._clock = clock
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MAX_WRONG_IN_ALL)

    @property
    def is_set(self) -> bool:
        return self._digest is not None

    def refusal(self, request: Request) -> Response | None:
        """Return what to answer whoever must not come in; None lets them in."""
        given = request.headers.get("authorization")
        if self._digest is None:
            return _NOT_FOUND
        if given is None:
            return _ASK
        address = request.client.host if request.client else ""
        if self._is_guessing(address):
            return _WAIT
        if hmac.compare_digest(digest_of(_password_in(given)), self._digest):
            return None
        self._wrong.append((self._clock.now(), address))
        log.warning("admin.wrong_password", recently=len(self._wrong))
        return _ASK

    def _is_guessing(self, address: str) -> bool:
        since = self._clock.now() - FORGIVEN_S
        recent = [who for at, who in self._wrong if at > since]
        return len(recent) >= MAX_WRONG_IN_ALL or recent.count(address) >= MAX_WRONG


def _password_in(authorization: str) -> str:
    scheme, _, encoded = authorization.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return text.partition(":")[2] if scheme.lower() == "basic" else ""
