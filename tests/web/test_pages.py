"""The pages over HTTP: what they tell, to whom, and under which addresses."""

import html
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from app.demo.state import AppIdentity, new_app
from app.dispatch import OTHER_CODEX
from app.web.pages import PER_PAGE
from tests.disk import rows
from tests.model_server import Fault
from tests.world import World, build_world, finding, finds

pytestmark = pytest.mark.anyio

PASSWORD = "sesame-of-admins"
HOSTILE = "</h3><script>alert(1)</script>\u202e<img src=https://evil.test/x>"
HEADS = 4
"""Rows that are no review: of the heads of both tables, and of what became of findings."""
COPY = """
    INSERT INTO jobs (lane, state, work, run_id, dedupe_key, installation_id, repository_id,
        repository, number, not_before, created_at)
    SELECT lane, state, work, ?, ?, installation_id, repository_id, repository, number, 0, 0
    FROM jobs WHERE lane = 'review' LIMIT 1"""
ENDED_REVIEW = "SELECT 1 FROM jobs WHERE lane = 'review' AND ended_at IS NOT NULL"


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    hostile = finding(title=HOSTILE, area="security", priority=2)
    nowhere = finding(title="Not in the file", evidence_quote="no such line anywhere")
    world = build_world(tmp_path, identity, finds(finding(), hostile, nowhere))
    world.env |= {"ADMIN_PASSWORD": PASSWORD, "MODEL_PRICES": "scripted=1/10"}
    return world


@asynccontextmanager
async def browsing(world: World, password: str = PASSWORD) -> AsyncIterator[httpx.AsyncClient]:
    async with world.running():
        assert world.state.hook.transport is not None
        async with httpx.AsyncClient(
            transport=world.state.hook.transport,
            base_url="http://us",
            auth=("any", password) if password else None,
        ) as browser:
            yield browser


async def text_of(browser: httpx.AsyncClient, path: str) -> str:
    answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert answer.headers["cache-control"] == "no-store"
    text = re.sub(r"(?s)<style>.*</style>|<[^>]*>", " ", answer.text)
    return html.unescape(" ".join(text.split()))


async def test_everybody_sees_how_the_app_is_and_no_repository(world: World) -> None:
    async with browsing(world, password="") as browser:
        new = await text_of(browser, "/")
        await world.comment("@codex review")
        await world.rest()
        await world.until(lambda: rows(world.database, "SELECT 1 FROM settled WHERE name='slug'"))
        later = await text_of(browser, "/")
        await world.comment("Codex Review: done", login=OTHER_CODEX)
        await world.rest()
        warned = await text_of(browser, "/")
    assert "No delivery has come" in new
    assert "Everything runs" in later
    assert "0 running, 0 waiting Model scripted" in later
    assert "@codex review full everything again" in later
    assert "OpenAI's own bot was seen; it answers to @codex, too. Set `BOT_MENTION`" in warned
    assert not re.search("acme|stats|riley|/reviews", new + later + warned)


async def test_a_review_that_had_no_money_is_told_with_the_remedy(world: World) -> None:
    world.model.script = lambda question: Fault(status=402, body="insufficient_quota")
    async with browsing(world) as browser:
        await world.comment("@codex review")
        await world.ended()
        await world.until(lambda: rows(world.database, ENDED_REVIEW))
        told = await text_of(browser, "/")
    assert "The last review ended for want of money. Top up" in told


