"""One table of operations makes the routes and describes them: what is not in it is not served.

Knows HTTP, keys and OpenAPI 3.1; what an operation does it is handed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app import log
from app.errors import Retryable, TooLarge
from app.review.rights import ApiKey, key_of
from app.review.text import plain_line
from app.web.webhook import read_body

MAX_BODY = 64 * 1024
MAX_TOLD = 300
"""Characters of what a caller sent that are told back."""
RETRY_AFTER_S = 30
API = "/v1/"
"""Below this every error has OpenAI's form."""

_NOBODY = ApiKey(name="", digest=b"", repositories=frozenset())
_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.INTERNAL_SERVER_ERROR: "server_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "server_error",
}
_MEANING = {
    400: "The request is no JSON, or a header or a query parameter is wrong.",
    401: "The key is missing, or nobody has it.",
    402: "The money is used up: at the model server, or as the operator limits it.",
    403: "Not with this key, not for this owner, or the App may not work there.",
    404: "It is not there, or not for this key.",
    409: "It is too late for this, or the Idempotency-Key came with another body before.",
    413: f"The body has more than {MAX_BODY} bytes.",
    422: "The body is JSON, but `param` is not what was expected. Unknown fields are refused.",
    429: "Too many reviews: `Retry-After` says when to ask again, in seconds.",
    503: "GitHub or the database does not answer: `Retry-After` says when to ask again.",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `param` names the field, the header or the parameter."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An error in OpenAI's form."""

    error: Problem


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = {} if retry_after_s is None else {"Retry-After": str(round(retry_after_s))}
        if status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = "Bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, taken apart as its operation says; `key` is nobody's where none is needed."""

    key: ApiKey
    path: Mapping[str, str]
    headers: Mapping[str, str]
    query: Any
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; text is sent as it is, all else as JSON."""

    body: object
    status: int = HTTPStatus.OK
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`answers` are its shapes by status (str: text of `content_type`), `errors` those in OpenAI's
    form. `parameters` are OpenAPI's, for headers and the path."""

    method: str
    path: str
    name: str
    summary: str
    handle: Callable[[Call], Awaitable[Reply]]
    answers: Mapping[int, Any]
    errors: Sequence[int] = ()
    body: type | None = None
    query: type | None = None
    parameters: Sequence[Mapping[str, Any]] = ()
    content_type: str = "application/json"
    needs_key: bool = False


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """This description, as OpenAPI 3.1 has it."""

    openapi: Annotated[str, Meta(pattern=r"^3\.1\.")]
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


def routes_of(operations: Sequence[Operation], keys: Sequence[ApiKey]) -> list[Route]:
    """Build the routes; those of one path are one route, so that a 405 names all methods."""
    by_path = groupby(sorted(operations, key=lambda o: o.path), key=lambda o: o.path)
    return [_route(path, {one.method: one for one in here}, keys) for path, here in by_path]


async def refuse(request: Request, exc: Exception) -> Response:
    """Answer what no operation is there for: below `API` in OpenAI's form."""
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    phrase = HTTPStatus(status).phrase
    headers = exc.headers if isinstance(exc, HTTPException) else None
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if not path.startswith(API):
        return PlainTextResponse(phrase, status, headers)
    return _json(status, _error(status, phrase), headers)


def with_description(operations: Sequence[Operation], *, version: str) -> Sequence[Operation]:
    """Add the operation that describes them all, itself too."""

    async def answer(call: Call) -> Reply:
        return Reply(body=document)

    itself = Operation(
        method="GET",
        path="/openapi.json",
        name="describe",
        summary="Describe all this.",
        handle=answer,
        answers={200: Document},
    )
    document = describe((*operations, itself), version=version)
    return (*operations, itself)


def describe(operations: Sequence[Operation], *, version: str) -> Document:
    """Describe the operations; the shapes are those that requests and answers are read and made
    with."""
    shapes = [
        shape
        for one in operations
        for shape in (one.body, one.query, *one.answers.values())
        if shape not in (None, str)
    ]
    _, components = msgspec.json.schema_components(
        [*shapes, ErrorAnswer], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one, components)
    return Document(
        openapi="3.1.0",
        info={
            "title": "codex-review",
            "version": version,
            "description": "Ask for reviews of pull requests, and read their verdicts.",
        },
        paths=paths,
        components={
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    )


def _route(path: str, by_method: Mapping[str, Operation], keys: Sequence[ApiKey]) -> Route:
    async def answer(request: Request) -> Response:
        operation = by_method.get(request.method) or by_method["GET"]  # Starlette adds HEAD
        try:
            reply = await operation.handle(await _read(request, operation, keys))
        except ApiError as exc:
            error = _error(exc.status, str(exc), code=exc.code, param=exc.param)
            return _json(exc.status, error, exc.headers)
        except ClientDisconnect:
            return _json(400, _error(400, "the caller hung up"))
        except Retryable as exc:
            log.warning("request.not_answered", reason=str(exc), path=path)
            told = _error(503, f"{exc}: ask again later", code="unavailable")
            return _json(503, told, {"Retry-After": str(RETRY_AFTER_S)})
        if isinstance(reply.body, str | bytes):
            return Response(reply.body, reply.status, media_type=reply.content_type)
        return _json(reply.status, reply.body)

    return Route(path, answer, methods=list(by_method))


async def _read(request: Request, operation: Operation, keys: Sequence[ApiKey]) -> Call:
    key = _key(request, keys) if operation.needs_key else _NOBODY
    body = await _body(request, operation.body) if operation.body else None
    return Call(
        key=key,
        path=request.path_params,
        headers=request.headers,
        query=_query(request, operation.query) if operation.query else None,
        body=body,
    )


def _key(request: Request, keys: Sequence[ApiKey]) -> ApiKey:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    found = key_of(secret.strip(), keys) if scheme.lower() == "bearer" else None
    if found is None:
        message = (
            "This takes a key of this server: Authorization: Bearer SECRET."
            if keys
            else "This server has no keys: its operator sets them in API_KEYS."
        )
        raise ApiError(401, message, code="invalid_api_key")
    return found


async def _body(request: Request, shape: type) -> object:
    try:
        raw = await read_body(request, MAX_BODY)
    except TooLarge as exc:
        raise ApiError(413, str(exc), code="too_large") from exc
    except TimeoutError as exc:
        raise ApiError(400, "the body came too slowly", code="too_slow") from exc
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as exc:
        raise ApiError(422, _told(exc), code="invalid_value", param=_param(exc)) from exc
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise ApiError(400, "the body is no JSON", code="invalid_json") from exc


def _query(request: Request, shape: type) -> object:
    try:
        return msgspec.convert(dict(request.query_params), shape, strict=False)
    except msgspec.ValidationError as exc:
        raise ApiError(400, _told(exc), code="invalid_value", param=_param(exc)) from exc


def _told(exc: msgspec.ValidationError) -> str:
    return plain_line(str(exc), MAX_TOLD)


def _param(exc: msgspec.ValidationError) -> str | None:
    """Find out of which field this speaks: "Object missing required field `x` - at `$.y`"."""
    words = str(exc).split("`")
    place = words[-2].removeprefix("$").strip(".") if " - at `$" in str(exc) else ""
    field = words[1] if " field `" in str(exc) else ""
    return plain_line(".".join(filter(None, (place, field))), MAX_TOLD) or None


def _error(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> ErrorAnswer:
    kind = _TYPES.get(HTTPStatus(status), "invalid_request_error")
    return ErrorAnswer(error=Problem(message=message, type=kind, param=param, code=code))


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def _described(one: Operation, components: Mapping[str, Any]) -> dict[str, Any]:
    errors = {
        str(status): _answer(_MEANING[status], ErrorAnswer, "application/json")
        for status in one.errors
    }
    answers = {
        str(status): _answer(HTTPStatus(status).phrase, shape, one.content_type)
        for status, shape in one.answers.items()
    }
    parameters = [*one.parameters, *(_query_parameters(one.query, components) if one.query else ())]
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "responses": answers | errors,
        "security": [{"key": []}] if one.needs_key else [],
    }
    if parameters:
        described["parameters"] = parameters
    if one.body:
        content = {"application/json": {"schema": _ref(one.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _query_parameters(shape: type, components: Mapping[str, Any]) -> list[dict[str, Any]]:
    properties = components[shape.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _answer(meaning: str, shape: Any, content_type: str) -> dict[str, Any]:
    schema = {"type": "string"} if shape is str else _ref(shape)
    media_type, _, _ = content_type.partition(";")
    return {"description": meaning, "content": {media_type: {"schema": schema}}}


def _ref(shape: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
