"""One finding for one problem: the same place said twice becomes one finding with both sources."""

import re
from dataclasses import replace

from app.review.findings import Dropped, Finding, Gate, drop

GATE = "merged"
SIMILAR_TITLES = 0.5
MODEL = "model"


def merge(findings: tuple[Finding, ...]) -> Gate[Finding]:
    """Fold findings that tell of the same problem into the best telling, inline before aside.

    It takes over the others' sources, urgency and certainty.
    """
    kept: list[Finding] = []
    tellings: list[list[Finding]] = []
    dropped: list[Dropped] = []
    for finding in sorted(findings, key=_best_first):
        twins = (
            i
            for i, other in enumerate(kept)
            if is_same_problem(other, finding)
            or any(_tells_the_same(told, finding) for told in tellings[i])
        )
        twin = next(twins, None)
        if twin is None:
            kept.append(finding)
            tellings.append([finding])
            continue
        dropped.append(drop(finding, GATE, f"same as: {kept[twin].title}"))
        kept[twin] = _joined(kept[twin], finding)
        tellings[twin].append(finding)
    return Gate(kept=tuple(sorted(kept, key=_best_first)), dropped=tuple(dropped))


def _best_first(finding: Finding) -> tuple[object, ...]:
    place = finding.location
    return (
        finding.summary_reason is not None,
        finding.priority,
        MODEL not in finding.sources,
        -finding.confidence,
        place.path,
        place.line,
        finding.title,
    )


def is_same_problem(one: Finding, other: Finding) -> bool:
    """Say whether two findings tell of one problem: same evidence, or same place and meaning."""
    if _tells_the_same(one, other):
        return True
    return one.area == other.area and _overlap(one, other) and _agree_from_two_sides(one, other)


def has_similar_title(one: Finding, other: Finding) -> bool:
    """Say whether two findings are called alike."""
    return _similarity(one.title, other.title) >= SIMILAR_TITLES


def _tells_the_same(one: Finding, other: Finding) -> bool:
    if one.fingerprint == other.fingerprint:
        return True
    return _overlap(one, other) and has_similar_title(one, other)


def _overlap(one: Finding, other: Finding) -> bool:
    a, b = one.location, other.location
    if (a.path, a.side) != (b.path, b.side):
        return False
    return a.start_line <= b.line and b.start_line <= a.line


def _agree_from_two_sides(one: Finding, other: Finding) -> bool:
    """A model and an analyser on the same lines and area: a witness, not a second problem.

    One witness is enough: the next analyser's finding on these lines may be a problem of its own.
    """
    return {MODEL} in (set(one.sources), set(other.sources)) and (
        MODEL not in one.sources or MODEL not in other.sources
    )


def _similarity(one: str, other: str) -> float:
    """Share of words that two titles have in common (Jaccard), 0 … 1."""
    a, b = (set(re.findall(r"\w+", text.lower())) for text in (one, other))
    return len(a & b) / len(a | b) if a | b else 0.0


def _joined(finding: Finding, other: Finding) -> Finding:
    """A suggestion replaces exactly the lines of its finding: it is taken only from equal ones."""
    takes_theirs = finding.suggestion is None and other.location == finding.location
    proposing = other if takes_theirs else finding
    return replace(
        finding,
        priority=min(finding.priority, other.priority),
        sources=tuple(dict.fromkeys((*finding.sources, *other.sources))),
        confidence=max(finding.confidence, other.confidence),
        rule=finding.rule or other.rule,
        suggestion=proposing.suggestion,
        suggestion_refused=proposing.suggestion_refused,
    )
