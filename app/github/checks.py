"""Posts the verdict: one check run for each run of a review, never left unfinished by a verdict.

Knows check runs and their limits. Which check run belongs to which run is remembered outside;
where that memory has a gap (the answer to a creation was lost), GitHub is asked.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from app import log
from app.errors import Overtaken, PullRequestGone
from app.github.changes import fetch_pull
from app.github.transport import GitHub, Repository, decode
from app.ports import CheckRuns, Run
from app.review.config import Config
from app.review.diff import Side
from app.review.priority import Priority
from app.review.pull import Change, RunId, Target
from app.review.receipt import Receipt, ReceiptFinding, State, broken_off
from app.review.render import CheckOutput, render_check, render_in_progress
from app.review.text import cut

COMPLETED = "completed"
IN_PROGRESS = "in_progress"

# https://docs.github.com/en/rest/checks/runs#update-a-check-run
ANNOTATIONS_PER_REQUEST = 50
MAX_ANNOTATION_TITLE = 255
MAX_ANNOTATION_TEXT = 15_000
"""Characters; GitHub takes 64 KB, and one character has up to four bytes."""

_LEVELS: Mapping[Priority, str] = MappingProxyType(
    {
        Priority.P0: "failure",
        Priority.P1: "warning",
        Priority.P2: "warning",
        Priority.P3: "notice",
    }
)


class _AnnotationWire(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    start_line: int
    end_line: int
    annotation_level: str
    title: str
    message: str


class _OutputWire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    title: str
    summary: str
    text: str = ""
    annotations: tuple[_AnnotationWire, ...] = ()


class _NewCheckWire(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    head_sha: str
    external_id: str
    started_at: str
    output: _OutputWire
    status: str = IN_PROGRESS


class _AppendWire(msgspec.Struct, frozen=True, kw_only=True):
    output: _OutputWire


class _CompleteWire(msgspec.Struct, frozen=True, kw_only=True):
    conclusion: str
    completed_at: str
    output: _OutputWire
    status: str = COMPLETED


class _CheckOutputWire(msgspec.Struct, frozen=True, kw_only=True):
    annotations_count: int = 0


class CheckRunWire(msgspec.Struct, frozen=True, kw_only=True):
    """A check run as GitHub tells it."""

    id: int
    status: str
    external_id: str | None = None
    output: _CheckOutputWire = _CheckOutputWire()


class CheckRunsWire(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list of check runs."""

    check_runs: tuple[CheckRunWire, ...]


class OpenCheck:
    """A check run in progress; `finish` notes the verdict that is posted at the end."""

    def __init__(self) -> None:
        self.receipt: Receipt | None = None

    def finish(self, receipt: Receipt) -> None:
        self.receipt = receipt


