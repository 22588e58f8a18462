"""Asks GitHub what a person may do in a repository. Whoever is unknown may do nothing."""

from collections.abc import Mapping

import msgspec

from app import log
from app.github.transport import GitHub, NotFound, segment
from app.ports import Permission
from app.review.pull import Target

# `maintain` and `triage` are told as write and read, but the former was seen in a recorded answer.
_PERMISSIONS: Mapping[str, Permission] = {
    "admin": Permission.ADMIN,
    "maintain": Permission.WRITE,
    "write": Permission.WRITE,
    "triage": Permission.READ,
    "read": Permission.READ,
    "none": Permission.NONE,
}


class _PermissionWire(msgspec.Struct, frozen=True, kw_only=True):
    permission: str


class GitHubPermissions:
    """Permissions by the collaborator endpoint, which counts every grant a person has."""

    def __init__(self, github: GitHub) -> None:
        self._github = github

    async def permission(self, target: Target, login: str) -> Permission:
        """Return the highest permission. Raises rather than guesses when GitHub does not say."""
        if not login:
            return Permission.NONE
        repository = self._github.repository(target)
        try:
            found = await repository.get_json(
                f"collaborators/{segment(login)}/permission", _PermissionWire
            )
        except NotFound:
            return Permission.NONE
        known = _PERMISSIONS.get(found.permission)
        if known is None:
            log.warning("permission.unknown", permission=found.permission)
            return Permission.NONE
        return known
