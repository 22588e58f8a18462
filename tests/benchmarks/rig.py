"""What the measurements of the server share: the server as a process, its GitHub and its model on
ports of this one, a pull request of 25 files, and figures.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.demo.deliveries import sign
from app.demo.events import Event
from app.demo.github import create_app
from app.demo.records import PullRequest, Repository
from app.demo.serving import address, listen, serving
from app.demo.state import State, new_app
from tests.conftest import CHECKOUT
from tests.disk import rows
from tests.model_server import ModelServer, Question, Reply, Script, slow
from tests.world import answer, finding

SECRET = "a secret"
N_FILES, N_FUNCTIONS, EVERY_NTH = 25, 24, 4
SUFFIXES = (".py", ".py", ".ts", ".py", ".go")
PLANTED = "pkg/module_00.py"
PATIENCE_S = 600.0

SERVE = "from app.cli import run; run()"
WITHOUT_EXTRAS = "import sys; sys.modules['tree_sitter'] = None; "


class Measured:
    """A process under measurement, as the kernel counts it."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)

    def cpu_s(self) -> float:
        """Return its own processor time, user and system; its children have theirs."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def children_cpu_s(self) -> float:
        """Return the processor time of children that have ended."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise LookupError("this kernel tells no VmRSS")


@dataclass(slots=True, kw_only=True)
class Rig:
    """GitHub, a model and the folder in which our server will live."""

    folder: Path
    state: State
    private_key: str
    model: ModelServer
    model_url: str
    repository: Repository
    env: dict[str, str] = field(default_factory=dict)

    def open_pulls(self, count: int) -> list[PullRequest]:
        """Open pull requests of 25 files; the titles differ, so each asks questions of its own."""
        files = _files(changed=True)
        before = len(self.repository.pulls)
        return [
            self.state.open_pull_request(
                self.repository, files, title=f"Change {number}", branch=f"change-{number}"
            )
            for number in range(before, before + count)
        ]

    @asynccontextmanager
    async def server(
        self, url: str | None = None, *, extras: bool = False
    ) -> AsyncIterator[tuple[Measured, str]]:
        """Run `codex-review serve`; yield its process and the address of its hook.

        Without `extras` it is the plain installation, whatever else is installed here.
        """
        env = {
            "PATH": os.environ["PATH"],
            "APP_ID": str(self.state.app.id),
            "PRIVATE_KEY": self.private_key,
            "WEBHOOK_SECRET": SECRET,
            "GITHUB_API_URL": url or self.state.api_url,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "OPENAI_BASE_URL": self.model_url,
            "MODEL": "scripted",
            **self.env,
        }
        program = SERVE if extras else WITHOUT_EXTRAS + SERVE
        async with started(("-c", program, "serve", "--port"), env, self.folder) as (process, at):
            yield process, f"{at}/webhook"

    @property
    def database(self) -> Path:
        return self.folder / "codex-review.db"

    def jobs(self, where: str) -> int:
        return len(rows(self.database, f"SELECT 1 FROM jobs WHERE {where}"))  # noqa: S608 - ours


@asynccontextmanager
async def rig(script: Script) -> AsyncIterator[Rig]:
    """Set up GitHub with one repository, and a model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        app, private_key = new_app(SECRET)
        state = State(folder / "github", app)
        repository = state.create_repository("acme/shop", _files(changed=False))
        state.permit(repository, "riley", "write")
        model = ModelServer(script)
        async with (
            serving(create_app(state)) as state.api_url,
            serving(model.app) as model_url,
        ):
            yield Rig(
                folder=folder,
                state=state,
                private_key=private_key,
                model=model,
                model_url=f"{model_url}/v1",
                repository=repository,
            )


@asynccontextmanager
async def started(
    arguments: Sequence[str], env: Mapping[str, str], folder: Path
) -> AsyncIterator[tuple[Measured, str]]:
    """Run a Python program whose last argument is its port; yield it and its address."""
    with listen() as free:
        at = address(free)
    port = at.rpartition(":")[2]
    command = [sys.executable, *arguments, port]
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=env, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        await until(lambda: process.poll() is not None or _listens(int(port)))
        if process.poll() is not None:
            raise RuntimeError((folder / f"{port}.log").read_text()[-2_000:])
        yield Measured(process.pid), at
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


async def until(is_so: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about")
        await asyncio.sleep(0.02)


def signed(event: Event, guid: str | None = None) -> tuple[bytes, dict[str, str]]:
    """Write a delivery as GitHub does: its body and headers."""
    body = json.dumps(event.payload, separators=(",", ":")).encode()
    return body, {
        "Content-Type": "application/json",
        "X-GitHub-Delivery": guid or str(uuid.uuid4()),
        "X-GitHub-Event": event.name,
        "X-Hub-Signature-256": sign(SECRET, body),
    }


def finds_one(delay_s: float = 0.0) -> Script:
    """Report one true finding of the 25 files, after a while."""
    number, line = next(
        (number, line)
        for number, line in enumerate(_source(0, changed=True).splitlines(), start=1)
        if "changed" in line
    )
    place = {"path": PLANTED, "side": "RIGHT", "line_range": {"start": number, "end": number}}
    found = answer(finding(code_location=place, evidence_quote=line))

    def script(question: Question) -> Reply:
        shown = f"## File: {PLANTED}" in question.user and "# Focus: correctness" in question.user
        reply = found if shown else answer()
        return slow(delay_s, reply) if delay_s else reply

    return script


def _files(*, changed: bool) -> dict[str, str]:
    return {
        f"pkg/module_{number:02}{SUFFIXES[number % len(SUFFIXES)]}": _source(
            number, changed=changed
        )
        for number in range(N_FILES)
    }


def _source(number: int, *, changed: bool) -> str:
    """Write 24 functions; every fourth one is changed where `changed`."""
    return "\n\n".join(
        _function(number, n, changed=changed and n % EVERY_NTH == 0) for n in range(N_FUNCTIONS)
    )


def _function(number: int, n: int, *, changed: bool) -> str:
    name = f"handle_{number}_{n}"
    if SUFFIXES[number % len(SUFFIXES)] != ".py":
        middle = f"  const changed = fetch(request.path, {n});\n" if changed else ""
        return (
            f"function {name}(request) {{\n  const limit = {n};\n{middle}"
            f"  return respond(request, limit);\n}}\n"
        )
    middle = (
        f"    changed = total * {n + 1}\n    if changed > limit:\n        return limit\n"
        if changed
        else f"    if total > limit:\n        raise ValueError('more than {n}')\n"
    )
    return (
        f"def {name}(values, limit={n}):\n    total = sum(values)\n{middle}"
        f"    return total / (limit or 1)\n"
    )


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Ratios against their bounds, printed as they come."""

    broken: list[str] = field(default_factory=list)

    def hold(self, what: str, value: float, at_most: float, unit: str = "") -> None:
        """Print a figure beside its bound, and remember when it is over it."""
        is_over = value > at_most
        print(f"{what}: {value:.2f}{unit} (at most {at_most:g}{unit}){' BROKEN' * is_over}")
        if is_over:
            self.broken.append(what)

    def status(self) -> int:
        return int(bool(self.broken))
