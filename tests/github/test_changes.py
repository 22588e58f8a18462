"""Opening pull requests and reading files, against the stand-in."""

from dataclasses import replace
from typing import Literal

import pytest

from app.demo.faults import Fault
from app.demo.repository import Entry
from app.errors import Overtaken, PullRequestGone, Unavailable
from app.github.changes import GitHubChanges
from app.github.contents import MAX_FILE_BYTES
from app.github.transport import DIFF
from app.review.config import CONFIG_PATH, Config
from app.review.diff import parse_diff
from app.review.pull import PullRequest, Sha
from tests.github.conftest import FILES, Scene

pytestmark = pytest.mark.anyio

OUR_FILE = f"GET contents/{CONFIG_PATH}"


async def test_a_pull_request_is_opened_with_both_ends_pinned(scene: Scene) -> None:
    scene.pull.body, scene.pull.draft = "Because.", True
    scene.pull.labels = ["bug", "urgent"]
    change = await GitHubChanges(scene.github).open(scene.target)
    assert change.pull == PullRequest(
        target=scene.target,
        title="Change something",
        body="Because.",
        author="contributor",
        state="open",
        is_draft=True,
        is_locked=False,
        is_archived=False,
        head_sha=Sha(scene.pull.head_sha),
        base_sha=Sha(scene.pull.base_sha),
        base_ref="main",
        default_branch="main",
        labels=("bug", "urgent"),
    )
    assert (change.head_sha, change.base_sha) == (scene.pull.head_sha, scene.pull.base_sha)
    assert change.diff == parse_diff(
        scene.repository.git.diff(scene.pull.base_sha, scene.pull.head_sha)
    )
    assert [file.path for file in change.diff.files] == ["a.py", "b.py"]
    assert change.config == Config()
    assert (change.not_in_diff, change.mistakes, change.agents) == ((), (), ())


async def test_opening_costs_three_reads_at_once_and_one_of_what_the_base_holds(
    scene: Scene,
) -> None:
    await GitHubChanges(scene.github).open(scene.target)
    tree = f"GET git/trees/{scene.pull.base_sha}"
    *at_once, after = scene.calls()
    assert (sorted(at_once), after) == (sorted(["GET pulls/1", "GET pulls/1", OUR_FILE]), tree)
    assert DIFF in {request.accept for request in scene.state.requests}


@pytest.mark.parametrize("state", ["closed", "open"])
async def test_a_closed_pull_request_is_opened_too(
    scene: Scene, state: Literal["open", "closed"]
) -> None:
    scene.pull.state = state
    change = await GitHubChanges(scene.github).open(scene.target)
    assert change.pull is not None
    assert change.pull.state == state


async def test_locked_and_archived_are_told(scene: Scene) -> None:
    scene.pull.locked = scene.repository.archived = True
    pull = (await GitHubChanges(scene.github).open(scene.target)).pull
    assert pull is not None
    assert pull.is_locked
    assert pull.is_archived


async def test_the_diff_is_fetched_again_after_a_push_of_just_now(scene: Scene) -> None:
    scene.repository.created_at = scene.clock.now() - 10  # the stand-in's time of the last push
    await GitHubChanges(scene.github).open(scene.target)
    assert scene.calls("GET contents", "GET git") == ["GET pulls/1"] * 3
    assert [request.accept for request in scene.state.requests].count(DIFF) == 2


async def test_a_pull_request_that_is_not_there_is_gone(scene: Scene) -> None:
    with pytest.raises(PullRequestGone):
        await GitHubChanges(scene.github).open(replace(scene.target, number=77))


async def test_a_github_that_is_down_is_worth_another_try(scene: Scene) -> None:
    scene.state.faults.append(Fault(path="/pulls/1$", status=502, times=999))
    with pytest.raises(Unavailable):
        await GitHubChanges(scene.github).open(scene.target)


