"""Check runs and the limits of what is written into them."""

import pytest

from app.demo.records import PullRequest, Repository
from app.demo.state import State
from tests.demo.conftest import Client

pytestmark = pytest.mark.anyio
REPO = "/repos/acme/shop"


def notes(count: int) -> list[dict[str, object]]:
    note = {"path": "app.py", "start_line": 1, "end_line": 1, "annotation_level": "notice"}
    return [{**note, "message": f"{number}"} for number in range(count)]


def output(**given: object) -> dict[str, object]:
    return {"title": "Title", "summary": "Summary", **given}


def check(pull: PullRequest, **given: object) -> dict[str, object]:
    return {"name": "codex review", "head_sha": pull.head_sha, **given}


async def test_a_run_goes_from_queued_to_completed(client: Client, pull: PullRequest) -> None:
    made = await client("POST", f"{REPO}/check-runs", check(pull, external_id="run-1"))
    assert (made.status_code, made.json()["status"]) == (201, "queued")
    path = f"{REPO}/check-runs/{made.json()['id']}"
    await client("PATCH", path, {"status": "in_progress"})
    done = await client("PATCH", path, {"conclusion": "neutral", "output": output()})
    shown = done.json()
    assert (shown["status"], shown["conclusion"]) == ("completed", "neutral")
    assert (shown["external_id"], shown["completed_at"] is None) == ("run-1", False)
    assert (await client("GET", path)).json() == shown
    assert client.state.check_runs[shown["id"]].history == ["queued", "in_progress", "neutral"]


async def test_annotations_are_appended_fifty_at_a_time(client: Client, pull: PullRequest) -> None:
    body = check(pull, output=output(annotations=notes(50)))
    made = (await client("POST", f"{REPO}/check-runs", body)).json()
    path = f"{REPO}/check-runs/{made['id']}"
    await client("PATCH", path, {"output": output(annotations=notes(50))})
    last = await client("PATCH", path, {"output": output(annotations=notes(1))})
    assert last.json()["output"]["annotations_count"] == 101
    kept = client.state.check_runs[made["id"]].annotations
    assert [note["message"] for note in kept] == [*map(str, range(50)), *map(str, range(50)), "0"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"status": "completed"}, '"conclusion" wasn\'t supplied.'),
        ({"status": "waiting"}, "Invalid request"),
        ({"conclusion": "stale"}, "Invalid request"),
        ({"output": {"summary": "x"}}, '"title" wasn\'t supplied.'),
        ({"output": {"title": "x"}}, "summary"),
        ({"output": output(annotations=notes(51))}, "No more than 50 items are allowed; 51 were"),
        ({"output": output(text="x" * 65_536)}, "Only 65535 characters are allowed; 65536 were"),
        ({"output": output(annotations=[{**notes(1)[0], "start_line": 0}])}, "start_line"),
        (
            {"output": output(annotations=[{**notes(1)[0], "end_line": 2, "end_column": 1}])},
            "column",
        ),
        ({"output": output(annotations=[{**notes(1)[0], "message": "é" * 40_000}])}, "64 KB"),
        ({"actions": [{"label": "x" * 21, "description": "x", "identifier": "x"}]}, "label"),
        (
            {"actions": [{"label": "x", "description": "x", "identifier": "x"}] * 4},
            "No more than 3",
        ),
        ({"started_at": "yesterday"}, "Invalid request"),
        ({"head_sha": "0" * 40}, "No commit found for SHA"),
        ({"summary": "x"}, "Invalid request"),
    ],
)
async def test_a_check_outside_the_limits_is_refused(
    client: Client, pull: PullRequest, given: dict[str, object], words: str
) -> None:
    answer = await client("POST", f"{REPO}/check-runs", {**check(pull), **given})
    assert answer.status_code == 422
    assert words in answer.json()["message"]
    assert client.state.check_runs == {}


async def test_the_newest_run_of_a_name_counts(client: Client, pull: PullRequest) -> None:
    ids = [(await client("POST", f"{REPO}/check-runs", check(pull))).json()["id"] for _ in range(2)]
    path = f"{REPO}/commits/{pull.head_sha}/check-runs"

    async def listed(query: str) -> list[int]:
        return [run["id"] for run in (await client("GET", path + query)).json()["check_runs"]]

    assert await listed("") == [ids[1]]
    assert await listed("?filter=all") == [ids[1], ids[0]]
    assert await listed("?check_name=other") == []
    assert await listed(f"?app_id={client.state.app.id}") == [ids[1]]


async def test_only_apps_write_checks_and_each_its_own(
    client: Client, state: State, pull: PullRequest
) -> None:
    person = await client(
        "POST", f"{REPO}/check-runs", check(pull), token=state.personal_token("ann")
    )
    run = (await client("POST", f"{REPO}/check-runs", check(pull))).json()
    state.check_runs[run["id"]].app_id = 15_368
    other = await client("PATCH", f"{REPO}/check-runs/{run['id']}", {"status": "in_progress"})
    assert (person.status_code, other.status_code) == (403, 403)


async def test_a_run_names_its_pull_requests_but_not_those_of_forks(
    client: Client, state: State, repository: Repository, pull: PullRequest
) -> None:
    fork = state.open_pull_request(repository, {"f.py": "1\n"}, author="eve", from_fork=True)
    ours = (await client("POST", f"{REPO}/check-runs", check(pull))).json()
    theirs = (await client("POST", f"{REPO}/check-runs", check(fork))).json()
    numbers = [[item["number"] for item in run["pull_requests"]] for run in (ours, theirs)]
    assert numbers == [[1], []]
