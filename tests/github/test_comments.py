from copy import copy

import pytest

from app.demo.faults import Fault
from app.demo.records import Place, Review
from app.demo.shapes import node_id
from app.errors import Locked, Unavailable
from app.github.comments import GitHubConversation
from app.ports import Reaction
from app.review.event import CommentKind, CommentRef
from app.review.marker import comment_marker
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio

LOST = [
    Fault(path="/comments$", method="POST", status=502, when="after"),
    Fault(path="/comments$", method="POST", cut=True, when="after"),
    Fault(path="/comments$", method="POST", status=502, when="before"),
]


def said(scene: Scene) -> list[tuple[str, str]]:
    return [(c.author, c.body) for c in scene.state.issue_comments.values()]


def marked(text: str, key: str) -> str:
    return f"{text}\n\n{comment_marker(key)}"


def issue_comment(scene: Scene) -> CommentRef:
    comment = scene.state.comment(scene.pull, "mona", "@codex review")
    return CommentRef(kind=CommentKind.ISSUE_COMMENT, id=comment.id, author="mona")


def of(review: Review) -> CommentRef:
    node = node_id("PRR", review.id)
    return CommentRef(kind=CommentKind.REVIEW, id=review.id, author="mona", node_id=node)


async def test_reacting_twice_is_reacting_once(scene: Scene) -> None:
    comment, conversation = issue_comment(scene), GitHubConversation(scene.github)
    for _ in range(2):
        await conversation.react(scene.target, comment, Reaction.EYES)
    assert [(r.subject, r.login, r.content) for r in scene.state.reactions.values()] == [
        (("issue_comment", comment.id), scene.state.app.bot, "eyes")
    ]


async def test_a_reaction_whose_answer_is_lost_is_tried_again(scene: Scene) -> None:
    scene.state.faults.append(Fault(path="reactions$", status=502, when="after"))
    comment = issue_comment(scene)
    await GitHubConversation(scene.github).react(scene.target, comment, Reaction.THUMBS_UP)
    assert [r.content for r in scene.state.reactions.values()] == ["+1"]


async def test_a_reaction_that_cannot_be_made_now_is_for_the_job_to_try_again(scene: Scene) -> None:
    scene.state.faults.append(Fault(path="reactions$", status=502, times=99))
    with pytest.raises(Unavailable):
        await GitHubConversation(scene.github).react(
            scene.target, issue_comment(scene), Reaction.EYES
        )


@pytest.mark.parametrize("status", [403, 404, 422])
async def test_a_reaction_that_is_refused_is_not_missed(scene: Scene, status: int) -> None:
    scene.state.faults.append(Fault(path="reactions$", status=status))
    await GitHubConversation(scene.github).react(scene.target, issue_comment(scene), Reaction.EYES)
    assert scene.state.reactions == {}


async def test_a_comment_on_the_diff_is_reacted_to(scene: Scene) -> None:
    review = scene.state.review(scene.pull, "mona", "")
    comment = scene.state.review_comment(review, "@codex why", Place(path="a.py", line=3))
    ref = CommentRef(kind=CommentKind.REVIEW_COMMENT, id=comment.id, author="mona")
    await GitHubConversation(scene.github).react(scene.target, ref, Reaction.CONFUSED)
    assert [r.subject for r in scene.state.reactions.values()] == [("review_comment", comment.id)]


async def test_a_review_is_reacted_to_by_graphql(scene: Scene) -> None:
    review = scene.state.review(scene.pull, "mona", "@codex review")
    for reaction in Reaction:
        await GitHubConversation(scene.github).react(scene.target, of(review), reaction)
    assert [(r.subject, r.content) for r in scene.state.reactions.values()] == [
        (("review", review.id), reaction.value) for reaction in Reaction
    ]


async def test_without_graphql_the_pull_request_of_a_review_is_reacted_to(scene: Scene) -> None:
    scene.state.faults.append(Fault(path="/graphql$", status=404))
    review = scene.state.review(scene.pull, "mona", "@codex review")
    await GitHubConversation(scene.github).react(scene.target, of(review), Reaction.EYES)
    assert [(r.subject, r.content) for r in scene.state.reactions.values()] == [
        (("issue", scene.pull.issue_id), "eyes")
    ]


