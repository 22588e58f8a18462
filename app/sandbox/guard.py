"""The parent of one program: watches all that it starts, and ends it with the program.

Run as a script of its own, outside of any sandbox; it knows nothing of the rest of us. Its standard
input is a lifeline: at its end, as when the server was killed, the program ends too.
"""

import os
import resource
import select
import signal
import sys
from collections.abc import Iterator
from itertools import islice

TOO_MUCH_MEMORY, TOO_MANY_PROCESSES = signal.SIGUSR1, signal.SIGUSR2
"""What we end by ourselves, to say why we ended the program."""
LOOK_EVERY_S = 0.05

_PAGE = resource.getpagesize()
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


def main(
    limits: str, memory_bytes: int, processes: int, keeps_orphans: bool, argv: list[str]
) -> None:
    """Run a program under `limits`, and end as it ended; `keeps_orphans`: no namespace does."""
    if keeps_orphans:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    program = os.fork()
    if not program:
        _become(limits, argv, dies_with_us=keeps_orphans)
    status = _watch(program, memory_bytes, processes)
    _end_all()
    if status >= 0:
        os._exit(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)


def _become(limits: str, argv: list[str], *, dies_with_us: bool) -> None:
    """Set the limits, then become the program: nothing of it runs without them.

    A signal that Python ignores would stay ignored over exec, so those are restored.
    """
    if dies_with_us:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for limit in limits.split(","):
        which, soft, hard = map(int, limit.split(":"))
        highest = resource.getrlimit(which)[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(which, (soft, hard))
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    os.umask(0o077)
    environment = {"LANG": "C.UTF-8", "HOME": os.getcwd()}
    os.execve(argv[0], argv, environment)  # noqa: S606 - no shell is wanted


def _watch(program: int, memory_bytes: int, processes: int) -> int:
    """Wait for the end of a program; return its status, or as a negative number its signal."""
    ended = os.pidfd_open(program)
    while True:
        ready, _, _ = select.select([0, ended], [], [], LOOK_EVERY_S)
        if ended in ready:
            return os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        if ready:
            return -signal.SIGKILL
        pids = list(islice(_beneath(os.getpid()), processes + 1))
        if len(pids) > processes:
            return -TOO_MANY_PROCESSES
        if sum(map(_memory, pids)) > memory_bytes:
            return -TOO_MUCH_MEMORY


def _end_all() -> None:
    """End what is left, until there is none: what is ended can have started another before."""
    while True:
        for pid in _beneath(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _beneath(pid: int) -> Iterator[int]:
    """List what a process started, and all that those did: some without an end, as they go on."""
    parents = [pid]
    for parent in parents:
        for thread in _read(f"/proc/{parent}/task", is_folder=True):
            for child in map(int, _read(f"/proc/{parent}/task/{thread}/children")):
                yield child
                parents.append(child)


def _memory(pid: int) -> int:
    pages = _read(f"/proc/{pid}/statm")
    return int(pages[1]) * _PAGE if pages else 0


def _read(path: str, *, is_folder: bool = False) -> list[str]:
    """Return the words of a file or the names in a folder; none where its process is gone."""
    try:
        if is_folder:
            return os.listdir(path)
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    import ctypes  # takes as long to load as all the rest, and in a namespace is not needed

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "orphans", sys.argv[5:])
