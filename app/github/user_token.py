"""Signs requests with a person's token, or not at all, for reviews from the terminal."""

from collections.abc import Generator

import httpx

from app.errors import Forbidden
from app.github.transport import (
    Account,
    Connection,
    NotFound,
    Pace,
    RepositoryWire,
    Session,
    segment,
)
from app.review.pull import InstallationId, Target

NO_INSTALLATION = InstallationId(0)


class TokenAuth(httpx.Auth):
    """Signs with one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class TokenCredentials:
    """A person's token, or none: then only what everybody may see can be read."""

    is_app = False

    def __init__(self, connection: Connection, token: str) -> None:
        self._auth = TokenAuth(token) if token else httpx.Auth()
        self._session = Session(connection, self._auth, Pace())

    @property
    def app(self) -> httpx.Auth:
        """Sign as the person: no App stands behind a token."""
        return self._auth

    def installation(self, target: Target) -> httpx.Auth:
        """Sign as the person, whatever the token may do."""
        return self._auth

    def organisation(self, target: Target) -> httpx.Auth:
        """Sign as the person, who may or may not see the account's `.github` repository."""
        return self._auth

    async def resolving(self, target: Target) -> httpx.Auth | None:
        """Sign as the person, whatever the token may do."""
        return self._auth

    async def author(self) -> Account | None:
        """Return whose token it is; None where GitHub does not say, as to a workflow's token."""
        try:
            return await self._session.get_json("/user", Account)
        except (Forbidden, NotFound):
            return None

    async def find(self, owner: str, repo: str, number: int) -> Target:
        """Find the id behind the name of a repository. Raises Forbidden."""
        path = f"/repos/{segment(owner)}/{segment(repo)}"
        try:
            found = await self._session.get_json(path, RepositoryWire)
        except NotFound as exc:
            raise Forbidden(
                f"GitHub shows us no repository {owner}/{repo}",
                remedy="Check the address; a private one needs a GITHUB_TOKEN that may read it.",
            ) from exc
        return Target(
            installation_id=NO_INSTALLATION,
            repository_id=found.id,
            owner=owner,
            repo=repo,
            number=number,
        )