@pytest.mark.parametrize("reuse", [False, True])
async def test_a_renamed_repository_is_opened_by_its_id(scene: Scene, reuse: bool) -> None:
    scene.state.rename(scene.repository, "store")
    if reuse:
        other = scene.state.create_repository("octo/shop", {"x": "1"})
        scene.state.open_pull_request(other, {"x": "2"}, title="Another one")
    change = await GitHubChanges(scene.github).open(scene.target)
    assert change.head_sha == scene.pull.head_sha


async def test_files_over_one_page_are_all_listed(scene: Scene) -> None:
    files = {f"f{n:03}.py": f"x = {n}\n" for n in range(310)}
    scene.state.push(scene.pull, files)
    scene.clock.at += 3_600
    change = await GitHubChanges(scene.github).open(scene.target)
    assert [file.path for file in change.diff.files] == sorted(FILES) + sorted(files)
    assert all(file.hunks for file in change.diff.files)
    assert change.not_in_diff == ()
    pages = [call for call in scene.calls() if call == "GET pulls/1/files"]
    assert len(pages) == 7


async def test_a_file_is_read_once_at_the_head(scene: Scene) -> None:
    changes = GitHubChanges(scene.github)
    change = scene.change()
    assert await changes.read(change, "b.py") == b"new = 1\n"
    assert await changes.read(change, "b.py") == b"new = 1\n"
    assert scene.calls() == ["GET contents/b.py"]
    assert scene.state.requests[-1].query == f"ref={scene.pull.head_sha}"


async def test_a_file_is_read_as_it_was_at_that_head(scene: Scene) -> None:
    changes = GitHubChanges(scene.github)
    before = scene.change()
    scene.state.push(scene.pull, {"b.py": "new = 2\n"})
    assert await changes.read(scene.change(), "b.py") == b"new = 2\n"
    assert await changes.read(before, "b.py") == b"new = 1\n"


async def test_a_file_of_a_fork_is_read_through_the_base(scene: Scene) -> None:
    pull = scene.state.open_pull_request(
        scene.repository, {"a.py": "forked\n"}, branch="f", from_fork=True
    )
    target = replace(scene.target, number=pull.number)
    changes = GitHubChanges(scene.github)
    change = await changes.open(target)
    assert await changes.read(change, "a.py") == b"forked\n"


@pytest.mark.parametrize("path", ["a b#c?.py", "dé/100%.py", "x+y&z.txt", 'q"\\'])
async def test_any_name_can_be_read(scene: Scene, path: str) -> None:
    scene.state.push(scene.pull, {path: "1\n"})
    assert await GitHubChanges(scene.github).read(scene.change(), path) == b"1\n"


@pytest.mark.parametrize("path", ["gone.py", "../a.py", "x/../../y", "/etc", "", "a//b", "."])
async def test_what_cannot_be_read_is_none(scene: Scene, path: str) -> None:
    assert await GitHubChanges(scene.github).read(scene.change(), path) is None


async def test_a_file_is_read_up_to_its_limit(scene: Scene) -> None:
    scene.state.push(
        scene.pull,
        {"fits": b"x" * MAX_FILE_BYTES, "over": Entry(b"x" * (MAX_FILE_BYTES + 1))},
    )
    changes = GitHubChanges(scene.github)
    assert await changes.read(scene.change(), "fits") == b"x" * MAX_FILE_BYTES
    assert await changes.read(scene.change(), "over") is None


@pytest.mark.parametrize("status", [403, 422])
async def test_what_github_refuses_to_show_is_none(scene: Scene, status: int) -> None:
    refusal = "This API returns blobs up to 100 MB in size."
    scene.state.faults.append(Fault(path="/contents/", status=status, message=refusal))
    assert await GitHubChanges(scene.github).read(scene.change(), "a.py") is None


async def test_a_head_that_stayed_is_confirmed_and_one_that_moved_is_not(scene: Scene) -> None:
    changes = GitHubChanges(scene.github)
    change = await changes.open(scene.target)
    await changes.confirm(change)
    scene.state.push(scene.pull, {"b.py": "new = 2\n"})
    with pytest.raises(Overtaken):
        await changes.confirm(change)
