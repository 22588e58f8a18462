"""The verdict: states, conclusions, and a receipt that is valid JSON whatever it tells."""

import json
import os
from dataclasses import replace

import jsonschema
import msgspec
import pytest

from app.review.answer import Usage
from app.review.config import Config, Instruction
from app.review.coverage import Covered, LeftOut, NotConcerned, Reason, Settled, Shown, Withheld
from app.review.findings import NOT_CHECKED, Finding
from app.review.masking import MASK
from app.review.price import Spent
from app.review.priority import Priority
from app.review.pull import NotInDiff, RunId, Sha
from app.review.receipt import (
    MIN_LIMIT,
    NEVER,
    VERSION,
    Conclusion,
    Receipt,
    ReceiptCoverage,
    ReceiptNotice,
    State,
    broken_off,
    conclude,
    decode_receipt,
    encode_receipt,
    findings_of,
    is_about,
    is_blocked,
    is_reviewed,
    threshold,
    withdrawn,
)
from tests.builders import (
    BASE,
    HEAD,
    RUN,
    make_change,
    make_coverage,
    make_dropped,
    make_finding,
    make_location,
    make_outcome,
    make_pull,
    make_receipt,
    make_receipt_finding,
)
from tests.conftest import CHECKOUT
from tests.receipt_schema import receipt_schema

SHOWN = Shown((0,))
NO_ANSWER = LeftOut(Reason.MODEL_UNAVAILABLE)
NO_MODEL = LeftOut(Reason.NO_MODEL)
NO_CREDIT = LeftOut(Reason.OUT_OF_CREDIT)
NOT_ASKED = LeftOut(Reason.NOT_ASKED)
LOCK_FILE = LeftOut(Reason.LOCK_FILE)
MODEL = "gpt-x"
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"


def verdict(
    *states: Settled,
    priorities: tuple[Priority, ...] = (),
    model: str | None = MODEL,
    fail_on: Priority | None = Priority.P1,
    fail_on_error: bool = False,
) -> tuple[State, Conclusion]:
    config = Config(fail_on=fail_on, fail_on_error=fail_on_error)
    receipt = conclude(
        make_outcome(
            change=make_change(config=config),
            coverage=make_coverage(*states),
            findings=tuple(
                make_finding(priority=priority, fingerprint=f"f{number}")
                for number, priority in enumerate(priorities)
            ),
            model=model,
        )
    )
    return receipt.state, receipt.conclusion


@pytest.mark.parametrize(
    ("states", "model", "state"),
    [
        ((SHOWN,), MODEL, State.CLEAN),
        ((SHOWN, Covered(), NotConcerned(), LOCK_FILE, Withheld(".env*")), MODEL, State.CLEAN),
        ((Covered(),), MODEL, State.CLEAN),
        ((SHOWN, NO_ANSWER), MODEL, State.PARTIAL),
        ((SHOWN, NOT_ASKED), MODEL, State.PARTIAL),
        ((SHOWN, LeftOut(Reason.OVER_LIMIT)), MODEL, State.PARTIAL),
        ((SHOWN, NO_CREDIT), MODEL, State.PARTIAL),
        ((SHOWN, LeftOut(Reason.DAMAGED, "cut")), MODEL, State.PARTIAL),
        ((NO_MODEL, LOCK_FILE), None, State.CHECKED),
        ((LeftOut(Reason.DAMAGED),), None, State.FAILED),
        ((NO_MODEL, LeftOut(Reason.DAMAGED)), None, State.PARTIAL),
        ((LOCK_FILE, NotConcerned()), MODEL, State.SKIPPED),
        ((LOCK_FILE,), None, State.SKIPPED),
        ((Withheld(".env*"),), MODEL, State.SKIPPED),
        ((NOT_ASKED, NotConcerned()), MODEL, State.SKIPPED),
        ((NO_CREDIT, NO_ANSWER), MODEL, State.OUT_OF_CREDIT),
        ((NO_ANSWER, LOCK_FILE), MODEL, State.FAILED),
        ((LeftOut(Reason.DAMAGED),), MODEL, State.FAILED),
    ],
)
def test_the_state_tells_what_was_reviewed(
    states: tuple[Settled, ...], model: str | None, state: State
) -> None:
    assert verdict(*states, model=model)[0] is state


