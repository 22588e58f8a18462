"""Rules of the configuration about findings that nobody wants to hear of.

A rule without `about` is decided here, by area and path; one with `about` is asked of the judge.
"""

from app.review.config import Suppression
from app.review.findings import Dropped, Finding, Gate, drop
from app.review.globs import compile_globs
from app.review.history import GATE

SUPPRESSED = "suppressed by the configuration"
"""How the reason begins for which a rule, with or without `about`, dropped a finding."""


def suppressed(findings: tuple[Finding, ...], rules: tuple[Suppression, ...]) -> Gate[Finding]:
    """Drop the findings that a rule without `about` fits; a rule that says nothing fits none."""
    kept: list[Finding] = []
    dropped: list[Dropped] = []
    certain = [rule for rule in rules if not rule.about and (rule.area or rule.path)]
    for finding in findings:
        rule = next((rule for rule in certain if fits(rule, finding)), None)
        if rule is None:
            kept.append(finding)
        else:
            reason = f"{SUPPRESSED} ({describe(rule)})"
            dropped.append(drop(finding, GATE, reason))
    return Gate(kept=tuple(kept), dropped=tuple(dropped))


def fits(rule: Suppression, finding: Finding) -> bool:
    """Say whether a rule's area and path allow this finding; `about` is not looked at."""
    if rule.area is not None and rule.area is not finding.area:
        return False
    return rule.path is None or compile_globs((rule.path,)).matches(finding.location.path)


def describe(rule: Suppression) -> str:
    """Name a rule to people, as it stands in the configuration."""
    fields = (("area", rule.area), ("path", rule.path), ("about", rule.about))
    return ", ".join(f"{name}: {value}" for name, value in fields if value)
