"""What we promise, whatever happens in whatever order: no review twice, nothing left behind.

Hypothesis lets people comment and push, GitHub deliver twice, lose answers and refuse, and our
program stop without grace. Time passes only in `wait` and while a delivery is answered.
"""

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.demo.deliveries import redeliver
from app.demo.faults import Fault
from app.demo.records import IssueComment
from app.demo.state import new_app
from app.review.marker import CommentMarker, ReviewMarker, parse_markers
from tests.disk import has_unfinished_jobs, rows
from tests.faults import secondary_limit
from tests.hurried import hurry
from tests.model_server import Question, Reply
from tests.outcome import is_question
from tests.world import World, answer, build_world, finding

T = TypeVar("T")

IDENTITY = new_app("a secret")
COMMANDS = (
    "@codex review",
    "@codex review full",
    "@codex review security",
    "@codex review\n@codex help",
    "@codex reveiw",
    "Looks good to me.",
)
PLACES = (
    r"/access_tokens$",
    r"/permission$",
    r"/reactions$",
    r"/pulls/1$",
    r"/contents/",
    r"/git/trees/",
    r"/check-runs$",
    r"/check-runs/\d+$",
    r"/reviews$",
    r"/events$",
    r"/comments$",
)
TROUBLE = {
    "502": Fault(path="", status=502),
    "cut": Fault(path="", cut=True),
    "too fast": secondary_limit("", retry_after_s=1),
    "answer lost": Fault(path="", status=502, when="after"),
    "cut after the effect": Fault(path="", cut=True, when="after"),
}
PATIENCE_S, TROUBLED_S = 30.0, 2.0
"""Of the machine's own time; that of the story passes ten times as fast. The trouble that is left
in the end has so long to come about."""


def find_all(question: Question) -> Reply:
    """Report one true finding for each pushed file that the question shows."""
    if "# Focus: correctness" not in question.user:
        return answer()
    shown = re.findall(r"^## File: new_(\d+)\.py", question.user, re.MULTILINE)
    return answer(*(_finding(number) for number in shown))


def _finding(number: str) -> dict[str, Any]:
    place = {"path": f"new_{number}.py", "side": "RIGHT", "line_range": {"start": 1, "end": 1}}
    return finding(
        title=f"share_{number} divides by zero",
        evidence_quote=_source(number).rstrip(),
        code_location=place,
    )


def _source(number: str) -> str:
    return f"share_{number} = 1 / {number}0\n"


