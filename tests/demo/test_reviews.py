"""Which reviews GitHub takes, which it refuses, and in which words."""

from collections.abc import Callable

import pytest

from app.demo import reviews
from app.demo.call import BODY_MAX
from app.demo.records import Place, PullRequest
from app.demo.state import State
from tests.demo.conftest import AFTER, Client

pytestmark = pytest.mark.anyio
PULL = "/repos/acme/shop/pulls/1"
ReviewOf = Callable[..., dict[str, object]]

NOT_IN_DIFF = [reviews.LINE_NOT_IN_DIFF, reviews.NO_DIFF_HUNK]


def on(line: int, **given: object) -> dict[str, object]:
    return {"path": "app.py", "body": "Look here.", "line": line, "side": "RIGHT", **given}


@pytest.mark.parametrize(
    "comment",
    [
        on(5),
        on(2),
        on(8),
        on(5, side="LEFT"),
        on(31),
        on(34),
        on(5, start_line=4, start_side="RIGHT"),
        on(5, start_line=5, start_side="LEFT"),
        on(33, side="LEFT"),
        on(2, path="new.py"),
    ],
)
async def test_a_line_inside_a_hunk_takes_a_comment(
    client: Client, pull: PullRequest, review_of: ReviewOf, comment: dict[str, object]
) -> None:
    answer = await client("POST", PULL + "/reviews", review_of(comment))
    assert answer.status_code == 200, answer.text
    [shown] = (await client("GET", PULL + "/comments")).json()
    assert shown["diff_hunk"].startswith("@@ -")
    assert (shown["line"], shown["side"]) == (comment["line"], comment["side"])
    assert shown["user"]["login"] == "codex-review[bot]"
    assert shown["pull_request_review_id"] == answer.json()["id"]


@pytest.mark.parametrize(
    ("comment", "errors"),
    [
        (on(1), NOT_IN_DIFF),
        (on(9), NOT_IN_DIFF),
        (on(20), NOT_IN_DIFF),
        (on(35), NOT_IN_DIFF),
        (on(34, side="LEFT"), NOT_IN_DIFF),
        (on(1, path="new.py", side="LEFT"), NOT_IN_DIFF),
        ({"path": "app.py", "body": "No line."}, NOT_IN_DIFF),
        (on(5, start_line=5), [reviews.START_AFTER_END]),
        (on(5, start_line=6), [reviews.START_AFTER_END]),
        (on(31, start_line=5), [reviews.OTHER_HUNK]),
        (on(5, start_line=1), [reviews.OTHER_HUNK]),
        (on(1, path="docs/a.md"), [reviews.BAD_PATH]),
        (on(1, path="b/app.py"), [reviews.BAD_PATH]),
        (on(5, body="x" * (BODY_MAX + 1)), [reviews.BODY_TOO_LONG]),
    ],
)
async def test_one_bad_comment_refuses_the_whole_review(
    client: Client,
    pull: PullRequest,
    review_of: ReviewOf,
    comment: dict[str, object],
    errors: list[str],
) -> None:
    answer = await client("POST", PULL + "/reviews", review_of(on(5), comment))
    assert (answer.status_code, answer.json()["errors"]) == (422, errors)
    assert (await client("GET", PULL + "/reviews")).json() == []
    assert (await client("GET", PULL + "/comments")).json() == []


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"body": ""}, ["Body can't be blank"]),
        ({"body": "x" * (BODY_MAX + 1)}, [reviews.BODY_TOO_LONG]),
        ({"commit_id": "0" * 40}, [reviews.COMMIT_GONE]),
    ],
)
async def test_a_review_is_refused_in_githubs_words(
    client: Client,
    pull: PullRequest,
    review_of: ReviewOf,
    given: dict[str, object],
    errors: list[str],
) -> None:
    answer = await client("POST", PULL + "/reviews", review_of(**given))
    assert (answer.status_code, answer.json()["errors"]) == (422, errors)


@pytest.mark.parametrize(
    "body",
    [
        {"body": None, "event": "COMMENT"},
        {"body": "x", "event": "comment"},
        {"body": "x", "event": "APPROVE"},
        {"body": "x", "event": "COMMENT", "bodyy": "x"},
        {"body": "x", "event": "COMMENT", "comments": [on(5, lines=6)]},
        {"body": "x", "event": "COMMENT", "comments": [on(5, position=1)]},
        {"body": "x", "event": "COMMENT", "comments": [on(5, side="right")]},
        {"body": "x", "event": "COMMENT", "comments": [on(5, start_line=None)]},
        {"body": "x", "event": "COMMENT", "comments": [{**on(5), "line": "5"}]},
        {"body": "x", "event": "COMMENT", "comments": [{"body": "x", "line": 5}]},
    ],
)
async def test_a_body_of_another_shape_is_an_invalid_request(
    client: Client, pull: PullRequest, body: dict[str, object]
) -> None:
    answer = await client("POST", PULL + "/reviews", body)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("Invalid request.\n\n")


