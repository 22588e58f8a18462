"""What people see in the end of a story, as one value to compare."""

from dataclasses import dataclass

from app.demo.faults import RecordedRequest
from app.demo.records import ReviewComment
from app.review.marker import CommentMarker, parse_markers
from tests.world import World

REFUSALS = (400, 409, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Reviews and check runs in the order of their ids; `refused` is what GitHub did not take."""

    reviews: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    reactions: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read_outcome(world: World, comment_id: int) -> Outcome:
    """Read it from the stand-in; the reactions are those to one comment."""
    refused = (r for r in world.state.requests if r.status in REFUSALS and not is_question(r))
    reactions = world.state.reactions_to(("issue_comment", comment_id))
    return Outcome(
        reviews=tuple(
            f"{review.state} on {_which(world, review.commit_id)}: "
            + " ".join(map(_comment, world.state.comments_of(review)))
            for review in world.reviews
        ),
        checks=tuple(
            f"{run.status} {run.conclusion} on {_which(world, run.suite.head_sha)}, "
            f"{len(run.annotations)} annotations: {run.title}"
            for run in world.checks
        ),
        said=tuple(sorted(_kind(text) for text in world.ours)),
        reactions=tuple(sorted(reaction.content for reaction in reactions)),
        refused=tuple(f"{r.method} {r.path}: {r.status}" for r in refused),
    )


def _comment(comment: ReviewComment) -> str:
    """Tell where a comment was put, and whether it was closed in each of the three ways."""
    words = [f"{comment.place.path}:{comment.place.line}"]
    words += ["fixed"] * comment.body.count("Fixed in ")
    words += [comment.minimized] if comment.minimized else []
    words += ["by the App"] if comment.resolved_by else []
    return " ".join(words)


def is_question(request: RecordedRequest) -> bool:
    """Tell how we learn whether an account has a `.github` repository: by asking for a token."""
    return b'"repositories":[".github"]' in request.request_body


def _which(world: World, sha: str) -> str:
    return "the head" if sha == world.pull.head_sha else "an older commit"


def _kind(text: str) -> str:
    """What kind of comment of ours this is: its key without the id."""
    [marker] = parse_markers(text)
    return marker.key.partition("-")[0] if isinstance(marker, CommentMarker) else "?"
