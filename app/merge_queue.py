"""What a merge queue is told: the verdict about the pull request, on the commit to be merged."""

from app import log
from app.errors import Permanent
from app.jobs.job import MergeGroup
from app.ports import Desk, KnownCheck
from app.review.config import DEFAULTS
from app.review.pull import RunId
from app.review.receipt import Receipt, State, broken_off

NONE = "there is no verdict about the head of this pull request"


async def tell_queue(work: MergeGroup, run_id: RunId, desk: Desk) -> None:
    """Post the verdict at once: the queue waits for it, and a review would come too late."""
    name, verdict = await _verdict(work, desk)
    receipt = verdict or broken_off(
        run_id, head_sha=work.head_sha, state=State.SKIPPED, reason=NONE
    )
    check = KnownCheck(run_id=run_id, target=work.target, head_sha=work.head_sha, name=name)
    await desk.statements.post(check, receipt)


async def _verdict(work: MergeGroup, desk: Desk) -> tuple[str, Receipt | None]:
    """Return the name of the check and the verdict, if that is about the head of now."""
    try:
        pull, configured = await desk.policies.look(work.target)
    except Permanent as exc:
        log.warning("merge_group.no_pull_request", reason=str(exc))
        return DEFAULTS.check_name, None
    last = await desk.told.last_verdict(work.target)
    is_current = last is not None and last.head_sha == pull.head_sha
    return configured.config.check_name, last if is_current else None