@pytest.mark.slow
async def test_a_database_that_cannot_be_used_is_told(world: World) -> None:
    async with browsing(world) as browser:
        with closing(sqlite3.connect(world.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            told = await text_of(browser, "/")
            other.execute("ROLLBACK")
    assert "look at this The database: the database cannot be used now" in told


async def test_reviews_are_for_admins_alone(world: World) -> None:
    async with browsing(world, password="") as browser:
        for path in ("/reviews", "/reviews/none"):
            assert (await browser.get(path)).status_code == 401
            assert (await browser.get(path, auth=("any", PASSWORD + "x"))).status_code == 401
        assert (await browser.get("/reviews/none", auth=("any", PASSWORD))).status_code == 404
    del world.env["ADMIN_PASSWORD"]
    async with browsing(world) as browser:
        assert (await browser.get("/reviews")).status_code == 404
        assert (await browser.get("/reviews/none")).status_code == 404


async def test_a_review_is_told_whole_and_only_as_text(world: World) -> None:
    async with browsing(world) as browser:
        await world.comment("@codex review")
        await world.rest()
        run_id = world.checks[0].external_id
        listed = await text_of(browser, "/reviews")
        path = f"/reviews/{run_id}"
        assert f'href="{path}"' in (await browser.get("/reviews")).text
        told, source = await text_of(browser, path), (await browser.get(path)).text
    assert "acme/stats#1 ● findings 1 P1, 1 P2" in listed
    assert re.search(r"correctness 1 0 0 0 0 security 1 0 0 0 0", listed)
    assert "P1 · correctness: mean([]) raises ZeroDivisionError stats.py:3 , in the diff 3" in told
    assert "Dropped: 1 stats.py:3 Not in the file (model) anchored: unproven" in told
    assert "scripted: 3 questions, 300 tokens in, 60 out, 0.0009 USD." in told
    steps = ("asked for", "begun", "planned", "last answer", "verdict", "ended")
    assert re.search(".*".join(steps), told)
    assert "@@ -1,4 +1,3 @@ ✓ correctness ✓ security ✓ performance – dependencies" in told
    assert f"/acme/stats/blob/{world.pull.head_sha}/stats.py#L3-L3" in source
    file = sha256(b"stats.py").hexdigest()
    assert f"/acme/stats/pull/1/files#diff-{file}R3-R3" in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;U+202E&gt;&lt;img" in source
    assert not re.search(r"<script|<img|\bsrc=[^h]|style=", source)


async def test_what_was_left_out_is_told_with_the_reason(world: World) -> None:
    async with browsing(world) as browser:
        await world.comment("@codex review security")
        await world.rest()
        told = await text_of(browser, f"/reviews/{world.checks[0].external_id}")
    assert "✗ correctness: left out: not asked for ✓ security" in told


async def test_pages_follow_each_other_and_keep_the_filter(world: World) -> None:
    async with browsing(world) as browser:
        await world.comment("@codex review")
        await world.rest()
        with closing(sqlite3.connect(world.database, isolation_level=None)) as other:
            other.executemany(COPY, [(n, n) for n in range(PER_PAGE + 1)])
        first = (await browser.get("/reviews?repository=acme&asked=person")).text
        [older] = re.findall(r'rel="next" href="([^"]*)"', first)
        second = (await browser.get(html.unescape(older))).text
    assert "repository=acme&amp;asked=person&amp;before=" in older
    assert (first.count("<tr>"), second.count("<tr>")) == (HEADS + PER_PAGE, HEADS + 2)
    assert 'rel="next"' not in second


async def test_a_suggestion_is_shown_as_what_it_takes_away_and_puts_there(world: World) -> None:
    world.model.script = finds(finding(suggestion="    return total / (len(values) or 1)"))
    async with browsing(world) as browser:
        await world.comment("@codex review")
        await world.rest()
        told = await text_of(browser, f"/reviews/{world.checks[0].external_id}")
    assert "- return total / len(values) + return total / (len(values) or 1) Confidence" in told


@pytest.mark.parametrize("query", ["before=x", "before=0", f"before={2**70}", "asked=me"])
async def test_a_filter_that_nobody_offered_is_refused(world: World, query: str) -> None:
    async with browsing(world) as browser:
        assert (await browser.get(f"/reviews?{query}")).status_code == 400


async def test_behind_a_prefix_all_is_found_whether_the_proxy_takes_it_off_or_not(
    world: World,
) -> None:
    world.env["PUBLIC_URL"] = "https://example.com/tools/reviews"
    async with browsing(world) as browser:
        world.state.hook.url = "https://example.com/tools/reviews/webhook"
        await world.comment("@codex review")
        await world.rest()
        assert len(world.checks) == 1
        for prefix in ("", "/tools/reviews"):
            for path in ("/", "/reviews"):
                page = (await browser.get(prefix + path)).text
                links = re.findall(r'(?:href|action)="(/[^"]*)"', page)
                assert links
                assert all(link.startswith("/tools/reviews/") for link in links)
            assert (await browser.get(f"{prefix}/healthz")).json() == {"status": "alive"}
            refused = await browser.get(f"{prefix}/v1/nothing")
            assert refused.json()["error"]["type"] == "invalid_request_error"
        for link in links:
            assert (await browser.get(link)).status_code == 200, link
        assert (await browser.get("/tools/reviews")).headers["location"] == "/tools/reviews/"


@pytest.mark.parametrize("prefix", ["", "/tools/reviews"])
async def test_nothing_redirects_to_where_the_host_header_points(world: World, prefix: str) -> None:
    world.env["PUBLIC_URL"] = f"https://example.com{prefix}"
    async with browsing(world) as browser:
        for path in ("/reviews/", "/v1/codex/reviews/", "/webhook/", "/healthz/", "/setup/"):
            answer = await browser.get(prefix + path, headers={"Host": "evil.test"})
            assert answer.status_code == 404, path
