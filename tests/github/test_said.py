"""What we said on a pull request is known by our markers, and by nobody else's."""

import pytest

from app.demo.records import Place
from app.github.said import SaidFindings
from app.github.transport import Account, GitHub
from app.github.user_token import TokenCredentials
from app.review.marker import comment_marker, finding_marker, review_marker
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio

HERE = Place(path="a.py", side="RIGHT", line=3)


def say(scene: Scene, login: str, *bodies: str, body: str = "", state: str = "COMMENTED") -> None:
    review = scene.state.review(scene.pull, login, body, review_state=state)
    for text in bodies:
        scene.state.review_comment(review, text, HERE)


def marked(fingerprint: str) -> str:
    return f"**P1** A bug.\n\n{finding_marker('run-0', fingerprint, 'an-older-head')}"


async def said_by_us(scene: Scene) -> frozenset[str]:
    return await SaidFindings(scene.github, scene.github.author).fingerprints(scene.target)


async def test_our_comments_and_the_bodies_of_our_reviews_tell_what_we_said(scene: Scene) -> None:
    bot = scene.state.app.bot
    body = f"{marked('folded')}\n\n{review_marker('run-0', 'h')}"
    say(scene, bot, marked("one"), marked("two"), body=body)
    say(scene, bot, marked("one"), comment_marker("refused"), "no marker")
    assert await said_by_us(scene) == {"one", "two", "folded"}


async def test_only_what_we_wrote_and_submitted_counts(scene: Scene) -> None:
    bot = scene.state.app.bot
    say(scene, "mallory", marked("forged"), body=marked("forged too"))
    say(scene, bot.removesuffix("[bot]"), marked("by a namesake"))
    say(scene, bot, marked("pending"), body=marked("pending too"), state="PENDING")
    assert await said_by_us(scene) == frozenset()


async def test_comments_on_a_later_page_are_read(scene: Scene) -> None:
    say(scene, "mona", *("about that" for _ in range(101)))
    say(scene, scene.state.app.bot, marked("late"))
    assert await said_by_us(scene) == {"late"}


@pytest.mark.parametrize(("login", "said"), [("riley", {"riley's"}), ("mona", set())])
async def test_a_person_s_token_counts_what_that_person_said(
    scene: Scene, login: str, said: set[str]
) -> None:
    say(scene, "riley", marked("riley's"))
    say(scene, scene.state.app.bot, marked("the App's"))
    credentials = TokenCredentials(scene.connection, scene.state.personal_token(login))
    github = GitHub(scene.connection, credentials)
    assert await SaidFindings(github, credentials.author).fingerprints(scene.target) == said


async def test_where_nobody_knows_who_we_are_nothing_is_asked(scene: Scene) -> None:
    async def nobody() -> Account | None:
        return None

    say(scene, scene.state.app.bot, marked("one"))
    assert await SaidFindings(scene.github, nobody).fingerprints(scene.target) == frozenset()
    assert scene.calls() == []
