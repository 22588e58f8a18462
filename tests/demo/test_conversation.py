"""Issue comments and reactions."""

import pytest

from app.demo.call import BODY_MAX
from app.demo.records import PullRequest
from app.demo.state import State
from tests.demo.conftest import Client

pytestmark = pytest.mark.anyio
REPO = "/repos/acme/shop"


async def test_a_comment_of_the_app_says_so(client: Client, pull: PullRequest) -> None:
    made = await client("POST", f"{REPO}/issues/1/comments", {"body": "Done."})
    assert made.status_code == 201
    comment = made.json()
    assert comment["performed_via_github_app"]["id"] == client.state.app.id
    assert (comment["user"]["type"], comment["user"]["login"]) == ("Bot", "codex-review[bot]")
    path = f"{REPO}/issues/comments/{comment['id']}"
    assert (await client("PATCH", path, {"body": "Done!"})).json()["body"] == "Done!"
    assert [c["body"] for c in (await client("GET", f"{REPO}/issues/1/comments")).json()] == [
        "Done!"
    ]


async def test_peoples_comments_are_not_for_the_app_to_change(
    client: Client, state: State, pull: PullRequest
) -> None:
    path = f"{REPO}/issues/comments/{state.comment(pull, 'ann', 'Hello').id}"
    [shown] = (await client("GET", f"{REPO}/issues/1/comments")).json()
    assert shown["performed_via_github_app"] is None
    assert (await client("PATCH", path, {"body": "Bye"})).status_code == 403


@pytest.mark.parametrize(
    "body",
    [{"body": ""}, {"body": None}, {}, {"body": "x", "event": "x"}, {"body": "x" * (BODY_MAX + 1)}],
)
async def test_an_empty_or_endless_comment_is_refused(
    client: Client, pull: PullRequest, body: dict[str, object]
) -> None:
    assert (await client("POST", f"{REPO}/issues/1/comments", body)).status_code == 422
    assert client.state.issue_comments == {}


async def test_a_reaction_counts_once(client: Client, state: State, pull: PullRequest) -> None:
    comment = state.comment(pull, "ann", "@codex review")
    path = f"{REPO}/issues/comments/{comment.id}/reactions"
    first = await client("POST", path, {"content": "eyes"})
    again = await client("POST", path, {"content": "eyes"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    [shown] = (await client("GET", f"{REPO}/issues/1/comments")).json()
    assert shown["reactions"]["eyes"] == 1


async def test_reactions_go_to_issues_and_review_comments_but_not_to_pulls(
    client: Client, state: State, pull: PullRequest
) -> None:
    comment = state.comment(pull, "ann", "x")
    for path, status in (
        ("/issues/1/reactions", 201),
        (f"/issues/comments/{comment.id}/reactions", 201),
        (f"/pulls/comments/{comment.id}/reactions", 404),
        ("/pulls/1/reactions", 404),
    ):
        answer = await client("POST", REPO + path, {"content": "+1"})
        assert (path, answer.status_code) == (path, status)


async def test_an_unknown_reaction_is_refused(client: Client, pull: PullRequest) -> None:
    answer = await client("POST", f"{REPO}/issues/1/reactions", {"content": "thumbsup"})
    assert answer.status_code == 422
