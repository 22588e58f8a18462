"""Every sentence we publish: the review, the check run, answers in the conversation.

Takes values, returns Markdown. Text that is not ours goes through `text.py`, each piece with a
limit of its own: a whole body is never cut, so no code block stays open and no marker is lost.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from app.review.config import CONFIG_PATH, Config, Configured
from app.review.config_file import KEYS, field_of
from app.review.config_kinds import spelled
from app.review.findings import Finding, Location
from app.review.focus import Area
from app.review.marker import finding_marker, review_marker
from app.review.masking import hides_something, visible
from app.review.merge import MODEL
from app.review.priority import Priority
from app.review.receipt import (
    Receipt,
    ReceiptCoverage,
    ReceiptFinding,
    ReceiptNotice,
    ReceiptUsage,
    State,
    encode_receipt,
)
from app.review.suggestion import Refusal
from app.review.suppress import SUPPRESSED
from app.review.text import (
    code_span,
    cut,
    fenced,
    plain_line,
    safe_line,
    safe_prose,
    suggestion_block,
)
from app.review.threads import FIXED

WITHHELD = "withheld"
MAX_CHECK_TEXT = 65_000
"""GitHub takes 65,535 characters in a check run's text; a little room is left."""
MAX_CHECK_TITLE = 200
MAX_ROWS = 50
MAX_FINDINGS_TEXT = 30_000
MAX_SKIPPED_TEXT = 15_000
"""Characters of a body's lists; with all else they stay below GitHub's 65,536 for one body."""
MAX_WHY_TEXT = 6_000
IN_CHECK = "in the check run's receipt"
MAX_MISTAKES_TEXT, MAX_MISTAKES_TEXT_IN_REVIEW = 6_000, 1_000
MAX_MARKDOWN, MAX_FINDINGS = 200_000, 500
"""Characters and number of findings that are told in full; a CI job's summary has 1 MiB."""
MAX_TITLE = 400
MAX_TRIGGER = 3_000
MAX_ASIDE = 600
MAX_PATH = 300
MAX_NAME = 100
MAX_ANSWER = 8_000
MAX_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineComment:
    """A comment on a line of the diff. Its body carries its marker."""

    location: Location
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review, ready to post. Its body carries the run's marker."""

    body: str
    comments: tuple[InlineComment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutput:
    """What a check run shows: `text` is the receipt as JSON."""

    title: str
    summary: str
    text: str


def compose(receipt: Receipt, new: tuple[Finding, ...]) -> Review:
    """Compose the one review of a run from its verdict and the findings nobody has read yet."""
    inline = tuple(
        InlineComment(location=finding.location, body=_comment(finding, receipt))
        for finding in new
        if finding.summary_reason is None
    )
    aside = frozenset(f.fingerprint for f in new if f.summary_reason is not None)
    told_aside = [f for f in receipt.findings if f.fingerprint in aside]
    head_sha = receipt.head_sha or ""
    body = _paragraphs(
        f"**{safe_line(render_title(receipt))}**",
        _counts(n_inline=len(inline), n_known=len(receipt.findings) - len(new)),
        _aside(told_aside),
        _suppressed(receipt),
        _again(receipt),
        _not_reviewed(receipt),
        _mistakes(receipt.mistakes, MAX_MISTAKES_TEXT_IN_REVIEW, "in the check run"),
        _footer(receipt),
        "\n".join(
            finding_marker(receipt.run_id, finding.fingerprint, head_sha)
            for finding in told_aside[:MAX_ROWS]
        ),
        review_marker(receipt.run_id, head_sha),
    )
    return Review(body=body, comments=inline)


def render_check(receipt: Receipt) -> CheckOutput:
    """Render a check run's title, summary and the receipt in its text."""
    return CheckOutput(
        title=plain_line(render_title(receipt), MAX_CHECK_TITLE),
        summary=_paragraphs(
            _unposted(receipt),
            _all_findings(receipt),
            _suppressed(receipt),
            _again(receipt),
            _not_reviewed(receipt),
            _coverage(receipt),
            _mistakes(receipt.mistakes, MAX_MISTAKES_TEXT, "in the receipt below"),
            _footer(receipt),
        ),
        text=encode_receipt(receipt, MAX_CHECK_TEXT),
    )


def render_title(receipt: Receipt) -> str:
    """Say the verdict in one line."""
    found = _count_findings(receipt.findings)
    match receipt.state:
        case State.CLEAN:
            return f"Reviewed: no findings{_withheld(receipt)}"
        case State.FINDINGS:
            return f"Reviewed: {found}{_withheld(receipt)}"
        case State.PARTIAL:
            return f"PARTIAL: {found}; not everything was reviewed ({receipt.reason})"
        case State.CHECKED:
            return f"ANALYSERS ONLY: {found}"
        case State.SKIPPED | State.OUT_OF_CREDIT | State.FAILED:
            by_analysers = not any(MODEL in finding.sources for finding in receipt.findings)
            told = f"; {'analysers: ' if by_analysers else ''}{found}" if receipt.findings else ""
            return f"NOT REVIEWED: {receipt.reason}{told}"
        case State.CANCELLED | State.SUPERSEDED:
            return f"{receipt.state.value.capitalize()}: {receipt.reason}"


def _withheld(receipt: Receipt) -> str:
    """Say how many files nobody showed to the model, since they are never to be sent."""
    paths = {
        row.path
        for row in receipt.coverage
        if any(state.startswith(WITHHELD) for state in row.areas.values())
    }
    return f"; {_plural(len(paths), 'file')} withheld" if paths else ""


def render_in_progress() -> CheckOutput:
    """Render what the check run shows while the review runs."""
    return CheckOutput(
        title="Reviewing…", summary="The review is running; its verdict will stand here.", text=""
    )


def render_failure(reason: str, remedy: str, run_id: str, *, what: str = "reviewed") -> str:
    """Tell whoever asked that it did not happen: not `reviewed` or not `answered`."""
    lines = [f"**Not {what}:** {safe_line(reason)}"]
    if remedy:
        lines.append(f"What to do: {safe_line(remedy)}")
    lines.append(f"Write the command again to try again. <sub>run {code_span(run_id)}</sub>")
    return "\n\n".join(lines)


def render_refusal(login: str, needed: str, has: str) -> str:
    """Tell a person once that they may not command."""
    return (
        f"Only people with {needed} access may command that here; "
        f"{code_span(login)} has {'no' if has == 'none' else has} access, as GitHub tells it."
    )


def render_help(mention: str) -> str:
    """List the commands."""
    areas = ", ".join(f"`{area}`" for area in Area)
    return "\n".join(
        (
            "| write | to get |",
            "| --- | --- |",
            f"| `{mention} review` | a review of what is not covered yet |",
            f"| `{mention} review full` | everything again; the model is asked anew |",
            f"| `{mention} review security, performance` | only those focus areas |",
            f"| `{mention} review for leaks in the cache` | a review with that in mind |",
            f"| `{mention} estimate` | what a review would take |",
            f"| `{mention} ask <question>` | an answer; on the diff without `ask`, too |",
            f"| `{mention} why` | what led to a finding, or what was left out and why |",
            f"| `{mention} dismiss <reason>` | on the diff: this finding withdrawn |",
            f"| `{mention} pause` | no automatic reviews here |",
            f"| `{mention} resume` | automatic reviews again, as configured |",
            f"| `{mention} cancel` | the running review stopped |",
            f"| `{mention} config` | the configuration and where each value is from |",
            f"| `{mention} help` | this table |",
            "",
            f"Focus areas: {areas}.",
        )
    )


def render_paused(mention: str) -> str:
    """Answer `pause`."""
    return (
        "No automatic reviews here from now on. Commands are still obeyed; "
        f"`{mention} resume` brings automatic reviews back."
    )


def render_resumed() -> str:
    """Answer `resume`."""
    return "Automatic reviews again, as this repository's configuration has them."


def render_cancelled(mention: str) -> str:
    """Answer `cancel`: the same whether or not there was something to stop."""
    return f"No review runs or waits here any more. `{mention} review` starts one again."


def render_unknown(mention: str, text: str, did_you_mean: str | None) -> str:
    """Answer something that is no command."""
    hint = f" Did you mean `{mention} {did_you_mean}`?" if did_you_mean else ""
    return f"I do not know {code_span(text, MAX_NAME)}.{hint} `{mention} help` lists what I know."


def render_estimate(
    *,
    questions: int,
    tokens: int,
    usd: float | None,
    model: str | None,
    covered: int,
    skipped: Mapping[str, str],
) -> str:
    """Answer `estimate`. `covered` counts hunks, `skipped` is path → why; `usd` None: unknown."""
    cost = "at an unknown price" if usd is None else f"about {usd:.4f} USD"
    if model is None:
        told = "No model is configured: a review would only run the analysers."
    elif questions == 0:
        told = "Nothing is left to ask the model about."
    else:
        told = (
            f"A review would ask {code_span(model, MAX_NAME)} {_plural(questions, 'question')}: "
            f"about {tokens:,} tokens in, {cost}; answers and second looks come on top."
        )
    rows = (
        f"- {code_span(path, MAX_PATH)}: {safe_line(why, MAX_ASIDE)}"
        for path, why in skipped.items()
    )
    return _paragraphs(
        told,
        f"Covered by earlier runs: {_plural(covered, 'hunk')}." if covered else "",
        _folded(f"Left out: {_plural(len(skipped), 'file')}", rows, len(skipped), "left out too"),
    )


def render_config(configured: Configured) -> str:
    """Answer `config`: what somebody set, and from where; then the defaults, folded."""
    sources = dict(configured.sources)
    values = {key: _config_row(key, configured.config, sources.get(key)) for key in KEYS}
    given = [row for key, row in values.items() if key in sources]
    usual = [row for key, row in values.items() if key not in sources]
    mistakes = [str(mistake) for mistake in configured.mistakes]
    return _paragraphs(
        _rows(given, len(given), MAX_FINDINGS_TEXT, "in the files")
        or "All values are the defaults.",
        _folded(_plural(len(usual), "default"), usual, len(usual), "in the README"),
        _mistakes(mistakes, MAX_MISTAKES_TEXT, "in the files"),
    )


def _config_row(key: str, config: Config, source: str | None) -> str:
    value = getattr(config, field_of(key))
    is_servers = value == "" or (value is None and key.startswith("limits."))
    told = "the server's" if is_servers else json.dumps(spelled(value), ensure_ascii=False)
    whence = f" from {safe_line(source, MAX_ASIDE)}" if source else ""
    return f"- {code_span(f'{key}: {told}', MAX_ASIDE)}{whence}"


def render_why(receipt: Receipt | None, mention: str) -> str:
    """Answer `why` on a pull request, from what its last review recorded."""
    if receipt is None:
        return f"Nothing was reviewed here yet. `{mention} review` starts a review."
    skipped = what_was_skipped(receipt.coverage, receipt.notices)
    left_out = (
        f"- {code_span(path, MAX_PATH)}: {safe_line(why, MAX_ASIDE)}"
        for path, why in skipped.items()
    )
    by_gate = Counter(f"{one.gate}: {one.reason}" for one in receipt.dropped).most_common()
    dropped = _rows(
        (f"- {n} × {safe_line(why, MAX_ASIDE)}" for why, n in by_gate),
        len(by_gate),
        MAX_WHY_TEXT,
        IN_CHECK,
    )
    each = (
        f"- {code_span(f'{one.path}:{one.line}', MAX_PATH)} {safe_line(one.title, MAX_TITLE)} "
        f"({safe_line(f'{one.gate}: {one.reason}', MAX_NAME)})"
        for one in receipt.dropped
    )
    n_dropped = len(receipt.dropped)
    head = f" of {code_span(receipt.head_sha[:7])}" if receipt.head_sha else ""
    return _paragraphs(
        f"The last review{head}. {safe_line(render_title(receipt))}",
        _coverage(receipt),
        _folded(f"Left out: {_plural(len(skipped), 'file')}", left_out, len(skipped), IN_CHECK),
        f"Dropped before anybody read it, by gate:\n{dropped}" if dropped else "",
        _folded(f"All that was dropped: {n_dropped}", each, n_dropped, IN_CHECK),
        _footer(receipt),
    )


def _folded(summary: str, rows: Iterable[str], n_rows: int, where_else: str) -> str:
    """Fold a list away under words of our own; nothing where it is empty."""
    told = _rows(rows, n_rows, MAX_SKIPPED_TEXT, where_else)
    return f"<details><summary>{summary}</summary>\n\n{told}\n\n</details>" if told else ""


def render_answer(text: str, usage: ReceiptUsage, run_id: str) -> str:
    """Answer a question with what the model said."""
    return _paragraphs(safe_prose(text, MAX_ANSWER), _cost(usage, run_id))


def render_why_finding(finding: ReceiptFinding) -> str:
    """Answer `why` on a finding from what was recorded about it."""
    is_asked = MODEL in finding.sources
    instructions = (f"prompts/focus/{finding.area}.md", *finding.guidelines[:MAX_NAMED])
    rows = "\n".join(
        f"- {safe_line(asked, MAX_NAME)} Yes: {code_span(' '.join(line.split()))}"
        for asked, line in finding.proofs
    )
    return _paragraphs(
        f"**{finding.priority} · {safe_line(finding.area)}**, found by "
        f"{_sources(finding.sources, finding.rule)}, confidence {finding.confidence:.2f}.",
        f"Instruction: {', '.join(map(code_span, instructions))}." if is_asked else "",
        f"Evidence, {code_span(f'{finding.path}:{finding.line}', MAX_PATH)}:",
        fenced(finding.evidence),
        _second_look(finding),
        rows,
    )


def _second_look(finding: ReceiptFinding) -> str:
    if finding.proofs:
        return f"The second look: {safe_line(finding.verdict, MAX_ASIDE)}"
    if finding.is_unverified:
        return "The second look failed, so nobody verified it."
    return "An analyser found it; no second look was needed."


def render_dismissed_line(login: str, reason: str) -> str:
    """Begin the comment of a finding that was withdrawn; nobody is notified by it."""
    told = f": {safe_line(reason, MAX_ASIDE)}" if reason else "."
    return f"Dismissed by {safe_line(login, MAX_NAME)}{told}"


def render_dismissed(finding: ReceiptFinding) -> str:
    """Answer `dismiss`, and say how the configuration makes it permanent."""
    path = finding.path.replace("*", "?")  # a pattern; this name has no escape
    anchored = path if "/" in path else f"/{path}"
    fields = {"path": anchored, "about": cut(finding.title, MAX_NAME)}
    rule = ", ".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in fields.items())
    return _paragraphs(
        "Dismissed: it leaves the verdict and is not reported again on this pull request.",
        "<details><summary>Everywhere and for good</summary>",
        f"In {code_span(CONFIG_PATH)} on the default branch:",
        fenced(f"suppress:\n  - {{area: {finding.area}, {rule}}}"),
        "</details>",
    )