@pytest.mark.parametrize(
    ("states", "model", "state"),
    [
        ((SHOWN,), MODEL, State.FINDINGS),
        ((SHOWN, NO_ANSWER), MODEL, State.PARTIAL),
        ((NO_MODEL,), None, State.CHECKED),
        ((LOCK_FILE,), MODEL, State.CHECKED),
        ((Withheld(".env*"),), None, State.CHECKED),
        ((NO_ANSWER,), MODEL, State.FAILED),
        ((NO_CREDIT,), MODEL, State.OUT_OF_CREDIT),
    ],
)
def test_findings_decide_the_conclusion_in_every_state(
    states: tuple[Settled, ...], model: str | None, state: State
) -> None:
    p1, p2 = (Priority.P1,), (Priority.P2,)
    assert verdict(*states, model=model, priorities=p1) == (state, Conclusion.FAILURE)
    assert verdict(*states, model=model, priorities=p2) == (state, Conclusion.NEUTRAL)
    assert verdict(*states, model=model, priorities=p1, fail_on=None) == (
        state,
        Conclusion.NEUTRAL,
    )


@pytest.mark.parametrize(
    ("states", "model", "without", "with_fail_on_error"),
    [
        ((SHOWN,), MODEL, Conclusion.SUCCESS, Conclusion.SUCCESS),
        ((SHOWN, NO_ANSWER), MODEL, Conclusion.NEUTRAL, Conclusion.FAILURE),
        ((NO_ANSWER,), MODEL, Conclusion.NEUTRAL, Conclusion.FAILURE),
        ((NO_CREDIT,), MODEL, Conclusion.NEUTRAL, Conclusion.FAILURE),
        ((NO_MODEL,), None, Conclusion.NEUTRAL, Conclusion.NEUTRAL),
        ((LOCK_FILE,), MODEL, Conclusion.NEUTRAL, Conclusion.NEUTRAL),
    ],
)
def test_an_error_blocks_only_where_it_was_asked_to(
    states: tuple[Settled, ...],
    model: str | None,
    without: Conclusion,
    with_fail_on_error: Conclusion,
) -> None:
    assert verdict(*states, model=model)[1] is without
    assert verdict(*states, model=model, fail_on_error=True)[1] is with_fail_on_error


@pytest.mark.parametrize(
    ("state", "without", "with_fail_on_error"),
    [
        (State.FAILED, Conclusion.NEUTRAL, Conclusion.FAILURE),
        (State.OUT_OF_CREDIT, Conclusion.NEUTRAL, Conclusion.FAILURE),
        (State.SKIPPED, Conclusion.NEUTRAL, Conclusion.NEUTRAL),
        (State.CANCELLED, Conclusion.CANCELLED, Conclusion.CANCELLED),
        (State.SUPERSEDED, Conclusion.CANCELLED, Conclusion.CANCELLED),
    ],
)
def test_a_run_that_was_broken_off_has_a_conclusion(
    state: State, without: Conclusion, with_fail_on_error: Conclusion
) -> None:
    receipt = broken_off(RUN, head_sha=HEAD, state=state, reason=f"{TOKEN} \ud800")
    assert (receipt.state, receipt.conclusion) == (state, without)
    assert receipt.reason == "ghp_" + MASK * 36 + " \ufffd"
    strict = broken_off(RUN, head_sha=None, state=state, reason="", fail_on_error=True)
    assert strict.conclusion is with_fail_on_error


def test_only_clean_is_green() -> None:
    green = set()
    for states in ((SHOWN,), (SHOWN, NO_ANSWER), (NO_MODEL,), (LOCK_FILE,), (NO_ANSWER,)):
        for model in (MODEL, None):
            for priorities in ((), (Priority.P3,)):
                state, conclusion = verdict(*states, model=model, priorities=priorities)
                if conclusion is Conclusion.SUCCESS:
                    green.add(state)
    assert green == {State.CLEAN}


