"""A thread is read without anybody's name, and never without an end."""

import pytest

from app.demo.records import Place, ReviewComment
from app.github.talks import MAX_PAGES, MAX_REPLIES, GitHubTalks
from app.review.diff import Side
from app.review.findings import Location
from app.review.marker import FindingMarker, finding_marker
from app.review.talk import Said
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio
PLACE = Place(path="a.py", line=4, start_line=3, start_side="RIGHT", diff_hunk="@@ -1 +1 @@\n x")


def begun(scene: Scene, login: str, body: str, place: Place = PLACE) -> ReviewComment:
    return scene.state.review_comment(scene.state.review(scene.pull, login, ""), body, place)


async def test_a_thread_has_its_place_and_what_was_said_until_the_question(scene: Scene) -> None:
    first = begun(scene, "mona", "Hm, @octo/team?")
    begun(scene, "mona", "elsewhere")
    scene.state.reply(first, scene.state.app.bot, "It is.")
    last = scene.state.reply(first, "mona", "@codex why, says `@cache`?")
    scene.state.reply(first, "ghost", "later")
    thread = await GitHubTalks(scene.github).read(scene.target, first.id, until=last.id)
    assert thread is not None
    assert thread.place == Location(path="a.py", side=Side.RIGHT, start_line=3, line=4)
    assert (thread.hunk, thread.finding) == (PLACE.diff_hunk, None)
    assert thread.said == (
        Said(by="person 1", text="Hm, @someone?"),
        Said(by="this app", text="It is."),
        Said(by="person 1", text="@someone why, says `@cache`?"),
    )


@pytest.mark.parametrize("is_ours", [True, False])
async def test_only_our_own_marker_makes_it_a_finding(scene: Scene, is_ours: bool) -> None:
    author = scene.state.app.bot if is_ours else "mallory"
    first = begun(scene, author, f"P1\n\n{finding_marker('r', 'f', 'h')}")
    thread = await GitHubTalks(scene.github).read(scene.target, first.id, until=first.id)
    found = FindingMarker(run_id="r", fingerprint="f", head_sha="h")
    assert thread is not None
    assert thread.finding == (found if is_ours else None)
    assert "<!--" not in thread.said[0].text


@pytest.mark.parametrize(
    "place",
    [Place(path="a.py", subject_type="file"), Place(path="a.py", line=900)],
    ids=["a whole file", "a line that is gone"],
)
async def test_what_is_about_no_line_has_no_place(scene: Scene, place: Place) -> None:
    first = begun(scene, "mona", "Hm.", place)
    thread = await GitHubTalks(scene.github).read(scene.target, first.id, until=first.id)
    assert thread is not None
    assert (thread.path, thread.place) == ("a.py", None)


async def test_of_a_long_thread_the_beginning_and_the_end_are_read(scene: Scene) -> None:
    first = begun(scene, "mona", "0")
    replies = [scene.state.reply(first, "mona", str(n)) for n in range(1, 71)]
    thread = await GitHubTalks(scene.github).read(scene.target, first.id, until=replies[-2].id)
    assert thread is not None
    said = [int(one.text) for one in thread.said]
    assert said == [0, *range(70 - MAX_REPLIES, 70)]
    assert len([call for call in scene.calls() if call.endswith("pulls/1/comments")]) == 1


async def test_a_pull_request_with_any_number_of_comments_is_read_in_part(scene: Scene) -> None:
    first = begun(scene, "mona", "Hm.")
    for _ in range(50 * MAX_PAGES + 1):
        last = begun(scene, "mallory", "spam")
    thread = await GitHubTalks(scene.github).read(scene.target, first.id, until=last.id)
    assert thread is not None
    assert len(thread.said) == 1
    assert len([c for c in scene.calls() if c.endswith("pulls/1/comments")]) == MAX_PAGES


async def test_a_thread_that_is_gone_is_none(scene: Scene) -> None:
    assert await GitHubTalks(scene.github).read(scene.target, 7, until=8) is None
