"""One check run for each run, completed once, whatever is lost on the way."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import pytest

from app.demo.faults import Fault
from app.demo.records import CheckRun
from app.errors import Forbidden, Overtaken, Unavailable
from app.github.checks import GitHubVerdicts
from app.jobs.job import LeaseLost
from app.ports import KnownCheck, Run
from app.review.config import Config
from app.review.event import FULL_REVIEW
from app.review.priority import Priority
from app.review.pull import RunId
from app.review.receipt import (
    Conclusion,
    Receipt,
    ReceiptFinding,
    State,
    broken_off,
    decode_receipt,
)
from tests.github.conftest import Scene

pytestmark = pytest.mark.anyio

FIRST = Run(id=RunId("run-1"), attempt=1)
SECOND = Run(id=RunId("run-1"), attempt=2)


@dataclass
class Remembered:
    """Check runs in memory. `loses` forgets which was opened, as a crash just before would."""

    kept: dict[tuple[RunId, str], KnownCheck] = field(default_factory=dict)
    loses: bool = False

    async def check_runs(self, run_id: RunId) -> Sequence[KnownCheck]:
        return tuple(check for check in self.kept.values() if check.run_id == run_id)

    async def keep_check(self, check: KnownCheck) -> None:
        if self.loses and check.id is not None:
            raise Unavailable("the process was killed here")
        self.kept[check.run_id, check.head_sha] = check

    async def forget_check(self, check: KnownCheck) -> None:
        del self.kept[check.run_id, check.head_sha]

    @property
    def conclusions(self) -> list[str | None]:
        return [check.conclusion for check in self.kept.values()]


def finding(
    n: int = 1, *, summary_reason: str | None = None, side: str = "RIGHT"
) -> ReceiptFinding:
    return ReceiptFinding(
        fingerprint=f"f{n}",
        area="security",
        priority=list(Priority)[n % 4],
        confidence=0.9,
        title=f"Finding {n}",
        body=f"Because of {n}.",
        path="a.py",
        side=side,
        start_line=n,
        line=n + 1,
        evidence="x",
        summary_reason=summary_reason,
    )


def receipt(*findings: ReceiptFinding) -> Receipt:
    return Receipt(
        version=1,
        run_id="run-1",
        head_sha="h",
        base_sha="b",
        state=State.FINDINGS if findings else State.CLEAN,
        conclusion=Conclusion.NEUTRAL if findings else Conclusion.SUCCESS,
        fail_on="never",
        findings=findings,
    )


def failed(head_sha: str | None = None) -> Receipt:
    return broken_off(FIRST.id, head_sha=head_sha, state=State.FAILED, reason="it broke")


def checks(scene: Scene) -> list[CheckRun]:
    return list(scene.state.check_runs.values())


def histories(scene: Scene) -> list[tuple[str, list[str]]]:
    """What each check run went through, with the head that it is on."""
    return [(check.suite.head_sha, check.history) for check in checks(scene)]


async def review(
    scene: Scene,
    memory: Remembered,
    verdict: Receipt | Exception,
    *,
    run: Run = FIRST,
    config: Config | None = None,
) -> None:
    """Go through one run that ends with a verdict or in trouble."""
    verdicts = GitHubVerdicts(scene.github, memory)
    async with verdicts.open(scene.change(config=config), run) as check:
        if isinstance(verdict, Exception):
            raise verdict
        check.finish(verdict)


async def killed_while_opening(scene: Scene) -> Remembered:
    """A first attempt that opened its check and died before it could remember which."""
    memory = Remembered(loses=True)
    with pytest.raises(Unavailable):
        await review(scene, memory, receipt())
    memory.loses = False
    return memory


async def test_a_verdict_completes_the_check(scene: Scene) -> None:
    await review(scene, Remembered(), receipt())
    (check,) = checks(scene)
    assert check.history == ["in_progress", "success"]
    assert (check.name, check.external_id) == ("codex review", "run-1")
    assert check.suite.head_sha == scene.pull.head_sha
    assert check.title == "Reviewed: no findings"
    assert decode_receipt(check.text or "") == receipt()
    assert scene.calls() == ["POST check-runs", f"PATCH check-runs/{check.id}"]
    created = scene.state.requests[-2].json()
    assert isinstance(created, dict)
    assert created["started_at"] == "2026-01-01T21:40:00Z"
    assert created["output"]["title"] == "Reviewing…"


async def test_a_completed_check_has_our_button(scene: Scene) -> None:
    await review(scene, Remembered(), receipt())
    (check,) = checks(scene)
    (button,) = check.actions
    assert button["identifier"] == FULL_REVIEW


async def test_a_check_in_progress_has_no_button(scene: Scene) -> None:
    with pytest.raises(Unavailable):
        await review(scene, Remembered(), Unavailable("x"))
    assert [check.actions for check in checks(scene)] == [[]]


def statement(scene: Scene) -> KnownCheck:
    return KnownCheck(
        run_id=FIRST.id, target=scene.target, head_sha=scene.pull.head_sha, name="ours"
    )


@pytest.mark.parametrize("times", [1, 2])
async def test_a_statement_is_posted_once_however_often(scene: Scene, times: int) -> None:
    memory = Remembered()
    for _ in range(times):
        await GitHubVerdicts(scene.github, memory).post(statement(scene), failed())
    assert [(check.name, check.history) for check in checks(scene)] == [
        ("ours", ["in_progress", "neutral"])
    ]
    assert memory.conclusions == ["neutral"]


async def test_a_statement_that_was_cut_short_is_completed(scene: Scene) -> None:
    memory = Remembered()
    scene.state.faults.append(Fault(path=r"/check-runs/\d+$", method="PATCH", status=403))
    verdicts = GitHubVerdicts(scene.github, memory)
    with pytest.raises(Forbidden):
        await verdicts.post(statement(scene), failed())
    await verdicts.post(statement(scene), failed())
    assert [check.history for check in checks(scene)] == [["in_progress", "neutral"]]


async def test_the_check_is_named_by_the_configuration(scene: Scene) -> None:
    await review(scene, Remembered(), receipt(), config=Config(check_name="ours"))
    assert [check.name for check in checks(scene)] == ["ours"]


async def test_a_push_completes_the_check_as_superseded(scene: Scene) -> None:
    with pytest.raises(Overtaken):
        await review(scene, Remembered(), Overtaken("moved"))
    (check,) = checks(scene)
    assert check.history == ["in_progress", "cancelled"]
    assert check.title == "Superseded: a newer commit was pushed"


@pytest.mark.parametrize("error", [Unavailable("x"), Forbidden("x"), KeyError("x")])
async def test_any_other_trouble_leaves_the_check_open(scene: Scene, error: Exception) -> None:
    with pytest.raises(type(error)):
        await review(scene, Remembered(), error)
    assert [check.history for check in checks(scene)] == [["in_progress"]]


async def test_a_second_attempt_takes_up_the_same_check(scene: Scene) -> None:
    memory = Remembered()
    with pytest.raises(Unavailable):
        await review(scene, memory, Unavailable("x"))
    await review(scene, memory, receipt(), run=SECOND)
    assert [check.history for check in checks(scene)] == [["in_progress", "success"]]


async def test_a_check_of_which_only_the_intent_is_known_is_found_on_github(scene: Scene) -> None:
    memory = await killed_while_opening(scene)
    await review(scene, memory, receipt(), run=SECOND)
    (check,) = checks(scene)
    assert check.history == ["in_progress", "success"]
    (known,) = memory.kept.values()
    assert (known.id, known.conclusion) == (check.id, "success")


async def test_an_intent_that_came_to_nothing_is_carried_out(scene: Scene) -> None:
    memory = Remembered()
    scene.state.faults.append(Fault(path="/check-runs$", method="POST", status=403))
    with pytest.raises(Forbidden):
        await review(scene, memory, receipt())
    await review(scene, memory, receipt(), run=SECOND)
    assert [check.history for check in checks(scene)] == [["in_progress", "success"]]


async def test_a_check_is_completed_on_its_old_head_though_only_the_intent_is_known(
    scene: Scene,
) -> None:
    memory, old = await killed_while_opening(scene), scene.pull.head_sha
    new = scene.state.push(scene.pull, {"b.py": "new = 2\n"})
    await review(scene, memory, receipt(), run=SECOND)
    assert histories(scene) == [
        (old, ["in_progress", "cancelled"]),
        (new, ["in_progress", "success"]),
    ]
    assert memory.conclusions == ["cancelled", "success"]


@pytest.mark.parametrize("is_failed", [False, True])
async def test_a_check_that_was_opened_twice_is_completed_twice_after_a_restart(
    scene: Scene, is_failed: bool
) -> None:
    memory = Remembered()
    for kept in (Remembered(), memory):
        with pytest.raises(Unavailable):
            await review(scene, kept, Unavailable("x"))
    if is_failed:
        await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed())
    else:
        await review(scene, memory, receipt(), run=SECOND)
    told = "neutral" if is_failed else "success"
    assert [check.history for check in checks(scene)] == [["in_progress", told]] * 2


async def test_another_run_s_check_is_not_taken(scene: Scene) -> None:
    with pytest.raises(Unavailable):
        await review(scene, Remembered(), Unavailable("x"))
    other = Run(id=RunId("run-2"), attempt=2)
    await review(scene, Remembered(), receipt(), run=other)
    assert [(check.external_id, check.history) for check in checks(scene)] == [
        ("run-1", ["in_progress"]),
        ("run-2", ["in_progress", "success"]),
    ]


async def test_an_attempt_on_a_newer_head_completes_the_old_check(scene: Scene) -> None:
    memory, old = Remembered(), scene.pull.head_sha
    with pytest.raises(Unavailable):
        await review(scene, memory, Unavailable("x"))
    new = scene.state.push(scene.pull, {"b.py": "new = 2\n"})
    await review(scene, memory, receipt(), run=SECOND)
    assert histories(scene) == [
        (old, ["in_progress", "cancelled"]),
        (new, ["in_progress", "success"]),
    ]


@pytest.mark.parametrize("n_renewed", [0, 1])
@pytest.mark.parametrize("verdict", [receipt(), Overtaken("moved")], ids=["verdict", "overtaken"])
async def test_an_attempt_that_lost_its_run_writes_nothing_more(
    scene: Scene, n_renewed: int, verdict: Receipt | Exception
) -> None:
    renewed = iter(range(n_renewed))

    async def renew() -> None:
        if next(renewed, None) is None:
            raise LeaseLost

    run = Run(id=FIRST.id, attempt=1, renew=renew)
    with pytest.raises(LeaseLost):
        await review(scene, Remembered(), verdict, run=run)
    assert [check.history for check in checks(scene)] == [["in_progress"]] * n_renewed


LOST = {
    f"{method} {when}{' cut' if cut else ''}": Fault(
        path="/check-runs", method=method, status=None if cut else 502, cut=cut, when=when
    )
    for method in ("POST", "PATCH")
    for when in ("after", "before")
    for cut in (False, True)
}


@pytest.mark.parametrize("n_aside", [0, 1, 120])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_any_lost_answer_leads_to_exactly_one_completed_check(
    scene: Scene, fault: Fault, n_aside: int
) -> None:
    scene.state.faults.append(copy(fault))
    aside = tuple(finding(n, summary_reason="not in the diff") for n in range(1, n_aside + 1))
    await review(scene, Remembered(), receipt(*aside))
    (check,) = checks(scene)
    assert check.conclusion == ("neutral" if aside else "success")
    assert [a["title"] for a in check.annotations] == [
        f"{f.priority.value}: {f.title}" for f in aside
    ]


async def test_only_findings_without_an_inline_comment_are_annotated(scene: Scene) -> None:
    aside = finding(4, summary_reason="over the limit")
    old_side = finding(3, summary_reason="over the limit", side="LEFT")
    await review(scene, Remembered(), receipt(finding(2), aside, old_side))
    (check,) = checks(scene)
    (annotation,) = check.annotations
    assert {key: value for key, value in annotation.items() if value is not None} == {
        "path": "a.py",
        "start_line": 4,
        "end_line": 5,
        "annotation_level": "failure",
        "title": "P0: Finding 4",
        "message": "Because of 4.",
        "blob_href": annotation["blob_href"],
    }
    assert len(scene.calls()) == 2


async def test_completing_again_repeats_no_annotation(scene: Scene) -> None:
    memory = Remembered()
    verdict = receipt(*(finding(n, summary_reason="aside") for n in range(1, 61)))
    await review(scene, memory, verdict)
    await review(scene, memory, verdict, run=SECOND)
    (check,) = checks(scene)
    assert (len(check.annotations), check.conclusion) == (60, "neutral")


@pytest.mark.parametrize("head", ["told", "asked"])
async def test_a_failure_before_any_check_gets_one_on_the_head(scene: Scene, head: str) -> None:
    told = failed(scene.pull.head_sha if head == "told" else None)
    await GitHubVerdicts(scene.github, Remembered()).fail(scene.target, FIRST.id, told)
    (check,) = checks(scene)
    assert check.history == ["in_progress", "neutral"]
    assert check.suite.head_sha == scene.pull.head_sha
    assert check.title == "NOT REVIEWED: it broke"


@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_failure_completes_the_check_that_is_open(scene: Scene, is_killed: bool) -> None:
    if is_killed:
        memory = await killed_while_opening(scene)
    else:
        memory = Remembered()
        with pytest.raises(Unavailable):
            await review(scene, memory, Unavailable("x"))
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed())
    assert [check.history for check in checks(scene)] == [["in_progress", "neutral"]]
    assert memory.conclusions == ["neutral"]


async def test_a_failure_completes_the_check_under_the_name_that_it_was_opened_with(
    scene: Scene,
) -> None:
    memory = Remembered(loses=True)
    with pytest.raises(Unavailable):
        await review(scene, memory, receipt(), config=Config(check_name="ours"))
    memory.loses = False
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed())
    assert [(check.name, check.conclusion) for check in checks(scene)] == [("ours", "neutral")]


@pytest.mark.parametrize("is_remembered", [False, True])
async def test_a_failure_after_the_verdict_leaves_the_verdict(
    scene: Scene, is_remembered: bool
) -> None:
    memory = Remembered()
    await review(scene, memory, receipt())
    if not is_remembered:  # killed between the two
        memory.kept = {key: replace(c, conclusion=None) for key, c in memory.kept.items()}
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed())
    assert [check.history for check in checks(scene)] == [["in_progress", "success"]]
    assert memory.conclusions == ["success"]


async def test_a_failure_after_a_push_shows_on_the_new_head(scene: Scene) -> None:
    memory, old = Remembered(), scene.pull.head_sha
    with pytest.raises(Overtaken):
        await review(scene, memory, Overtaken("moved"))
    new = scene.state.push(scene.pull, {"b.py": "new = 2\n"})
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed())
    assert histories(scene) == [
        (old, ["in_progress", "cancelled"]),
        (new, ["in_progress", "neutral"]),
    ]


async def test_a_verdict_for_one_head_is_not_given_to_another(scene: Scene) -> None:
    memory, old = Remembered(), scene.pull.head_sha
    with pytest.raises(Unavailable):
        await review(scene, memory, Unavailable("x"))
    new = scene.state.push(scene.pull, {"b.py": "new = 2\n"})
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed(new))
    assert histories(scene) == [
        (old, ["in_progress", "cancelled"]),
        (new, ["in_progress", "neutral"]),
    ]


async def test_a_failure_before_any_check_has_the_name_that_is_told(scene: Scene) -> None:
    verdicts = GitHubVerdicts(scene.github, Remembered())
    await verdicts.fail(scene.target, FIRST.id, failed(), check_name="ours")
    assert [check.name for check in checks(scene)] == ["ours"]


async def test_what_was_superseded_before_it_opened_a_check_leaves_that_to_its_successor(
    scene: Scene,
) -> None:
    told = broken_off(FIRST.id, head_sha=None, state=State.SUPERSEDED, reason="a newer review")
    await GitHubVerdicts(scene.github, Remembered()).fail(scene.target, FIRST.id, told)
    assert checks(scene) == []


async def test_what_was_superseded_is_told_once(scene: Scene) -> None:
    memory = Remembered()
    with pytest.raises(Overtaken):
        await review(scene, memory, Overtaken("moved"))
    told = broken_off(FIRST.id, head_sha=None, state=State.SUPERSEDED, reason="a newer review")
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, told)
    assert [check.history for check in checks(scene)] == [["in_progress", "cancelled"]]


async def test_nothing_is_written_to_an_archived_repository(scene: Scene) -> None:
    memory = Remembered()
    with pytest.raises(Unavailable):
        await review(scene, memory, Unavailable("x"))
    scene.repository.archived = True
    scene.state.requests.clear()
    await GitHubVerdicts(scene.github, memory).fail(scene.target, FIRST.id, failed())
    assert {request.method for request in scene.state.requests} == {"GET"}
    assert memory.conclusions == ["stale"]


async def test_a_failure_of_a_pull_request_that_is_gone_is_told_nowhere(scene: Scene) -> None:
    scene.repository.pulls.clear()
    await GitHubVerdicts(scene.github, Remembered()).fail(scene.target, FIRST.id, failed())
    assert checks(scene) == []


async def test_a_missing_permission_is_named(scene: Scene) -> None:
    scene.state.faults.append(
        Fault(
            path="/check-runs$",
            status=403,
            message="Resource not accessible by integration",
            headers={"x-accepted-github-permissions": "checks=write"},
        )
    )
    with pytest.raises(Forbidden) as caught:
        await review(scene, Remembered(), receipt())
    assert "checks=write" in caught.value.remedy
