"""`/setup`: creates the GitHub App from a browser that came with the token `serve` printed.

Knows the steps, and who may take them. A token, a session and a state are each used by one browser,
and kept as hashes only; after a restart a browser goes on where it was.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app.errors import AppError
from app.github.manifest import (
    MAX_NAME,
    Manifest,
    api_url,
    creation_url,
    propose_name,
    render_manifest,
)
from app.ports import Clock
from app.web.html import page

PATH = "/setup"
COOKIE = "codex_review_setup"
SESSION_S = 24 * 3600
LOOK_AGAIN_S = 5
MAX_FORM_BYTES = 16 * 1024
PULL_S = 5

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_HOST = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}(?::[0-9]{1,5})?", re.ASCII)


class Office(Protocol):
    """Where Apps are registered, and what is remembered of it meanwhile."""

    async def register(self, api_url: str, code: str, chosen: Mapping[str, str]) -> str:
        """Exchange the code, run on what it gives, and return the App's page. Raises AppError."""

    async def first_delivery(self) -> bool | None:
        """Say whether one came; None where GitHub tried in vain. Raises AppError."""

    def read_draft(self) -> str: ...
    def keep_draft(self, text: str) -> None: ...


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """How far one browser has come. `chosen` are settings to be kept beside the credentials."""

    session: str
    until: float
    state: str = ""
    api_url: str = ""
    chosen: dict[str, str] = {}
    app_page: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the form says, as it was typed."""

    host: str = "github.com"
    kind: str = "person"
    owner: str = ""
    name: str = ""
    reach: str = "webhook"
    public_url: str = ""
    merge_queue: str = ""


@dataclass(slots=True, kw_only=True)
class SetUp:
    """What set-up works with. `api_url` and `public_url` are empty unless the operator named them.

    `token` lets one browser in, and is empty then. Once `has_app`, only whoever created it may
    still look.
    """

    office: Office
    manifest: Manifest
    clock: Clock
    token: str
    has_app: bool = False
    api_url: str = ""
    public_url: str = ""

    def route(self) -> Route:
        """Build the route of all steps."""
        return Route(PATH, self._answer, methods=["GET", "POST"])

    async def _answer(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if request.method == "GET" and self.token and _is_same(token, self.token):
            self.token = ""
            return self._let_in(request)
        draft = self._draft(request)
        is_over = self.has_app and draft is not None and not draft.app_page
        if draft is None or is_over or request.method == "HEAD":
            return PlainTextResponse("Not Found", HTTPStatus.NOT_FOUND)
        if "state" in request.query_params:
            return await self._come_back(request, draft)
        if draft.app_page:
            return await self._wait(draft)
        if request.method == "POST":
            return await self._confirm(request, draft)
        return self._form(Wish(reach="webhook" if self.public_url else "pull"))

    def _let_in(self, request: Request) -> Response:
        session = secrets.token_urlsafe(32)
        self._keep(Draft(session=_hash(session), until=self.clock.now() + SESSION_S))
        base = urlsplit(self._base(request))
        response = RedirectResponse("setup", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_S,
            path=base.path + PATH,
            secure=base.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    def _draft(self, request: Request) -> Draft | None:
        """Return what is kept of this browser's way; None for any other browser."""
        try:
            draft = msgspec.json.decode(self.office.read_draft(), type=Draft)
        except msgspec.MsgspecError:
            return None
        session = _hash(request.cookies.get(COOKIE, ""))
        is_ours = _is_same(session, draft.session) and self.clock.now() < draft.until
        return draft if is_ours else None

    def _keep(self, draft: Draft) -> None:
        self.office.keep_draft(msgspec.json.encode(draft).decode())

    def _base(self, request: Request) -> str:
        return self.public_url or str(request.base_url).rstrip("/")

    def _form(self, wish: Wish, problems: tuple[str, ...] = ()) -> HTMLResponse:
        return page(
            "setup.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
            wish=wish,
            problems=problems,
            max_name=MAX_NAME,
            fixed_api_url=self.api_url,
            fixed_public_url=self.public_url,
        )

    async def _confirm(self, request: Request, draft: Draft) -> Response:
        wish = await _read_wish(request)
        api = self.api_url or api_url(wish.host)
        public_url = "" if wish.reach == "pull" else self.public_url or wish.public_url.rstrip("/")
        problems = _problems(wish, api, public_url)
        if problems:
            return self._form(wish, problems)
        chosen = {
            "GITHUB_API_URL": "" if self.api_url else api,
            "PUBLIC_URL": "" if self.public_url else public_url,
            "PULL": str(PULL_S) if wish.reach == "pull" else "",
        }
        state = secrets.token_urlsafe(32)
        self._keep(
            msgspec.structs.replace(
                draft,
                state=_hash(state),
                api_url=api,
                chosen={name: value for name, value in chosen.items() if value},
            )
        )
        manifest = render_manifest(
            self.manifest,
            name=wish.name or propose_name(wish.owner),
            public_url=public_url,
            redirect_url=self._base(request) + PATH,
            merge_queue=bool(wish.merge_queue),
        )
        organisation = wish.owner if wish.kind == "organisation" else ""
        target = creation_url(api, organisation=organisation, state=state)
        there = urlsplit(target)
        return page(
            "confirm.html",
            posts_to=f"{there.scheme}://{there.netloc}",
            # Without it the form would come from nowhere; the address of this page stays here.
            headers={"Referrer-Policy": "strict-origin"},
            host=there.netloc,
            asked=msgspec.json.decode(manifest),
            manifest=manifest,
            creation_url=target,
            is_pull=wish.reach == "pull",
        )

    async def _come_back(self, request: Request, draft: Draft) -> Response:
        params = request.query_params
        if not draft.state or not _is_same(_hash(params["state"]), draft.state):
            return PlainTextResponse("Not Found", HTTPStatus.NOT_FOUND)
        draft = msgspec.structs.replace(draft, state="")
        self._keep(draft)
        try:
            app_page = await self.office.register(
                draft.api_url, params.get("code", ""), draft.chosen
            )
        except AppError as exc:
            return page("trouble.html", HTTPStatus.BAD_GATEWAY, trouble=str(exc))
        self.token, self.has_app = "", True
        self._keep(msgspec.structs.replace(draft, app_page=app_page))
        return RedirectResponse("setup", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    async def _wait(self, draft: Draft) -> Response:
        trouble = ""
        try:
            has_come = await self.office.first_delivery()
        except AppError as exc:
            has_come, trouble = False, str(exc)
        if has_come is None:
            trouble = (
                "GitHub tried to deliver, and could not: is the public URL right, and does it "
                "lead here? `codex-review doctor` says more."
            )
        return page(
            "installed.html",
            headers={} if has_come else {"Refresh": str(LOOK_AGAIN_S)},
            has_come=has_come,
            trouble=trouble,
            install_url=f"{draft.app_page}/installations/new",
        )


async def _read_wish(request: Request) -> Wish:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    typed = {name: value.strip() for name, value in parse_qsl(body.decode("utf-8", "replace"))}
    wish = msgspec.convert(typed, Wish)
    return msgspec.structs.replace(wish, host=wish.host.lower())


def _problems(wish: Wish, api: str, public_url: str) -> tuple[str, ...]:
    """List what cannot be sent to GitHub as it is."""
    found = []
    if not _HOST.fullmatch(wish.host):
        found.append("Host: give a bare host name, such as github.com.")
    if not _LOGIN.fullmatch(wish.owner):
        found.append("Owner: give the account's name as it stands in its address on GitHub.")
    if len(wish.name) > MAX_NAME or not wish.name.isprintable():
        found.append(f"Name: GitHub takes at most {MAX_NAME} characters, on one line.")
    if wish.reach != "pull":
        found += _problems_of_url(public_url, api)
    return tuple(found)


def _problems_of_url(url: str, api: str) -> list[str]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    is_plain = parts.scheme in ("http", "https") and bool(parts.hostname)
    if (
        not is_plain
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or not url.isprintable()
    ):
        return ["Public URL: give an address such as https://reviews.example.com, or fetch them."]
    if _is_this_machine(parts.hostname) and not _is_this_machine(urlsplit(api).hostname):
        return ["Public URL: GitHub does not deliver to this machine's own address; fetch them."]
    return []


def _is_this_machine(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost" or (host or "").endswith(".localhost")


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
