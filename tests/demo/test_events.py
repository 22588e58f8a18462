"""Payloads: what only some events carry, and what they leave out."""

import pytest

from app.demo import events
from app.demo.records import Place, PullRequest
from app.demo.state import State
from tests.demo.conftest import Client
from tests.events import (
    base_event,
    check_suite_event,
    installation_event,
    label_event,
    merge_group_event,
    review_comment_event,
    review_event,
)

pytestmark = pytest.mark.anyio


async def test_a_push_tells_before_and_after(state: State, pull: PullRequest) -> None:
    before = pull.head_sha
    state.push(pull, {"b.py": "1\n"})
    payload = events.push_event(state, pull, before).payload
    assert (payload["action"], payload["before"]) == ("synchronize", before)
    assert payload["after"] == pull.head_sha != before


async def test_a_label_is_put_on_and_named(state: State, pull: PullRequest) -> None:
    payload = label_event(state, pull, "wip", "ann").payload
    label, shown = payload["label"], payload["pull_request"]
    assert isinstance(label, dict)
    assert isinstance(shown, dict)
    assert payload["action"] == "labeled"
    assert label["name"] == "wip"
    assert shown["labels"] == [label]


async def test_another_base_tells_what_it_was(state: State, pull: PullRequest) -> None:
    before = pull.base_sha
    base = state.commit(pull.repository, {"c.py": "1\n"}, branch="next")
    payload = base_event(state, pull, "next").payload
    assert payload["action"] == "edited"
    assert payload["changes"] == {"base": {"ref": {"from": "main"}, "sha": {"from": before}}}
    assert (pull.base_ref, pull.base_sha) == ("next", base)


async def test_a_merge_group_has_a_commit_and_a_branch_of_its_own(
    state: State, pull: PullRequest
) -> None:
    group = merge_group_event(state, pull).payload["merge_group"]
    assert isinstance(group, dict)
    assert group["head_ref"] == f"refs/heads/gh-readonly-queue/main/pr-1-{pull.base_sha}"
    assert pull.repository.git.resolve(group["head_ref"]) == group["head_sha"] != pull.head_sha
    suite = state.suite(pull.repository, group["head_sha"])
    told = check_suite_event(state, suite, "ann").payload["check_suite"]
    assert isinstance(told, dict)
    assert f"refs/heads/{told['head_branch']}" == group["head_ref"]
    assert told["pull_requests"] == []


async def test_the_events_about_reviews_carry_a_reduced_pull_request(
    state: State, pull: PullRequest
) -> None:
    review = state.review(pull, "ann", "@codex review")
    comment = state.review_comment(review, "Hm.", Place(path="app.py", line=5))
    for event in (review_event(state, review), review_comment_event(state, comment)):
        shown = event.payload["pull_request"]
        assert isinstance(shown, dict)
        assert not {"changed_files", "mergeable", "merged"} & shown.keys()
    shown = review_event(state, review).payload["review"]
    assert isinstance(shown, dict)
    assert shown["state"] == "commented"


async def test_an_installation_names_its_repositories(client: Client, state: State) -> None:
    [installation] = state.installations.values()
    event = installation_event(state, installation)
    repositories = event.payload["repositories"]
    assert isinstance(repositories, list)
    assert [item["full_name"] for item in repositories] == ["acme/shop"]
    assert (event.name, event.action) == ("installation", "created")
