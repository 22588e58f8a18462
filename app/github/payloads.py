"""What GitHub's webhook payloads look like on the wire, as far as we read them, and how they
become events. Does not know what an event leads to."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

import msgspec

from app.errors import BadPayload
from app.review.event import (
    CheckAsked,
    CommentKind,
    CommentRef,
    CommentWritten,
    Edit,
    Event,
    MergeGroupAsked,
    OtherEvent,
    PullAction,
    PullRequestChanged,
    WithoutInstallation,
)
from app.review.pull import InstallationId, Target

# Ids go into 64 bit columns, owner and name into request paths.
_Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$")]

# Commits go into request paths too.
_Sha = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40,64}$")]

_FORM = "application/x-www-form-urlencoded"
_BOT = "Bot"
_EDITED = "edited"

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


class _Issue(msgspec.Struct, frozen=True, kw_only=True):
    """Of `pull_request` only its presence counts: an issue with it is a pull request."""

    number: _Id
    pull_request: object = None


class _Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment or a review. `user` is null when the account was deleted; `body` when somebody
    wrote nothing."""

    id: _Id
    node_id: str = ""
    body: str | None = None
    user: _User | None = None
    performed_via_github_app: _Numbered | None = None
    in_reply_to_id: _Id | None = None
    created_at: object = None
    submitted_at: object = None
    updated_at: object = None


class _Before(msgspec.Struct, frozen=True, kw_only=True, rename={"text": "from"}):
    text: str | None = None


class _Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit changed; `base` is there when the base branch is another one now."""

    body: _Before | None = None
    base: object = None


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What all that we take has."""

    installation: _Numbered
    repository: _Repository
    sender: _User | None = None
    changes: _Changes | None = None


class _IssueComment(_Payload, frozen=True, kw_only=True):
    issue: _Issue
    comment: _Comment


class _ReviewComment(_Payload, frozen=True, kw_only=True):
    pull_request: _Issue
    comment: _Comment


class _Review(_Payload, frozen=True, kw_only=True):
    pull_request: _Issue
    review: _Comment


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """`repo`, which we do not read, is null when the fork was deleted."""

    sha: _Sha


class _Pull(msgspec.Struct, frozen=True, kw_only=True):
    head: _Head
    updated_at: str = ""


