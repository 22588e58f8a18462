"""Receipts and feedback with defaults plus what a test cares about."""

from app.review.feedback import Feedback, What
from app.review.findings import Fingerprint
from app.review.focus import Area
from app.review.priority import Priority
from app.review.receipt import Conclusion, Receipt, ReceiptFinding, State


def receipt(run_id: str, *fingerprints: str) -> Receipt:
    return Receipt(
        version=1,
        run_id=run_id,
        head_sha="a" * 40,
        base_sha="b" * 40,
        state=State.FINDINGS if fingerprints else State.CLEAN,
        conclusion=Conclusion.NEUTRAL if fingerprints else Conclusion.SUCCESS,
        fail_on="never",
        findings=tuple(_finding(fingerprint) for fingerprint in fingerprints),
    )


def _finding(fingerprint: str) -> ReceiptFinding:
    return ReceiptFinding(
        fingerprint=fingerprint,
        area="security",
        priority=Priority.P1,
        confidence=0.9,
        title="SQL injection “here”",
        body="b",
        path="a.py",
        side="RIGHT",
        start_line=1,
        line=2,
        evidence="x",
    )


def became(fingerprint: str, what: What, who: str = "", area: Area = Area.SECURITY) -> Feedback:
    return Feedback(
        fingerprint=Fingerprint(fingerprint), area=area, kind=f"{area}:a kind", what=what, who=who
    )
