"""Finds out once how well programs can be kept apart on this machine, and starts them so."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app import log
from app.ports import Child, Ended
from app.sandbox.bubblewrap import USER, find_bubblewrap
from app.sandbox.child import DEFAULT_LIMITS, LimitedChild, Limits, sweep

LOOPBACK = ("127.0.0.1", 0)
PROBE_LIMITS = Limits(wall_s=5, cpu_s=2)

# Says what it can see or do of that which it must not, one thing a line, and then that it is done.
_PROBE = f"""
import os, socket, sys
if os.getuid() != {USER}:
    print("it runs as our user")
if os.path.exists(sys.argv[1]):
    print("it sees our files")
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        entries = open(f"/proc/{{pid}}/environ", "rb").read().split(b"\\0")
    except OSError:
        continue
    names = {{entry.partition(b"=")[0] for entry in entries}}
    if names - {{b"", b"HOME", b"LANG", b"LC_CTYPE", b"PWD"}}:
        print("it sees an environment")
        break
for place in ("/", "/usr"):
    if not os.statvfs(place).f_flag & os.ST_RDONLY:
        print("it may write to", place)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=1)
    print("it reaches the network")
except OSError:
    pass
print("done")
"""


class Kind(StrEnum):
    """What holds a program that reads a pull request's content."""

    BUBBLEWRAP = "bubblewrap"
    LIMITS = "limits only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What the probe found; `bwrap` is set where bubblewrap works, `reason` where it does not."""

    bwrap: str | None = None
    reason: str = ""

    @property
    def kind(self) -> Kind:
        return Kind.BUBBLEWRAP if self.bwrap else Kind.LIMITS

    def describe(self) -> str:
        """Say in a sentence what analysers run in, and what to do about it."""
        if self.bwrap:
            return "analysers run in bubblewrap: no network, no files or processes of this machine"
        return (
            "analysers run with limits only (time, memory, output), with an empty environment; "
            f"for more, let bubblewrap work here: {self.reason}"
        )


class Sandbox:
    """Starts children in bubblewrap where a probe says that it works, else with limits only.

    The probe runs before the first child, once. `bwrap` is bubblewrap's path, if there is one.
    """

    def __init__(self, bwrap: str | None) -> None:
        self._bwrap = bwrap
        self._found: asyncio.Future[Isolation] | None = None

    async def isolation(self) -> Isolation:
        """Return what holds the children."""
        if self._found is None:
            self._found = asyncio.ensure_future(self._find_out())
        return await asyncio.shield(self._found)

    async def _find_out(self) -> Isolation:
        await asyncio.to_thread(sweep)
        found = await probe(self._bwrap)
        log.event("sandbox.found", isolation=found.describe())
        return found

    def child(self, limits: Limits = DEFAULT_LIMITS) -> Child:
        """Return a child with these limits."""
        return _SandboxedChild(self, limits)


def find_sandbox() -> Sandbox:
    """Return the sandbox of this machine."""
    return Sandbox(find_bubblewrap())


async def probe(bwrap: str | None) -> Isolation:
    """Try whether a program in bubblewrap is kept from all that it must not reach."""
    if bwrap is None:
        return Isolation(reason="it is not installed")
    try:
        with tempfile.NamedTemporaryFile() as canary, socket.create_server(LOOPBACK) as door:
            port: int = door.getsockname()[1]
            ended = await _try_out(bwrap, canary.name, port)
    except OSError as exc:
        return Isolation(reason=f"it cannot be tried out: {exc.strerror}")
    said = ended.stdout.decode("utf-8", "replace").splitlines()
    if ended.problem is None and said == ["done"]:
        return Isolation(bwrap=bwrap)
    errors = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    reasons = [line for line in said if line != "done"] or [ended.problem or "", *errors[-1:]]
    return Isolation(reason=", ".join(filter(None, reasons)) or "its probe ended early")


async def _try_out(bwrap: str, canary: str, port: int) -> Ended:
    program = (sys.executable, "-I", "-S", "-B", "-c", _PROBE, canary, str(port))
    return await LimitedChild(PROBE_LIMITS, bwrap=bwrap).run(program, {})


class _SandboxedChild:
    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        found = await self._sandbox.isolation()
        return await LimitedChild(self._limits, bwrap=found.bwrap).run(argv, files)
