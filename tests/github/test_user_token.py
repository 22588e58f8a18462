"""A person's token signs every request, no token signs none, and both find a repository."""

import httpx
import pytest

from app.demo.faults import Fault
from app.errors import Forbidden
from app.github.transport import Account
from app.github.user_token import TokenCredentials
from app.review.pull import InstallationId, Target
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio


def sent(scene: Scene) -> list[str | None]:
    """Note from now on what each request is signed with."""
    seen: list[str | None] = []

    async def note(request: httpx.Request) -> None:
        seen.append(request.headers.get("authorization"))

    scene.client.event_hooks = {"request": [note]}
    return seen


@pytest.mark.parametrize("login", ["riley", ""])
async def test_a_repository_is_found_by_its_name(scene: Scene, login: str) -> None:
    token = scene.state.personal_token(login) if login else ""
    seen = sent(scene)
    found = await TokenCredentials(scene.connection, token).find("octo", "shop", 7)
    assert found == Target(
        installation_id=InstallationId(0),
        repository_id=scene.repository.id,
        owner="octo",
        repo="shop",
        number=7,
    )
    assert seen == [f"Bearer {token}" if token else None]


async def test_whatever_is_signed_is_signed_with_the_token(scene: Scene) -> None:
    token = scene.state.personal_token("riley")
    credentials = TokenCredentials(scene.connection, token)
    seen = sent(scene)
    for auth in (
        credentials.app,
        credentials.installation(scene.target),
        credentials.organisation(scene.target),
    ):
        await scene.client.get("https://api.github.com/app", auth=auth)
    assert seen == [f"Bearer {token}"] * 3


async def test_what_cannot_be_seen_is_told_with_a_remedy(scene: Scene) -> None:
    scene.repository.private = True
    with pytest.raises(Forbidden, match="shows us no repository octo/shop") as caught:
        await TokenCredentials(scene.connection, "").find("octo", "shop", 7)
    assert "GITHUB_TOKEN" in caught.value.remedy


async def test_whose_token_it_is_is_asked_of_github(scene: Scene) -> None:
    token = scene.state.personal_token("riley")
    known = await TokenCredentials(scene.connection, token).author()
    assert known == Account(login="riley", type="User")


@pytest.mark.parametrize("status", [403, 404])
async def test_a_token_that_is_no_person_s_has_no_name(scene: Scene, status: int) -> None:
    scene.state.faults.append(Fault(path="/user$", status=status, message="not accessible"))
    token = scene.state.personal_token("riley")
    assert await TokenCredentials(scene.connection, token).author() is None
