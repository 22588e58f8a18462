"""The stand-in's answers against GitHub's own description, recordings and webhook examples.

A story touches every route that the stand-in has.
"""

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from app.demo import deliveries, events
from app.demo.github import ROUTES, create_app
from app.demo.records import Place, PullRequest
from app.demo.state import State, new_app
from tests.conformance.description import Description
from tests.events import (
    check_run_event,
    check_suite_event,
    installation_event,
    label_event,
    merge_group_event,
    review_comment_event,
    review_event,
)
from tests.registering import CONVERSIONS

REPO = "/repos/acme/shop"
LINES = "".join(f"line {number}\n" for number in range(1, 41))
NOT_DESCRIBED = {("GET", "/user"), ("POST", "/graphql")}
"""What the subset of the description leaves out, and what is no REST."""


@pytest.fixture
def state(tmp_path: Path) -> State:
    app, key = new_app("a secret")
    made = State(tmp_path, app)
    made.create_repository("acme/shop", {"app.py": LINES, "docs/a.md": "# A\n"})
    (tmp_path / "key.pem").write_text(key)
    return made


@pytest.fixture
def pull(state: State) -> PullRequest:
    [repository] = state.repositories.values()
    changed = LINES.replace("line 5\n", "line five\n")
    state.permit(repository, "ann", "write")
    return state.open_pull_request(
        repository, {"app.py": changed, "new.py": "1\n", "pic": b"\0"}, body="Please read."
    )


@pytest.fixture
async def http(state: State) -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app=create_app(state, [CONVERSIONS]))
    async with httpx.AsyncClient(transport=transport, base_url="https://api.github.com") as client:
        yield client


