"""The sceptical second look: which findings are put to the judge, with which code, and what its
verdicts come to.

A yes counts only with a line that proves it, held to the same rule as a finding's evidence. What an
analyser found, alone or beside the model, is not put to the judge: it proves itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

from app.review.anchor import standing
from app.review.config import Suppression
from app.review.context import Page, Selection, Sheet, Shown, add_elsewhere, names_of, room_of
from app.review.findings import Dropped, Finding, Gate, drop
from app.review.merge import MODEL
from app.review.priority import Priority
from app.review.suppress import SUPPRESSED, fits
from app.review.text import cut
from app.review.verdict import Doubt, Verdict

GATE = "judged"
FAILED = "the second look failed"
NOT_SENDABLE = "its file is none that the model may see"

MAX_FINDINGS = 6
MAX_CODE_TOKENS = 4_000
MAX_NAMES_TOKENS = 2_000
"""What one question holds: findings, the code around them, and code elsewhere."""
MAX_NEAR = 10
MAX_NOTES = 10
MAX_CLAIM = 1_500
MAX_ABOUT = 300
MAX_RULES = 20

_ASKED = {
    Doubt.INTRODUCED: "introduced here?",
    Doubt.TRUE: "does the code do this?",
    Doubt.HAPPENS: "can the trigger happen?",
    Doubt.WORTH_FIXING: "would the author fix it?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked at once: findings of one file, numbered from 1, and what may decide them.

    `rules` are those of the repository that may fit any of the findings, numbered from 1.
    """

    findings: tuple[Finding, ...]
    page: Page
    notes: tuple[Finding, ...] = ()
    rules: tuple[Suppression, ...] = ()


def is_judged(finding: Finding) -> bool:
    """Say whether a finding has nothing but a model's word."""
    return set(finding.sources) == {MODEL}


def make_questions(
    findings: Iterable[Finding],
    notes: Sequence[Finding],
    sheets: Mapping[str, Sheet],
    rules: Iterable[Suppression],
) -> tuple[Question, ...]:
    """Put findings into questions, file by file, near places together.

    `notes` are what analysers found; `sheets` holds the files of the findings, and others in which
    names may stand.
    """
    asking = [rule for rule in rules if rule.about]
    return tuple(
        question
        for path, of_file in groupby(
            sorted(findings, key=_place), key=lambda finding: finding.location.path
        )
        for question in _questions_of_file(tuple(of_file), sheets, path, notes, asking)
    )


def render_findings(question: Question) -> str:
    """Write the numbered claims; no claim can look like another one."""
    return "\n\n".join(
        _claim(number, finding, question.rules)
        for number, finding in enumerate(question.findings, start=1)
    )


def render_notes(question: Question) -> str:
    """Write what analysers said near the findings, one a line."""
    return "\n".join(
        f"line {note.location.line}, {', '.join(filter(None, (*note.sources, note.rule)))}: "
        f"{_one_line(note.title)}"
        for note in question.notes
    )


def render_rules(question: Question) -> str:
    """Write what the repository does not want to hear about, one a line."""
    return "\n".join(
        f"{number}. {cut(_one_line(rule.about or ''), MAX_ABOUT)}"
        for number, rule in enumerate(question.rules, start=1)
    )


def apply_verdicts(question: Question, verdicts: Mapping[int, Verdict]) -> Gate[Finding]:
    """Keep the findings for which every yes is proven; drop the others, saying why.

    A finding without a verdict is treated as if the judge had failed.
    """
    proofs = _Proofs(question.page, verdicts.values())
    gates = [
        unjudged((finding,))
        if (verdict := verdicts.get(number)) is None
        else _settled(finding, verdict, question.rules, proofs)
        for number, finding in enumerate(question.findings, start=1)
    ]
    return Gate(
        kept=tuple(chain.from_iterable(gate.kept for gate in gates)),
        dropped=tuple(chain.from_iterable(gate.dropped for gate in gates)),
    )


def unjudged(findings: Iterable[Finding]) -> Gate[Finding]:
    """Settle findings without a verdict: what is urgent stays and says that nobody verified it."""
    urgent: list[Finding] = []
    dropped: list[Dropped] = []
    for finding in findings:
        if finding.priority.at_or_above(Priority.P1):
            urgent.append(replace(finding, is_unverified=True))
        else:
            dropped.append(drop(finding, GATE, FAILED))
    return Gate(kept=tuple(urgent), dropped=tuple(dropped))


# ---- questions -----------------------------------------------------------------------------------


def _place(finding: Finding) -> tuple[str, int, int, str, str]:
    place = finding.location
    return place.path, place.start_line, place.line, place.side, finding.fingerprint


def _questions_of_file(
    claims: tuple[Finding, ...],
    sheets: Mapping[str, Sheet],
    path: str,
    notes: Sequence[Finding],
    rules: Sequence[Suppression],
) -> Iterator[Question]:
    """Take claims together as long as the code around them fits one question."""
    sheet, limit = sheets[path], room_of(MAX_CODE_TOKENS)
    together: list[Finding] = []
    selection = Selection()
    for claim in claims:
        rows = tuple(sheet.around(claim.location))
        if together and (len(together) == MAX_FINDINGS or not selection.fits(sheet, rows, limit)):
            yield _question(together, selection, sheets, sheet, notes, rules)
            together, selection = [], Selection()
        together.append(claim)
        selection.add(sheet, rows, limit)
    yield _question(together, selection, sheets, sheet, notes, rules)