class GitHubVerdicts:
    """Verdicts as check runs. `config` names the check of runs that failed before they had one."""

    def __init__(
        self, github: GitHub, check_runs: CheckRuns, *, config: Config | None = None
    ) -> None:
        self._github = github
        self._check_runs = check_runs
        self._config = config or Config()

    @asynccontextmanager
    async def open(self, change: Change, run: Run) -> AsyncIterator[OpenCheck]:
        """Open the run's check on the head, or find the one that an earlier attempt opened.

        Leaving with a verdict completes it; leaving with Overtaken completes it as superseded;
        any other error leaves it open for the next attempt or for `fail`.
        """
        if change.pull is None:
            raise ValueError("only pull requests have check runs")
        head, name = change.pull.head_sha, change.config.check_name
        repository = self._github.repository(change.pull.target)
        is_new, check_run_id = await self._take_up(repository, run, name, head)
        check = OpenCheck()
        try:
            yield check
        except Overtaken:
            await self._complete(repository, check_run_id, _superseded(run.id, head))
            raise
        if check.receipt is not None:
            await self._complete(repository, check_run_id, check.receipt, is_new=is_new)

    async def fail(self, target: Target, run_id: RunId, receipt: Receipt) -> None:
        """Complete the check of a run that ended without a verdict of its own.

        A run that never came to open one gets one on the head, so that its failure shows.
        """
        repository = self._github.repository(target)
        known = await self._check_runs.check_run(run_id)
        if known is not None:
            return await self._complete(repository, known[0], receipt)
        try:
            head = receipt.head_sha or (await fetch_pull(repository, target.number)).head.sha
        except PullRequestGone:
            log.event("check.no_pull_request", run=run_id)
            return
        name = self._config.check_name
        check_run_id = await self._find(repository, run_id, name, head)
        if check_run_id is None:
            check_run_id = await self._create(repository, run_id, name, head)
        await self._check_runs.keep_check_run(run_id, check_run_id, head)
        await self._complete(repository, check_run_id, receipt)

    async def _take_up(
        self, repository: Repository, run: Run, name: str, head: str
    ) -> tuple[bool, int]:
        """Return the run's check on this head, and whether it was made just now."""
        known = await self._check_runs.check_run(run.id)
        if known is not None and known[1] == head:
            return False, known[0]
        if known is not None:
            await self._complete(repository, known[0], _superseded(run.id, known[1]))
        found = None
        if run.attempt > 1:
            found = await self._find(repository, run.id, name, head)
        check_run_id = found or await self._create(repository, run.id, name, head)
        await self._check_runs.keep_check_run(run.id, check_run_id, head)
        return found is None, check_run_id

    async def _find(
        self, repository: Repository, run_id: RunId, name: str, head: str
    ) -> int | None:
        """Look on GitHub for the check that this run opened on this head."""
        us = await self._github.identity()
        pages = repository.pages(
            f"commits/{head}/check-runs",
            CheckRunsWire,
            per_page=100,
            check_name=name,
            filter="all",
            app_id=us.id,
        )
        async for page in pages:
            for check_run in page.check_runs:
                if check_run.external_id == run_id:
                    return check_run.id
        return None

    async def _create(self, repository: Repository, run_id: RunId, name: str, head: str) -> int:
        wire = _NewCheckWire(
            name=name,
            head_sha=head,
            external_id=run_id,
            started_at=self._now(),
            output=_output(render_in_progress()),
        )
        is_first = True

        async def create() -> int:
            nonlocal is_first
            found = None if is_first else await self._find(repository, run_id, name, head)
            is_first = False
            if found is not None:
                return found
            answer = await repository.write("POST", "check-runs", wire)
            return decode(answer, CheckRunWire).id

        check_run_id = await self._github.until_known(create)
        log.event("check.opened", check_run=check_run_id, head=head)
        return check_run_id

    async def _complete(
        self,
        repository: Repository,
        check_run_id: int,
        receipt: Receipt,
        *,
        is_new: bool = False,
    ) -> None:
        """Post the verdict. Completing twice is completing once."""
        annotations = tuple(
            _annotation(finding) for finding in receipt.findings if _needs_annotation(finding)
        )
        if annotations:
            await self._complete_annotated(
                repository, check_run_id, receipt, annotations, n_there=0 if is_new else None
            )
        else:
            wire = self._verdict(receipt, ())
            await repository.write("PATCH", f"check-runs/{check_run_id}", wire, is_repeatable=True)
        log.event("check.completed", check_run=check_run_id, conclusion=receipt.conclusion.value)

    async def _complete_annotated(
        self,
        repository: Repository,
        check_run_id: int,
        receipt: Receipt,
        annotations: tuple[_AnnotationWire, ...],
        *,
        n_there: int | None,
    ) -> None:
        """Post the verdict and its annotations.

        Each request appends to the annotations that are there, so whenever their number
        (`n_there`) is not known for sure, it is asked before anything is written.
        """
        path = f"check-runs/{check_run_id}"

        async def append() -> bool:
            """Send what is still missing; the request that sends the last of it completes."""
            nonlocal n_there
            start, n_there = n_there, None
            if start is None:
                start = (await repository.get_json(path, CheckRunWire)).output.annotations_count
            batch = annotations[start : start + ANNOTATIONS_PER_REQUEST]
            is_last = start + len(batch) >= len(annotations)
            verdict = self._verdict(receipt, batch)
            wire = verdict if is_last else _AppendWire(output=verdict.output)
            await repository.write("PATCH", path, wire, is_repeatable=not batch)
            n_there = start + len(batch)
            return is_last

        while not await self._github.until_known(append):
            pass

    def _verdict(self, receipt: Receipt, annotations: tuple[_AnnotationWire, ...]) -> _CompleteWire:
        return _CompleteWire(
            conclusion=receipt.conclusion.value,
            completed_at=self._now(),
            output=_output(render_check(receipt), annotations),
        )

    def _now(self) -> str:
        at = datetime.fromtimestamp(self._github.clock.now(), UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _superseded(run_id: RunId, head: str) -> Receipt:
    return broken_off(
        run_id, head_sha=head, state=State.SUPERSEDED, reason="a newer commit was pushed"
    )


def _output(shown: CheckOutput, annotations: tuple[_AnnotationWire, ...] = ()) -> _OutputWire:
    return _OutputWire(
        title=shown.title, summary=shown.summary, text=shown.text, annotations=annotations
    )


def _needs_annotation(finding: ReceiptFinding) -> bool:
    """Only what is no inline comment; annotations know the new file's lines only."""
    return finding.summary_reason is not None and finding.side == Side.RIGHT.value


def _annotation(finding: ReceiptFinding) -> _AnnotationWire:
    return _AnnotationWire(
        path=finding.path,
        start_line=max(1, finding.start_line),
        end_line=max(1, finding.line),
        annotation_level=_LEVELS[finding.priority],
        title=cut(f"{finding.priority.value}: {finding.title}", MAX_ANNOTATION_TITLE),
        message=cut(finding.body or finding.title, MAX_ANNOTATION_TEXT),
    )