def test_a_receipt_tells_everything_about_the_run() -> None:
    receipt = conclude(
        make_outcome(
            coverage=make_coverage(SHOWN, NO_ANSWER, NO_CREDIT),
            findings=(make_finding(rule="S1", suggestion="y", summary_reason="why"),),
            dropped=(make_dropped(),),
            notices=(NotInDiff(path="n.py", reason="not analysed"),),
            spent=Spent(
                usage=Usage(calls=2, input_tokens=10, output_tokens=3, is_estimated=True),
                usd=0.1 + 0.2,
            ),
        )
    )
    assert json.loads(encode_receipt(receipt)) == {
        "version": VERSION,
        "run_id": RUN,
        "head_sha": HEAD,
        "base_sha": BASE,
        "base_ref": "main",
        "state": "partial",
        "conclusion": "neutral",
        "fail_on": NEVER,
        "reason": "no answer from the model, out of credit",
        "again": "",
        "findings": [
            {
                "fingerprint": make_finding().fingerprint,
                "area": "correctness",
                "priority": "P1",
                "confidence": 0.9,
                "title": "Loop ends too early",
                "body": "The last item is skipped.",
                "path": "app.py",
                "side": "RIGHT",
                "start_line": 2,
                "line": 2,
                "evidence": "for i in range(n - 1):",
                "trigger": "any list",
                "sources": ["model"],
                "rule": "S1",
                "suggestion": "y",
                "suggestion_refused": NOT_CHECKED,
                "summary_reason": "why",
            }
        ],
        "coverage": [
            {"path": "file1.py", "hunk": "@@ -0,0 +1,1 @@", "areas": {"correctness": "shown 0"}},
            {
                "path": "file2.py",
                "hunk": "@@ -0,0 +1,2 @@",
                "areas": {"correctness": "left out: no answer from the model"},
            },
            {
                "path": "file3.py",
                "hunk": "@@ -0,0 +1,3 @@",
                "areas": {"correctness": "left out: out of credit"},
            },
        ],
        "notices": [{"path": "n.py", "reason": "not analysed"}],
        "dropped": [
            {
                "gate": "anchored",
                "reason": "the quote is nowhere",
                "title": "Not so",
                "path": "app.py",
                "line": 3,
                "source": "model",
            }
        ],
        "usage": {
            "model": MODEL,
            "calls": 2,
            "input_tokens": 10,
            "output_tokens": 3,
            "is_estimated": True,
            "usd": 0.3,
        },
        "mistakes": [],
        "unposted": "",
        "tests": "",
        "truncated": False,
        "findings_cut": 0,
    }


def test_the_most_urgent_findings_stand_first_new_or_not() -> None:
    findings = tuple(
        make_finding(priority=priority, fingerprint=f"{number}")
        for number, priority in enumerate((Priority.P2, Priority.P0, Priority.P2, Priority.P1))
    )
    told = conclude(make_outcome(findings=findings)).findings
    assert [finding.fingerprint for finding in told] == ["1", "3", "0", "2"]


def test_findings_come_back_from_a_receipt() -> None:
    findings = (make_finding(rule="S1", suggestion="y", summary_reason="why"),)
    assert findings_of(conclude(make_outcome(findings=findings))) == findings


def everywhere(text: str) -> Finding:
    return make_finding(
        title=text,
        body=text,
        trigger=text,
        evidence=text,
        location=make_location(f"{text}.py"),
        fingerprint="f1",
        sources=("model", text),
        rule=text,
        suggestion=text,
    )


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d half", TOKEN, f"\udcff {TOKEN}"])
def test_a_receipt_is_valid_json_without_secrets(text: str) -> None:
    receipt = conclude(
        make_outcome(
            findings=(everywhere(text),),
            dropped=(make_dropped(reason=text),),
            notices=(NotInDiff(path=text, reason=text),),
            coverage=make_coverage(LeftOut(Reason.DAMAGED, text)),
            model=text,
        )
    )
    encoded = encode_receipt(receipt)
    assert decode_receipt(encoded.encode("utf-8")) == receipt
    assert TOKEN[4:] not in encoded


LIVE = "<img src=x> <!-- x --> ![a](https://e.vil) [a](HTTP://e.vil) www.e.vil @acme/t #1 a@b.c"


def test_a_receipt_is_inert_where_it_is_shown_as_markdown() -> None:
    receipt = conclude(make_outcome(findings=(everywhere(LIVE),)))
    encoded = encode_receipt(receipt)
    for live in ("<", "](", "://", "www.", "@a", "@b", "#1"):
        assert live not in encoded
    assert decode_receipt(encoded) == receipt
    assert decode_receipt(encoded).findings[0].title == LIVE


