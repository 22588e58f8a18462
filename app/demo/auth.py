"""Who may ask what: the App's JWT, the tokens that it gets for one, and their permissions."""

import secrets
from typing import Literal

import jwt
import msgspec

from app.demo import shapes
from app.demo.call import Answer, Call, NotFound, Refused, Route
from app.demo.records import Installation, Repository, Token
from app.demo.state import State

TOKEN_LIFE_S = 3_600
JWT_LIFE_MAX_S = 600

_LEVELS = ("read", "write", "admin")


class TokenRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    repositories: list[str] | None = None
    repository_ids: list[int] | None = None
    permissions: dict[str, Literal["read", "write", "admin"]] | None = None


def verify_app(state: State, text: str) -> None:
    """Check the App's JWT by the stand-in's clock."""
    try:
        claims = jwt.decode(
            text,
            state.app.public_key,
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_iat": False, "verify_iss": False},
        )
    except jwt.PyJWTError:
        raise Refused(401, "A JSON web token could not be decoded") from None
    now, expires, issued = state.now(), claims.get("exp"), claims.get("iat")
    if not isinstance(issued, int) or issued > now:
        raise Refused(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the "
            "assertion was issued",
        )
    if not isinstance(expires, int) or expires <= now:
        raise Refused(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future "
            "time at which the assertion expires",
        )
    if expires - now > JWT_LIFE_MAX_S:
        raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
    if claims.get("iss") not in (str(state.app.id), state.app.client_id):
        raise Refused(404, "Integration not found")


def find_token(state: State, authorization: str) -> Token | None:
    """The token that a request carries; None where it carries nothing."""
    if not authorization:
        return None
    scheme, _, text = authorization.partition(" ")
    token = state.tokens.get(text)
    expired = token is not None and token.expires_at is not None and token.expires_at <= state.now()
    if token is None or expired or scheme.lower() not in ("bearer", "token"):
        raise Refused(401, "Bad credentials")
    if token.installation is not None and token.installation.suspended_at is not None:
        raise Refused(403, "This installation has been suspended")
    return token


def admit(state: State, token: Token | None, repository: Repository, method: str) -> None:
    """Whether the repository exists for this caller; 404 hides it, as GitHub does."""
    if token is None and method != "GET":
        raise Refused(401, "Requires authentication")
    if token is None:
        if repository.private:
            raise NotFound
    elif token.installation is not None and repository not in state.repositories_of(token):
        raise NotFound
    if repository.archived and method != "GET":
        raise Refused(403, "Repository was archived so is read-only.")


def require(token: Token | None, needs: str) -> None:
    """Check an installation token's permissions; people's tokens have them all."""
    if token is None or token.permissions is None or not needs:
        return
    for alternative in needs.split(";"):
        if all(_holds(token.permissions, one.strip()) for one in alternative.split(",")):
            return
    raise Refused(
        403,
        "Resource not accessible by integration",
        headers={"x-accepted-github-permissions": needs},
    )


def create_token(call: Call) -> Answer:
    found = _installation(call)
    if found.suspended_at is not None:
        raise Refused(403, "This installation has been suspended")
    asked = call.read(TokenRequest)
    permissions = asked.permissions or found.permissions
    if not all(_holds(found.permissions, f"{name}={level}") for name, level in permissions.items()):
        raise Refused(422, "The permissions requested are not granted to this installation.")
    token = Token(
        login=call.state.app.bot,
        installation=found,
        repository_ids=_chosen(call.state, found, asked),
        permissions={"metadata": "read", **permissions},
        expires_at=call.state.now() + TOKEN_LIFE_S,
    )
    text = _token_text(call.state)
    call.state.tokens[text] = token
    return Answer(status=201, content=shapes.access_token(call.state, text, token))


def get_app(call: Call) -> Answer:
    count = len(call.state.installations)
    return Answer(content={**shapes.app(call.state), "installations_count": count})


def get_user(call: Call) -> Answer:
    """Whose token it is; an installation's token is nobody's."""
    if call.token is None:
        raise Refused(401, "Requires authentication")
    if call.token.installation is not None:
        raise Refused(403, "Resource not accessible by integration")
    return Answer(content=shapes.user(call.state, call.token.login))


def list_installations(call: Call) -> Answer:
    shown = [shapes.installation(call.state, item) for item in call.state.installations.values()]
    return Answer(content=shown)


def get_installation(call: Call) -> Answer:
    return Answer(content=shapes.installation(call.state, _installation(call)))


def get_repository_installation(call: Call) -> Answer:
    found = call.state.installation_of(call.repository)
    if found is None:
        raise NotFound
    return Answer(content=shapes.installation(call.state, found))


def _installation(call: Call) -> Installation:
    found = call.state.installations.get(call.number("id"))
    if found is None:
        raise NotFound
    return found


def _chosen(state: State, found: Installation, asked: TokenRequest) -> frozenset[int] | None:
    if asked.repositories is None and asked.repository_ids is None:
        return None
    reachable = [r for r in state.repositories.values() if state.installation_of(r) is found]
    names = {name.lower() for name in asked.repositories or ()}
    ids = set(asked.repository_ids or ())
    chosen = frozenset(r.id for r in reachable if r.id in ids or r.name.lower() in names)
    if len(chosen) < max(len(names), len(ids)):
        raise Refused(
            422,
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation.",
        )
    return chosen


def _holds(permissions: dict[str, str], one: str) -> bool:
    name, _, level = one.partition("=")
    held = permissions.get(name)
    return held is not None and _LEVELS.index(held) >= _LEVELS.index(level)


def _token_text(state: State) -> str:
    """The long form of 2026: about 520 characters with two dots, dashes and underscores in it."""
    parts = (secrets.token_urlsafe(size) for size in (60, 200, 120))
    return f"ghs_{state.app.id}_{'.'.join(parts)}"


ROUTES = (
    Route("GET", "/app", get_app, "app"),
    Route("GET", "/app/installations", list_installations, "app"),
    Route("GET", "/app/installations/{id}", get_installation, "app"),
    Route("POST", "/app/installations/{id}/access_tokens", create_token, "app"),
    Route("GET", "/repos/{owner}/{repo}/installation", get_repository_installation, "app"),
    Route("GET", "/user", get_user, ""),
)
