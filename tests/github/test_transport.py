"""How any request behaves, against hand-written answers and against the stand-in."""

import json
from collections.abc import Callable

import httpx
import msgspec
import pytest

from app.errors import AppError, Forbidden, Locked, RateLimited, Unavailable
from app.github.transport import (
    CONTENT_LIMITS,
    Connection,
    MayHaveHappened,
    Moved,
    NotFound,
    Pace,
    Refused,
    Session,
    TooBig,
)
from tests.github.conftest import FakeClock, Scene

pytestmark = pytest.mark.anyio

Answer = httpx.Response | Exception


class Said(msgspec.Struct):
    n: int


class Api:
    """Answers in turn; the last answer is repeated."""

    def __init__(self, *answers: Answer | Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    @property
    def paths(self) -> list[str]:
        return [request.url.raw_path.decode() for request in self.requests]


def session(
    api: Api,
    clock: FakeClock,
    *,
    base_url: str = "https://api.github.com",
    pace: Pace | None = None,
) -> Session:
    client = httpx.AsyncClient(transport=httpx.MockTransport(api))
    connection = Connection(client, clock=clock, base_url=base_url, jitter=lambda: 1.0)
    return Session(connection, httpx.Auth(), pace or Pace())


def said(n: int, **headers: str) -> httpx.Response:
    return httpx.Response(200, json={"n": n}, headers=headers)


def refusal(status: int, message: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"message": message}, headers=named)


def redirect(status: int, to: str) -> httpx.Response:
    return httpx.Response(status, headers={"location": to})


async def test_every_request_names_the_version_and_us(clock: FakeClock) -> None:
    api = Api(said(1))
    assert await session(api, clock).get_json("/x", Said) == Said(1)
    headers = api.requests[0].headers
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["user-agent"] == "codex-review"
    assert headers["accept"] == "application/vnd.github+json"


async def test_an_enterprise_server_is_asked_below_its_own_path(clock: FakeClock) -> None:
    api = Api(said(1))
    await session(api, clock, base_url="https://ghe.example/api/v3/").get_json("/x", Said)
    assert str(api.requests[0].url) == "https://ghe.example/api/v3/x"


async def test_a_read_is_tried_again_after_a_passing_trouble(clock: FakeClock) -> None:
    api = Api(refusal(502, "Server Error"), httpx.ReadTimeout("slow"), said(1))
    assert await session(api, clock).get_json("/x", Said) == Said(1)
    assert clock.slept == [1.0, 2.0]


async def test_a_read_is_given_up_at_the_deadline(clock: FakeClock) -> None:
    started = clock.now()
    with pytest.raises(Unavailable, match="503"):
        await session(Api(refusal(503, "no")), clock).get("/x")
    assert 30 < clock.now() - started <= 60


@pytest.mark.parametrize("lost", [refusal(502, "x"), refusal(504, "x"), httpx.ReadError("cut")])
async def test_a_write_whose_answer_is_lost_is_not_repeated(lost: Answer, clock: FakeClock) -> None:
    api = Api(lost)
    with pytest.raises(MayHaveHappened):
        await session(api, clock).write("POST", "/x", {})
    assert len(api.requests) == 1


async def test_a_write_that_never_left_is_repeated(clock: FakeClock) -> None:
    api = Api(httpx.ConnectError("no route"), said(1))
    await session(api, clock).write("POST", "/x", {})
    assert len(api.requests) == 2


async def test_a_repeatable_write_is_repeated(clock: FakeClock) -> None:
    api = Api(refusal(502, "x"), said(1))
    await session(api, clock).write("PATCH", "/x", {"a": 1}, is_repeatable=True)
    assert [request.content for request in api.requests] == [b'{"a":1}'] * 2


async def test_a_short_limit_is_slept_through(clock: FakeClock) -> None:
    api = Api(refusal(403, "You have exceeded a secondary rate limit", retry_after="7"), said(1))
    await session(api, clock).write("POST", "/x", {})
    assert clock.slept == [7.0]


