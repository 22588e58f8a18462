"""The one place that starts a program on a pull request's content.

Knows how to keep a program short, small and without our environment. Knows nothing about what the
program does, nor about the pull request: the names of the files are the caller's own.
"""

import asyncio
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.ports import Ended
from app.sandbox.bubblewrap import FILES_INSIDE, confine

FILES = "{files}"
"""Stands in an argument for the folder that holds the files."""

_ENVIRONMENT = {"LANG": "C.UTF-8"}
_MAX_NAME = 200
_MB = 1 << 20
_BWRAP_SPEAKS = b"bwrap: "
_ENDED_BY_SIGNAL = 128
"""Bubblewrap ends with this and the signal's number, where its program was ended by a signal."""
_SIGNALS = signal.valid_signals()
_ROUNDS = 20
"""What is ended can have started another before."""

# Sets the limits, then becomes the program: nothing of the program runs without them, and unlike
# `preexec_fn` this is safe beside threads. A signal that Python ignores would stay ignored over
# exec, so those are restored.
_LAUNCHER = """
import os, resource, signal, sys
for limit in sys.argv[1].split(","):
    which, soft, hard = map(int, limit.split(":"))
    highest = resource.getrlimit(which)[1]
    if highest != resource.RLIM_INFINITY:
        soft, hard = min(soft, highest), min(hard, highest)
    resource.setrlimit(which, (soft, hard))
for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(ignored, signal.SIG_DFL)
os.umask(0o077)
os.execve(sys.argv[2], sys.argv[2:], {"LANG": "C.UTF-8", "HOME": os.getcwd()})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use; time and output are those of the whole group of processes.

    `cpu_s` and `memory_bytes` (address space) hold for each process. `file_bytes` is the most that
    it may write into one file, wherever that is; pipes are free. `processes` counts everything
    that our user runs, threads too, and does not bind root.
    """

    wall_s: float = 10
    cpu_s: int = 10
    memory_bytes: int = 2048 * _MB
    output_bytes: int = 8 * _MB
    file_bytes: int = 0
    open_files: int = 256
    processes: int = 1024


DEFAULT_LIMITS = Limits()


class LimitedChild:
    """A Child that is held by limits, and kept apart by bubblewrap where `bwrap` names one.

    By limits alone, it can see the file system and the network, and what it starts ends with it
    only as long as that leaves its environment as it is.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        folder: Path | None = None,
        bwrap: str | None = None,
    ) -> None:
        self._limits = limits
        self._folder = folder
        self._bwrap = bwrap

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        """Run a program in an empty folder; `{files}` in its arguments is where the files are.

        Its environment holds a LANG and a HOME, that folder: some programs end without one.

        `argv[0]` is an absolute path. A program that could not be started, or that a limit or a
        signal ended, has a `problem`. Raises ValueError for names or arguments that are not safe.
        """
        _check_arguments(argv)
        for name in files:
            _check_name(name)
        if not os.access(argv[0], os.X_OK):
            return _stopped("could not be started: no such program")
        try:
            base = Path(tempfile.mkdtemp(prefix="codex-review-", dir=self._folder))
        except OSError as exc:
            return _not_started(exc)
        try:
            _write_files(base / "files", files)
            (base / "empty").mkdir()
            return await self._run(self._placed(argv, base / "files"), base / "empty")
        except OSError as exc:
            return _not_started(exc)
        finally:
            await asyncio.to_thread(shutil.rmtree, base, ignore_errors=True)

    def _placed(self, argv: Sequence[str], files: Path) -> list[str]:
        where = FILES_INSIDE if self._bwrap else str(files)
        placed = [argument.replace(FILES, where) for argument in argv]
        return confine(self._bwrap, placed, files) if self._bwrap else placed

    async def _run(self, argv: Sequence[str], cwd: Path) -> Ended:
        budget = _Budget(self._limits.output_bytes)
        async with _reading(budget) as (out, out_end), _reading(budget) as (err, err_end):
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", "-B", "-c", _LAUNCHER),
                    _rlimits(self._limits),
                    *argv,
                    cwd=cwd,
                    env=_ENVIRONMENT,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out_end,
                    stderr=err_end,
                    close_fds=True,
                    start_new_session=True,
                )
            finally:
                os.close(out_end)
                os.close(err_end)
            try:
                problem = await self._watch(process, out, err)
            finally:
                if not self._bwrap:  # whose own processes all end with it
                    _kill_daemons(cwd)
        stdout, stderr = bytes(out.data), bytes(err.data)
        problem = problem or self._problem(process.returncode, stderr)
        status = process.returncode if problem is None else None
        return Ended(status=status, stdout=stdout, stderr=stderr, problem=problem)

    def _problem(self, status: int | None, stderr: bytes) -> str | None:
        """Tell an end that was not the program's own from its status."""
        if status is None:
            return None
        if self._bwrap and status == 1 and stderr.startswith(_BWRAP_SPEAKS):
            return "could not be started in the sandbox"
        number = status - _ENDED_BY_SIGNAL if self._bwrap else -status
        if number in _SIGNALS:
            return f"was ended by {signal.Signals(number).name}"
        return None

    async def _watch(
        self, process: asyncio.subprocess.Process, out: "_Stream", err: "_Stream"
    ) -> str | None:
        """Wait for the program and its output to end; say why we ended it, if we did.

        Nothing of its group is left afterwards, also when this is cancelled.
        """
        try:
            async with asyncio.timeout(self._limits.wall_s):
                await asyncio.gather(process.wait(), out.ended, err.ended)
        except TimeoutError:
            return f"ran longer than {self._limits.wall_s:g} s"
        except _TooMuch:
            return f"wrote more than {self._limits.output_bytes:,} bytes"
        finally:
            await _kill(process)
        return None


