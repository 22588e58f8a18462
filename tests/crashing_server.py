"""Our server as a process that kills itself at one effect: the child of `tests/test_restart.py`.

An effect is what the world sees or what a disk keeps: a request to GitHub or to the model, the
answer to a delivery, a commit. Each has a name, with a number for how often it came; every one that
is reached is written to the file `EFFECTS`, and at the one named `CRASH_AT` the process dies as of
a power cut. The rest of the environment is that of `serve`; `LISTENER` is the number of a listening
socket.
"""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bootstrap import running
from app.demo.serving import serving
from app.parts import SystemClock
from app.settings import read_settings

WRITES = re.compile(
    r"\s*(CREATE TABLE jobs|INSERT INTO spending(?=[\s\S]*'month/)"
    r"|(?:INSERT INTO|UPDATE) (?!coverage|spending)\w+)"
)
"""One statement of each transaction that may have any number, and what others write. What is
deleted is too old to matter to anybody; what is covered is kept with its receipt."""
LEASE = re.compile(r"UPDATE jobs SET lease_until")
"""A lease is renewed by the clock: no two runs do that at the same place."""


class Effects:
    """Counts effects, from any thread, and dies at the one that was named."""

    def __init__(self, file: Path, crash_at: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._crash_at = crash_at
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1
            name = f"{what} #{self._counts[what]}"
            os.write(self._file, f"{name}\n".encode())
            if name == self._crash_at:
                os.kill(os.getpid(), signal.SIGKILL)


class CountedRequests(httpx.AsyncBaseTransport):
    """Requests over the network; `after`: the effect stands, and nobody has read the answer."""

    def __init__(self, effects: Effects, whom: str) -> None:
        self._network = httpx.AsyncHTTPTransport()
        self._effects = effects
        self._whom = whom

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = re.sub(r"\b[0-9a-f]{40}\b|\b\d{6,}\b", "…", request.url.path)
        what = f"{self._whom} {request.method} {path}"
        self._effects.reach(f"before {what}")
        response = await self._network.handle_async_request(request)
        self._effects.reach(f"after {what}")
        return response

    async def aclose(self) -> None:
        await self._network.aclose()


class CountedAnswers:
    """The web part; each delivery's answer is an effect."""

    def __init__(self, effects: Effects, app: ASGIApp) -> None:
        self._effects = effects
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            self._effects.reach("before the answer to a delivery")
            await send(message)
            self._effects.reach("after the answer to a delivery")

        await self._app(scope, receive, counted)


class CountedCommits:
    """Listens to what SQLite is told; that a commit is over shows when the next one begins.

    Each statement of a commit counts by itself: which transactions share one is chance.
    """

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._written: list[str] = []
        self._committed: list[str] = []

    def hear(self, statement: str) -> None:
        for written in self._committed:
            self._effects.reach(f"after commit of {written}")
        self._committed = []
        if (found := WRITES.match(statement)) and not LEASE.match(" ".join(statement.split())):
            self._written.append(found[1])
        elif statement == "BEGIN IMMEDIATE":
            self._written = []
        elif statement == "COMMIT":
            self._committed = self._written
            for written in self._committed:
                self._effects.reach(f"before commit of {written}")


def watch_connections(effects: Effects) -> None:
    """Listen in on every connection to SQLite: `running` opens its own and hands none out."""
    connect = sqlite3.connect

    def watched(path: Path, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(path, **options)
        connection.set_trace_callback(CountedCommits(effects).hear)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment] # called in this one way only


async def main() -> None:
    effects = Effects(Path(os.environ["EFFECTS"]), os.environ.get("CRASH_AT", ""))
    watch_connections(effects)
    listener = socket.socket(fileno=int(os.environ["LISTENER"]))
    async with (
        httpx.AsyncClient(transport=CountedRequests(effects, "GitHub")) as github,
        httpx.AsyncClient(transport=CountedRequests(effects, "model")) as model,
        running(read_settings(os.environ), github, model, SystemClock()) as app,
        serving(CountedAnswers(effects, app), listener),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