async def test_broken_json_is_a_bad_request(client: Client, pull: PullRequest) -> None:
    headers = {"authorization": f"Bearer {client.token}"}
    answer = await client.http.post(PULL + "/reviews", content=b"{", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")


async def test_a_pending_review_stands_in_the_way_of_all_else(
    client: Client, pull: PullRequest, review_of: ReviewOf
) -> None:
    draft = {"body": "Later.", "comments": [on(5)]}
    pending = await client("POST", PULL + "/reviews", draft)
    assert pending.json()["state"] == "PENDING"
    assert "submitted_at" not in pending.json()
    assert (await client("GET", PULL + "/comments")).json() == []
    other = client.state.review(pull, "ann", "Hm.")
    said = client.state.review_comment(other, "Why?", Place(path="app.py", line=5))
    for path, body in (
        ("/reviews", draft),
        ("/reviews", review_of()),
        (f"/comments/{said.id}/replies", {"body": "x"}),
    ):
        refused = await client("POST", PULL + path, body)
        assert (refused.status_code, refused.json()["errors"]) == (422, [reviews.ONE_PENDING])
    path = f"{PULL}/reviews/{pending.json()['id']}"
    submitted = await client("POST", path + "/events", {"event": "COMMENT"})
    assert submitted.json()["state"] == "COMMENTED"
    shown = (await client("GET", PULL + "/comments")).json()
    assert [comment["body"] for comment in shown] == ["Look here.", "Why?"]
    assert (await client("DELETE", path)).status_code == 422


async def test_a_pending_review_is_seen_by_its_author_only(
    client: Client, state: State, pull: PullRequest
) -> None:
    review = state.review(pull, "ann", "Not yet.", review_state="PENDING")
    assert (await client("GET", PULL + "/reviews")).json() == []
    assert (await client("DELETE", f"{PULL}/reviews/{review.id}")).status_code == 404
    seen = await client("GET", PULL + "/reviews", token=state.personal_token("ann"))
    assert [item["id"] for item in seen.json()] == [review.id]


async def test_a_deleted_draft_leaves_nothing(client: Client, pull: PullRequest) -> None:
    made = await client("POST", PULL + "/reviews", {"comments": [on(5)]})
    assert (await client("DELETE", f"{PULL}/reviews/{made.json()['id']}")).status_code == 200
    assert (client.state.reviews, client.state.review_comments) == ({}, {})


async def test_a_locked_conversation_takes_no_comment(
    client: Client, state: State, pull: PullRequest, review_of: ReviewOf
) -> None:
    comment = state.review_comment(state.review(pull, "ann", ""), "x", Place(path="app.py"))
    pull.locked = True
    for path, body in (
        ("/pulls/1/reviews", review_of()),
        ("/issues/1/comments", {"body": "x"}),
        (f"/pulls/1/comments/{comment.id}/replies", {"body": "x"}),
    ):
        answer = await client("POST", "/repos/acme/shop" + path, body)
        assert answer.status_code == 403
        assert answer.json()["message"] == "Unable to create comment because issue is locked."


async def test_a_reply_goes_to_the_top_of_a_thread_only(
    client: Client, pull: PullRequest, review_of: ReviewOf
) -> None:
    await client("POST", PULL + "/reviews", review_of(on(5)))
    [top] = (await client("GET", PULL + "/comments")).json()
    reply = await client("POST", f"{PULL}/comments/{top['id']}/replies", {"body": "Yes."})
    assert (reply.status_code, reply.json()["in_reply_to_id"]) == (201, top["id"])
    deeper = f"{PULL}/comments/{reply.json()['id']}/replies"
    assert (await client("POST", deeper, {"body": "No."})).status_code == 404


async def test_a_comment_is_edited_by_its_author_only(
    client: Client, state: State, pull: PullRequest, review_of: ReviewOf
) -> None:
    await client("POST", PULL + "/reviews", review_of(on(5)))
    [ours] = (await client("GET", PULL + "/comments")).json()
    theirs = state.reply(state.review_comments[ours["id"]], "ann", "Why?")
    path = "/repos/acme/shop/pulls/comments/"
    assert (await client("PATCH", f"{path}{ours['id']}", {"body": "Fixed."})).status_code == 200
    assert (await client("PATCH", f"{path}{theirs.id}", {"body": "Hm."})).status_code == 403
    assert (await client("GET", f"{path}{ours['id']}")).json()["body"] == "Fixed."


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("first\n" + AFTER, 6),
        (AFTER.replace("line five\n", "line 5 again\n"), None),
        (None, None),
    ],
)
async def test_a_push_moves_a_comment_or_outdates_it(
    client: Client,
    state: State,
    pull: PullRequest,
    review_of: ReviewOf,
    content: str | None,
    line: int | None,
) -> None:
    await client("POST", PULL + "/reviews", review_of(on(5)))
    first = pull.head_sha
    state.push(pull, {"app.py": content})
    [shown] = (await client("GET", PULL + "/comments")).json()
    assert (shown["line"], shown["original_line"]) == (line, 5)
    assert (shown["original_commit_id"], shown["position"] is None) == (first, line is None)


async def test_an_older_commit_of_the_pull_request_can_still_be_reviewed(
    client: Client, state: State, pull: PullRequest, review_of: ReviewOf
) -> None:
    body = review_of(on(5))
    state.push(pull, {"app.py": None})
    assert (await client("POST", PULL + "/reviews", body)).status_code == 200
    state.push(pull, {"x.py": "1\n"}, force=True)
    gone = await client("POST", PULL + "/reviews", body)
    assert gone.json()["errors"] == [reviews.COMMIT_GONE]
