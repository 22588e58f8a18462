"""Payloads: the fields we use are read, strange bytes are refused with one error."""

import copy
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from app.errors import BadPayload
from app.github.payloads import parse_event
from app.review.event import (
    CheckEvent,
    CommentCreated,
    CommentKind,
    CommentRef,
    OtherEvent,
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
EVENT = CommentCreated(
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
    """A comment's payload; `changes` name a place as `comment__user` and give its value."""
    payload = copy.deepcopy(COMMENT)
    for place, value in changes.items():
        *outer, last = place.split("__")
        inner = payload
        for key in outer:
            inner = inner[key]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
    return json.dumps(payload).encode()


def _parsed(**changes: Any) -> CommentCreated:
    event = parse_event("issue_comment", _comment(**changes))
    assert isinstance(event, CommentCreated)
    return event


def test_a_comment_on_a_pull_request_is_read() -> None:
    assert _parsed() == EVENT


def test_a_form_holds_the_same_payload() -> None:
    form = urlencode({"payload": _comment(comment__body="@codex review é +&=")}).encode()
    event = parse_event("issue_comment", form, "Application/X-WWW-Form-Urlencoded; charset=utf-8")
    assert isinstance(event, CommentCreated)
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


@pytest.mark.parametrize("action", ["edited", "deleted", "pinned", "a new one"])
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


@pytest.mark.parametrize("name", ["check_run", "check_suite"])
def test_a_check_names_its_app(name: str) -> None:
    body = json.dumps({"action": "completed", name: {"id": 1, "app": {"id": 8}}}).encode()
    assert parse_event(name, body) == CheckEvent(name=name, action="completed", app_id=8)


@pytest.mark.parametrize("check", [None, {}, {"app": None}, {"app": {"id": "8"}}, 5])
def test_a_strange_check_is_nobodys(check: Any) -> None:
    body = json.dumps({"action": "completed", "check_run": check}).encode()
    event = parse_event("check_run", body)
    assert event == CheckEvent(name="check_run", action="completed", app_id=None)


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
