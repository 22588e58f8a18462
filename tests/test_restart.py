"""Killed at every effect, one by one, and started again: the work is done, and it is done once.

The server is a real process (`crashing_server.py`), GitHub and the model are on ports of this one.
A first run without a crash tells which effects there are and what they come to; then each gets a
world of its own in which the server dies there.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.demo.deliveries import redeliver
from app.demo.github import create_app
from app.demo.serving import address, listen, serving
from app.demo.state import AppIdentity, new_app
from tests.disk import has_unfinished_jobs, rows
from tests.model_server import Question, Reply, Script, error
from tests.outcome import Outcome, read_outcome
from tests.world import BEFORE, World, build_world, finding, finds

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PATIENCE_S = 40.0
TRAILING_S = 1.5
"""A commit shows as done when the next transaction begins: with the next look for work."""
AT_ONCE = 2

Identity = tuple[AppIdentity, str]

A_QUESTION = "before model"
RACING = re.compile(r"examined|caught_up|hook/deliveries|GET /app #")
"""Looking for missed deliveries, and for who we are, goes on beside the rest: what it sees depends
on the moment."""

LINES = [f"limit_{letter} = {number}" for number, letter in enumerate("abcdef", start=10)]
MANY = [
    finding(
        title=f"Limit {number} is off by one",
        code_location={
            "path": "limits.py",
            "side": "RIGHT",
            "line_range": {"start": number, "end": number},
        },
        evidence_quote=line,
    )
    for number, line in enumerate(LINES, start=1)
]
"""One more than the comments that a review may have: the last becomes an annotation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What somebody writes, how the model takes it, and what must come of it.

    Where it only ends in another way than the first one, it is killed from `since` on. `fix` is
    pushed after a first review, which nothing disturbs.
    """

    body: str
    script: Callable[[World], Script]
    outcome: Outcome
    files: dict[str, str] = field(default_factory=dict)
    since: str = ""
    fix: dict[str, str] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=dict)

    def effects(self, reached: Sequence[str]) -> Sequence[str]:
        """Choose where to die, of the effects that were reached without a crash."""
        first = next(n for n, effect in enumerate(reached) if effect.startswith(self.since))
        return reached[first:]


def _push_then_find(world: World) -> Script:
    """While the first question is being answered, somebody pushes."""
    found = finds(finding())

    def script(question: Question) -> Reply:
        if len(world.pull.commits()) == 1:
            world.state.push(world.pull, {"other.py": "x = 1\n"})
        return found(question)

    return script


def sees(question: Question) -> Reply:
    """Find the bug where its line is shown."""
    found = finding()
    return finds(*[found] if found["evidence_quote"] in question.user else [])(question)


STORIES = {
    "findings and help": Story(
        body="@codex review\n@codex help",
        files={"limits.py": "".join(f"{line}\n" for line in LINES)},
        script=lambda _: finds(*MANY),
        outcome=Outcome(
            reviews=(
                "COMMENTED on the head: "
                "limits.py:1 limits.py:2 limits.py:3 limits.py:4 limits.py:5",
            ),
            checks=("completed neutral on the head, 1 annotations: Reviewed: 6 findings (6 P1)",),
            said=("answer",),
            reactions=("eyes",),
        ),
    ),
    "a push meanwhile": Story(
        body="@codex review",
        since=A_QUESTION,
        script=_push_then_find,
        outcome=Outcome(
            reviews=("COMMENTED on the head: stats.py:3",),
            checks=(
                "completed cancelled on an older commit, 0 annotations: "
                "Superseded: a newer commit was pushed",
                "completed neutral on the head, 0 annotations: Reviewed: 1 finding (1 P1)",
            ),
            reactions=("eyes",),
        ),
    ),
    "clean": Story(
        body="@codex review",
        since=A_QUESTION,
        script=lambda _: finds(),
        outcome=Outcome(
            checks=("completed success on the head, 0 annotations: Reviewed: no findings",),
            reactions=("+1", "eyes"),
        ),
    ),
    "a finding is fixed": Story(
        body="@codex review",
        since="before GitHub PATCH /repos/acme/stats/pulls/comments",
        fix={"stats.py": BEFORE.replace("mean", "average")},
        permissions={"contents": "write"},
        script=lambda _: sees,
        outcome=Outcome(
            reviews=("COMMENTED on an older commit: stats.py:3 fixed resolved by the App",),
            checks=(
                "completed neutral on an older commit, 0 annotations: Reviewed: 1 finding (1 P1)",
                "completed success on the head, 0 annotations: Reviewed: no findings",
            ),
            reactions=("+1", "eyes"),
        ),
    ),
    "out of credit": Story(
        body="@codex review",
        since=A_QUESTION,
        script=lambda _: lambda _: error(429, "You have no credit", code="insufficient_quota"),
        outcome=Outcome(
            checks=("completed neutral on the head, 0 annotations: NOT REVIEWED: out of credit",),
            said=("failure",),
            reactions=("confused", "eyes"),
        ),
    ),
}


@dataclass(slots=True, kw_only=True)
class Machine:
    """The machine that our server runs on: its port, its disk, and how it is started."""

    world: World
    listener: socket.socket
    model_url: str
    n_before: int = 0
    """Deliveries that came before the story."""

    @asynccontextmanager
    async def server(self, crash_at: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
        """Start the server; on leaving it is killed, if it still lives."""
        with (self.world.folder / "server.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.crashing_server",
                env=self._env(crash_at),
                pass_fds=[self.listener.fileno()],
                stderr=log,
                stdout=log,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _env(self, crash_at: str) -> dict[str, str]:
        world = self.world
        return {
            "PATH": os.environ["PATH"],
            "APP_ID": str(world.state.app.id),
            "PRIVATE_KEY": world.private_key,
            "WEBHOOK_SECRET": world.state.app.webhook_secret,
            "GITHUB_API_URL": world.state.api_url,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "OPENAI_BASE_URL": self.model_url,
            "MODEL": "scripted",
            "LISTENER": str(self.listener.fileno()),
            "EFFECTS": str(self.world.folder / "effects"),
            "CRASH_AT": crash_at,
        }

    @property
    def database(self) -> Path:
        return self.world.folder / "codex-review.db"

    def effects(self) -> list[str]:
        return (self.world.folder / "effects").read_text().splitlines()

    def last_words(self) -> str:
        return (self.world.folder / "server.log").read_text("utf-8", "replace")[-500:]

    def is_quiet(self) -> bool:
        """Whether the delivery that counts was taken, and all that came of it has ended."""
        taken = sum(200 <= d.status_code < 300 for d in self.world.state.deliveries)
        return taken > self.n_before and not has_unfinished_jobs(self.database)

    def kept_answers(self) -> set[str]:
        """The questions whose answers are on the disk."""
        texts = (str(text) for (text,) in rows(self.database, "SELECT text FROM answers"))
        return {json.loads(text)["overall_explanation"] for text in texts}

    async def until_quiet(self, server: asyncio.subprocess.Process) -> bool:
        """Wait until all is done; False where the server died before. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while server.returncode is None:
                if self.is_quiet():
                    return True
                await asyncio.sleep(0.02)
        return False


