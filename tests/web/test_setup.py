"""Set-up in a browser, against the stand-in for GitHub: who is let in, and what comes of it."""

import asyncio
import html
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from app.bootstrap import Front, running
from app.credentials import read_environment
from app.demo.faults import Fault
from app.demo.github import create_app
from app.demo.state import State, new_app
from app.parts import SystemClock
from app.settings import Settings, read_settings
from tests.registering import ROUTES

pytestmark = pytest.mark.anyio

HERE = "https://reviews.test"
GITHUB = "https://github.com"
WISH = {"host": "github.com", "kind": "person", "owner": "riley", "reach": "webhook"}


@dataclass(slots=True, kw_only=True)
class Place:
    """A server without an App, and a GitHub without one for it."""

    folder: Path
    state: State
    environ: dict[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "app.env"

    def browser(self, front: Front) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(front.app), base_url=HERE)

    def github(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(self.state, ROUTES)))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Front]:
        """Serve set-up, and run the App as soon as there is one."""
        settings = read_settings(read_environment(self.environ), may_lack_app=True)
        async with self.github() as http:
            front = Front(self.environ, settings, http, SystemClock())
            task = asyncio.create_task(self._run(front, http, settings))
            try:
                yield front
            finally:
                task.cancel()
                await asyncio.wait({task})

    async def _run(self, front: Front, http: httpx.AsyncClient, settings: Settings) -> None:
        settings = settings if settings.has_app else await front.registered
        model = httpx.AsyncClient()
        async with model, running(settings, http, model, SystemClock(), grace_s=0) as app:
            self.state.hook.transport = httpx.ASGITransport(app)
            front.open(app)
            await asyncio.Event().wait()

    @asynccontextmanager
    async def entered(self, front: Front) -> AsyncIterator[httpx.AsyncClient]:
        async with self.browser(front) as browser:
            assert (await browser.get(front.way_in)).status_code == 303
            yield browser

    async def create(self, browser: httpx.AsyncClient, **wish: str) -> str:
        """Say what is wanted and confirm it at GitHub; return where GitHub sends the browser."""
        confirm = await browser.post("/setup", data={**WISH, **wish})
        assert confirm.status_code == 200, confirm.text
        manifest, target = sent(confirm.text)
        form = {"manifest": manifest, "state": parse_qs(urlsplit(target).query)["state"][0]}
        async with self.github() as github:
            path = urlsplit(target).path
            there = await github.post(f"https://api.github.com{path}/create", data=form)
        assert there.status_code == 302
        return there.headers["location"]


