"""The stand-in for GitHub: one Starlette app that keeps GitHub's rules over real git repositories.

It knows those rules on its own and imports nothing from the rooms that it tests. In process, give
`create_app(state)` to `httpx.ASGITransport`; over a port, set `state.api_url` and run it by uvicorn
with `date_header=False` (the stand-in tells its own time).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from app.demo import (
    auth,
    checks,
    contents,
    conversation,
    deliveries,
    graphql,
    reviews,
)
from app.demo.call import Answer, Call, NotFound, Refused, Route
from app.demo.faults import FaultsAndRecord
from app.demo.records import Repository
from app.demo.state import State

API_VERSIONS = ("", "2022-11-28", "2026-03-10")

# Literal paths go before those with a parameter in the same place.
ROUTES = (
    *deliveries.ROUTES,
    *graphql.ROUTES,
    *auth.ROUTES,
    *conversation.ROUTES,
    *reviews.ROUTES,
    *checks.ROUTES,
    *contents.ROUTES,
)

_BY_NAME, _BY_ID = "/repos/{owner}/{repo}", "/repositories/{repository_id}"


def create_app(state: State, more: Sequence[Route] = ()) -> Starlette:
    """Serve a state; `more` are routes that only some stories need."""
    routes = [
        HttpRoute(path, _endpoint(state, route), methods=[route.method])
        for route in (*more, *ROUTES)
        for path in _paths(route)
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(FaultsAndRecord, state=state)],
        exception_handlers={404: _not_found, 405: _not_found},
    )
    app.router.redirect_slashes = False
    return app


def _paths(route: Route) -> list[str]:
    """Every route of a repository answers by its name and by its id."""
    if not route.path.startswith(_BY_NAME):
        return [route.path]
    return [route.path, route.path.replace(_BY_NAME, _BY_ID)]


def _endpoint(state: State, route: Route) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        return _response(await asyncio.to_thread(_answer, state, route, request, body))

    return endpoint


def _answer(state: State, route: Route, request: Request, body: bytes) -> Answer:
    with state.lock:
        try:
            return route.handle(_let_in(state, route, request, body))
        except Refused as refused:
            return Answer(status=refused.status, content=refused.body, headers=refused.headers)


def _let_in(state: State, route: Route, request: Request, body: bytes) -> Call:
    headers, params = request.headers, dict(request.path_params)
    if not headers.get("user-agent"):
        raise Refused(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a "
            "User-Agent header.",
        )
    if headers.get("x-github-api-version", "") not in API_VERSIONS:
        raise Refused(400, "The API version is not supported.")
    authorization = headers.get("authorization", "")
    token = None
    if route.needs == "app":
        auth.verify_app(state, re.sub(r"^bearer ", "", authorization, flags=re.IGNORECASE))
    else:
        token = auth.find_token(state, authorization)
    found = _repository(state, request)
    if found is not None and route.needs != "app":
        auth.admit(state, token, found, request.method)
        auth.require(token, route.needs)
    return Call(
        state=state,
        path=request.url.path,
        params=params,
        query=request.query_params,
        accept=headers.get("accept", ""),
        body=body,
        token=token,
        found=found,
    )


def _repository(state: State, request: Request) -> Repository | None:
    """The repository that a path names; an old name is answered by a redirect."""
    params = request.path_params
    if "repository_id" in params:
        number = params["repository_id"]
        found = state.repositories.get(int(number)) if number.isdecimal() else None
    elif "repo" in params:
        name = f"{params['owner']}/{params['repo']}"
        found = state.find_repository(name)
        moved = state.old_names.get(name.lower())
        if found is None and moved is not None:
            raise _moved(state, request, moved)
    else:
        return None
    if found is None:
        raise NotFound
    return found


def _moved(state: State, request: Request, repository: Repository) -> Refused:
    rest = request.url.path.split("/", 4)[4:]
    query = f"?{request.url.query}" if request.url.query else ""
    tail = "".join(f"/{quote(part)}" for part in rest) + query
    location = f"{state.api_url}/repositories/{repository.id}{tail}"
    reads = request.method in ("GET", "HEAD")
    moved = Refused(
        301 if reads else 307,
        "Moved Permanently" if reads else "Temporary Redirect",
        headers={"location": location},
    )
    moved.body["url"] = location
    return moved


def _response(answer: Answer) -> Response:
    headers = dict(answer.headers)
    after = BackgroundTask(answer.after) if answer.after else None
    if answer.status == 204:
        return Response(status_code=204, headers=headers)
    if isinstance(answer.content, bytes):
        return Response(answer.content, answer.status, headers, answer.media_type, after)
    return JSONResponse(
        answer.content, answer.status, headers, media_type=answer.media_type, background=after
    )


async def _not_found(request: Request, exc: Exception) -> Response:
    return JSONResponse(NotFound().body, 404)
