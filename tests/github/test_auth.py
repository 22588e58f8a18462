"""Tokens and JWTs against the stand-in, which checks both by its own clock."""

import asyncio

import pytest

from app.demo.faults import Fault
from app.errors import Forbidden, Unavailable
from app.github.auth import PERMISSIONS, AppCredentials
from app.github.transport import Connection, GitHub
from tests.faults import expired_token
from tests.github.conftest import FakeClock, Scene

pytestmark = pytest.mark.anyio

TOKEN_PATH = "access_tokens$"


def n_tokens(scene: Scene) -> int:
    return sum(r.path.endswith("/access_tokens") for r in scene.state.requests)


async def read(scene: Scene) -> None:
    await scene.github.repository(scene.target).get("pulls/1", accept="application/json")


async def test_a_token_is_for_one_repository_and_no_more_than_a_review_needs(
    scene: Scene,
) -> None:
    await read(scene)
    asked = scene.state.requests[0].json()
    assert asked == {
        "repository_ids": [scene.repository.id],
        "permissions": {
            "checks": "write",
            "contents": "read",
            "issues": "write",
            "metadata": "read",
            "pull_requests": "write",
        },
    }


async def test_the_token_for_the_organisation_s_repository_only_reads_it(scene: Scene) -> None:
    scene.state.create_repository("octo/.github", {"a": "1"})
    there = scene.github.organisation(scene.target)
    assert await there.get("contents/a", accept="application/vnd.github.raw+json") == b"1"
    assert scene.state.requests[0].json() == {
        "repositories": [".github"],
        "permissions": {"contents": "read", "metadata": "read"},
    }
    token = next(iter(scene.state.tokens.values()))
    reached = [repository.full_name for repository in scene.state.repositories_of(token)]
    assert reached == ["octo/.github"]


async def test_finding_a_repository_takes_a_token_that_sees_no_more_than_it(scene: Scene) -> None:
    credentials = AppCredentials(
        scene.connection, app_id=str(scene.state.app.id), private_key=scene.private_key
    )
    assert await credentials.find("octo", "shop", scene.pull.number) == scene.target
    [asked] = [r.json() for r in scene.state.requests if r.path.endswith("/access_tokens")]
    assert asked == {"repositories": ["shop"], "permissions": {"metadata": "read"}}
    scene.repository.installed = False
    with pytest.raises(Forbidden, match="not installed on octo/shop"):
        await credentials.find("octo", "shop", 1)


async def test_where_that_is_not_installed_nothing_more_is_asked(scene: Scene) -> None:
    with pytest.raises(Forbidden, match="not installed"):
        await scene.github.organisation(scene.target).get("contents/a", accept="")
    assert [request.status for request in scene.state.requests] == [422]


async def test_two_requests_at_once_ask_for_one_token(scene: Scene) -> None:
    await asyncio.gather(*(read(scene) for _ in range(5)))
    assert n_tokens(scene) == 1


async def test_a_token_is_renewed_five_minutes_early(scene: Scene) -> None:
    await read(scene)
    scene.clock.at += 54 * 60
    await read(scene)
    assert n_tokens(scene) == 1
    scene.clock.at += 2 * 60
    await read(scene)
    assert n_tokens(scene) == 2


async def test_a_refused_token_is_renewed_once(scene: Scene) -> None:
    scene.state.faults.append(expired_token("/pulls/1"))
    await read(scene)
    assert n_tokens(scene) == 2


async def test_a_new_token_that_is_refused_as_well_is_trouble_that_passes(scene: Scene) -> None:
    scene.state.faults.append(expired_token("/pulls/1", times=2))
    with pytest.raises(Unavailable, match="just given"):
        await read(scene)
    assert n_tokens(scene) == 2
    await read(scene)


async def test_requests_refused_together_renew_together(scene: Scene) -> None:
    await read(scene)
    scene.state.tokens.clear()
    await asyncio.gather(*(read(scene) for _ in range(4)))
    assert n_tokens(scene) == 2


async def test_a_write_that_was_refused_for_its_token_happens_once(scene: Scene) -> None:
    scene.state.faults.append(expired_token("/comments$"))
    repository = scene.github.repository(scene.target)
    await repository.write("POST", "issues/1/comments", {"body": "hi"})
    assert len(scene.state.issue_comments) == 1