@asynccontextmanager
async def machine(story: Story, folder: Path, identity: Identity) -> AsyncIterator[Machine]:
    world = await asyncio.to_thread(build_world, folder, identity, finds())
    if story.files:
        world.state.push(world.pull, story.files, force=True)
    for installation in world.state.installations.values():
        installation.permissions |= story.permissions
    world.model.script = _signed(story.script(world))
    with listen() as listener:
        async with (
            serving(create_app(world.state)) as github_url,
            serving(world.model.app) as model_url,
        ):
            world.state.api_url = github_url
            world.state.hook.url = f"{address(listener)}/webhook"
            yield Machine(world=world, listener=listener, model_url=f"{model_url}/v1")


def _signed(script: Script) -> Script:
    """Let each answer tell to which question it belongs."""

    def signed(question: Question) -> Reply:
        reply = script(question)
        if not isinstance(reply, str):
            return reply
        return json.dumps({**json.loads(reply), "overall_explanation": _name(question)})

    return signed


def _name(question: Question) -> str:
    return hashlib.sha256(json.dumps(question.body).encode()).hexdigest()


async def review_first(one: Machine, story: Story) -> None:
    """Review, and push what the story fixes, if it does; forget what effects that had."""
    if not story.fix:
        return
    async with one.server() as server:
        await one.world.comment(story.body)
        await one.until_quiet(server)
        await asyncio.sleep(TRAILING_S)
    one.n_before = 1
    one.world.state.push(one.world.pull, story.fix)
    (one.world.folder / "effects").unlink()


