"""One request to the stand-in and its answer, as the subject modules see them: no HTTP here."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from app.demo.records import PullRequest, Repository, Token
from app.demo.shapes import Json
from app.demo.state import State

DOCUMENTATION = "https://docs.github.com/rest"
BODY_MAX = 65_536  # "Body is too long (maximum is 65536 characters)"

_PER_PAGE_MAX = 100
_PER_PAGE = 30

T = TypeVar("T")


class Refused(Exception):
    """GitHub says no. `errors` are texts for reviews, objects elsewhere."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[str | Mapping[str, object]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: Json = {
            "message": message,
            "documentation_url": DOCUMENTATION,
            "status": str(status),
        }
        if errors:
            self.body["errors"] = list(errors)


class NotFound(Refused):
    def __init__(self) -> None:
        super().__init__(404, "Not Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`content` is JSON, or bytes of `media_type`; `after` runs once the answer is made."""

    status: int = 200
    content: object = None
    media_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was let in: by the App itself (no token), by a token, or by anyone."""

    state: State
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    accept: str
    body: bytes
    token: Token | None = None
    found: Repository | None = None

    @property
    def repository(self) -> Repository:
        if self.found is None:
            raise NotFound
        return self.found

    @property
    def login(self) -> str:
        if self.token is None:
            raise Refused(401, "Requires authentication")
        return self.token.login

    @property
    def pull(self) -> PullRequest:
        pull = self.repository.pulls.get(self.number("number"))
        if pull is None:
            raise NotFound
        return pull

    def number(self, name: str) -> int:
        try:
            return int(self.params[name])
        except ValueError:
            raise NotFound from None

    def wants(self, media: str) -> bool:
        """Whether `Accept` names this of GitHub's media types, such as `diff` or `raw`."""
        return f"application/vnd.github.{media}" in self.accept or f".v3.{media}" in self.accept

    def read(self, shape: type[T]) -> T:
        """Take the body apart; keys that GitHub does not document are refused, to catch typos."""
        try:
            return msgspec.convert(parse_json(self.body), shape)
        except msgspec.ValidationError as exc:
            raise Refused(422, f"Invalid request.\n\n{exc}") from exc


def parse_json(body: bytes) -> object:
    try:
        parsed: object = json.loads(body or b"{}")
    except ValueError:
        raise Refused(400, "Problems parsing JSON") from None
    return parsed


def paged(
    call: Call, items: Sequence[T], shape: Callable[[T], Json], *, under: str | None = None
) -> Answer:
    """One page of a list, with GitHub's `Link` header; `under` names the key of wrapped lists."""
    size, page = page_asked(call)
    last = max(1, -(-len(items) // size))
    shown: list[Json] = [shape(item) for item in items[(page - 1) * size : page * size]]
    links = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    header = ", ".join(
        f'<{_page_url(call, to)}>; rel="{name}"'
        for name, to in links.items()
        if 1 <= to <= last and (page < last if name in ("next", "last") else page > 1)
    )
    content = shown if under is None else {"total_count": len(items), under: shown}
    return Answer(content=content, headers={"link": header} if header else {})


def page_asked(call: Call) -> tuple[int, int]:
    """How many items to a page, and which page (from 1)."""
    size = min(_positive(call.query.get("per_page"), _PER_PAGE), _PER_PAGE_MAX)
    return size, _positive(call.query.get("page"), 1)


def _positive(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and int(text) > 0 else default


def _page_url(call: Call, page: int) -> str:
    return f"{call.state.api_url}{call.path}?{urlencode({**call.query, 'page': page})}"


@dataclass(frozen=True, slots=True)
class Route:
    """`needs` is "app" (a JWT), "" (any token), or permissions: "a=write,b=read; c=read"
    (`,` is and, `;` is or, as in the header X-Accepted-GitHub-Permissions)."""

    method: str
    path: str
    handle: Callable[[Call], Answer]
    needs: str
