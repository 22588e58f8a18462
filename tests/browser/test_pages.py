"""Every page in a real browser: for everybody's eyes, by keyboard, without script, on a phone."""

import html
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.bootstrap import Front
from app.demo.state import AppIdentity, new_app
from tests.browser.conftest import Tab, served, tab
from tests.web.test_setup import Place, place, sent
from tests.world import World, build_world, finding, finds

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

assert place  # the fixture of set-up's own tests

PASSWORD = "sesame-of-admins"
HOSTILE = "</h3><script>document.title = 'taken'</script><img src=https://evil.test/x.png>"
SIZES = pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
)


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    hostile = finding(title=HOSTILE, area="security", priority=2, suggestion="    return 0")
    nowhere = finding(title="Not in the file", evidence_quote="no such line anywhere")
    world = build_world(tmp_path, identity, finds(finding(), hostile, nowhere))
    world.env |= {"ADMIN_PASSWORD": PASSWORD, "MODEL_PRICES": "scripted=1/10"}
    return world


@asynccontextmanager
async def reviewed(world: World) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
    """Serve after two reviews; yield the address, and the pages there are."""
    async with world.running():
        await world.comment("@codex review")
        await world.rest()
        await world.push({"new.py": "print(1)\n"})
        await world.comment("@codex review security")
        await world.rest()
        transport = world.state.hook.transport
        assert isinstance(transport, httpx.ASGITransport)
        run_id = world.checks[0].external_id
        async with served(transport.app) as at:
            yield at, {"state": "/", "reviews": "/reviews", "review": f"/reviews/{run_id}"}


async def violations(tab: Tab) -> list[str]:
    """Let axe-core look at a page."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright")
    found = (await axe.Axe().run(tab.page)).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


async def look(tab: Tab, folder: Path, name: str) -> None:
    """Take a picture; hold the page to what holds for all."""
    await tab.page.screenshot(path=folder / f"{name}.png", full_page=True)
    assert await violations(tab) == []
    assert await tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.check()


@SIZES
async def test_every_page_is_fit_for_all(
    world: World, chromium: "Browser", tmp_path: Path, width: int, scheme: str
) -> None:
    async with reviewed(world) as (at, pages):
        for name, path in pages.items():
            async with tab(chromium, at, width=width, scheme=scheme, password=PASSWORD) as one:
                assert (await one.open(path)).startswith("default-src 'none'; style-src 'sha256-")
                await look(one, tmp_path, f"{name}-{width}-{scheme}")
                assert "taken" not in await one.page.title()


@SIZES
async def test_every_step_of_set_up_is_fit_for_all(
    place: Place, chromium: "Browser", tmp_path: Path, width: int, scheme: str
) -> None:
    del place.environ["PUBLIC_URL"]
    async with (
        place.served() as front,
        served(front.app) as at,
        tab(chromium, at, width=width, scheme=scheme) as one,
    ):
        await one.page.goto(f"{at}/")
        one.complaints.clear()  # that it is 503
        await look(one, tmp_path, f"not-yet-{width}-{scheme}")
        await one.open(front.way_in)
        await look(one, tmp_path, f"setup-{width}-{scheme}")
        await one.page.get_by_label("Name of that account").fill("riley")
        await one.page.get_by_role("button", name="Continue").press("Enter")
        await look(one, tmp_path, f"confirm-{width}-{scheme}")
        await one.page.goto(await created(place, front, await one.page.content()))
        await look(one, tmp_path, f"installed-{width}-{scheme}")


async def created(place: Place, front: Front, confirm: str) -> str:
    """Confirm the App at GitHub; return where GitHub sends the browser."""
    manifest, target = sent(confirm.replace("&amp;", "&"))
    form = {"manifest": html.unescape(manifest), "state": parse_qs(urlsplit(target).query)["state"]}
    async with place.github() as github:
        path = urlsplit(target).path
        there = await github.post(f"https://api.github.com{path}/create", data=form)
    return there.headers["location"]


async def test_all_is_reached_by_keyboard(world: World, chromium: "Browser") -> None:
    async with reviewed(world) as (at, _), tab(chromium, at, password=PASSWORD) as one:
        await one.open("/")
        await one.page.keyboard.press("Tab")
        assert await focused(one) == "To the content"
        await one.page.keyboard.press("Enter")
        assert one.page.url.endswith("#content")
        await tab_to(one, "Reviews", key="Shift+Tab")
        await one.page.keyboard.press("Enter")
        await one.page.wait_for_url("**/reviews")
        await tab_to(one, "acme/stats#1")
        await one.page.keyboard.press("Enter")
        await one.page.wait_for_url("**/reviews/*")
        assert await one.page.get_by_role("heading", name="Coverage").is_visible()


async def focused(tab: Tab) -> str:
    text = await tab.page.evaluate("document.activeElement.textContent")
    return str(text).strip()


async def tab_to(tab: Tab, text: str, key: str = "Tab") -> None:
    for _ in range(30):
        if await focused(tab) == text:
            return
        await tab.page.keyboard.press(key)
    pytest.fail(f"{text} is not reached")


async def test_all_works_without_script(world: World, chromium: "Browser") -> None:
    async with (
        reviewed(world) as (at, _),
        tab(chromium, at, has_script=False, password=PASSWORD) as one,
    ):
        await one.open("/")
        await one.page.get_by_role("link", name="Reviews").click()
        assert await one.page.get_by_role("link", name="acme/stats#1").count() == 2
        await one.page.get_by_label("State").select_option("partial")
        await one.page.get_by_role("button", name="Show").click()
        await one.page.get_by_role("link", name="acme/stats#1").click()
        assert await one.page.get_by_text("not asked for").count() > 0
        one.check()
