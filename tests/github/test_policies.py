"""Which files of configuration are fetched, from where and how often, against the stand-in."""

from dataclasses import replace

import pytest

from app.demo.faults import Fault, RecordedRequest
from app.errors import Unavailable
from app.github.changes import GitHubChanges
from app.github.policies import KEPT_S, MAX_KEPT, ConfigFiles
from app.review.config import CONFIG_PATH, Ceilings, Config, Configured, Layer
from app.review.pull import Target
from app.review.yaml_nodes import MAX_BYTES
from tests.github.conftest import Scene

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

OURS, THEIRS = "octo/shop: .github/codex-review.yml", "octo/.github: .github/codex-review.yml"
SERVER = Layer(name="DEFAULT_CONFIG", raw=b"review: {max_comments: 1, language: de, fail_on: P0}\n")


def write(scene: Scene, text: str | bytes) -> None:
    """Put a configuration on the repository's default branch."""
    scene.state.commit(scene.repository, {CONFIG_PATH: text})


def write_for_all(scene: Scene, text: str, *, owner: str = "octo", installed: bool = True) -> None:
    """Give an account its `.github` repository, with a configuration."""
    scene.state.create_repository(f"{owner}/.github", {CONFIG_PATH: text}, installed=installed)


def asked(scene: Scene) -> list[RecordedRequest]:
    """What was asked for the organisation's sake."""
    return [
        r
        for r in scene.state.requests
        if "/octo/.github/" in r.path or b'"repositories"' in r.request_body
    ]


async def fetch(scene: Scene) -> Configured:
    return await ConfigFiles(scene.github).fetch(scene.target)


async def test_without_any_file_the_defaults_govern(scene: Scene) -> None:
    assert await fetch(scene) == Configured(config=Config())


async def test_the_repository_stands_over_its_organisation_and_that_over_the_server(
    scene: Scene,
) -> None:
    write_for_all(scene, "review: {max_comments: 2, language: fr}\n")
    write(scene, "review: {max_comments: 3}\n")
    found = await ConfigFiles(scene.github, server=SERVER).fetch(scene.target)
    config = found.config
    assert (config.max_comments, config.language, config.fail_on) == (3, "fr", "P0")
    assert dict(found.sources) == {
        "review.max_comments": OURS,
        "review.language": THEIRS,
        "review.fail_on": "DEFAULT_CONFIG",
    }
    assert found.mistakes == ()


async def test_the_default_branch_governs_whatever_is_proposed(scene: Scene) -> None:
    write(scene, "review: {max_comments: 3}\n")
    scene.state.push(scene.pull, {CONFIG_PATH: "review: {max_comments: 99}\n"})
    assert (await fetch(scene)).config.max_comments == 3


async def test_the_ceilings_of_the_server_hold(scene: Scene) -> None:
    write(scene, "model: {name: expensive}\n")
    files = ConfigFiles(scene.github, ceilings=Ceilings(models=("cheap",)))
    found = await files.fetch(scene.target)
    assert found.config.model == ""
    assert [(m.layer, m.line, m.key) for m in found.mistakes] == [(OURS, 1, "model.name")]


@pytest.mark.parametrize("status", [403, 404])
async def test_a_file_that_we_may_not_see_is_no_layer(scene: Scene, status: int) -> None:
    write(scene, "review: {max_comments: 3}\n")
    scene.state.faults.append(Fault(path="/shop/contents/", status=status, message="no"))
    assert await fetch(scene) == Configured(config=Config())


async def test_a_file_that_is_too_large_is_a_mistake_and_the_others_hold(scene: Scene) -> None:
    write_for_all(scene, "review: {max_comments: 2}\n")
    write(scene, b"#" * (MAX_BYTES + 1))
    found = await fetch(scene)
    assert found.config.max_comments == 2
    assert [str(told) for told in found.mistakes] == [
        f"{OURS}, line 1: expected at most 65536 bytes"
    ]


@pytest.mark.parametrize("path", ["/shop/contents/", "/octo/.github/contents/"])
async def test_a_github_that_is_down_is_never_taken_for_no_configuration(
    scene: Scene, path: str
) -> None:
    write_for_all(scene, "review: {max_comments: 2}\n")
    write(scene, "review: {max_comments: 3}\n")
    scene.state.faults.append(Fault(path=path, status=502, times=999))
    with pytest.raises(Unavailable):
        await fetch(scene)


# ---- the organisation's file ---------------------------------------------------------------------


async def test_the_organisation_s_file_is_read_with_a_token_that_can_do_nothing_else(
    scene: Scene,
) -> None:
    write_for_all(scene, "review: {max_comments: 2}\n")
    await fetch(scene)
    token, read = asked(scene)
    assert token.json() == {
        "repositories": [".github"],
        "permissions": {"contents": "read", "metadata": "read"},
    }
    assert (read.status, read.path) == (200, f"/repos/octo/.github/contents/{CONFIG_PATH}")


