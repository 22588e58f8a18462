"""The program's command line, run in this process; and a GitHub for it on a port."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from app.cli import run
from app.demo.github import create_app
from app.demo.serving import address, listen, serving
from app.demo.state import State

SETTINGS = (
    "APP_ID",
    "DEFAULT_CONFIG",
    "GITHUB_API_URL",
    "GITHUB_TOKEN",
    "MAX_CONCURRENT_MODEL_CALLS",
    "MODEL",
    "MODELS",
    "MODEL_API",
    "OPENAI_BASE_URL",
    "PRIVATE_KEY",
    "PRIVATE_KEY_PATH",
    "PROMPTS_DIR",
)
"""What the terminal reads of the environment."""


class Terminal:
    """Runs the program in this process with a standard input of our choice."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.folder = folder

    def run(self, *argv: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Return how it left, and what it wrote to stdout and stderr."""
        self._monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
        with pytest.raises(SystemExit) as left:
            run(argv)
        out, err = self._capsys.readouterr()
        return int(left.value.code or 0), out, err

    def review(self, diff: bytes, *argv: str) -> tuple[int, str, str]:
        return self.run("review", "--diff", "-", *argv, stdin=diff)


@contextmanager
def served(state: State) -> Iterator[str]:
    """Serve a stand-in for GitHub on a port, beside the program; yield its address."""
    listener = listen()
    state.api_url = address(listener)
    stop = threading.Event()

    async def serve() -> None:
        async with serving(create_app(state), listener):
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield state.api_url
    finally:
        stop.set()
        thread.join()