async def test_a_limit_without_a_wait_is_no_endless_loop(clock: FakeClock) -> None:
    api = Api(refusal(429, "slow", retry_after="0"))
    with pytest.raises(RateLimited):
        await session(api, clock).get("/x")
    assert len(api.requests) <= 61


async def test_a_used_up_hour_waits_until_its_reset_by_github_s_clock(clock: FakeClock) -> None:
    limit = refusal(
        403,
        "API rate limit exceeded for installation",
        x_ratelimit_remaining="0",
        x_ratelimit_reset="1000900",
        date="Mon, 12 Jan 1970 13:46:40 GMT",  # 1000000: not our clock's time
    )
    with pytest.raises(RateLimited) as caught:
        await session(Api(limit), clock).get("/x")
    assert caught.value.reset_at == clock.now() + 900


async def test_a_secondary_limit_without_a_time_waits_ever_longer(clock: FakeClock) -> None:
    us = session(Api(refusal(403, "You have triggered an abuse detection mechanism")), clock)
    for wait in (60, 120, 240):
        with pytest.raises(RateLimited) as caught:
            await us.get("/x")
        assert caught.value.reset_at == clock.now() + wait
        clock.at += wait


async def test_while_limited_nothing_goes_out(clock: FakeClock) -> None:
    pace, api = Pace(), Api(refusal(429, "slow", retry_after="300"))
    for _ in range(2):
        with pytest.raises(RateLimited):
            await session(api, clock, pace=pace).get("/x")
    assert len(api.requests) == 1


async def test_content_keeps_within_the_limits_of_github_com(clock: FakeClock) -> None:
    api, pace = Api(said(1)), Pace()
    us = session(api, clock, pace=pace)
    most, window_s = CONTENT_LIMITS[0]
    for _ in range(most):
        await us.write("POST", "/x", {}, is_content=True)
    assert clock.slept == []
    with pytest.raises(RateLimited) as caught:
        await us.write("POST", "/x", {}, is_content=True)
    assert caught.value.reset_at == clock.now() + window_s
    await us.write("POST", "/reactions", {})
    await session(api, clock, base_url="https://ghe.example/api/v3", pace=pace).write(
        "POST", "/x", {}, is_content=True
    )


@pytest.mark.parametrize(
    ("answer", "error", "remedy"),
    [
        (refusal(401, "Bad credentials"), Forbidden, "APP_ID"),
        (
            refusal(
                403,
                "Resource not accessible by integration",
                x_accepted_github_permissions="checks=write",
            ),
            Forbidden,
            "Grant the App checks=write",
        ),
        (refusal(403, "Repository was archived so is read-only."), Forbidden, "Unarchive"),
        (refusal(403, "This installation has been suspended"), Forbidden, "Unsuspend"),
        (
            refusal(403, "Unable to create comment because issue is locked."),
            Locked,
            "Unlock the conversation.",
        ),
        (refusal(403, "User is blocked"), Forbidden, "permissions"),
    ],
)
async def test_a_refusal_says_what_to_do(
    answer: httpx.Response, error: type[Forbidden | Locked], remedy: str, clock: FakeClock
) -> None:
    with pytest.raises(error) as caught:
        await session(Api(answer), clock).write("POST", "/x", {})
    assert type(caught.value) is error
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        ({"message": "Bad", "errors": ["line must be", "hunk"]}, ("line must be", "hunk")),
        (
            {"message": "Bad", "errors": [{"resource": "R", "field": "f", "code": "invalid"}]},
            ("R f invalid",),
        ),
        ({"message": "Bad", "errors": [{"code": "custom", "message": "too long"}]}, ("too long",)),
        ({"message": "Invalid request.\n\nNo subschema"}, ("Invalid request. No subschema",)),
        ({"message": "Bad", "errors": "just a text"}, ("just a text",)),
        ([], ("HTTP 422",)),
    ],
)
async def test_both_shapes_of_errors_are_read(
    body: object, reasons: tuple[str, ...], clock: FakeClock
) -> None:
    with pytest.raises(Refused) as caught:
        await session(Api(httpx.Response(422, json=body)), clock).write("POST", "/x", {})
    assert caught.value.reasons == reasons


