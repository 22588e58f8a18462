"""Reads the verdict that stands on GitHub: the receipt in the text of a check run of ours.

Posts nothing. A check run counts when its App is ours; where nobody told us which App that is,
when it holds a receipt that names this very check run and head.
"""

from collections.abc import Iterable

from app.errors import Permanent, Unusable
from app.github.changes import fetch_pull
from app.github.checks import COMPLETED, CheckRunsWire, CheckRunWire
from app.github.transport import GitHub, NotFound
from app.review.pull import Target
from app.review.receipt import Receipt, decode_receipt


class NoVerdict(Permanent):
    """There is no verdict yet."""


class PostedVerdicts:
    """Verdicts on GitHub. `app_id` is the App whose check runs count, where that is known."""

    def __init__(self, github: GitHub, *, app_id: int | None) -> None:
        self._github = github
        self._app_id = app_id

    async def of_pull(self, target: Target) -> Receipt:
        """Return the newest verdict on the current head. Raises NoVerdict, Unusable."""
        repository = self._github.repository(target)
        head_sha = (await fetch_pull(repository, target.number)).head.sha
        app = {} if self._app_id is None else {"app_id": self._app_id}
        pages = repository.pages(
            f"commits/{head_sha}/check-runs",
            CheckRunsWire,
            per_page=100,
            status=COMPLETED,
            filter="all",
            **app,
        )
        found = [run async for page in pages for run in page.check_runs if self._is_ours(run)]
        _only_one_app(found)
        if not found:
            raise NoVerdict(
                f"There is no verdict on {head_sha[:12]} yet",
                remedy="Have it reviewed (`@codex review`), or wait for the review to end.",
            )
        return _receipt(max(found, key=lambda run: (run.completed_at or "", run.id)))

    async def of_check(self, target: Target, check_run_id: int) -> Receipt:
        """Return the verdict of one check run. Raises NoVerdict, Unusable."""
        try:
            run = await self._github.repository(target).get_json(
                f"check-runs/{check_run_id}", CheckRunWire
            )
        except NotFound as exc:
            raise Permanent(
                f"GitHub shows us no check run {check_run_id}", remedy="Check the address."
            ) from exc
        if run.status != COMPLETED:
            raise NoVerdict(
                "The review still runs", remedy="Wait until its check run is completed."
            )
        if not self._is_ours(run):
            raise Unusable(f"the check run {check_run_id} holds no receipt of ours")
        return _receipt(run)

    def _is_ours(self, run: CheckRunWire) -> bool:
        if self._app_id is not None:
            return run.app is not None and run.app.id == self._app_id
        try:
            receipt = _receipt(run)
        except Unusable:
            return False
        named = (receipt.run_id, receipt.head_sha or run.head_sha)
        return named == (run.external_id, run.head_sha)


def _receipt(run: CheckRunWire) -> Receipt:
    try:
        return decode_receipt(run.output.text or "")
    except ValueError as exc:
        raise Unusable(f"the check run {run.id}: {exc}") from exc


def _only_one_app(runs: Iterable[CheckRunWire]) -> None:
    apps = {run.app.id for run in runs if run.app is not None}
    if len(apps) > 1:
        raise Unusable(
            "check runs of several Apps look like ours: set APP_ID to the one that counts "
            f"({', '.join(map(str, sorted(apps)))})"
        )