async def play(http: httpx.AsyncClient, state: State, pull: PullRequest) -> None:
    """Touch every route, with what is accepted and with what is refused."""
    now = int(state.now())
    key = (state.root / "key.pem").read_text()
    claims = {"iat": now - 60, "exp": now + 500, "iss": str(state.app.id)}
    as_app = {"authorization": f"Bearer {jwt.encode(claims, key, 'RS256')}"}
    [installation] = state.installations

    async def app(method: str, path: str, body: object = None) -> Any:
        answer = await http.request(method, path, json=body, headers=as_app)
        return answer.json()

    state.person("reader")
    comment = state.comment(pull, "ann", "@codex review")
    await deliveries.deliver(state, events.comment_event(state, comment))
    await app("GET", "/app")
    state.codes["code"] = (state.app, key, state.now() + 60)
    await http.post("/app-manifests/code/conversions")
    await app("GET", "/app/installations")
    await app("GET", f"/app/installations/{installation}")
    await app("GET", f"{REPO}/installation")
    await app("GET", "/app/hook/config")
    [delivery] = await app("GET", "/app/hook/deliveries")
    await app("GET", f"/app/hook/deliveries/{delivery['id']}")
    tokens = f"/app/installations/{installation}/access_tokens"
    await app("POST", tokens, {"permissions": {"contents": "write"}})
    granted = await app(
        "POST",
        tokens,
        {
            "repositories": ["shop"],
            "permissions": {
                "checks": "write",
                "contents": "read",
                "issues": "write",
                "pull_requests": "write",
            },
        },
    )
    as_token = {"authorization": f"Bearer {granted['token']}"}

    async def call(method: str, path: str, body: object = None, accept: str = "") -> Any:
        headers = {**as_token, "accept": accept or "application/vnd.github+json"}
        answer = await http.request(method, path, json=body, headers=headers)
        if accept or answer.status_code == 204:
            return None
        return answer.json()

    diff, raw = "application/vnd.github.diff", "application/vnd.github.raw+json"
    for path in (
        REPO,
        f"{REPO}/collaborators/ann/permission",
        f"{REPO}/collaborators/reader/permission",
        f"{REPO}/collaborators/nobody/permission",
        f"{REPO}/pulls/1",
        f"{REPO}/pulls/7",
        f"{REPO}/pulls/1/files",
        f"{REPO}/compare/main...feature",
        f"{REPO}/git/trees/{pull.base_sha}",
        f"{REPO}/git/trees/{pull.base_sha}?recursive=1",
    ):
        await call("GET", path)
    await call("GET", f"{REPO}/pulls/1", accept=diff)
    await call("GET", f"{REPO}/compare/main...feature", accept=diff)
    await call("GET", f"{REPO}/contents/app.py", accept=raw)

    # The conversation.
    said = await call("POST", f"{REPO}/issues/1/comments", {"body": "Reading."})
    await call("POST", f"{REPO}/issues/1/comments", {"body": ""})
    ours = f"{REPO}/issues/comments/{said['id']}"
    await call("PATCH", ours, {"body": "Read."})
    await call("GET", f"{REPO}/issues/1/comments")
    for subject in (ours, f"{REPO}/issues/1"):
        await react(call, subject)

    # Reviews.
    line = {"path": "app.py", "line": 5, "side": "RIGHT", "body": "Look."}
    span = {**line, "start_line": 4, "start_side": "RIGHT"}
    reviews = f"{REPO}/pulls/1/reviews"
    await call(
        "POST", reviews, {"body": "x", "event": "COMMENT", "comments": [{**line, "line": 30}]}
    )
    await call(
        "POST",
        reviews,
        {"commit_id": pull.head_sha, "body": "x", "event": "COMMENT", "comments": [line, span]},
    )
    draft = await call("POST", reviews, {"body": "x"})
    await call("POST", f"{reviews}/{draft['id']}/events", {"event": "COMMENT", "body": "y"})
    draft = await call("POST", reviews, {"body": "x"})
    await call("DELETE", f"{reviews}/{draft['id']}")
    await call("GET", reviews)
    comments = await call("GET", f"{REPO}/pulls/1/comments")
    top = comments[0]["id"]
    await call("POST", f"{REPO}/pulls/1/comments/{top}/replies", {"body": "Yes."})
    of_review = f"{REPO}/pulls/comments/{top}"
    await call("GET", of_review)
    await call("PATCH", of_review, {"body": "Fixed."})
    await react(call, of_review)

    # Checks.
    note = {
        "path": "app.py",
        "start_line": 1,
        "end_line": 1,
        "annotation_level": "notice",
        "message": "m",
    }
    output = {"title": "t", "summary": "s", "text": "x", "annotations": [note]}
    new = {"name": "codex review", "head_sha": pull.head_sha, "external_id": "run"}
    await call("POST", f"{REPO}/check-runs", {**new, "status": "completed"})
    run = await call(
        "POST", f"{REPO}/check-runs", {**new, "status": "in_progress", "output": output}
    )
    path = f"{REPO}/check-runs/{run['id']}"
    button = {"label": "Again", "description": "Review again", "identifier": "again"}
    await call("PATCH", path, {"conclusion": "neutral", "output": output, "actions": [button]})
    await call("GET", path)
    await call("GET", f"{REPO}/commits/{pull.head_sha}/check-runs?check_name=codex+review")


async def react(call: Any, subject: str) -> None:
    for _ in range(2):
        await call("POST", f"{subject}/reactions", {"content": "eyes"})


@pytest.mark.anyio
async def test_every_route_answers_as_described(
    description: Description, http: httpx.AsyncClient, state: State, pull: PullRequest
) -> None:
    await play(http, state, pull)
    problems, touched = [], set()
    for request in state.requests:
        template, _ = description.operation(request.method, request.path)
        touched.add((request.method, re.sub(r"\{\w+\}", "{}", template)))
        problems += [
            f"{request.method} {request.path} {request.status}: {problem}"
            for problem in description.problems(request)
        ]
    assert problems == []
    offered = {
        (route.method, re.sub(r"\{[\w:]+\}", "{}", route.path)) for route in (CONVERSIONS, *ROUTES)
    }
    assert touched == offered - NOT_DESCRIBED


