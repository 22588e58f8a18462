"""GitHub's own payload examples: each is taken or ignored with a reason, none is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.dispatch import Decision, Enqueue, Ignore, decide
from app.github.payloads import parse_event
from app.jobs.job import Respond

APP_ID = 77


def _decision(name: str, body: bytes) -> Decision:
    event = parse_event(name, body)
    return decide(event, "d-1", app_id=APP_ID, slug="my-app", mentions=["@codex"])


def _on_a_pull_request(shared: Path, **comment: Any) -> bytes:
    """GitHub publishes no example on a pull request: one key in the issue makes the difference."""
    payload = json.loads((shared / "webhooks" / "issue_comment.created.json").read_bytes())
    payload["issue"]["pull_request"] = {"url": "https://api.github.com/repos/x/y/pulls/1"}
    payload["installation"] = {"id": 3, "node_id": "x"}
    payload["comment"] |= {"body": "Thanks!\r\n\r\n@codex review\r\n"} | comment
    return json.dumps(payload).encode()


def test_every_example_is_ignored_with_a_reason(shared: Path) -> None:
    examples = sorted((shared / "webhooks").glob("*.json"))
    assert len(examples) == 41
    for example in examples:
        decision = _decision(example.name.partition(".")[0], example.read_bytes())
        assert isinstance(decision, Ignore), example.name
        assert decision.reason, example.name


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ("ping", "ping starts nothing"),
        ("ping.repository-hook", "ping starts nothing"),
        ("issue_comment.created", "not on a pull request"),
        ("issue_comment.created.no-installation", "not sent to an installation of the app"),
        ("issue_comment.edited", "issue_comment.edited starts nothing"),
        (
            "issue_comment.created.on-pull-request.bot.events-api",
            "not sent to an installation of the app",
        ),
        ("check_run.completed", "the check of another app"),
        ("check_suite.rerequested", "the check of another app"),
        ("pull_request.opened", "pull_request.opened starts nothing"),
        ("installation.created", "installation.created starts nothing"),
        ("merge_group.checks_requested", "merge_group.checks_requested starts nothing"),
    ],
)
def test_an_example_has_this_reason(shared: Path, example: str, reason: str) -> None:
    body = (shared / "webhooks" / f"{example}.json").read_bytes()
    assert _decision(example.partition(".")[0], body) == Ignore(reason=reason)


def test_the_example_made_a_pull_request_is_taken(shared: Path) -> None:
    decision = _decision("issue_comment", _on_a_pull_request(shared))
    assert isinstance(decision, Enqueue)
    (job,) = decision.jobs
    assert isinstance(job.work, Respond)
    assert job.work.line == "@codex review"
    assert job.work.target.full_name == "Codertocat/Hello-World"
    assert job.work.comment.author == "Codertocat"


def test_a_bot_s_comment_is_ignored(shared: Path) -> None:
    recorded = "issue_comment.created.on-pull-request.bot.events-api.json"
    bot = json.loads((shared / "webhooks" / recorded).read_bytes())["comment"]["user"]
    decision = _decision("issue_comment", _on_a_pull_request(shared, user=bot))
    assert decision == Ignore(reason="written by a bot")


def test_a_machine_account_is_heard_like_a_person(shared: Path) -> None:
    recorded = "issue_comment.created.on-pull-request.robot-user.events-api.json"
    robot = json.loads((shared / "webhooks" / recorded).read_bytes())["comment"]["user"]
    decision = _decision("issue_comment", _on_a_pull_request(shared, user=robot))
    assert isinstance(decision, Enqueue)
