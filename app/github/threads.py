"""Reads the threads on a pull request's diff, and closes those of ours whose finding is fixed.

GraphQL alone tells whether a thread is resolved and who disliked it; where it does not answer,
REST's lists have to do. Whatever fails here but a limit costs no review.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from app import log
from app.errors import Permanent, Unavailable
from app.github.publisher import PENDING, ReviewWire
from app.github.transport import Account, GitHub, NotFound, Repository
from app.ports import Run
from app.review.diff import Side
from app.review.findings import Fingerprint
from app.review.marker import FindingMarker, parse_markers
from app.review.pull import Sha, Target
from app.review.threads import Closing, Standing, Thread

MAX_PAGES = 5
BOT = "[bot]"
PER_PAGE = 50
"""Of comments: REST answered 502 where more were asked for."""

# A bot's login ends with `[bot]` in REST but not in GraphQL; a reaction's `user` is never a bot.
# https://docs.github.com/en/graphql/reference/objects#pullrequestreviewthread
QUERY = """
query ($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    databaseId
    pullRequest(number: $number) {
      reviews(last: 100) { nodes { state body author { __typename login } } }
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id isResolved path line startLine diffSide
          resolvedBy { login }
          comments(first: 1) {
            nodes {
              id databaseId state body isMinimized
              author { __typename login }
              reactions(first: 20, content: THUMBS_DOWN) { nodes { user { login } } }
            }
          }
        }
      }
    }
  }
}
"""
MINIMIZE = """
mutation ($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: RESOLVED}) {
    minimizedComment { isMinimized }
  }
}
"""
RESOLVE = """
mutation ($id: ID!) {
  resolveReviewThread(input: {threadId: $id}) { thread { isResolved } }
}
"""


T = TypeVar("T")


class _Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of GraphQL; every list of it may hold nulls."""


class _Page(_Camel, frozen=True, kw_only=True):
    has_next_page: bool
    end_cursor: str | None = None


class _List(_Camel, Generic[T], frozen=True, kw_only=True):
    nodes: tuple[T | None, ...]
    page_info: _Page | None = None

    @property
    def there(self) -> tuple[T, ...]:
        return tuple(node for node in self.nodes if node is not None)


class _Actor(_Camel, frozen=True, kw_only=True):
    login: str
    type: str = msgspec.field(default="User", name="__typename")


class _Reaction(_Camel, frozen=True, kw_only=True):
    user: _Actor | None = None


class _Comment(_Camel, frozen=True, kw_only=True):
    id: str
    database_id: int
    state: str
    body: str
    is_minimized: bool
    author: _Actor | None
    reactions: _List[_Reaction]


class _Thread(_Camel, frozen=True, kw_only=True):
    """`line` is null where the thread is outdated, or on a whole file."""

    id: str
    is_resolved: bool
    path: str
    line: int | None
    start_line: int | None
    diff_side: Side
    resolved_by: _Actor | None
    comments: _List[_Comment]


class _Review(_Camel, frozen=True, kw_only=True):
    state: str
    body: str
    author: _Actor | None


class _Pull(_Camel, frozen=True, kw_only=True):
    review_threads: _List[_Thread]
    reviews: _List[_Review]


class _Repository(_Camel, frozen=True, kw_only=True):
    database_id: int
    pull_request: _Pull


class _Answer(_Camel, frozen=True, kw_only=True):
    repository: _Repository


class _CommentWire(msgspec.Struct, frozen=True, kw_only=True):
    """A comment on the diff as REST tells it."""

    id: int
    node_id: str
    path: str
    body: str
    user: Account | None = None
    side: Side = Side.RIGHT
    line: int | None = None
    start_line: int | None = None
    in_reply_to_id: int | None = None


class _ComparedFileWire(msgspec.Struct, frozen=True, kw_only=True):
    filename: str
    status: str
    previous_filename: str | None = None


class _ComparedWire(msgspec.Struct, frozen=True, kw_only=True):
    files: tuple[_ComparedFileWire, ...] = ()


