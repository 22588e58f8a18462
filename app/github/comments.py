"""Reacts to comments and speaks in the conversation of a pull request."""

import msgspec

from app import log
from app.errors import AppError
from app.github.transport import Account, GitHub, Repository, decode
from app.ports import Reaction
from app.review.event import CommentKind, CommentRef
from app.review.marker import CommentMarker, comment_marker, parse_markers
from app.review.pull import Target


class _CommentWire(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    body: str | None = None
    user: Account | None = None


class GitHubConversation:
    """Reactions and comments on GitHub. What was said is found again by its hidden marker."""

    def __init__(self, github: GitHub) -> None:
        self._github = github

    async def react(self, target: Target, comment: CommentRef, reaction: Reaction) -> None:
        """React to a comment; a review's body takes no reaction.

        A reaction is a courtesy: where GitHub refuses it, the log says so and work goes on.
        """
        match comment.kind:
            case CommentKind.ISSUE_COMMENT:
                path = f"issues/comments/{comment.id}/reactions"
            case CommentKind.REVIEW_COMMENT:
                path = f"pulls/comments/{comment.id}/reactions"
            case CommentKind.REVIEW:
                return
        repository = self._github.repository(target)
        try:
            await repository.write("POST", path, {"content": reaction.value}, is_repeatable=True)
        except AppError as exc:
            log.warning("reaction.refused", comment=comment.id, reason=str(exc))

    async def say(self, target: Target, key: str, text: str) -> None:
        """Comment on the pull request, or edit our comment that was said under the same key."""
        repository = self._github.repository(target)
        body = f"{text}\n\n{comment_marker(key)}"
        await self._github.until_known(lambda: self._say(repository, target.number, key, body))

    async def _say(self, repository: Repository, number: int, key: str, body: str) -> None:
        said = await self._find(repository, number, key)
        if said is None:
            answer = await repository.write(
                "POST", f"issues/{number}/comments", {"body": body}, is_content=True
            )
            log.event("comment.posted", comment=decode(answer, _CommentWire).id)
        elif (said.body or "").strip() != body.strip():
            await repository.write(
                "PATCH", f"issues/comments/{said.id}", {"body": body}, is_repeatable=True
            )
            log.event("comment.edited", comment=said.id)

    async def _find(self, repository: Repository, number: int, key: str) -> _CommentWire | None:
        us = await self._github.author()
        pages = repository.pages(
            f"issues/{number}/comments", tuple[_CommentWire, ...], per_page=100
        )
        async for page in pages:
            for comment in page:
                is_ours = us is not None and comment.user == us
                if is_ours and CommentMarker(key=key) in parse_markers(comment.body or ""):
                    return comment
        return None
