"""Posts a review exactly once, in two steps: a pending review that carries our marker, then submit.

GitHub allows one pending review per author and pull request, so the pending one is the lock, and
what stands on GitHub is the only truth: every try begins by looking at it.
"""

from collections.abc import Iterator
from functools import partial

import msgspec

from app import log
from app.errors import Forbidden, Overtaken, Unwanted
from app.github.comments import ONE_PENDING, GitHubConversation
from app.github.transport import (
    Account,
    GitHub,
    MayHaveHappened,
    NotFound,
    Refused,
    Repository,
    decode,
)
from app.ports import Run
from app.review.anchor import is_commentable
from app.review.diff import Diff, Side
from app.review.findings import Location
from app.review.marker import Marker, ReviewMarker, parse_markers
from app.review.pull import Change, PullRequest
from app.review.render import InlineComment, Review
from app.review.text import MAX_BODY, code_span, cut

PENDING = "PENDING"
COMMENT = "COMMENT"
UNPROCESSABLE = 422

# GitHub's words, learnt from public threads: see its refusals of create-review.
COMMIT_GONE = "not part of the pull request"


class ReviewWire(msgspec.Struct, frozen=True, kw_only=True):
    """A review as GitHub tells it."""

    id: int
    state: str
    body: str | None = None
    user: Account | None = None

    @property
    def markers(self) -> tuple[Marker, ...]:
        return parse_markers(self.body or "")


class CommentWire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A comment on the diff as we send it. `start_line` is left out for a single line."""

    path: str
    body: str
    line: int
    side: Side
    start_line: int | None = None
    start_side: Side | None = None


class _NewReviewWire(msgspec.Struct, frozen=True, kw_only=True):
    """A review to be created; without an event it stays pending."""

    commit_id: str
    body: str
    comments: tuple[CommentWire, ...]


class _SubmitWire(msgspec.Struct, frozen=True, kw_only=True):
    body: str
    event: str = COMMENT


class GitHubPublisher:
    """The port Publisher: reviews on GitHub."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._conversation = GitHubConversation(github)
        self._us: Account | None = None

    async def publish(self, change: Change, run: Run, review: Review) -> None:
        pull = change.pull
        if pull is None:
            raise ValueError("only pull requests have reviews")
        repository = self._github.repository(pull.target)
        for fallback in _ever_simpler(review, change.diff):
            publish_once = partial(self._publish_once, repository, pull, run, fallback)
            try:
                return await self._github.until_known(publish_once)
            except Refused as exc:
                if exc.status != UNPROCESSABLE:
                    raise
                log.error("review.refused", reasons="; ".join(exc.reasons), status=exc.status)
        await self._say_instead(pull, run, _folded(review, review.comments).body)

    async def _say_instead(self, pull: PullRequest, run: Run, text: str) -> None:
        """Say a review that GitHub refuses in the conversation; else only the check run has it."""
        try:
            await self._conversation.say(pull.target, f"review-{run.id}", text)
        except Refused as exc:
            log.error("review.not_posted", reasons="; ".join(exc.reasons), status=exc.status)

    async def _publish_once(
        self, repository: Repository, pull: PullRequest, run: Run, review: Review
    ) -> None:
        """Look what is there, and do what is missing."""
        number = pull.target.number
        pending = None
        for found in await self._our_reviews(repository, number):
            if found.state == PENDING:
                pending = found
            elif any(isinstance(m, ReviewMarker) and m.run_id == run.id for m in found.markers):
                log.event("review.found", review=found.id)
                return
        if pending and ReviewMarker(run_id=run.id, head_sha=pull.head_sha) in pending.markers:
            await run.renew()
            return await _submit(repository, number, pending.id, pending.body or review.body)
        if pending and not self._github.is_app and not pending.markers:
            raise Forbidden(
                "A pending review of your own is in the way",
                remedy="Submit or discard it: GitHub allows one for each person.",
            )
        if pending:
            await run.renew()
            await _delete(repository, number, pending.id)
        await run.renew()
        created = await _create(repository, pull, review)
        self._us = created.user
        try:
            await run.renew()
        except Unwanted:
            await _delete(repository, number, created.id)
            raise
        await _submit(repository, number, created.id, review.body)

    async def _our_reviews(self, repository: Repository, number: int) -> list[ReviewWire]:
        """List what we wrote ourselves; a marker in anybody else's review means nothing.

        A person's token learns whose it is from a pending review: GitHub shows those to their
        author only.
        """
        pages = repository.pages(f"pulls/{number}/reviews", tuple[ReviewWire, ...], per_page=100)
        reviews = [review async for page in pages for review in page]
        pending = (review.user for review in reviews if review.state == PENDING)
        self._us = self._us or await self._github.author() or next(pending, None)
        return [review for review in reviews if self._us and review.user == self._us]


