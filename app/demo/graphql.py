"""The little of GitHub's GraphQL that an App needs for threads: a query and three mutations.

Takes a document apart by its grammar, answers only what it selects, and refuses fields that GitHub
does not have. Whatever goes wrong is told in `errors`, with status 200. A bot's login has no
`[bot]` here.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.demo import auth, pull_shapes
from app.demo.call import Answer, Call, Refused, Route
from app.demo.records import IssueComment, Repository, Review, ReviewComment
from app.demo.shapes import Json, node_id, number_of
from app.demo.state import State

FORBIDDEN = "Resource not accessible by integration"
CLASSIFIERS = ("ABUSE", "DUPLICATE", "OFF_TOPIC", "OUTDATED", "RESOLVED", "SPAM")
CONTENTS = {
    "THUMBS_DOWN": "-1",
    "THUMBS_UP": "+1",
    "EYES": "eyes",
    "CONFUSED": "confused",
    "HEART": "heart",
}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+|\$?[A-Za-z_]\w*|[{}()\[\]:!]')


class Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    query: str
    variables: dict[str, Any] = {}


class Problem(Exception):
    """An entry of `errors`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.told = {"type": kind, "message": message} if kind else {"message": message}


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    selected: tuple["Field", ...] = ()


Resolver = Callable[[Field], Any]


def answer(call: Call) -> Answer:
    """Answer a document. An App's token needs permissions for what is asked, not for the door."""
    document = call.read(Document)
    try:
        operation, fields = _parse(document)
        roots = _mutations(call) if operation == "mutation" else _queries(call)
        return Answer(content={"data": _select(roots, fields)})
    except Problem as problem:
        return Answer(content={"data": None, "errors": [problem.told]})


def _parse(document: Document) -> tuple[str, tuple[Field, ...]]:
    parts = iter(_TOKEN.findall(document.query))
    operation = next(parts, "")
    if operation == "{":
        return "query", tuple(_fields(parts, document.variables))
    for part in parts:
        if part == "{":
            return operation, tuple(_fields(parts, document.variables))
    raise Problem("", "Unexpected end of document")


def _fields(parts: Iterator[str], variables: Mapping[str, Any]) -> list[Field]:
    """Read a selection up to its closing brace."""
    fields: list[Field] = []
    for part in parts:
        if part == "}":
            return fields
        if part == "(":
            fields[-1] = Field(fields[-1].name, _arguments(parts, variables, ")"))
        elif part == "{":
            last = fields[-1]
            fields[-1] = Field(last.name, last.arguments, tuple(_fields(parts, variables)))
        else:
            fields.append(Field(part))
    raise Problem("", "Unexpected end of document")


