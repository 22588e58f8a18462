"""Who may command, and whose pull requests are reviewed without a command. Asks nobody."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from app.review.config import AutomaticFor, Config, MayCommand

_REACH: dict[str, int] = {"none": 0, "read": 1, "write": 2, "admin": 3}
"""Permissions in GitHub's words; one that is not here reaches nothing."""

TO_DISMISS = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Who may ask through the API. `digest` is the secret's SHA-256; `repositories` are full names
    in lower case, None for all."""

    name: str
    digest: bytes
    repositories: frozenset[str] | None = None

    def may_see(self, full_name: str) -> bool:
        return self.repositories is None or full_name.lower() in self.repositories


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def key_of(secret: str, keys: Iterable[ApiKey]) -> ApiKey | None:
    """Find the key with this secret, in a time that tells nothing about the secrets."""
    digest = digest_of(secret)
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def may_command(permission: str, config: Config, *, is_author: bool) -> bool:
    """Say whether a person with this permission may command on a pull request."""
    if config.may_command is MayCommand.AUTHOR and is_author:
        return True
    return _reaches(permission, least_to_command(config))


def may_dismiss(permission: str) -> bool:
    """Say whether somebody with this permission may withdraw findings, whoever may command."""
    return _reaches(permission, TO_DISMISS)


def least_to_command(config: Config) -> str:
    """Return the permission that somebody needs who is not the author."""
    is_author = config.may_command is MayCommand.AUTHOR
    return MayCommand.WRITE.value if is_author else config.may_command.value


def may_bot_command(login: str, config: Config) -> bool:
    """Say whether a bot is on the list of those that may command."""
    return login.casefold() in {bot.casefold() for bot in config.bots}


def may_have_automatic(permission: str, config: Config) -> bool:
    """Say whether pull requests of somebody with this permission are reviewed automatically."""
    if config.automatic_for is AutomaticFor.ANYONE:
        return True
    return _reaches(permission, config.automatic_for.value)


def _reaches(permission: str, least: str) -> bool:
    return _REACH.get(permission, 0) >= _REACH[least]
