"""The file of credentials: read beneath the environment, written by set-up, taken up at once.

Knows lines and rights of files. Does not know what the settings mean.
"""

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Protocol

from dotenv import dotenv_values

from app.errors import Unusable
from app.ports import Deliveries
from app.settings import Settings, read_settings

CREDENTIALS_FILE = "CREDENTIALS_FILE"
DEFAULT = "codex-review.env"


class NewApp(Protocol):
    """What GitHub hands out, once, for an App that was just created."""

    @property
    def id(self) -> int: ...
    @property
    def pem(self) -> str: ...
    @property
    def webhook_secret(self) -> str: ...
    @property
    def html_url(self) -> str: ...


def credentials_file(environ: Mapping[str, str]) -> Path:
    """Return where credentials are kept."""
    return Path(environ.get(CREDENTIALS_FILE, "").strip() or DEFAULT).expanduser()


def read_environment(environ: Mapping[str, str], *, by_default: bool = True) -> dict[str, str]:
    """Lay the environment over the file of credentials. Raises Unusable.

    Without `by_default` only a file that was named is read: whoever reviews somebody's checkout
    must not obey a file that lies there.
    """
    told = {name: value for name, value in environ.items() if value.strip()}
    if not by_default and CREDENTIALS_FILE not in told:
        return told
    return {**_settings_in(_read(credentials_file(environ))), **told}


def _settings_in(text: str) -> dict[str, str]:
    found = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in found.items() if value}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise Unusable(f"{CREDENTIALS_FILE} {path} cannot be read: {exc}") from exc


def write_privately(path: Path, text: str) -> None:
    """Write a file that nobody else may read, wholly or not at all. Raises Unusable."""
    path = path.resolve()
    half = path.with_name(path.name + ".part")
    try:
        half.unlink(missing_ok=True)
        with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as exc:
        raise Unusable(f"{path} cannot be written ({exc.strerror}): check its folder") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Takes a new App into service. `exchange` asks GitHub for its credentials, by a code.

    `registered` is settled once they are on the disk; `is_up` is set by whoever runs on them.
    """

    environ: Mapping[str, str]
    exchange: Callable[[str, str], Awaitable[NewApp]]
    deliveries: Callable[[Settings], Deliveries]
    registered: "asyncio.Future[Settings]"
    is_up: asyncio.Event

    async def register(self, api_url: str, code: str, chosen: Mapping[str, str]) -> str:
        """Exchange the code, keep what it gives beside `chosen`, and return the App's page.

        Raises AppError.
        """
        new = await self.exchange(api_url, code)
        lines = {
            **chosen,
            "APP_ID": str(new.id),
            # On one line, and without a character that some reader of such files would change.
            "PRIVATE_KEY": base64.b64encode(new.pem.encode()).decode(),
            "WEBHOOK_SECRET": new.webhook_secret,
        }
        path = credentials_file(self.environ)
        kept = _read(path)
        text = kept if kept.endswith("\n") or not kept else kept + "\n"
        write_privately(path, text + "".join(f"{name}={value}\n" for name, value in lines.items()))
        self.registered.set_result(self._settings())
        await self.is_up.wait()
        return new.html_url

    async def first_delivery(self) -> bool | None:
        """Say whether one came; None where GitHub tried in vain. Raises AppError.

        A ping is sent before there is anybody to answer, and proves nothing.
        """
        settings = self._settings()
        listed = await self.deliveries(settings).listed(0.0)
        meant = [delivery for delivery in listed if delivery.event != "ping"]
        if any(settings.pull_s or not delivery.is_failed for delivery in meant):
            return True
        return None if meant else False

    def read_draft(self) -> str:
        """Return what set-up noted to itself."""
        return _read(self._draft)

    def keep_draft(self, text: str) -> None:
        """Keep what set-up must know after a restart."""
        write_privately(self._draft, text)

    def _settings(self) -> Settings:
        return read_settings(read_environment(self.environ))

    @property
    def _draft(self) -> Path:
        path = credentials_file(self.environ)
        return path.with_name(path.name + ".setup")
