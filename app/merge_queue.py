"""What a merge queue is told: the verdict about the pull request, on the commit to be merged."""

from app import log
from app.errors import Permanent
from app.jobs.job import MergeGroup
from app.ports import Desk, KnownCheck
from app.review.config import DEFAULTS
from app.review.pull import RunId
from app.review.receipt import Receipt, State, broken_off, is_about

NONE = "there is no verdict about the head of this pull request"
RETARGETED = "the verdict about this pull request is about another base branch"


async def tell_queue(work: MergeGroup, run_id: RunId, desk: Desk) -> None:
    """Post the verdict at once: the queue waits for it, and a review would come too late."""
    name, verdict = await _verdict(work, desk)
    receipt = (
        verdict
        if isinstance(verdict, Receipt)
        else broken_off(run_id, head_sha=work.head_sha, state=State.SKIPPED, reason=verdict)
    )
    check = KnownCheck(run_id=run_id, target=work.target, head_sha=work.head_sha, name=name)
    await desk.statements.post(check, receipt)


async def _verdict(work: MergeGroup, desk: Desk) -> tuple[str, Receipt | str]:
    """Return the name of the check, and the verdict about the change of now or why it is none."""
    try:
        pull, configured = await desk.policies.look(work.target)
    except Permanent as exc:
        log.warning("merge_group.no_pull_request", reason=str(exc))
        return DEFAULTS.check_name, NONE
    name = configured.config.check_name
    last = await desk.told.last_verdict(work.target)
    if last is None or last.head_sha != pull.head_sha:
        return name, NONE
    return name, last if is_about(last, pull) else RETARGETED
