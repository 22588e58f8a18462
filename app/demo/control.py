"""The stand-in's own door, for whoever runs it in another process: what happened, and what shall.

    GET    /_standin/state                                       everything, as JSON
    POST   /_standin/faults                                      a `Fault`, or a list of them
    DELETE /_standin/faults                                      no more trouble
    POST   /_standin/deliveries                                  {"guid"}: deliver again
    POST   /_standin/pull-requests/{owner}/{repo}/{n}/comments   {"login", "body"}
    POST   /_standin/pull-requests/{owner}/{repo}/{n}/commits    {"files": {path: text}, "force"}

A text of null removes the file. What people do is delivered to the hook at once; the answer is the
delivery, with its status.
"""

import asyncio
from collections import Counter

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.demo import pull_shapes, shapes
from app.demo.deliveries import deliver, redeliver
from app.demo.events import comment_event, push_event
from app.demo.faults import CONTROL_PREFIX, Fault
from app.demo.records import CheckRun, PullRequest
from app.demo.shapes import Json
from app.demo.state import State


class Said(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    login: str
    body: str


class Pushed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    files: dict[str, str | None]
    message: str = "More"
    force: bool = False


class Again(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    guid: str


def routes(state: State) -> list[Route]:
    async def show(request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(describe, state))

    async def trouble(request: Request) -> Response:
        body = await request.body()
        faults = msgspec.json.decode(body, type=Fault | list[Fault])
        state.faults += [faults] if isinstance(faults, Fault) else faults
        return Response(status_code=204)

    async def peace(request: Request) -> Response:
        state.faults.clear()
        return Response(status_code=204)

    async def comment(request: Request) -> Response:
        said = msgspec.json.decode(await request.body(), type=Said)
        made = state.comment(_pull(state, request), said.login, said.body)
        event = await asyncio.to_thread(comment_event, state, made)
        return JSONResponse(shapes.delivery(await deliver(state, event)), 201)

    async def push(request: Request) -> Response:
        pushed = msgspec.json.decode(await request.body(), type=Pushed)
        pull = _pull(state, request)
        before = pull.head_sha
        await asyncio.to_thread(
            state.push, pull, pushed.files, message=pushed.message, force=pushed.force
        )
        event = await asyncio.to_thread(push_event, state, pull, before)
        return JSONResponse(shapes.delivery(await deliver(state, event)), 201)

    async def again(request: Request) -> Response:
        guid = msgspec.json.decode(await request.body(), type=Again).guid
        if all(item.guid != guid for item in state.deliveries):
            raise HTTPException(404)
        return JSONResponse(shapes.delivery(await redeliver(state, guid)), 201)

    pull_path = CONTROL_PREFIX + "pull-requests/{owner}/{repo}/{number:int}"
    return [
        Route(CONTROL_PREFIX + "state", show),
        Route(CONTROL_PREFIX + "faults", trouble, methods=["POST"]),
        Route(CONTROL_PREFIX + "faults", peace, methods=["DELETE"]),
        Route(CONTROL_PREFIX + "deliveries", again, methods=["POST"]),
        Route(pull_path + "/comments", comment, methods=["POST"]),
        Route(pull_path + "/commits", push, methods=["POST"]),
    ]


def describe(state: State) -> Json:
    """All that was said and done, per pull request and in the order in which it happened."""
    with state.lock:
        requests = Counter(f"{r.method} {r.path} {r.status}" for r in state.requests)
        return {
            "pull_requests": [_describe_pull(state, pull) for pull in state.pull_requests()],
            "check_runs": [_describe_run(state, run) for run in state.check_runs.values()],
            "deliveries": [shapes.delivery(item) for item in state.deliveries],
            "requests": dict(requests),
        }


def _describe_pull(state: State, pull: PullRequest) -> Json:
    reviews = [review for review in state.reviews.values() if review.pull is pull]
    issue_comments = [c for c in state.issue_comments.values() if c.pull is pull]
    return {
        "repository": pull.repository.full_name,
        "number": pull.number,
        "head_sha": pull.head_sha,
        "reactions": _reactions(state, ("issue", pull.issue_id)),
        "comments": [
            {
                **pull_shapes.issue_comment(state, comment),
                "minimized": comment.minimized,
                "reactions": _reactions(state, ("issue_comment", comment.id)),
            }
            for comment in issue_comments
        ],
        "reviews": [
            {
                **pull_shapes.review(state, review),
                "minimized": review.minimized,
                "comments": [
                    {
                        **pull_shapes.review_comment(state, comment),
                        "minimized": comment.minimized,
                        "resolved_by": comment.resolved_by,
                        "reactions": _reactions(state, ("review_comment", comment.id)),
                    }
                    for comment in state.comments_of(review)
                ],
            }
            for review in reviews
        ],
    }


def _describe_run(state: State, run: CheckRun) -> Json:
    annotations, actions = list(run.annotations), list(run.actions)
    shape = shapes.check_run(state, run)
    return {**shape, "annotations": annotations, "actions": actions, "history": list(run.history)}


def _reactions(state: State, subject: tuple[str, int]) -> list[Json]:
    found = state.reactions_to(subject)
    return [{"content": item.content, "login": item.login} for item in found]


def _pull(state: State, request: Request) -> PullRequest:
    params = request.path_params
    repository = state.find_repository(f"{params['owner']}/{params['repo']}")
    if repository is None or params["number"] not in repository.pulls:
        raise HTTPException(404)
    return repository.pulls[params["number"]]
