"""What GitHub tells of our App: what it may do, where it is installed, what was delivered to it.

Knows GitHub's shapes; judges nothing.
"""

from collections.abc import Sequence

import msgspec

from app.github.transport import NotFound, Session

SOME = 100
"""The newest page tells how it is now."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    login: str = "somebody"
    type: str = "User"


class App(msgspec.Struct, frozen=True, kw_only=True):
    """The App as `GET /app` tells it."""

    slug: str
    html_url: str
    owner: Account | None = None
    permissions: dict[str, str] = {}
    events: tuple[str, ...] = ()

    def settings_page(self, web: str) -> str:
        """Return where its owner changes it, on the GitHub that people see at `web`."""
        owner = self.owner or Account()
        where = f"/organizations/{owner.login}" if owner.type == "Organization" else ""
        return f"{web}{where}/settings/apps/{self.slug}"


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """Where the App is installed, and what was accepted there."""

    html_url: str
    account: Account | None = None
    permissions: dict[str, str] = {}
    suspended_at: str | None = None


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """Where GitHub delivers to; empty where the App has no webhook."""

    url: str = ""
    insecure_ssl: str | float = "0"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver."""

    guid: str
    status: str
    status_code: int
    event: str


async def fetch_installations(app: Session) -> Sequence[Installed]:
    return await app.get_json("/app/installations", tuple[Installed, ...], per_page=SOME)


async def fetch_hook(app: Session) -> Hook:
    try:
        return await app.get_json("/app/hook/config", Hook)
    except NotFound:
        return Hook()


async def fetch_attempts(app: Session) -> Sequence[Attempt]:
    """Fetch the last ones, newest first."""
    return await app.get_json("/app/hook/deliveries", tuple[Attempt, ...], per_page=SOME)
