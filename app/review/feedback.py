"""What became of findings: said, fixed, dismissed, disliked, resolved; and kinds nobody wants."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from app.review.findings import Finding, Fingerprint
from app.review.focus import Area
from app.review.merge import MODEL
from app.review.threads import Thread

MIN_PEOPLE, MIN_PULLS = 2, 3
UNWANTED_KIND = "findings of this kind were dismissed by two people on three pull requests"
SAME_KIND = 0.5
"""Share of words that the titles of two findings of one kind have in common."""


class What(StrEnum):
    SAID = "said"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    DISLIKED = "disliked"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What became of a finding. `who` is a person's login, where a person did it."""

    fingerprint: Fingerprint
    area: Area
    kind: str
    what: What
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """A finding of some kind was dismissed, by somebody, on a pull request."""

    kind: str
    who: str
    number: int


def feedback(finding: Finding, what: What, who: str = "") -> Feedback:
    """Note what became of a finding."""
    return Feedback(
        fingerprint=finding.fingerprint,
        area=finding.area,
        kind=kind_of(finding),
        what=what,
        who=who,
    )


def feedback_in(threads: Iterable[Thread], findings: Iterable[Finding]) -> tuple[Feedback, ...]:
    """Read what people think of findings from the threads that tell them."""
    by_fingerprint = {finding.fingerprint: finding for finding in findings}
    told = [(t, by_fingerprint[t.fingerprint]) for t in threads if t.fingerprint in by_fingerprint]
    return (
        *(feedback(f, What.DISLIKED, who) for t, f in told for who in t.disliked_by),
        *(feedback(f, What.RESOLVED, t.resolved_by) for t, f in told if t.is_resolved),
    )


def kind_of(finding: Finding) -> str:
    """Name a kind of finding over pull requests: an analyser's rule; of a model's, the area and
    the words of its title that are no names in the code."""
    if finding.rule and MODEL not in finding.sources:
        return f"{finding.sources[0]}:{finding.rule}"
    prose = re.sub(r"`[^`]*`|\S*[\d_()\[\]{}=./]\S*|\b\w+[A-Z]\w*", " ", finding.title)
    words = sorted(set(re.findall(r"[^\W\d_]{3,}", prose.lower())))
    return f"{finding.area}:{' '.join(words)}"


def is_same_kind(one: str, other: str) -> bool:
    """Compare kinds; titles differ a little from one telling to the next."""
    (area, _, a), (other_area, _, b) = one.partition(":"), other.partition(":")
    words, others = set(a.split()), set(b.split())
    if area != other_area or not (words and others):
        return False
    return len(words & others) >= SAME_KIND * len(words | others)


def unwanted_kinds(dismissals: Iterable[Dismissal]) -> tuple[str, ...]:
    """Name the kinds that were dismissed by enough people on enough pull requests."""
    known = tuple(dismissals)

    def is_unwanted(kind: str) -> bool:
        same = [one for one in known if is_same_kind(kind, one.kind)]
        people, pulls = {one.who for one in same}, {one.number for one in same}
        return len(people) >= MIN_PEOPLE and len(pulls) >= MIN_PULLS

    return tuple(filter(is_unwanted, dict.fromkeys(one.kind for one in known)))


def set_aside(findings: tuple[Finding, ...], unwanted: tuple[str, ...]) -> tuple[Finding, ...]:
    """Move findings of unwanted kinds to the summary, which says why."""

    def placed(finding: Finding) -> Finding:
        if finding.summary_reason or not any(is_same_kind(kind_of(finding), k) for k in unwanted):
            return finding
        return replace(finding, summary_reason=UNWANTED_KIND)

    return tuple(map(placed, findings))