def _question(
    claims: Sequence[Finding],
    selection: Selection,
    sheets: Mapping[str, Sheet],
    sheet: Sheet,
    notes: Sequence[Finding],
    rules: Sequence[Suppression],
) -> Question:
    limit = selection.weight + room_of(MAX_NAMES_TOKENS)
    selection.add(sheet, sheet.imports(), limit)
    names = tuple(dict.fromkeys(name for claim in claims for name in names_of(claim, sheet)))
    others = [other for other in sheets.values() if other is not sheet]
    add_elsewhere(selection, names, (sheet, *others), limit)
    fitting = (rule for rule in rules if any(fits(rule, claim) for claim in claims))
    near = (note for note in notes if any(_is_near(note, claim) for claim in claims))
    return Question(
        findings=tuple(claims),
        page=selection.page(sheets),
        notes=tuple(sorted(near, key=_place))[:MAX_NOTES],
        rules=tuple(fitting)[:MAX_RULES],
    )


def _is_near(note: Finding, claim: Finding) -> bool:
    a, b = note.location, claim.location
    is_close = a.start_line <= b.line + MAX_NEAR and b.start_line <= a.line + MAX_NEAR
    return a.path == b.path and is_close


def _claim(number: int, finding: Finding, rules: Sequence[Suppression]) -> str:
    place = finding.location
    may_be = [str(n) for n, rule in enumerate(rules, start=1) if fits(rule, finding)]
    lines = (
        f"## Finding {number}",
        f"title: {_one_line(finding.title)}",
        f"area: {finding.area}",
        f"priority: {tuple(Priority).index(finding.priority)}",
        f"place: {_one_line(place.path)}, {place.side} lines {place.start_line} to {place.line}",
        f"claim: {cut(_one_line(finding.body), MAX_CLAIM)}",
        f"trigger: {cut(_one_line(finding.trigger), MAX_CLAIM)}",
        *(f"evidence: {line}" for line in cut(finding.evidence, MAX_CLAIM).split("\n")),
        f"may be about rules: {', '.join(may_be)}" if may_be else "",
    )
    return "\n".join(line for line in lines if line)


def _one_line(text: str) -> str:
    return " ".join(text.split())


# ---- verdicts ------------------------------------------------------------------------------------


def _settled(
    finding: Finding, verdict: Verdict, rules: Sequence[Suppression], proofs: "_Proofs"
) -> Gate[Finding]:
    if rule := _rule_it_is_about(finding, verdict, rules):
        reason = f"{SUPPRESSED}: it is about {rule.about}"
        return Gate(kept=(), dropped=(drop(finding, GATE, reason),))
    for doubt in Doubt:
        if objection := _objection(doubt, verdict, proofs):
            return Gate(kept=(), dropped=(drop(finding, GATE, f"{_ASKED[doubt]} {objection}"),))
    proven = replace(
        finding,
        priority=max(finding.priority, verdict.priority or finding.priority),
        verdict=verdict.reason,
        proofs=tuple((_ASKED[doubt], verdict.proofs[doubt]) for doubt in Doubt),
    )
    return Gate(kept=(proven,))


def _rule_it_is_about(
    finding: Finding, verdict: Verdict, rules: Sequence[Suppression]
) -> Suppression | None:
    if verdict.about is None or not 1 <= verdict.about <= len(rules):
        return None
    rule = rules[verdict.about - 1]
    return rule if fits(rule, finding) else None


def _objection(doubt: Doubt, verdict: Verdict, proofs: "_Proofs") -> str | None:
    quote = verdict.proofs.get(doubt)
    if quote is None:
        rule = f" (rule {verdict.rule})" if verdict.rule else ""
        return f"no{rule}: {verdict.reason}" if verdict.reason else f"no{rule}"
    if quote not in proofs.shown:
        return "yes, but no line shown proves it"
    if doubt is Doubt.INTRODUCED and proofs.changed.isdisjoint(quote.split("\n")):
        return "yes, but no changed line proves it"
    return None


class _Proofs:
    """Which quotes stand in what was shown, and which of their lines in what was changed."""

    def __init__(self, page: Page, verdicts: Iterable[Verdict]) -> None:
        quotes = {quote for verdict in verdicts for quote in verdict.proofs.values()}
        lines = {line for quote in quotes for line in quote.split("\n")}
        self.shown = standing(quotes, (run for whole in page.runs for run in _readings(whole)))
        self.changed = standing(lines, (run for whole in page.runs for run in _changed(whole)))


def _readings(run: Sequence[Shown]) -> Iterator[list[str]]:
    """Read lines as they are printed, as the new code and as the old code."""
    for left_out in ("", "-", "+"):
        yield [line.text for line in run if line.kind != left_out]


def _changed(run: Sequence[Shown]) -> Iterator[list[str]]:
    for is_changed, lines in groupby(run, key=lambda line: line.kind != " "):
        if is_changed:
            yield from _readings(tuple(lines))