def render_how_to_dismiss(mention: str) -> str:
    """Answer `dismiss` where there is nothing to dismiss."""
    return (
        f"`{mention} dismiss` is for the thread of a finding of mine: reply to it "
        f"there. What has no thread is kept out by {code_span('suppress')} in "
        f"{code_span(CONFIG_PATH)}."
    )


def render_no_record(mention: str) -> str:
    """Answer about a finding whose receipt was removed."""
    return f"The record of this finding is not kept any more. `{mention} review full` looks again."


def _comment(finding: Finding, receipt: Receipt) -> str:
    is_told = finding.trigger in finding.body
    return _paragraphs(
        f"**{finding.priority} · {finding.area}{_after_colon(finding.title)}**",
        safe_prose(finding.body),
        "" if is_told else f"When: {safe_line(finding.trigger, MAX_TRIGGER)}",
        fenced(finding.evidence),
        _suggestion(finding),
        f"<sub>found by {_sources(finding.sources, finding.rule)}{_doubt(finding)}</sub>",
        finding_marker(receipt.run_id, finding.fingerprint, receipt.head_sha or ""),
    )


def render_fixed(body: str, head_sha: str) -> str:
    """Put on top of a comment of ours that its finding is fixed; once is enough."""
    return body if body.startswith(FIXED) else f"{FIXED}{head_sha}.\n\n{body}"


