"""What an App of ours may do, as `app.yml` says, and the manifest that creates one from it. Pure.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec
import yaml

from app.github.addresses import web_url

MAX_NAME = 34
"""Characters of an App's name."""
NOWHERE = "https://codex-review.invalid/webhook"
"""Reaches nobody, by RFC 2606: GitHub records what it tried to deliver there."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What an App may do and is told of."""

    default_permissions: dict[str, str]
    default_events: tuple[str, ...]


class Manifest(Rights, frozen=True, kw_only=True):
    """`app.yml`. `merge_queue` is what comes on top for whoever uses that."""

    url: str
    public: bool
    merge_queue: Rights


def read_manifest(text: str) -> Manifest:
    """Read `app.yml`."""
    return msgspec.convert(yaml.safe_load(text), Manifest)


def propose_name(owner: str) -> str:
    """Propose a name that is probably still free: it must be unique on all of GitHub."""
    return f"codex-review-{owner}"[:MAX_NAME].rstrip("-")


def render_manifest(
    manifest: Manifest,
    *,
    name: str,
    public_url: str,
    redirect_url: str,
    merge_queue: bool,
) -> str:
    """Render what GitHub is asked to create. An empty `public_url`: deliveries are fetched."""
    more = manifest.merge_queue if merge_queue else None
    permissions = manifest.default_permissions | (more.default_permissions if more else {})
    asked: Mapping[str, object] = {
        "name": name,
        "url": public_url or manifest.url,
        "public": manifest.public,
        "hook_attributes": {"url": hook_url(public_url), "active": True},
        "redirect_url": redirect_url,
        "default_permissions": permissions,
        "default_events": [*manifest.default_events, *(more.default_events if more else ())],
    }
    return msgspec.json.encode(asked).decode()


def hook_url(public_url: str) -> str:
    """Return where GitHub shall deliver to."""
    return f"{public_url}/webhook" if public_url else NOWHERE


def api_url(host: str) -> str:
    """Return the API of the GitHub that people see at this host."""
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return f"https://{host}/api/v3"


def creation_url(api: str, *, organisation: str, state: str) -> str:
    """Return where a browser posts the manifest; to the person's own account without a name."""
    where = f"/organizations/{quote(organisation, safe='')}" if organisation else ""
    return f"{web_url(api)}{where}/settings/apps/new?{urlencode({'state': state})}"
