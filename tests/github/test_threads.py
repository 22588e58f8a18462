"""What stands on the diff is read in one question, and closed as far as we may."""

import pytest

from app.demo.faults import Fault
from app.demo.records import Place, ReviewComment
from app.github.threads import GitHubThreads
from app.github.transport import Account, GitHub
from app.github.user_token import TokenCredentials
from app.ports import Run
from app.review.diff import Side
from app.review.marker import comment_marker, finding_marker, review_marker
from app.review.pull import RunId, Sha
from app.review.threads import Closing, Standing, Thread
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio

HERE = Place(path="a.py", side="RIGHT", line=3)
RUN = Run(id=RunId("run-1"), attempt=1)


def say(
    scene: Scene, login: str, *bodies: str, body: str = "", state: str = "COMMENTED"
) -> list[ReviewComment]:
    review = scene.state.review(scene.pull, login, body, review_state=state)
    return [scene.state.review_comment(review, text, HERE) for text in bodies]


def marked(fingerprint: str) -> str:
    return f"**P1** A bug.\n\n{finding_marker('run-0', fingerprint, 'an-older-head')}"


def threads(scene: Scene) -> GitHubThreads:
    return GitHubThreads(scene.github, scene.github.author)


async def standing(scene: Scene) -> Standing:
    return await threads(scene).fetch(scene.target)


def no_graphql(times: int = 9) -> Fault:
    return Fault(path="^/graphql$", status=404, message="Not Found", times=times)


@pytest.fixture(params=["GraphQL", "REST"])
def way(request: pytest.FixtureRequest, scene: Scene) -> str:
    if request.param == "REST":
        scene.state.faults.append(no_graphql())
    return str(request.param)


async def test_a_thread_is_read_with_what_people_did_to_it(scene: Scene) -> None:
    bot = scene.state.app.bot
    [comment] = say(scene, bot, marked("one"))
    scene.state.person("helper[bot]", "Bot")
    for login in ("riley", "helper[bot]", bot):
        scene.state.react(("review_comment", comment.id), login, "-1")
    scene.state.react(("review_comment", comment.id), "casey", "+1")
    scene.state.reply(comment, "riley", "No.")
    comment.resolved_by, comment.minimized = "mona", "off-topic"
    [thread] = (await standing(scene)).threads
    assert thread == Thread(
        id=thread.id,
        comment_id=comment.id,
        node_id=thread.node_id,
        path="a.py",
        side=Side.RIGHT,
        start_line=None,
        line=3,
        body=marked("one"),
        is_resolved=True,
        is_minimized=True,
        resolved_by="mona",
        disliked_by=("riley",),
        fingerprint=thread.fingerprint,
        run_id="run-0",
    )
    assert thread.fingerprint == "one"
    assert scene.calls() == ["POST /graphql"]


@pytest.mark.usefixtures("way")
async def test_our_comments_and_the_bodies_of_our_reviews_tell_what_we_said(scene: Scene) -> None:
    bot = scene.state.app.bot
    body = f"{marked('folded')}\n\n{review_marker('run-0', 'h')}"
    say(scene, bot, marked("one"), marked("two"), body=body)
    say(scene, bot, marked("one"), comment_marker("refused"), "no marker")
    assert (await standing(scene)).said == {"one", "two", "folded"}


@pytest.mark.usefixtures("way")
async def test_only_what_we_wrote_and_submitted_is_ours(scene: Scene) -> None:
    bot = scene.state.app.bot
    say(scene, "mallory", marked("forged"), body=marked("forged too"))
    say(scene, bot.removesuffix("[bot]"), marked("by a namesake"))
    say(scene, bot, marked("pending"), body=marked("pending too"), state="PENDING")
    found = await standing(scene)
    assert found.said == frozenset()
    assert [(thread.path, thread.line, thread.is_ours) for thread in found.threads] == [
        ("a.py", 3, False),
        ("a.py", 3, False),
    ]


@pytest.mark.usefixtures("way")
async def test_threads_on_a_later_page_are_read(scene: Scene) -> None:
    say(scene, "mona", *("about that" for _ in range(101)))
    say(scene, scene.state.app.bot, marked("late"))
    assert (await standing(scene)).said == {"late"}


@pytest.mark.usefixtures("way")
async def test_where_the_code_has_moved_on_a_thread_has_no_line(scene: Scene) -> None:
    say(scene, "mona", "About this.")
    scene.state.push(scene.pull, {"a.py": "another\n"})
    [thread] = (await standing(scene)).threads
    assert thread.line is None


@pytest.mark.parametrize(("login", "said"), [("riley", {"riley's"}), ("mona", set())])
async def test_a_person_s_token_counts_what_that_person_said(
    scene: Scene, login: str, said: set[str]
) -> None:
    say(scene, "riley", marked("riley's"))
    say(scene, scene.state.app.bot, marked("the App's"))
    credentials = TokenCredentials(scene.connection, scene.state.personal_token(login))
    github = GitHub(scene.connection, credentials)
    found = await GitHubThreads(github, credentials.author).fetch(scene.target)
    assert found.said == said