def _suggestion(finding: Finding) -> str:
    code = finding.suggestion
    if code is None or finding.suggestion_refused == Refusal.NO_CHANGE:
        return ""
    if finding.suggestion_refused is None:
        return suggestion_block(code)
    shown = "" if hides_something(code) else fenced(code)
    return f"Proposed:\n\n{shown}" if shown else ""


def _after_colon(text: str) -> str:
    shown = safe_line(text, MAX_TITLE)
    return f": {shown}" if shown else ""


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _sources(sources: tuple[str, ...], rule: str | None) -> str:
    named = safe_line(", ".join(sources))
    return f"{named} ({code_span(rule, MAX_NAME)})" if rule else named


def _counts(*, n_inline: int, n_known: int) -> str:
    """Count the comments, and what we or others have told on this pull request before."""
    said = []
    if n_inline:
        said.append(f"{_plural(n_inline, 'comment')} inline.")
    if n_known:
        said.append(f"Still open and not repeated: {_plural(n_known, 'known finding')}.")
    return " ".join(said)


def _suppressed(receipt: Receipt) -> str:
    n = sum(one.reason.startswith(SUPPRESSED) for one in receipt.dropped)
    return f"{_plural(n, 'finding')} {SUPPRESSED}." if n else ""


def _aside(findings: list[ReceiptFinding]) -> str:
    """Tell the findings that have no comment of their own."""
    rows = (
        f"{_headline(f)}: {safe_line(f.body, MAX_ASIDE)} "
        f"({safe_line(f.summary_reason or '', MAX_NAME)})"
        for f in findings
    )
    return _rows(rows, len(findings), MAX_FINDINGS_TEXT, "in the check run")


