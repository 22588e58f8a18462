"""A whole world for stories: the stand-in for GitHub, a scripted model, and our program between.

Everything runs in this process over ASGI; nothing is patched and no port is opened.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from app.bootstrap import INTERVALS, running
from app.demo.deliveries import deliver
from app.demo.events import Event, comment_event, pull_event, push_event
from app.demo.github import create_app
from app.demo.records import (
    CheckRun,
    Delivery,
    IssueComment,
    Place,
    PullRequest,
    Review,
    ReviewComment,
)
from app.demo.state import AppIdentity, State
from app.handlers import Waits
from app.parts import SystemClock
from app.ports import Clock
from app.recovery import Intervals
from app.review.config import CONFIG_PATH
from app.settings import read_settings
from tests.disk import has_unfinished_jobs
from tests.events import (
    check_run_event,
    check_suite_event,
    label_event,
    merge_group_event,
    review_comment_event,
    review_event,
)
from tests.judges import agree, is_second_look
from tests.model_server import BASE_URL, ModelServer, Reply, Script
from tests.receipt_schema import receipt_schema

HOOK = "https://codex-review.test/webhook"
PATIENCE_S = 20.0
RECEIPTS = Draft202012Validator(receipt_schema())

BEFORE = """\
def mean(values):
    if not values:
        return 0.0
    return sum(values) / len(values)
"""
AFTER = """\
def mean(values):
    total = sum(values)
    return total / len(values)
