"""How an App comes to be and gets installed: GitHub's pages for people, and the code's exchange.

Everybody who comes is signed in, and is the owner of what they name.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from app.demo import shapes
from app.demo.call import Answer, Call, NotFound, Refused, Route, parse_json
from app.demo.deliveries import deliver
from app.demo.records import Hook, Installation
from app.demo.state import AppIdentity, State, new_app
from tests.events import installation_event

CODE_LIFE_S = 3_600
NAME_MAX = 34


class HookAttributes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    url: str
    active: bool = True


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str
    hook_attributes: HookAttributes
    redirect_url: str
    public: bool = True
    default_permissions: dict[str, str] = {}
    default_events: list[str] = []


def ask_person(call: Call) -> Answer:
    """The page on which a person gives the App its last name, and creates it."""
    form = _form(call)
    manifest = _manifest(form)
    hidden = {"manifest": form["manifest"], "state": call.query.get("state", "")}
    body = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    return _page(
        "Create GitHub App",
        f'<form method="post" action="{escape(call.path)}/create">{body}'
        f'<label>Name <input name="name" value="{escape(manifest.name)}"></label>'
        "<button>Create GitHub App</button></form>",
    )


def create(call: Call) -> Answer:
    """Create the App, and send the browser back with a code for its key."""
    state, form = call.state, _form(call)
    manifest = _manifest(form)
    identity, private_key = new_app(secrets.token_hex(20))
    name = form.get("name") or manifest.name
    state.app = replace(
        identity,
        id=state.app.id + 1,
        slug=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        name=name,
        owner=call.params.get("org", "riley"),
        permissions=dict(manifest.default_permissions),
        events=tuple(manifest.default_events),
    )
    state.person(state.app.bot, "Bot")
    state.installations.clear()
    transport = state.hook.transport
    state.hook = Hook(url=manifest.hook_attributes.url, transport=transport)
    code = secrets.token_hex(20)
    state.codes[code] = (state.app, private_key, state.now() + CODE_LIFE_S)
    answer = urlencode({"code": code, "state": form.get("state", "")})
    return _redirect(f"{manifest.redirect_url}?{answer}")


def convert(call: Call) -> Answer:
    """Hand out the credentials of a new App, once."""
    app, private_key, until = call.state.codes.pop(call.params["code"], (None, "", 0.0))
    if app is None or until <= call.state.now():
        raise NotFound
    return Answer(status=201, content=_created(call.state, app, private_key))


def ask_for_place(call: Call) -> Answer:
    """The page on which a person chooses where the App shall be installed."""
    return _page(
        f"Install {escape(call.state.app.name)}",
        f'<form method="post" action="{escape(call.path)}"><button>Install</button></form>',
    )


def install(call: Call) -> Answer:
    """Install the App on every repository, and deliver that."""
    state = call.state
    for repository in state.repositories.values():
        repository.installed = repository.fork_of is None
    made = [_installation(state, owner) for owner in {r.owner for r in state.repositories.values()}]
    answer = _page("Installed", "<p>The App is installed.</p>")
    return replace(answer, after=partial(_tell, state, made))


async def _tell(state: State, made: list[Installation]) -> None:
    for installation in made:
        await deliver(state, installation_event(state, installation))


def _installation(state: State, owner: str) -> Installation:
    installation = Installation(
        id=state.next_id("installation"),
        account=owner,
        permissions=dict(state.app.permissions),
        created_at=state.now(),
    )
    state.installations[installation.id] = installation
    return installation


def _created(state: State, app: AppIdentity, private_key: str) -> shapes.Json:
    return {
        **shapes.app(state),
        "html_url": f"{state.api_url}/apps/{app.slug}",
        "client_secret": secrets.token_hex(20),
        "webhook_secret": app.webhook_secret,
        "pem": private_key,
    }


def _form(call: Call) -> Mapping[str, str]:
    return dict(parse_qsl(call.body.decode()))


def _manifest(form: Mapping[str, str]) -> Manifest:
    try:
        manifest = msgspec.convert(parse_json(form.get("manifest", "").encode()), Manifest)
    except msgspec.ValidationError as exc:
        raise Refused(422, f"Invalid GitHub App configuration: {exc}") from exc
    if not 0 < len(manifest.name) <= NAME_MAX:
        raise Refused(422, "Invalid GitHub App configuration: Name is too long")
    if urlsplit(manifest.hook_attributes.url).scheme not in ("http", "https"):
        raise Refused(422, "Invalid GitHub App configuration: Hook url is not supported")
    return manifest


def _page(title: str, body: str) -> Answer:
    text = f"<!doctype html><title>{title}</title><h1>{title}</h1>{body}"
    return Answer(content=text.encode(), media_type="text/html; charset=utf-8")


def _redirect(url: str) -> Answer:
    return Answer(status=302, content=b"", headers={"location": url})


_NEW, _NEW_IN = "/settings/apps/new", "/organizations/{org}/settings/apps/new"
_INSTALL = "/apps/{slug}/installations/new"

CONVERSIONS = Route("POST", "/app-manifests/{code}/conversions", convert, "")
ROUTES = (
    CONVERSIONS,
    Route("POST", _NEW, ask_person, ""),
    Route("POST", _NEW_IN, ask_person, ""),
    Route("POST", f"{_NEW}/create", create, ""),
    Route("POST", f"{_NEW_IN}/create", create, ""),
    Route("GET", _INSTALL, ask_for_place, ""),
    Route("POST", _INSTALL, install, ""),
)
