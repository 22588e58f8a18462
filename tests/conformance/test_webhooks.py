"""GitHub's own payload examples: each is taken or ignored with a reason, none is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.dispatch import Decision, Enqueue, Ignore, decide
from app.github.payloads import parse_event
from app.jobs.job import Again, Close, Look, MergeGroup, Respond, Work

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


TAKEN: dict[str, type[Work]] = {
    "pull_request.opened": Look,
    "pull_request.reopened": Look,
    "pull_request.ready_for_review": Look,
    "pull_request.synchronize": Look,
    "pull_request.labeled": Look,
    "pull_request.closed": Close,
    "merge_group.checks_requested": MergeGroup,
}


def test_every_example_is_taken_or_ignored_with_a_reason(shared: Path) -> None:
    examples = sorted((shared / "webhooks").glob("*.json"))
    assert len(examples) == 41
    taken = dict(TAKEN)
    for example in examples:
        decision = _decision(example.name.partition(".")[0], example.read_bytes())
        if isinstance(decision, Enqueue):
            [job] = decision.jobs
            assert type(job.work) is taken.pop(example.stem), example.name
        else:
            assert decision.reason, example.name
    assert taken == {}


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ("ping", "ping starts nothing"),
        ("ping.repository-hook", "ping starts nothing"),
        ("issue_comment.created", "not on a pull request"),
        ("issue_comment.created.no-installation", "not sent to an installation of the app"),
        ("issue_comment.edited", "not sent to an installation of the app"),
        ("issue_comment.deleted", "issue_comment.deleted starts nothing"),
        (
            "issue_comment.created.on-pull-request.bot.events-api",
            "not sent to an installation of the app",
        ),
        ("check_run.completed", "check_run.completed starts nothing"),
        ("check_run.rerequested", "the check of another app"),
        ("check_run.requested_action", "the check of another app"),
        ("check_suite.requested", "check_suite.requested starts nothing"),
        ("check_suite.rerequested", "the check of another app"),
        ("pull_request.unlabeled", "pull_request.unlabeled starts nothing"),
        ("installation.created", "installation.created starts nothing"),
    ],
)
def test_an_example_has_this_reason(shared: Path, example: str, reason: str) -> None:
    body = (shared / "webhooks" / f"{example}.json").read_bytes()
    assert _decision(example.partition(".")[0], body) == Ignore(reason=reason)


@pytest.mark.parametrize(
    ("example", "app_id", "work"),
    [
        ("check_run.rerequested", 2, {"numbers": (), "asked_run": ""}),
        ("check_suite.rerequested", 29310, {"numbers": (2,), "asked_run": ""}),
    ],
)
def test_the_example_made_ours_is_reviewed_again(
    shared: Path, example: str, app_id: int, work: dict[str, Any]
) -> None:
    event = parse_event(
        example.partition(".")[0], (shared / "webhooks" / f"{example}.json").read_bytes()
    )
    decision = decide(event, "d-1", app_id=app_id, slug="my-app", mentions=["@codex"])
    assert isinstance(decision, Enqueue)
    [job] = decision.jobs
    assert isinstance(job.work, Again)
    assert {name: getattr(job.work, name) for name in work} == work


def test_the_queue_s_example_names_its_pull_request(shared: Path) -> None:
    example = shared / "webhooks" / "merge_group.checks_requested.json"
    decision = _decision("merge_group", example.read_bytes())
    assert isinstance(decision, Enqueue)
    [job] = decision.jobs
    assert job.work.target.number == 104


def test_the_example_made_a_pull_request_is_taken(shared: Path) -> None:
    decision = _decision("issue_comment", _on_a_pull_request(shared))
    assert isinstance(decision, Enqueue)
    (job,) = decision.jobs
    assert isinstance(job.work, Respond)
    assert job.work.line == "@codex review"
    assert job.work.target.full_name == "Codertocat/Hello-World"
    assert job.work.comment.author == "Codertocat"


def test_a_bot_s_command_is_known_as_one(shared: Path) -> None:
    recorded = "issue_comment.created.on-pull-request.bot.events-api.json"
    bot = json.loads((shared / "webhooks" / recorded).read_bytes())["comment"]["user"]
    decision = _decision("issue_comment", _on_a_pull_request(shared, user=bot))
    assert isinstance(decision, Enqueue)
    (job,) = decision.jobs
    assert isinstance(job.work, Respond)
    assert job.work.is_bot


def test_a_machine_account_is_heard_like_a_person(shared: Path) -> None:
    recorded = "issue_comment.created.on-pull-request.robot-user.events-api.json"
    robot = json.loads((shared / "webhooks" / recorded).read_bytes())["comment"]["user"]
    decision = _decision("issue_comment", _on_a_pull_request(shared, user=robot))
    assert isinstance(decision, Enqueue)