@pytest.mark.parametrize(
    "secret",
    [
        "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
        "ghs_290001_eyJhbGciOi-_J9.eyJpc3MiOiJ4In0-.sig-nature_0123456789",
        "github_pat_11ABCDEFG0123456789_abcdef",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2ln",
    ],
)
async def test_no_secret_gets_into_an_error(secret: str, clock: FakeClock) -> None:
    with pytest.raises(AppError) as caught:
        await session(Api(refusal(403, f"no: {secret}!")), clock).get("/x")
    assert secret[:12] not in str(caught.value)
    assert "no: (secret)!" in str(caught.value)


async def test_an_error_s_text_is_short_and_one_line(clock: FakeClock) -> None:
    with pytest.raises(Refused) as caught:
        await session(Api(refusal(422, "a\n" * 5_000)), clock).get("/x")
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


async def test_what_is_not_found_is_for_the_caller_to_judge(clock: FakeClock) -> None:
    with pytest.raises(NotFound):
        await session(Api(refusal(404, "Not Found")), clock).get("/x")


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_read_follows_a_redirect_on_the_same_host(status: int, clock: FakeClock) -> None:
    api = Api(redirect(status, "https://api.github.com/repositories/1/x?a=1"), said(1))
    await session(api, clock).get("/x", params={"a": 1})
    assert api.paths == ["/x?a=1", "/repositories/1/x?a=1"]


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/x", "http://api.github.com/x", "//evil.example/x", "https://[", ""],
)
async def test_a_read_follows_no_redirect_elsewhere(to: str, clock: FakeClock) -> None:
    api = Api(redirect(302, to))
    with pytest.raises(Forbidden):
        await session(api, clock).get("/x")
    assert {request.url.host for request in api.requests} == {"api.github.com"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_write_follows_no_redirect(status: int, clock: FakeClock) -> None:
    api = Api(redirect(status, "https://api.github.com/y"))
    with pytest.raises(Moved):
        await session(api, clock).write("POST", "/x", {})
    assert len(api.requests) == 1


async def test_pages_are_followed_by_their_links(clock: FakeClock) -> None:
    api = Api(
        httpx.Response(
            200,
            json=[{"n": 1}],
            headers={"link": '<https://api.github.com/x?page=2>; rel="next"'},
        ),
        httpx.Response(200, json=[{"n": 2}]),
    )
    pages = session(api, clock).pages("/x", list[Said], per_page=50, a="b")
    assert [page async for page in pages] == [[Said(1)], [Said(2)]]
    assert api.paths == ["/x?per_page=50&a=b", "/x?page=2"]


async def test_a_next_page_on_another_host_is_not_asked(clock: FakeClock) -> None:
    link = {"link": '<https://evil.example/x>; rel="next"'}
    api = Api(httpx.Response(200, json=[], headers=link))
    with pytest.raises(Forbidden):
        _ = [page async for page in session(api, clock).pages("/x", list[Said], per_page=50)]
    assert len(api.requests) == 1


async def test_an_answer_is_read_up_to_its_limit(clock: FakeClock) -> None:
    us = session(Api(lambda _: httpx.Response(200, content=b"".join([b"x"] * 1_001))), clock)
    assert len(await us.get("/x", max_bytes=1_001)) == 1_001
    with pytest.raises(TooBig):
        await us.get("/x", max_bytes=1_000)


async def test_an_answer_of_another_shape_is_no_answer(clock: FakeClock) -> None:
    with pytest.raises(Unavailable, match=r"\$\.n"):
        await session(Api(httpx.Response(200, json={"n": "x"})), clock).get_json("/x", Said)


async def test_a_renamed_repository_is_found_by_its_id_to_write(scene: Scene) -> None:
    scene.state.rename(scene.repository, "store")
    repository = scene.github.repository(scene.target)
    for _ in range(2):
        await repository.write("POST", f"issues/{scene.target.number}/comments", {"body": "hi"})
    assert [c.body for c in scene.state.issue_comments.values()] == ["hi", "hi"]
    assert [
        request.path for request in scene.state.requests if not request.path.startswith("/app")
    ] == [
        "/repos/octo/shop/issues/1/comments",
        f"/repositories/{scene.repository.id}",
        "/repos/octo/store/issues/1/comments",
        "/repos/octo/store/issues/1/comments",
    ]


async def test_what_is_sent_is_json(scene: Scene) -> None:
    await scene.github.repository(scene.target).write("POST", "issues/1/comments", {"body": "é"})
    assert json.loads(scene.state.requests[-1].request_body) == {"body": "é"}


async def test_who_we_are_is_asked_once(scene: Scene) -> None:
    first = await scene.github.identity()
    assert await scene.github.identity() is first
    assert first.login == scene.state.app.bot
    assert [request.path for request in scene.state.requests] == ["/app"]


def problem(kind: str, message: str = "why", **headers: str) -> httpx.Response:
    error = {"type": kind, "message": message}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, json={"data": None, "errors": [error]}, headers=named)


