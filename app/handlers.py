"""What each kind of job does, and what a pull request is told when a job fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from app import log
from app.alone import NoCheck, NotPosted, ThreadsToRead
from app.asking import ASK_THE_OPERATOR, RAISE_LIMIT, Asking
from app.automatic import look, stop_automatic
from app.errors import AppError, Permanent
from app.jobs.job import (
    Again,
    Ask,
    Close,
    Job,
    Look,
    MergeGroup,
    Met,
    NewJob,
    Parked,
    Respond,
    Restate,
    Review,
    Stopped,
)
from app.merge_queue import tell_queue
from app.parking import park, take_up
from app.pipeline import run_review
from app.ports import Clock, Credit, Desk, Reaction, Run, Services
from app.rerun import review_again
from app.respond import respond
from app.review.command import addresses
from app.review.config import DEFAULTS, Config
from app.review.coverage import Reason
from app.review.event import CommentRef, Request
from app.review.pull import RunId, Target
from app.review.receipt import Receipt, State, broken_off
from app.review.render import render_failure
from app.talking import answer_question, restate

NOT_REVIEWED = (State.FAILED, State.OUT_OF_CREDIT)
WAITS = "wait: it is reviewed once the operator has credit at the model server again"
WHICH_LIMIT = "the check run says which it was"
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Pushes within `debounce_s` seconds are one automatic review, of the last; what ran out of
    credit looks for some every `park_s` seconds; what was dismissed looks every `restate_s` whether
    the review under way has ended."""

    debounce_s: float = 10.0
    park_s: float = 900.0
    restate_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Takes jobs to their end. Called again for the same job, it ends the same way."""

    services: Services
    desk: Desk
    asking: Asking
    mentions: tuple[str, ...]
    slug: Callable[[], str | None]
    clock: Clock
    credit: Credit | None
    max_reviews_per_day: int | None
    waits: Waits

    async def handle(self, job: Job) -> Sequence[NewJob]:
        """Do a job's work; return the jobs that follow from it."""
        match job.work:
            case Respond():
                mentions = addresses(self.mentions, self.slug())
                return await respond(job.work, job.run_id, self.desk, mentions)
            case Review():
                return await self._review(job, job.work)
            case Ask():
                await answer_question(job.work, job.run_id, self.services, self.desk, self.asking)
            case Restate():
                return await restate(job.work, job.run_id, self.desk, self.waits.restate_s)
            case Parked():
                now, delay_s = self.clock.now(), self.waits.park_s
                return await take_up(job.work, job.run_id, self.desk, self.credit, now, delay_s)
            case Look():
                return await look(job.work, job.run_id, self.desk, self.waits.debounce_s)
            case Close():
                await stop_automatic(job.target, self.desk.jobs)
            case Again():
                return await review_again(job.work, job.run_id, self.desk.checks)
            case MergeGroup():
                await tell_queue(job.work, job.run_id, self.desk)
            case Met():
                await self.desk.told.note_other_codex(job.target, job.work.at)
            case _:
                assert_never(job.work)
        return ()

    async def report(self, job: Job, error: Exception) -> None:
        """Tell the pull request that a job ended without its result."""
        state = State(error.state.value) if isinstance(error, Stopped) else State.FAILED
        reason = str(error) if isinstance(error, AppError) else "something broke on our side"
        comment = job.work.comment if isinstance(job.work, Respond | Review | Ask) else None
        if isinstance(job.work, Review | MergeGroup | Look):
            await self._conclude(job, job.work, state, reason)
        if state is State.FAILED and comment:
            remedy = error.remedy if isinstance(error, Permanent) else ""
            what = "reviewed" if isinstance(job.work, Review) else "answered"
            await self._tell(job.target, comment, job.run_id, reason, remedy, what)

    async def _conclude(
        self, job: Job, work: Review | MergeGroup | Look, state: State, reason: str
    ) -> None:
        """Complete the check of a run that came to no verdict."""
        config = await self._config(job.target)
        if isinstance(work, Look) and work.trigger not in config.automatic:
            return
        receipt = broken_off(
            job.run_id,
            head_sha=work.head_sha if isinstance(work, MergeGroup) else None,
            state=state,
            reason=reason,
            fail_on_error=config.fail_on_error,
            tests_wanted=isinstance(work, Review) and work.tests,
        )
        if isinstance(work, Review):
            _log(receipt)
        services = self._services(work)
        await services.memory.keep(job.target, receipt)
        await services.verdicts.fail(job.target, job.run_id, receipt, check_name=config.check_name)

    def _services(self, work: Review | MergeGroup | Look) -> Services:
        """Return what this work may use: nothing that writes, where that was not asked for."""
        if isinstance(work, Review) and not work.post:
            return replace(
                self.services,
                verdicts=NoCheck(),
                publisher=NotPosted(),
                threads=ThreadsToRead(threads=self.services.threads),
            )
        return self.services

    async def _config(self, target: Target) -> Config:
        """Look up what governs a run that may have failed before it had a configuration."""
        try:
            _, configured = await self.desk.policies.look(target)
        except AppError as exc:
            log.warning("config.unknown", reason=str(exc))
            return DEFAULTS
        return configured.config

    async def _review(self, job: Job, work: Review) -> Sequence[NewJob]:
        await self._keep_to_daily_limit(work.target)
        request = Request(
            areas=work.areas,
            full=work.full,
            wish=work.wish,
            is_automatic=work.is_automatic,
            tests=work.tests,
        )
        run = Run(id=job.run_id, attempt=job.attempt, renew=lambda: self._renew(job))
        receipt = await run_review(work.target, request, run, self._services(work), self.asking)
        _log(receipt)
        parked = await park(work, receipt, self.credit, self.clock.now(), self.waits.park_s)
        if work.comment is None:
            return parked
        if receipt.state is State.CLEAN:
            await self.desk.conversation.react(work.target, work.comment, Reaction.THUMBS_UP)
        elif receipt.state in NOT_REVIEWED:
            remedy = WAITS if parked else _remedy(receipt)
            await self._tell(work.target, work.comment, job.run_id, receipt.reason, remedy)
        return parked

    async def _keep_to_daily_limit(self, target: Target) -> None:
        """Raise Permanent where this installation has had its reviews; this one counts already."""
        most = self.max_reviews_per_day
        if most and await self.desk.jobs.n_reviewed(target, self.clock.now() - DAY_S) > most:
            raise Permanent(
                f"the limit of {most} reviews in 24 hours is reached",
                remedy="ask again later, or have the operator raise MAX_REVIEWS_PER_DAY",
            )

    async def _renew(self, job: Job) -> None:
        ending = await self.desk.jobs.renew(job)
        if ending is not None:
            raise Stopped(ending)

    async def _tell(
        self,
        target: Target,
        comment: CommentRef,
        run_id: RunId,
        reason: str,
        remedy: str,
        what: str = "reviewed",
    ) -> None:
        await self.desk.conversation.react(target, comment, Reaction.CONFUSED)
        text = render_failure(reason, remedy, run_id, what=what)
        await self.desk.conversation.say(target, f"failure-{comment.id}", text, comment.thread)


def _remedy(receipt: Receipt) -> str:
    if Reason.OVER_BUDGET.value in receipt.reason:
        return f"{RAISE_LIMIT}; {WHICH_LIMIT}"
    return ASK_THE_OPERATOR


def _log(receipt: Receipt) -> None:
    log.event(
        "review.finished",
        state=receipt.state.value,
        conclusion=receipt.conclusion.value,
        findings=len(receipt.findings),
        dropped=len(receipt.dropped),
        calls=receipt.usage.calls,
    )
