"""What follows when somebody presses a button on a check of ours: the review, once more."""

from dataclasses import replace

from app import log
from app.jobs.job import Again, NewJob, Review, name_run
from app.ports import KnownChecks
from app.review.pull import RunId, Target


async def review_again(work: Again, run_id: RunId, checks: KnownChecks) -> tuple[NewJob, ...]:
    """Return the reviews of the pull requests that the check is about."""
    targets = await _targets(work, checks)
    if not targets:
        log.warning("check.of_no_pull_request", asked_run=work.asked_run, head=work.head_sha)
    return tuple(_review(target, work, run_id) for target in targets)


async def _targets(work: Again, checks: KnownChecks) -> tuple[Target, ...]:
    """Find the pull requests: as we remember them, for GitHub names none of forks; else as named.

    They are called as the event calls their repository, which may have a new name.
    """
    if work.asked_run:
        known = await checks.check_runs(RunId(work.asked_run))
    else:
        known = await checks.checks_on(work.head_sha)
    here = (check.target for check in known if _is_of(check.target, work.target))
    numbers = tuple(dict.fromkeys(target.number for target in here))
    return tuple(replace(work.target, number=number) for number in numbers or work.numbers)


def _is_of(target: Target, repository: Target) -> bool:
    return target.repository_id == repository.repository_id


def _review(target: Target, work: Again, run_id: RunId) -> NewJob:
    new_id = name_run(run_id, str(target.number))
    return NewJob(
        work=Review(target=target, full=work.full),
        run_id=new_id,
        dedupe_key=f"review/{new_id}",
        supersedes=work.full,
    )
