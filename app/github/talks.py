"""Reads what was said in one thread on the diff. Nobody's name leaves this module."""

import msgspec

from app import log
from app.github.transport import Account, GitHub, NotFound, Repository
from app.review.diff import Side
from app.review.findings import Location
from app.review.marker import FindingMarker, parse_markers
from app.review.pull import Target
from app.review.talk import Said, Talk, without_names

PER_PAGE = 50
MAX_PAGES = 10
"""A pull request may have any number of comments; the newest are looked through."""
MAX_REPLIES = 20


class _CommentWire(msgspec.Struct, frozen=True, kw_only=True):
    """A comment on the diff. `line` is null where its line is gone."""

    id: int
    path: str = ""
    body: str | None = None
    user: Account | None = None
    diff_hunk: str = ""
    side: Side | None = None
    line: int | None = None
    start_side: Side | None = None
    start_line: int | None = None
    subject_type: str = "line"
    in_reply_to_id: int | None = None


class GitHubTalks:
    """The port Talks on GitHub."""

    def __init__(self, github: GitHub) -> None:
        self._github = github

    async def read(self, target: Target, root: int, *, until: int) -> Talk | None:
        """Return what a thread says until a comment (ids), and with it; None where it is gone.

        Of a long one, the beginning and the end.
        """
        repository = self._github.repository(target)
        try:
            first = await repository.get_json(f"pulls/comments/{root}", _CommentWire)
        except NotFound:
            return None
        said = [first, *await _replies(repository, target.number, root, until)]
        us = await self._github.author()
        finding = next(
            (m for m in parse_markers(first.body or "") if isinstance(m, FindingMarker)), None
        )
        return Talk(
            root=root,
            path=first.path,
            place=_place(first),
            hunk=first.diff_hunk,
            said=_without_names(said, us),
            finding=finding if first.user == us else None,
        )


async def _replies(
    repository: Repository, number: int, root: int, until: int
) -> list[_CommentWire]:
    """Return the last replies until a comment, oldest first; the list is read from its end."""
    replies: list[_CommentWire] = []
    pages = repository.pages(
        f"pulls/{number}/comments",
        tuple[_CommentWire, ...],
        per_page=PER_PAGE,
        sort="created",
        direction="desc",
    )
    n_pages = 0
    async for page in pages:
        replies += (one for one in page if one.in_reply_to_id == root and one.id <= until)
        n_pages += 1
        if len(replies) >= MAX_REPLIES or any(one.id <= root for one in page):
            break
        if n_pages == MAX_PAGES:
            log.warning("thread.not_whole", thread=root)
            break
    return replies[MAX_REPLIES - 1 :: -1]


def _place(comment: _CommentWire) -> Location | None:
    if comment.line is None or comment.side is None or comment.subject_type == "file":
        return None
    is_range = comment.start_side in (None, comment.side) and comment.start_line is not None
    start = comment.start_line if is_range else None
    return Location(
        path=comment.path,
        side=comment.side,
        start_line=comment.line if start is None else start,
        line=comment.line,
    )


def _without_names(comments: list[_CommentWire], us: Account | None) -> tuple[Said, ...]:
    people: dict[Account | None, str] = {us: "this app"}
    return tuple(
        Said(
            by=people.setdefault(one.user, f"person {len(people)}"),
            text=without_names(one.body or ""),
        )
        for one in comments
    )
