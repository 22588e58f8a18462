"""Programs that misbehave, held by limits alone."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.ports import Ended
from app.sandbox.child import DEFAULT_LIMITS, LEFT_BEHIND_S, LimitedChild, Limits, sweep

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "children"
    place.mkdir()
    return place


async def run_python(
    code: str,
    folder: Path,
    limits: Limits = DEFAULT_LIMITS,
    files: Mapping[str, bytes] | None = None,
) -> Ended:
    """Run Python that has `os`, `sys`, `time` and `signal` at hand, and the files beside it."""
    program = f"import os, sys, time, signal\n{code}\n".encode()
    argv = (sys.executable, "-I", "-S", "-B", "{files}/program.py", "{files}")
    return await LimitedChild(limits, folder=folder).run(
        argv, {"program.py": program, **(files or {})}
    )


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_empty(folder: Path) -> bool:
    return not os.listdir(folder)


async def first_name(folder: Path) -> str:
    while not (names := os.listdir(folder)):  # noqa: ASYNC110 - another process writes there
        await asyncio.sleep(0.01)
    return names[0]


async def test_status_and_both_streams_come_back_apart(folder: Path) -> None:
    ended = await run_python("print('out'); print('err', file=sys.stderr); sys.exit(3)", folder)

    assert ended == Ended(status=3, stdout=b"out\n", stderr=b"err\n")


async def test_the_files_are_where_the_placeholder_says(folder: Path) -> None:
    code = "print(open(sys.argv[1] + '/a/0001.py').read())"

    ended = await run_python(code, folder, files={"a/0001.py": b"content"})

    assert ended.stdout == b"content\n"


async def test_the_working_folder_is_empty_and_holds_none_of_the_files(folder: Path) -> None:
    ended = await run_python("print(os.listdir('.'))", folder, files={"ruff.toml": b""})

    assert ended.stdout == b"[]\n"


async def test_our_environment_is_not_the_programs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_KEY", "canary")

    ended = await run_python(
        "print(dict(os.environ)); print(open('/proc/self/environ').read())", folder
    )

    assert ended.status == 0
    assert b"canary" not in ended.stdout
    assert b"PATH" not in ended.stdout


async def test_input_is_empty_and_only_three_descriptors_are_open(folder: Path) -> None:
    held = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        ended = await run_python(
            "print(repr(sys.stdin.read()), len(os.listdir('/proc/self/fd')))", folder
        )
    finally:
        os.close(held)

    assert ended.stdout == b"'' 4\n", "the fourth is the listing's own"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/x.py",
        "../x.py",
        "a/../../x.py",
        "./x.py",
        "a//x.py",
        "",
        "a/",
        "-rf.py",
        "a/-rf.py",
        "a\nb.py",
        "a\0b.py",
        "a\\b.py",
        "a\u202eb.py",
        "x" * 300,
    ],
)
async def test_a_name_that_is_not_safe_is_refused_before_anything_is_written(
    name: str, folder: Path
) -> None:
    with pytest.raises(ValueError, match="safe name"):
        await LimitedChild(folder=folder).run(("/bin/true",), {name: b""})

    assert is_empty(folder)


@pytest.mark.parametrize("argv", [(), ("ruff",), ("./ruff",), ("/bin/true", "a\0b")])
async def test_an_argument_list_that_is_not_safe_is_refused(
    argv: tuple[str, ...], folder: Path
) -> None:
    with pytest.raises(ValueError, match=r"absolute|NUL"):
        await LimitedChild(folder=folder).run(argv, {})


async def test_a_program_that_is_not_there_is_a_problem(folder: Path) -> None:
    ended = await LimitedChild(folder=folder).run(("/no/such/program",), {})

    assert ended == Ended(
        status=None, stdout=b"", stderr=b"", problem="could not be started: no such program"
    )


async def test_a_file_inside_of_a_file_is_a_problem(folder: Path) -> None:
    ended = await LimitedChild(folder=folder).run(("/bin/true",), {"a": b"", "a/b": b""})

    assert ended.status is None
    assert ended.problem is not None
    assert ended.problem.startswith("could not be started")


async def test_a_program_that_hangs_and_ignores_sigterm_is_gone_in_time(folder: Path) -> None:
    code = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)\n"
        "while True: time.sleep(1)"
    )
    began = time.monotonic()

    ended = await run_python(code, folder, Limits(wall_s=0.5))

    assert time.monotonic() - began < 2
    assert ended.problem == "ran longer than 0.5 s"
    assert ended.status is None
    assert not is_alive(int(ended.stdout))


async def test_children_that_a_program_leaves_behind_are_gone(folder: Path) -> None:
    code = (
        "pids = [os.fork() for _ in range(3)]\n"
        "if 0 in pids: os.close(1); os.close(2); time.sleep(60)\n"
        "print(*pids)"
    )

    ended = await run_python(code, folder)

    assert ended.status == 0
    pids = [int(pid) for pid in ended.stdout.split()]
    assert len(pids) == 3
    await asyncio.sleep(0.05)
    assert not any(is_alive(pid) for pid in pids)


async def test_a_daemon_that_keeps_our_pipe_open_does_not_keep_us(folder: Path) -> None:
    code = (
        "if not os.fork():\n    os.setsid(); print(os.getpid(), flush=True); time.sleep(60)\n"
        "time.sleep(0.2)\nos._exit(0)"
    )

    ended = await run_python(code, folder)

    assert ended.status == 0
    assert not is_alive(int(ended.stdout))


async def test_a_daemon_ends_with_the_program_and_another_programs_child_does_not(
    folder: Path,
) -> None:
    daemon = "if not os.fork():\n    os.setsid(); print(os.getpid(), flush=True)\n"
    daemon += "    os.execve('/bin/sh', ['sh', '-c', 'exec >&- 2>&-; sleep 60'], {'HOME': '/'})\n"
    other = asyncio.create_task(run_python("time.sleep(1)\nprint('whole')", folder))
    await first_name(folder)

    ended = await run_python(daemon + "time.sleep(0.1)", folder)

    await asyncio.sleep(0.05)
    assert not is_alive(int(ended.stdout))
    assert (await other).stdout == b"whole\n"


async def test_a_flood_is_stopped_at_the_first_byte_over_the_limit(folder: Path) -> None:
    began = time.monotonic()

    ended = await run_python(
        "while True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)",
        folder,
        Limits(output_bytes=MB, wall_s=20),
    )

    assert ended.problem == "wrote more than 1,048,576 bytes"
    assert len(ended.stdout) + len(ended.stderr) == MB
    assert time.monotonic() - began < 2


async def test_output_of_just_the_limit_is_allowed(folder: Path) -> None:
    ended = await run_python("os.write(1, b'x' * 1000)", folder, Limits(output_bytes=1000))

    assert ended == Ended(status=0, stdout=b"x" * 1000, stderr=b"")


async def test_memory_is_limited(folder: Path) -> None:
    ended = await run_python(
        "x = bytearray(400 << 20); print('got it')", folder, Limits(memory_bytes=200 * MB)
    )

    assert b"MemoryError" in ended.stderr
    assert ended.stdout == b""


async def test_processor_time_is_limited(folder: Path) -> None:
    ended = await run_python("while True: pass", folder, Limits(cpu_s=1, wall_s=20))

    assert ended.problem == "was ended by SIGXCPU"


async def test_nothing_can_be_written_into_any_file(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"

    ended = await run_python(
        f"os.write(os.open({str(target)!r}, os.O_CREAT | os.O_WRONLY), b'x')", folder
    )

    assert ended.status == 1
    assert b"File too large" in ended.stderr
    assert target.read_bytes() == b""


async def test_open_files_are_limited_and_no_core_is_left(folder: Path) -> None:
    code = (
        "import resource as r\n"
        "print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE))\n"
        "print(r.getrlimit(r.RLIMIT_NPROC))"
    )

    ended = await run_python(code, folder, Limits(open_files=32, tasks=99))

    assert ended.stdout == b"(32, 32) (0, 0)\n(99, 99)\n"


async def test_memory_of_all_processes_together_is_limited(folder: Path) -> None:
    code = "os.fork(); os.fork(); x = bytearray(100 << 20); time.sleep(30)"

    ended = await run_python(code, folder, Limits(memory_bytes=200 * MB))

    assert ended.problem == "used more than 200 MB of memory"


async def test_processes_are_counted_those_of_root_too(folder: Path) -> None:
    code = "for _ in range(3): os.fork()\ntime.sleep(30)"

    ended = await run_python(code, folder, Limits(processes=7))

    assert ended.problem == "ran more than 7 processes at once"


async def test_processes_that_go_on_starting_others_are_ended(folder: Path) -> None:
    began = time.monotonic()

    ended = await run_python("while not os.fork(): pass\ntime.sleep(99)", folder)

    assert ended.problem == "ran more than 64 processes at once"
    assert time.monotonic() - began < 5


async def test_a_program_ends_with_the_one_that_started_it(folder: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    child = f"import os, time\nos.chdir({str(pids)!r})\nos.mkdir(str(os.getpid()))\ntime.sleep(60)"
    server = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from app.sandbox.child import LimitedChild\n"
        f"child = LimitedChild(folder=Path({str(folder)!r}))\n"
        f"asyncio.run(child.run((sys.executable, '-c', {child!r}), {{}}))"
    )
    started = await asyncio.create_subprocess_exec(sys.executable, "-c", server)
    pid = await first_name(pids)

    started.kill()
    await started.wait()

    await asyncio.sleep(0.3)
    assert not is_alive(int(pid))


async def test_tasks_are_limited(folder: Path) -> None:
    # The kernel does not bind root to this limit, so root's program first becomes nobody.
    code = "os.geteuid() or os.setuid(65534); os.fork()"

    ended = await run_python(code, folder, Limits(tasks=1))

    assert b"BlockingIOError" in ended.stderr


@pytest.mark.parametrize("code", ["", "os.kill(os.getpid(), 9)", "time.sleep(60)"])
async def test_the_folder_is_gone_however_it_ended(code: str, folder: Path) -> None:
    await run_python(code, folder, Limits(wall_s=0.3), files={"a/b.py": b"x"})

    assert is_empty(folder)


async def test_being_cancelled_ends_the_program_and_removes_the_folder(
    folder: Path, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    started.mkdir()
    code = f"os.mkdir({str(started)!r} + f'/{{os.getpid()}}'); time.sleep(60)"
    task = asyncio.create_task(run_python(code, folder, Limits(wall_s=30)))
    pid = await first_name(started)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not is_alive(int(pid))
    assert is_empty(folder)


async def test_many_children_run_side_by_side(folder: Path) -> None:
    endings = await asyncio.gather(*(run_python(f"print({n})", folder) for n in range(8)))

    assert [ended.stdout for ended in endings] == [b"%d\n" % n for n in range(8)]


async def test_what_a_killed_server_left_is_swept_and_nothing_else(folder: Path) -> None:
    old = time.time() - LEFT_BEHIND_S - 1
    for name in ("codex-review-old", "other", "codex-review-new"):
        (folder / name / "files").mkdir(parents=True)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "codex-review-link").symlink_to(elsewhere)
    for name in ("codex-review-old", "other", "codex-review-link"):
        os.utime(folder / name, (old, old), follow_symlinks=False)

    sweep(folder)

    assert sorted(os.listdir(folder)) == ["codex-review-link", "codex-review-new", "other"]
    assert elsewhere.exists()
