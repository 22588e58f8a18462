"""The command line keeps its word: exit statuses, one receipt, words for every mistake."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.cli import exit_status, run
from app.demo.state import new_app
from app.review.priority import Priority
from app.review.receipt import State, decode_receipt
from tests.builders import added_files, make_receipt, make_receipt_finding
from tests.command_line import Terminal
from tests.conftest import CHECKOUT

CLEAN = added_files({"app.py": "x = 1\n"})
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
WITH_P0 = added_files({"settings.py": f'TOKEN = "{TOKEN}"\n'})
START = [sys.executable, "-c", "from app.cli import run; run()"]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MODEL",
        "OPENAI_BASE_URL",
        "MODEL_API",
        "PROMPTS_DIR",
        "MAX_CONCURRENT_MODEL_CALLS",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(capsys, monkeypatch, tmp_path)


def test_json_is_one_receipt_and_nothing_else(terminal: Terminal) -> None:
    status, out, err = terminal.review(WITH_P0, "--format", "json")
    receipt = decode_receipt(out)
    assert (status, err) == (1, "")
    assert out.endswith("}\n")
    assert out.count("\n") == 1
    assert receipt.state is State.CHECKED
    assert [finding.priority for finding in receipt.findings] == [Priority.P0]
    assert TOKEN not in out


def test_text_names_the_finding_and_says_that_no_model_looked(terminal: Terminal) -> None:
    status, out, _ = terminal.review(WITH_P0)
    assert status == 1
    assert out.startswith("settings.py:1: P0 security: ")
    assert "ANALYSERS ONLY: 1 finding (1 P0)" in out
    assert "no model was asked" in out
    assert TOKEN not in out


def test_a_diff_can_be_a_file(terminal: Terminal) -> None:
    (terminal.folder / "x.diff").write_bytes(WITH_P0)
    assert terminal.run("review", "--diff", "x.diff")[0] == 1


@pytest.mark.parametrize(
    ("fail_on", "status"),
    [("P0", 1), ("p0", 1), ("P3", 1), ("never", 3), ("NEVER", 3)],
)
def test_the_threshold_decides_about_findings(
    terminal: Terminal, fail_on: str, status: int
) -> None:
    assert terminal.review(WITH_P0, "--fail-on", fail_on)[0] == status


def test_without_a_model_nothing_is_green_unless_that_was_asked_for(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert terminal.review(CLEAN)[0] == 3
    monkeypatch.setenv("MODEL_API", "static")
    assert terminal.review(CLEAN)[0] == 0
    assert terminal.review(WITH_P0)[0] == 1


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.CLEAN, 0),
        (State.FINDINGS, 0),
        (State.PARTIAL, 3),
        (State.CHECKED, 3),
        (State.SKIPPED, 3),
        (State.OUT_OF_CREDIT, 3),
        (State.FAILED, 3),
        (State.CANCELLED, 3),
        (State.SUPERSEDED, 3),
    ],
)
def test_every_state_has_an_exit_status(state: State, status: int) -> None:
    below = make_receipt(make_receipt_finding(priority=Priority.P2), state=state)
    above = make_receipt(make_receipt_finding(priority=Priority.P1), state=state)
    assert exit_status(below, Priority.P1, is_static=False) == status
    assert exit_status(above, Priority.P1, is_static=False) == 1
    assert exit_status(above, None, is_static=False) == status
    as_static = 0 if state is State.CHECKED else status
    assert exit_status(below, Priority.P1, is_static=True) == as_static


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "Usage:"),
        (("reveiw",), "No such command 'reveiw'"),
        (("review",), "name one: --diff FILE (or -), or --base REVISION"),
        (("review", "--diff", "-", "--base", "main"), "name one"),
        (("review", "--diff", "none.diff"), "none.diff"),
        (("review", "--diff", "."), "directory"),
        (("review", "--diff", "-", "--focus", "securty"), "did you mean security?"),
        (("review", "--diff", "-", "--focus", "xyzzy"), "'xyzzy' is no focus area"),
        (("review", "--diff", "-", "--focus", ","), "name at least one focus area"),
        (("review", "--diff", "-", "--fail-on", "P4"), "P4"),
        (("review", "--diff", "-", "--format", "xml"), "xml"),
        (("review", "--base", "main"), "git says: fatal: not a git repository"),
        (("serve",), "APP_ID is not set: copy the App ID"),
        (("serve", "--port", "70000"), "70000"),
    ],
)
def test_a_mistake_is_told_and_leaves_with_2(
    terminal: Terminal, argv: tuple[str, ...], words: str
) -> None:
    status, out, err = terminal.run(*argv)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_half_a_model_is_a_mistake_too(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "gpt-x")
    status, out, err = terminal.review(CLEAN)
    assert (status, out) == (2, "")
    assert "OPENAI_BASE_URL is not set" in err


def test_areas_may_be_named_by_their_aliases(terminal: Terminal) -> None:
    _, out, _ = terminal.review(CLEAN, "--format", "json", "--focus", "deps, perf")
    areas = decode_receipt(out).coverage[0].areas
    not_asked = {area for area, state in areas.items() if state == "left out: not asked for"}
    assert not_asked == {"correctness", "security", "tests"}


NO_DIFFS = [b"", b"hello\n", b"\xff\xfe\x00", CLEAN[:-8], b"diff --git a/x\n"]


@pytest.mark.parametrize("diff", NO_DIFFS)
def test_what_is_no_diff_is_not_green(terminal: Terminal, diff: bytes) -> None:
    status, out, err = terminal.review(diff, "--format", "json")
    assert (status, err) == (3, "")
    assert decode_receipt(out).state in (State.SKIPPED, State.FAILED)


class Refusing(BaseHTTPRequestHandler):
    """A model server that knows nobody's key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        serving.join()


