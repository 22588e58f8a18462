"""What GitHub's webhook payloads look like on the wire, as far as we read them, and how they
become events. Does not know what an event leads to."""

from typing import Annotated, TypeVar
from urllib.parse import parse_qs

import msgspec

from app.errors import BadPayload
from app.review.event import (
    CheckEvent,
    CommentCreated,
    CommentKind,
    CommentRef,
    Event,
    OtherEvent,
    WithoutInstallation,
)
from app.review.pull import InstallationId, Target

# Ids go into 64 bit columns, owner and name into request paths.
_Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$")]

_FORM = "application/x-www-form-urlencoded"
_BOT = "Bot"

Shape = TypeVar("Shape")


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    action: object = None
    installation: object = None


class _Numbered(msgspec.Struct, frozen=True, kw_only=True):
    id: _Id


class _User(msgspec.Struct, frozen=True, kw_only=True):
    login: str
    type: str = "User"


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    login: _Name


class _Repository(msgspec.Struct, frozen=True, kw_only=True):
    id: _Id
    name: _Name
    owner: _Owner
    archived: bool = False


class _PullRequestLink(msgspec.Struct, frozen=True, kw_only=True):
    """Only its presence counts: an issue with it is a pull request."""


class _Issue(msgspec.Struct, frozen=True, kw_only=True):
    number: _Id
    pull_request: _PullRequestLink | None = None


class _Comment(msgspec.Struct, frozen=True, kw_only=True):
    """`user` is null when the account was deleted; `body` when somebody wrote nothing."""

    id: _Id
    body: str | None = None
    user: _User | None = None
    performed_via_github_app: _Numbered | None = None


class _IssueComment(msgspec.Struct, frozen=True, kw_only=True):
    installation: _Numbered
    repository: _Repository
    issue: _Issue
    comment: _Comment
    sender: _User | None = None


class _Check(msgspec.Struct, frozen=True, kw_only=True):
    app: _Numbered | None = None


class _CheckEvent(msgspec.Struct, frozen=True, kw_only=True):
    check_run: _Check | None = None
    check_suite: _Check | None = None


def parse_event(name: str, body: bytes, content_type: str | None = None) -> Event:
    """Parse one delivery; `name` is its X-GitHub-Event, `body` its raw bytes.

    Events that nobody takes are not looked into. Raises BadPayload, with the field's path where
    a field is wrong.
    """
    payload = _unwrap(body, content_type)
    envelope = _decode(name, payload, _Envelope)
    action = envelope.action if isinstance(envelope.action, str) else ""
    match name:
        case "issue_comment" if action == "created":
            if envelope.installation is None:
                return WithoutInstallation(name=name, action=action)
            return _comment_created(_decode(name, payload, _IssueComment))
        case "check_run" | "check_suite":
            return CheckEvent(name=name, action=action, app_id=_app_of_check(payload))
        case _:
            return OtherEvent(name=name, action=action)


def _unwrap(body: bytes, content_type: str | None) -> bytes:
    """Return the JSON text, which a hook of content type `form` sends in a form field."""
    if (content_type or "").partition(";")[0].strip().lower() != _FORM:
        try:
            body.decode()
        except UnicodeDecodeError as exc:
            raise BadPayload("the body is not UTF-8") from exc
        return body
    try:
        fields = parse_qs(body.decode("ascii"), errors="strict", max_num_fields=10)
        return fields["payload"][0].encode()
    except (ValueError, KeyError) as exc:
        raise BadPayload("the form holds no readable field `payload`") from exc


def _decode(name: str, payload: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(payload, type=shape)
    except RecursionError as exc:
        raise BadPayload(f"{name}: nested too deeply") from exc
    except ValueError as exc:  # msgspec's own errors and those of UTF-8
        raise BadPayload(f"{name}: {exc}") from exc


def _comment_created(payload: _IssueComment) -> CommentCreated:
    comment, sender = payload.comment, payload.sender
    app = comment.performed_via_github_app
    return CommentCreated(
        target=Target(
            installation_id=InstallationId(payload.installation.id),
            repository_id=payload.repository.id,
            owner=payload.repository.owner.login,
            repo=payload.repository.name,
            number=payload.issue.number,
        ),
        comment=CommentRef(
            kind=CommentKind.ISSUE_COMMENT,
            id=comment.id,
            author=comment.user.login if comment.user else "",
        ),
        body=comment.body or "",
        author_is_bot=any(user.type == _BOT for user in (comment.user, sender) if user),
        app_id=app.id if app else None,
        is_pull_request=payload.issue.pull_request is not None,
        is_archived=payload.repository.archived,
    )


def _app_of_check(payload: bytes) -> int | None:
    try:
        event = msgspec.json.decode(payload, type=_CheckEvent)
    except ValueError:  # nobody takes these events: a strange one is no reason to refuse it
        return None
    check = event.check_run or event.check_suite
    return check.app.id if check and check.app else None
