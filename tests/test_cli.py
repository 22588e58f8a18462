"""The command line keeps its word: exit statuses, one receipt, words for every mistake."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import pytest

from app.cli import exit_status, run
from app.demo.faults import Fault
from app.demo.records import CheckRun, PullRequest
from app.demo.state import AppIdentity, State, new_app
from app.review.priority import Priority
from app.review.receipt import State as Verdict
from app.review.receipt import decode_receipt
from app.store.database import open_database
from tests.builders import added_files, make_receipt, make_receipt_finding
from tests.command_line import SETTINGS, Terminal, served
from tests.conftest import CHECKOUT

CLEAN = added_files({"app.py": "x = 1\n"})
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
WITH_P0 = added_files({"settings.py": f'TOKEN = "{TOKEN}"\n'})
URL = "https://github.com/acme/shop/pull/1"
START = [sys.executable, "-c", "from app.cli import run; run()"]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """What configures the log is a process of its own, but here."""
    logger = logging.getLogger("codex_review")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


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
    assert receipt.state is Verdict.CHECKED
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
        (Verdict.CLEAN, 0),
        (Verdict.FINDINGS, 0),
        (Verdict.PARTIAL, 3),
        (Verdict.CHECKED, 3),
        (Verdict.SKIPPED, 3),
        (Verdict.OUT_OF_CREDIT, 3),
        (Verdict.FAILED, 3),
        (Verdict.CANCELLED, 3),
        (Verdict.SUPERSEDED, 3),
    ],
)
def test_every_state_has_an_exit_status(state: Verdict, status: int) -> None:
    below = make_receipt(make_receipt_finding(priority=Priority.P2), state=state)
    above = make_receipt(make_receipt_finding(priority=Priority.P1), state=state)
    assert exit_status(below, Priority.P1, is_static=False) == status
    assert exit_status(above, Priority.P1, is_static=False) == 1
    assert exit_status(above, None, is_static=False) == status
    as_static = 0 if state is Verdict.CHECKED else status
    assert exit_status(below, Priority.P1, is_static=True) == as_static


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "Usage:"),
        (("reveiw",), "No such command 'reveiw'"),
        (("review",), "name one: PULL_REQUEST_URL, --diff FILE (or -), --base REVISION"),
        (("review", URL, "--diff", "-"), "name one"),
        (("review", URL, "--repo", "."), "--repo goes with --diff or --base"),
        (("review", URL, "--post"), "--post needs APP_ID with PRIVATE_KEY, or GITHUB_TOKEN"),
        (("review", URL, "--post", "--dry-run"), "nothing else happens"),
        (("review", "--diff", "-", "--post"), "--post needs a PULL_REQUEST_URL"),
        (("review", "--diff", "-", "--show-prompts", "--format", "json"), "print text"),
        (("review", "--diff", "-", "--repo", "none"), "Directory 'none' does not exist"),
        (("review", "pull/1"), "pull/1 is not at https://github.com"),
        (("review", "https://github.com.e.vil/a/b/pull/1"), "is not at https://github.com"),
        (("review", "https://github.com/a/b/issues/1"), "is no pull request: give"),
        (("review", "https://github.com/a/b/runs/1"), "is a check run: give its pull request"),
        (("verdict",), "Missing argument 'URL|FILE'"),
        (("verdict", "none.json"), "none.json cannot be read"),
        (("verdict", "https://e.vil/a/b/pull/1"), "is not at https://github.com"),
        (("review", "--diff", "-", "--base", "main"), "name one"),
        (("review", "--diff", "none.diff"), "none.diff"),
        (("review", "--diff", "."), "directory"),
        (("review", "--diff", "-", "--focus", "securty"), "did you mean security?"),
        (("review", "--diff", "-", "--focus", "xyzzy"), "'xyzzy' is no focus area"),
        (("review", "--diff", "-", "--focus", ","), "name at least one focus area"),
        (("review", "--diff", "-", "--fail-on", "P4"), "P4"),
        (("review", "--diff", "-", "--format", "xml"), "xml"),
        (("review", "--base", "main"), "git says: fatal: not a git repository"),
        (("serve",), "OPENAI_BASE_URL is not set: give the model server's"),
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
    assert decode_receipt(out).state in (Verdict.SKIPPED, Verdict.FAILED)


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
    assert (status, receipt.state) == (3, Verdict.FAILED)
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
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            # CPython loses an interrupt that comes while an import gives a lock back ("Exception
            # ignored in _get_module_lock.<locals>.cb"): then a person presses again.
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            told, _, err = err.partition(b"KeyboardInterrupt")
            assert b"_get_module_lock" in told
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


@pytest.mark.slow
def test_a_reader_that_goes_away_changes_nothing() -> None:
    process = start("review", "--diff", "-")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(WITH_P0, timeout=60)
    assert (process.returncode, err) == (1, b"")


@pytest.mark.slow
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


SHELL = "import subprocess\n\n\ndef go(name):\n    subprocess.run(name, shell=True)\n"
SECRET = f'TOKEN = "{TOKEN}"\n'


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A GitHub on a port with one pull request that adds a secret."""

    state: State
    private_key: str
    pull: PullRequest

    @property
    def url(self) -> str:
        return f"{self.state.api_url}/acme/shop/pull/1"

    @property
    def checks(self) -> list[CheckRun]:
        return list(self.state.check_runs.values())

    @property
    def reviews(self) -> list[tuple[str, str]]:
        return [(review.author, review.state) for review in self.state.reviews.values()]

    @property
    def asked_for(self) -> list[object]:
        """The permissions of each token that was asked for."""
        tokens = (r.json() for r in self.state.requests if r.path.endswith("/access_tokens"))
        return [token["permissions"] for token in tokens if isinstance(token, dict)]

    @property
    def writes(self) -> list[str]:
        return [r.path for r in self.state.requests if r.method != "GET"]


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def hub(
    tmp_path: Path, identity: tuple[AppIdentity, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    app, private_key = identity
    state = State(tmp_path / "github", app)
    repository = state.create_repository("acme/shop", {"a.py": "x = 1\n"})
    pull = state.open_pull_request(repository, {"settings.py": SECRET}, title="Sell more")
    with served(state) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        yield Hub(state=state, private_key=private_key, pull=pull)


@pytest.fixture
def as_app(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ID", str(hub.state.app.id))
    monkeypatch.setenv("PRIVATE_KEY", hub.private_key)


@pytest.fixture
def as_riley(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", hub.state.personal_token("riley"))


def test_a_public_pull_request_is_reviewed_by_anybody_and_nothing_is_posted(
    terminal: Terminal, hub: Hub
) -> None:
    status, out, err = terminal.run("review", hub.url, "--format", "json")
    receipt = decode_receipt(out)
    assert (status, err) == (1, "")
    assert (receipt.state, receipt.head_sha) == (Verdict.CHECKED, hub.pull.head_sha)
    assert (receipt.fail_on, receipt.conclusion) == ("P1", "failure")
    assert [finding.path for finding in receipt.findings] == ["settings.py"]
    assert hub.writes == []
    assert terminal.run("review", hub.url, "--fail-on", "never")[0] == 3


@pytest.mark.usefixtures("as_app")
def test_the_app_posts_review_and_check_run_as_the_server_would(
    terminal: Terminal, hub: Hub
) -> None:
    status, out, err = terminal.run("review", hub.url, "--post", "--format", "json")
    [check] = hub.checks
    assert (status, err) == (1, "")
    assert hub.reviews == [(hub.state.app.bot, "COMMENTED")]
    assert (check.status, check.conclusion) == ("completed", "neutral")
    assert decode_receipt(check.text or "") == decode_receipt(out)
    assert decode_receipt(out).fail_on == "never"
    assert decode_receipt(out).run_id == check.external_id
    assert terminal.run("verdict", hub.url, "--fail-on", "P0")[0] == 1
    assert terminal.run("verdict", hub.url)[0] == 3


@pytest.mark.usefixtures("as_app")
def test_without_post_the_app_only_reads(terminal: Terminal, hub: Hub) -> None:
    assert terminal.run("review", hub.url)[0] == 1
    assert {path.rpartition("/")[2] for path in hub.writes} == {"access_tokens"}
    assert hub.asked_for == [
        {"metadata": "read"},
        {"metadata": "read", "contents": "read", "pull_requests": "read"},
        {"metadata": "read", "contents": "read"},
    ]


@pytest.mark.usefixtures("as_riley")
def test_a_person_posts_the_review_alone_and_is_told_so(terminal: Terminal, hub: Hub) -> None:
    status, _, err = terminal.run("review", hub.url, "--post")
    assert status == 1
    assert "no check run was posted: that takes the App's own credentials" in err
    assert hub.reviews == [("riley", "COMMENTED")]
    assert hub.checks == []


@pytest.mark.parametrize("who", ["as_app", "as_riley"])
def test_what_was_posted_stays_open_and_is_not_said_again(
    terminal: Terminal, hub: Hub, request: pytest.FixtureRequest, who: str
) -> None:
    request.getfixturevalue(who)
    first = terminal.run("review", hub.url, "--post", "--format", "json")
    again = terminal.run("review", hub.url, "--post", "--format", "json")
    assert (first[0], again[0]) == (1, 1)
    assert decode_receipt(again[1]).findings == decode_receipt(first[1]).findings
    assert len(hub.reviews) == 1
    hub.state.push(hub.pull, {"more.py": SECRET, "settings.py": SECRET})
    assert (
        len(
            decode_receipt(
                terminal.run("review", hub.url, "--post", "--format", "json")[1]
            ).findings
        )
        == 2
    )
    assert [comment.place.path for comment in hub.state.review_comments.values()] == [
        "settings.py",
        "more.py",
    ]


@pytest.mark.usefixtures("as_riley")
def test_what_another_posted_is_not_repeated(
    terminal: Terminal, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run("review", hub.url, "--post")
    monkeypatch.setenv("GITHUB_TOKEN", hub.state.personal_token("mona"))
    terminal.run("review", hub.url, "--post")
    assert hub.reviews == [("riley", "COMMENTED")]


@pytest.mark.usefixtures("as_riley")
def test_a_draft_of_the_person_s_own_is_left_alone(terminal: Terminal, hub: Hub) -> None:
    hub.state.review(hub.pull, "riley", "My thoughts so far.", review_state="PENDING")
    status, _, err = terminal.run("review", hub.url, "--post")
    assert status == 3
    assert "A pending review of your own is in the way. Submit or discard it" in err
    assert hub.reviews == [("riley", "PENDING")]


@pytest.mark.usefixtures("as_riley")
def test_a_token_that_may_not_write_is_told_what_it_lacks(terminal: Terminal, hub: Hub) -> None:
    refusal = Fault(path="/reviews$", method="POST", status=403, message="not accessible")
    hub.state.faults.append(refusal)
    status, _, err = terminal.run("review", hub.url, "--post")
    assert status == 3
    assert "GitHub forbids this: not accessible. GITHUB_TOKEN must see the repository" in err


@pytest.mark.usefixtures("as_app")
def test_a_check_run_is_completed_whatever_breaks(terminal: Terminal, hub: Hub) -> None:
    hub.state.faults.append(Fault(path="/reviews$", method="POST", status=403, message="no"))
    status, _, err = terminal.run("review", hub.url, "--post")
    [check] = hub.checks
    assert status == 3
    assert "GitHub forbids this: no. Check the App's permissions" in err
    assert (check.status, check.conclusion) == ("completed", "neutral")
    assert (check.title or "").startswith("NOT REVIEWED: GitHub forbids this: no")


@pytest.mark.usefixtures("as_app")
def test_a_push_in_between_leaves_a_check_run_that_says_so(terminal: Terminal, hub: Hub) -> None:
    gone = "end_commit_oid is not part of the pull request"
    hub.state.faults.append(Fault(path="/reviews$", method="POST", status=422, message=gone))
    status, _, err = terminal.run("review", hub.url, "--post")
    [check] = hub.checks
    assert status == 3
    assert "The reviewed commit was replaced" in err
    assert (check.status, check.conclusion) == ("completed", "cancelled")


@pytest.mark.slow
def test_an_interrupted_review_leaves_no_check_run_unfinished(hub: Hub) -> None:
    hub.state.faults.append(Fault(path="/reviews$", method="GET", delay_s=60))
    process = start(
        "review",
        hub.url,
        "--post",
        GITHUB_API_URL=hub.state.api_url,
        APP_ID=str(hub.state.app.id),
        PRIVATE_KEY=hub.private_key,
    )
    end = time.monotonic() + 60
    while hub.state.faults[0].times > 0:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    [check] = hub.checks
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert (check.status, check.conclusion) == ("completed", "cancelled")
    assert check.title == "Cancelled: stopped at the terminal"


@pytest.mark.parametrize("number", [1, 7])
@pytest.mark.parametrize("private", [True, False])
def test_what_cannot_be_seen_is_told_with_a_remedy(
    terminal: Terminal, hub: Hub, private: bool, number: int
) -> None:
    hub.pull.repository.private = private
    if not private and number == 1:
        return
    status, out, err = terminal.run("review", f"{hub.url[:-1]}{number}")
    words = "needs a GITHUB_TOKEN" if private else "no such pull request. Check its number."
    assert (status, out) == (3, "")
    assert words in err


@pytest.mark.usefixtures("as_app")
def test_an_app_that_is_not_installed_is_told(terminal: Terminal, hub: Hub) -> None:
    hub.pull.repository.installed = False
    status, _, err = terminal.run("review", hub.url)
    assert status == 3
    assert "The App is not installed on acme/shop. Install it there" in err


def test_half_an_app_is_a_mistake(
    terminal: Terminal, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_KEY", hub.private_key)
    status, _, err = terminal.run("review", hub.url)
    assert status == 2
    assert "APP_ID is not set" in err


@pytest.mark.parametrize("what", ["--dry-run", "--show-prompts"])
def test_a_dry_run_asks_nobody(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("MODEL", "gpt-x")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # where nobody listens
    diff = added_files({"settings.py": SECRET, "yarn.lock": "x\n"})
    status, out, err = terminal.review(diff, what)
    assert (status, err) == (0, "")
    assert "2 questions, about " in out
    assert "tokens in (gpt-x), price unknown; nothing was sent" in out
    assert TOKEN not in out
    if what == "--dry-run":
        assert "question 1: correctness, performance, tests, about " in out
        assert "- yarn.lock: lock file" in out
    else:
        assert "<<<DATA diff " in out
        assert "==== question 2: security\n" in out


def test_a_dry_run_needs_no_model(terminal: Terminal, hub: Hub) -> None:
    status, out, _ = terminal.run("review", hub.url, "--show-prompts")
    assert status == 0
    assert "Sell more" in out
    assert "(no model is configured)" in out
    assert hub.writes == []


def test_a_dry_run_of_nothing_asks_no_question(terminal: Terminal) -> None:
    for what in ("--dry-run", "--show-prompts"):
        status, out, _ = terminal.review(added_files({"yarn.lock": "x\n"}), what)
        assert status == 0
        assert "0 questions, about 0 tokens in" in out


def test_sarif_is_one_log(terminal: Terminal) -> None:
    status, out, err = terminal.review(WITH_P0, "--format", "sarif")
    [run] = json.loads(out)["runs"]
    assert (status, err) == (1, "")
    assert [result["ruleId"] for result in run["results"]] == ["security/GitHub token/P0"]
    assert run["tool"]["driver"]["semanticVersion"]


def test_markdown_is_the_review_with_every_finding(terminal: Terminal) -> None:
    status, out, err = terminal.review(WITH_P0, "--format", "markdown")
    assert (status, err) == (1, "")
    assert out.startswith("**ANALYSERS ONLY: 1 finding (1 P0)**\n")
    assert "#### P0 · security: GitHub token in plain text\n\n`settings.py:1`" in out


CHANGED = (
    b"diff --git a/old.py b/old.py\n--- a/old.py\n+++ b/old.py\n"
    b"@@ -4,2 +4,2 @@ def go(name):\n def go(name):\n-    return name\n"
    b"+    subprocess.run(name, shell=True)\n"
)


@pytest.mark.parametrize(
    ("content", "is_analysed"),
    [(SHELL, True), (SHELL.replace("\n\n\n", "\n"), False), (None, False)],
)
def test_a_diff_s_files_are_read_from_a_folder_that_holds_them_as_changed(
    terminal: Terminal, tmp_path: Path, content: str | None, is_analysed: bool
) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    if content is not None:
        (repo / "old.py").write_text(content)
    _, out, _ = terminal.review(CHANGED, "--repo", str(repo), "--format", "json")
    receipt = decode_receipt(out)
    assert bool(receipt.findings) is is_analysed
    missing = [notice.reason for notice in receipt.notices]
    assert ("not analysed: needs the file" in missing) is not is_analysed


class Screen(StringIO):
    """A standard error that a person watches."""

    def isatty(self) -> bool:
        return True


def test_who_watches_sees_how_far_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, refusing_server: str
) -> None:
    monkeypatch.setenv("MODEL", "gpt-x")
    monkeypatch.setenv("OPENAI_BASE_URL", refusing_server)
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    status, out, _ = terminal.review(CLEAN, "--format", "json")
    told = screen.getvalue()
    assert status == 3
    assert decode_receipt(out).state is Verdict.FAILED
    assert told.startswith("\r\x1b[KReading the change")
    assert "\r\x1b[K0 of 1 questions answered" in told
    assert "\r\x1b[K2 of 2 questions answered" in told
    assert told.endswith("\r\x1b[K")


def test_serve_without_an_app_says_once_where_to_create_one(tmp_path: Path) -> None:
    place = {
        "CREDENTIALS_FILE": f"{tmp_path}/app.env",
        "DATABASE_URL": f"sqlite:///{tmp_path}/a.db",
    }
    process = start("serve", "--port", "0", MODEL_API="static", **place)
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert re.fullmatch(r"There is no .* http://127\.0\.0\.1:\d+/setup\?token=[\w-]{43}\n", line)
    assert (process.returncode, out, b"token" in err) == (0, b"", False)
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_leaves_with_what_it_found(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_API", "static")
    with served(State(terminal.folder / "github", new_app("s")[0])) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        status, out, _ = terminal.run("doctor")
        assert (status, "! app " in out) == (0, True)
        monkeypatch.setenv("APP_ID", "seven")
        status, out, _ = terminal.run("doctor", "--json")
    assert (status, json.loads(out)["ok"]) == (2, False)
    monkeypatch.delenv("APP_ID")
    status, out, _ = terminal.run("doctor")
    assert (status, "✗ github " in out) == (1, True)


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/none/ca.pem"), ("HTTPS_PROXY", "foo://proxy")]
)
def test_a_wrong_authority_or_proxy_is_named_and_no_crash(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("MODEL_API", "static")
    monkeypatch.setenv(name, value)
    for command in ("doctor", "serve"):
        status, _, err = terminal.run(command)
        assert (status, name in err, "Traceback" in err) == (2, True, False)


def test_forget_asks_first_and_says_what_it_erased(terminal: Terminal) -> None:
    asyncio.run(_made(terminal.folder / "codex-review.db"))
    status, out, _ = terminal.run("forget", "acme/shop", stdin=b"n\n")
    assert (status, out.endswith("Nothing was erased.\n")) == (1, True)
    status, out, _ = terminal.run("forget", "acme/shop", "--yes")
    assert (status, out) == (0, "Nothing is kept about acme/shop under this name.\n")


async def _made(path: Path) -> None:
    await (await open_database(path)).close()


@pytest.mark.parametrize("name", ["acme", "acme/", "/shop", "acme/shop/pull/7"])
def test_forget_takes_a_repository(terminal: Terminal, name: str) -> None:
    status, _, err = terminal.run("forget", name, "--yes")
    assert (status, "OWNER/REPO" in err) == (2, True)
