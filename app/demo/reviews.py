"""Reviews and comments on the diff, and every reason for which GitHub refuses them.

All or nothing: one comment that cannot be placed refuses the whole review, and the answer does not
say which it was. `position` (deprecated) is not known here, so that nobody comes to use it.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from app.demo import pull_shapes
from app.demo.call import BODY_MAX, Answer, Call, NotFound, Refused, Route, paged
from app.demo.conversation import NewComment, checked_body, refuse_locked, refuse_others
from app.demo.diffs import FileChange, Side
from app.demo.records import Place, PullRequest, Review, ReviewComment

Event = Literal["COMMENT"]
"""An App that approves or blocks would be found out: that is for people."""

LINE_NOT_IN_DIFF = "Pull request review thread line must be part of the diff"
NO_DIFF_HUNK = "Pull request review thread diff hunk can't be blank"
OTHER_HUNK = "Pull request review thread start line must be part of the same hunk as the line."
START_AFTER_END = "Pull request review thread start line must precede the end line."
BAD_PATH = "Pull request review thread path is invalid"
COMMIT_GONE = "end_commit_oid is not part of the pull request"
ONE_PENDING = "User can only have one pending review per pull request"
BODY_TOO_LONG = f"Body is too long (maximum is {BODY_MAX} characters)"


class Spot(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a comment shall stand."""

    path: str
    body: str
    line: int | UnsetType = UNSET
    side: Side = "RIGHT"
    start_line: int | UnsetType = UNSET
    start_side: Side | UnsetType = UNSET