class _TooMuch(Exception):
    """The output is larger than its limit."""


class _Budget:
    """How much may still be written, on all streams of one program together."""

    def __init__(self, left: int) -> None:
        self.left = left


class _Stream(asyncio.Protocol):
    """What arrived on one pipe. `ended` is done at its end, or raises _TooMuch."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.data = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data[: max(0, self._budget.left)]
        self._budget.left -= len(data)
        if self._budget.left < 0 and not self.ended.done():
            self.ended.set_exception(_TooMuch())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


@asynccontextmanager
async def _reading(budget: _Budget) -> AsyncIterator[tuple[_Stream, int]]:
    """Open a pipe and read it; the second value is the end to write to, which the caller closes.

    Ours rather than asyncio's, because ours can be closed while a process still holds it.
    """
    read_end, write_end = os.pipe()
    transport, stream = await asyncio.get_running_loop().connect_read_pipe(
        lambda: _Stream(budget), os.fdopen(read_end, "rb", buffering=0)
    )
    try:
        yield stream, write_end
    finally:
        transport.close()


def _check_arguments(argv: Sequence[str]) -> None:
    if not argv or not os.path.isabs(argv[0]):
        raise ValueError("a program is named by its absolute path")
    if any("\0" in argument for argument in argv):
        raise ValueError("an argument holds a NUL")


def _check_name(name: str) -> None:
    """Refuse a name that leads out of the folder or that a program could take for an option."""
    is_plain = len(name) <= _MAX_NAME and name.isascii() and name.isprintable()
    parts = name.split("/")
    leads_astray = any(part in ("", ".", "..") or part.startswith("-") for part in parts)
    if not is_plain or "\\" in name or leads_astray:
        raise ValueError(f"no safe name for a file: {name[:_MAX_NAME]!r}")


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)


def _rlimits(limits: Limits) -> str:
    """Write the limits down for the launcher: `which:soft:hard`, comma separated."""
    pairs = (
        # One second between the signal that names the reason and the one that cannot be ignored.
        (resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1),
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes, limits.processes),
        (resource.RLIMIT_CORE, 0, 0),
    )
    return ",".join(f"{which}:{soft}:{hard}" for which, soft, hard in pairs)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End the whole group, also what the program left behind it, and reap the program."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _kill_daemons(home: Path) -> None:
    """End what left the group (`setsid`) and still has the HOME that only its program was given."""
    mark = b"HOME=" + os.fsencode(home)
    for _ in range(_ROUNDS):
        if not sum(_kill_marked(int(place.name), mark) for place in Path("/proc").glob("[0-9]*")):
            return


def _kill_marked(pid: int, mark: bytes) -> bool:
    try:
        descriptor = os.pidfd_open(pid)  # first, so that it is this process that is asked and ended
    except OSError:
        return False
    try:
        if mark not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _not_started(exc: OSError) -> Ended:
    return _stopped(f"could not be started: {exc.strerror or type(exc).__name__}")


def _stopped(problem: str) -> Ended:
    return Ended(status=None, stdout=b"", stderr=b"", problem=problem)