async def run_through(one: Machine, story: Story) -> tuple[Outcome, list[str]]:
    """Play a story without a crash; return what it comes to and its effects."""
    await review_first(one, story)
    async with one.server() as server:
        comment = await one.world.comment(story.body)
        await one.until_quiet(server)
        await asyncio.sleep(TRAILING_S)
    return read_outcome(one.world, comment.id), one.effects()


async def die_and_come_back(one: Machine, story: Story, effect: str) -> list[str]:
    """Play a story with a crash at one effect; return what went wrong."""
    world = one.world
    await review_first(one, story)
    comment = world.state.comment(world.pull, "riley", story.body)
    async with one.server(crash_at=effect) as first:
        delivering = asyncio.create_task(world.deliver(comment))
        if await one.until_quiet(first):
            await asyncio.sleep(TRAILING_S)
        died_of = first.returncode
    kept = one.kept_answers()
    async with one.server() as second:
        delivery = await delivering
        if not 200 <= delivery.status_code < 300:
            await redeliver(world.state, delivery.guid)
        is_quiet = await one.until_quiet(second)
    problems = [] if is_quiet else [f"the second server died: {one.last_words()}"]
    if died_of != -signal.SIGKILL and not RACING.search(effect):
        problems.append(f"this effect was not reached: {died_of}")
    found = read_outcome(world, comment.id)
    if found != story.outcome:
        problems.append(f"came to {found}")
    asked = Counter(_name(question) for question in world.model.questions)
    for name, times in asked.items():
        if times > (1 if name in kept else 2):
            problems.append(f"a question was asked {times} times, kept: {name in kept}")
    return problems


async def play(story: Story, effect: str, folder: Path, identity: Identity) -> list[str]:
    """Play a story on a machine of its own; return what went wrong and where to look."""
    async with machine(story, folder, identity) as one:
        try:
            problems = await die_and_come_back(one, story, effect)
        except TimeoutError:
            problems = [f"never came to rest: {one.last_words()}"]
    return [f"{effect} ({folder}): {problem}" for problem in problems]


@pytest.fixture(scope="module")
def identity() -> Identity:
    return new_app("a secret")


@pytest.mark.parametrize("name", STORIES)
async def test_killed_at_every_effect_it_still_does_everything_once(
    name: str, tmp_path: Path, identity: Identity
) -> None:
    story = STORIES[name]
    async with machine(story, tmp_path / "whole", identity) as one:
        came_to, reached = await run_through(one, story)
    assert came_to == story.outcome
    effects = story.effects(reached)
    assert {effect.split()[0] for effect in effects} == {"before", "after"}

    slots = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int, effect: str) -> list[str]:
        async with slots:
            return await play(story, effect, tmp_path / str(number), identity)

    played = await asyncio.gather(*map(in_turn, range(len(effects)), effects))
    assert [problem for problems in played for problem in problems] == []
