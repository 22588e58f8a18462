"""Which findings are worth a reader's time, and which of those stand inline."""

from dataclasses import replace

from app.review.findings import Dropped, Finding, Gate
from app.review.priority import Priority

GATE = "worth it"
OVER_THE_CAP = "beyond the limit of inline comments"


def rank(
    findings: tuple[Finding, ...], *, min_priority: Priority, max_comments: int
) -> Gate[Finding]:
    """Order findings by urgency, drop those below `min_priority`, cap the inline ones.

    P0 is never counted against `max_comments`; what is over the cap goes to the summary.
    """
    worth = [f for f in findings if f.priority.at_or_above(min_priority)]
    worth.sort(key=lambda f: (f.priority, -f.confidence, f.location.path, f.location.line))
    dropped = (f for f in findings if not f.priority.at_or_above(min_priority))
    return Gate(
        kept=_capped(worth, max_comments),
        dropped=tuple(_dropped(f, min_priority) for f in dropped),
    )


def _capped(findings: list[Finding], max_comments: int) -> tuple[Finding, ...]:
    kept, inline = [], 0
    for finding in findings:
        if finding.summary_reason is None and finding.priority is not Priority.P0:
            inline += 1
            if inline > max_comments:
                finding = replace(finding, summary_reason=OVER_THE_CAP)
        kept.append(finding)
    return tuple(kept)


def _dropped(finding: Finding, min_priority: Priority) -> Dropped:
    return Dropped(
        gate=GATE,
        reason=f"{finding.priority} is below {min_priority}",
        title=finding.title,
        path=finding.location.path,
        line=finding.location.line,
        source=", ".join(finding.sources),
    )
