"""One review, once: every trouble that the stand-in knows, at every step."""

from copy import copy
from typing import Literal

import pytest

from app.demo.faults import Fault
from app.demo.records import Review as Posted
from app.errors import AppError, Forbidden, Locked, Overtaken, Unwanted
from app.github.publisher import GitHubPublisher
from app.github.transport import GitHub, MayHaveHappened
from app.github.user_token import TokenCredentials
from app.ports import Run
from app.review.diff import Side
from app.review.findings import Location
from app.review.marker import finding_marker, review_marker
from app.review.pull import RunId
from app.review.render import InlineComment, Review
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio

RUN = Run(id=RunId("run-1"), attempt=1)
REVIEWS, EVENTS = "/pulls/1/reviews$", "/events$"
WHEN: tuple[tuple[str, Literal["after", "before"], int | None, bool], ...] = (
    ("happened, answer 502", "after", 502, False),
    ("happened, connection cut", "after", None, True),
    ("did not happen, answer 502", "before", 502, False),
    ("did not happen, connection cut", "before", None, True),
    ("was limited", "before", 429, False),
)
LOST = {
    f"{step} {how}": Fault(path=path, method="POST", when=when, status=status, cut=cut)
    for step, path in (("create", REVIEWS), ("submit", EVENTS))
    for how, when, status, cut in WHEN
}


def comment(start: int, line: int, side: Side = Side.RIGHT, path: str = "a.py") -> InlineComment:
    place = Location(path=path, side=side, start_line=start, line=line)
    return InlineComment(location=place, body=f"about {line} {finding_marker('run-1', 'f', 'h')}")


def review_of(scene: Scene, *comments: InlineComment) -> Review:
    body = f"A review.\n\n{review_marker(RUN.id, scene.pull.head_sha)}"
    return Review(body=body, comments=comments or (comment(3, 3),))


async def publish(scene: Scene, review: Review | None = None, run: Run = RUN) -> None:
    publisher = GitHubPublisher(scene.github)
    await publisher.publish(scene.change(), run, review or review_of(scene))


def posted(scene: Scene) -> list[Posted]:
    return list(scene.state.reviews.values())


def assert_one_review(scene: Scene) -> None:
    (review,) = posted(scene)
    assert (review.state, review.body) == ("COMMENTED", review_of(scene).body)
    assert (review.author, review.commit_id) == (scene.state.app.bot, scene.pull.head_sha)
    (said,) = scene.state.comments_of(review)
    assert (said.place.path, said.place.side, said.place.line) == ("a.py", "RIGHT", 3)


async def test_a_review_is_created_pending_and_then_submitted(scene: Scene) -> None:
    await publish(scene)
    assert_one_review(scene)
    assert scene.calls() == [
        "GET pulls/1/reviews",
        "POST pulls/1/reviews",
        f"POST pulls/1/reviews/{posted(scene)[0].id}/events",
    ]
    created, submitted = (r.json() for r in scene.state.requests[-2:])
    assert isinstance(created, dict)
    assert "event" not in created
    assert submitted == {"event": "COMMENT", "body": review_of(scene).body}


async def test_lines_are_sent_as_github_wants_them(scene: Scene) -> None:
    comments = (comment(3, 3), comment(20, 21), comment(3, 3, Side.LEFT))
    await publish(scene, review_of(scene, *comments))
    sent = scene.state.requests[-2].json()
    assert isinstance(sent, dict)
    bodies = [c.body for c in comments]
    assert sent["comments"] == [
        {"path": "a.py", "side": "RIGHT", "line": 3, "body": bodies[0]},
        {
            "path": "a.py",
            "side": "RIGHT",
            "line": 21,
            "start_line": 20,
            "start_side": "RIGHT",
            "body": bodies[1],
        },
        {"path": "a.py", "side": "LEFT", "line": 3, "body": bodies[2]},
    ]
    assert len(scene.state.comments_of(posted(scene)[0])) == 3


async def test_one_that_is_stopped_before_it_is_submitted_leaves_no_draft(scene: Scene) -> None:
    async def renew() -> None:
        if posted(scene):
            raise Unwanted("a person stopped it")

    with pytest.raises(Unwanted):
        await publish(scene, run=Run(id=RUN.id, attempt=1, renew=renew))
    assert posted(scene) == []


