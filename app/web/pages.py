"""The pages for people: how the app is, for everybody; its reviews, for who knows the password.

Knows addresses and how things are shown; nothing is changed here. What comes from a pull request
is only ever text.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.jobs.job import JobState, Lane
from app.ports import Jobs, KnownRun, RunFilter, Runs, Statistics
from app.review.diff import Side
from app.review.feedback import What
from app.review.pull import RunId
from app.review.receipt import Receipt, ReceiptCoverage, ReceiptFinding, State
from app.review.render import render_help
from app.web.html import page
from app.web.password import Password

PER_PAGE = 25
MAX_ROWS = 500
"""Rows of the coverage map, and dropped candidates, that one page shows."""
STATES = (JobState.QUEUED.value, JobState.RUNNING.value, *(state.value for state in State))
SIGNS = {
    "clean": "✓",
    "findings": "●",
    "partial": "◐",
    "queued": "…",
    "running": "…",
    "failed": "✗",
    "out_of_credit": "✗",
}
"""Before a state, so that colour does not say it alone; the others have none."""
LEFT_OUT = "left out"
SEEN = {
    "shown": ("✓", "shown"),
    "covered": ("✓", "earlier"),
    "not concerned": ("–", "aside"),
    "withheld": ("■", "withheld"),
    LEFT_OUT: ("✗", "left"),
}
"""How what became of a hunk for an area begins in a receipt → its sign, and how it is drawn."""
OPENAI = "@codex"

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Missing(NamedTuple):
    """What is missing, or might be, and what to do."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a time line; `later_s` are the seconds since the step before."""

    what: str
    at: datetime
    later_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages are made from. `base` is the path prefix that people reach us under, without
    a slash at its end; `web_url` is where GitHub's own pages are."""

    runs: Runs
    jobs: Jobs
    statistics: Statistics
    password: Password
    look: Callable[[], Awaitable[Mapping[str, str]]]
    other_codex: Callable[[], Awaitable[Sequence[object]]]
    slug: Callable[[], str | None]
    mentions: tuple[str, ...]
    model: str
    base: str
    web_url: str

    def routes(self) -> list[Route]:
        """Build the routes of all pages."""
        return [
            Route("/", self._state),
            Route("/reviews", self._list),
            Route("/reviews/{id}", self._one),
        ]

    async def _state(self, request: Request) -> Response:
        missing = [
            Missing(f"The {what}: {why}", "See what `codex-review doctor` says of it.")
            for what, why in (await self.look()).items()
        ]
        delivered_at: float | None = None
        counts: Mapping[tuple[Lane, JobState], int] = {}
        if not missing:
            delivered_at, counts = await self.runs.last_delivery(), await self.jobs.counts()
            missing = await self._missing(delivered_at)
        return self._page(
            "state.html",
            web_url=self.web_url,
            slug=self.slug(),
            model=self.model,
            delivered_at=_when(delivered_at),
            waiting=counts.get((Lane.REVIEW, JobState.QUEUED), 0),
            running=counts.get((Lane.REVIEW, JobState.RUNNING), 0),
            missing=missing,
            commands=Markup(_MARKDOWN.render(render_help(self.mentions[0]))),  # noqa: S704 - ours
        )

    async def _missing(self, delivered_at: float | None) -> list[Missing]:
        found = []
        if self.slug() is None:
            told = "GitHub has not told yet which App this is."
            found.append(Missing(told, "If that lasts, `codex-review doctor` finds out why."))
        if delivered_at is None:
            told = "No delivery has come that led to anything."
            remedy = "Install the App on a repository, and write a command on a pull request."
            found.append(Missing(told, remedy))
        last = [run for run in await self.runs.listed(RunFilter(), 1) if run.state in _REMEDIES]
        found += [Missing(_LAST_ENDED[run.state], _REMEDIES[run.state]) for run in last]
        if OPENAI in self.mentions and await self.other_codex():
            told = f"OpenAI's own bot was seen; it answers to {OPENAI}, too."
            found.append(Missing(told, "Set `BOT_MENTION` to another word."))
        return found

    async def _list(self, request: Request) -> Response:
        if refusal := self.password.refusal(request):
            return refusal
        try:
            wanted = msgspec.convert(dict(request.query_params), RunFilter, strict=False)
        except msgspec.ValidationError as exc:
            raise HTTPException(HTTPStatus.BAD_REQUEST) from exc
        runs = await self.runs.listed(wanted, PER_PAGE + 1)
        kept = {name: value for name, value in asdict(wanted).items() if value}
        older = urlencode({**kept, "before": runs[PER_PAGE - 1].id}) if runs[PER_PAGE:] else ""
        return self._page(
            "reviews.html",
            wanted=wanted,
            states=STATES,
            signs=SIGNS,
            runs=runs[:PER_PAGE],
            when=_when,
            lasted=_lasted,
            n_by_priority=_n_by_priority,
            older=older,
            became=tuple(What),
            outcomes=await self.statistics.outcomes(),
        )

    async def _one(self, request: Request) -> Response:
        if refusal := self.password.refusal(request):
            return refusal
        run = await self.runs.one(RunId(request.path_params["id"]))
        if run is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        receipt = run.receipt
        repository = f"{self.web_url}/{run.target.full_name}"
        return self._page(
            "review.html",
            run=run,
            receipt=receipt,
            signs=SIGNS,
            steps=tuple(_steps(run)),
            repository=repository,
            address=partial(_address, repository, receipt.head_sha if receipt else None),
            in_diff=partial(_in_diff, repository, run.target.number),
            lines=_lines,
            suggested=_suggested,
            files=_files(receipt.coverage) if receipt else (),
            seen=_seen,
            max_rows=MAX_ROWS,
        )

    def _page(self, template: str, **shown: Any) -> Response:
        return page(template, base=self.base, has_reviews=self.password.is_set, **shown)


