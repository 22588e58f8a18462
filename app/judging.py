"""Has a model look again, sceptically, at what a model found; asks once more where its answer
breaks the schema. Reads the files that a second look needs.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app import log
from app.errors import AnswerCut, AnswerInvalid, ModelError
from app.heads import read_heads
from app.ports import Changes, Model
from app.review.config import Suppression
from app.review.context import Sheet, rank_files
from app.review.coverage import Asked, Covered, Plan
from app.review.diff import FileDiff
from app.review.findings import Finding, Gate, drop
from app.review.judge import (
    FAILED,
    GATE,
    NOT_SENDABLE,
    Question,
    apply_verdicts,
    is_judged,
    make_questions,
    render_findings,
    render_notes,
    render_rules,
    unjudged,
)
from app.review.masking import mask
from app.review.priority import Priority
from app.review.prompt import Prompt, Prompts, render_judge, render_repair
from app.review.pull import Change
from app.review.verdict import Verdicts, parse_verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How the second look is asked for. `guidelines` tells those of some paths."""

    model: Model
    prompts: Prompts
    fence_secret: bytes
    guidelines: Callable[[Sequence[str]], str]
    salt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the second look left, in the order in which it came.

    `gaps`: number of a chunk → why it is not reviewed after all: what was found there could not be
    judged, and was not urgent enough to be told unverified.
    """

    gate: Gate[Finding]
    gaps: Mapping[int, ModelError | AnswerInvalid] = field(default_factory=dict)


async def judge_findings(
    findings: tuple[Finding, ...],
    change: Change,
    plan: Plan,
    changes: Changes,
    judge: Judge | None,
    *,
    least: Priority,
) -> Judged:
    """Keep the findings that a second look proves, and those that need none.

    None: those of analysers, those below `least` (nobody will be told of them), and all where
    there is no judge. A question that fails costs only its own findings.
    """
    due = [f for f in findings if is_judged(f) and f.priority.at_or_above(least)]
    if judge is None or not due:
        return Judged(gate=Gate(kept=findings))
    files = _sendable(change, plan)
    hidden = [finding for finding in due if finding.location.path not in files]
    claims = [finding for finding in due if finding.location.path in files]
    notes = [finding for finding in findings if not is_judged(finding)]
    heads = await _read_heads(claims, change, files, changes)
    questions = await asyncio.to_thread(
        _make_questions, claims, notes, files, heads, change.config.suppress
    )
    looks = await asyncio.gather(*(_look(question, change, judge) for question in questions))
    return _joined(findings, hidden, looks, plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What came of one question; `error` is why some of its findings have no verdict."""

    question: Question
    gate: Gate[Finding]
    error: ModelError | AnswerInvalid | None = None

    @property
    def lost(self) -> tuple[Finding, ...]:
        """The findings that were dropped for want of a verdict."""
        failed = {(one.line, one.title) for one in self.gate.dropped if one.reason == FAILED}
        return tuple(f for f in self.question.findings if (f.location.line, f.title) in failed)


def _joined(
    findings: Iterable[Finding], hidden: Iterable[Finding], looks: Iterable[_Look], plan: Plan
) -> Judged:
    settled: dict[Finding, Finding | None] = dict.fromkeys(hidden)
    gaps: dict[int, ModelError | AnswerInvalid] = {}
    for look in looks:
        kept = {finding.fingerprint: finding for finding in look.gate.kept}
        settled |= {f: kept.get(f.fingerprint) for f in look.question.findings}
        if look.error:
            gaps |= dict.fromkeys(_chunks_with(look.lost, plan), look.error)
    outcomes = (settled.get(finding, finding) for finding in findings)
    dropped = [drop(finding, GATE, NOT_SENDABLE) for finding in hidden]
    return Judged(
        gate=Gate(
            kept=tuple(finding for finding in outcomes if finding is not None),
            dropped=(*dropped, *(one for look in looks for one in look.gate.dropped)),
        ),
        gaps=gaps,
    )


