"""The receipt: one run's verdict as versioned JSON, and the rules that decide it."""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

from app.review.coverage import Coverage, Reason, Row, Settled
from app.review.diff import Side
from app.review.findings import Dropped, Finding, Fingerprint, Location, drop
from app.review.focus import Area
from app.review.guidelines import names_of_guidelines
from app.review.history import DISMISSED, GATE
from app.review.masking import mask
from app.review.merge import MODEL
from app.review.price import Spent
from app.review.priority import Priority
from app.review.pull import Change, NotInDiff, PullRequest, RunId
from app.review.text import cut

VERSION = 1
NEVER = "never"
UNREADABLE = frozenset((Reason.DAMAGED, Reason.TOO_LARGE))
"""Gaps that an analyser has as well as a model."""
NO_MONEY = (Reason.OUT_OF_CREDIT, Reason.OVER_BUDGET)
MAX_SHORT = 200
MAX_PROOF = 400
TESTS_NOT_RUN = "not run: there is no sandbox for a repository's tests yet"
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

    fingerprint: Annotated[str, Meta(description="The same for the same problem after a push.")]
    area: Annotated[str, Meta(description="The focus area.")]
    priority: Annotated[Priority, Meta(description="P0 (drop everything) to P3 (nit).")]
    confidence: Annotated[float, Meta(description="From 0 to 1.")]
    title: str
    body: Annotated[str, Meta(description="What is wrong, when, and what follows.")]
    path: str
    side: Annotated[str, Meta(description="RIGHT: the new file's lines; LEFT: the old one's.")]
    start_line: Annotated[int, Meta(description="1-based.")]
    line: Annotated[int, Meta(description="The last line, 1-based, included.")]
    evidence: Annotated[str, Meta(description="The quoted code that proves it.")]
    trigger: Annotated[str, Meta(description="When it happens.")] = ""
    sources: Annotated[tuple[str, ...], Meta(description="`model`, and names of analysers.")] = ()
    rule: Annotated[str | None, Meta(description="The analyser's rule.")] = None
    suggestion: Annotated[str | None, Meta(description="What the lines might become.")] = None
    suggestion_refused: Annotated[
        str | None, Meta(description="Why the suggestion is no block that can be applied.")
    ] = None
    summary_reason: Annotated[
        str | None, Meta(description="Why there is no inline comment, if there is none.")
    ] = None
    is_unverified: Annotated[
        bool, Meta(description="True where the second look failed, so that nobody checked it.")
    ] = False
    verdict: Annotated[str, Meta(description="What the second look said, in short.")] = ""
    proofs: Annotated[
        tuple[tuple[str, str], ...],
        Meta(description="What the second look asked, and the lines that prove each yes."),
    ] = ()
    guidelines: Annotated[
        tuple[str, ...],
        Meta(description="The repository's instructions that the model had about this file."),
    ] = ()


class ReceiptCoverage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One hunk, or a whole file where `hunk` is empty: area → what became of it."""

    path: str
    hunk: Annotated[str, Meta(description="The `@@` line.")]
    areas: Annotated[
        dict[str, str],
        Meta(
            description="Focus area → `shown …`, `covered`, `not concerned`, `withheld: …` or "
            "`left out: …`."
        ),
    ]


class ReceiptDropped(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that a gate let fall."""

    gate: str
    reason: str
    title: str
    path: str
    line: int
    source: str


class ReceiptUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens over all calls. `usd` is None while no price is known."""

    model: Annotated[str | None, Meta(description="Absent where only analysers ran.")] = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    is_estimated: bool = False
    usd: Annotated[float | None, Meta(description="Absent while no price is known.")] = None


class ReceiptNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was not looked at, or not by everything that should have, and why."""

    path: str
    reason: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One run's verdict about one head."""

    version: Annotated[int, Meta(description="Of this format. Keys may be added to a version.")]
    run_id: str
    head_sha: Annotated[str | None, Meta(description="null where the head is no commit.")]
    base_sha: Annotated[str | None, Meta(description="null where the run was broken off.")]
    base_ref: Annotated[
        str | None, Meta(description="The base branch of the pull request, if it is one.")
    ] = None
    state: State
    conclusion: Annotated[Conclusion, Meta(description="Of the check run.")]
    fail_on: Annotated[
        str,
        Meta(
            pattern=f"^(P[0-3]|{NEVER})$",
            description="Findings of this priority or above block.",
        ),
    ]
    reason: Annotated[str, Meta(description="Why, for states that need a reason.")] = ""
    again: Annotated[
        str, Meta(description="Why code that was shown before was shown again, if nobody asked.")
    ] = ""
    findings: Annotated[
        tuple[ReceiptFinding, ...],
        Meta(description="All that are open on the head, the most urgent first."),
    ] = ()
    coverage: tuple[ReceiptCoverage, ...] = ()
    notices: tuple[ReceiptNotice, ...] = ()
    dropped: tuple[ReceiptDropped, ...] = ()
    usage: ReceiptUsage = ReceiptUsage()
    mistakes: Annotated[
        tuple[str, ...], Meta(description="Of the configuration; what they name had no effect.")
    ] = ()
    unposted: Annotated[str, Meta(description="Why the review was not posted.")] = ""
    tests: Annotated[
        str, Meta(description="What became of the wish to run the tests; empty: nobody wished.")
    ] = ""
    truncated: Annotated[bool, Meta(description="Something had to go to keep within a limit.")] = (
        False
    )
    findings_cut: Annotated[
        int, Meta(description="So many findings had to go, the least urgent ones.")
    ] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that one run came to. `model` is None where only analysers ran."""

    run_id: RunId
    change: Change
    coverage: Coverage
    findings: tuple[Finding, ...]
    dropped: tuple[Dropped, ...]
    notices: tuple[NotInDiff, ...]
    spent: Spent
    model: str | None
    tests_wanted: bool = False
    again: str = ""


def conclude(outcome: Outcome) -> Receipt:
    """Decide the verdict about the head and write it down."""
    config, pull = outcome.change.config, outcome.change.pull
    state, reason = _state(outcome)
    return Receipt(
        version=VERSION,
        run_id=outcome.run_id,
        head_sha=outcome.change.head_sha,
        base_sha=outcome.change.base_sha,
        base_ref=_publishable(pull.base_ref) if pull else None,
        state=state,
        conclusion=_conclusion(state, outcome.findings, config.fail_on, config.fail_on_error),
        fail_on=config.fail_on or NEVER,
        reason=reason,
        again=outcome.again,
        findings=tuple(_finding(f, outcome.change) for f in sorted(outcome.findings, key=_urgency)),
        coverage=tuple(_coverage(row) for row in outcome.coverage.rows),
        notices=tuple(
            _notice(notice) for notice in (*outcome.notices, *_cut_lines(outcome.coverage))
        ),
        dropped=tuple(_dropped(one) for one in outcome.dropped),
        usage=usage_of(outcome.spent, outcome.model),
        mistakes=tuple(_publishable(mistake) for mistake in outcome.change.mistakes),
        tests=TESTS_NOT_RUN if outcome.tests_wanted else "",
    )


def usage_of(spent: Spent, model: str | None) -> ReceiptUsage:
    """Write down what a run has cost; `model` None where only analysers ran."""
    return ReceiptUsage(
        model=None if model is None else _publishable(model),
        calls=spent.usage.calls,
        input_tokens=spent.usage.input_tokens,
        output_tokens=spent.usage.output_tokens,
        is_estimated=spent.usage.is_estimated,
        usd=None if spent.usd is None or not spent.usage.calls else round(spent.usd, 6),
    )


def broken_off(
    run_id: RunId,
    *,
    head_sha: str | None,
    state: State,
    reason: str,
    fail_on_error: bool = False,
    tests_wanted: bool = False,
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
        tests=TESTS_NOT_RUN if tests_wanted else "",
    )


def is_verdict(receipt: Receipt) -> bool:
    """Say whether a run came to a verdict about its head; one that was broken off did not."""
    return receipt.base_sha is not None


def is_about(receipt: Receipt, pull: PullRequest) -> bool:
    """Say whether a verdict is about this head and this base branch."""
    return receipt.head_sha == pull.head_sha and receipt.base_ref == _publishable(pull.base_ref)


def unposted(receipt: Receipt, new: tuple[Finding, ...], reason: str) -> Receipt:
    """Note that the review could not be posted: none of the new findings has been told."""
    told = _publishable(reason)
    untold = {finding.fingerprint for finding in new}
    findings = tuple(
        msgspec.structs.replace(f, summary_reason=told) if f.fingerprint in untold else f
        for f in receipt.findings
    )
    return msgspec.structs.replace(receipt, findings=findings, unposted=told)


def withdrawn(
    receipt: Receipt, fingerprints: Collection[str], run_id: RunId, *, fail_on_error: bool
) -> Receipt:
    """Take findings out of a verdict: the same head's, for which nothing was looked at anew."""
    kept = tuple(f for f in receipt.findings if f.fingerprint not in fingerprints)
    gone = (
        _dropped(drop(finding_of(f), GATE, DISMISSED))
        for f in receipt.findings
        if f.fingerprint in fingerprints
    )
    is_clean = receipt.state is State.FINDINGS and not kept
    state = State.CLEAN if is_clean else receipt.state
    return msgspec.structs.replace(
        receipt,
        run_id=run_id,
        state=state,
        conclusion=_conclusion(state, kept, threshold(receipt), fail_on_error),
        findings=kept,
        dropped=(*receipt.dropped, *gone),
        usage=ReceiptUsage(model=receipt.usage.model),
    )


