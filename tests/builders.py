"""Domain values with defaults plus what a test cares about."""

from collections.abc import Mapping, Sequence

from app.review.answer import Usage
from app.review.config import Config
from app.review.coverage import Coverage, Row, Settled, Shown
from app.review.diff import Diff, Side, parse_diff
from app.review.findings import (
    NOT_CHECKED,
    Candidate,
    Dropped,
    Finding,
    Fingerprint,
    Location,
)
from app.review.findings import fingerprint as fingerprint_of
from app.review.focus import Area
from app.review.price import Spent
from app.review.priority import Priority
from app.review.pull import (
    Change,
    InstallationId,
    NotInDiff,
    PullRequest,
    RunId,
    Sha,
    Target,
)
from app.review.receipt import (
    NEVER,
    VERSION,
    Conclusion,
    Outcome,
    Receipt,
    ReceiptCoverage,
    ReceiptFinding,
    ReceiptNotice,
    ReceiptUsage,
    State,
)

RUN = RunId("run-1")
HEAD = Sha("a" * 40)
BASE = Sha("b" * 40)


def make_diff(files: Mapping[str, str] | None = None) -> Diff:
    """Build a diff that adds files (path → text)."""
    return parse_diff(added_files({"app.py": "x = 1\n"} if files is None else files))


def added_files(files: Mapping[str, str]) -> bytes:
    """Print as git does a diff that adds files (path → text that ends with a newline)."""
    return "".join(_added(path, text) for path, text in files.items()).encode()


def make_target(number: int = 1) -> Target:
    return Target(
        installation_id=InstallationId(7),
        repository_id=70,
        owner="acme",
        repo="shop",
        number=number,
    )


def make_pull(
    *,
    target: Target | None = None,
    title: str = "Sell more",
    body: str = "",
    author: str = "casey",
    head_sha: Sha = HEAD,
    base_sha: Sha = BASE,
    is_draft: bool = False,
) -> PullRequest:
    return PullRequest(
        target=target or make_target(),
        title=title,
        body=body,
        author=author,
        state="open",
        is_draft=is_draft,
        is_locked=False,
        is_archived=False,
        head_sha=head_sha,
        base_sha=base_sha,
        base_ref="main",
        default_branch="main",
    )


def make_change(
    *,
    diff: Diff | None = None,
    config: Config | None = None,
    pull: PullRequest | None = None,
    not_in_diff: tuple[NotInDiff, ...] = (),
) -> Change:
    pull = pull or make_pull()
    return Change(
        pull=pull,
        title=pull.title,
        body=pull.body,
        head_sha=pull.head_sha,
        base_sha=pull.base_sha,
        diff=diff or make_diff(),
        config=config or Config(),
        not_in_diff=not_in_diff,
    )


def make_location(
    path: str = "app.py", line: int = 2, *, start: int | None = None, side: Side = Side.RIGHT
) -> Location:
    return Location(path=path, side=side, start_line=line if start is None else start, line=line)


def make_candidate(
    *,
    area: Area = Area.CORRECTNESS,
    priority: Priority = Priority.P1,
    confidence: float = 0.9,
    title: str = "Loop ends too early",
    body: str = "The last item is skipped.",
    trigger: str = "any list",
    evidence: str = "for i in range(n - 1):",
    location: Location | None = None,
    source: str = "model",
    rule: str | None = None,
    suggestion: str | None = None,
) -> Candidate:
    return Candidate(
        area=area,
        priority=priority,
        confidence=confidence,
        title=title,
        body=body,
        trigger=trigger,
        evidence=evidence,
        location=location or make_location(),
        source=source,
        rule=rule,
        suggestion=suggestion,
    )


