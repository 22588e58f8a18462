"""Posts the verdict: one check run for each run of a review, never left unfinished by a verdict.

Knows check runs and their limits. Which check run belongs to which run is remembered outside,
from before it is opened; whether it was then opened is asked of GitHub.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from app import log
from app.errors import Overtaken, PullRequestGone
from app.github.changes import fetch_pull
from app.github.transport import GitHub, NotFound, Repository, decode
from app.ports import CheckRuns, KnownCheck, Run
from app.review.config import DEFAULTS
from app.review.diff import Side
from app.review.event import FULL_REVIEW
from app.review.priority import Priority
from app.review.pull import Change, RunId, Target
from app.review.receipt import Conclusion, Receipt, ReceiptFinding, State, broken_off
from app.review.render import CheckOutput, render_check, render_in_progress
from app.review.text import cut

COMPLETED = "completed"
IN_PROGRESS = "in_progress"
STALE = "stale"
"""What GitHub itself concludes 14 days after everybody else gave up."""

# https://docs.github.com/en/rest/checks/runs#update-a-check-run
ANNOTATIONS_PER_REQUEST = 50
MAX_ANNOTATION_TITLE = 255
MAX_ANNOTATION_TEXT = 15_000
"""Characters; GitHub takes 64 KB, and one character has up to four bytes."""

_LEVELS: Mapping[Priority, str] = {
    Priority.P0: "failure",
    Priority.P1: "warning",
    Priority.P2: "warning",
    Priority.P3: "notice",
}


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


class _ActionWire(msgspec.Struct, frozen=True, kw_only=True):
    """A button; GitHub takes 20, 40 and 20 characters."""

    label: str
    description: str
    identifier: str


_REVIEW_ANEW = _ActionWire(
    label="Review everything",
    description="Again, and the model is asked anew",
    identifier=FULL_REVIEW,
)


class _CompleteWire(msgspec.Struct, frozen=True, kw_only=True):
    conclusion: str
    completed_at: str
    output: _OutputWire
    status: str = COMPLETED
    actions: tuple[_ActionWire, ...] = (_REVIEW_ANEW,)


class _AppWire(msgspec.Struct, frozen=True, kw_only=True):
    id: int


class _ToldOutputWire(msgspec.Struct, frozen=True, kw_only=True):
    text: str | None = None
    annotations_count: int = 0


class CheckRunWire(msgspec.Struct, frozen=True, kw_only=True):
    """A check run as GitHub tells it."""

    id: int
    status: str
    head_sha: str
    conclusion: str | None = None
    completed_at: str | None = None
    external_id: str | None = None
    app: _AppWire | None = None
    output: _ToldOutputWire = _ToldOutputWire()


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
    """Verdicts as check runs: the ports Verdicts and Statements."""

    def __init__(self, github: GitHub, check_runs: CheckRuns) -> None:
        self._github = github
        self._check_runs = check_runs
        self._unsure: set[RunId] = set()
        """Runs of which a second check may be there: opened by a request that we, or a process
        before us, gave up for lost, and that took effect after we had looked."""

    @asynccontextmanager
    async def open(self, change: Change, run: Run) -> AsyncIterator[OpenCheck]:
        """Open the run's check on the head, or find the one that an earlier attempt opened."""
        if change.pull is None:
            raise ValueError("only pull requests have check runs")
        repository = self._github.repository(change.pull.target)
        wanted = KnownCheck(
            run_id=run.id,
            target=change.pull.target,
            head_sha=change.pull.head_sha,
            name=change.config.check_name,
        )
        await run.renew()
        is_new, opened = await self._take_up(repository, wanted)
        if run.attempt > 1:
            self._unsure.add(run.id)
        check = OpenCheck()
        try:
            yield check
        except Overtaken:
            await run.renew()
            await self._complete(repository, opened, _superseded(opened))
            raise
        if check.receipt is not None:
            await run.renew()
            await self._complete(repository, opened, check.receipt, is_new=is_new)

    async def post(self, check: KnownCheck, receipt: Receipt) -> None:
        repository = self._github.repository(check.target)
        is_new, opened = await self._take_up(repository, check)
        if opened.conclusion is None:
            await self._complete(repository, opened, receipt, is_new=is_new)

    async def fail(
        self,
        target: Target,
        run_id: RunId,
        receipt: Receipt,
        *,
        check_name: str = DEFAULTS.check_name,
    ) -> None:
        """Complete the checks of a run that ended without a verdict of its own.

        A verdict that is there already stands. A run that never came to open a check gets one on
        the head, so that its failure shows; unless a newer run, which will open its own, took its
        place.
        """
        repository = self._github.repository(target)
        known = await self._check_runs.check_runs(run_id)
        try:
            pull = await fetch_pull(repository, target.number)
        except PullRequestGone:
            log.event("check.no_pull_request", run=run_id)
            return await self._give_up(known)
        if pull.base.repo.archived:
            log.warning("check.repository_archived", run=run_id, reason=receipt.reason)
            return await self._give_up(known)
        shown = [
            check.conclusion or await self._settle(repository, check, receipt) for check in known
        ]
        if any(shown) and receipt.conclusion is Conclusion.CANCELLED:
            return
        if any(conclusion not in (None, Conclusion.CANCELLED) for conclusion in shown):
            return
        if receipt.state is State.SUPERSEDED:
            return
        wanted = KnownCheck(
            run_id=run_id,
            target=target,
            head_sha=receipt.head_sha or pull.head.sha,
            name=known[-1].name if known else check_name,
        )
        _, opened = await self._take_up(repository, wanted)
        await self._complete(repository, opened, receipt)

    async def _take_up(self, repository: Repository, wanted: KnownCheck) -> tuple[bool, KnownCheck]:
        """Return the run's check on this head, and whether it was made just now."""
        opened: KnownCheck | None = None
        for known in await self._check_runs.check_runs(wanted.run_id):
            if known.head_sha == wanted.head_sha:
                opened = known
            elif known.conclusion is None:
                await self._settle(repository, known, _superseded(known))
        if opened is not None and opened.id is not None:
            return False, opened
        if opened is None:
            await self._check_runs.keep_check(wanted)
            found = None
        else:
            found = await self._find(repository, wanted)
        check_run_id = found.id if found else await self._create(repository, wanted)
        opened = replace(wanted, id=check_run_id)
        await self._check_runs.keep_check(opened)
        return found is None, opened

    async def _settle(
        self, repository: Repository, check: KnownCheck, receipt: Receipt
    ) -> str | None:
        """Complete a check that was left behind, unless somebody did; return its conclusion.

        None: it was never opened, or is gone.
        """
        there = await self._look(repository, check)
        if there is None:
            await self._check_runs.forget_check(check)
            return None
        check = replace(check, id=there.id)
        if there.status == COMPLETED:
            conclusion = there.conclusion or STALE
            await self._check_runs.keep_check(replace(check, conclusion=conclusion))
            return conclusion
        if receipt.head_sha not in (None, check.head_sha):
            receipt = _superseded(check)
        self._unsure.add(check.run_id)
        await self._complete(repository, check, receipt)
        return receipt.conclusion.value

    async def _give_up(self, known: Sequence[KnownCheck]) -> None:
        """Leave checks that nobody can complete to GitHub, which ends them as stale."""
        for check in known:
            if check.conclusion is None:
                await self._check_runs.keep_check(replace(check, conclusion=STALE))

    async def _look(self, repository: Repository, check: KnownCheck) -> CheckRunWire | None:
        if check.id is None:
            return await self._find(repository, check)
        try:
            return await repository.get_json(f"check-runs/{check.id}", CheckRunWire)
        except NotFound:
            return None

    async def _complete_twins(
        self, repository: Repository, check: KnownCheck, receipt: Receipt
    ) -> None:
        """Complete what else was opened for this run on this head."""
        if check.run_id not in self._unsure:
            return
        self._unsure.discard(check.run_id)
        async for twin in self._opened_by(repository, check):
            if twin.id != check.id and twin.status != COMPLETED:
                wire = self._verdict(receipt, ())
                await repository.write("PATCH", f"check-runs/{twin.id}", wire, is_repeatable=True)
                log.warning("check.twin_completed", check_run=twin.id)

    async def _find(self, repository: Repository, check: KnownCheck) -> CheckRunWire | None:
        """Look on GitHub for the check that this run opened on this head."""
        async for check_run in self._opened_by(repository, check):
            return check_run
        self._unsure.add(check.run_id)
        return None

    async def _opened_by(
        self, repository: Repository, check: KnownCheck
    ) -> AsyncIterator[CheckRunWire]:
        us = await self._github.identity()
        pages = repository.pages(
            f"commits/{check.head_sha}/check-runs",
            CheckRunsWire,
            per_page=100,
            check_name=check.name,
            filter="all",
            app_id=us.id,
        )
        async for page in pages:
            for check_run in page.check_runs:
                if check_run.external_id == check.run_id:
                    yield check_run

    async def _create(self, repository: Repository, check: KnownCheck) -> int:
        wire = _NewCheckWire(
            name=check.name,
            head_sha=check.head_sha,
            external_id=check.run_id,
            started_at=self._now(),
            output=_output(render_in_progress()),
        )
        is_first = True

        async def create() -> int:
            nonlocal is_first
            found = None if is_first else await self._find(repository, check)
            is_first = False
            if found is not None:
                return found.id
            answer = await repository.write("POST", "check-runs", wire)
            return decode(answer, CheckRunWire).id

        check_run_id = await self._github.until_known(create)
        log.event("check.opened", check_run=check_run_id, head=check.head_sha)
        return check_run_id

    async def _complete(
        self,
        repository: Repository,
        check: KnownCheck,
        receipt: Receipt,
        *,
        is_new: bool = False,
    ) -> None:
        """Post the verdict and remember that it stands. Completing twice is completing once."""
        annotations = tuple(
            _annotation(finding) for finding in receipt.findings if _needs_annotation(finding)
        )
        if annotations:
            await self._complete_annotated(
                repository, check, receipt, annotations, n_there=0 if is_new else None
            )
        else:
            wire = self._verdict(receipt, ())
            await repository.write("PATCH", f"check-runs/{check.id}", wire, is_repeatable=True)
        conclusion = receipt.conclusion.value
        await self._check_runs.keep_check(replace(check, conclusion=conclusion))
        log.event("check.completed", check_run=check.id, conclusion=conclusion)
        await self._complete_twins(repository, check, receipt)

    async def _complete_annotated(
        self,
        repository: Repository,
        check: KnownCheck,
        receipt: Receipt,
        annotations: tuple[_AnnotationWire, ...],
        *,
        n_there: int | None,
    ) -> None:
        """Post the verdict and its annotations.

        Each request appends to the annotations that are there, so whenever their number
        (`n_there`) is not known for sure, it is asked before anything is written.
        """
        path = f"check-runs/{check.id}"

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


def _superseded(check: KnownCheck) -> Receipt:
    return broken_off(
        check.run_id,
        head_sha=check.head_sha,
        state=State.SUPERSEDED,
        reason="a newer commit was pushed",
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
