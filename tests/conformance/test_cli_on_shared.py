"""`review --diff` on every diff that others made: a receipt and a status of the contract."""

import gzip
import json
from pathlib import Path

import pytest

from app.review.priority import Priority
from app.review.receipt import Receipt, State, decode_receipt, is_blocked
from tests.command_line import Terminal

SAMPLE = slice(None, None, 20)
EVERY = slice(None)
slices = pytest.mark.parametrize(
    "which",
    [
        pytest.param(SAMPLE, id="sample"),
        pytest.param(EVERY, id="every", marks=pytest.mark.conformance),
    ],
)


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    for name in ("MODEL", "OPENAI_BASE_URL", "MODEL_API", "PROMPTS_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Terminal(capsys, monkeypatch, tmp_path)


def review(terminal: Terminal, diff: str) -> Receipt:
    """Review as JSON; the status must fit the receipt, and stdout hold nothing else."""
    raw = diff.encode("utf-8", "surrogateescape")
    status, out, err = terminal.review(raw, "--format", "json")
    assert err == ""
    assert out.count("\n") == 1
    receipt = decode_receipt(out)
    is_whole = not any("damaged" in why for row in receipt.coverage for why in row.areas.values())
    states = (State.CHECKED, State.SKIPPED) if is_whole else (State.PARTIAL, State.FAILED)
    assert receipt.state in states
    assert status == (1 if is_blocked(receipt, Priority.P1) else 3)
    assert not any(finding.title.startswith("Traceback") for finding in receipt.findings)
    return receipt


@slices
def test_every_real_diff_gives_a_receipt(terminal: Terminal, shared: Path, which: slice) -> None:
    with gzip.open(shared / "diffs" / "diffs.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines][which]
    for record in records:
        receipt = review(terminal, record["diff"])
        named = {row.path for row in receipt.coverage}
        assert named or not record["diff"], record["id"]


@slices
def test_every_case_and_its_control_gives_a_receipt(
    terminal: Terminal, shared: Path, which: slice
) -> None:
    lines = (shared / "cases" / "cases.jsonl").read_text("utf-8").splitlines()
    for case in [json.loads(line) for line in lines][which]:
        for diff in (case["diff"], case["control"]["diff"]):
            receipt = review(terminal, diff)
            assert receipt.state is State.CHECKED, case["id"]
            assert receipt.coverage
