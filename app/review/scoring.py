"""How good a model and the prompts are: runs over known cases, counted.

Pure: takes receipts, returns counts, rates with their intervals, and the report. Deterministic: a
finding is right by its place and area; no model and no word decides.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec

from app.errors import Unusable
from app.review.cases import Case, KnownBug
from app.review.coverage import Reason
from app.review.diff import Side
from app.review.focus import Area
from app.review.merge import MODEL
from app.review.receipt import Receipt, ReceiptFinding, ReceiptUsage, State
from app.review.render import obeyed_by_no_terminal

VERSION = 2
"""Of results; in version 1 a model was credited with what only analysers found."""
NEAR = 3
"""Lines that a finding may be away from its bug."""
ENOUGH = 30
"""Cases below which a rate decides nothing."""
Z95 = 1.959964
"""Standard deviations of a normal distribution that hold 95 % of it."""
ALL = "all"
REVIEWED = (State.CLEAN, State.FINDINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One review of one case. `model` is empty where only analysers ran."""

    model: str
    case: Case
    receipt: Receipt
    seconds: float


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share and its 95 % interval (Wilson), all None of nothing; `n` is what it is a share of.

    Repeated runs do not count as more of anything: they are not independent.
    """

    n: float
    share: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def decides(self) -> bool:
        return self.n >= ENOUGH


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all runs, of one area or of `all`. `cases` are the bugs that there were to find.

    `recall`: found of what there was; `precision`: right ones of all findings.
    """

    area: str
    cases: int
    found: int
    missed: int
    right: int
    false_alarms: int
    recall: Rate
    precision: Rate


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that was none, so that a person can look whether it was one after all.

    `found_by` names the analysers that alone told of it beside a model.
    """

    case: str
    path: str
    line: int
    area: str
    title: str
    found_by: str = ""


class AnalysersScore(msgspec.Struct, frozen=True, kw_only=True):
    """What analysers told and the model beside them did not; `found` are bugs that it missed."""

    found: int
    right: int
    false_alarms: int


class ModelScore(msgspec.Struct, frozen=True, kw_only=True):
    """What one model did; the first of `scores` is of all areas. `seconds` is one run's median.

    Only what the model told counts for it, also where an analyser told it as well. Without a
    model, all is the analysers'. `cut_off` counts reviews that a limit of money ended: they are in
    `usage` and nowhere else.
    """

    model: str
    scores: tuple[Score, ...]
    runs: int
    controls: int
    controls_kept_clean: int
    comments_per_change: float
    seconds: float
    not_reviewed: dict[str, int]
    dropped: dict[str, int]
    usage: ReceiptUsage
    missed: tuple[str, ...]
    false_alarms: tuple[Told, ...]
    analysers: AnalysersScore | None = None
    cut_off: int = 0


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A rate before and now. Only where the intervals part is it more than chance."""

    model: str
    area: str
    rate: str
    before: float
    now: float
    intervals_part: bool


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured. `cases_hash` names the cases; `left_out` says why some are missing."""

    version: int
    cases_hash: str
    repeat: int
    models: tuple[ModelScore, ...]
    left_out: str = ""
    compared: tuple[Difference, ...] = ()
    compared_with_other_cases: bool = False


def score(
    measured: Sequence[Measured],
    cases: Sequence[Case],
    *,
    repeat: int = 1,
    left_out: str = "",
    before: Evaluation | None = None,
) -> Evaluation:
    """Count what came of reviewing these cases, each model on its own.

    `left_out` says why not all was measured, if so. `before` is an earlier result to compare with:
    model by model, or of one model each, whatever its name.
    """
    by_model: dict[str, list[Measured]] = {}
    for one in measured:
        by_model.setdefault(one.model, []).append(one)
    models = tuple(_model_score(name, runs) for name, runs in by_model.items())
    cases_hash = _hash(cases)
    return Evaluation(
        version=VERSION,
        cases_hash=cases_hash,
        repeat=repeat,
        models=models,
        left_out=left_out,
        compared=tuple(_compared(models, before.models)) if before else (),
        compared_with_other_cases=before is not None and before.cases_hash != cases_hash,
    )


def encode_evaluation(evaluation: Evaluation) -> bytes:
    """Write a result as JSON, to be read and to be compared with."""
    return msgspec.json.format(msgspec.json.encode(evaluation))


def decode_evaluation(raw: bytes, name: str) -> Evaluation:
    """Read an earlier result. Raises Unusable when it is none, or of a version we do not know."""
    try:
        evaluation = msgspec.json.decode(raw, type=Evaluation)
    except msgspec.MsgspecError as exc:
        raise Unusable(f"{name}: this is no result of `eval --format json`: {exc}") from exc
    if evaluation.version != VERSION:
        raise Unusable(f"{name}: this result has version {evaluation.version}; I know {VERSION}")
    return evaluation


def is_below(evaluation: Evaluation, min_precision: float) -> bool:
    """Say whether a model's share of right findings is lower; one without findings has none."""
    shares = (one.scores[0].precision.share for one in evaluation.models)
    return any(share is not None and share < min_precision for share in shares)


