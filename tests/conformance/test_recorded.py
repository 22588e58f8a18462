"""GitHub's real answers, as others recorded them, go through our client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.demo.state import new_app
from app.errors import Forbidden
from app.github.auth import AppCredentials
from app.github.changes import GitHubChanges, PullWire
from app.github.checks import CheckRunWire, GitHubVerdicts
from app.github.comments import GitHubConversation
from app.github.permissions import GitHubPermissions
from app.github.publisher import GitHubPublisher, ReviewWire
from app.github.transport import Connection, GitHub, NotFound, Refused, decode
from app.ports import KnownCheck, Permission, Reaction, Run
from app.review.config import CONFIG_PATH, Config
from app.review.diff import Diff, Side, parse_diff
from app.review.event import CommentKind, CommentRef
from app.review.findings import Location
from app.review.priority import Priority
from app.review.pull import Change, InstallationId, PullRequest, RunId, Sha, Target
from app.review.receipt import Conclusion, Receipt, ReceiptFinding, State
from app.review.render import InlineComment, Review

pytestmark = pytest.mark.anyio

RUN = Run(id=RunId("run-1"), attempt=1)
BIG_CHECK = "/repos/hub4j-test-org/test-checks/check-runs/1424883599"
REVIEWED = "/repos/hub4j-test-org/github-api/pulls/482"
DIFFED = "/repos/sigmavirus24/github3.py/pulls/235"


class Recorded(msgspec.Struct):
    """One exchange of the file."""

    request: dict[str, Any]
    response: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        return self.request["method"], self.request["path"].partition("?")[0]

    @property
    def status(self) -> int:
        status: int = self.response["status"]
        return status

    @property
    def body(self) -> bytes:
        body = self.response["body"]
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def answer(self) -> httpx.Response:
        kept = {
            name: value
            for name, value in self.response["headers"].items()
            if name not in ("content-length", "content-encoding", "status")
        }
        return httpx.Response(self.status, headers=kept, content=self.body)


@dataclass
class Replay:
    """Answers with what was recorded for a method and path, in turn; the last is repeated."""

    answers: dict[tuple[str, str], list[Recorded]]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        recorded = self.answers[request.method, request.url.path]
        return (recorded.pop(0) if len(recorded) > 1 else recorded[0]).answer()

    def sent(self, method: str) -> list[Any]:
        return [json.loads(r.content) for r in self.requests if r.method == method]


@dataclass
class StoppedClock:
    at: float

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a recorded answer is no reason to wait")


@pytest.fixture
def recorded(shared: Path) -> list[Recorded]:
    text = (shared / "recorded" / "interactions.json").read_bytes()
    return msgspec.json.decode(text, type=list[Recorded])


def replay(*recorded: Recorded) -> Replay:
    answers: dict[tuple[str, str], list[Recorded]] = {}
    for one in recorded:
        answers.setdefault(one.key, []).append(one)
    return Replay(answers)


def github(replayed: Replay, private_key: str, at: str) -> GitHub:
    clock = StoppedClock(datetime.fromisoformat(at).timestamp())
    client = httpx.AsyncClient(transport=httpx.MockTransport(replayed))
    connection = Connection(client, clock=clock)
    credentials = AppCredentials(connection, app_id="89368", private_key=private_key)
    return GitHub(connection, credentials)


def target(owner: str, repo: str, number: int, *, repository_id: int = 1) -> Target:
    return Target(
        installation_id=InstallationId(13064215),
        repository_id=repository_id,
        owner=owner,
        repo=repo,
        number=number,
    )


def change(where: Target, head: str) -> Change:
    pull = PullRequest(
        target=where,
        title="",
        body="",
        author="",
        state="open",
        is_draft=False,
        is_locked=False,
        is_archived=False,
        head_sha=Sha(head),
        base_sha=Sha("b"),
        base_ref="main",
        default_branch="main",
    )
    return Change(
        pull=pull,
        title="",
        body="",
        head_sha=pull.head_sha,
        base_sha=pull.base_sha,
        diff=Diff(),
        config=Config(),
    )


def of(recorded: list[Recorded], method: str, ending: str, status: int = 0) -> list[Recorded]:
    return [
        one
        for one in recorded
        if one.key[0] == method and one.key[1].endswith(ending) and status in (0, one.status)
    ]


def sign_in(recorded: list[Recorded]) -> tuple[Recorded, Recorded]:
    """Who the App is, and one of its tokens."""
    return of(recorded, "GET", "/app")[0], of(recorded, "POST", "13064215/access_tokens")[0]


async def test_a_check_run_with_101_annotations_goes_in_three_parts(
    recorded: list[Recorded], private_key: str
) -> None:
    created = [
        one
        for one in of(recorded, "POST", "test-checks/check-runs", 201)
        if one.response["body"]["id"] == int(BIG_CHECK.rpartition("/")[2])
    ]
    replayed = replay(*sign_in(recorded), *created, *of(recorded, "PATCH", BIG_CHECK))
    where = target("hub4j-test-org", "test-checks", 1)
    us = github(replayed, private_key, "2020-11-19T15:00:20Z")
    async with GitHubVerdicts(us, NoMemory()).open(change(where, "h"), RUN) as check:
        check.finish(receipt_with(101))
    assert [len(sent["output"]["annotations"]) for sent in replayed.sent("PATCH")] == [50, 50, 1]
    assert [sent.get("status") for sent in replayed.sent("PATCH")] == [None, None, "completed"]


async def test_a_check_run_s_refusal_is_understood(
    recorded: list[Recorded], private_key: str
) -> None:
    refused = of(recorded, "POST", "test-checks/check-runs", 422)
    us = github(replay(*sign_in(recorded), *refused), private_key, "2020-11-19T15:00:20Z")
    repository = us.repository(target("hub4j-test-org", "test-checks", 1))
    with pytest.raises(Refused) as caught:
        await repository.write("POST", "check-runs", {})
    assert caught.value.status == 422
    assert '"conclusion" wasn\'t supplied' in caught.value.reasons[0]


async def test_a_review_is_created_pending_and_submitted(
    recorded: list[Recorded], private_key: str
) -> None:
    head = "07374fe73aff1c2024a8d4114b32406c7a8e89b7"
    pull = of(recorded, "GET", DIFFED)[0]
    told = {**pull.response["body"], "head": {**pull.response["body"]["head"], "sha": head}}
    none_yet = [one for one in of(recorded, "GET", "482/reviews") if one.body == b"[]"]
    drafts = [
        one
        for one in of(recorded, "POST", "482/reviews")
        if one.response["body"]["id"] == 2121304234
    ]
    replayed = replay(
        *sign_in(recorded),
        *none_yet,
        Recorded({"method": "GET", "path": REVIEWED}, {**pull.response, "body": told}),
        *drafts,
        *of(recorded, "POST", "2121304234/events"),
    )
    us = github(replayed, private_key, "2020-11-19T15:00:20Z")
    place = Location(path="README.md", side=Side.RIGHT, start_line=2, line=3)
    await GitHubPublisher(us).publish(
        change(target("hub4j-test-org", "github-api", 482), head),
        RUN,
        Review(body="Said.", comments=(InlineComment(location=place, body="A comment"),)),
    )
    assert [request.url.path for request in replayed.requests[-2:]] == [
        f"{REVIEWED}/reviews",
        f"{REVIEWED}/reviews/2121304234/events",
    ]


def nothing_else(described: Recorded) -> list[Recorded]:
    """The answers of a repository without configuration whose base cannot be listed."""
    repository = DIFFED.partition("/pulls")[0]
    organisation = f"{repository.rpartition('/')[0]}/.github"
    paths = (
        f"{repository}/contents/{CONFIG_PATH}",
        f"{organisation}/contents/{CONFIG_PATH}",
        f"{repository}/git/trees/{described.response['body']['base']['sha']}",
        f"{repository}/contents/.gitattributes",
        f"{repository}/contents/AGENTS.md",
    )
    missing = {"status": 404, "headers": {}, "body": {"message": "Not Found"}}
    return [Recorded({**described.request, "path": path}, missing) for path in paths]


async def test_a_pull_request_and_its_diff_are_read(
    recorded: list[Recorded], private_key: str
) -> None:
    described, diff = of(recorded, "GET", DIFFED)[:2]
    if isinstance(described.response["body"], str):
        described, diff = diff, described
    us = github(
        ByAccept(replay(*sign_in(recorded), described, diff, *nothing_else(described))),
        private_key,
        "2020-11-19T15:00:20Z",
    )
    opened = await GitHubChanges(us).open(opened_target(described))
    assert opened.title == described.response["body"]["title"]
    assert opened.diff == parse_diff(diff.body)
    assert [file.path for file in opened.diff.files] == [
        "github3/repos/release.py",
        "tests/unit/test_repos_release.py",
    ]


async def test_the_list_of_files_gives_the_same_hunks_as_the_diff(
    recorded: list[Recorded], private_key: str
) -> None:
    described = next(r for r in of(recorded, "GET", DIFFED) if isinstance(r.response["body"], dict))
    diff = next(r for r in of(recorded, "GET", DIFFED) if isinstance(r.response["body"], str))
    too_large = Recorded(
        diff.request, {"status": 406, "headers": {}, "body": {"message": "Sorry, the diff …"}}
    )
    listed = of(recorded, "GET", "235/files")
    quiet = nothing_else(described)
    replayed = replay(*sign_in(recorded), described, too_large, *quiet, *listed)
    us = github(ByAccept(replayed), private_key, "2020-11-19T15:00:20Z")
    opened = await GitHubChanges(us).open(opened_target(described))
    assert {file.path: file.hunks for file in opened.diff.files} == {
        file.path: file.hunks for file in parse_diff(diff.body).files
    }
    assert opened.not_in_diff == ()


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("hub4j-test-org/maintain-permission-issue/collaborators/alecharp", Permission.WRITE),
        ("hub4j-test-org/test-permission/collaborators/dude", None),
        ("hub4j-test-org/test-permission/collaborators/kohsuke", None),
        ("hub4j-test-org/test-permission-private/collaborators/dude", None),
    ],
)
async def test_permissions_are_read(
    recorded: list[Recorded], private_key: str, path: str, permission: Permission | None
) -> None:
    answers = of(recorded, "GET", f"{path}/permission")
    owner, repo, _, login = path.split("/")
    us = github(replay(*sign_in(recorded), *answers), private_key, "2020-11-19T15:00:20Z")
    for one in list(answers):
        found = await GitHubPermissions(us).permission(target(owner, repo, 1), login)
        assert found == permission or found.value == one.response["body"]["permission"]


async def test_a_permission_that_we_may_not_see_is_no_rate_limit(
    recorded: list[Recorded], private_key: str
) -> None:
    answers = of(recorded, "GET", "apache/groovy/collaborators/jglick/permission", 403)
    us = github(replay(*sign_in(recorded), *answers), private_key, "2020-11-19T15:00:20Z")
    with pytest.raises(Forbidden, match="Must have push access"):
        await GitHubPermissions(us).permission(target("apache", "groovy", 1), "jglick")


async def test_a_comment_on_the_diff_is_reacted_to(
    recorded: list[Recorded], private_key: str
) -> None:
    answers = of(recorded, "POST", "pulls/comments/1641776783/reactions", 201)
    replayed = replay(*sign_in(recorded), *answers)
    us = github(replayed, private_key, "2020-11-19T15:00:20Z")
    ref = CommentRef(kind=CommentKind.REVIEW_COMMENT, id=1641776783, author="x")
    await GitHubConversation(us).react(
        target("hub4j-test-org", "github-api", 484), ref, Reaction.EYES
    )
    assert replayed.sent("POST")[-1] == answers[0].request["body"]


async def test_what_is_not_found_is_understood(recorded: list[Recorded], private_key: str) -> None:
    lost = next(one for one in recorded if one.status == 404)
    moved_here = Recorded({"method": "GET", "path": "/repos/a/b/x"}, lost.response)
    us = github(replay(*sign_in(recorded), moved_here), private_key, "2020-11-19T15:00:20Z")
    with pytest.raises(NotFound):
        await us.repository(target("a", "b", 1)).get("x", accept="text/plain")


@pytest.mark.parametrize(
    ("method", "part", "shape", "least"),
    [
        ("GET", "/pulls/", PullWire, 4),
        ("POST", "/reviews", ReviewWire, 4),
        ("POST", "/check-runs", CheckRunWire, 5),
        ("PATCH", "/check-runs/", CheckRunWire, 3),
    ],
)
async def test_every_recorded_answer_of_a_kind_has_the_shape_that_we_read(
    recorded: list[Recorded], method: str, part: str, shape: type[object], least: int
) -> None:
    def is_one(one: Recorded) -> bool:
        body: Mapping[str, Any] = one.response["body"]
        is_whole = isinstance(body, dict) and "id" in body
        return is_whole and one.key[0] == method and part in one.key[1] and one.status < 300

    read = [
        decode(one.body, shape) for one in recorded if is_one(one) and "/comments" not in one.key[1]
    ]
    assert len(read) >= least


@dataclass
class ByAccept(Replay):
    """Tells a diff from JSON, as GitHub does by the `Accept` header."""

    def __init__(self, replayed: Replay) -> None:
        super().__init__(replayed.answers, replayed.requests)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        recorded = self.answers[request.method, request.url.path]
        if request.url.path != DIFFED:
            return super().__call__(request)
        wants_diff = request.headers["accept"].endswith("diff")
        return recorded[1 if wants_diff else 0].answer()


class NoMemory:
    async def check_runs(self, run_id: RunId) -> tuple[KnownCheck, ...]:
        return ()

    async def keep_check(self, check: KnownCheck) -> None:
        assert check.id in (None, 1424883599)

    async def forget_check(self, check: KnownCheck) -> None:
        raise AssertionError("nothing was left behind")


@pytest.fixture(scope="session")
def private_key() -> str:
    return new_app("secret")[1]


def opened_target(described: Recorded) -> Target:
    return target(
        "sigmavirus24",
        "github3.py",
        235,
        repository_id=described.response["body"]["base"]["repo"]["id"],
    )


def receipt_with(n: int) -> Receipt:
    return Receipt(
        version=1,
        run_id=RUN.id,
        head_sha="h",
        base_sha="b",
        state=State.FINDINGS,
        conclusion=Conclusion.NEUTRAL,
        fail_on="never",
        findings=tuple(
            ReceiptFinding(
                fingerprint=str(i),
                area="style",
                priority=Priority.P3,
                confidence=1.0,
                title="t",
                body="b",
                path="stuff.txt",
                side="RIGHT",
                start_line=1,
                line=1,
                evidence="e",
                summary_reason="aside",
            )
            for i in range(n)
        ),
    )
