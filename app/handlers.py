"""What each kind of job does, and what a pull request is told when a job fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from app import log
from app.errors import AppError, Permanent
from app.jobs.job import Job, NewJob, Respond, Review, Stopped
from app.pipeline import Asking, run_review
from app.ports import Desk, Jobs, Reaction, Run, Services
from app.respond import respond
from app.review.command import addresses
from app.review.event import CommentRef, Request
from app.review.pull import RunId, Target
from app.review.receipt import Receipt, State, broken_off
from app.review.render import render_failure

NOT_REVIEWED = (State.FAILED, State.OUT_OF_CREDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Takes jobs to their end. Called again for the same job, it ends the same way."""

    jobs: Jobs
    services: Services
    desk: Desk
    asking: Asking
    mentions: tuple[str, ...]
    slug: Callable[[], str | None]

    async def handle(self, job: Job) -> Sequence[NewJob]:
        """Do a job's work; return the jobs that follow from it."""
        match job.work:
            case Respond():
                mentions = addresses(self.mentions, self.slug())
                return await respond(job.work, job.run_id, self.desk, mentions)
            case Review():
                await self._review(job, job.work)
                return ()
            case _:
                assert_never(job.work)

    async def report(self, job: Job, error: Exception) -> None:
        """Tell the pull request that a job ended without its result."""
        state = State(error.state.value) if isinstance(error, Stopped) else State.FAILED
        reason = str(error) if isinstance(error, AppError) else "something broke on our side"
        receipt = broken_off(job.run_id, head_sha=None, state=state, reason=reason)
        if isinstance(job.work, Review):
            await self.services.memory.keep(job.target, receipt)
            await self.services.verdicts.fail(job.target, job.run_id, receipt)
        if state is State.FAILED and job.work.comment:
            remedy = error.remedy if isinstance(error, Permanent) else ""
            await self._tell(job.target, job.work.comment, job.run_id, reason, remedy)

    async def _review(self, job: Job, work: Review) -> None:
        request = Request(
            areas=work.areas, full=work.full, wish=work.wish, is_automatic=work.is_automatic
        )
        run = Run(id=job.run_id, attempt=job.attempt, renew=lambda: self._renew(job))
        receipt = await run_review(work.target, request, run, self.services, self.asking)
        _log(receipt)
        if work.comment is None:
            return
        if receipt.state is State.CLEAN:
            await self.desk.conversation.react(work.target, work.comment, Reaction.THUMBS_UP)
        elif receipt.state in NOT_REVIEWED:
            remedy = "ask the operator of this app to look at its model server; its log says more"
            await self._tell(work.target, work.comment, job.run_id, receipt.reason, remedy)

    async def _renew(self, job: Job) -> None:
        ending = await self.jobs.renew(job)
        if ending is not None:
            raise Stopped(ending)

    async def _tell(
        self, target: Target, comment: CommentRef, run_id: RunId, reason: str, remedy: str
    ) -> None:
        await self.desk.conversation.react(target, comment, Reaction.CONFUSED)
        text = render_failure(reason, remedy, run_id)
        await self.desk.conversation.say(target, f"failure-{comment.id}", text)


def _log(receipt: Receipt) -> None:
    log.event(
        "review.finished",
        state=receipt.state.value,
        conclusion=receipt.conclusion.value,
        findings=len(receipt.findings),
        dropped=len(receipt.dropped),
        calls=receipt.usage.calls,
    )
