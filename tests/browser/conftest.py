"""Debian's Chromium, driven by Playwright, before what this machine serves on a port."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass(slots=True, kw_only=True)
class Tab:
    """A page of the browser, and what was seen beside it: requests, and complaints."""

    page: "Page"
    at: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> str:
        """Go to a page of ours; return its content security policy."""
        answer = await self.page.goto(f"{self.at}{path}")
        assert answer is not None
        policy: str = (await answer.all_headers()).get("content-security-policy", "")
        return policy

    def check(self) -> None:
        """Nothing was asked of another host, and nothing was refused by our own policy."""
        assert [url for url in self.requests if not url.startswith(self.at)] == []
        assert self.complaints == []


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def chromium(anyio_backend: str) -> "AsyncIterator[Browser]":
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.async_api", reason="no Playwright here: pip install '.[browser]'"
    )
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program)
        yield browser
        await browser.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are pytest's


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free port; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def tab(
    browser: "Browser",
    at: str,
    *,
    width: int = 1280,
    scheme: str = "light",
    has_script: bool = True,
    password: str = "",
) -> AsyncIterator[Tab]:
    """Open a tab that forgets all when it is closed."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=has_script,
        http_credentials={"username": "any", "password": password} if password else None,
    )
    opened = Tab(page=await context.new_page(), at=at)
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on(
        "console",
        lambda said: opened.complaints.append(said.text) if said.type == "error" else None,
    )
    try:
        yield opened
    finally:
        await context.close()
