"""GitHub's own list of deliveries, page by page, and what one of them held."""

import json

import httpx
import pytest

from app.demo.deliveries import deliver, redeliver
from app.demo.events import comment_event, pull_event
from app.demo.faults import Fault
from app.demo.records import Delivery
from app.errors import Unavailable
from app.github.deliveries import GitHubDeliveries
from app.ports import ListedDelivery
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0


@pytest.fixture
def deliveries(scene: Scene) -> GitHubDeliveries:
    return GitHubDeliveries(scene.github)


def answers(scene: Scene, status: int) -> None:
    """Let the hook answer so; 0 is a server that cannot be reached."""

    def answer(request: httpx.Request) -> httpx.Response:
        if not status:
            raise httpx.ConnectTimeout("nobody is there")
        return httpx.Response(status)

    scene.state.hook.url = "https://hook.test/webhook"
    scene.state.hook.transport = httpx.MockTransport(answer)


async def delivered(scene: Scene, status: int, *, guid: str | None = None) -> Delivery:
    answers(scene, status)
    scene.clock.at += 60
    return await deliver(scene.state, pull_event(scene.state, scene.pull, "opened"), guid=guid)


def pages_read(scene: Scene) -> int:
    return sum(request.path == "/app/hook/deliveries" for request in scene.state.requests)


async def test_deliveries_are_listed_oldest_first_and_failed_is_what_was_not_ok(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    made = [await delivered(scene, status) for status in (202, 503, 0, 401)]
    listed = await deliveries.listed(since=0)
    assert [(one.id, one.guid) for one in listed] == [(one.id, one.guid) for one in made]
    assert [one.is_failed for one in listed] == [False, True, True, True]
    assert [one.delivered_at for one in listed] == [int(one.delivered_at) for one in made]
    assert {(one.event, one.action) for one in listed} == {("pull_request", "opened")}


async def test_a_delivery_that_went_well_at_last_is_not_failed(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    first = await delivered(scene, 503)
    other = await delivered(scene, 503)
    scene.clock.at += 60
    answers(scene, 202)
    second = await redeliver(scene.state, first.guid)
    listed = await deliveries.listed(since=0)
    assert [(one.guid, one.id, one.is_failed) for one in listed] == [
        (other.guid, other.id, True),
        (first.guid, second.id, False),
    ]


async def test_only_as_many_pages_are_read_as_lead_back_to_the_time(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    made = [await delivered(scene, 503) for _ in range(230)]
    assert [one.id for one in await deliveries.listed(since=0)] == [one.id for one in made]
    assert pages_read(scene) == 3
    scene.state.requests.clear()
    listed = await deliveries.listed(since=made[150].delivered_at)
    assert [one.id for one in listed] == [one.id for one in made[150:]]
    assert pages_read(scene) == 1


async def test_after_three_days_a_delivery_is_gone(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    await delivered(scene, 503)
    scene.clock.at += 3 * DAY
    recent = await delivered(scene, 503)
    assert [one.id for one in await deliveries.listed(since=0)] == [recent.id]


async def test_no_delivery_is_an_empty_list(deliveries: GitHubDeliveries) -> None:
    assert await deliveries.listed(since=0) == []


async def test_a_page_that_cannot_be_had_is_no_short_list(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    for _ in range(130):
        await delivered(scene, 503)
    await deliveries.listed(since=0)
    first_page = Fault(path="/app/hook/deliveries$")
    second_page = Fault(path="/app/hook/deliveries$", times=99, status=502)
    scene.state.faults += [first_page, second_page]
    with pytest.raises(Unavailable):
        await deliveries.listed(since=0)


async def test_the_payload_of_a_failed_delivery_can_be_fetched(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    answers(scene, 0)
    comment = scene.state.comment(scene.pull, "ann", "@codex review — ünïcode")
    event = comment_event(scene.state, comment)
    await deliver(scene.state, event)
    [listed] = await deliveries.listed(since=0)
    payload = await deliveries.fetch(listed)
    assert payload is not None
    assert json.loads(payload) == event.payload


async def test_what_github_has_no_more_is_none(deliveries: GitHubDeliveries) -> None:
    gone = ListedDelivery(
        guid="g", id=1, delivered_at=0, is_failed=True, event="issue_comment", action="created"
    )
    assert await deliveries.fetch(gone) is None


async def test_our_own_name_is_known_once_deliveries_are_listed(
    scene: Scene, deliveries: GitHubDeliveries
) -> None:
    assert scene.github.slug is None
    await deliveries.listed(since=0)
    assert scene.github.slug == "codex-review"