_LAST_ENDED = {
    State.OUT_OF_CREDIT.value: "The last review ended for want of money.",
    State.FAILED.value: "The last review failed.",
}
_REMEDIES = {
    State.OUT_OF_CREDIT.value: "Top up at the model server, or raise this server's limits.",
    State.FAILED.value: "Its check run says why; `codex-review doctor` looks at model and GitHub.",
}


def _when(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _lasted(run: KnownRun) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return run.ended_at - run.started_at


def _n_by_priority(receipt: Receipt) -> str:
    counts = Counter(finding.priority.value for finding in receipt.findings)
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts))


def _steps(run: KnownRun) -> Iterator[Step]:
    known = {
        "asked for": run.created_at,
        "begun": run.started_at,
        "change read and planned": run.planned_at,
        "the model's last answer": run.answered_at,
        "verdict": run.concluded_at,
        "ended": run.ended_at,
    }
    before = None
    for what, at in sorted(((w, at) for w, at in known.items() if at), key=itemgetter(1)):
        later_s = None if before is None else at - before
        yield Step(what=what, at=datetime.fromtimestamp(at, UTC), later_s=later_s)
        before = at


def _address(repository: str, head_sha: str | None, finding: ReceiptFinding) -> str | None:
    """Return where GitHub shows the lines of a finding, if they are in a commit's files."""
    if head_sha is None or finding.side != Side.RIGHT:
        return None
    lines = f"#L{finding.start_line}-L{finding.line}"
    return f"{repository}/blob/{head_sha}/{quote(finding.path)}{lines}"


def _in_diff(repository: str, number: int, finding: ReceiptFinding) -> str:
    """Return where GitHub's diff of the pull request shows the lines of a finding."""
    file, side = sha256(finding.path.encode()).hexdigest(), finding.side[0]
    lines = f"{side}{finding.start_line}-{side}{finding.line}"
    return f"{repository}/pull/{number}/files#diff-{file}{lines}"


def _lines(finding: ReceiptFinding) -> Iterator[tuple[str, str]]:
    """Return number and text of each line quoted; what is not quoted in full has no numbers."""
    for n, text in enumerate(finding.evidence.split("\n"), finding.start_line):
        yield str(n) if _is_whole(finding) else "", text


def _suggested(finding: ReceiptFinding) -> Iterator[tuple[str, str]]:
    """Return sign and text of each line that the suggestion takes away or puts there."""
    for text in finding.evidence.split("\n") if _is_whole(finding) else ():
        yield "-", text
    for text in finding.suggestion.removesuffix("\n").split("\n") if finding.suggestion else ():
        yield "+", text


def _is_whole(finding: ReceiptFinding) -> bool:
    return finding.evidence.count("\n") == finding.line - finding.start_line


def _files(coverage: Sequence[ReceiptCoverage]) -> list[tuple[str, list[ReceiptCoverage]]]:
    by_path = groupby(coverage[:MAX_ROWS], key=attrgetter("path"))
    return [(path, list(rows)) for path, rows in by_path]


def _seen(state: str) -> tuple[str, str]:
    """Return the sign for what became of a hunk, and the kind that it is drawn as."""
    return next((kind for begins, kind in SEEN.items() if state.startswith(begins)), SEEN[LEFT_OUT])
