"""Reviews for which there was no money: they wait without a slot, and begin when there is some."""

from app import log
from app.jobs.job import NewJob, Parked, Review, name_run
from app.ports import Credit, Desk
from app.review.coverage import Reason
from app.review.pull import RunId
from app.review.receipt import Receipt

GIVE_UP_S = 3 * 86_400.0
"""How long a review waits; then somebody has to ask again."""


async def park(
    review: Review, receipt: Receipt, credit: Credit | None, now: float, delay_s: float
) -> tuple[NewJob, ...]:
    """Return the wait of a review that ran out of credit; none where nobody will tell its end."""
    ran_out = Reason.OUT_OF_CREDIT.value in receipt.reason
    if not ran_out or credit is None or await credit.has_credit() is None:
        return ()
    log.event("review.parked", delay_s=delay_s)
    work = Parked(target=review.target, review=review, run=receipt.run_id, since=now)
    return (_wait(work, RunId(receipt.run_id), delay_s),)


async def take_up(
    work: Parked, run_id: RunId, desk: Desk, credit: Credit | None, now: float, delay_s: float
) -> tuple[NewJob, ...]:
    """Return the review if there is credit again, the next wait if not, nothing if it is moot."""
    last = await desk.told.last_verdict(work.target)
    is_moot = last is None or last.run_id != work.run or await desk.jobs.reviews(work.target)
    has_credit = await credit.has_credit() if credit and not is_moot else None
    if has_credit is None or now > work.since + GIVE_UP_S:
        log.event("review.no_longer_parked")
        return ()
    if not has_credit:
        return (_wait(work, run_id, delay_s),)
    new_id = name_run(run_id, "credit")
    return (NewJob(work=work.review, run_id=new_id, dedupe_key=f"review/{new_id}"),)


def _wait(work: Parked, run_id: RunId, delay_s: float) -> NewJob:
    new_id = name_run(run_id, "parked")
    return NewJob(work=work, run_id=new_id, dedupe_key=f"parked/{new_id}", delay_s=delay_s)