def _all_findings(receipt: Receipt) -> str:
    rows = (_headline(f) for f in receipt.findings)
    return _rows(rows, len(receipt.findings), MAX_FINDINGS_TEXT, "in the receipt below")


def _headline(finding: ReceiptFinding) -> str:
    place = code_span(f"{finding.path}:{finding.line}", MAX_PATH)
    title = safe_line(finding.title, MAX_TITLE)
    return f"- **{finding.priority} · {safe_line(finding.area)}** {place} {title}{_doubt(finding)}"


def _again(receipt: Receipt) -> str:
    return f"Looked at again: {safe_line(receipt.again)}." if receipt.again else ""


def _not_reviewed(receipt: Receipt) -> str:
    """Name what was not looked at, one line a file, and why."""
    skipped = what_was_skipped(receipt.coverage, receipt.notices)
    rows = (
        f"- {code_span(path, MAX_PATH)}: {safe_line(reasons, MAX_ASIDE)}"
        for path, reasons in skipped.items()
    )
    told = _rows(rows, len(skipped), MAX_SKIPPED_TEXT, "in the check run's receipt")
    return f"Not reviewed:\n{told}" if told else ""


def _mistakes(mistakes: Sequence[str], room: int, where_else: str) -> str:
    """Tell what had no effect in the configuration, and why."""
    rows = (f"- {safe_line(mistake, MAX_ASIDE)}" for mistake in mistakes)
    told = _rows(rows, len(mistakes), room, where_else)
    return f"Mistakes in the configuration; what they name had no effect:\n{told}" if told else ""