async def test_publishing_again_posts_nothing(scene: Scene) -> None:
    await publish(scene)
    await publish(scene, run=Run(id=RUN.id, attempt=2))
    assert_one_review(scene)


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_any_lost_answer_leads_to_exactly_one_review(scene: Scene, fault: Fault) -> None:
    scene.state.faults.append(copy(fault))
    if fault.status == 429:
        scene.state.faults[0].headers = {"retry-after": "3"}
    await publish(scene)
    assert_one_review(scene)


async def test_all_answers_lost_at_once_lead_to_exactly_one_review(scene: Scene) -> None:
    scene.state.faults += [
        Fault(path=path, method="POST", status=502, when=when)
        for path in (REVIEWS, EVENTS)
        for when in ("after", "before")
    ][:3]
    await publish(scene)
    assert_one_review(scene)


async def test_a_github_that_keeps_losing_answers_is_left_for_later(scene: Scene) -> None:
    scene.state.faults.append(Fault(path=REVIEWS, method="POST", status=502, times=99))
    with pytest.raises(MayHaveHappened):
        await publish(scene)
    assert sum(call == "POST pulls/1/reviews" for call in scene.calls()) == 4
    scene.state.faults.clear()
    await publish(scene)
    assert_one_review(scene)


async def test_a_pending_review_of_this_run_is_submitted(scene: Scene) -> None:
    scene.state.faults.append(Fault(path=EVENTS, status=403, message="no"))
    with pytest.raises(Forbidden):
        await publish(scene)
    (pending,) = posted(scene)
    assert pending.state == "PENDING"
    await publish(scene, run=Run(id=RUN.id, attempt=2))
    assert_one_review(scene)
    assert posted(scene) == [pending]


@pytest.mark.parametrize("body", ["", review_marker("run-0", "abc"), review_marker("run-1", "abc")])
async def test_another_pending_review_of_ours_is_deleted(scene: Scene, body: str) -> None:
    scene.state.review(scene.pull, scene.state.app.bot, body, review_state="PENDING")
    await publish(scene)
    assert_one_review(scene)


@pytest.mark.parametrize("review_state", ["COMMENTED", "PENDING"])
async def test_our_marker_in_another_s_review_means_nothing(
    scene: Scene, review_state: str
) -> None:
    scene.state.review(scene.pull, "mallory", review_of(scene).body, review_state=review_state)
    await publish(scene)
    assert [review.author for review in posted(scene)] == ["mallory", scene.state.app.bot]


async def test_a_submitted_review_of_an_older_head_counts(scene: Scene) -> None:
    body = review_marker(RUN.id, "an-older-head")
    scene.state.review(scene.pull, scene.state.app.bot, body)
    await publish(scene)
    assert len(posted(scene)) == 1


async def test_our_review_is_found_on_a_later_page(scene: Scene) -> None:
    await publish(scene)
    ours = posted(scene)
    scene.state.reviews.clear()
    for n in range(101):
        scene.state.review(scene.pull, "mona", str(n))
    scene.state.reviews[ours[0].id] = ours[0]
    await publish(scene)
    assert len(posted(scene)) == 102


async def test_a_commit_that_was_replaced_at_the_last_moment_overtakes_it(scene: Scene) -> None:
    refusal = "end_commit_oid is not part of the pull request"
    scene.state.faults.append(Fault(path=REVIEWS, method="POST", status=422, message=refusal))
    with pytest.raises(Overtaken):
        await publish(scene)


async def test_a_pending_review_that_appears_between_look_and_write_is_dealt_with(
    scene: Scene,
) -> None:
    refusal = "User can only have one pending review per pull request"
    scene.state.faults.append(Fault(path=REVIEWS, method="POST", status=422, message=refusal))
    await publish(scene)
    assert_one_review(scene)


async def test_comments_outside_the_diff_are_moved_into_the_body(scene: Scene) -> None:
    bad = comment(12, 12)
    await publish(scene, review_of(scene, comment(3, 3), bad))
    (review,) = posted(scene)
    assert review.state == "COMMENTED"
    assert [c.place.line for c in scene.state.comments_of(review)] == [3]
    assert bad.body in review.body
    assert review.body.startswith(review_of(scene).body)


