"""A receipt as SARIF 2.1.0, as GitHub's code scanning and other viewers take it. Pure.

Limits and what GitHub does with each property:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from collections.abc import Iterator
from dataclasses import dataclass
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

_LEVELS = dict(zip(Priority, ("error", "error", "warning", "note"), strict=True))
_SECURITY_SEVERITY = dict(zip(Priority, ("9.5", "8.0", "5.5", "2.0"), strict=True))
"""What GitHub reads as critical, high, medium and low."""

_Object = dict[str, object]


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
    run = {
        "tool": {
            "driver": {
                "name": TOOL,
                "semanticVersion": version,
                "rules": [_rule(kind, first[kind]) for kind in kinds],
            }
        },
        "automationDetails": {"id": f"{TOOL}/{receipt.run_id}"},
        "invocations": [
            {
                "executionSuccessful": receipt.state in (State.CLEAN, State.FINDINGS),
                "toolExecutionNotifications": list(_notifications(receipt)),
            }
        ],
        "results": [_result(finding, kinds[_Kind.of(finding)]) for finding in told],
        "properties": {
            "state": receipt.state,
            "conclusion": receipt.conclusion,
            "headSha": receipt.head_sha,
        },
    }
    return msgspec.json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}).decode()


def _rule(kind: _Kind, finding: ReceiptFinding) -> _Object:
    what = f"A problem of {kind.area}" + (f" ({kind.rule})" if kind.rule else "")
    properties: _Object = {"tags": [kind.area]}
    if kind.priority:
        properties["security-severity"] = _SECURITY_SEVERITY[kind.priority]
    return {
        "id": kind.id,
        "name": kind.id,
        "shortDescription": {"text": what},
        "fullDescription": {"text": f"{what} in changed lines"},
        "help": {"text": "Each result says when it happens, and quotes the code that proves it."},
        "defaultConfiguration": {"level": _LEVELS[finding.priority]},
        "properties": properties,
    }


def _result(finding: ReceiptFinding, rule_index: int) -> _Object:
    return {
        "ruleId": _Kind.of(finding).id,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.priority],
        "message": _message("\n\n".join(_paragraphs(finding)), MAX_MESSAGE),
        "locations": [{"physicalLocation": {**_file(finding.path), "region": _region(finding)}}],
        "partialFingerprints": {"primaryLocationLineHash": f"{finding.fingerprint}:1"},
        "properties": {
            "area": finding.area,
            "priority": finding.priority,
            "confidence": finding.confidence,
            "side": finding.side,
            "sources": finding.sources,
        },
    }


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


def _region(finding: ReceiptFinding) -> _Object:
    """Name lines of the new file, the only ones there are: its first for removed ones."""
    if finding.side == Side.LEFT:
        return {"startLine": 1, "endLine": 1}
    start = max(1, finding.start_line)
    return {"startLine": start, "endLine": max(start, finding.line)}


def _notifications(receipt: Receipt) -> Iterator[_Object]:
    if receipt.state not in (State.CLEAN, State.FINDINGS):
        yield _notification(render_title(receipt), level="error")
    for mistake in receipt.mistakes:
        yield _notification(f"Configuration: {mistake}")
    if n_more := len(receipt.findings[MAX_RESULTS:]) + receipt.findings_cut:
        yield _notification(f"{n_more} more findings")
    skipped = list(what_was_skipped(receipt.coverage, receipt.notices).items())
    for path, why in skipped[:MAX_NOTIFICATIONS]:
        location = {"physicalLocation": _file(path)}
        yield _notification(f"Not reviewed: {path}: {why}") | {"locations": [location]}
    if n_more := len(skipped[MAX_NOTIFICATIONS:]):
        yield _notification(f"Not reviewed: {n_more} more files")


def _notification(text: str, level: str = "warning") -> _Object:
    return {"level": level, "message": _message(text)}


def _file(path: str) -> _Object:
    """Name a file relative to the root of the repository."""
    uri = quote(path)
    if uri.startswith("/"):  # two of them would begin the name of a host
        uri = f"%2F{uri[1:]}"
    return {"artifactLocation": {"uri": uri}}


def _message(text: str, limit: int = MAX_DESCRIPTION) -> _Object:
    """Show text that is not ours; `[text](target)` would be a link in it."""
    return {"text": cut(visible(text).replace("](", "] ("), limit)}