def _rows(
    rows: Iterable[str], n_rows: int, room: int, where_else: str, *, most: int = MAX_ROWS
) -> str:
    """List as many rows as have room, and say how many more there are and where."""
    told: list[str] = []
    for row in islice(rows, most):
        room -= len(row) + 1
        if room < 0:
            break
        told.append(row)
    if len(told) < n_rows:
        told.append(f"- and {n_rows - len(told)} more, {where_else}")
    return "\n".join(told)


def what_was_skipped(
    coverage: Iterable[ReceiptCoverage], notices: Iterable[ReceiptNotice]
) -> dict[str, str]:
    """Gather per file why it, or an area of it, was not looked at."""
    why: dict[str, set[str]] = {}
    for notice in notices:
        why.setdefault(notice.path, set()).add(notice.reason)
    for row in coverage:
        is_all = len(set(row.areas.values())) == 1
        for area, state in row.areas.items():
            if state.startswith("left out: "):
                reason = state.removeprefix("left out: ")
                why.setdefault(row.path, set()).add(reason if is_all else f"{area}: {reason}")
            elif state.startswith("withheld"):
                why.setdefault(row.path, set()).add(state)
    return {path: ", ".join(sorted(reasons)) for path, reasons in why.items()}


def _coverage(receipt: Receipt) -> str:
    shown: Counter[str] = Counter()
    for row in receipt.coverage:
        for area, state in row.areas.items():
            shown[area] += state.startswith(("shown", "covered"))
    told = ", ".join(f"{area} {n}" for area, n in shown.items() if n)
    return f"Hunks reviewed, by area: {safe_line(told)}." if told else ""