def test_details_go_first_and_urgent_findings_last() -> None:
    findings = tuple(
        make_receipt_finding(fingerprint=f"f{n}", title=f"{n}", body="b" * 500) for n in range(100)
    )
    coverage = tuple(
        ReceiptCoverage(path=f"{n}.py", hunk="@@", areas={"tests": "shown 0"}) for n in range(200)
    )
    notices = tuple(ReceiptNotice(path=f"{n}.py", reason="why") for n in range(200))
    whole = make_receipt(*findings, coverage=coverage, notices=notices)
    length = len(encode_receipt(whole))

    def left(limit: int) -> tuple[bool, int, int, int, bool]:
        text = encode_receipt(whole, limit)
        assert len(text) <= limit
        receipt = decode_receipt(text)
        assert receipt.findings[0].fingerprint == "f0"
        return (
            receipt.truncated,
            len(receipt.coverage),
            len(receipt.notices),
            len(receipt.findings),
            bool(receipt.findings[0].body),
        )

    assert left(length) == (False, 200, 200, 100, True)
    assert left(length - 2) == (True, 0, 200, 100, True)
    assert left(length - 15_000) == (True, 0, 0, 100, True)
    assert left(40_000) == (True, 0, 0, 100, False)
    truncated, _, _, n_findings, _ = left(MIN_LIMIT)
    assert truncated
    assert n_findings > 10
    assert decode_receipt(encode_receipt(whole, MIN_LIMIT)).findings_cut == 100 - n_findings
    assert len(encode_receipt(whole, MIN_LIMIT)) > MIN_LIMIT - 300


def test_a_branch_s_name_is_cut_only_where_room_is_short() -> None:
    pull = replace(make_pull(), base_ref="<" * 244)
    receipt = conclude(make_outcome(change=make_change(pull=pull)))
    assert receipt.base_ref == "<" * 244
    short = msgspec.structs.replace(receipt, reason="<" * 10_000)
    assert decode_receipt(encode_receipt(short, MIN_LIMIT)).base_ref == "<" * 200


@pytest.mark.parametrize(
    ("head_sha", "base_ref", "is_so"),
    [(HEAD, "main", True), ("other", "main", False), (HEAD, "stable", False)],
)
def test_a_verdict_is_about_one_head_and_one_base(
    head_sha: str, base_ref: str, is_so: bool
) -> None:
    receipt = conclude(make_outcome(change=make_change(pull=make_pull())))
    pull = replace(make_pull(head_sha=Sha(head_sha)), base_ref=base_ref)
    assert is_about(receipt, pull) is is_so


def test_a_branch_whose_name_is_hidden_is_known_all_the_same() -> None:
    pull = replace(make_pull(), base_ref=f"release/{TOKEN}")
    receipt = conclude(make_outcome(change=make_change(pull=pull)))
    assert TOKEN not in encode_receipt(receipt)
    assert is_about(receipt, pull)


def test_a_reason_without_end_is_cut_too() -> None:
    receipt = broken_off(RUN, head_sha=HEAD, state=State.FAILED, reason="why " * 10_000)
    text = encode_receipt(receipt, MIN_LIMIT)
    assert len(text) <= MIN_LIMIT
    assert decode_receipt(text).truncated


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no receipt"),
        ("[]", "no receipt"),
        ('{"version": 1}', "no receipt"),
        (encode_receipt(make_receipt()).replace('"version":1', '"version":2'), "version 2"),
        (encode_receipt(make_receipt()).replace('"clean"', '"fine"'), "no receipt"),
        (encode_receipt(make_receipt()).replace('"never"', '"P4"'), "no receipt"),
    ],
)
def test_what_is_no_receipt_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode_receipt(text)


def test_what_a_later_version_adds_is_passed_over() -> None:
    receipt = make_receipt()
    text = encode_receipt(receipt).replace("{", '{"added_later":true,', 1)
    assert decode_receipt(text) == receipt


@pytest.mark.parametrize(
    ("fail_on", "blocked"),
    [(Priority.P0, False), (Priority.P1, True), (Priority.P3, True), (None, False)],
)
def test_a_finding_at_or_above_the_threshold_blocks(
    fail_on: Priority | None, blocked: bool
) -> None:
    receipt = make_receipt(
        make_receipt_finding(priority=Priority.P1), make_receipt_finding(priority=Priority.P3)
    )
    assert is_blocked(receipt, fail_on) == blocked


def test_a_receipt_knows_its_own_threshold() -> None:
    change = make_change(config=Config(fail_on=Priority.P2))
    assert threshold(conclude(make_outcome(change=change))) is Priority.P2
    assert threshold(make_receipt()) is None


