"""The one place that starts a program on a pull request's content.

Knows how to keep a program short, small and without our environment. Knows nothing about what the
program does, nor about the pull request: the names of the files are the caller's own.
"""

import asyncio
import os
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app import log
from app.ports import Ended
from app.sandbox import guard
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
_PREFIX = "codex-review-"
LEFT_BEHIND_S = 600.0
"""No program runs so long: whoever made a folder that is older was killed."""
_GUARD = str(Path(guard.__file__))
_PATIENCE_S = 2.0
"""How long the guard may take to end everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use, with all that it starts; `cpu_s` holds for each process.

    `memory_bytes` bounds the address space of each process at once, and the memory of all together
    within the moment in which the guard looks. So does `processes`; `tasks` bounds at once what our
    user runs, threads too, but not root. `file_bytes` is the most that it may write into one file,
    wherever that is; pipes are free.
    """

    wall_s: float = 10
    cpu_s: int = 10
    memory_bytes: int = 2048 * _MB
    output_bytes: int = 8 * _MB
    file_bytes: int = 0
    open_files: int = 256
    processes: int = 64
    tasks: int = 1024


DEFAULT_LIMITS = Limits()


class LimitedChild:
    """A Child that is held by limits, and kept apart by bubblewrap where `bwrap` names one.

    By limits alone, it can see the file system and the network.
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
            base = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._folder))
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
                    *(sys.executable, "-I", "-S", "-B", _GUARD, _rlimits(self._limits)),
                    *(str(self._limits.memory_bytes), str(self._limits.processes)),
                    "" if self._bwrap else "orphans",
                    *argv,
                    cwd=cwd,
                    env=_ENVIRONMENT,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=out_end,
                    stderr=err_end,
                    close_fds=True,
                    start_new_session=True,
                )
            finally:
                os.close(out_end)
                os.close(err_end)
            problem = await self._watch(process, out, err)
        stdout, stderr = bytes(out.data), bytes(err.data)
        problem = problem or self._problem(process.returncode, stderr)
        status = process.returncode if problem is None else None
        return Ended(status=status, stdout=stdout, stderr=stderr, problem=problem)

    def _problem(self, status: int | None, stderr: bytes) -> str | None:
        """Tell an end that was not the program's own from its status."""
        if status is None:
            return None
        if status == -guard.TOO_MUCH_MEMORY:
            return f"used more than {self._limits.memory_bytes // _MB:,} MB of memory"
        if status == -guard.TOO_MANY_PROCESSES:
            return f"ran more than {self._limits.processes} processes at once"
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
            await _end(process)
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


def sweep(folder: Path | None = None) -> None:
    """Remove the folders that a killed server left behind; those of other users are not ours."""
    before = time.time() - LEFT_BEHIND_S
    for place in (folder or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = place.lstat()
            if (
                stat.S_ISDIR(status.st_mode)
                and status.st_uid == os.geteuid()
                and status.st_mtime < before
            ):
                shutil.rmtree(place, ignore_errors=True)


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
        (resource.RLIMIT_NPROC, limits.tasks, limits.tasks),
        (resource.RLIMIT_CORE, 0, 0),
    )
    return ",".join(f"{which}:{soft}:{hard}" for which, soft, hard in pairs)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Have the guard end all that the program started, and reap it; else end its group."""
    if process.stdin:
        process.stdin.close()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        log.warning("child.guard_stuck")
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _not_started(exc: OSError) -> Ended:
    return _stopped(f"could not be started: {exc.strerror or type(exc).__name__}")


def _stopped(problem: str) -> Ended:
    return Ended(status=None, stdout=b"", stderr=b"", problem=problem)
