"""A receipt as SARIF 2.1.0, as GitHub's code scanning and other viewers take it. Pure.

Limits and what GitHub does with each property:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from app.review.diff import Side
from app.review.focus import Area
from app.review.masking import visible
from app.review.priority import Priority
from app.review.receipt import Receipt, ReceiptFinding, State
from app.review.render import render_title, what_was_skipped
from app.review.text import cut

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
TOOL = "codex-review"
MAX_RESULTS = 5_000
"""GitHub shows so many of one run, and refuses files with more than 25,000."""
MAX_NOTIFICATIONS = 500
MAX_RULE = 200
MAX_DESCRIPTION = 1_024
MAX_MESSAGE = 8_000
"""Characters; GitHub takes 255 of a rule's name and 1,024 of its descriptions."""

_LEVELS = MappingProxyType(
    {
        Priority.P0: "error",
        Priority.P1: "error",
        Priority.P2: "warning",
        Priority.P3: "note",
    }
)
_SECURITY_SEVERITY = MappingProxyType(
    {Priority.P0: "9.5", Priority.P1: "8.0", Priority.P2: "5.5", Priority.P3: "2.0"}
)
"""What GitHub reads as critical, high, medium and low."""


class _Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An object of the format; what has its default is left out."""


class _Text(_Wire, frozen=True, kw_only=True):
    text: str


class _Artifact(_Wire, frozen=True, kw_only=True):
    uri: str


class _Region(_Wire, frozen=True, kw_only=True):
    start_line: int
    end_line: int


class _Place(_Wire, frozen=True, kw_only=True):
    artifact_location: _Artifact
    region: _Region | None = None


class _Location(_Wire, frozen=True, kw_only=True):
    physical_location: _Place


class _RuleProperties(_Wire, frozen=True, kw_only=True):
    tags: tuple[str, ...]
    security_severity: str | None = msgspec.field(name="security-severity", default=None)


class _Configuration(_Wire, frozen=True, kw_only=True):
    level: str


class _Rule(_Wire, frozen=True, kw_only=True):
    id: str
    name: str
    short_description: _Text
    full_description: _Text
    help: _Text
    default_configuration: _Configuration
    properties: _RuleProperties


class _ResultProperties(_Wire, frozen=True, kw_only=True):
    area: str
    priority: str
    confidence: float
    side: str
    sources: tuple[str, ...] = ()


class _Fingerprints(_Wire, frozen=True, kw_only=True):
    primary_location_line_hash: str


class _Result(_Wire, frozen=True, kw_only=True):
    rule_id: str
    rule_index: int
    level: str
    message: _Text
    locations: tuple[_Location, ...]
    partial_fingerprints: _Fingerprints
    properties: _ResultProperties


class _Notification(_Wire, frozen=True, kw_only=True):
    level: str
    message: _Text
    locations: tuple[_Location, ...] = ()


class _Invocation(_Wire, frozen=True, kw_only=True):
    execution_successful: bool
    tool_execution_notifications: tuple[_Notification, ...] = ()


class _Driver(_Wire, frozen=True, kw_only=True):
    name: str
    semantic_version: str
    rules: tuple[_Rule, ...]


class _Tool(_Wire, frozen=True, kw_only=True):
    driver: _Driver


class _Automation(_Wire, frozen=True, kw_only=True):
    id: str


class _RunProperties(_Wire, frozen=True, kw_only=True):
    state: str
    conclusion: str
    head_sha: str | None = None


class _Run(_Wire, frozen=True, kw_only=True):
    tool: _Tool
    automation_details: _Automation
    invocations: tuple[_Invocation, ...]
    results: tuple[_Result, ...]
    properties: _RunProperties


class _Log(_Wire, frozen=True, kw_only=True):
    schema: str = msgspec.field(name="$schema")
    version: str
    runs: tuple[_Run, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What makes a rule. GitHub takes the severity of a security alert from its rule alone, so
    there the priority makes one too."""

    area: str
    rule: str
    priority: Priority | None

    @classmethod
    def of(cls, finding: ReceiptFinding) -> "_Kind":
        is_security = finding.area == Area.SECURITY
        rule = cut(finding.rule or "", MAX_RULE)
        return cls(finding.area, rule, finding.priority if is_security else None)

    @property
    def id(self) -> str:
        parts = (self.area, self.rule, self.priority and self.priority.value)
        return "/".join(part for part in parts if part)