def sent(text: str) -> tuple[str, str]:
    """The manifest that a page posts, and where it posts it to."""
    manifest = re.search(r'name="manifest" value="([^"]*)"', text)
    target = re.search(r'<form method="post" action="([^"]*)"', text)
    assert manifest is not None
    assert target is not None
    return html.unescape(manifest[1]), html.unescape(target[1])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    state = State(tmp_path / "github", new_app("none of ours")[0])
    state.create_repository("acme/stats", {"a.py": "1\n"}, installed=False)
    environ = {
        "CREDENTIALS_FILE": str(tmp_path / "app.env"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/codex-review.db",
        "MODEL_API": "static",
        "PUBLIC_URL": HERE,
    }
    return Place(folder=tmp_path, state=state, environ=environ)


async def test_set_up_ends_with_an_app_that_runs(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.file.write_text("# mine\nMODELS=small")
    async with place.served() as front, place.entered(front) as browser:
        assert "Create your GitHub App" in (await browser.get("/setup")).text
        back = await place.create(browser)
        answer = await browser.get(back)
        assert (answer.status_code, answer.headers["location"]) == (303, "setup")
        waiting = await browser.get("/setup")
        assert "Waiting for the first delivery" in waiting.text
        assert waiting.headers["refresh"] == "5"
        install = re.search(r'href="(https://[^"]*/installations/new)"', waiting.text)
        assert install is not None
        async with place.github() as github:
            await github.post(install[1])
        done = await browser.get("/setup")
        assert "✓ The first delivery has come" in done.text
        assert "refresh" not in done.headers
        told = waiting.text + done.text + answer.text + back
    settings = read_settings(read_environment(place.environ))
    assert settings.app_id == place.state.app.id
    assert settings.webhook_secrets[0].reveal() == place.state.app.webhook_secret
    assert place.file.read_text().startswith(
        "# mine\nMODELS=small\nGITHUB_API_URL=https://api.github.com\nAPP_ID="
    )
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert place.state.deliveries[-1].status == "OK"
    output = "".join(capfd.readouterr())
    for secret in (settings.webhook_secrets[0].reveal(), settings.private_key.reveal()[40:80]):
        assert secret not in told + output
    assert parse_qs(urlsplit(back).query)["code"][0] not in output


async def test_nobody_else_gets_in(place: Place) -> None:
    async with place.served() as front:
        async with place.browser(front) as stranger:
            for path in ("/setup", "/setup?token=", "/setup?token=guess", "/setup?code=1&state=2"):
                assert (await stranger.get(path)).status_code == 404, path
            assert (await stranger.post("/setup", data=WISH)).status_code == 404
            assert (await stranger.head(front.way_in)).status_code == 404
            assert (await stranger.get("/readyz")).status_code == 503
            assert (await stranger.get("/healthz")).json() == {"status": "alive"}
        async with place.entered(front) as browser, place.browser(front) as stranger:
            assert (await stranger.get(front.way_in)).status_code == 404
            back = await place.create(browser)
            assert (await stranger.get(back)).status_code == 404
            forged = re.sub("state=.*", "state=guess", back)
            assert (await browser.get(forged)).status_code == 404
            assert (await browser.get(back)).status_code == 303
            assert (await browser.get(back)).status_code == 404


async def test_the_cookie_is_for_this_browser_and_this_page_only(place: Place) -> None:
    place.environ["PUBLIC_URL"] = f"{HERE}/codex"
    async with place.served() as front, place.browser(front) as browser:
        cookie = (await browser.get(front.way_in)).headers["set-cookie"]
    words = {word.strip().lower() for word in cookie.split(";")}
    assert {"httponly", "samesite=lax", "secure", "path=/codex/setup"} <= words


async def test_pages_run_no_script_and_load_nothing(place: Place) -> None:
    async with place.served() as front, place.entered(front) as browser:
        form = await browser.get("/setup")
        confirm = await browser.post("/setup", data=WISH)
    for page, forms in ((form, "form-action 'self' ;"), (confirm, f"form-action 'self' {GITHUB};")):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert forms in policy
        assert "<script" not in page.text
        assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("wish", "target"),
    [
        ({}, f"{GITHUB}/settings/apps/new"),
        (
            {"kind": "organisation", "owner": "acme"},
            f"{GITHUB}/organizations/acme/settings/apps/new",
        ),
        ({"host": "GHE.example"}, "https://ghe.example/settings/apps/new"),
        ({"host": "acme.ghe.com"}, "https://acme.ghe.com/settings/apps/new"),
    ],
)
async def test_the_manifest_goes_to_the_github_that_was_named(
    place: Place, wish: dict[str, str], target: str
) -> None:
    async with place.served() as front, place.entered(front) as browser:
        page = await browser.post("/setup", data={**WISH, **wish})
    assert sent(page.text)[1].partition("?")[0] == target


async def test_the_manifest_asks_for_what_was_chosen(place: Place) -> None:
    del place.environ["PUBLIC_URL"]
    async with place.served() as front, place.entered(front) as browser:
        wish = {"reach": "pull", "merge_queue": "yes", "owner": "a" * 39}
        text = (await browser.post("/setup", data={**WISH, **wish})).text
        manifest = msgspec.json.decode(sent(text)[0])
        assert "If GitHub refuses the address" in html.unescape(text)
    assert manifest["name"] == ("codex-review-" + "a" * 39)[:34]
    assert manifest["hook_attributes"] == {
        "url": "https://codex-review.invalid/webhook",
        "active": True,
    }
    assert manifest["redirect_url"] == f"{HERE}/setup"
    assert manifest["default_permissions"]["merge_queues"] == "read"
    assert manifest["default_events"][-1] == "merge_group"


async def test_without_a_public_url_deliveries_are_fetched_from_then_on(place: Place) -> None:
    del place.environ["PUBLIC_URL"]
    async with place.served() as front, place.entered(front) as browser:
        back = await place.create(browser, reach="pull")
        await browser.get(back)
        async with place.github() as github:
            await github.post("https://github.com/apps/codex-review-riley/installations/new")
        assert "✓ The first delivery has come" in (await browser.get("/setup")).text
    settings = read_settings(read_environment(place.environ))
    assert (settings.pull_s, settings.public_url) == (5, "")
    assert settings.github_api_url == "https://api.github.com"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"owner": ""}, "Owner:"),
        ({"owner": "acme/shop"}, "Owner:"),
        ({"host": "https://github.com/acme"}, "Host:"),
        ({"name": "x" * 35}, "Name:"),
        ({"public_url": ""}, "Public URL: give"),
        ({"public_url": "https://me:secret@host"}, "Public URL: give"),
        ({"public_url": "http://[::1"}, "Public URL: give"),
        ({"public_url": "http://127.0.0.1:8000"}, "own address"),
        ({"public_url": "http://localhost"}, "own address"),
    ],
)
async def test_what_github_would_refuse_is_told_at_once(
    place: Place, wish: dict[str, str], words: str
) -> None:
    del place.environ["PUBLIC_URL"]
    async with place.served() as front, place.entered(front) as browser:
        page = await browser.post("/setup", data={**WISH, "public_url": HERE, **wish})
    assert page.status_code == 422
    assert words in html.unescape(page.text)


