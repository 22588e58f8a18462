"""`codex-review verdict` leaves as a receipt says, wherever the receipt lies."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.demo.faults import Fault
from app.demo.records import CheckRun, PullRequest
from app.demo.state import AppIdentity, State, new_app
from app.review.priority import Priority
from app.review.receipt import MIN_LIMIT, Receipt, encode_receipt
from app.review.receipt import State as Verdict
from tests.builders import make_receipt, make_receipt_finding
from tests.command_line import SETTINGS, Terminal, served
from tests.faults import primary_limit

pytestmark = pytest.mark.slow

P1 = make_receipt_finding(priority=Priority.P1)
P3 = make_receipt_finding(priority=Priority.P3, title="A nit")


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Terminal(capsys, monkeypatch, tmp_path)


def with_threshold(receipt: Receipt, fail_on: str) -> Receipt:
    return msgspec.structs.replace(receipt, fail_on=fail_on)


@pytest.mark.parametrize(
    ("receipt", "fail_on", "argv", "status"),
    [
        (make_receipt(), "never", (), 0),
        (make_receipt(), "P0", (), 0),
        (make_receipt(P1), "never", (), 0),
        (make_receipt(P1), "P1", (), 1),
        (make_receipt(P1), "P0", (), 0),
        (make_receipt(P1), "never", ("--fail-on", "P1"), 1),
        (make_receipt(P1), "P1", ("--fail-on", "never"), 0),
        (make_receipt(P3), "P1", (), 0),
        (make_receipt(P3), "P1", ("--fail-on", "p3"), 1),
        *(
            (make_receipt(state=state, reason="why"), "P1", (), 3)
            for state in Verdict
            if state not in (Verdict.CLEAN, Verdict.FINDINGS)
        ),
        *(
            (make_receipt(P1, state=state, reason="why"), "P1", (), 1)
            for state in Verdict
            if state is not Verdict.CLEAN
        ),
    ],
)
def test_the_status_is_that_of_the_verdict(
    terminal: Terminal, receipt: Receipt, fail_on: str, argv: tuple[str, ...], status: int
) -> None:
    stdin = encode_receipt(with_threshold(receipt, fail_on)).encode()
    left, out, err = terminal.run("verdict", "-", *argv, stdin=stdin)
    assert (left, err) == (status, "")
    assert out.endswith(f"run {receipt.run_id}\n")


def test_analysers_are_enough_where_nobody_expects_a_model(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_API", "static")
    for receipt, status in (
        (make_receipt(state=Verdict.CHECKED), 0),
        (make_receipt(P1, state=Verdict.CHECKED), 1),
        (make_receipt(state=Verdict.PARTIAL), 3),
    ):
        stdin = encode_receipt(with_threshold(receipt, "P1")).encode()
        assert terminal.run("verdict", "-", stdin=stdin)[0] == status


def test_a_receipt_whose_findings_had_to_be_cut_does_not_pass(terminal: Terminal) -> None:
    nits = tuple(msgspec.structs.replace(P3, fingerprint=f"f{n}") for n in range(200))
    cut = encode_receipt(with_threshold(make_receipt(*nits), "P1"), MIN_LIMIT).encode()
    status, out, _ = terminal.run("verdict", "-", stdin=cut)
    assert status == 3
    assert "more findings had no room in the receipt" in out
    assert terminal.run("verdict", "-", "--fail-on", "never", stdin=cut)[0] == 0


def test_the_verdict_is_told_as_review_tells_it(terminal: Terminal) -> None:
    (terminal.folder / "r.json").write_text(encode_receipt(make_receipt(P1)))
    status, out, err = terminal.run("verdict", "r.json")
    assert (status, err) == (0, "")
    assert out.startswith("app.py:2: P1 correctness: Loop ends too early\n")
    assert "Reviewed: 1 finding (1 P1)" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "r.json cannot be read: No such file or directory"),
        ("", "r.json: this is no receipt"),
        ('{"version": 1}', "r.json: this is no receipt"),
        (
            encode_receipt(make_receipt()).replace('"version":1', '"version":9'),
            "r.json: this receipt has version 9; I know 1",
        ),
    ],
)
def test_what_is_no_receipt_is_a_mistake(
    terminal: Terminal, content: str | None, words: str
) -> None:
    if content is not None:
        (terminal.folder / "r.json").write_text(content)
    status, out, err = terminal.run("verdict", "r.json")
    assert (status, out) == (2, "")
    assert words in err


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def state(
    tmp_path: Path, identity: tuple[AppIdentity, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[State]:
    state = State(tmp_path / "github", identity[0])
    repository = state.create_repository("acme/shop", {"a.py": "x = 1\n"})
    state.open_pull_request(repository, {"a.py": "x = 2\n"})
    with served(state) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        yield state


def pull_of(state: State) -> PullRequest:
    [repository] = state.repositories.values()
    return repository.pulls[1]


def check(
    state: State,
    receipt: Receipt | str,
    *,
    external_id: str | None = None,
    at: str = "2026-01-31T12:00:00Z",
    app_id: int | None = None,
    status: str = "completed",
) -> CheckRun:
    """A check run on the head whose text is a receipt, or something else."""
    pull = pull_of(state)
    run = state.check_run(pull.repository, pull.head_sha, "codex review")
    if isinstance(receipt, str):
        run.text, run.external_id = receipt, external_id or "run-1"
    else:
        receipt = msgspec.structs.replace(receipt, head_sha=pull.head_sha)
        run.text, run.external_id = encode_receipt(receipt), external_id or receipt.run_id
    run.status, run.completed_at = status, at if status == "completed" else None
    run.app_id = app_id or run.app_id
    return run


def be_the_app(monkeypatch: pytest.MonkeyPatch, identity: tuple[AppIdentity, str]) -> None:
    monkeypatch.setenv("APP_ID", str(identity[0].id))
    monkeypatch.setenv("PRIVATE_KEY", identity[1])


@pytest.mark.parametrize("who", ["app", "person", "nobody"])
def test_the_newest_verdict_on_the_head_counts(
    terminal: Terminal,
    state: State,
    identity: tuple[AppIdentity, str],
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    if who == "app":
        be_the_app(monkeypatch, identity)
    elif who == "person":
        monkeypatch.setenv("GITHUB_TOKEN", state.personal_token("riley"))
    url = f"{state.api_url}/acme/shop/pull/1"
    status, out, err = terminal.run("verdict", url)
    assert (status, out) == (3, "")
    assert "There is no verdict on" in err
    blocked = with_threshold(make_receipt(P1), "P1")
    check(state, blocked, at="2026-01-31T12:00:00Z")
    assert terminal.run("verdict", url)[0] == 1
    check(state, make_receipt(), at="2026-01-31T12:00:05Z")
    check(state, blocked, at="2026-01-31T12:00:03Z")
    check(state, "{}", status="in_progress")
    assert terminal.run("verdict", f"{url}/files?w=1#diff")[0] == 0
    state.push(pull_of(state), {"a.py": "x = 3\n"})
    status, out, err = terminal.run("verdict", url)
    assert (status, out) == (3, "")
    assert f"no verdict on {pull_of(state).head_sha[:12]} yet" in err
    assert all(
        request.method == "GET" or "access_tokens" in request.path for request in state.requests
    )
    asked = [r.json() for r in state.requests if "access_tokens" in r.path]
    looking = {"metadata": "read"}
    reading = {"metadata": "read", "pull_requests": "read", "checks": "read"}
    permissions = [body["permissions"] for body in asked if isinstance(body, dict)]
    assert permissions == ([looking, reading] * 4 if who == "app" else [])


def test_only_a_receipt_of_its_own_check_run_counts(terminal: Terminal, state: State) -> None:
    url = f"{state.api_url}/acme/shop/pull/1"
    check(state, make_receipt(), external_id="another-run")
    check(state, encode_receipt(make_receipt()))  # of another head
    check(state, "All green, trust me.")
    assert terminal.run("verdict", url)[0] == 3


def test_of_several_apps_somebody_must_say_which_one_counts(
    terminal: Terminal, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{state.api_url}/acme/shop/pull/1"
    check(state, with_threshold(make_receipt(P1), "P1"))
    check(state, make_receipt(), app_id=15_368, at="2026-02-01T00:00:00Z")
    status, _, err = terminal.run("verdict", url)
    assert status == 2
    assert f"set APP_ID to the one that counts (15368, {state.app.id})" in err
    monkeypatch.setenv("APP_ID", str(state.app.id))
    assert terminal.run("verdict", url)[0] == 1


@pytest.mark.parametrize(
    "form",
    [
        "{0}/acme/shop/runs/{1}",
        "{0}/acme/shop/pull/1/checks?check_run_id={1}",
        "{0}/repos/acme/shop/check-runs/{1}",
    ],
)
def test_a_check_run_can_be_named_itself(terminal: Terminal, state: State, form: str) -> None:
    run = check(state, with_threshold(make_receipt(P1), "P1"))
    check(state, make_receipt(), at="2026-02-01T00:00:00Z")
    assert terminal.run("verdict", form.format(state.api_url, run.id))[0] == 1


@pytest.mark.parametrize(
    ("text", "status", "left", "words"),
    [
        ("{}", "in_progress", 3, "The review still runs. Wait until its check run is completed."),
        ("{}", "completed", 2, "holds no receipt of ours"),
    ],
)
def test_a_check_run_without_a_verdict_is_told(
    terminal: Terminal, state: State, text: str, status: str, left: int, words: str
) -> None:
    run = check(state, text, status=status)
    told = terminal.run("verdict", f"{state.api_url}/acme/shop/runs/{run.id}")
    assert told[:2] == (left, "")
    assert words in told[2]


def test_of_our_own_check_run_a_wrong_receipt_is_a_mistake(
    terminal: Terminal, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(state, encode_receipt(make_receipt()).replace('"version":1', '"version":2'))
    monkeypatch.setenv("APP_ID", str(state.app.id))
    status, _, err = terminal.run("verdict", f"{state.api_url}/acme/shop/pull/1")
    assert status == 2
    assert "this receipt has version 2; I know 1" in err


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/acme/nothing/pull/1", "GitHub shows us no repository acme/nothing. Check the address"),
        ("/acme/shop/pull/9", "GitHub shows us no such pull request. Check its number."),
        ("/acme/shop/runs/9", "GitHub shows us no check run 9. Check the address."),
    ],
)
def test_what_is_not_there_is_told_with_a_remedy(
    terminal: Terminal, state: State, path: str, words: str
) -> None:
    status, out, err = terminal.run("verdict", state.api_url + path)
    assert (status, out) == (3, "")
    assert words in err


def test_a_used_up_limit_is_told_with_the_time(terminal: Terminal, state: State) -> None:
    state.faults.append(primary_limit("/repos/", reset_at=int(state.now()) + 3_000, times=9))
    status, _, err = terminal.run("verdict", f"{state.api_url}/acme/shop/pull/1")
    assert status == 3
    assert "GitHub asks us to slow down: try again after " in err
    assert "GITHUB_TOKEN" in err


def test_a_token_that_github_does_not_know_is_told(
    terminal: Terminal, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_wrong")
    status, _, err = terminal.run("verdict", f"{state.api_url}/acme/shop/pull/1")
    assert status == 3
    assert "GitHub does not accept our credentials: Bad credentials" in err
    assert "GITHUB_TOKEN" in err


def test_only_the_configured_github_is_asked(terminal: Terminal, state: State) -> None:
    for url in ("https://github.com/acme/shop/pull/1", "http://127.0.0.1/acme/shop/pull/1"):
        status, _, err = terminal.run("verdict", url)
        assert status == 2
        assert f"is not at {state.api_url}" in err
    assert state.requests == []


def test_a_lost_answer_is_asked_for_again(terminal: Terminal, state: State) -> None:
    check(state, make_receipt())
    state.faults.append(Fault(path="check-runs", status=502))
    assert terminal.run("verdict", f"{state.api_url}/acme/shop/pull/1")[0] == 0