class _Label(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""


class _PullRequest(_Payload, frozen=True, kw_only=True):
    number: _Id
    pull_request: _Pull
    label: _Label | None = None


class _BaseRepository(msgspec.Struct, frozen=True, kw_only=True):
    repo: _Numbered


class _PullOfCheck(msgspec.Struct, frozen=True, kw_only=True):
    number: _Id
    base: _BaseRepository


class _Suite(msgspec.Struct, frozen=True, kw_only=True):
    """`head_branch` is null for heads in forks."""

    head_branch: str | None = None


class _Check(_Suite, frozen=True, kw_only=True):
    """A check run, which names the branch in its suite, or a suite."""

    head_sha: _Sha
    external_id: str | None = None
    app: _Numbered | None = None
    check_suite: _Suite = _Suite()
    pull_requests: tuple[_PullOfCheck, ...] = ()


class _Button(msgspec.Struct, frozen=True, kw_only=True):
    identifier: str = ""


class _CheckRun(_Payload, frozen=True, kw_only=True):
    check_run: _Check
    requested_action: _Button | None = None


class _CheckSuite(_Payload, frozen=True, kw_only=True):
    check_suite: _Check


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    head_sha: _Sha
    head_ref: str = ""


class _MergeGroup(_Payload, frozen=True, kw_only=True):
    merge_group: _Group


_PULL_ACTIONS = frozenset(action.value for action in PullAction)
_RUN_ACTIONS = ("rerequested", "requested_action")


def parse_event(name: str, body: bytes, content_type: str | None = None) -> Event:
    """Parse one delivery; `name` is its X-GitHub-Event, `body` its raw bytes.

    Events that nobody takes are not looked into. Raises BadPayload, with the field's path where
    a field is wrong.
    """
    payload = _unwrap(body, content_type)
    envelope = _decode(name, payload, _Envelope)
    action = envelope.action if isinstance(envelope.action, str) else ""
    if not _is_taken(name, action):
        return OtherEvent(name=name, action=action)
    if envelope.installation is None:
        return WithoutInstallation(name=name, action=action)
    match name:
        case "issue_comment":
            talk = _decode(name, payload, _IssueComment)
            event = _written(
                action, CommentKind.ISSUE_COMMENT, talk, talk.comment, talk.issue.number
            )
            is_pull_request = talk.issue.pull_request is not None
            return replace(event, is_pull_request=is_pull_request)
        case "pull_request_review":
            review = _decode(name, payload, _Review)
            number = review.pull_request.number
            return _written(action, CommentKind.REVIEW, review, review.review, number)
        case "pull_request_review_comment":
            reply = _decode(name, payload, _ReviewComment)
            number = reply.pull_request.number
            return _written(action, CommentKind.REVIEW_COMMENT, reply, reply.comment, number)
        case "pull_request":
            return _changed(action, _decode(name, payload, _PullRequest))
        case "check_run":
            run = _decode(name, payload, _CheckRun)
            button = run.requested_action.identifier if run.requested_action else ""
            return _check_asked(name, action, run, run.check_run, button)
        case "check_suite":
            suite = _decode(name, payload, _CheckSuite)
            return _check_asked(name, action, suite, suite.check_suite)
        case _:
            return _merge_group(_decode(name, payload, _MergeGroup))


def _is_taken(name: str, action: str) -> bool:
    match name:
        case "issue_comment" | "pull_request_review_comment":
            return action in ("created", _EDITED)
        case "pull_request_review":
            return action in ("submitted", _EDITED)
        case "pull_request":
            return action in _PULL_ACTIONS
        case "check_run":
            return action in _RUN_ACTIONS
        case "check_suite":
            return action == "rerequested"
        case _:
            return (name, action) == ("merge_group", "checks_requested")


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


def _written(
    action: str, kind: CommentKind, payload: _Payload, comment: _Comment, number: int
) -> CommentWritten:
    sender, changes = payload.sender, payload.changes
    app = comment.performed_via_github_app
    edit = None
    if action == _EDITED:  # where only something else changed, the body is what it was before
        before = changes.body.text if changes and changes.body else comment.body
        edit = Edit(editor=_login(sender), body_before=before or "")
    said_first = comment.submitted_at or comment.created_at
    return CommentWritten(
        target=_target(payload, number),
        comment=CommentRef(
            kind=kind,
            id=comment.id,
            author=_login(comment.user),
            in_reply_to=comment.in_reply_to_id,
            node_id=comment.node_id if kind is CommentKind.REVIEW else "",
        ),
        body=comment.body or "",
        author_is_bot=any(user.type == _BOT for user in (comment.user, sender) if user),
        app_id=app.id if app else None,
        is_pull_request=True,
        is_archived=payload.repository.archived,
        said_at=_time(comment.updated_at or (None if edit else said_first)),
        edit=edit,
    )


def _time(told: object) -> float:
    """Return epoch seconds; 0 where none are told."""
    try:
        return datetime.fromisoformat(told).timestamp() if isinstance(told, str) else 0.0
    except ValueError:
        return 0.0


def _changed(action: str, payload: _PullRequest) -> PullRequestChanged | OtherEvent:
    if action == PullAction.EDITED and (payload.changes is None or payload.changes.base is None):
        return OtherEvent(name="pull_request", action=action)
    return PullRequestChanged(
        target=_target(payload, payload.number),
        action=PullAction(action),
        sender=_login(payload.sender),
        head_sha=payload.pull_request.head.sha,
        updated_at=payload.pull_request.updated_at,
        label=payload.label.name if payload.label else "",
    )


def _check_asked(
    name: str, action: str, payload: _Payload, check: _Check, button: str = ""
) -> CheckAsked | MergeGroupAsked:
    """Where the check is a merge queue's, it is the queue that asks again."""
    app_id = check.app.id if check.app else None
    branch = check.head_branch or check.check_suite.head_branch or ""
    if _QUEUE.match(branch):
        return MergeGroupAsked(
            target=_target(payload, _queued_number(branch)),
            sender=_login(payload.sender),
            head_sha=check.head_sha,
            app_id=app_id,
        )
    return CheckAsked(
        name=name,
        action=action,
        app_id=app_id,
        target=_target(payload),
        sender=_login(payload.sender),
        head_sha=check.head_sha,
        run_id=check.external_id or "",
        button=button,
        numbers=_numbers(check.pull_requests, payload.repository),
    )


def _merge_group(payload: _MergeGroup) -> MergeGroupAsked:
    group = payload.merge_group
    return MergeGroupAsked(
        target=_target(payload, _queued_number(group.head_ref)),
        sender=_login(payload.sender),
        head_sha=group.head_sha,
    )


# The base branch may hold slashes, and may itself look like the rest.
_QUEUE = re.compile(r"(?:refs/heads/)?gh-readonly-queue/")
_QUEUED = re.compile(r"(?:refs/heads/)?gh-readonly-queue/.+/pr-([1-9]\d{0,17})-[0-9a-f]+")


def _queued_number(ref: str) -> int:
    """Return the number of the pull request that a queue's branch is about, or 0."""
    found = _QUEUED.fullmatch(ref)
    return int(found[1]) if found else 0


def _target(payload: _Payload, number: int = 0) -> Target:
    repository = payload.repository
    return Target(
        installation_id=InstallationId(payload.installation.id),
        repository_id=repository.id,
        owner=repository.owner.login,
        repo=repository.name,
        number=number,
    )


def _numbers(pulls: tuple[_PullOfCheck, ...], repository: _Repository) -> tuple[int, ...]:
    """Of a head that several repositories share, GitHub names the pull requests of all."""
    return tuple(pull.number for pull in pulls if pull.base.repo.id == repository.id)


def _login(user: _User | None) -> str:
    return user.login if user else ""
