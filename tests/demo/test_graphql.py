"""The stand-in's GraphQL answers what was selected, and refuses what GitHub's would."""

from typing import Any

import pytest

from app.demo.records import Place, PullRequest
from app.demo.state import State
from tests.demo.conftest import Client

pytestmark = pytest.mark.anyio

THREADS = """
query ($number: Int!, $after: String) {
  repository(owner: "acme", name: "shop") {
    pullRequest(number: $number) {
      reviewThreads(first: 2, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { id isResolved comments(first: 1) { nodes { body author { login } } } }
      }
    }
  }
}
"""
MINIMIZE = (
    'mutation { minimizeComment(input: {subjectId: "%s", classifier: %s}) '
    "{ minimizedComment { isMinimized } } }"
)
RESOLVE = 'mutation { resolveReviewThread(input: {threadId: "%s"}) { thread { isResolved } } }'
HERE = Place(path="app.py", line=5)


async def ask(client: Client, query: str, token: str | None = None, **variables: Any) -> Any:
    json = {"query": query, "variables": variables}
    answer = await client("POST", "/graphql", json, token=token)
    assert answer.status_code == 200
    told = answer.json()
    return told["errors"][0] if "errors" in told else told["data"]


async def test_threads_come_in_pages_with_what_was_selected(
    client: Client, state: State, pull: PullRequest
) -> None:
    review = state.review(pull, state.app.bot, "")
    first, *_ = [state.review_comment(review, f"No. {n}", HERE) for n in range(3)]
    state.reply(first, "riley", "Why?")
    state.review_comment(state.review(pull, "riley", "", review_state="PENDING"), "Hm.", HERE)
    seen, after = [], None
    for _ in range(2):
        told = await ask(client, THREADS, number=pull.number, after=after)
        page = told["repository"]["pullRequest"]["reviewThreads"]
        seen += [node["comments"]["nodes"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert not page["pageInfo"]["hasNextPage"]
    author = {"login": "codex-review"}
    assert seen == [[{"body": f"No. {n}", "author": author}] for n in range(3)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (THREADS.replace("pageInfo", "pageinfo"), "Field 'pageinfo' doesn't exist"),
        (THREADS.replace("first: 2, ", ""), "You must provide `first` or `last`"),
        (THREADS.replace("first: 2", "first: 101"), "You must provide `first` or `last`"),
        (THREADS.replace("acme", "nobody"), "Could not resolve to a Repository"),
        (THREADS.replace("$number)", "9)"), "Could not resolve to a PullRequest"),
        (THREADS[:-4], "Unexpected end of document"),
        (MINIMIZE % ("PRRC_x", "RESOLVED"), "Could not resolve to a node"),
        (MINIMIZE % ("PRRC_x", "FIXED"), "is no ReportedContentClassifiers"),
        (RESOLVE % "PRRT_x", "Could not resolve to a node"),
    ],
)
async def test_mistakes_are_told_with_status_200(
    client: Client, pull: PullRequest, query: str, message: str
) -> None:
    assert message in (await ask(client, query, number=pull.number, after=None))["message"]


async def test_resolving_needs_contents_write_and_minimising_does_not(
    client: Client, state: State, pull: PullRequest
) -> None:
    comment = state.review_comment(state.review(pull, state.app.bot, ""), "Told.", HERE)
    told = await ask(client, THREADS, number=pull.number, after=None)
    thread = told["repository"]["pullRequest"]["reviewThreads"]["nodes"][0]["id"]
    node = (await client("GET", f"/repos/acme/shop/pulls/comments/{comment.id}")).json()["node_id"]

    forbidden = {"type": "FORBIDDEN", "message": "Resource not accessible by integration"}
    reading = await client.new_token(permissions={"pull_requests": "read"})
    assert await ask(client, RESOLVE % thread) == forbidden
    assert await ask(client, MINIMIZE % (node, "RESOLVED"), reading) == forbidden
    assert (comment.minimized, comment.resolved_by) == (None, None)

    await ask(client, MINIMIZE % (node, "RESOLVED"))
    [installation] = state.installations.values()
    installation.permissions["contents"] = "write"
    await ask(client, RESOLVE % thread, await client.new_token())
    assert (comment.minimized, comment.resolved_by) == ("resolved", state.app.bot)