async def test_a_range_over_two_hunks_is_moved_into_the_body(scene: Scene) -> None:
    await publish(scene, review_of(scene, comment(3, 20)))
    (review,) = posted(scene)
    assert "`a.py:20`" in review.body


async def test_comments_that_we_can_prove_and_github_refuses_go_into_the_body(
    scene: Scene,
) -> None:
    refusal = "Pull request review thread line must be part of the diff"
    scene.state.faults.append(Fault(path=REVIEWS, method="POST", status=422, message=refusal))
    await publish(scene)
    (review,) = posted(scene)
    assert (review.state, scene.state.comments_of(review)) == ("COMMENTED", [])
    assert comment(3, 3).body in review.body


async def test_a_review_that_github_refuses_altogether_becomes_one_comment(
    scene: Scene,
) -> None:
    for _ in range(2):
        fault = Fault(path=REVIEWS, method="POST", status=422, message="no", times=9)
        scene.state.faults = [fault]
        await publish(scene)
    assert posted(scene) == []
    (said,) = scene.state.issue_comments.values()
    assert comment(3, 3).body in said.body


async def test_a_body_with_everything_in_it_is_not_too_long(scene: Scene) -> None:
    long = [
        InlineComment(location=c.location, body="x" * 40_000)
        for c in (comment(12, 12), comment(13, 13))
    ]
    await publish(scene, review_of(scene, *long))
    (review,) = posted(scene)
    assert 55_000 < len(review.body) <= 60_000


async def test_a_locked_pull_request_takes_no_review(scene: Scene) -> None:
    scene.pull.locked = True
    with pytest.raises(Locked):
        await publish(scene)


async def test_an_archived_repository_takes_no_review(scene: Scene) -> None:
    scene.repository.archived = True
    with pytest.raises(Forbidden) as caught:
        await publish(scene)
    assert caught.value.remedy == "Unarchive the repository."


@pytest.mark.parametrize("step", [REVIEWS, EVENTS])
async def test_after_any_refusal_a_second_attempt_posts_one_review(scene: Scene, step: str) -> None:
    scene.state.faults.append(Fault(path=step, status=403, message="not now"))
    with pytest.raises(AppError):
        await publish(scene)
    await publish(scene, run=Run(id=RUN.id, attempt=2))
    assert_one_review(scene)


@pytest.fixture
def person(scene: Scene) -> GitHub:
    """GitHub as it is for somebody with a token."""
    token = scene.state.personal_token("riley")
    return GitHub(scene.connection, TokenCredentials(scene.connection, token))


async def publish_as(person: GitHub, scene: Scene) -> None:
    await GitHubPublisher(person).publish(scene.change(), RUN, review_of(scene))


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_person_s_review_is_posted_once_too(
    scene: Scene, person: GitHub, fault: Fault
) -> None:
    scene.state.faults.append(copy(fault))
    if fault.status == 429:
        scene.state.faults[0].headers = {"retry-after": "3"}
    scene.state.review(scene.pull, "mallory", review_of(scene).body)
    await publish_as(person, scene)
    assert [(r.author, r.state) for r in posted(scene)] == [
        ("mallory", "COMMENTED"),
        ("riley", "COMMENTED"),
    ]
    assert not any(call.startswith("GET /app") for call in scene.calls())


async def test_a_person_s_own_draft_is_never_deleted(scene: Scene, person: GitHub) -> None:
    scene.state.review(scene.pull, "riley", "Not done yet.", review_state="PENDING")
    with pytest.raises(Forbidden) as caught:
        await publish_as(person, scene)
    assert caught.value.remedy.startswith("Submit or discard it")
    assert [review.body for review in posted(scene)] == ["Not done yet."]


async def test_what_an_earlier_run_left_in_a_person_s_name_is_replaced(
    scene: Scene, person: GitHub
) -> None:
    scene.state.review(scene.pull, "riley", review_marker("run-0", "h"), review_state="PENDING")
    await publish_as(person, scene)
    assert [(r.author, r.body) for r in posted(scene)] == [("riley", review_of(scene).body)]
