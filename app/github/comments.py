"""Reacts to comments, and speaks in the conversation of a pull request or a thread on its diff."""

from dataclasses import dataclass

import msgspec

from app import log
from app.errors import Permanent
from app.github.transport import (
    Account,
    GitHub,
    MayHaveHappened,
    NotFound,
    Refused,
    Repository,
    decode,
)
from app.ports import Reaction
from app.review.event import CommentKind, CommentRef
from app.review.marker import CommentMarker, comment_marker, parse_markers
from app.review.pull import Target

ONE_PENDING = "one pending review"
"""Of GitHub's words where a pending review of ours is in the way of a reply or another review."""

REACT = """
mutation ($id: ID!, $content: ReactionContent!) {
  addReaction(input: {subjectId: $id, content: $content}) { reaction { content } }
}
"""


class _CommentWire(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    body: str | None = None
    user: Account | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where comments stand: `kind` are issues or pulls, `to_write` follows the list's path."""

    kind: str
    path: str
    to_write: str = ""


class GitHubConversation:
    """Reactions and comments on GitHub. What was said is found again by its hidden marker."""

    def __init__(self, github: GitHub) -> None:
        self._github = github

    async def react(self, target: Target, comment: CommentRef, reaction: Reaction) -> None:
        """React to a comment; to a review's body by GraphQL, or else to its pull request.

        A reaction is a courtesy: where GitHub refuses it, the log says so and work goes on. Raises
        Retryable for a fault that passes.
        """
        repository = self._github.repository(target)
        if comment.kind is CommentKind.REVIEW and comment.node_id:
            variables = {"id": comment.node_id, "content": reaction.name}
            try:
                await repository.graphql(REACT, variables, dict, is_repeatable=True)
                return
            except Permanent as exc:
                log.warning("reaction.no_graphql", comment=comment.id, reason=str(exc))
        match comment.kind:
            case CommentKind.ISSUE_COMMENT:
                path = f"issues/comments/{comment.id}/reactions"
            case CommentKind.REVIEW_COMMENT:
                path = f"pulls/comments/{comment.id}/reactions"
            case CommentKind.REVIEW:
                path = f"issues/{target.number}/reactions"
        try:
            await repository.write("POST", path, {"content": reaction.value}, is_repeatable=True)
        except Permanent as exc:
            log.warning("reaction.refused", comment=comment.id, reason=str(exc))

    async def say(self, target: Target, key: str, text: str, thread: int | None = None) -> None:
        """Comment on the pull request, or edit our comment that was said under the same key.

        With `thread`, the id of a thread's first comment, reply there; where that cannot be, in
        the conversation.
        """
        repository, number = self._github.repository(target), target.number
        body = f"{text}\n\n{comment_marker(key)}"
        if thread is not None:
            replies = _Place("pulls", f"pulls/{number}/comments", f"/{thread}/replies")
            try:
                return await self._github.until_known(
                    lambda: self._say(repository, replies, key, body)
                )
            except (NotFound, Refused) as exc:
                log.warning("thread.gone", thread=thread, reason=str(exc))
        talk = _Place("issues", f"issues/{number}/comments")
        await self._github.until_known(lambda: self._say(repository, talk, key, body))

    async def put_on_top(self, target: Target, comment_id: int, line: str) -> None:
        """Let our comment on the diff begin with this line; twice is once."""
        repository, path = self._github.repository(target), f"pulls/comments/{comment_id}"
        comment = await repository.get_json(path, _CommentWire)
        body = comment.body or ""
        if comment.user == await self._github.author() and not body.startswith(line):
            edited = {"body": f"{line}\n\n{body}"}
            await repository.write("PATCH", path, edited, is_repeatable=True)

    async def _say(self, repository: Repository, place: _Place, key: str, body: str) -> None:
        said = await self._find(repository, place, key)
        if said is None:
            answer = await _write(repository, place.path + place.to_write, body)
            log.event("comment.posted", comment=decode(answer, _CommentWire).id)
        elif (said.body or "").strip() != body.strip():
            path = f"{place.kind}/comments/{said.id}"
            await repository.write("PATCH", path, {"body": body}, is_repeatable=True)
            log.event("comment.edited", comment=said.id)

    async def _find(self, repository: Repository, place: _Place, key: str) -> _CommentWire | None:
        us = await self._github.author()
        pages = repository.pages(place.path, tuple[_CommentWire, ...], per_page=50)
        async for page in pages:
            for comment in page:
                is_ours = us is not None and comment.user == us
                if is_ours and CommentMarker(key=key) in parse_markers(comment.body or ""):
                    return comment
        return None


async def _write(repository: Repository, path: str, body: str) -> bytes:
    try:
        return await repository.write("POST", path, {"body": body}, is_content=True)
    except Refused as exc:
        if ONE_PENDING in " ".join(exc.reasons).lower():
            raise MayHaveHappened("A review of ours is about to be submitted") from exc
        raise
