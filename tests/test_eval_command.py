"""`codex-review eval`, as a person or CI runs it: against a scripted model server on a port."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from app.demo.serving import address, listen, serving
from app.demo.state import State, new_app
from app.evaluating import read_cases
from app.review.scoring import Evaluation, decode_evaluation
from tests.builders import added_files
from tests.command_line import SETTINGS, Terminal, served
from tests.judges import agree
from tests.model_server import ModelServer, Question, Reply, error, slow

pytestmark = pytest.mark.slow

START = [sys.executable, "-c", "from app.cli import run; run()", "eval"]
PATIENCE_S = 30.0


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return Terminal(capsys, monkeypatch, tmp_path)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Two bugs and a clean change."""
    file = tmp_path / "cases.jsonl"
    rows = [row("loop"), row("door"), {**row("clean"), "golden": []}]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return file


def row(name: str) -> dict[str, Any]:
    golden = {"path": f"{name}.py", "side": "RIGHT", "start_line": 2, "end_line": 2}
    why = {"severity": "high", "category": "bug", "text": "It is wrong."}
    text = f"def {name}():\n    return {name}_of_nothing\n"
    diff = added_files({f"{name}.py": text}).decode()
    return {"id": name, "diff": diff, "golden": [golden | why]}


def finds(*names: str) -> Any:
    """Script a model that finds something in these files."""

    def answer(question: Question) -> Reply:
        asked = set(re.findall(r"^## File: (\w+)\.py ", question.user, re.MULTILINE))
        if "DATA findings" in question.user:
            return agree(question.user)
        if "# Focus: correctness" not in question.user:
            return json.dumps({"findings": []})
        return json.dumps({"findings": [finding(name) for name in names if name in asked]})

    return answer


def finding(name: str) -> dict[str, Any]:
    lines = {"start": 2, "end": 2}
    return {
        "title": "The name is not defined",
        "body": "Nothing of that name is there.",
        "priority": 1,
        "confidence_score": 0.9,
        "area": "correctness",
        "code_location": {"path": f"{name}.py", "side": "RIGHT", "line_range": lines},
        "evidence_quote": f"    return {name}_of_nothing",
        "trigger": "any call",
        "suggestion": None,
    }


