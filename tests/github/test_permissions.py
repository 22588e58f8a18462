import pytest

from app.demo.faults import Fault
from app.errors import Forbidden, Unavailable
from app.github.permissions import GitHubPermissions
from app.ports import Permission
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("role", "permission"),
    [
        ("admin", Permission.ADMIN),
        ("maintain", Permission.WRITE),
        ("write", Permission.WRITE),
        ("triage", Permission.READ),
        ("read", Permission.READ),
        ("none", Permission.NONE),
    ],
)
async def test_a_role_is_a_permission(scene: Scene, role: str, permission: Permission) -> None:
    scene.state.permit(scene.repository, "mona", role)
    assert await GitHubPermissions(scene.github).permission(scene.target, "mona") is permission


@pytest.mark.parametrize("login", ["nobody-here", "", "../../octo", "a/b", "dependabot[bot]"])
async def test_whoever_is_unknown_may_do_nothing(scene: Scene, login: str) -> None:
    permissions = GitHubPermissions(scene.github)
    assert await permissions.permission(scene.target, login) is Permission.NONE
    assert all(call.endswith("/permission") for call in scene.calls())


@pytest.mark.parametrize(("status", "error"), [(403, Forbidden), (502, Unavailable)])
async def test_no_answer_is_no_permission(
    scene: Scene, status: int, error: type[Exception]
) -> None:
    scene.state.permit(scene.repository, "mona", "admin")
    scene.state.faults.append(Fault(path="permission$", status=status, times=999))
    with pytest.raises(error):
        await GitHubPermissions(scene.github).permission(scene.target, "mona")