def _arguments(parts: Iterator[str], variables: Mapping[str, Any], end: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in parts:
        if name == end:
            return found
        next(parts)  # the colon
        value = next(parts)
        if value == "{":
            found[name] = _arguments(parts, variables, "}")
        elif value.startswith("$"):
            found[name] = variables.get(value[1:])
        elif value[0] in '"-0123456789':
            found[name] = json.loads(value)
        else:
            found[name] = {"true": True, "false": False, "null": None}.get(value, value)
    raise Problem("", "Unexpected end of document")


def _select(node: Mapping[str, Any], fields: tuple[Field, ...]) -> Json:
    """Answer the selected fields of an object; a resolver is given the field with its arguments."""
    selected: Json = {}
    for wanted in fields:
        if wanted.name not in node:
            raise Problem("undefinedField", f"Field '{wanted.name}' doesn't exist")
        value = node[wanted.name]
        value = value(wanted) if callable(value) else value
        if isinstance(value, list):
            selected[wanted.name] = [_select(item, wanted.selected) for item in value]
        elif isinstance(value, dict):
            selected[wanted.name] = _select(value, wanted.selected)
        else:
            selected[wanted.name] = value
    return selected


# ---- queries -------------------------------------------------------------------------------------


def _queries(call: Call) -> dict[str, Any]:
    def repository(wanted: Field) -> Json:
        name = f"{wanted.arguments['owner']}/{wanted.arguments['name']}"
        found = call.state.find_repository(name) or call.state.old_names.get(name.lower())
        if found is None:
            raise _not_found(f"a Repository with the name '{name}'")
        _admit(call, found, "pull_requests=read")
        return {
            "id": node_id("R", found.id),
            "databaseId": found.id,
            "pullRequest": lambda wanted: _pull(call, found, wanted.arguments["number"]),
        }

    return {"repository": repository}


def _pull(call: Call, repository: Repository, number: int) -> Json:
    pull = repository.pulls.get(number)
    if pull is None:
        raise _not_found(f"a PullRequest with the number of {number}")
    state = call.state
    tops = [c for c in state.review_comments.values() if c.pull is pull and c.in_reply_to is None]
    reviews = [review for review in state.reviews.values() if review.pull is pull]
    return {
        "id": node_id("PR", pull.id),
        "reviewThreads": lambda f: _page(f, [_thread(call, c) for c in tops if _sees(call, c)]),
        "reviews": lambda f: _page(f, [_review(state, r) for r in reviews if _sees(call, r)]),
    }


def _sees(call: Call, item: Review | ReviewComment) -> bool:
    review = item if isinstance(item, Review) else item.review
    return review.state != "PENDING" or review.author == call.login


def _thread(call: Call, top: ReviewComment) -> Json:
    state, place = call.state, top.place
    comments = [c for c in state.review_comments.values() if top.id in (c.id, c.in_reply_to)]
    line = pull_shapes.current_line(top)
    resolver = top.resolved_by
    return {
        "id": node_id("PRRT", top.id),
        "isResolved": resolver is not None,
        "isOutdated": line is None,
        "path": place.path,
        "line": line,
        "startLine": line and place.start_line and line - place.line + place.start_line,
        "originalLine": place.line,
        "diffSide": place.side,
        "subjectType": place.subject_type.upper(),
        "viewerCanResolve": _may(call, "contents=write"),
        "resolvedBy": resolver and _user(state, resolver),
        "comments": lambda f: _page(f, [_comment(state, comment) for comment in comments]),
    }


def _comment(state: State, comment: ReviewComment) -> Json:
    def reactions(wanted: Field) -> Json:
        content = CONTENTS[wanted.arguments["content"]]
        found = state.reactions_to(("review_comment", comment.id))
        return _page(
            wanted,
            [
                {"content": wanted.arguments["content"], "user": _user(state, r.login)}
                for r in found
                if r.content == content
            ],
        )

    return {
        "id": node_id("PRRC", comment.id),
        "databaseId": comment.id,
        "state": "PENDING" if comment.review.state == "PENDING" else "SUBMITTED",
        "body": comment.body,
        "isMinimized": comment.minimized is not None,
        "minimizedReason": comment.minimized,
        "author": _actor(state, comment.author),
        "reactions": reactions,
    }


def _review(state: State, review: Review) -> Json:
    return {
        "id": node_id("PRR", review.id),
        "databaseId": review.id,
        "state": review.state,
        "body": review.body,
        "author": _actor(state, review.author),
    }


def _actor(state: State, login: str) -> Json:
    return {"__typename": state.person(login).type, "login": login.removesuffix("[bot]")}


def _user(state: State, login: str) -> Json | None:
    """A reaction's `user` is of the type User, which a bot is not."""
    return None if state.person(login).type == "Bot" else {"login": login}


def _page(wanted: Field, items: list[Json]) -> Json:
    """A page of a connection, from its beginning or its end."""
    first, last = wanted.arguments.get("first"), wanted.arguments.get("last")
    size = first or last
    if not isinstance(size, int) or not 1 <= size <= 100:
        raise Problem("", f"You must provide `first` or `last` (1-100) on `{wanted.name}`")
    after = wanted.arguments.get("after")
    start = int(base64.b64decode(after)) if after else 0
    shown = items[start : start + size] if first else items[-size:]
    has_more = bool(first) and start + size < len(items)
    cursor = base64.b64encode(str(start + len(shown)).encode()).decode()
    return {
        "nodes": shown,
        "totalCount": len(items),
        "pageInfo": {"hasNextPage": has_more, "endCursor": cursor if shown else None},
    }


# ---- mutations -----------------------------------------------------------------------------------


def _mutations(call: Call) -> dict[str, Any]:
    def minimize(wanted: Field) -> Json:
        asked = wanted.arguments["input"]
        if asked["classifier"] not in CLASSIFIERS:
            raise Problem("", f"'{asked['classifier']}' is no ReportedContentClassifiers")
        found = _subject(call.state, asked["subjectId"])
        needs = "issues=write" if isinstance(found, IssueComment) else "pull_requests=write"
        _admit(call, found.pull.repository, needs)
        found.minimized = asked["classifier"].lower().replace("_", "-")
        return {
            "minimizedComment": {"isMinimized": True, "minimizedReason": found.minimized},
        }

    def resolve(wanted: Field) -> Json:
        thread = wanted.arguments["input"]["threadId"]
        top = call.state.review_comments.get(number_of("PRRT", thread) or 0)
        if top is None:
            raise _not_found(f"a node with the global id of '{thread}'")
        _admit(call, top.pull.repository, "pull_requests=write,contents=write")
        top.resolved_by = call.login
        return {"thread": {"id": thread, "isResolved": True}}

    def react(wanted: Field) -> Json:
        asked = wanted.arguments["input"]
        number = number_of("PRR", asked["subjectId"])
        review = call.state.reviews.get(number or 0)
        if review is None:
            raise _not_found(f"a node with the global id of '{asked['subjectId']}'")
        _admit(call, review.pull.repository, "pull_requests=write")
        call.state.react(("review", review.id), call.login, CONTENTS[asked["content"]])
        return {"reaction": {"content": asked["content"]}}

    return {
        "minimizeComment": minimize,
        "resolveReviewThread": resolve,
        "addReaction": react,
    }


def _subject(state: State, subject: str) -> IssueComment | Review | ReviewComment:
    places: tuple[tuple[str, Mapping[int, IssueComment | Review | ReviewComment]], ...] = (
        ("IC", {**state.issue_comments}),
        ("PRR", {**state.reviews}),
        ("PRRC", {**state.review_comments}),
    )
    for kind, known in places:
        number = number_of(kind, subject)
        if number is not None and number in known:
            return known[number]
    raise _not_found(f"a node with the global id of '{subject}'")


def _admit(call: Call, repository: Repository, needs: str) -> None:
    try:
        auth.admit(call.state, call.token, repository, "GET")
    except Refused:
        raise _not_found("it") from None
    if not _may(call, needs):
        raise Problem("FORBIDDEN", FORBIDDEN)


def _may(call: Call, needs: str) -> bool:
    try:
        auth.require(call.token, needs)
    except Refused:
        return False
    return True


def _not_found(what: str) -> Problem:
    return Problem("NOT_FOUND", f"Could not resolve to {what}.")


ROUTES = (Route("POST", "/graphql", answer, ""),)
