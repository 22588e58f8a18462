"""What a finding is, from unproven candidate to kept finding, and the record of what fell."""

import hashlib
from dataclasses import dataclass, field
from typing import Generic, NewType, TypeVar

from app.review.diff import Side
from app.review.focus import Area
from app.review.priority import Priority

Fingerprint = NewType("Fingerprint", str)
T = TypeVar("T")

NOT_CHECKED = "it was not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in a diff: `start_line` … `line`, 1-based, both ends included, on one side."""

    path: str
    side: Side
    start_line: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a model or an analyser claims; nothing in it is proven yet."""

    area: Area
    priority: Priority
    confidence: float
    title: str
    body: str
    trigger: str
    evidence: str
    location: Location
    source: str
    rule: str | None = None
    suggestion: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim whose evidence stands in the change.

    `summary_reason` is None for a finding that is commented inline at `location`; otherwise it
    says why it stands in the summary. `sources` are "model" and names of analysers. A `suggestion`
    is prose for the reason in `suggestion_refused`; where that is None it is proven to apply, and
    is the exact text (line ends too) that the lines at `location` become. `is_unverified` where a
    second look was due and could not be had; else `verdict` is its reason, and `proofs` are what it
    asked and the lines that it quoted for each yes: a record, no part of what the finding is.
    """

    area: Area
    priority: Priority
    confidence: float
    title: str
    body: str
    trigger: str
    evidence: str
    location: Location
    fingerprint: Fingerprint
    sources: tuple[str, ...]
    rule: str | None = None
    suggestion: str | None = None
    suggestion_refused: str | None = NOT_CHECKED
    summary_reason: str | None = None
    is_unverified: bool = False
    verdict: str = field(default="", compare=False)
    proofs: tuple[tuple[str, str], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A candidate that a gate let fall, and why."""

    gate: str
    reason: str
    title: str
    path: str
    line: int
    source: str


def drop(finding: Finding, gate: str, reason: str) -> Dropped:
    """Record that a gate let a finding fall."""
    return Dropped(
        gate=gate,
        reason=reason,
        title=finding.title,
        path=finding.location.path,
        line=finding.location.line,
        source=", ".join(finding.sources),
    )


@dataclass(frozen=True, slots=True)
class Gate(Generic[T]):
    """What one gate let through, and its own record of what it dropped."""

    kept: tuple[T, ...]
    dropped: tuple[Dropped, ...] = field(default=())


def fingerprint(path: str, area: Area, evidence: str) -> Fingerprint:
    """Name a finding so that it is known again after a push: path, area and normalised quote."""
    quote = " ".join(evidence.split())
    text = "\0".join((path, area.value, quote))
    return Fingerprint(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16])