"""


def finding(**given: Any) -> dict[str, Any]:
    """A finding as a model writes it, true of the change from BEFORE to AFTER."""
    usual = {
        "title": "mean([]) raises ZeroDivisionError",
        "body": "The guard for an empty list is gone.",
        "priority": 1,
        "confidence_score": 0.9,
        "area": "correctness",
        "code_location": {
            "path": "stats.py",
            "side": "RIGHT",
            "line_range": {"start": 3, "end": 3},
        },
        "evidence_quote": "    return total / len(values)",
        "trigger": "mean([])",
        "suggestion": None,
    }
    return {**usual, **given}


def answer(*findings: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "findings": list(findings),
            "overall_correctness": "patch is incorrect" if findings else "patch is correct",
            "overall_explanation": "As told above.",
            "overall_confidence_score": 0.9,
        }
    )


def finds(*findings: Mapping[str, Any]) -> Script:
    """Report each finding in the chunk whose focus names its area, and agree when asked again."""

    def script(question: Any) -> Reply:
        if is_second_look(question.user):
            return agree(question.user)
        return answer(*(f for f in findings if f"# Focus: {f['area']}" in question.user))

    return script


@dataclass(slots=True, kw_only=True)
class World:
    state: State
    pull: PullRequest
    model: ModelServer
    private_key: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    sent: list[httpx.Request] = field(default_factory=list)
    """Every request that our program made, to whomever."""

    @asynccontextmanager
    async def running(
        self,
        *,
        grace_s: float = 5.0,
        intervals: Intervals = INTERVALS,
        debounce_s: float = 0.0,
        park_s: float = 0.05,
    ) -> AsyncIterator[None]:
        """Run our program; leaving stops it as a deploy would."""
        settings = read_settings(
            {
                "APP_ID": str(self.state.app.id),
                "PRIVATE_KEY": self.private_key,
                "WEBHOOK_SECRET": self.state.app.webhook_secret,
                "DATABASE_URL": f"sqlite:///{self.folder}/codex-review.db",
                "OPENAI_BASE_URL": BASE_URL,
                "MODEL": "scripted",
                **self.env,
            }
        )
        github = httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(self.state)))
        model = self.model.client()
        github.event_hooks = model.event_hooks = {"request": [self._note]}
        async with (
            github,
            model,
            running(
                settings,
                github,
                model,
                self.clock,
                grace_s=grace_s,
                intervals=intervals,
                waits=Waits(debounce_s=debounce_s, park_s=park_s, restate_s=0.05),
            ) as app,
        ):
            self.state.hook.url, self.state.hook.transport = HOOK, httpx.ASGITransport(app=app)
            yield

    async def _note(self, request: httpx.Request) -> None:
        self.sent.append(request)

    async def comment(self, body: str, login: str = "riley") -> IssueComment:
        """Let somebody write a comment, and deliver it."""
        comment = self.state.comment(self.pull, login, body)
        await self.deliver(comment)
        return comment

    async def say_in_review(self, body: str, login: str = "riley") -> Review:
        """Let somebody submit a review without comments on the diff, and deliver it."""
        review = self.state.review(self.pull, login, body)
        await self._tell(review_event, review)
        return review

    async def remark(self, body: str, line: int, login: str = "riley") -> ReviewComment:
        """Let somebody begin a thread on a line of stats.py, and deliver it."""
        review = self.state.review(self.pull, login, "")
        hunk = "@@ -1,4 +1,3 @@\n def mean(values):"
        place = Place(path="stats.py", line=line, diff_hunk=hunk)
        remark = self.state.review_comment(review, body, place)
        await self._tell(review_comment_event, remark)
        return remark

    async def reply(self, to: ReviewComment, body: str, login: str = "riley") -> ReviewComment:
        """Let somebody answer in a thread on the diff, and deliver it."""
        reply = self.state.reply(to, login, body)
        await self._tell(review_comment_event, reply)
        return reply

    async def edit(
        self,
        said: IssueComment | Review | ReviewComment,
        body: str,
        editor: str | None = None,
    ) -> Delivery:
        """Let somebody change what was said, and deliver it."""
        before, said.body = said.body, body
        make: Callable[..., Event] = comment_event
        if not isinstance(said, IssueComment):
            make = review_event if isinstance(said, Review) else review_comment_event
        event = await asyncio.to_thread(
            make, self.state, said, "edited", body_before=before, editor=editor
        )
        return await deliver(self.state, event)

    async def deliver(self, comment: IssueComment, guid: str | None = None) -> Delivery:
        event = await asyncio.to_thread(comment_event, self.state, comment)
        return await deliver(self.state, event, guid=guid)

    async def happens(self, action: str) -> Delivery:
        """Deliver that the pull request was opened, closed and the like."""
        return await self._tell(pull_event, self.pull, action)

    async def push(self, files: Mapping[str, str]) -> str:
        """Let the author push, and deliver it; return the new head."""
        before = self.pull.head_sha
        self.state.push(self.pull, files)
        await self._tell(push_event, self.pull, before)
        return self.pull.head_sha

    async def label(self, name: str) -> Delivery:
        """Let somebody put a label on, and deliver it."""
        return await self._tell(label_event, self.pull, name, "riley")

    async def rerun(self, run: CheckRun, button: str | None = None) -> Delivery:
        """Let somebody press "Re-run" on a check run, or a button, and deliver it."""
        event = await asyncio.to_thread(check_run_event, self.state, run, "riley", button=button)
        return await deliver(self.state, event)

    async def rerun_all(self) -> Delivery:
        """Let somebody press "Re-run all checks" on the head, and deliver it."""
        suite = self.state.suite(self.pull.repository, self.pull.head_sha)
        return await self._tell(check_suite_event, suite, "riley")

    async def queue(self) -> str:
        """Let the merge queue ask; return the commit that it would merge."""
        delivery = await self._tell(merge_group_event, self.pull)
        head: str = json.loads(delivery.body)["merge_group"]["head_sha"]
        return head

    async def _tell(self, make: Callable[..., Event], *what: object) -> Delivery:
        return await deliver(self.state, await asyncio.to_thread(make, self.state, *what))

    def configure(self, text: str) -> None:
        """Put the repository's configuration on its default branch."""
        self.state.commit(self.pull.repository, {CONFIG_PATH: text})

    async def rest(self) -> None:
        """Wait until no job waits or runs."""
        await self.until(lambda: not has_unfinished_jobs(self.database))

    async def until(self, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > end:
                raise TimeoutError("it did not come about")
            await asyncio.sleep(0.01)

    async def ended(self, n: int = 1) -> CheckRun:
        """Wait until the n-th check run is completed."""
        await self.until(lambda: len(self.checks) >= n and self.checks[n - 1].status == "completed")
        return self.checks[n - 1]

    @property
    def database(self) -> Path:
        return self.folder / "codex-review.db"

    @property
    def checks(self) -> list[CheckRun]:
        return sorted(self.state.check_runs.values(), key=lambda run: run.id)

    @property
    def reviews(self) -> list[Review]:
        return [review for review in self.state.reviews.values() if review.pull is self.pull]

    @property
    def inline(self) -> list[ReviewComment]:
        return [comment for review in self.reviews for comment in self.state.comments_of(review)]

    @property
    def ours(self) -> list[str]:
        """What we said in the conversation."""
        bot = self.state.app.bot
        return [c.body for c in self.state.issue_comments.values() if c.author == bot]

    def replies(self, to: ReviewComment) -> list[str]:
        """What we said in the thread that a comment begins, without our hidden markers."""
        bot = self.state.app.bot
        return [
            c.body.partition("\n\n<!-- ")[0]
            for c in self.state.review_comments.values()
            if c.in_reply_to == to.id and c.author == bot
        ]

    def reactions(self, comment: IssueComment | Review | ReviewComment) -> list[str]:
        """Our reactions."""
        match comment:
            case Review():
                subject = ("review", comment.id)
            case ReviewComment():
                subject = ("review_comment", comment.id)
            case _:
                subject = ("issue_comment", comment.id)
        return [r.content for r in self.state.reactions_to(subject)]


def receipt(run: CheckRun) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(run.text or "{}")
    if read:
        RECEIPTS.validate(read)
    return read


def build_world(folder: Path, identity: tuple[AppIdentity, str], script: Script) -> World:
    """One repository with one pull request, one person who may command, one who may not."""
    app, private_key = identity
    state = State(folder / "github", app)
    repository = state.create_repository("acme/stats", {"stats.py": BEFORE})
    state.permit(repository, "riley", "write")
    state.permit(repository, "stranger", "read")
    pull = state.open_pull_request(repository, {"stats.py": AFTER}, title="Simplify mean")
    return World(
        state=state,
        pull=pull,
        model=ModelServer(script),
        private_key=private_key,
        folder=folder,
    )