@pytest.fixture
def model(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A model server on a port, which is configured."""
    server, listener, stop = ModelServer(finds("loop", "door")), listen(), threading.Event()

    async def serve() -> None:
        async with serving(server.app, listener):
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address(listener)}/v1")
    monkeypatch.setenv("MODEL", "configured")
    yield server
    stop.set()
    thread.join()


def evaluated(terminal: Terminal, *argv: str) -> tuple[int, Evaluation]:
    status, out, err = terminal.run("eval", *argv, "--format", "json")
    assert err == ""
    return status, decode_evaluation(out.encode(), "stdout")


def test_the_shipped_cases_are_measured_where_none_are_named(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_API", "static")
    status, result = evaluated(terminal)
    assert status == 0
    assert (result.models[0].model, result.models[0].runs) == ("", 49)


def test_without_a_model_only_analysers_run_and_it_says_so(terminal: Terminal, cases: Path) -> None:
    status, out, err = terminal.run("eval", str(cases))
    assert (status, err) == (3, "")
    assert out.startswith("ANALYSERS ONLY: no model is configured, none was measured\n")


@pytest.mark.usefixtures("model")
def test_a_model_is_measured(terminal: Terminal, cases: Path) -> None:
    status, result = evaluated(terminal, str(cases))
    (one,) = result.models
    assert (status, one.model, one.runs) == (0, "configured", 3)
    assert (one.scores[0].found, one.scores[0].missed, one.scores[0].false_alarms) == (2, 0, 0)
    assert one.usage.calls > 0
    assert one.usage.usd is None


def test_each_model_named_is_asked_as_often_as_told(
    terminal: Terminal, cases: Path, model: ModelServer
) -> None:
    argv = ("--model", "one", "--model", "two", "--model", "one", "--repeat", "2")
    status, result = evaluated(terminal, str(cases), *argv)
    assert (status, [(one.model, one.runs) for one in result.models]) == (
        0,
        [("one", 6), ("two", 6)],
    )
    assert {question.body["model"] for question in model.questions} == {"one", "two"}


def test_a_result_is_compared_with_an_earlier_one(
    terminal: Terminal, cases: Path, model: ModelServer, tmp_path: Path
) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(terminal.run("eval", str(cases), "--format", "json")[1])
    model.script = finds("loop", "clean")
    status, out, _ = terminal.run("eval", str(cases), "--compare", str(earlier))
    assert status == 0
    assert "configured, all, recall: 100% before, 50% now (the intervals overlap)" in out
    assert "configured, all, precision: 100% before, 50% now (the intervals overlap)" in out


def test_precision_below_what_was_asked_for_leaves_with_1(
    terminal: Terminal, cases: Path, model: ModelServer
) -> None:
    model.script = finds("loop", "clean")
    assert terminal.run("eval", str(cases), "--min-precision", "0.5")[0] == 0
    assert terminal.run("eval", str(cases), "--min-precision", "0.6")[0] == 1


def test_a_model_that_does_not_answer_leaves_with_3_and_says_why(
    terminal: Terminal, cases: Path, model: ModelServer
) -> None:
    model.script = lambda _: error(401, "who are you?")
    status, out, _ = terminal.run("eval", str(cases))
    assert status == 3
    assert "NOT REVIEWED, counted as missed: failed: denied by the model's server 3" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("none.jsonl",), "none.jsonl: the cases cannot be read"),
        (("--repeat", "0"), "--repeat"),
        (("--min-precision", "2"), "--min-precision"),
        (("--compare", "none.json"), "none.json"),
        (("--model", "m"), "--model needs a model server: set OPENAI_BASE_URL and MODEL"),
        (("--add", "https://e.vil/a/b/pull/1"), "is not at https://github.com"),
        (("--format", "xml"), "xml"),
    ],
)
def test_a_mistake_is_told_and_leaves_with_2(
    terminal: Terminal, argv: tuple[str, ...], words: str
) -> None:
    status, out, err = terminal.run("eval", *argv)
    assert (status, out) == (2, "")
    assert words in err


def test_wrong_cases_are_told_by_file_and_line(terminal: Terminal, cases: Path) -> None:
    cases.write_text(cases.read_text() + '{"id": "x", "diff": "", "golden": [{}]}\n')
    status, out, err = terminal.run("eval", str(cases))
    assert (status, out) == (2, "")
    assert f"{cases}:4: Object missing required field `path` - at `$.golden[0]`" in err


def test_a_ceiling_that_cannot_be_kept_is_a_mistake_before_anything_is_spent(
    terminal: Terminal, cases: Path, model: ModelServer
) -> None:
    status, out, err = terminal.run("eval", str(cases), "--max-usd", "1", "--model", "dear")
    assert (status, out) == (2, "")
    assert "no price is known for dear" in err
    assert model.questions == []


@pytest.mark.usefixtures("model")
def test_a_ceiling_ends_the_measuring_and_says_so(
    terminal: Terminal, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PRICES", "configured=100/100")
    free = evaluated(terminal, str(cases))[1].models[0].usage
    assert free.usd is not None
    for share in (0.1, 0.5, 0.9):
        ceiling = share * free.usd
        status, result = evaluated(terminal, str(cases), "--max-usd", str(ceiling))
        (one,) = result.models
        assert status == 3
        assert one.usage.usd is None or one.usage.usd <= ceiling
        assert one.runs + one.cut_off < 4
        assert one.runs < 3
        assert one.scores[0].found + one.scores[0].missed <= one.runs
        whole = (
            f"configured: {one.runs} of 3 reviews, the limit of {ceiling:.2f} USD allows no more"
        )
        assert result.left_out == whole


class Screen(StringIO):
    """A standard error that a person watches."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("model")
def test_who_watches_sees_how_far_it_is(
    terminal: Terminal, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    terminal.run("eval", str(cases))
    assert "\r\x1b[K3 of 3 reviews by configured" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_an_interrupt_leaves_with_130_and_what_was_measured(
    cases: Path, model: ModelServer
) -> None:
    def answer(question: Question) -> Reply:
        return slow(60) if "door.py" in question.user else finds("loop")(question)

    model.script = answer
    env = {**os.environ, "MAX_CONCURRENT_MODEL_CALLS": "1"}
    with subprocess.Popen([*START, str(cases)], env=env, stdout=subprocess.PIPE, text=True) as run:
        began = time.monotonic()
        while not any("door.py" in question.user for question in model.questions):
            assert time.monotonic() - began < PATIENCE_S
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130
    assert "reviews: 1;" in out
    assert "NOT EVERYTHING WAS MEASURED: interrupted" in out


FIXED = "def enter(who):\n    check(who)\n    return door(who)\n"


@pytest.fixture
def fix_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A public pull request on a GitHub of its own that puts a check back."""
    state = State(tmp_path / "github", new_app("a secret")[0])
    broken = FIXED.replace("    check(who)\n", "")
    repository = state.create_repository("acme/shop", {"door.py": broken})
    state.open_pull_request(repository, {"door.py": FIXED}, title="Check who enters")
    with served(state) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        yield f"{url}/acme/shop/pull/1"


def test_a_fix_of_ones_own_is_printed_as_a_case_or_added(
    terminal: Terminal, fix_url: str, tmp_path: Path
) -> None:
    status, out, err = terminal.run("eval", "--add", fix_url)
    assert (status, err) == (0, "")
    file = tmp_path / "mine.jsonl"
    assert terminal.run("eval", str(file), "--add", fix_url) == (0, "", "")
    assert file.read_text() == out
    (case,) = read_cases(file)
    (bug,) = case.bugs
    assert (case.id, bug.path, bug.side, bug.start_line) == ("acme/shop#1", "door.py", "LEFT", 2)
    assert bug.text == "Check who enters"
    assert case.heads == {"door.py": FIXED.replace("    check(who)\n", "").encode()}
