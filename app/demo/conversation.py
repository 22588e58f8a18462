"""The conversation on a pull request: issue comments, and reactions to everything."""

from typing import Literal

import msgspec

from app.demo import pull_shapes
from app.demo.call import BODY_MAX, Answer, Call, NotFound, Refused, Route, paged
from app.demo.records import IssueComment, PullRequest


class NewComment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    body: str


class NewReaction(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    content: Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]


def list_comments(call: Call) -> Answer:
    found = [c for c in call.state.issue_comments.values() if c.pull is call.pull]
    return paged(call, found, lambda comment: pull_shapes.issue_comment(call.state, comment))


def create_comment(call: Call) -> Answer:
    refuse_locked(call.pull)
    body = checked_body(call.read(NewComment).body, "IssueComment")
    comment = call.state.comment(call.pull, call.login, body)
    return Answer(status=201, content=pull_shapes.issue_comment(call.state, comment))


def update_comment(call: Call) -> Answer:
    comment = _comment(call)
    refuse_others(call, comment.author)
    comment.body = checked_body(call.read(NewComment).body, "IssueComment")
    comment.updated_at = call.state.now()
    return Answer(content=pull_shapes.issue_comment(call.state, comment))


def create_reaction(call: Call) -> Answer:
    content = call.read(NewReaction).content
    reaction, new = call.state.react(_subject(call), call.login, content)
    return Answer(status=201 if new else 200, content=pull_shapes.reaction(call.state, reaction))


def checked_body(body: str, resource: str) -> str:
    """The text of a comment, unless GitHub finds it empty or too long."""
    if not body.strip():
        error = {"resource": resource, "code": "missing_field", "field": "body"}
        raise Refused(422, "Validation Failed", errors=[error])
    if len(body) > BODY_MAX:
        message = f"Body is too long (maximum is {BODY_MAX} characters)"
        error = {"resource": resource, "code": "custom", "field": "body", "message": message}
        raise Refused(422, "Validation Failed", errors=[error])
    return body


def refuse_locked(pull: PullRequest) -> None:
    if pull.locked:
        raise Refused(403, "Unable to create comment because issue is locked.")


def refuse_others(call: Call, author: str) -> None:
    """An App may edit and delete what it wrote itself; never what people wrote."""
    if call.login != author:
        raise Refused(403, "Resource not accessible by integration")


def _comment(call: Call) -> IssueComment:
    comment = call.state.issue_comments.get(call.number("comment"))
    if comment is None or comment.pull.repository is not call.repository:
        raise NotFound
    return comment


def _subject(call: Call) -> tuple[str, int]:
    """What a reaction's address names: ("issue" | "issue_comment" | "review_comment", id)."""
    if "number" in call.params:
        return "issue", call.pull.issue_id
    if "review_comment" not in call.params:
        return "issue_comment", _comment(call).id
    comment = call.state.review_comments.get(call.number("review_comment"))
    if comment is None or comment.pull.repository is not call.repository:
        raise NotFound
    return "review_comment", comment.id


_REPO = "/repos/{owner}/{repo}"
_COMMENT = _REPO + "/issues/comments/{comment}"
_REMARK = _REPO + "/pulls/comments/{review_comment}"

# The documentation says issues OR pull_requests; in practice both were demanded
# (github/rest-api-description#6994).
_TALK = "issues=write,pull_requests=write"

ROUTES = (
    Route("GET", _REPO + "/issues/{number}/comments", list_comments, "issues=read"),
    Route("POST", _REPO + "/issues/{number}/comments", create_comment, _TALK),
    Route("PATCH", _COMMENT, update_comment, _TALK),
    Route("POST", _COMMENT + "/reactions", create_reaction, "issues=write"),
    Route("POST", _REPO + "/issues/{number}/reactions", create_reaction, "issues=write"),
    Route("POST", _REMARK + "/reactions", create_reaction, "pull_requests=write"),
)
