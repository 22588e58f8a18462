"""What follows from what happens to a pull request by itself: a review that nobody asked for, or a
new start of those that a push has overtaken."""

from collections.abc import Sequence

from app import log
from app.jobs.job import Job, JobState, Look, NewJob, Review, name_run
from app.ports import Desk, Jobs, KnownCheck
from app.review.automatic import Skipped, Wanted, Wish, decide_automatic
from app.review.config import Config, Trigger
from app.review.pull import PullRequest, RunId, Target
from app.review.receipt import State, broken_off
from app.review.rights import may_have_automatic


async def look(work: Look, run_id: RunId, desk: Desk, debounce_s: float) -> tuple[NewJob, ...]:
    """Return the reviews that follow. Of changes within `debounce_s` seconds the last counts."""
    pull, configured = await desk.policies.look(work.target)
    wish = await _wish(work, pull, configured.config, desk)
    active = await desk.jobs.reviews(work.target)
    asked = [job for job in active if _was_asked_for(job)]
    again: tuple[NewJob, ...] = ()
    if work.trigger == Trigger.SYNCHRONIZE and await _is_overtaken(asked, pull, desk):
        again = tuple(_again(job, run_id, is_first=job is asked[0]) for job in asked)
    reason = "" if isinstance(wish, Wanted) else wish.reason
    log.event("pull.looked_at", trigger=work.trigger, not_reviewed=reason, again=len(again))
    match wish:
        case Wanted() if not any(_asks_for_all(job) for job in asked):
            return (*again, _automatic(work.target, run_id, debounce_s, supersedes=not asked))
        case Skipped() if not active:
            await _tell_why(wish.reason, pull, run_id, configured.config, desk)
    return again


async def stop_automatic(target: Target, jobs: Jobs) -> None:
    """Stop the reviews that nobody asked for; beside one that somebody did, they do no harm."""
    active = await jobs.reviews(target)
    if active and not any(_was_asked_for(job) for job in active):
        await jobs.cancel(target)


async def _wish(work: Look, pull: PullRequest, config: Config, desk: Desk) -> Wish:
    is_paused = await desk.pauses.is_paused(work.target)
    wish = decide_automatic(pull, config, work.trigger, is_paused=is_paused)
    if not isinstance(wish, Wanted):
        return wish
    permission = await desk.permissions.permission(work.target, pull.author)
    if may_have_automatic(permission.value, config):
        return wish
    return Skipped(reason=f"its author has no {config.automatic_for.value} access")


async def _tell_why(
    reason: str, pull: PullRequest, run_id: RunId, config: Config, desk: Desk
) -> None:
    """Post why there is no review, unless there is a verdict about this head already."""
    last = await desk.told.last_verdict(pull.target)
    if last is not None and last.head_sha == pull.head_sha:
        return
    receipt = broken_off(run_id, head_sha=pull.head_sha, state=State.SKIPPED, reason=reason)
    await desk.told.keep(pull.target, receipt)
    check = KnownCheck(
        run_id=run_id, target=pull.target, head_sha=pull.head_sha, name=config.check_name
    )
    await desk.statements.post(check, receipt)


async def _is_overtaken(asked: Sequence[Job], pull: PullRequest, desk: Desk) -> bool:
    """Say whether one of these reviews runs on another head than that of now."""
    for job in asked:
        if job.state is JobState.RUNNING:
            checks = await desk.checks.check_runs(job.run_id)
            if pull.head_sha not in {check.head_sha for check in checks}:
                return True
    return False


def _again(job: Job, run_id: RunId, *, is_first: bool) -> NewJob:
    """The same request as a new run; the first of them stops all that were there before."""
    new_id = name_run(run_id, job.run_id)
    return NewJob(work=job.work, run_id=new_id, dedupe_key=f"review/{new_id}", supersedes=is_first)


def _automatic(target: Target, run_id: RunId, delay_s: float, *, supersedes: bool) -> NewJob:
    return NewJob(
        work=Review(target=target, is_automatic=True),
        run_id=run_id,
        dedupe_key=f"review/{run_id}",
        supersedes=supersedes,
        delay_s=delay_s,
    )


def _was_asked_for(job: Job) -> bool:
    return isinstance(job.work, Review) and not job.work.is_automatic


def _asks_for_all(job: Job) -> bool:
    return isinstance(job.work, Review) and job.work.areas is None