class Promises(RuleBasedStateMachine):
    """One pull request, and all that can happen around it."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.world: World = hurry(build_world(self.folder, IDENTITY, find_all))
        self.loop = asyncio.Runner()
        self.world.state.permit(self.world.pull.repository, self.world.pull.author, "write")
        self.world.configure("version: 1\nreview: {automatic: [synchronize]}\n")
        self.pushes, self.told = 0, ""
        self.comments: list[IssueComment] = []
        self.push()
        self.start()

    @rule(body=st.sampled_from(COMMANDS))
    def comment(self, body: str) -> None:
        comment = self.world.state.comment(self.world.pull, "riley", body)
        self.comments.append(comment)
        self.run(self.world.deliver(comment))

    @precondition(lambda self: self.comments)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """The same delivery once more, as GitHub sends it when somebody asks."""
        made = data.draw(st.sampled_from(self.world.state.deliveries))
        self.run(redeliver(self.world.state, made.guid))

    @precondition(lambda self: self.comments)
    @rule(data=st.data())
    def deliver_as_new(self, data: st.DataObject) -> None:
        """The same comment in a delivery of its own: two webhooks, or a proxy that repeats."""
        self.run(self.world.deliver(data.draw(st.sampled_from(self.comments))))

    @rule()
    def push(self) -> None:
        """A push of which we are not told."""
        self.world.state.push(self.world.pull, self.another_file())

    @rule()
    def push_and_tell(self) -> None:
        self.told = self.run(self.world.push(self.another_file()))

    def another_file(self) -> dict[str, str]:
        self.pushes += 1
        return {f"new_{self.pushes}.py": _source(str(self.pushes))}

    @rule(
        places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True),
        trouble=st.sampled_from(sorted(TROUBLE)),
    )
    def trouble(self, places: list[str], trouble: str) -> None:
        kind = TROUBLE[trouble]
        self.world.state.faults += [
            Fault(
                path=place,
                status=kind.status,
                message=kind.message,
                headers=kind.headers,
                cut=kind.cut,
                when=kind.when,
            )
            for place in places
        ]

    @rule()
    def expire_tokens(self) -> None:
        for token in self.world.state.tokens.values():
            token.expires_at = 0.0

    @rule(ms=st.sampled_from([1, 10, 50, 200]))
    def wait(self, ms: int) -> None:
        self.run(asyncio.sleep(ms / 1000))

    @rule()
    def stop_and_start(self) -> None:
        self.stop()
        self.start()

    @invariant()
    def no_review_is_there_twice(self) -> None:
        runs = Counter(
            marker.run_id
            for review in self.world.reviews
            for marker in parse_markers(review.body)
            if isinstance(marker, ReviewMarker)
        )
        assert all(times == 1 for times in runs.values()), runs

    @invariant()
    def github_was_sent_nothing_that_it_refuses(self) -> None:
        refused = [r for r in self.world.state.requests if r.status in (400, 422) and not r.fault]
        assert [request for request in refused if not is_question(request)] == []

    def teardown(self) -> None:
        """In the end GitHub is well again, and everything comes to rest."""
        try:
            self.run(self.rest_for(TROUBLED_S))
            self.world.state.faults.clear()
            self.run(self.rest())
            self.no_review_is_there_twice()
            self.nothing_is_left_behind()
            self.every_command_was_answered()
            self.the_head_that_we_were_told_of_was_reviewed()
            self.stop()
        finally:
            self.loop.close()
            shutil.rmtree(self.folder)

    def nothing_is_left_behind(self) -> None:
        assert {review.state for review in self.world.reviews} <= {"COMMENTED"}
        assert {run.status for run in self.world.checks} <= {"completed"}

    def every_command_was_answered(self) -> None:
        """None is lost, none is obeyed twice; each got its verdict or its answer."""
        assert {made.status_code for made in self.world.state.deliveries} <= {202}
        jobs = rows(self.database, "SELECT lane, state, run_id FROM jobs ORDER BY id")
        commands = [run_id for lane, _, run_id in jobs if lane == "respond"]
        assert len(commands) == sum(comment.body.count("@codex") for comment in self.comments)
        # Superseded before it opened a check: the verdict is that of a newer one.
        unseen = {run_id for _, state, run_id in jobs if state == "superseded"}
        verdicts = {run.external_id for run in self.world.checks}
        answers = {
            marker.key.removeprefix("answer-")
            for text in self.world.ours
            for marker in parse_markers(text)
            if isinstance(marker, CommentMarker)
        }
        assert set(commands) <= unseen | verdicts | answers
        assert verdicts | answers <= {run_id for _, _, run_id in jobs}
        assert {state for _, state, _ in jobs} <= {"done", "superseded"}

    def the_head_that_we_were_told_of_was_reviewed(self) -> None:
        head = self.world.pull.head_sha
        ended = {run.conclusion for run in self.world.checks if run.suite.head_sha == head}
        assert self.told != head or ended - {"cancelled"}

    @property
    def database(self) -> Path:
        return self.folder / "codex-review.db"

    async def rest_for(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.rest(), seconds)

    async def rest(self) -> None:
        await self.world.until(lambda: not has_unfinished_jobs(self.database))

    def start(self) -> None:
        self.leave = asyncio.Event()
        ready = asyncio.Event()

        async def live() -> None:
            async with self.world.running(grace_s=0):
                ready.set()
                await self.leave.wait()

        self.life = self.loop.get_loop().create_task(live())
        self.run(ready.wait())

    def stop(self) -> None:
        """Stop as a host does that has lost its patience."""
        self.leave.set()
        self.run(asyncio.wait_for(self.life, PATIENCE_S))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)


QUICK = settings(
    max_examples=4,
    stateful_step_count=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=20, stateful_step_count=20, derandomize=False)


def test_our_promises_hold_in_a_few_stories() -> None:
    run_state_machine_as_test(Promises, settings=QUICK)


@pytest.mark.slow
def test_our_promises_hold_whatever_happens() -> None:
    run_state_machine_as_test(Promises, settings=LONG)