async def test_a_deleted_comment_is_not_missed(scene: Scene) -> None:
    comment = issue_comment(scene)
    scene.state.issue_comments.clear()
    await GitHubConversation(scene.github).react(scene.target, comment, Reaction.EYES)
    assert scene.state.reactions == {}


async def test_what_is_said_under_one_key_is_one_comment(scene: Scene) -> None:
    conversation = GitHubConversation(scene.github)
    await conversation.say(scene.target, "k", "first")
    await conversation.say(scene.target, "other", "apart")
    await conversation.say(scene.target, "k", "second")
    assert said(scene) == [
        (scene.state.app.bot, marked("second", "k")),
        (scene.state.app.bot, marked("apart", "other")),
    ]


async def test_the_same_words_are_not_written_again(scene: Scene) -> None:
    conversation = GitHubConversation(scene.github)
    for _ in range(2):
        await conversation.say(scene.target, "k", "first")
    assert [call for call in scene.calls() if not call.startswith("GET")] == [
        "POST issues/1/comments"
    ]


async def test_our_marker_in_another_s_comment_means_nothing(scene: Scene) -> None:
    theirs = scene.state.comment(scene.pull, "mallory", marked("hands off", "k"))
    await GitHubConversation(scene.github).say(scene.target, "k", "ours")
    assert theirs.body == marked("hands off", "k")
    assert len(said(scene)) == 2


async def test_our_comment_is_found_on_a_later_page(scene: Scene) -> None:
    for n in range(120):
        scene.state.comment(scene.pull, "mona", str(n))
    conversation = GitHubConversation(scene.github)
    await conversation.say(scene.target, "k", "first")
    await conversation.say(scene.target, "k", "second")
    assert said(scene)[120:] == [(scene.state.app.bot, marked("second", "k"))]


@pytest.mark.parametrize("fault", LOST, ids=["after", "cut", "before"])
async def test_a_comment_whose_answer_is_lost_is_said_once(scene: Scene, fault: Fault) -> None:
    scene.state.faults.append(copy(fault))
    await GitHubConversation(scene.github).say(scene.target, "k", "hello")
    assert said(scene) == [(scene.state.app.bot, marked("hello", "k"))]


async def test_a_locked_conversation_says_so(scene: Scene) -> None:
    scene.pull.locked = True
    with pytest.raises(Locked):
        await GitHubConversation(scene.github).say(scene.target, "k", "hello")


async def test_a_reply_is_said_once_in_its_thread(scene: Scene) -> None:
    review = scene.state.review(scene.pull, "mona", "")
    first = scene.state.review_comment(review, "why?", Place(path="a.py", line=3))
    conversation = GitHubConversation(scene.github)
    for text in ("one", "two", "two"):
        await conversation.say(scene.target, "k", text, first.id)
    replies = [c for c in scene.state.review_comments.values() if c.in_reply_to == first.id]
    assert [(c.author, c.body) for c in replies] == [(scene.state.app.bot, marked("two", "k"))]
    assert said(scene) == []


@pytest.mark.parametrize("status", [404, 422])
async def test_where_the_thread_is_gone_the_conversation_has_the_reply(
    scene: Scene, status: int
) -> None:
    scene.state.faults.append(Fault(path="/replies$", status=status))
    await GitHubConversation(scene.github).say(scene.target, "k", "hello", 999)
    assert said(scene) == [(scene.state.app.bot, marked("hello", "k"))]


async def test_a_reply_waits_for_our_pending_review(scene: Scene) -> None:
    review = scene.state.review(scene.pull, "mona", "")
    first = scene.state.review_comment(review, "why?", Place(path="a.py", line=3))
    pending = scene.state.review(scene.pull, scene.state.app.bot, "wait", review_state="PENDING")
    conversation = GitHubConversation(scene.github)
    with pytest.raises(Unavailable):
        await conversation.say(scene.target, "k", "hello", first.id)
    pending.state = "COMMENTED"
    await conversation.say(scene.target, "k", "hello", first.id)
    replies = [c for c in scene.state.review_comments.values() if c.in_reply_to == first.id]
    assert [c.body for c in replies] == [marked("hello", "k")]
