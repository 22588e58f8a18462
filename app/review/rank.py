"""Which findings are worth a reader's time, and which of those stand inline."""

from collections.abc import Iterator
from dataclasses import replace

from app.review.findings import Finding, Gate, drop
from app.review.priority import Priority

GATE = "worth it"
NOT_UTF8 = "the name of its file is no UTF-8, so GitHub takes no comment on it"
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
        kept=tuple(_placed(worth, max_comments)),
        dropped=tuple(drop(f, GATE, f"{f.priority} is below {min_priority}") for f in dropped),
    )


def _placed(findings: list[Finding], max_comments: int) -> Iterator[Finding]:
    n_counted = 0
    for finding in findings:
        if finding.summary_reason is not None:
            yield finding
        elif not _is_utf8(finding.location.path):
            yield replace(finding, summary_reason=NOT_UTF8)
        elif finding.priority is Priority.P0:
            yield finding
        elif n_counted < max_comments:
            n_counted += 1
            yield finding
        else:
            yield replace(finding, summary_reason=OVER_THE_CAP)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