def _chunks_with(findings: Iterable[Finding], plan: Plan) -> Iterator[int]:
    """Find the chunks that showed the places of findings for their areas."""
    places = [((f.location.path, f.location.side, f.location.line), f.area) for f in findings]
    for chunk in plan.chunks:
        if any(place in chunk.shown and area in chunk.areas for place, area in places):
            yield chunk.number


# ---- what is read --------------------------------------------------------------------------------


def _sendable(change: Change, plan: Plan) -> dict[str, FileDiff]:
    """Find the files that the model may see: those shown to it, now or in an earlier run."""
    paths = {
        row.path
        for row in plan.rows
        if any(isinstance(state, Asked | Covered) for state in row.areas.values())
    }
    return {file.path: file for file in change.diff.files if file.path in paths and file.hunks}


async def _read_heads(
    due: Sequence[Finding], change: Change, files: Mapping[str, FileDiff], changes: Changes
) -> dict[str, bytes | None]:
    """Read the files of findings, and a few more in which the names concerned may stand."""
    own = tuple(dict.fromkeys(finding.location.path for finding in due))
    others = await asyncio.to_thread(rank_files, due, tuple(files.values()))
    paths = (*own, *others) if due else ()
    heads = await read_heads(change, paths, changes)
    return {path: heads.get(path) for path in paths}


def _make_questions(
    claims: Sequence[Finding],
    notes: Sequence[Finding],
    files: Mapping[str, FileDiff],
    heads: Mapping[str, bytes | None],
    rules: Sequence[Suppression],
) -> tuple[Question, ...]:
    sheets = {path: Sheet(files[path], head) for path, head in heads.items()}
    return make_questions(claims, notes, sheets, rules)


# ---- what is asked -------------------------------------------------------------------------------


async def _look(question: Question, change: Change, judge: Judge) -> _Look:
    path = question.findings[0].location.path
    prompt = render_judge(
        judge.prompts,
        findings=render_findings(question),
        code=question.page.text,
        analysers=render_notes(question),
        rules=render_rules(question),
        title=change.title,
        body=change.body,
        guidelines=judge.guidelines((path,)),
        fence_secret=judge.fence_secret,
        salt=judge.salt,
    )
    try:
        verdicts = await _ask(judge.model, prompt, len(question.findings))
    except ModelError as exc:
        log.warning("judge.failed", path=path, error=mask(str(exc)))
        return _Look(question=question, gate=unjudged(question.findings), error=exc)
    gate = await asyncio.to_thread(apply_verdicts, question, verdicts.by_number)
    is_whole = len(verdicts.by_number) == len(question.findings)
    if not is_whole:
        log.warning("judge.failed", path=path, error=verdicts.problem)
    error = None if is_whole else AnswerInvalid(verdicts.problem)
    return _Look(question=question, gate=gate, error=error)


async def _ask(model: Model, prompt: Prompt, n_findings: int) -> Verdicts:
    """Ask, read, and have what is broken or missing asked for once more.

    Raises a ModelError of the first call; where the second fails, what the first said counts, and
    so does what came of an answer that was cut off.
    """
    try:
        answer = await model.ask(prompt)
    except AnswerCut as exc:
        return _parsed(exc.text, n_findings)
    verdicts = _parsed(answer.text, n_findings)
    if len(verdicts.by_number) == n_findings:
        return verdicts
    try:
        repaired = await model.ask(render_repair(prompt, verdicts.problem))
    except ModelError:
        return verdicts
    again = _parsed(repaired.text, n_findings)
    return replace(again, by_number={**again.by_number, **verdicts.by_number})


def _parsed(text: str, n_findings: int) -> Verdicts:
    try:
        return parse_verdicts(text, n_findings)
    except AnswerInvalid as exc:
        return Verdicts(by_number={}, problem=str(exc))