async def test_a_form_that_is_not_ours_is_not_read(place: Place) -> None:
    async with place.served() as front, place.entered(front) as browser:
        page = await browser.post("/setup", data={**WISH, "name": "x" * 20_000})
    assert page.status_code == 413


async def test_a_browser_goes_on_after_a_restart(place: Place) -> None:
    async with place.served() as front, place.entered(front) as browser:
        back = await place.create(browser)
        cookies = browser.cookies
    async with place.served() as front, place.browser(front) as browser:
        browser.cookies = cookies
        assert (await browser.get(back)).status_code == 303
    async with place.served() as front, place.browser(front) as browser:
        assert (await browser.get(front.way_in)).status_code == 404
        browser.cookies = cookies
        assert "Waiting for the first delivery" in (await browser.get("/setup")).text


async def test_a_code_that_brings_nothing_is_told_and_set_up_begins_again(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    async with place.served() as front, place.entered(front) as browser:
        back = await place.create(browser)
        place.state.faults.append(Fault(path="/conversions", status=429, when="after"))
        page = await browser.get(back)
        assert (page.status_code, "answered 429" in page.text) == (502, True)
        assert (await browser.get(back)).status_code == 404
        assert not place.file.exists()
        assert (await browser.get(await place.create(browser))).status_code == 303
    assert parse_qs(urlsplit(back).query)["code"][0] not in "".join(capfd.readouterr())


async def test_deliveries_that_do_not_arrive_are_told(place: Place) -> None:
    async with place.served() as front, place.entered(front) as browser:
        await browser.get(await place.create(browser))
        place.state.hook.url = None
        async with place.github() as github:
            await github.post("https://github.com/apps/codex-review-riley/installations/new")
        assert "GitHub tried to deliver, and could not" in (await browser.get("/setup")).text