async def _create(repository: Repository, pull: PullRequest, review: Review) -> ReviewWire:
    wire = _NewReviewWire(
        commit_id=pull.head_sha,
        body=review.body,
        comments=tuple(_comment(comment) for comment in review.comments),
    )
    try:
        answer = await repository.write(
            "POST", f"pulls/{pull.target.number}/reviews", wire, is_content=True
        )
    except Refused as exc:
        told = " ".join(exc.reasons).lower()
        if ONE_PENDING in told:
            raise MayHaveHappened("A pending review of ours is there already") from exc
        if COMMIT_GONE in told:
            raise Overtaken("The reviewed commit was replaced") from exc
        raise
    return decode(answer, ReviewWire)


async def _submit(repository: Repository, number: int, review_id: int, body: str) -> None:
    path = f"pulls/{number}/reviews/{review_id}/events"
    try:
        await repository.write("POST", path, _SubmitWire(body=body), is_content=True)
    except (NotFound, Refused) as exc:
        # Somebody submitted or deleted it since we looked.
        raise MayHaveHappened("The pending review is pending no more") from exc
    log.event("review.submitted", review=review_id)


async def _delete(repository: Repository, number: int, review_id: int) -> None:
    """Delete a pending review that another run or another head left behind."""
    try:
        await repository.write("DELETE", f"pulls/{number}/reviews/{review_id}", is_repeatable=True)
    except NotFound:
        return
    except Refused as exc:
        raise MayHaveHappened("The pending review is pending no more") from exc
    log.event("review.stale_deleted", review=review_id)


def _comment(comment: InlineComment) -> CommentWire:
    place = comment.location
    is_range = place.start_line < place.line
    return CommentWire(
        path=place.path,
        body=comment.body,
        line=place.line,
        side=place.side,
        start_line=place.start_line if is_range else None,
        start_side=place.side if is_range else None,
    )


def _ever_simpler(review: Review, diff: Diff) -> Iterator[Review]:
    """What to try after a refusal, which our own checks should make impossible.

    GitHub refuses a whole review for one comment and does not say for which.
    """
    yield review
    unproven = tuple(c for c in review.comments if not _is_in_diff(c.location, diff))
    if unproven:
        yield _folded(review, unproven)
    if len(unproven) < len(review.comments):
        yield _folded(review, review.comments)


def _folded(review: Review, comments: tuple[InlineComment, ...]) -> Review:
    """Move comments from their lines into the body."""
    told = "".join(
        f"\n\n{code_span(f'{c.location.path}:{c.location.line}')}\n\n{c.body}" for c in comments
    )
    return Review(
        body=review.body + cut(told, max(0, MAX_BODY - len(review.body))),
        comments=tuple(comment for comment in review.comments if comment not in comments),
    )


def _is_in_diff(location: Location, diff: Diff) -> bool:
    return any(
        is_commentable(file, location.side, location.start_line, location.line)
        for file in diff.files
        if file.path == location.path
    )