def make_finding(
    *,
    area: Area = Area.CORRECTNESS,
    priority: Priority = Priority.P1,
    confidence: float = 0.9,
    title: str = "Loop ends too early",
    body: str = "The last item is skipped.",
    trigger: str = "any list",
    evidence: str = "for i in range(n - 1):",
    location: Location | None = None,
    fingerprint: str | None = None,
    sources: tuple[str, ...] = ("model",),
    rule: str | None = None,
    suggestion: str | None = None,
    suggestion_refused: str | None = NOT_CHECKED,
    summary_reason: str | None = None,
) -> Finding:
    location = location or make_location()
    if fingerprint is None:
        fingerprint = fingerprint_of(location.path, area, evidence)
    return Finding(
        area=area,
        priority=priority,
        confidence=confidence,
        title=title,
        body=body,
        trigger=trigger,
        evidence=evidence,
        location=location,
        fingerprint=Fingerprint(fingerprint),
        sources=sources,
        rule=rule,
        suggestion=suggestion,
        suggestion_refused=suggestion_refused,
        summary_reason=summary_reason,
    )


def make_dropped(*, gate: str = "anchored", reason: str = "the quote is nowhere") -> Dropped:
    return Dropped(gate=gate, reason=reason, title="Not so", path="app.py", line=3, source="model")


def make_coverage(*states: Settled | Mapping[Area, Settled]) -> Coverage:
    """Build coverage of one hunk for each state; a bare state is that of correctness."""
    rows = []
    for number, state in enumerate(states or (Shown((0,)),), start=1):
        areas = state if isinstance(state, Mapping) else {Area.CORRECTNESS: state}
        rows.append(
            Row(
                path=f"file{number}.py",
                hunk=f"@@ -0,0 +1,{number} @@",
                hunk_key=f"hunk{number}",
                n_changed_lines=number,
                areas=areas,
            )
        )
    return Coverage(rows=tuple(rows))


def make_outcome(
    *,
    change: Change | None = None,
    coverage: Coverage | None = None,
    findings: tuple[Finding, ...] = (),
    dropped: tuple[Dropped, ...] = (),
    notices: tuple[NotInDiff, ...] = (),
    spent: Spent | None = None,
    model: str | None = "gpt-x",
    again: str = "",
) -> Outcome:
    return Outcome(
        run_id=RUN,
        change=change or make_change(),
        coverage=coverage or make_coverage(),
        findings=findings,
        dropped=dropped,
        notices=notices,
        spent=spent or Spent(usage=Usage(calls=1, input_tokens=1200, output_tokens=80), usd=None),
        model=model,
        again=again,
    )


def make_receipt_finding(
    *,
    fingerprint: str = "f1",
    area: str = "correctness",
    priority: Priority = Priority.P1,
    title: str = "Loop ends too early",
    body: str = "The last item is skipped.",
    trigger: str = "any list",
    path: str = "app.py",
    line: int = 2,
    evidence: str = "for i in range(n - 1):",
    sources: tuple[str, ...] = ("model",),
    rule: str | None = None,
    summary_reason: str | None = None,
) -> ReceiptFinding:
    return ReceiptFinding(
        fingerprint=fingerprint,
        area=area,
        priority=priority,
        confidence=0.9,
        title=title,
        body=body,
        path=path,
        side="RIGHT",
        start_line=line,
        line=line,
        evidence=evidence,
        trigger=trigger,
        sources=sources,
        rule=rule,
        summary_reason=summary_reason,
    )


def make_receipt(
    *findings: ReceiptFinding,
    state: State | None = None,
    conclusion: Conclusion | None = None,
    reason: str = "",
    coverage: Sequence[ReceiptCoverage] = (),
    notices: Sequence[ReceiptNotice] = (),
    usage: ReceiptUsage | None = None,
    head_sha: str | None = HEAD,
) -> Receipt:
    """Build a receipt: of findings, if there are any, else clean."""
    return Receipt(
        version=VERSION,
        run_id=RUN,
        head_sha=head_sha,
        base_sha=BASE,
        state=state or (State.FINDINGS if findings else State.CLEAN),
        conclusion=conclusion or (Conclusion.NEUTRAL if findings else Conclusion.SUCCESS),
        fail_on=NEVER,
        reason=reason,
        findings=findings,
        coverage=tuple(coverage),
        notices=tuple(notices),
        usage=usage
        or ReceiptUsage(model="gpt-x", calls=2, input_tokens=3400, output_tokens=120, usd=0.0123),
    )


def _added(path: str, text: str) -> str:
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"
    )
