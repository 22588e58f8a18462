"""Payloads: what only some events carry, and what they leave out."""

import pytest

from app.demo import events
from app.demo.records import Place, PullRequest
from app.demo.state import State
from tests.demo.conftest import Client

pytestmark = pytest.mark.anyio


async def test_a_push_tells_before_and_after(state: State, pull: PullRequest) -> None:
    before = pull.head_sha
    state.push(pull, {"b.py": "1\n"})
    payload = events.push_event(state, pull, before).payload
    assert (payload["action"], payload["before"]) == ("synchronize", before)
    assert payload["after"] == pull.head_sha != before


async def test_the_events_about_reviews_carry_a_reduced_pull_request(
    state: State, pull: PullRequest
) -> None:
    review = state.review(pull, "ann", "@codex review")
    comment = state.review_comment(review, "Hm.", Place(path="app.py", line=5))
    for event in (events.review_event(state, review), events.review_comment_event(state, comment)):
        shown = event.payload["pull_request"]
        assert isinstance(shown, dict)
        assert not {"changed_files", "mergeable", "merged"} & shown.keys()
    shown = events.review_event(state, review).payload["review"]
    assert isinstance(shown, dict)
    assert shown["state"] == "commented"


async def test_an_installation_names_its_repositories(client: Client, state: State) -> None:
    [installation] = state.installations.values()
    event = events.installation_event(state, installation)
    repositories = event.payload["repositories"]
    assert isinstance(repositories, list)
    assert [item["full_name"] for item in repositories] == ["acme/shop"]
    assert (event.name, event.action) == ("installation", "created")