def is_whole(evaluation: Evaluation, *, is_static: bool) -> bool:
    """Say whether all was measured, by a model unless `is_static` says that nobody expects one."""
    has_models = is_static or all(one.model for one in evaluation.models)
    is_done = not any(one.not_reviewed or one.cut_off for one in evaluation.models)
    return has_models and is_done and not evaluation.left_out


def is_cut_off(run: Measured) -> bool:
    """Say whether a limit of money ended a review, so that it says nothing of the model."""
    return run.receipt.state not in REVIEWED and Reason.OVER_BUDGET.value in run.receipt.reason


def wilson(hits: float, n: float) -> Rate:
    """Return the share `hits / n` with its 95 % interval (E. B. Wilson, 1927)."""
    if n <= 0:
        return Rate(n=0)
    share = hits / n
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    middle, scale = share + Z95**2 / (2 * n), 1 + Z95**2 / n
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return Rate(n=n, share=share, low=max(0.0, low), high=min(1.0, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One run and which of some findings were right."""

    run: Measured
    right: tuple[ReceiptFinding, ...]
    wrong: tuple[ReceiptFinding, ...]


def _is_models(run: Measured, finding: ReceiptFinding) -> bool:
    """Say whether a finding is of who is measured."""
    return not run.model or MODEL in finding.sources


def _judge(run: Measured, findings: Iterable[ReceiptFinding]) -> _Judged:
    """Give each place of the bug the first finding that hits it; what is left is a false alarm."""
    places = list(run.case.bugs)
    right, wrong = [], []
    for finding in findings:
        hit = next((place for place in places if is_hit(finding, place)), None)
        if hit is None:
            wrong.append(finding)
        else:
            places.remove(hit)
            right.append(finding)
    return _Judged(run=run, right=tuple(right), wrong=tuple(wrong))


def is_hit(finding: ReceiptFinding, bug: KnownBug) -> bool:
    """Say whether a finding tells of a bug: path, area, side, and at most `NEAR` lines away.

    About deleted lines it may as well stand on the lines of the new file around them.
    """
    if (finding.path, finding.area) != (bug.path, bug.area):
        return False
    if finding.side == bug.side:
        away = max(bug.start_line - finding.line, finding.start_line - bug.end_line)
        return away <= NEAR
    if bug.right_hunk is None or finding.side != Side.RIGHT:
        return False
    first, last = bug.right_hunk
    return first <= finding.line and finding.start_line <= last


def _model_score(name: str, all_runs: Sequence[Measured]) -> ModelScore:
    runs = [run for run in all_runs if not is_cut_off(run)]
    told = [[f for f in run.receipt.findings if _is_models(run, f)] for run in runs]
    judged = [_judge(run, findings) for run, findings in zip(runs, told, strict=True)]
    beside = [
        _judge(run, [f for f in run.receipt.findings if not _is_models(run, f)]) for run in runs
    ]
    controls = [one for one in judged if not one.run.case.bugs]
    asked = {one.run.case.area for one in judged} | {
        Area(finding.area) for one in judged for finding in one.wrong
    }
    inline = sum(f.summary_reason is None for findings in told for f in findings)
    return ModelScore(
        model=name,
        scores=(
            _score(None, judged),
            *(_score(area, judged) for area in Area if area in asked),
        ),
        runs=len(runs),
        controls=len(controls),
        controls_kept_clean=sum(not one.wrong and not _why_not(one.run) for one in controls),
        comments_per_change=inline / max(1, len(runs)),
        seconds=median([run.seconds for run in runs] or [0.0]),
        not_reviewed=dict(Counter(why for run in runs if (why := _why_not(run)))),
        dropped=dict(Counter(dropped.gate for run in runs for dropped in run.receipt.dropped)),
        usage=_usage(name, [run.receipt.usage for run in all_runs]),
        missed=tuple(_missed(judged)),
        false_alarms=(*_false_alarms(judged), *_false_alarms(beside)),
        analysers=_beside(judged, beside) if name else None,
        cut_off=len(all_runs) - len(runs),
    )


def _false_alarms(judged: Iterable[_Judged]) -> Iterator[Told]:
    for one in judged:
        for f in one.wrong:
            found_by = "" if _is_models(one.run, f) else ", ".join(f.sources)
            yield Told(
                case=one.run.case.id,
                path=f.path,
                line=f.line,
                area=f.area,
                title=f.title,
                found_by=found_by,
            )


def _beside(judged: Iterable[_Judged], beside: Sequence[_Judged]) -> AnalysersScore:
    """Count what only analysers told."""
    pairs = zip(judged, beside, strict=True)
    return AnalysersScore(
        found=sum(bool(theirs.right) and not one.right for one, theirs in pairs),
        right=sum(len(theirs.right) for theirs in beside),
        false_alarms=sum(len(theirs.wrong) for theirs in beside),
    )


def _score(area: Area | None, judged: Sequence[_Judged]) -> Score:
    """Count one area, or all: a bug belongs to its case's area, a false alarm to its own."""
    bugs = [one for one in judged if one.run.case.bugs and area in (None, one.run.case.area)]
    found = sum(bool(one.right) for one in bugs)
    n_cases = len({one.run.case.id for one in bugs})
    right = sum(area in (None, f.area) for one in judged for f in one.right)
    wrong = sum(area in (None, f.area) for one in judged for f in one.wrong)
    repeats = len(judged) / max(1, len({one.run.case.id for one in judged})) or 1.0
    return Score(
        area=area.value if area else ALL,
        cases=n_cases,
        found=found,
        missed=len(bugs) - found,
        right=right,
        false_alarms=wrong,
        recall=wilson(found * n_cases / len(bugs), n_cases) if bugs else wilson(0, 0),
        precision=wilson(right / repeats, (right + wrong) / repeats),
    )


def _why_not(run: Measured) -> str:
    """Say why a model did not review all of a case; a run without a model is what was asked for."""
    if not run.model or run.receipt.state in REVIEWED:
        return ""
    return f"{run.receipt.state}: {run.receipt.reason}"


def _missed(judged: Iterable[_Judged]) -> Iterator[str]:
    """List the bugs that some run missed, the most urgent first."""
    missed = {one.run.case.id: one.run.case.bugs[0] for one in judged if _is_missed(one)}
    for id, bug in sorted(missed.items(), key=lambda item: item[1].priority):
        yield f"{bug.priority} {id}"


def _is_missed(one: _Judged) -> bool:
    return bool(one.run.case.bugs) and not one.right


def _usage(name: str, all_of: Sequence[ReceiptUsage]) -> ReceiptUsage:
    asked = [usage for usage in all_of if usage.calls]
    prices = [usage.usd for usage in asked if usage.usd is not None]
    return ReceiptUsage(
        model=name or None,
        calls=sum(usage.calls for usage in asked),
        input_tokens=sum(usage.input_tokens for usage in asked),
        output_tokens=sum(usage.output_tokens for usage in asked),
        is_estimated=any(usage.is_estimated for usage in asked),
        usd=sum(prices) if asked and len(prices) == len(asked) else None,
    )


def _compared(now: Sequence[ModelScore], before: Sequence[ModelScore]) -> Iterator[Difference]:
    earlier = {one.model: one for one in before}
    if len(now) == len(before) == 1:
        earlier = {now[0].model: before[0]}
    for one in now:
        if one.model in earlier:
            yield from _differences(one, earlier[one.model])


def _differences(now: ModelScore, before: ModelScore) -> Iterator[Difference]:
    earlier = {score.area: score for score in before.scores}
    for score_now in now.scores:
        if score_before := earlier.get(score_now.area):
            for name in ("recall", "precision"):
                one: Rate = getattr(score_now, name)
                other: Rate = getattr(score_before, name)
                if one.share is not None and other.share is not None:
                    yield Difference(
                        model=now.model,
                        area=score_now.area,
                        rate=name,
                        before=other.share,
                        now=one.share,
                        intervals_part=_part(one, other),
                    )


def _part(one: Rate, other: Rate) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def _hash(cases: Sequence[Case]) -> str:
    """Name cases by what is reviewed and what is to be found."""
    text = "\0".join(sorted(f"{case.id}\0{case.diff!r}\0{case.bugs!r}" for case in cases))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


# ---- the report ----------------------------------------------------------------------------------

_COLUMNS = "{:<14}{:>6}{:>7}{:>8}{:>7}   {:<40}{}"


def render_evaluation(evaluation: Evaluation) -> str:
    """Render a result for a person at a terminal: plain text."""
    lines = [line for one in evaluation.models for line in _model_lines(one)]
    lines += _comparison(evaluation)
    if evaluation.left_out:
        lines.append(f"NOT EVERYTHING WAS MEASURED: {evaluation.left_out}")
    return obeyed_by_no_terminal(lines)


def _model_lines(one: ModelScore) -> Iterator[str]:
    yield one.model or "ANALYSERS ONLY: no model is configured, none was measured"
    yield _COLUMNS.format(
        "area", "bugs", "found", "missed", "false", "found of bugs", "right of all findings"
    ).rstrip()
    for score in one.scores:
        yield _COLUMNS.format(
            score.area,
            score.cases,
            score.found,
            score.missed,
            score.false_alarms,
            _rate(score.recall),
            _rate(score.precision),
        ).rstrip()
    yield (
        f"reviews: {one.runs}; comments each: {one.comments_per_change:.1f}; "
        f"seconds each (median): {one.seconds:.1f}; "
        f"clean changes left alone: {one.controls_kept_clean} of {one.controls}"
    )
    if one.model:
        yield _cost(one.usage)
    if one.analysers:
        yield (
            f"told by analysers only, not counted above: {one.analysers.right} right, "
            f"{one.analysers.false_alarms} false; bugs that the model missed: {one.analysers.found}"
        )
    if one.dropped:
        yield "dropped by gate: " + _counts(one.dropped)
    if one.not_reviewed:
        yield "NOT REVIEWED, counted as missed: " + _counts(one.not_reviewed)
    if one.cut_off:
        yield f"NOT MEASURED, cut off by a limit of money: {one.cut_off}"
    yield from _list("missed", one.missed)
    yield from _list(
        "false alarms",
        [
            f"{f.case}: {f.path}:{f.line} {f.area}: {f.title}"
            + (f" (told by {f.found_by} only)" if f.found_by else "")
            for f in one.false_alarms
        ],
    )
    yield ""


def _rate(rate: Rate) -> str:
    if rate.share is None or rate.low is None or rate.high is None:
        return "-"
    told = f"{rate.share:.0%} ({rate.low:.0%} to {rate.high:.0%})"
    return told if rate.decides else f"{told}, too few to decide"


def _cost(usage: ReceiptUsage) -> str:
    about = "about " if usage.is_estimated else ""
    price = "price unknown" if usage.usd is None else f"{usage.usd:.4f} USD"
    return (
        f"calls: {usage.calls}; tokens: {about}{usage.input_tokens} in, "
        f"{usage.output_tokens} out; {price}"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _list(name: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"{name}:"
        yield from (f"  {item}" for item in items)


def _comparison(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.compared_with_other_cases:
        yield "The earlier result is of other cases: a difference may be theirs."
    for one in evaluation.compared:
        certain = "the intervals part" if one.intervals_part else "the intervals overlap"
        yield (
            f"{one.model or 'analysers'}, {one.area}, {one.rate}: "
            f"{one.before:.0%} before, {one.now:.0%} now ({certain})"
        )