class NewReview(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    commit_id: str | UnsetType = UNSET
    body: str = ""
    event: Event | None = None
    comments: list[Spot] = []


class Submission(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    event: Event
    body: str = ""


def list_reviews(call: Call) -> Answer:
    return paged(call, _visible(call), lambda item: pull_shapes.review(call.state, item))


def create_review(call: Call) -> Answer:
    pull = call.pull
    refuse_locked(pull)
    asked = call.read(NewReview)
    _refuse_second_pending(call, pull)
    _check_body(asked.event, asked.body, has_comments=bool(asked.comments))
    commit_id = _part_of(pull, asked.commit_id)
    changes = pull.changes(commit_id)
    places = [_place(changes, spot) for spot in asked.comments]
    errors = [error for place in places if isinstance(place, list) for error in place]
    errors += [BODY_TOO_LONG for spot in asked.comments if len(spot.body) > BODY_MAX]
    if errors:
        raise _unprocessable(*dict.fromkeys(errors))
    review = call.state.review(
        pull,
        call.login,
        asked.body,
        review_state="COMMENTED" if asked.event else "PENDING",
        commit_id=commit_id,
    )
    for spot, place in zip(asked.comments, places, strict=True):
        if isinstance(place, Place):
            call.state.review_comment(review, spot.body, place)
    return Answer(content=pull_shapes.review(call.state, review))


def delete_review(call: Call) -> Answer:
    review = _review(call)
    if review.state != "PENDING":
        raise _unprocessable("Can not delete a non-pending pull request review")
    for comment in call.state.comments_of(review):
        del call.state.review_comments[comment.id]
    del call.state.reviews[review.id]
    return Answer(content=pull_shapes.review(call.state, review))


def submit_review(call: Call) -> Answer:
    review = _review(call)
    refuse_locked(review.pull)
    asked = call.read(Submission)
    if review.state != "PENDING":
        raise _unprocessable("Can not submit a review that is not pending")
    body = asked.body or review.body
    _check_body(asked.event, body, has_comments=True)
    review.body, review.state = body, "COMMENTED"
    review.submitted_at = call.state.now()
    return Answer(content=pull_shapes.review(call.state, review))


def list_comments(call: Call) -> Answer:
    found = [
        comment
        for comment in call.state.review_comments.values()
        if comment.pull is call.pull and comment.review.state != "PENDING"
    ]
    if call.query.get("direction") == "desc" and "sort" in call.query:
        found.reverse()
    return paged(call, found, lambda item: pull_shapes.review_comment(call.state, item))


def create_reply(call: Call) -> Answer:
    top = call.state.review_comments.get(call.number("comment"))
    if top is None or top.pull is not call.pull or top.in_reply_to is not None:
        raise NotFound
    refuse_locked(call.pull)
    _refuse_second_pending(call, call.pull)
    body = checked_body(call.read(NewComment).body, "PullRequestReviewComment")
    reply = call.state.reply(top, call.login, body)
    return Answer(status=201, content=pull_shapes.review_comment(call.state, reply))


def get_comment(call: Call) -> Answer:
    return Answer(content=pull_shapes.review_comment(call.state, _comment(call)))


def update_comment(call: Call) -> Answer:
    comment = _comment(call)
    refuse_others(call, comment.author)
    comment.body = checked_body(call.read(NewComment).body, "PullRequestReviewComment")
    comment.updated_at = call.state.now()
    return Answer(content=pull_shapes.review_comment(call.state, comment))


def _check_body(event: Event | None, body: str, *, has_comments: bool) -> None:
    if len(body) > BODY_MAX:
        raise _unprocessable(BODY_TOO_LONG)
    is_blank = not body and not has_comments if event is None else not body.strip()
    if is_blank:
        raise _unprocessable("Body can't be blank")


def _refuse_second_pending(call: Call, pull: PullRequest) -> None:
    """A pending review of its author stands in the way of everything else that they would say."""
    for review in call.state.reviews.values():
        if (review.pull, review.author, review.state) == (pull, call.login, "PENDING"):
            raise _unprocessable(ONE_PENDING)


def _part_of(pull: PullRequest, commit_id: str | UnsetType) -> str:
    if isinstance(commit_id, UnsetType):
        return pull.head_sha
    if commit_id not in pull.commits():
        raise _unprocessable(COMMIT_GONE)
    return commit_id


def _place(changes: Sequence[FileChange], spot: Spot) -> Place | list[str]:
    """Where the comment will stand, or why GitHub refuses it."""
    change = next((change for change in changes if change.path == spot.path), None)
    if change is None:
        return [BAD_PATH]
    line, start = _given(spot.line), _given(spot.start_line)
    hunk = None if line is None else change.find(spot.side, line)
    if hunk is None or line is None:
        return [LINE_NOT_IN_DIFF, NO_DIFF_HUNK]
    start_side = spot.side if isinstance(spot.start_side, UnsetType) else spot.start_side
    index = hunk.places[spot.side, line]
    if start is not None:
        started = hunk.places.get((start_side, start))
        if started is None:
            return [OTHER_HUNK]
        if started >= index:
            return [START_AFTER_END]
    return Place(
        path=change.path,
        side=spot.side,
        line=line,
        start_side=None if start is None else start_side,
        start_line=start,
        position=change.position(hunk, index),
        diff_hunk="\n".join((hunk.header, *hunk.lines[: index + 1])),
    )


def _given(number: int | UnsetType) -> int | None:
    return None if isinstance(number, UnsetType) else number


def _unprocessable(*errors: str) -> Refused:
    return Refused(422, "Unprocessable Entity", errors=errors)


def _visible(call: Call) -> list[Review]:
    """A pending review is seen by its author only."""
    return [
        review
        for review in call.state.reviews.values()
        if review.pull is call.pull and (review.state != "PENDING" or review.author == call.login)
    ]


def _review(call: Call) -> Review:
    wanted = call.number("review")
    found = next((review for review in _visible(call) if review.id == wanted), None)
    if found is None:
        raise NotFound
    return found


def _comment(call: Call) -> ReviewComment:
    comment = call.state.review_comments.get(call.number("comment"))
    if comment is None or comment.pull.repository is not call.repository:
        raise NotFound
    return comment


_PULL = "/repos/{owner}/{repo}/pulls/{number}"
_REVIEW = _PULL + "/reviews/{review}"
_COMMENT = "/repos/{owner}/{repo}/pulls/comments/{comment}"
_READ, _WRITE = "pull_requests=read", "pull_requests=write"
ROUTES = (
    Route("GET", _PULL + "/reviews", list_reviews, _READ),
    Route("POST", _PULL + "/reviews", create_review, _WRITE),
    Route("DELETE", _REVIEW, delete_review, _WRITE),
    Route("POST", _REVIEW + "/events", submit_review, _WRITE),
    Route("GET", _PULL + "/comments", list_comments, _READ),
    Route("POST", _PULL + "/comments/{comment}/replies", create_reply, _WRITE),
    Route("GET", _COMMENT, get_comment, _READ),
    Route("PATCH", _COMMENT, update_comment, _WRITE),
)
