"""Payloads: the fields we use are read, strange bytes are refused with one error."""

import copy
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from app.errors import BadPayload
from app.github.payloads import parse_event
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

COMMENT: dict[str, Any] = {
    "action": "created",
    "issue": {"number": 7, "pull_request": {"url": "https://api.example.test/pulls/7"}},
    "comment": {
        "id": 42,
        "body": "@codex review",
        "user": {"login": "ada", "type": "User"},
        "performed_via_github_app": None,
    },
    "repository": {"id": 9, "name": "engine", "owner": {"login": "lovelace"}},
    "sender": {"login": "ada", "type": "User"},
    "installation": {"id": 3, "node_id": "x"},
}
EVENT = CommentWritten(
    target=Target(
        installation_id=InstallationId(3),
        repository_id=9,
        owner="lovelace",
        repo="engine",
        number=7,
    ),
    comment=CommentRef(kind=CommentKind.ISSUE_COMMENT, id=42, author="ada"),
    body="@codex review",
    author_is_bot=False,
    app_id=None,
    is_pull_request=True,
)


def _comment(**changes: Any) -> bytes:
    return json.dumps(_changed(COMMENT, changes)).encode()


def _changed(payload: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A payload; `changes` name a place as `comment__user` and give its value."""
    payload = copy.deepcopy(payload)
    for place, value in changes.items():
        *outer, last = place.split("__")
        inner = payload
        for key in outer:
            inner = inner[key]
        if value is ...:
            inner.pop(last, None)
        else:
            inner[last] = value
    return payload


def _parsed(**changes: Any) -> CommentWritten:
    event = parse_event("issue_comment", _comment(**changes))
    assert isinstance(event, CommentWritten)
    return event


def test_a_comment_on_a_pull_request_is_read() -> None:
    assert _parsed() == EVENT


def test_a_form_holds_the_same_payload() -> None:
    form = urlencode({"payload": _comment(comment__body="@codex review é +&=")}).encode()
    event = parse_event("issue_comment", form, "Application/X-WWW-Form-Urlencoded; charset=utf-8")
    assert isinstance(event, CommentWritten)
    assert event.body == "@codex review é +&="


def test_a_comment_on_an_issue_says_so() -> None:
    assert not _parsed(issue__pull_request=...).is_pull_request


def test_a_deleted_account_has_no_name() -> None:
    assert _parsed(comment__user=None).comment.author == ""


def test_an_empty_body_is_empty_text() -> None:
    assert _parsed(comment__body=None).body == ""


@pytest.mark.parametrize("field", ["comment__user", "sender"])
def test_a_bot_is_known_by_its_type(field: str) -> None:
    assert _parsed(**{field: {"login": "robot[bot]", "type": "Bot"}}).author_is_bot


def test_the_app_that_wrote_is_named() -> None:
    assert _parsed(comment__performed_via_github_app={"id": 5, "slug": "x"}).app_id == 5


def test_old_payloads_without_an_app_or_sender_are_read() -> None:
    assert _parsed(comment__performed_via_github_app=..., sender=...) == EVENT


@pytest.mark.parametrize("installation", [..., None])
def test_a_repository_hook_has_no_installation(installation: Any) -> None:
    event = parse_event("issue_comment", _comment(installation=installation, repository=...))
    assert event == WithoutInstallation(name="issue_comment", action="created")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"comment__id": ...}, "$.comment"),
        ({"comment__id": "42"}, "$.comment.id"),
        ({"comment__id": 2**63}, "$.comment.id"),
        ({"comment__id": 10**4000}, "$.comment.id"),
        ({"comment__id": 0}, "$.comment.id"),
        ({"comment__user": {}}, "$.comment.user"),
        ({"comment__body": 5}, "$.comment.body"),
        ({"issue": None}, "$.issue"),
        ({"issue__number": 1.5}, "$.issue.number"),
        ({"issue__number": True}, "$.issue.number"),
        ({"repository": ...}, "repository"),
        ({"repository__name": ".."}, "$.repository.name"),
        ({"repository__owner__login": "a/b"}, "$.repository.owner.login"),
        ({"repository__owner__login": ""}, "$.repository.owner.login"),
        ({"installation": {}}, "$.installation"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BadPayload) as refused:
        parse_event("issue_comment", _comment(**changes))
    assert path in str(refused.value)


@pytest.mark.parametrize("action", ["deleted", "pinned", "a new one"])
def test_other_actions_on_comments_are_not_looked_into(action: str) -> None:
    body = _comment(action=action, comment=None, repository=...)
    assert parse_event("issue_comment", body) == OtherEvent(name="issue_comment", action=action)


@pytest.mark.parametrize("action", [..., None, 5, ["created"], {"created": 1}])
def test_an_event_without_a_usable_action_is_another_event(action: Any) -> None:
    event = parse_event("issue_comment", _comment(action=action))
    assert event == OtherEvent(name="issue_comment", action="")


def test_an_unknown_event_is_another_event() -> None:
    event = parse_event("brand_new", b'{"action": "made", "installation": 5, "x": [{}]}')
    assert event == OtherEvent(name="brand_new", action="made")


SHA, OTHER_SHA = "a" * 40, "b" * 40
PLACE = Target(
    installation_id=InstallationId(3), repository_id=9, owner="lovelace", repo="engine", number=0
)
COMMON: dict[str, Any] = {name: COMMENT[name] for name in ("repository", "sender", "installation")}
PULL: dict[str, Any] = COMMON | {
    "action": "opened",
    "number": 7,
    "pull_request": {
        "head": {"sha": SHA, "repo": {"id": 9}},
        "updated_at": "2026-01-02T03:04:05Z",
        "user": {"login": "ada"},
    },
}
LINK = {"id": 1, "number": 7, "head": {"sha": SHA}, "base": {"repo": {"id": 9}}}
UPSTREAM = {"id": 2, "number": 8, "head": {"sha": SHA}, "base": {"repo": {"id": 10}}}
QUEUE = f"gh-readonly-queue/release/1.0/pr-7-{OTHER_SHA}"
RUN: dict[str, Any] = COMMON | {
    "action": "rerequested",
    "check_run": {
        "head_sha": SHA,
        "external_id": "run-1",
        "app": {"id": 77},
        "check_suite": {"head_branch": None, "head_sha": SHA},
        "pull_requests": [LINK, UPSTREAM],
    },
}
SUITE: dict[str, Any] = COMMON | {
    "action": "rerequested",
    "check_suite": {
        "head_sha": SHA,
        "head_branch": "feature",
        "app": {"id": 77},
        "pull_requests": [LINK],
    },
}
GROUP: dict[str, Any] = COMMON | {
    "action": "checks_requested",
    "merge_group": {"head_sha": SHA, "head_ref": f"refs/heads/{QUEUE}", "base_sha": OTHER_SHA},
}


def _event(name: str, payload: dict[str, Any], **changes: Any) -> Event:
    return parse_event(name, json.dumps(_changed(payload, changes)).encode())


def test_an_opened_pull_request_is_read() -> None:
    assert _event("pull_request", PULL) == PullRequestChanged(
        target=replace(PLACE, number=7),
        action=PullAction.OPENED,
        sender="ada",
        head_sha=SHA,
        updated_at="2026-01-02T03:04:05Z",
    )


@pytest.mark.parametrize("action", [*PullAction])
def test_every_action_that_may_concern_us_is_read(action: PullAction) -> None:
    changes = {"base": {"ref": {"from": "main"}}}
    event = _event("pull_request", PULL, action=action.value, changes=changes)
    assert isinstance(event, PullRequestChanged)
    assert event.action is action


def test_what_a_deleted_fork_and_deleted_accounts_leave_is_read() -> None:
    gone = _event(
        "pull_request", PULL, pull_request__head__repo=None, pull_request__user=None, sender=None
    )
    assert isinstance(gone, PullRequestChanged)
    assert (gone.head_sha, gone.sender) == (SHA, "")


def test_a_label_is_named() -> None:
    event = _event("pull_request", PULL, action="labeled", label={"name": "review me"})
    assert isinstance(event, PullRequestChanged)
    assert event.label == "review me"


@pytest.mark.parametrize("changes", [..., {}, {"title": {"from": "x"}}, {"base": None}])
def test_an_edit_of_anything_but_the_base_is_another_event(changes: Any) -> None:
    event = _event("pull_request", PULL, action="edited", changes=changes)
    assert event == OtherEvent(name="pull_request", action="edited")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("pull_request", "assigned"),
        ("pull_request", "unlabeled"),
        ("pull_request", "enqueued"),
        ("pull_request", "a new one"),
        ("check_run", "created"),
        ("check_run", "completed"),
        ("check_suite", "requested"),
        ("check_suite", "completed"),
        ("merge_group", "destroyed"),
    ],
)
def test_other_actions_are_not_looked_into(name: str, action: str) -> None:
    body = json.dumps({"action": action, "pull_request": 5, "check_run": "x"}).encode()
    assert parse_event(name, body) == OtherEvent(name=name, action=action)


def test_a_check_run_that_somebody_wants_again_is_read() -> None:
    assert _event("check_run", RUN) == CheckAsked(
        name="check_run",
        action="rerequested",
        app_id=77,
        target=PLACE,
        sender="ada",
        head_sha=SHA,
        run_id="run-1",
        numbers=(7,),
    )


def test_a_button_is_named() -> None:
    button = {"identifier": "full-review"}
    event = _event("check_run", RUN, action="requested_action", requested_action=button)
    assert isinstance(event, CheckAsked)
    assert event.button == "full-review"


def test_a_check_suite_has_no_run() -> None:
    assert _event("check_suite", SUITE) == CheckAsked(
        name="check_suite",
        action="rerequested",
        app_id=77,
        target=PLACE,
        sender="ada",
        head_sha=SHA,
        numbers=(7,),
    )


@pytest.mark.parametrize("app", [..., None])
def test_a_check_without_an_app_is_nobody_s(app: Any) -> None:
    event = _event("check_run", RUN, check_run__app=app)
    assert isinstance(event, CheckAsked)
    assert event.app_id is None


@pytest.mark.parametrize("external_id", [..., None, ""])
def test_a_check_run_without_an_external_id_has_no_run(external_id: Any) -> None:
    event = _event("check_run", RUN, check_run__external_id=external_id)
    assert isinstance(event, CheckAsked)
    assert event.run_id == ""


def test_a_merge_group_names_its_pull_request_in_its_ref() -> None:
    assert _event("merge_group", GROUP) == MergeGroupAsked(
        target=replace(PLACE, number=7), sender="ada", head_sha=SHA
    )


@pytest.mark.parametrize(
    ("ref", "number"),
    [
        (f"refs/heads/gh-readonly-queue/main/pr-104-{SHA}", 104),
        (f"gh-readonly-queue/main/pr-104-{SHA}", 104),
        (f"refs/heads/gh-readonly-queue/a/pr-1-{SHA}/pr-2-{SHA}", 2),
        ("refs/heads/gh-readonly-queue/main/pr-104", 0),
        (f"refs/heads/gh-readonly-queue/main/pr-0-{SHA}", 0),
        (f"refs/heads/gh-readonly-queue/main/pr-{'9' * 30}-{SHA}", 0),
        (f"refs/heads/main/pr-104-{SHA}", 0),
        ("", 0),
    ],
)
def test_the_number_in_a_queue_s_ref(ref: str, number: int) -> None:
    event = _event("merge_group", GROUP, merge_group__head_ref=ref)
    assert isinstance(event, MergeGroupAsked)
    assert event.target.number == number


def test_a_check_of_a_merge_queue_is_asked_for_by_the_queue() -> None:
    expected = MergeGroupAsked(
        target=replace(PLACE, number=7), sender="ada", head_sha=SHA, app_id=77
    )
    run = _event("check_run", RUN, check_run__check_suite__head_branch=QUEUE)
    assert run == _event("check_suite", SUITE, check_suite__head_branch=QUEUE) == expected


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("pull_request", PULL),
        ("check_run", RUN),
        ("check_suite", SUITE),
        ("merge_group", GROUP),
    ],
)
def test_without_an_installation_nothing_is_looked_into(name: str, payload: dict[str, Any]) -> None:
    event = _event(name, payload, installation=..., repository=...)
    assert event == WithoutInstallation(name=name, action=payload["action"])


@pytest.mark.parametrize(
    ("name", "payload", "changes", "path"),
    [
        ("pull_request", PULL, {"number": 0}, "$.number"),
        ("pull_request", PULL, {"pull_request__head__sha": "../x"}, "$.pull_request.head.sha"),
        ("pull_request", PULL, {"pull_request": None}, "$.pull_request"),
        ("pull_request", PULL, {"repository__name": ".."}, "$.repository.name"),
        ("check_run", RUN, {"check_run__head_sha": "HEAD"}, "$.check_run.head_sha"),
        ("check_run", RUN, {"check_run__pull_requests": [{}]}, "$.check_run.pull_requests"),
        ("check_suite", SUITE, {"check_suite__head_sha": None}, "$.check_suite.head_sha"),
        ("merge_group", GROUP, {"merge_group__head_sha": ...}, "head_sha"),
    ],
)
def test_a_wrong_field_of_these_events_is_named_too(
    name: str, payload: dict[str, Any], changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(BadPayload) as refused:
        _event(name, payload, **changes)
    assert path in str(refused.value)


NO_JSON_OBJECT = [
    b"",
    b"not json",
    b"[]",
    b"null",
    b"5",
    b'"text"',
    b"{",
    b"{} {}",
    b'{"action": NaN}',
    b'{"x": Infinity}',
    b'{"action": "\xff"}',
    b'{"action": "\\ud800"}',
    b'{"action": "\\udc00\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"\x00",
    b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"action": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    b"[" * 1_000_000,
    b'{"action": ' + b"9" * 1_000_000 + b"}",
]


@pytest.mark.parametrize("name", ["issue_comment", "check_run", "ping"])
@pytest.mark.parametrize("body", NO_JSON_OBJECT, ids=range(len(NO_JSON_OBJECT)))
def test_what_is_no_json_object_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(BadPayload):
        parse_event(name, body)


@pytest.mark.parametrize(
    "form",
    [b"", b"payload", b"other=%7B%7D", b"payload=%ff", b"payload=\xff", b"a&" * 100, b"payload=[]"],
)
def test_a_form_without_a_readable_payload_is_refused(form: bytes) -> None:
    with pytest.raises(BadPayload):
        parse_event("ping", form, "application/x-www-form-urlencoded")


def test_huge_numbers_and_nul_in_fields_that_we_do_not_read_do_no_harm() -> None:
    odd = b'{"size": ' + b"9" * 100_000 + b', "x": "\\u0000", ' + _comment()[1:]
    assert parse_event("issue_comment", odd) == EVENT


def test_a_body_may_hold_nul_and_any_script() -> None:
    assert _parsed(comment__body="a\0b 審査 \U0001f440").body == "a\0b 審査 \U0001f440"


REPLY: dict[str, Any] = {
    **{key: COMMENT[key] for key in ("action", "repository", "sender", "installation")},
    "pull_request": {"number": 7, "state": "open"},
    "comment": {**COMMENT["comment"], "in_reply_to_id": 41, "path": "a.py", "line": 3},
}
REVIEW: dict[str, Any] = {
    **REPLY,
    "action": "submitted",
    "review": {**COMMENT["comment"], "state": "commented", "submitted_at": "2026-01-02T03:04:05Z"},
}


def _said(name: str, payload: dict[str, Any], **changes: Any) -> CommentWritten:
    event = _event(name, payload, **changes)
    assert isinstance(event, CommentWritten)
    return event


def test_a_reply_on_the_diff_knows_its_thread() -> None:
    ref = CommentRef(kind=CommentKind.REVIEW_COMMENT, id=42, author="ada", in_reply_to=41)
    assert _said("pull_request_review_comment", REPLY) == replace(EVENT, comment=ref)
    assert ref.thread == 41


def test_the_first_comment_on_a_line_is_its_own_thread() -> None:
    event = _said("pull_request_review_comment", REPLY, comment__in_reply_to_id=...)
    assert event.comment.thread == 42


def test_a_review_s_body_is_read() -> None:
    ref = CommentRef(kind=CommentKind.REVIEW, id=42, author="ada")
    said = replace(EVENT, comment=ref, said_at=1767323045.0)
    assert _said("pull_request_review", REVIEW) == said
    assert ref.thread is None
    assert _said("pull_request_review", REVIEW, review__body=None).body == ""


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("issue_comment", COMMENT),
        ("pull_request_review_comment", REPLY),
        ("pull_request_review", REVIEW),
    ],
)
def test_an_edit_tells_who_changed_what(name: str, payload: dict[str, Any]) -> None:
    sender = {"login": "bob", "type": "User"}
    changes = {"body": {"from": "hello"}}
    said = _said(name, payload, action="edited", sender=sender, changes=changes)
    assert (said.body, said.edit) == ("@codex review", Edit(editor="bob", body_before="hello"))
    unchanged = _said(name, payload, action="edited", changes={})
    assert unchanged.edit == Edit(editor="ada", body_before="@codex review")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("pull_request_review", "dismissed"),
        ("pull_request_review_comment", "deleted"),
        ("pull_request_review_thread", "resolved"),
    ],
)
def test_what_else_happens_to_reviews_is_not_looked_into(name: str, action: str) -> None:
    assert _event(name, REVIEW, action=action) == OtherEvent(name=name, action=action)
