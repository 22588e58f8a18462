"""The receipt: one run's verdict as versioned JSON, and the rules that decide it."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from app.review.answer import Usage
from app.review.coverage import Coverage, Reason, SettledRow
from app.review.diff import Side
from app.review.findings import Dropped, Finding, Fingerprint, Location
from app.review.focus import Area
from app.review.masking import mask
from app.review.priority import Priority
from app.review.pull import Change, NotInDiff, RunId

VERSION = 1
NEVER = "never"
UNREADABLE = frozenset((Reason.DAMAGED, Reason.TOO_LARGE))
"""Gaps that an analyser has as well as a model."""
MAX_SHORT = 200
MIN_LIMIT = 4_000
"""Characters that suffice for the ids, state and reason of any receipt."""


class State(StrEnum):
    CLEAN = "clean"
    FINDINGS = "findings"
    PARTIAL = "partial"
    CHECKED = "checked"
    SKIPPED = "skipped"
    OUT_OF_CREDIT = "out_of_credit"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class Conclusion(StrEnum):
    """A check run's conclusion, in GitHub's words."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    CANCELLED = "cancelled"


class ReceiptFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An open finding. `summary_reason` says why it is not an inline comment, if it is none."""

    fingerprint: str
    area: str
    priority: Priority
    confidence: float
    title: str
    body: str
    path: str
    side: str
    start_line: int
    line: int
    evidence: str
    trigger: str = ""
    sources: tuple[str, ...] = ()
    rule: str | None = None
    suggestion: str | None = None
    suggestion_refused: str | None = None
    summary_reason: str | None = None


class ReceiptCoverage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One hunk, or a whole file where `hunk` is empty: area → what became of it."""

    path: str
    hunk: str
    areas: dict[str, str]


class ReceiptDropped(msgspec.Struct, frozen=True, kw_only=True):
    gate: str
    reason: str
    title: str
    path: str
    line: int
    source: str


class ReceiptUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens over all calls. `usd` is None while no price is known."""

    model: str | None = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    is_estimated: bool = False
    usd: float | None = None


class ReceiptNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was not looked at, or not by everything that should have, and why."""

    path: str
    reason: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run's verdict about one head. `reason` is one short sentence for states that need one."""

    version: int
    run_id: str
    head_sha: str | None
    base_sha: str | None
    state: State
    conclusion: Conclusion
    fail_on: str
    reason: str = ""
    findings: tuple[ReceiptFinding, ...] = ()
    coverage: tuple[ReceiptCoverage, ...] = ()
    notices: tuple[ReceiptNotice, ...] = ()
    dropped: tuple[ReceiptDropped, ...] = ()
    usage: ReceiptUsage = ReceiptUsage()
    unposted: str = ""
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that one run came to. `model` is None where only analysers ran."""

    run_id: RunId
    change: Change
    coverage: Coverage
    findings: tuple[Finding, ...]
    dropped: tuple[Dropped, ...]
    notices: tuple[NotInDiff, ...]
    usage: Usage
    model: str | None


def conclude(outcome: Outcome) -> Receipt:
    """Decide the verdict about the head and write it down."""
    config = outcome.change.config
    state, reason = _state(outcome)
    return Receipt(
        version=VERSION,
        run_id=outcome.run_id,
        head_sha=outcome.change.head_sha,
        base_sha=outcome.change.base_sha,
        state=state,
        conclusion=_conclusion(state, outcome.findings, config.fail_on, config.fail_on_error),
        fail_on=config.fail_on or NEVER,
        reason=reason,
        findings=tuple(_finding(f) for f in sorted(outcome.findings, key=_urgency)),
        coverage=tuple(_coverage(row) for row in outcome.coverage.rows),
        notices=tuple(
            _notice(notice) for notice in (*outcome.notices, *_cut_lines(outcome.coverage))
        ),
        dropped=tuple(_dropped(one) for one in outcome.dropped),
        usage=ReceiptUsage(
            model=None if outcome.model is None else _publishable(outcome.model),
            calls=outcome.usage.calls,
            input_tokens=outcome.usage.input_tokens,
            output_tokens=outcome.usage.output_tokens,
            is_estimated=outcome.usage.is_estimated,
        ),
    )


def broken_off(
    run_id: RunId, *, head_sha: str | None, state: State, reason: str, fail_on_error: bool = False
) -> Receipt:
    """Write the receipt of a run that came to no verdict: failed, cancelled or superseded."""
    return Receipt(
        version=VERSION,
        run_id=run_id,
        head_sha=head_sha,
        base_sha=None,
        state=state,
        conclusion=_conclusion(state, (), None, fail_on_error),
        fail_on=NEVER,
        reason=_publishable(reason),
    )


def is_verdict(receipt: Receipt) -> bool:
    """Say whether a run came to a verdict about its head; one that was broken off did not."""
    return receipt.base_sha is not None


def unposted(receipt: Receipt, new: tuple[Finding, ...], reason: str) -> Receipt:
    """Note that the review could not be posted: none of the new findings has been told."""
    told = _publishable(reason)
    untold = {finding.fingerprint for finding in new}
    findings = tuple(
        msgspec.structs.replace(f, summary_reason=told) if f.fingerprint in untold else f
        for f in receipt.findings
    )
    return msgspec.structs.replace(receipt, findings=findings, unposted=told)


def is_blocked(receipt: Receipt, fail_on: Priority | None) -> bool:
    """Say whether an open finding is at or above `fail_on`."""
    return fail_on is not None and any(f.priority.at_or_above(fail_on) for f in receipt.findings)


def encode_receipt(receipt: Receipt, limit: int | None = None) -> str:
    """Return compact JSON, always valid; what has to go to keep within `limit` characters goes.

    Details go first (dropped candidates, coverage, notices), then findings' texts, then as many
    findings from the end as needed; `truncated` says so. Where the JSON is shown as Markdown, it
    links, mentions and draws nothing. The limit must leave room for ids (`MIN_LIMIT`).
    """
    if limit is None:
        return _inert(_json(receipt))
    if text := _within(limit, receipt):
        return text
    for shorter in _ever_shorter(receipt):
        if text := _within(limit, shorter):
            return text
    return _inert(_json(_with_as_many_findings_as_fit(shorter, limit)))


def decode_receipt(text: str | bytes) -> Receipt:
    """Read a receipt. Raises ValueError when it is none, or of a version we do not know."""
    try:
        receipt = msgspec.json.decode(text, type=Receipt)
    except msgspec.MsgspecError as exc:
        raise ValueError(f"this is no receipt: {exc}") from exc
    if receipt.version != VERSION:
        raise ValueError(f"this receipt has version {receipt.version}; I know {VERSION}")
    return receipt


def findings_of(receipt: Receipt) -> tuple[Finding, ...]:
    """Return the findings that were open, and told, when a receipt was written."""
    return tuple(
        Finding(
            area=Area(f.area),
            priority=f.priority,
            confidence=f.confidence,
            title=f.title,
            body=f.body,
            trigger=f.trigger,
            evidence=f.evidence,
            location=Location(path=f.path, side=Side(f.side), start_line=f.start_line, line=f.line),
            fingerprint=Fingerprint(f.fingerprint),
            sources=f.sources,
            rule=f.rule,
            suggestion=f.suggestion,
            summary_reason=f.summary_reason,
        )
        for f in receipt.findings
        if not receipt.unposted or f.summary_reason != receipt.unposted
    )


def _state(outcome: Outcome) -> tuple[State, str]:
    coverage = outcome.coverage
    gaps = coverage.gaps
    if not coverage.n_reviewed and set(gaps) <= {Reason.NOT_ASKED}:
        if outcome.findings:
            return State.CHECKED, "there was nothing for the model, only analysers ran"
        whose = "the areas asked for concern" if gaps else "a configured area concerns"
        return State.SKIPPED, f"nothing that {whose}"
    if outcome.model is None and not set(gaps) & UNREADABLE:
        return State.CHECKED, "no model is configured, only analysers ran"
    if outcome.model is None and Reason.NO_MODEL in gaps:
        return State.PARTIAL, _reasons(gaps)
    if not coverage.n_reviewed:
        if Reason.OUT_OF_CREDIT in gaps:
            return State.OUT_OF_CREDIT, Reason.OUT_OF_CREDIT.value
        return State.FAILED, _reasons(gaps)
    if gaps:
        return State.PARTIAL, _reasons(gaps)
    return (State.FINDINGS, "") if outcome.findings else (State.CLEAN, "")


def _reasons(gaps: Iterable[Reason]) -> str:
    return ", ".join(sorted({gap.value for gap in gaps}))


def _conclusion(
    state: State,
    findings: tuple[Finding, ...],
    fail_on: Priority | None,
    fail_on_error: bool,
) -> Conclusion:
    if state is State.CLEAN:
        return Conclusion.SUCCESS
    if state in (State.CANCELLED, State.SUPERSEDED):
        return Conclusion.CANCELLED
    if fail_on is not None and any(f.priority.at_or_above(fail_on) for f in findings):
        return Conclusion.FAILURE
    is_error = state in (State.PARTIAL, State.OUT_OF_CREDIT, State.FAILED)
    return Conclusion.FAILURE if is_error and fail_on_error else Conclusion.NEUTRAL


def _urgency(finding: Finding) -> Priority:
    return finding.priority


def _finding(finding: Finding) -> ReceiptFinding:
    place = finding.location
    return ReceiptFinding(
        fingerprint=finding.fingerprint,
        area=finding.area.value,
        priority=finding.priority,
        confidence=finding.confidence,
        title=_publishable(finding.title),
        body=_publishable(finding.body),
        path=_publishable(place.path),
        side=place.side.value,
        start_line=place.start_line,
        line=place.line,
        evidence=_publishable(finding.evidence),
        trigger=_publishable(finding.trigger),
        sources=tuple(_publishable(source) for source in finding.sources),
        rule=None if finding.rule is None else _publishable(finding.rule),
        suggestion=None if finding.suggestion is None else _publishable(finding.suggestion),
        suggestion_refused=None if finding.suggestion is None else finding.suggestion_refused,
        summary_reason=finding.summary_reason,
    )


def _cut_lines(coverage: Coverage) -> Iterator[NotInDiff]:
    for row in coverage.rows:
        if row.n_cut_lines:
            told = f"{row.n_cut_lines} lines so long that only their beginning was shown"
            yield NotInDiff(path=row.path, reason=told)


def _coverage(row: SettledRow) -> ReceiptCoverage:
    return ReceiptCoverage(
        path=_publishable(row.path),
        hunk=_publishable(row.hunk),
        areas={area.value: _publishable(str(state)) for area, state in row.areas.items()},
    )


def _notice(notice: NotInDiff) -> ReceiptNotice:
    return ReceiptNotice(path=_publishable(notice.path), reason=_publishable(notice.reason))


def _dropped(dropped: Dropped) -> ReceiptDropped:
    return ReceiptDropped(
        gate=dropped.gate,
        reason=_publishable(dropped.reason),
        title=_publishable(dropped.title),
        path=_publishable(dropped.path),
        line=dropped.line,
        source=_publishable(dropped.source),
    )


_NO_CHARACTER = re.compile("[\ud800-\udfff]")


def _publishable(text: str) -> str:
    """Hide secrets, and what is no character (bytes of a path, half a pair): JSON must be UTF-8."""
    return mask(_NO_CHARACTER.sub("\ufffd", text))


def _within(limit: int, receipt: Receipt) -> str | None:
    text = _json(receipt)
    if len(text) > limit:
        return None
    text = _inert(text)
    return text if len(text) <= limit else None


def _json(receipt: Receipt) -> str:
    return msgspec.json.encode(receipt).decode()


_LIVE = re.compile(r"[@#](?=\w)|(?<=\])\(|(?<=:)/(?=/)|(?<=www)\.", re.IGNORECASE)


def _inert(text: str) -> str:
    """Write as \\u… what Markdown would make live; in JSON it stands nowhere but in strings."""
    text = text.replace("<", "\\u003c")
    return _LIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _ever_shorter(receipt: Receipt) -> Iterator[Receipt]:
    replace = msgspec.structs.replace
    receipt = replace(receipt, truncated=True, dropped=())
    yield receipt
    receipt = replace(receipt, coverage=())
    yield receipt
    usage = replace(receipt.usage, model=receipt.usage.model and receipt.usage.model[:MAX_SHORT])
    receipt = replace(receipt, notices=(), reason=receipt.reason[:MAX_SHORT], usage=usage)
    yield receipt
    yield replace(receipt, findings=tuple(_shortened(finding) for finding in receipt.findings))


def _shortened(finding: ReceiptFinding) -> ReceiptFinding:
    return msgspec.structs.replace(
        finding, body="", trigger="", evidence="", suggestion=None, suggestion_refused=None
    )


def _with_as_many_findings_as_fit(receipt: Receipt, limit: int) -> Receipt:
    def first(n: int) -> Receipt:
        return msgspec.structs.replace(receipt, findings=receipt.findings[:n])

    counts = range(len(receipt.findings))
    n_that_fit = bisect_left(counts, True, key=lambda n: _within(limit, first(n)) is None)
    return first(max(0, n_that_fit - 1))
