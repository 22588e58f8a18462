"""How bubblewrap is started, and what a program in it can no longer see or do."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.ports import Ended
from app.sandbox.bubblewrap import confine, find_bubblewrap
from app.sandbox.child import DEFAULT_LIMITS, LimitedChild, Limits
from app.sandbox.isolation import probe

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MB = 1 << 20


@pytest.fixture
async def bwrap() -> str:
    found = await probe(find_bubblewrap())
    if found.bwrap is None:
        pytest.skip(f"no bubblewrap here: {found.reason}")
    return found.bwrap


async def run_python(
    code: str,
    bwrap: str,
    limits: Limits = DEFAULT_LIMITS,
    files: Mapping[str, bytes] | None = None,
    *arguments: str,
) -> Ended:
    program = f"import os, sys, time, signal\n{code}\n".encode()
    argv = (sys.executable, "-I", "-S", "-B", "{files}/program.py", *arguments)
    return await LimitedChild(limits, bwrap=bwrap).run(
        argv, {"program.py": program, **(files or {})}
    )


def test_the_profile_lets_nothing_through_that_is_not_named() -> None:
    argv = confine("/bin/bwrap", ("/opt/tool", "-x", "/files/a"), Path("/tmp/base/files"))

    assert argv[0] == "/bin/bwrap"
    at = argv.index("--")
    assert argv[at + 1 :] == ["/opt/tool", "-x", "/files/a"]
    options = argv[1:at]
    for needed in ("--unshare-all", "--die-with-parent", "--new-session", "--disable-userns"):
        assert needed in options
    assert options[options.index("--cap-drop") + 1] == "ALL"
    assert options[-2:] == ["--remount-ro", "/"]
    assert not {"--bind", "--dev-bind", "--share-net", "--bind-try"} & set(options)
    bound = {options[i + 1] for i, o in enumerate(options) if o in ("--ro-bind", "--ro-bind-try")}
    assert "/opt/tool" in bound
    assert not bound & {
        "/",
        "/home",
        "/root",
        "/etc",
        "/tmp",
        "/var",
        os.getcwd(),
        str(Path.home()),
    }


async def test_a_program_runs_in_it_as_without(bwrap: str) -> None:
    code = (
        "print(open(sys.argv[1]).read()); print('err', file=sys.stderr)\n"
        "print(os.listdir('.'), repr(sys.stdin.read())); sys.exit(3)"
    )

    ended = await run_python(code, bwrap, DEFAULT_LIMITS, {"a/b": b"content"}, "{files}/a/b")

    assert ended == Ended(status=3, stdout=b"content\n[] ''\n", stderr=b"err\n")


async def test_no_environment_of_ours_is_to_be_seen(
    bwrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_KEY", "canary")
    code = (
        "import glob\n"
        "print(sorted(os.environ))\n"
        "print(*(open(p, 'rb').read() for p in glob.glob('/proc/[0-9]*/environ')))"
    )

    ended = await run_python(code, bwrap)

    assert ended.stdout.startswith(b"['HOME', 'LANG', ")
    assert b"canary" not in ended.stdout
    assert b"PATH" not in ended.stdout


async def test_no_file_of_ours_is_to_be_seen(bwrap: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("secret")
    code = "print([p for p in sys.argv[1:] if os.path.exists(p)], sorted(os.listdir('/')))"

    ended = await run_python(
        code, bwrap, DEFAULT_LIMITS, None, str(tmp_path / "key.pem"), "/etc/passwd", "/root/.ssh"
    )

    assert ended.stdout.startswith(b"[] ")
    assert b"'files'" in ended.stdout
    assert b"'home'" not in ended.stdout


async def test_nothing_can_be_written_anywhere(bwrap: str) -> None:
    code = (
        "for place in ('/', '/usr', '/files', '/empty', '/tmp', '.'):\n"
        "    try: os.mkdir(place + '/x'); print('wrote', place)\n"
        "    except OSError: pass"
    )

    assert await run_python(code, bwrap) == Ended(status=0, stdout=b"", stderr=b"")


async def test_there_is_no_network(bwrap: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        code = (
            "import socket\n"
            f"for place in (('127.0.0.1', {port}), ('192.0.2.1', 80)):\n"
            "    try: socket.create_connection(place, timeout=1); print('reached', place)\n"
            "    except OSError: print('no')"
        )

        ended = await run_python(code, bwrap)

    assert ended.stdout == b"no\nno\n"


async def test_no_other_process_is_to_be_seen_and_nobody_is_root(bwrap: str) -> None:
    code = (
        "import json\n"
        "pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]\n"
        "print(json.dumps([len(pids), os.getuid(), os.getgid()]))"
    )

    ended = await run_python(code, bwrap)

    assert json.loads(ended.stdout) == [2, 65534, 65534]


async def test_no_sandbox_can_be_made_within_it(bwrap: str) -> None:
    code = "import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))"

    assert (await run_python(code, bwrap)).stdout == b"-1\n"


MARK = "left-behind-by-a-test"


def is_left(mark: str) -> bool:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in place.read_bytes():
                return True
        except OSError:
            continue
    return False


async def test_a_daemon_is_gone_when_its_program_ends(bwrap: str) -> None:
    code = (
        "if not os.fork():\n    os.setsid(); os.close(1); os.close(2); time.sleep(60)\n"
        "time.sleep(0.1)"
    )
    began = time.monotonic()

    ended = await run_python(code, bwrap, DEFAULT_LIMITS, None, f"{MARK}-1")

    assert ended.status == 0
    assert time.monotonic() - began < 5
    assert not await is_left_soon(f"{MARK}-1")


async def test_a_program_that_hangs_is_gone_in_time_with_all_it_started(bwrap: str) -> None:
    code = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if not os.fork(): os.setsid()\n"
        "while True: time.sleep(1)"
    )
    began = time.monotonic()

    ended = await run_python(code, bwrap, Limits(wall_s=0.5), None, f"{MARK}-2")

    assert ended.problem == "ran longer than 0.5 s"
    assert time.monotonic() - began < 3
    assert not await is_left_soon(f"{MARK}-2")


async def is_left_soon(mark: str) -> bool:
    """Say whether a process is still there after the moment that the kernel takes to end it."""
    for _ in range(40):
        if not is_left(mark):
            return False
        await asyncio.sleep(0.05)
    return True


@pytest.mark.parametrize(
    ("code", "limits", "problem"),
    [
        ("while True: pass", Limits(cpu_s=1, wall_s=20), "was ended by SIGXCPU"),
        ("os.kill(os.getpid(), 11)", DEFAULT_LIMITS, "was ended by SIGSEGV"),
        (
            "while True: os.write(1, b'x' * 65536)",
            Limits(output_bytes=MB),
            "wrote more than 1,048,576 bytes",
        ),
    ],
)
async def test_limits_hold_in_it_too(code: str, limits: Limits, problem: str, bwrap: str) -> None:
    assert (await run_python(code, bwrap, limits)).problem == problem


async def test_memory_is_limited_in_it_too(bwrap: str) -> None:
    ended = await run_python(
        "x = bytearray(400 << 20); print('got it')", bwrap, Limits(memory_bytes=200 * MB)
    )

    assert b"MemoryError" in ended.stderr
    assert ended.stdout == b""


async def test_a_sandbox_that_cannot_be_made_is_a_problem(bwrap: str, tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: denied' >&2\nexit 1\n")
    refusing.chmod(0o700)

    ended = await LimitedChild(bwrap=str(refusing)).run(("/bin/true",), {})

    assert ended.problem == "could not be started in the sandbox"
    assert ended.status is None