async def test_where_nobody_knows_who_we_are_nothing_is_ours(scene: Scene) -> None:
    async def nobody() -> Account | None:
        return None

    say(scene, scene.state.app.bot, marked("one"))
    assert (await GitHubThreads(scene.github, nobody).fetch(scene.target)).said == frozenset()


async def test_where_nothing_can_be_read_nothing_stands(scene: Scene) -> None:
    say(scene, scene.state.app.bot, marked("one"))
    scene.state.faults += [no_graphql(), Fault(path="/comments$", status=403, message="no")]
    assert await standing(scene) == Standing()


async def closable(scene: Scene, text: str = "Fixed in abc.") -> list[Closing]:
    found = (await standing(scene)).threads
    return [
        Closing(thread=thread, body=f"{text}\n\n{thread.body}")
        for thread in found
        if thread.is_ours
    ]


def grant_contents(scene: Scene) -> None:
    scene.state.installations[scene.target.installation_id].permissions["contents"] = "write"


async def test_a_fixed_finding_s_comment_is_edited_and_minimised(scene: Scene) -> None:
    [comment] = say(scene, scene.state.app.bot, marked("one"))
    closings = await closable(scene)
    renewed: list[str] = []

    async def renew() -> None:
        renewed.append("renewed")

    run = Run(id=RunId("run-1"), attempt=1, renew=renew)
    await threads(scene).close(scene.target, run, closings)
    assert comment.body == f"Fixed in abc.\n\n{marked('one')}"
    assert (comment.minimized, comment.resolved_by) == ("resolved", None)
    assert renewed == ["renewed"]
    assert scene.calls()[1:] == [f"PATCH pulls/comments/{comment.id}", "POST /graphql"]
    assert not any(b'contents":"write' in r.request_body for r in scene.state.requests)


async def test_what_is_done_already_is_not_done_again(scene: Scene) -> None:
    [comment] = say(scene, scene.state.app.bot, marked("one"))
    grant_contents(scene)
    await threads(scene).close(scene.target, RUN, await closable(scene))
    n_asked = len(scene.calls())
    [again] = (await standing(scene)).threads
    assert (again.is_closed, again.is_minimized, again.is_resolved) == (True, True, True)
    closing = Closing(thread=again, body=comment.body)
    await threads(scene).close(scene.target, RUN, [closing])
    assert scene.calls()[n_asked:] == ["POST /graphql"]  # the look


async def test_a_thread_is_resolved_with_a_token_of_its_own(scene: Scene) -> None:
    comments = say(scene, scene.state.app.bot, marked("one"), marked("two"))
    grant_contents(scene)
    await threads(scene).close(scene.target, RUN, await closable(scene))
    assert [c.resolved_by for c in comments] == [scene.state.app.bot] * 2
    asked = [r.json() for r in scene.state.requests if r.path.endswith("/access_tokens")]
    permissions = [body["permissions"] for body in asked if isinstance(body, dict)]
    assert permissions[1:] == [{"contents": "write", "metadata": "read", "pull_requests": "write"}]
    assert permissions[0]["contents"] == "read"


async def test_whether_threads_may_be_resolved_is_asked_once_an_hour(scene: Scene) -> None:
    say(scene, scene.state.app.bot, marked("one"))
    closings = await closable(scene)
    path = f"/app/installations/{scene.target.installation_id}"
    for wait_s, n_asked in ((0, 1), (3_000, 1), (1_000, 2)):
        scene.clock.at += wait_s
        await threads(scene).close(scene.target, RUN, closings)
        assert [r.path for r in scene.state.requests].count(path) == n_asked


async def test_without_graphql_comments_are_edited_all_the_same(scene: Scene) -> None:
    [comment] = say(scene, scene.state.app.bot, marked("one"))
    scene.state.faults.append(no_graphql())
    await threads(scene).close(scene.target, RUN, await closable(scene))
    assert comment.body.startswith("Fixed in abc.")
    assert comment.minimized is None


async def test_nothing_is_asked_where_nothing_is_fixed(scene: Scene) -> None:
    await threads(scene).close(scene.target, RUN, [])
    assert scene.calls() == []


async def test_renames_are_those_since_the_last_head(scene: Scene) -> None:
    before = Sha(scene.pull.head_sha)
    head = Sha(scene.state.push(scene.pull, {"b.py": None, "c.py": "new = 1\n"}))
    assert await threads(scene).renamed(scene.target, before, head) == {"b.py": "c.py"}
    gone = Sha("f" * 40)
    assert await threads(scene).renamed(scene.target, gone, head) == {}