@pytest.mark.parametrize("exists", [False, True])
async def test_without_the_app_there_is_no_layer_and_nothing_is_wrong(
    scene: Scene, exists: bool
) -> None:
    if exists:
        write_for_all(scene, "review: {max_comments: 2}\n", installed=False)
    assert await fetch(scene) == Configured(config=Config())
    assert [(r.path[-14:], r.status) for r in asked(scene)] == [("/access_tokens", 422)]


async def test_it_is_kept_for_some_minutes(scene: Scene) -> None:
    write_for_all(scene, "review: {max_comments: 2}\n")
    files = ConfigFiles(scene.github)
    for _ in range(3):
        assert (await files.fetch(scene.target)).config.max_comments == 2
    assert len(asked(scene)) == 2
    scene.clock.at += KEPT_S
    there = scene.state.find_repository("octo/.github")
    assert there is not None
    scene.state.commit(there, {CONFIG_PATH: "review: {max_comments: 4}\n"})
    assert (await files.fetch(scene.target)).config.max_comments == 4


async def test_that_there_is_none_is_kept_too(scene: Scene) -> None:
    files = ConfigFiles(scene.github)
    await files.fetch(scene.target)
    write_for_all(scene, "review: {max_comments: 2}\n")
    assert (await files.fetch(scene.target)).config.max_comments == 5
    assert len(asked(scene)) == 1
    scene.clock.at += KEPT_S
    assert (await files.fetch(scene.target)).config.max_comments == 2


async def test_a_failure_is_not_kept(scene: Scene) -> None:
    write_for_all(scene, "review: {max_comments: 2}\n")
    files = ConfigFiles(scene.github)
    scene.state.faults.append(Fault(path="/octo/.github/contents/", status=502, times=999))
    with pytest.raises(Unavailable):
        await files.fetch(scene.target)
    scene.state.faults.clear()
    assert (await files.fetch(scene.target)).config.max_comments == 2


async def test_only_so_many_organisations_are_kept(scene: Scene) -> None:
    files = ConfigFiles(scene.github)
    for n in range(MAX_KEPT + 1):
        await files.fetch(replace(scene.target, owner=f"owner-{n}"))
    before = len(asked(scene))
    await files.fetch(replace(scene.target, owner="owner-1"))
    assert len(asked(scene)) == before
    await files.fetch(replace(scene.target, owner="owner-0"))
    assert len(asked(scene)) == before + 1


async def test_a_review_of_the_organisation_s_own_repository_reads_its_file_once(
    scene: Scene,
) -> None:
    write_for_all(scene, "review: {max_comments: 2}\n")
    there = scene.state.find_repository("octo/.github")
    assert there is not None
    target = replace(scene.target, repository_id=there.id, repo=".github")
    assert (await ConfigFiles(scene.github).fetch(target)).config.max_comments == 2
    assert [r.path for r in asked(scene)] == [f"/repos/octo/.github/contents/{CONFIG_PATH}"]


# ---- looking at a pull request without its diff --------------------------------------------------


async def test_a_look_costs_the_pull_request_and_the_configuration(scene: Scene) -> None:
    write(scene, "review: {drafts: true}\n")
    scene.pull.draft, scene.pull.labels = True, ["wip"]
    pull, found = await GitHubChanges(scene.github).look(scene.target)
    assert (pull.is_draft, pull.labels, pull.head_sha) == (True, ("wip",), scene.pull.head_sha)
    assert found.config.drafts
    assert sorted(scene.calls()) == [f"GET contents/{CONFIG_PATH}", "GET pulls/1"]


async def test_the_configuration_is_that_of_the_repository_not_of_its_old_name(
    scene: Scene,
) -> None:
    write(scene, "review: {max_comments: 3}\n")
    scene.state.rename(scene.repository, "store")
    other = scene.state.create_repository("octo/shop", {CONFIG_PATH: "review: {max_comments: 9}\n"})
    scene.state.open_pull_request(other, {"x": "2"})
    changes = GitHubChanges(scene.github)
    assert (await changes.look(scene.target))[1].config.max_comments == 3
    assert (await changes.open(scene.target)).config.max_comments == 3


async def test_a_fork_s_own_configuration_is_ignored(scene: Scene) -> None:
    write(scene, "review: {max_comments: 3}\n")
    forked = scene.state.open_pull_request(
        scene.repository,
        {CONFIG_PATH: "review: {max_comments: 99}\n"},
        author="mallory",
        from_fork=True,
    )
    target: Target = replace(scene.target, number=forked.number)
    change = await GitHubChanges(scene.github).open(target)
    assert change.config.max_comments == 3
    assert not [r for r in scene.state.requests if "/mallory/" in r.path]


async def test_mistakes_are_told_in_words(scene: Scene) -> None:
    write(scene, "review:\n  max_comments: many\n")
    change = await GitHubChanges(scene.github).open(scene.target)
    assert change.config == Config()
    [told] = change.mistakes
    assert told.startswith(f"{OURS}, line 2, review.max_comments: ")