async def ask(api: Api, clock: FakeClock, base_url: str = "https://api.github.com") -> Said:
    return await session(api, clock, base_url=base_url).graphql("{ n }", {"a": 1}, Said)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://ghe.example/api/v3/", "https://ghe.example/api/graphql"),
        ("https://api.acme.ghe.com", "https://api.acme.ghe.com/graphql"),
    ],
)
async def test_graphql_has_an_address_of_its_own(base_url: str, url: str, clock: FakeClock) -> None:
    api = Api(httpx.Response(200, json={"data": {"n": 1}}))
    assert await ask(api, clock, base_url) == Said(1)
    [request] = api.requests
    assert str(request.url) == url
    assert json.loads(request.content) == {"query": "{ n }", "variables": {"a": 1}}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem("FORBIDDEN", "Resource not accessible by integration"), Forbidden),
        (problem("NOT_FOUND"), NotFound),
        (problem("UNPROCESSABLE"), Refused),
        (httpx.Response(200, json={"errors": [{"message": "Parse error"}]}), Refused),
        (httpx.Response(200, json={"data": None}), Unavailable),
        (httpx.Response(200, text="<html>"), Unavailable),
        (refusal(404, "Not Found"), NotFound),
        (refusal(502, "x"), MayHaveHappened),
    ],
)
async def test_an_error_of_graphql_means_what_it_says(
    answer: httpx.Response, error: type[AppError], clock: FakeClock
) -> None:
    with pytest.raises(error):
        await ask(Api(answer), clock)


@pytest.mark.parametrize(
    "limit",
    [
        problem("RATE_LIMITED", retry_after="7"),
        problem("", "You have exceeded a secondary rate limit.", retry_after="7"),
    ],
)
async def test_a_limit_that_graphql_tells_with_status_200_is_slept_through(
    limit: httpx.Response, clock: FakeClock
) -> None:
    api = Api(limit, httpx.Response(200, json={"data": {"n": 1}}))
    assert await ask(api, clock) == Said(1)
    assert clock.slept == [7.0]


async def test_an_hour_used_up_by_graphql_is_waited_for_elsewhere(clock: FakeClock) -> None:
    used = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(clock.now()) + 900)}
    with pytest.raises(RateLimited) as caught:
        await ask(Api(problem("RATE_LIMITED", **used)), clock)
    assert caught.value.reset_at == clock.now() + 900