@pytest.mark.parametrize(
    ("state", "n_cut", "fail_on", "is_static", "reviewed"),
    [
        (State.CLEAN, 0, Priority.P1, False, True),
        (State.FINDINGS, 0, Priority.P1, False, True),
        (State.FINDINGS, 2, Priority.P1, False, False),
        (State.FINDINGS, 2, None, False, True),
        (State.PARTIAL, 0, None, True, False),
        (State.CHECKED, 0, None, False, False),
        (State.CHECKED, 0, Priority.P1, True, True),
        (State.CHECKED, 1, Priority.P1, True, False),
        (State.FAILED, 0, None, True, False),
    ],
)
def test_only_what_was_reviewed_and_is_known_to_the_last_finding_passes(
    state: State, n_cut: int, fail_on: Priority | None, is_static: bool, reviewed: bool
) -> None:
    receipt = msgspec.structs.replace(make_receipt(state=state), findings_cut=n_cut)
    assert is_reviewed(receipt, fail_on, is_static=is_static) is reviewed


@pytest.mark.parametrize(
    ("state", "fail_on_error", "now"),
    [
        (State.FINDINGS, True, (State.CLEAN, Conclusion.SUCCESS)),
        (State.PARTIAL, False, (State.PARTIAL, Conclusion.NEUTRAL)),
        (State.PARTIAL, True, (State.PARTIAL, Conclusion.FAILURE)),
        (State.CHECKED, True, (State.CHECKED, Conclusion.NEUTRAL)),
    ],
)
def test_what_is_withdrawn_decides_nothing_any_more(
    state: State, fail_on_error: bool, now: tuple[State, Conclusion]
) -> None:
    findings = make_receipt_finding(fingerprint="a"), make_receipt_finding(fingerprint="b")
    receipt = make_receipt(*findings, state=state, conclusion=Conclusion.FAILURE)
    receipt = msgspec.structs.replace(receipt, fail_on="P1")
    one = withdrawn(receipt, {"a"}, RunId("run-2"), fail_on_error=fail_on_error)
    assert (one.run_id, one.findings, one.conclusion) == ("run-2", findings[1:], "failure")
    assert (one.state, one.usage.calls, one.usage.model) == (state, 0, "gpt-x")
    both = withdrawn(one, {"a", "b"}, RunId("run-3"), fail_on_error=fail_on_error)
    assert (both.state, both.conclusion) == now
    assert [(one.gate, one.reason) for one in both.dropped] == [("new", "dismissed")] * 2


def test_what_led_to_a_finding_is_kept_for_as_long_as_it_is_open() -> None:
    proofs = (("introduced here?", "x = 1"),)
    config = Config(instructions=(Instruction(path="*.py", text="Be kind."),))
    change = make_change(config=config)
    finding = replace(make_finding(), verdict="As told.", proofs=proofs)
    receipt = conclude(make_outcome(change=change, findings=(finding,)))
    (kept,) = findings_of(receipt)
    assert (kept.verdict, kept.proofs) == ("As told.", proofs)
    assert receipt.findings[0].guidelines == ("paths.instructions: *.py",)


SCHEMA = CHECKOUT / ".github" / "receipt.schema.json"


def test_the_schema_in_the_repository_is_the_code_s() -> None:
    text = json.dumps(receipt_schema(), indent=2) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        SCHEMA.write_text(text, encoding="utf-8", newline="\n")
    assert text == SCHEMA.read_text("utf-8")


@pytest.mark.parametrize(
    "receipt",
    [
        make_receipt(),
        make_receipt(make_receipt_finding(rule="S1", summary_reason="why")),
        make_receipt(head_sha=None),
        broken_off(RUN, head_sha=None, state=State.FAILED, reason="why"),
        conclude(make_outcome(findings=(make_finding(),), dropped=(make_dropped(),))),
    ],
)
def test_receipts_obey_the_schema(receipt: Receipt) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    assert [
        error.message for error in validator.iter_errors(json.loads(encode_receipt(receipt)))
    ] == []


def test_the_schema_refuses_what_is_no_receipt() -> None:
    validator = jsonschema.Draft202012Validator(receipt_schema())
    for wrong in ({}, {**json.loads(encode_receipt(make_receipt())), "state": "fine"}):
        assert not validator.is_valid(wrong)
