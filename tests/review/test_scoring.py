"""Runs over known cases are counted, with honest intervals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.errors import Unusable
from app.review.cases import Case, KnownBug
from app.review.diff import Side
from app.review.focus import Area
from app.review.priority import Priority
from app.review.receipt import (
    Receipt,
    ReceiptDropped,
    ReceiptFinding,
    ReceiptUsage,
    State,
)
from app.review.scoring import (
    AnalysersScore,
    Evaluation,
    Measured,
    decode_evaluation,
    encode_evaluation,
    is_below,
    is_cut_off,
    is_hit,
    is_whole,
    render_evaluation,
    score,
    wilson,
)
from tests.builders import make_diff, make_receipt, make_receipt_finding
from tests.golden import assert_golden


def make_bug(
    *,
    area: Area = Area.CORRECTNESS,
    side: Side = Side.RIGHT,
    start: int = 10,
    end: int = 12,
    right_hunk: tuple[int, int] | None = None,
) -> KnownBug:
    return KnownBug(
        area=area,
        priority=Priority.P1,
        path="app.py",
        side=side,
        start_line=start,
        end_line=end,
        text="The loop ends too early.",
        right_hunk=right_hunk,
    )


def make_case(id: str, *bugs: KnownBug) -> Case:
    return Case(id=id, diff=make_diff(), bugs=bugs)


def run_of(
    case: Case,
    *findings: ReceiptFinding,
    model: str = "m",
    seconds: float = 1.0,
    receipt: Receipt | None = None,
) -> Measured:
    receipt = receipt or make_receipt(*findings)
    return Measured(model=model, case=case, receipt=receipt, seconds=seconds)


def evaluate(*runs: Measured, repeat: int = 1, before: Evaluation | None = None) -> Evaluation:
    cases = list({run.case.id: run.case for run in runs}.values())
    return score(runs, cases, repeat=repeat, before=before)


HIT = make_receipt_finding(line=11)
MISS = make_receipt_finding(line=40, title="Something else", fingerprint="f2")


@pytest.mark.parametrize(
    ("lines", "is_near"),
    [((7, 7), True), ((6, 6), False), ((15, 15), True), ((16, 16), False), ((1, 30), True)],
)
def test_a_finding_is_right_within_three_lines(lines: tuple[int, int], is_near: bool) -> None:
    finding = replace(make_receipt_finding(line=lines[1]), start_line=lines[0])
    assert is_hit(finding, make_bug()) is is_near


@pytest.mark.parametrize("key", ["path", "area", "side"])
def test_another_path_area_or_side_is_not_the_bug(key: str) -> None:
    other = {"path": "b.py", "area": "security", "side": "LEFT"}[key]
    assert is_hit(HIT, make_bug())
    assert not is_hit(replace(HIT, **{key: other}), make_bug())


@pytest.mark.parametrize(
    ("line", "is_right"), [(19, False), (20, True), (25, True), (26, False), (11, False)]
)
def test_of_deleted_lines_a_finding_beside_them_is_as_good(line: int, is_right: bool) -> None:
    bug = make_bug(side=Side.LEFT, right_hunk=(20, 25))
    assert is_hit(make_receipt_finding(line=line), bug) is is_right
    assert not is_hit(make_receipt_finding(line=line), make_bug(side=Side.LEFT))


def test_found_missed_and_false_are_counted_by_area() -> None:
    secure = make_case("s", make_bug(area=Area.SECURITY))
    result = evaluate(
        run_of(make_case("a", make_bug()), HIT, MISS),
        run_of(make_case("b", make_bug())),
        run_of(secure, replace(HIT, area="security")),
        run_of(make_case("clean")),
        run_of(make_case("tempting"), replace(MISS, area="tests")),
    )
    (one,) = result.models
    counts = {s.area: (s.cases, s.found, s.missed, s.right, s.false_alarms) for s in one.scores}
    assert counts == {
        "all": (3, 2, 1, 2, 2),
        "correctness": (2, 1, 1, 1, 1),
        "security": (1, 1, 0, 1, 0),
        "tests": (0, 0, 0, 0, 1),
    }
    assert (one.runs, one.controls, one.controls_kept_clean) == (5, 2, 1)
    assert one.comments_per_change == 4 / 5
    assert one.missed == ("P1 b",)
    assert [(told.case, told.line, told.area) for told in one.false_alarms] == [
        ("a", 40, "correctness"),
        ("tempting", 40, "tests"),
    ]


def test_one_bug_told_twice_is_a_false_alarm_but_each_of_its_places_may_be_told() -> None:
    places = make_bug(), make_bug(start=40, end=40)
    twice = evaluate(run_of(make_case("a", make_bug()), HIT, HIT)).models[0].scores[0]
    both = evaluate(run_of(make_case("a", *places), HIT, MISS)).models[0].scores[0]
    assert (twice.found, twice.right, twice.false_alarms) == (1, 1, 1)
    assert (both.found, both.right, both.false_alarms) == (1, 2, 0)


LINTER = replace(HIT, sources=("ruff",), fingerprint="f3")


def test_what_only_analysers_told_is_not_the_models() -> None:
    wrong = replace(MISS, sources=("ruff", "bandit"))
    both = replace(HIT, sources=("ruff", "model"))
    result = evaluate(
        run_of(make_case("a", make_bug()), LINTER, wrong),
        run_of(make_case("b", make_bug()), both),
        run_of(make_case("c", make_bug()), HIT, LINTER),
        run_of(make_case("clean"), wrong),
    )
    (one,) = result.models
    all_areas = one.scores[0]
    assert (all_areas.found, all_areas.missed, all_areas.right, all_areas.false_alarms) == (
        *(2, 1, 2, 0),
    )
    assert one.analysers == AnalysersScore(found=1, right=2, false_alarms=2)
    assert (one.missed, one.controls_kept_clean) == (("P1 a",), 1)
    assert one.comments_per_change == 2 / 4
    assert [told.found_by for told in one.false_alarms] == ["ruff, bandit"] * 2


def test_a_model_that_is_silent_has_no_share_of_what_analysers_found() -> None:
    silent = evaluate(run_of(make_case("a", make_bug()), LINTER)).models[0].scores[0]
    assert (silent.recall.share, silent.precision.share) == (0.0, None)
    half = evaluate(run_of(make_case("a", make_bug()), HIT, MISS, LINTER, LINTER))
    assert is_below(half, 0.51)
    assert not is_below(half, 0.5)


def test_without_a_model_all_is_the_analysers() -> None:
    (one,) = evaluate(run_of(make_case("a", make_bug()), LINTER, model="")).models
    assert (one.scores[0].found, one.scores[0].right, one.analysers) == (1, 1, None)


@pytest.mark.parametrize(
    ("state", "reason", "is_cut"),
    [
        (State.OUT_OF_CREDIT, "over the limit of money", True),
        (State.PARTIAL, "no answer from the model, over the limit of money", True),
        (State.PARTIAL, "no answer from the model", False),
        (State.OUT_OF_CREDIT, "out of credit", False),
    ],
)
def test_what_a_limit_of_money_ended_says_nothing_of_the_model(
    state: State, reason: str, is_cut: bool
) -> None:
    cut = run_of(make_case("b", make_bug()), receipt=make_receipt(MISS, state=state, reason=reason))
    result = evaluate(run_of(make_case("a", make_bug()), HIT), cut)
    (one,) = result.models
    assert is_cut_off(cut) is is_cut
    assert (one.cut_off, one.runs) == ((1, 1) if is_cut else (0, 2))
    assert (one.scores[0].cases, one.scores[0].missed) == ((1, 0) if is_cut else (2, 1))
    assert bool(one.not_reviewed) is not is_cut
    assert one.usage.calls == 4
    assert not is_whole(result, is_static=False)


def test_a_model_of_which_nothing_was_measured_has_cost_something() -> None:
    cut = make_receipt(state=State.PARTIAL, reason="over the limit of money")
    result = evaluate(run_of(make_case("a", make_bug()), receipt=cut))
    assert (result.models[0].runs, result.models[0].cut_off) == (0, 1)
    assert result.models[0].usage.usd == 0.0123
    assert not is_below(result, 1.0)
    assert "NOT MEASURED, cut off by a limit of money: 1" in render_evaluation(result)


def test_comments_are_those_inline_and_the_summary_counts_as_found() -> None:
    aside = make_receipt_finding(line=11, summary_reason="beyond the limit of inline comments")
    (one,) = evaluate(run_of(make_case("a", make_bug()), aside)).models
    assert (one.comments_per_change, one.scores[0].found) == (0.0, 1)


def test_repeating_makes_nothing_more_certain() -> None:
    case = make_case("a", make_bug())
    once = evaluate(run_of(case, HIT)).models[0].scores[0]
    often = evaluate(*[run_of(case, HIT)] * 9, repeat=9).models[0].scores[0]
    assert (often.found, often.cases) == (9, 1)
    assert (often.recall, often.precision) == (once.recall, once.precision)


def test_what_was_not_reviewed_is_told_and_missed() -> None:
    failed = make_receipt(state=State.FAILED, reason="the model did not answer")
    result = evaluate(run_of(make_case("a", make_bug()), receipt=failed))
    assert result.models[0].not_reviewed == {"failed: the model did not answer": 1}
    assert result.models[0].scores[0].missed == 1
    assert not is_whole(result, is_static=False)


def test_a_clean_change_that_was_not_reviewed_was_not_left_alone() -> None:
    failed = make_receipt(state=State.FAILED, reason="the model did not answer")
    (one,) = evaluate(run_of(make_case("clean"), receipt=failed)).models
    assert (one.controls, one.controls_kept_clean) == (1, 0)


def test_without_a_model_it_is_whole_only_if_nobody_expects_one() -> None:
    checked = make_receipt(state=State.CHECKED, reason="no model is configured")
    result = evaluate(run_of(make_case("a", make_bug()), model="", receipt=checked))
    assert not result.models[0].not_reviewed
    assert not is_whole(result, is_static=False)
    assert is_whole(result, is_static=True)
    assert is_whole(evaluate(run_of(make_case("a", make_bug()), HIT)), is_static=False)


def test_cost_is_known_only_if_every_price_is() -> None:
    def run_costing(usd: float | None, calls: int = 1) -> Measured:
        usage = ReceiptUsage(calls=calls, input_tokens=10, output_tokens=2, usd=usd)
        return run_of(make_case("a", make_bug()), receipt=make_receipt(usage=usage))

    known = evaluate(run_costing(0.25), run_costing(0.5), run_costing(None, calls=0))
    unknown = evaluate(run_costing(0.25), run_costing(None))
    assert known.models[0].usage == ReceiptUsage(
        model="m", calls=2, input_tokens=20, output_tokens=4, usd=0.75
    )
    assert unknown.models[0].usage.usd is None


def test_precision_is_compared_with_what_was_asked_for() -> None:
    half = evaluate(run_of(make_case("a", make_bug()), HIT, MISS))
    assert not is_below(half, 0.5)
    assert is_below(half, 0.51)
    assert not is_below(evaluate(run_of(make_case("a", make_bug()))), 1.0)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # the example of Newcombe 1998
    ],
)
def test_the_interval_is_wilsons(hits: int, n: int, low: float, high: float) -> None:
    rate = wilson(hits, n)
    assert (rate.share, rate.n) == (hits / n, n)
    assert rate.low == pytest.approx(low, abs=1e-4)
    assert rate.high == pytest.approx(high, abs=1e-4)


@given(st.integers(1, 500), st.floats(0, 1))
def test_an_interval_holds_its_share(n: int, part: float) -> None:
    rate = wilson(part * n, n)
    assert rate.low is not None
    assert rate.share is not None
    assert rate.high is not None
    assert 0 <= rate.low <= rate.share + 1e-9
    assert rate.share - 1e-9 <= rate.high <= 1
    assert not math.isclose(rate.low, rate.high)


def cases_of(n: int) -> list[Case]:
    return [make_case(str(number), make_bug()) for number in range(n)]


@pytest.mark.parametrize(("n", "decides"), [(29, False), (30, True)])
def test_few_cases_decide_nothing(n: int, decides: bool) -> None:
    (one,) = evaluate(*(run_of(case, HIT) for case in cases_of(n))).models
    assert one.scores[0].recall.decides is decides
    report = render_evaluation(evaluate(*(run_of(case, HIT) for case in cases_of(n))))
    assert ("too few to decide" in report) is not decides


def test_a_difference_counts_if_the_intervals_part() -> None:
    cases = cases_of(40)
    before = evaluate(*(run_of(case) for case in cases))
    now = evaluate(*(run_of(case, HIT) for case in cases), before=before)
    same = evaluate(*(run_of(case, HIT) for case in cases), before=now)
    assert [(one.area, one.rate, one.before, one.now) for one in now.compared] == [
        ("all", "recall", 0.0, 1.0),
        ("correctness", "recall", 0.0, 1.0),
    ]
    assert all(one.intervals_part for one in now.compared)
    assert not now.compared_with_other_cases
    assert not any(one.intervals_part for one in same.compared)


def test_results_are_compared_by_model_and_one_with_one_whatever_its_name() -> None:
    case = make_case("a", make_bug())
    one, other, third = (run_of(case, HIT, model=name) for name in ("one", "other", "third"))
    assert {d.model for d in evaluate(one, before=evaluate(other)).compared} == {"one"}
    both = evaluate(one, third, before=evaluate(other, third))
    assert {d.model for d in both.compared} == {"third"}


def test_that_the_cases_differ_is_told() -> None:
    earlier = evaluate(run_of(make_case("a", make_bug()), HIT))
    result = evaluate(run_of(make_case("a", make_bug(start=11)), HIT), before=earlier)
    assert result.compared_with_other_cases


def test_a_result_can_be_read_again() -> None:
    result = evaluate(run_of(make_case("a", make_bug()), HIT, MISS), run_of(make_case("clean")))
    assert decode_evaluation(encode_evaluation(result), "x.json") == result


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"version": 1}'])
def test_what_is_no_result_is_told(raw: bytes) -> None:
    with pytest.raises(Unusable, match=r"x\.json: this is no result of `eval --format json`"):
        decode_evaluation(raw, "x.json")


def test_another_version_is_told() -> None:
    raw = encode_evaluation(evaluate(run_of(make_case("a", make_bug()))))
    with pytest.raises(Unusable, match=r"x\.json: this result has version 7; I know 2"):
        decode_evaluation(raw.replace(b'"version": 2', b'"version": 7'), "x.json")


def test_the_report() -> None:
    dropped = ReceiptDropped(
        gate="anchored", reason="unproven", title="t", path="p", line=1, source="model"
    )
    usage = ReceiptUsage(calls=2, input_tokens=900, output_tokens=80, is_estimated=True, usd=0.002)
    hostile = make_receipt_finding(line=50, title="Clear\x1b[2J\nthe screen", area="security")
    found = make_receipt(HIT, usage=usage)
    cases = cases_of(30)
    linter = replace(MISS, sources=("ruff",))
    cut = make_receipt(state=State.PARTIAL, reason="over the limit of money")
    runs = [
        *(run_of(case, receipt=found, seconds=2.0) for case in cases),
        run_of(make_case("dear", make_bug()), receipt=cut),
        run_of(make_case("n", make_bug()), HIT, linter),
        run_of(make_case("m", make_bug())),
        run_of(make_case("clean"), receipt=replace(make_receipt(hostile), dropped=(dropped,))),
        run_of(make_case("late"), receipt=make_receipt(state=State.FAILED, reason="no answer")),
        run_of(make_case("clean"), model=""),
    ]
    before = evaluate(*(run_of(case, HIT, MISS) for case in cases))
    result = score(
        runs, [run.case for run in runs], left_out="m: 4 reviews used up the 1.0 USD", before=before
    )
    assert_golden("evaluation.txt", render_evaluation(result))