# Old fields that GitHub has dropped, and what differs from App to App and from person to person.
NOT_PROMISED = re.compile(
    r"\.(temp_clone_token|allow_\w+|master_branch|delete_branch_on_merge|custom_properties)$"
    r"|\.(permissions|payload|headers)\."
    r"|\.body_(html|text)$"  # asked for by a media type of its own
)


def lacking(theirs: object, ours: object, path: str = "") -> set[str]:
    """The paths of the keys that GitHub sent and we do not; null and empty lists hide nothing."""
    if isinstance(theirs, list) and isinstance(ours, list):
        return lacking(theirs[0], ours[0], path) if theirs and ours else set()
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return set()
    lost = {f"{path}.{key}" for key in theirs.keys() - ours.keys()}
    for key in theirs.keys() & ours.keys():
        lost |= lacking(theirs[key], ours[key], f"{path}.{key}")
    return {name for name in lost if not NOT_PROMISED.search(name)}


@pytest.mark.anyio
async def test_what_github_really_sent_is_in_our_answers_too(
    shared: Path, description: Description, http: httpx.AsyncClient, state: State, pull: PullRequest
) -> None:
    await play(http, state, pull)
    ours: dict[tuple[str, str, int], list[object]] = {}
    for request in state.requests:
        if request.response_body[:1] in (b"{", b"["):
            template, _ = description.operation(request.method, request.path)
            key = (request.method, template, request.status)
            ours.setdefault(key, []).append(request.answer())
    compared, missing = 0, {}
    for exchange in json.loads((shared / "recorded" / "interactions.json").read_text("utf-8")):
        method, status = exchange["request"]["method"], exchange["response"]["status"]
        path = exchange["request"]["path"].partition("?")[0]
        if not description.knows(method, path):
            continue
        key = (method, description.operation(method, path)[0], status)
        body = exchange["response"]["body"]
        if key in ours and isinstance(body, dict | list):
            compared += 1
            lost = min((lacking(body, answer) for answer in ours[key]), key=len)
            if lost:
                missing[f"{key} {exchange['recorded']}"] = sorted(lost)
    assert missing == {}
    assert compared > 40


@pytest.mark.parametrize(
    "name",
    [
        "issue_comment.created",
        "pull_request.opened",
        "pull_request.synchronize",
        "pull_request.labeled",
        "merge_group.checks_requested",
        "pull_request_review.submitted",
        "pull_request_review_comment.created",
        "check_run.rerequested",
        "check_run.requested_action",
        "check_suite.rerequested",
        "installation.created",
    ],
)
def test_a_payload_has_all_that_githubs_example_has(
    shared: Path, state: State, pull: PullRequest, name: str
) -> None:
    pull.labels = ["bug"]
    example = json.loads((shared / "webhooks" / f"{name}.json").read_text("utf-8"))
    review = state.review(pull, "ann", "x")
    comment = state.review_comment(review, "x", Place(path="app.py", line=5))
    before, _ = pull.head_sha, state.push(pull, {"b.py": "1\n"})
    [installation] = state.installations.values()
    run = state.check_run(pull.repository, pull.head_sha, "codex review")
    made = {
        "issue_comment.created": events.comment_event(state, state.comment(pull, "ann", "x")),
        "pull_request.opened": events.pull_event(state, pull, "opened"),
        "pull_request.synchronize": events.push_event(state, pull, before),
        "pull_request.labeled": label_event(state, pull, "wip", "ann"),
        "merge_group.checks_requested": merge_group_event(state, pull),
        "pull_request_review.submitted": review_event(state, review),
        "pull_request_review_comment.created": review_comment_event(state, comment),
        "check_run.rerequested": check_run_event(state, run, "ann"),
        "check_run.requested_action": check_run_event(state, run, "ann", button="again"),
        "check_suite.rerequested": check_suite_event(state, run.suite, "ann"),
        "installation.created": installation_event(state, installation),
    }[name]
    assert (f"{made.name}.{made.action}", lacking(example, made.payload)) == (name, set())