def render_sarif(receipt: Receipt, *, version: str) -> str:
    """Render a receipt as one SARIF run. `version` is this program's.

    A review that is not whole says so: it was no successful execution, and why.
    """
    told = receipt.findings[:MAX_RESULTS]
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys(map(_Kind.of, told)))}
    first = {_Kind.of(finding): finding for finding in reversed(told)}
    run = _Run(
        tool=_Tool(
            driver=_Driver(
                name=TOOL,
                semantic_version=version,
                rules=tuple(_rule(kind, first[kind]) for kind in kinds),
            )
        ),
        automation_details=_Automation(id=f"{TOOL}/{receipt.run_id}"),
        invocations=(
            _Invocation(
                execution_successful=receipt.state in (State.CLEAN, State.FINDINGS),
                tool_execution_notifications=tuple(_notifications(receipt)),
            ),
        ),
        results=tuple(_result(finding, kinds[_Kind.of(finding)]) for finding in told),
        properties=_RunProperties(
            state=receipt.state.value,
            conclusion=receipt.conclusion.value,
            head_sha=receipt.head_sha,
        ),
    )
    return msgspec.json.encode(_Log(schema=SCHEMA, version="2.1.0", runs=(run,))).decode()


def _rule(kind: _Kind, finding: ReceiptFinding) -> _Rule:
    what = f"A problem of {kind.area}" + (f" ({kind.rule})" if kind.rule else "")
    return _Rule(
        id=kind.id,
        name=kind.id,
        short_description=_Text(text=what),
        full_description=_Text(text=f"{what} in changed lines"),
        help=_Text(text="Each result says when it happens, and quotes the code that proves it."),
        default_configuration=_Configuration(level=_LEVELS[finding.priority]),
        properties=_RuleProperties(
            tags=(kind.area,),
            security_severity=kind.priority and _SECURITY_SEVERITY[kind.priority],
        ),
    )


def _result(finding: ReceiptFinding, rule_index: int) -> _Result:
    return _Result(
        rule_id=_Kind.of(finding).id,
        rule_index=rule_index,
        level=_LEVELS[finding.priority],
        message=_message("\n\n".join(_paragraphs(finding)), MAX_MESSAGE),
        locations=(_location(finding.path, _region(finding)),),
        partial_fingerprints=_Fingerprints(primary_location_line_hash=f"{finding.fingerprint}:1"),
        properties=_ResultProperties(
            area=finding.area,
            priority=finding.priority.value,
            confidence=finding.confidence,
            side=finding.side,
            sources=finding.sources,
        ),
    )


def _paragraphs(finding: ReceiptFinding) -> Iterator[str]:
    """Only the first sentence is shown where there is little room."""
    yield f"{finding.title.rstrip('.') or finding.area}."
    if finding.side == Side.LEFT:
        yield f"In line {finding.line}, which was removed."
    if finding.body:
        yield finding.body
    if finding.trigger not in finding.body:
        yield f"When: {finding.trigger}"
    yield finding.evidence


def _region(finding: ReceiptFinding) -> _Region:
    """Name lines of the new file, the only ones there are: its first for removed ones."""
    if finding.side == Side.LEFT:
        return _Region(start_line=1, end_line=1)
    start = max(1, finding.start_line)
    return _Region(start_line=start, end_line=max(start, finding.line))


def _notifications(receipt: Receipt) -> Iterator[_Notification]:
    if receipt.state not in (State.CLEAN, State.FINDINGS):
        yield _Notification(level="error", message=_message(render_title(receipt)))
    for mistake in receipt.mistakes:
        yield _Notification(level="warning", message=_message(f"Configuration: {mistake}"))
    if n_more := len(receipt.findings[MAX_RESULTS:]) + receipt.findings_cut:
        yield _Notification(level="warning", message=_message(f"{n_more} more findings"))
    skipped = list(what_was_skipped(receipt.coverage, receipt.notices).items())
    for path, why in skipped[:MAX_NOTIFICATIONS]:
        yield _Notification(
            level="warning",
            message=_message(f"Not reviewed: {path}: {why}"),
            locations=(_location(path),),
        )
    if n_more := len(skipped[MAX_NOTIFICATIONS:]):
        yield _Notification(level="warning", message=_message(f"Not reviewed: {n_more} more files"))


def _location(path: str, region: _Region | None = None) -> _Location:
    """Name a file relative to the root of the repository."""
    uri = quote(path)
    if uri.startswith("/"):  # two of them would begin the name of a host
        uri = f"%2F{uri[1:]}"
    return _Location(physical_location=_Place(artifact_location=_Artifact(uri=uri), region=region))


def _message(text: str, limit: int = MAX_DESCRIPTION) -> _Text:
    """Show text that is not ours; `[text](target)` would be a link in it."""
    return _Text(text=cut(visible(text).replace("](", "] ("), limit))