def _footer(receipt: Receipt) -> str:
    return _cost(receipt.usage, receipt.run_id)


def _cost(usage: ReceiptUsage, run_id: str) -> str:
    return f"<sub>{safe_line(render_usage(usage))} · run {code_span(run_id, MAX_NAME)}</sub>"


def _doubt(finding: Finding | ReceiptFinding) -> str:
    return "; not verified: the second look failed" if finding.is_unverified else ""


def _unposted(receipt: Receipt) -> str:
    if not receipt.unposted:
        return ""
    return f"The review stands only here, it could not be posted: {safe_line(receipt.unposted)}"


def render_usage(usage: ReceiptUsage) -> str:
    """Say in plain text what the model cost, or that none was asked."""
    if usage.model is None:
        return "no model was asked"
    if not usage.calls:
        return f"{usage.model}: no tokens spent in this run"
    about = "about " if usage.is_estimated else ""
    cost = "cost unknown" if usage.usd is None else f"{usage.usd:.4f} USD"
    return (
        f"{usage.model}: {_plural(usage.calls, 'call')}, "
        f"{about}{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out, {cost}"
    )


def render_terminal(receipt: Receipt) -> str:
    """Render a receipt for a person at a terminal: plain text, findings first."""
    lines = [line for finding in receipt.findings for line in _terminal_finding(finding)]
    if skipped := what_was_skipped(receipt.coverage, receipt.notices):
        lines += ["Not reviewed:", *(f"- {path}: {why}" for path, why in skipped.items()), ""]
    if receipt.findings_cut:
        lines.append(f"{_plural(receipt.findings_cut, 'more finding')} had no room in the receipt.")
    if receipt.unposted:
        lines.append(f"The review could not be posted: {receipt.unposted}")
    lines += [render_title(receipt), f"{render_usage(receipt.usage)} · run {receipt.run_id}"]
    return obeyed_by_no_terminal(lines)


def _terminal_finding(f: ReceiptFinding) -> Iterator[str]:
    yield f"{f.path}:{f.line}: {f.priority} {f.area}: {f.title}"
    yield from (f"    {line}" for line in f.body.splitlines() if line.strip())
    if f.trigger not in f.body:
        yield f"    When: {f.trigger}"
    yield from (f"    > {line}" for line in f.evidence.splitlines())
    yield f"    found by {', '.join(f.sources)}{f' ({f.rule})' if f.rule else ''}{_doubt(f)}"
    yield ""


def obeyed_by_no_terminal(lines: Iterable[str]) -> str:
    """Join lines that hold text that is not ours: each stays one line, and commands nothing."""
    return "\n".join(visible(line.replace("\n", " ")) for line in lines)


def render_markdown(receipt: Receipt) -> str:
    """Render a receipt with all its findings as Markdown, e.g. for the summary of a CI job."""
    told = [_whole_finding(finding) for finding in receipt.findings]
    return _paragraphs(
        f"**{safe_line(render_title(receipt))}**",
        _unposted(receipt),
        _rows(told, len(told), MAX_MARKDOWN, "in the receipt", most=MAX_FINDINGS),
        _not_reviewed(receipt),
        _mistakes(receipt.mistakes, MAX_MISTAKES_TEXT, "in the receipt"),
        _footer(receipt),
    )


def _whole_finding(f: ReceiptFinding) -> str:
    shown = f.suggestion is not None and not hides_something(f.suggestion)
    return _paragraphs(
        f"#### {f.priority} · {safe_line(f.area)}{_after_colon(f.title)}",
        code_span(f"{f.path}:{f.line}", MAX_PATH),
        safe_prose(f.body),
        "" if f.trigger in f.body else f"When: {safe_line(f.trigger, MAX_TRIGGER)}",
        fenced(f.evidence),
        f"Proposed:\n\n{fenced(f.suggestion or '')}" if shown else "",
        f"<sub>found by {_sources(f.sources, f.rule)}{_doubt(f)}</sub>\n",
    )


def _count_findings(findings: tuple[ReceiptFinding, ...]) -> str:
    if not findings:
        return "no findings"
    counted = Counter(f.priority for f in findings)
    by_priority = ", ".join(f"{counted[p]} {p}" for p in Priority if counted[p])
    return f"{_plural(len(findings), 'finding')} ({by_priority})"


def _plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