class GitHubThreads:
    """Threads on GitHub. `author` tells whose comments are ours, if it can."""

    def __init__(self, github: GitHub, author: Callable[[], Awaitable[Account | None]]) -> None:
        self._github = github
        self._author = author

    async def fetch(self, target: Target) -> Standing:
        """Read what stands on the diff, nothing where that cannot be had. Raises RateLimited."""
        try:
            us = await self._author()
            try:
                return await self._github.until_known(lambda: self._by_graphql(target, us))
            except (Permanent, Unavailable) as exc:
                log.warning("threads.no_graphql", reason=str(exc))
            return await self._by_rest(target, us)
        except (Permanent, Unavailable) as exc:
            log.warning("threads.not_read", reason=str(exc))
            return Standing()

    async def renamed(self, target: Target, since: Sha, until: Sha) -> Mapping[str, str]:
        """Return what was renamed from one head to the next; nothing where nobody can tell."""
        try:
            compared = await self._github.repository(target).get_json(
                f"compare/{since}...{until}", _ComparedWire
            )
        except (Permanent, Unavailable) as exc:  # the earlier head is gone after a force push
            log.event("renames.unknown", since=since, reason=str(exc))
            return {}
        return {
            file.previous_filename: file.filename
            for file in compared.files
            if file.status == "renamed" and file.previous_filename
        }

    async def close(self, target: Target, run: Run, closings: Sequence[Closing]) -> None:
        """Edit, resolve and minimise what is not yet. Raises RateLimited.

        What is minimised was done whole: a run that died on the way is taken up there.
        """
        if not closings:
            return
        repository, resolving = self._github.repository(target), await self._resolving(target)
        for closing in closings:
            thread = closing.thread
            await run.renew()
            if closing.body != thread.body:
                path, body = f"pulls/comments/{thread.comment_id}", {"body": closing.body}
                edit = repository.write("PATCH", path, body, is_repeatable=True)
                await _courtesy("edited", thread, edit)
            if resolving and thread.id and not thread.is_resolved:
                resolve = resolving.graphql(RESOLVE, {"id": thread.id}, dict, is_repeatable=True)
                await _courtesy("resolved", thread, resolve)
            if not thread.is_minimized:
                minimise = repository.graphql(
                    MINIMIZE, {"id": thread.node_id}, dict, is_repeatable=True
                )
                await _courtesy("minimised", thread, minimise)

    async def _resolving(self, target: Target) -> Repository | None:
        try:
            return await self._github.resolving(target)
        except (Permanent, Unavailable) as exc:
            log.warning("threads.not_resolvable", reason=str(exc))
            return None

    async def _by_graphql(self, target: Target, us: Account | None) -> Standing:
        repository = self._github.repository(target)
        threads: list[_Thread] = []
        after: str | None = None
        for _ in range(MAX_PAGES):
            variables = {
                "owner": target.owner,
                "name": target.repo,
                "number": target.number,
                "after": after,
            }
            found = (await repository.graphql(QUERY, variables, _Answer)).repository
            if found.database_id != target.repository_id:
                raise NotFound("another repository bears this name")
            threads += found.pull_request.review_threads.there
            page = found.pull_request.review_threads.page_info
            after = page.end_cursor if page and page.has_next_page else None
            if after is None:
                break
        return Standing(
            threads=tuple(
                _thread(thread, first, us)
                for thread in threads
                for first in thread.comments.there[:1]
                if first.state != PENDING
            ),
            told=_told(
                (
                    (review.body, _account(review.author))
                    for review in found.pull_request.reviews.there
                    if review.state != PENDING
                ),
                us,
            ),
        )

    async def _by_rest(self, target: Target, us: Account | None) -> Standing:
        repository, number = self._github.repository(target), target.number
        comments = [
            comment
            async for page in repository.pages(
                f"pulls/{number}/comments", tuple[_CommentWire, ...], per_page=PER_PAGE
            )
            for comment in page
        ]
        reviews = [
            review
            async for page in repository.pages(
                f"pulls/{number}/reviews", tuple[ReviewWire, ...], per_page=100
            )
            for review in page
            if review.state != PENDING
        ]
        return Standing(
            threads=tuple(_listed(c, us) for c in comments if c.in_reply_to_id is None),
            told=_told(((review.body or "", review.user) for review in reviews), us),
        )


async def _courtesy(what: str, thread: Thread, write: Coroutine[Any, Any, object]) -> None:
    """Write what no review depends on."""
    try:
        await write
    except (Permanent, Unavailable) as exc:
        log.warning(f"thread.not_{what}", comment=thread.comment_id, reason=str(exc))
    else:
        log.event(f"thread.{what}", comment=thread.comment_id)


def _thread(thread: _Thread, first: _Comment, us: Account | None) -> Thread:
    marker = _marker(first.body, _account(first.author), us)
    people = (reaction.user.login for reaction in first.reactions.there if reaction.user)
    return Thread(
        id=thread.id,
        comment_id=first.database_id,
        node_id=first.id,
        path=thread.path,
        side=thread.diff_side,
        start_line=thread.start_line,
        line=thread.line,
        body=first.body,
        is_resolved=thread.is_resolved,
        is_minimized=first.is_minimized,
        resolved_by=thread.resolved_by.login if thread.resolved_by else "",
        disliked_by=tuple(login for login in people if not login.endswith(BOT)),
        fingerprint=Fingerprint(marker.fingerprint) if marker else None,
        run_id=marker.run_id if marker else "",
    )


def _listed(comment: _CommentWire, us: Account | None) -> Thread:
    marker = _marker(comment.body, comment.user, us)
    return Thread(
        id="",
        comment_id=comment.id,
        node_id=comment.node_id,
        path=comment.path,
        side=comment.side,
        start_line=comment.start_line,
        line=comment.line,
        body=comment.body,
        fingerprint=Fingerprint(marker.fingerprint) if marker else None,
        run_id=marker.run_id if marker else "",
    )


def _told(
    reviews: Iterable[tuple[str, Account | None]], us: Account | None
) -> frozenset[tuple[str, Fingerprint]]:
    return frozenset(
        (marker.run_id, Fingerprint(marker.fingerprint))
        for body, author in reviews
        if us is not None and author == us
        for marker in parse_markers(body)
        if isinstance(marker, FindingMarker)
    )


def _account(actor: _Actor | None) -> Account | None:
    """Return an account as REST tells it: only there a bot's login ends with `[bot]`."""
    if actor is None:
        return None
    is_bare_bot = actor.type == "Bot" and not actor.login.endswith(BOT)
    return Account(login=actor.login + BOT if is_bare_bot else actor.login, type=actor.type)


def _marker(body: str, author: Account | None, us: Account | None) -> FindingMarker | None:
    """Find the marker of a finding; one in anybody else's text means nothing."""
    if us is None or author != us:
        return None
    return next((m for m in parse_markers(body) if isinstance(m, FindingMarker)), None)