def threshold(receipt: Receipt) -> Priority | None:
    """Return the priority from which on findings block, as the receipt itself has it."""
    return None if receipt.fail_on == NEVER else Priority(receipt.fail_on)


def is_blocked(receipt: Receipt, fail_on: Priority | None) -> bool:
    """Say whether an open finding is at or above `fail_on`."""
    return fail_on is not None and any(f.priority.at_or_above(fail_on) for f in receipt.findings)


def is_reviewed(receipt: Receipt, fail_on: Priority | None, *, is_static: bool) -> bool:
    """Say whether all was reviewed; with `is_static` nobody expects a model to have looked.

    What cannot be ruled out to block is not passed: a receipt whose findings had to be cut.
    """
    if receipt.findings_cut and fail_on is not None:
        return False
    is_checked = is_static and receipt.state is State.CHECKED
    return is_checked or receipt.state in (State.CLEAN, State.FINDINGS)


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
        finding_of(f)
        for f in receipt.findings
        if not receipt.unposted or f.summary_reason != receipt.unposted
    )


def finding_of(f: ReceiptFinding) -> Finding:
    """Return a finding as it was when it was written down."""
    return Finding(
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
        is_unverified=f.is_unverified,
        verdict=f.verdict,
        proofs=f.proofs,
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
        if no_money := [gap for gap in gaps if gap in NO_MONEY]:
            return State.OUT_OF_CREDIT, _reasons(no_money)
        return State.FAILED, _reasons(gaps)
    if gaps:
        return State.PARTIAL, _reasons(gaps)
    return (State.FINDINGS, "") if outcome.findings else (State.CLEAN, "")


def _reasons(gaps: Iterable[Reason]) -> str:
    return ", ".join(sorted({gap.value for gap in gaps}))


def _conclusion(
    state: State,
    findings: Sequence[Finding | ReceiptFinding],
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


def _finding(finding: Finding, change: Change) -> ReceiptFinding:
    place = finding.location
    told = names_of_guidelines(place.path, change.config.instructions, change.agents)
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
        is_unverified=finding.is_unverified,
        verdict=_publishable(finding.verdict),
        proofs=tuple((why, _publishable(cut(line, MAX_PROOF))) for why, line in finding.proofs),
        guidelines=tuple(map(_publishable, told)) if MODEL in finding.sources else (),
    )


def _cut_lines(coverage: Coverage) -> Iterator[NotInDiff]:
    for row in coverage.rows:
        if row.n_cut_lines:
            told = f"{row.n_cut_lines} lines so long that only their beginning was shown"
            yield NotInDiff(path=row.path, reason=told)


def _coverage(row: Row[Settled]) -> ReceiptCoverage:
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


@lru_cache(maxsize=1_000)  # a state or a reason stands beside each of very many files
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
    receipt = replace(
        receipt,
        base_ref=receipt.base_ref and receipt.base_ref[:MAX_SHORT],
        notices=(),
        mistakes=(),
        reason=receipt.reason[:MAX_SHORT],
        usage=usage,
    )
    yield receipt
    yield replace(receipt, findings=tuple(_shortened(finding) for finding in receipt.findings))


def _shortened(finding: ReceiptFinding) -> ReceiptFinding:
    return msgspec.structs.replace(
        finding,
        body="",
        trigger="",
        evidence="",
        suggestion=None,
        suggestion_refused=None,
        verdict="",
        proofs=(),
        guidelines=(),
    )


def _with_as_many_findings_as_fit(receipt: Receipt, limit: int) -> Receipt:
    def first(n: int) -> Receipt:
        n_cut = len(receipt.findings) - n
        return msgspec.structs.replace(
            receipt, findings=receipt.findings[:n], findings_cut=receipt.findings_cut + n_cut
        )

    counts = range(len(receipt.findings))
    n_that_fit = bisect_left(counts, True, key=lambda n: _within(limit, first(n)) is None)
    return first(max(0, n_that_fit - 1))
