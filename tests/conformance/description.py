"""GitHub's OpenAPI description, made as strict about requests and as lenient about null as GitHub
is: unknown keys are refused in requests, and `nullable` allows null also where `enum` does not list
it.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from openapi_schema_validator import OAS30Validator

from app.demo.faults import RecordedRequest

_BY_ID = re.compile(r"^/repositories/\d+")
"""Routes of a repository answer by its id too; the description has its name only."""
_REVIEWS, _CHECK_RUNS = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews", "/check-runs"


class Description:
    """What GitHub says of each operation."""

    def __init__(self, document: dict[str, Any]) -> None:
        _mend(document)
        self.components = document["components"]
        self.paths = document["paths"]
        self._name_sides()

    def operation(self, method: str, path: str) -> tuple[str, Any]:
        path = _BY_ID.sub("/repos/some/name", path)
        for template in sorted(self.paths, key=lambda path: path.count("{")):
            pattern = re.sub(r"\\{(path|basehead)\\}", ".+", re.escape(template))
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", pattern)
            if re.fullmatch(pattern, path) and method.lower() in self.paths[template]:
                return template, self.paths[template][method.lower()]
        raise LookupError(f"{method} {path} is not described")

    def knows(self, method: str, path: str) -> bool:
        try:
            return bool(self.operation(method, path))
        except LookupError:
            return False

    def resolve(self, node: Any) -> Any:
        while "$ref" in node:
            _, _, kind, name = node["$ref"].split("/")
            node = self.components[kind][name]
        return node

    def problems(self, request: RecordedRequest) -> Iterator[str]:
        """What is wrong with one exchange."""
        if request.status < 300:
            yield from self.request_problems(request)
        yield from self._answer_problems(request)

    def request_problems(self, request: RecordedRequest) -> Iterator[str]:
        """What is wrong with what was sent, whatever the answer was."""
        template, operation = self.operation(request.method, request.path)
        known = {self.resolve(parameter)["name"] for parameter in operation.get("parameters", ())}
        for name, _ in parse_qsl(request.query, keep_blank_values=True):
            if name not in known:
                yield f"query: {name} is not described"
        described = operation.get("requestBody")
        if not request.request_body:
            if described and described.get("required"):
                yield "request: the body is missing"
            return
        if described is None:
            yield "request: no body is described"
            return
        schema = described["content"]["application/json"]["schema"]
        sent = request.json()
        yield from self._check("request", _closed(self.resolve(schema)), sent)
        is_check = template.endswith(_CHECK_RUNS) and isinstance(sent, dict)
        if is_check and _lacks_conclusion(sent):
            yield "request: completed without a conclusion"

    def _answer_problems(self, request: RecordedRequest) -> Iterator[str]:
        _, operation = self.operation(request.method, request.path)
        described = operation["responses"].get(str(request.status))
        if described is None:
            if request.status not in (401, 403, 422):
                yield f"status {request.status} is not described"
            return
        content = self.resolve(described).get("content", {}).get("application/json")
        if content is None or "diff" in request.accept or "raw" in request.accept:
            return
        yield from self._check("answer", content["schema"], request.answer())

    def _check(self, what: str, schema: Any, value: object) -> Iterator[str]:
        validator = OAS30Validator({**schema, "components": self.components})
        for error in validator.iter_errors(value):
            where = "/".join(map(str, error.absolute_path))
            yield f"{what} at /{where}: {error.message[:300]}"

    def _name_sides(self) -> None:
        """The description lets a comment of a new review stand on any side."""
        content = self.paths[_REVIEWS]["post"]["requestBody"]["content"]["application/json"]
        comment = content["schema"]["properties"]["comments"]["items"]["properties"]
        for name in ("side", "start_side"):
            comment[name]["enum"] = ["LEFT", "RIGHT"]


def _lacks_conclusion(check_run: Any) -> bool:
    """Whether a new check run is complete without saying how; the description allows it."""
    return check_run.get("status") == "completed" and "conclusion" not in check_run


def _mend(node: Any) -> None:
    """Let null be where it is allowed, and undo slips of the description."""
    if isinstance(node, list):
        for value in node:
            _mend(value)
    if not isinstance(node, dict):
        return
    # A directory is an array: the validator looks for the discriminator in it and fails.
    node.pop("discriminator", None)
    if node.get("nullable") and "enum" in node and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]
    # An account is said to be a user and an enterprise at once.
    if {"Simple User", "Enterprise"} == {part.get("title") for part in node.get("allOf", ())}:
        node["anyOf"] = node.pop("allOf")
    for union in ("oneOf", "anyOf"):
        if node.get("nullable") and union in node:
            node[union].append({"nullable": True, "enum": [None]})
    for value in node.values():
        _mend(value)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in closed and not {"anyOf", "oneOf", "allOf"} & closed.keys():
        closed.setdefault("additionalProperties", False)
    return closed