def test_a_model_that_does_not_answer_is_no_green_and_no_crash(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, refusing_server: str
) -> None:
    monkeypatch.setenv("MODEL", "gpt-x")
    monkeypatch.setenv("OPENAI_BASE_URL", refusing_server)
    monkeypatch.setenv("OPENAI_API_KEY", "hush-hush")
    status, out, err = terminal.review(CLEAN, "--format", "json")
    receipt = decode_receipt(out)
    assert (status, receipt.state) == (3, State.FAILED)
    assert receipt.reason == "denied by the model's server"
    assert "Traceback" not in err
    assert "hush-hush" not in out + err


class Crash:
    """A standard input that cannot be read."""

    buffer: "Crash"

    def __init__(self, error: BaseException) -> None:
        self.buffer, self._error = self, error

    def read(self, *_: int) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RuntimeError("boom"), 3, "something broke on our side"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_crash_is_3_and_an_interrupt_130(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    words: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", Crash(error))
    with pytest.raises(SystemExit) as left:
        run(("review", "--diff", "-"))
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (status, "")
    assert words in err
    assert not any(line.startswith("Traceback") for line in err.splitlines())


def start(*argv: str, **environment: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*START, *argv],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_help_is_quick_because_it_imports_little() -> None:
    code = "import sys, app.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"httpx", "starlette", "uvicorn", "cryptography", "msgspec", "unidiff", "rich", "yaml"}
    assert not heavy & set(loaded)
    assert {name for name in loaded if name.startswith("app.")} == {"app.cli", "app.errors"}


def test_an_interrupted_review_leaves_with_130(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("review", "--diff", str(pipe))
    with pipe.open("wb"):  # opens when the program does; what it waits for does not come
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def test_a_reader_that_goes_away_changes_nothing() -> None:
    process = start("review", "--diff", "-")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(WITH_P0, timeout=60)
    assert (process.returncode, err) == (1, b"")


def test_a_terminal_without_unicode_gets_all_it_can_show() -> None:
    diff = added_files({"日本.py": f'token = "{TOKEN}"\n'})
    text = start("review", "--diff", "-", PYTHONIOENCODING="latin-1")
    out, err = text.communicate(diff, timeout=60)
    assert (text.returncode, err) == (1, b"")
    assert out.startswith(b"\\u65e5\\u672c.py:1: P0")
    as_json = start("review", "--diff", "-", "--format", "json", PYTHONIOENCODING="latin-1")
    out, _ = as_json.communicate(diff, timeout=60)
    assert decode_receipt(out).findings[0].path == "日本.py"


@pytest.mark.parametrize("diff", [b"garbage\n", b"--- a/x\n+++ b/x\n@@ -1 +1,9999 @@\n-a\n+b\n"])
def test_a_diff_that_cannot_be_read_is_no_review_even_without_a_model(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, diff: bytes
) -> None:
    monkeypatch.setenv("MODEL_API", "static")
    status, out, _ = terminal.run("review", "--diff", "-", stdin=diff)
    assert status == 3
    assert "NOT REVIEWED" in out


def test_a_port_in_use_is_said_with_a_remedy(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = new_app("s")
    for name, value in {
        "APP_ID": "1",
        "PRIVATE_KEY": key,
        "WEBHOOK_SECRET": "s",
        "MODEL_API": "static",
        "DATABASE_URL": f"sqlite:///{terminal.folder}/x.db",
    }.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, _, err = terminal.run("serve", "--port", port)
    assert status == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in err
    assert "--port" in err
