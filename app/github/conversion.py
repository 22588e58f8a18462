"""Exchanges the code that GitHub gives for a new App, once, for the App's credentials.

Whoever has the code can have the key, so that it stands in no log: one bare request.
"""

import httpx
import msgspec

from app.errors import AppError, Permanent, Unavailable
from app.github.transport import API_VERSION, JSON, REQUEST_TIMEOUT_S, USER_AGENT, decode, segment


class NewApp(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub hands out for it."""

    id: int
    pem: str
    webhook_secret: str
    html_url: str

    def __repr__(self) -> str:
        return f"NewApp(id={self.id}, …)"


async def convert(http: httpx.AsyncClient, api_url: str, code: str) -> NewApp:
    """Ask for a new App's credentials. Raises AppError; the code is used up then too."""
    headers = {"Accept": JSON, "User-Agent": USER_AGENT, "X-GitHub-Api-Version": API_VERSION}
    url = f"{api_url}/app-manifests/{segment(code)}/conversions"
    try:
        answer = await http.post(url, headers=headers, timeout=REQUEST_TIMEOUT_S)
    except httpx.RequestError as exc:
        raise Unavailable(f"{api_url} did not answer ({type(exc).__name__})") from None
    if answer.status_code != httpx.codes.CREATED:
        raise _refused(answer.status_code, api_url)
    try:
        return decode(answer.content, NewApp)
    except Unavailable:  # its text would tell where in the answer, and no more
        raise Permanent(f"{api_url} answered without an App's credentials") from None


def _refused(status: int, api_url: str) -> AppError:
    if status == httpx.codes.NOT_FOUND:
        return Permanent("GitHub does not know this code any more: it lives an hour, for one use")
    return Unavailable(f"{api_url} answered {status}")
