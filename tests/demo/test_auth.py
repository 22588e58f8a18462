"""JWTs, tokens, permissions and what is hidden from whom."""

import pytest

from app.demo.auth import TOKEN_LIFE_S
from app.demo.records import PullRequest, Repository
from app.demo.state import State
from tests.demo.conftest import STARTED_AT, Client, Clock

pytestmark = pytest.mark.anyio
NOW = int(STARTED_AT)
PULL = "/repos/acme/shop/pulls/1"


async def test_the_app_knows_itself_by_its_jwt(client: Client) -> None:
    answer = await client.as_app("GET", "/app")
    assert answer.json()["slug"] == "codex-review"
    by_client_id = client.jwt(iss=client.state.app.client_id)
    assert (await client.as_app("GET", "/app", bearer=by_client_id)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "status", "words"),
    [
        ({"exp": NOW + 601}, 401, "too far in the future"),
        ({"exp": NOW}, 401, "represent"),
        ({"iat": NOW + 30}, 401, "'Issued at'"),
        ({"iss": "12"}, 404, "Integration not found"),
    ],
)
async def test_a_wrong_claim_is_named(
    client: Client, claims: dict[str, object], status: int, words: str
) -> None:
    answer = await client.as_app("GET", "/app", bearer=client.jwt(**claims))
    assert answer.status_code == status
    assert words in answer.json()["message"]


async def test_a_jwt_of_another_key_is_refused(client: Client) -> None:
    forged = client.jwt()[:-8] + "AAAAAAAA"
    assert (await client.as_app("GET", "/app", bearer=forged)).status_code == 401


async def test_a_token_dies_after_an_hour(client: Client, clock: Clock, pull: PullRequest) -> None:
    clock.at += TOKEN_LIFE_S - 1
    assert (await client("GET", PULL)).status_code == 200
    clock.at += 1
    assert (await client("GET", PULL)).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"permissions": {"contents": "write"}}, 422),
        ({"permissions": {"members": "read"}}, 422),
        ({"repositories": ["nothing"]}, 422),
        ({"repository": ["shop"]}, 422),
        ({"repositories": ["shop"], "permissions": {"contents": "read"}}, 201),
    ],
)
async def test_a_token_holds_no_more_than_was_granted(
    client: Client, asked: dict[str, object], status: int
) -> None:
    path = f"/app/installations/{next(iter(client.state.installations))}/access_tokens"
    assert (await client.as_app("POST", path, asked)).status_code == status


async def test_an_unknown_or_suspended_installation_gives_no_token(client: Client) -> None:
    unknown = await client.as_app("POST", "/app/installations/1/access_tokens", {})
    installation = next(iter(client.state.installations.values()))
    installation.suspended_at = STARTED_AT
    path = f"/app/installations/{installation.id}/access_tokens"
    assert (unknown.status_code, (await client.as_app("POST", path, {})).status_code) == (404, 403)


async def test_a_missing_permission_is_named_in_a_header(client: Client, pull: PullRequest) -> None:
    token = await client.new_token(permissions={"contents": "read"})
    answer = await client("GET", PULL, token=token)
    assert answer.status_code == 403
    assert answer.json()["message"] == "Resource not accessible by integration"
    assert answer.headers["x-accepted-github-permissions"] == "pull_requests=read"


async def test_a_repository_outside_the_token_does_not_exist(client: Client, state: State) -> None:
    state.create_repository("acme/other", {"a": "1\n"})
    state.create_repository("elsewhere/hidden", {"a": "1\n"}, installed=False)
    token = await client.new_token(repositories=["shop"])
    for path, status in (
        ("/repos/acme/shop", 200),
        ("/repos/acme/other", 404),
        ("/repos/elsewhere/hidden", 404),
    ):
        assert (await client("GET", path, token=token)).status_code == status


async def test_anyone_reads_what_is_public_and_nothing_else(
    client: Client, repository: Repository, pull: PullRequest
) -> None:
    assert (await client.http.get(PULL)).status_code == 200
    comment = await client.http.post("/repos/acme/shop/issues/1/comments", json={"body": "x"})
    repository.private = True
    assert (comment.status_code, (await client.http.get(PULL)).status_code) == (401, 404)


async def test_a_request_needs_a_user_agent_and_a_known_version(client: Client) -> None:
    without = await client.http.get("/user", headers={"user-agent": ""})
    unknown = await client.http.get("/user", headers={"x-github-api-version": "2031-01-01"})
    assert (without.status_code, unknown.status_code) == (403, 400)


async def test_an_old_name_redirects_reads_and_writes(
    client: Client, state: State, repository: Repository, pull: PullRequest
) -> None:
    state.rename(repository, "market")
    read = await client("GET", PULL + "?a=b")
    assert read.status_code == 301
    target = f"https://api.github.com/repositories/{repository.id}/pulls/1"
    assert read.headers["location"] == target + "?a=b"
    assert (await client("GET", target)).json()["base"]["repo"]["full_name"] == "acme/market"
    write = await client("POST", "/repos/acme/shop/issues/1/comments", {"body": "x"})
    assert write.status_code == 307


async def test_an_archived_repository_is_read_only(
    client: Client, repository: Repository, pull: PullRequest
) -> None:
    repository.archived = True
    write = await client("POST", "/repos/acme/shop/issues/1/comments", {"body": "x"})
    assert (write.status_code, (await client("GET", PULL)).status_code) == (403, 200)


async def test_every_number_is_another_number(
    client: Client, repository: Repository, pull: PullRequest
) -> None:
    installation = next(iter(client.state.installations))
    numbers = [repository.id, pull.id, pull.issue_id, pull.number, installation]
    assert len({*numbers, client.state.app.id}) == 6


@pytest.mark.parametrize(
    ("role", "permission"),
    [("admin", "admin"), ("maintain", "write"), ("write", "write"), ("triage", "read")],
)
async def test_a_role_is_told_as_one_of_four_permissions(
    client: Client, state: State, repository: Repository, role: str, permission: str
) -> None:
    state.permit(repository, "ann", role)
    told = (await client("GET", "/repos/acme/shop/collaborators/ann/permission")).json()
    assert (told["permission"], told["role_name"]) == (permission, role)


async def test_a_stranger_reads_and_an_unknown_name_is_not_found(
    client: Client, state: State
) -> None:
    state.person("stranger")
    path = "/repos/acme/shop/collaborators/{}/permission"
    assert (await client("GET", path.format("stranger"))).json()["permission"] == "read"
    assert (await client("GET", path.format("nobody-knows"))).status_code == 404


async def test_a_person_s_token_tells_whose_it_is(client: Client, state: State) -> None:
    answer = await client("GET", "/user", token=state.personal_token("riley"))
    assert (answer.json()["login"], answer.json()["type"]) == ("riley", "User")
    assert (await client("GET", "/user")).status_code == 403
    assert (await client.http.get("/user")).status_code == 401