async def test_a_lost_answer_to_a_token_request_is_asked_again(scene: Scene) -> None:
    scene.state.faults.append(Fault(path=TOKEN_PATH, status=502, when="after"))
    await read(scene)
    assert n_tokens(scene) == 2


async def test_a_missing_permission_is_named(scene: Scene) -> None:
    installation = scene.state.installations[scene.target.installation_id]
    del installation.permissions["checks"]
    installation.permissions["issues"] = "read"
    with pytest.raises(Forbidden) as caught:
        await read(scene)
    assert "checks: write, issues: write" in caught.value.remedy
    assert "pull_requests" not in caught.value.remedy


async def test_a_repository_that_is_not_chosen_is_named_as_such(scene: Scene) -> None:
    other = scene.state.create_repository("octo/other", {"a": "1"})
    other.installed = False
    target = scene.target
    with pytest.raises(Forbidden) as caught:
        await scene.github.repository(
            type(target)(
                installation_id=target.installation_id,
                repository_id=other.id,
                owner="octo",
                repo="other",
                number=1,
            )
        ).get("pulls/1", accept="application/json")
    assert caught.value.remedy == "Add this repository to the App's installation."


async def test_an_app_that_is_not_installed_says_so(scene: Scene) -> None:
    scene.state.installations.clear()
    with pytest.raises(Forbidden) as caught:
        await read(scene)
    assert "not installed" in str(caught.value)
    assert "Install the App" in caught.value.remedy


async def test_a_suspended_installation_says_so(scene: Scene) -> None:
    scene.state.installations[scene.target.installation_id].suspended_at = scene.clock.now()
    with pytest.raises(Forbidden) as caught:
        await read(scene)
    assert caught.value.remedy == "Unsuspend the App's installation."


@pytest.mark.parametrize("ahead_s", [-7_200, -600, 600, 7_200])
async def test_a_clock_that_is_wrong_is_corrected_by_github_s(scene: Scene, ahead_s: int) -> None:
    github = github_with(scene, FakeClock(at=scene.clock.at + ahead_s))
    assert (await github.identity()).slug == scene.state.app.slug
    assert len(scene.state.requests) == 2
    for _ in range(2):
        await github.repository(scene.target).get("pulls/1", accept="application/json")
    assert n_tokens(scene) == 1
    assert len(scene.state.requests) == 5


async def test_a_wrong_key_is_tried_once_more_and_then_told(scene: Scene) -> None:
    scene.state.faults.append(Fault(path="^/app$", status=401, message="no", times=9))
    with pytest.raises(Unavailable, match="PRIVATE_KEY"):
        await github_with(scene, scene.clock).identity()
    assert len(scene.state.requests) == 2


async def test_one_refusal_of_a_good_signature_passes(scene: Scene) -> None:
    scene.state.faults.append(expired_token(TOKEN_PATH))
    await read(scene)
    assert n_tokens(scene) == 2


async def test_secrets_are_in_no_repr_and_no_error(scene: Scene) -> None:
    credentials = AppCredentials(
        scene.connection, app_id=str(scene.state.app.id), private_key=scene.private_key
    )
    auth = credentials.installation(scene.target)
    github = GitHub(scene.connection, credentials)
    await github.repository(scene.target).get("pulls/1", accept="application/json")
    token = next(iter(scene.state.tokens))
    kept = credentials._tokens
    scene.state.faults.append(
        Fault(path="/pulls/1", status=403, message=f"no {token} and {scene.private_key}")
    )
    with pytest.raises(Forbidden) as caught:
        await github.repository(scene.target).get("pulls/1", accept="application/json")
    shown = "".join(map(repr, (credentials, credentials.app, auth, kept, caught.value)))
    assert token not in shown
    assert token[:20] not in shown
    assert "PRIVATE KEY" not in shown


def test_our_permissions_are_those_that_we_promise() -> None:
    assert dict(PERMISSIONS) == {
        "metadata": "read",
        "contents": "read",
        "pull_requests": "write",
        "issues": "write",
        "checks": "write",
    }


def github_with(scene: Scene, clock: FakeClock) -> GitHub:
    connection = Connection(scene.client, clock=clock)
    return GitHub(
        connection,
        AppCredentials(connection, app_id=str(scene.state.app.id), private_key=scene.private_key),
    )
