"""The story that `codex-review demo` plays: a comment, a crash, one review, a fix.

It runs the stand-in for GitHub in this process and the real server as a process of its own, and
prints only what it measured: every line is read from the stand-in's state or from a clock.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.demo import planted
from app.demo.deliveries import deliver
from app.demo.events import comment_event, push_event
from app.demo.faults import Fault
from app.demo.github import create_app
from app.demo.records import CheckRun, Hook, PullRequest, Review
from app.demo.serving import serving
from app.demo.state import State, new_app

REVIEWER = "riley"
SECRET = "it's a secret to this demo"  # noqa: S105 - known to everybody on purpose
FIXED = "Fixed in"
PATIENCE_S = 120.0
HOLD = Fault(path=r"/reviews/\d+/events$", method="POST", delay_s=PATIENCE_S)
"""Keeps the submission of a review waiting: the moment in which the server is killed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the story came to; the test holds it against the stand-in."""

    state: State
    pull: PullRequest
    lines: tuple[str, ...]


def play(env: Mapping[str, str], *, keep: bool, say: Say) -> int:
    """Play the story; return the exit status. 3 when something did not come about in time."""
    with tempfile.TemporaryDirectory(prefix="codex-review-demo-") as folder:
        try:
            asyncio.run(tell(Path(folder), env, keep=keep, say=say))
        except TimeoutError as exc:
            say(f"The demo did not come to its end: {exc}")
            return 3
    return 0


async def tell(folder: Path, env: Mapping[str, str], *, keep: bool, say: Say) -> Told:
    """Tell the whole story in `folder`."""
    story = await asyncio.to_thread(_begin, folder, env, say)
    async with contextlib.AsyncExitStack() as stack:
        story.state.api_url = await stack.enter_async_context(serving(create_app(story.state)))
        stack.push_async_callback(story.stop)
        await story.introduce()
        await story.comment_and_crash()
        await story.come_back()
        await story.fix()
        await story.compare()
        if keep:
            await story.stay()
    return Told(state=story.state, pull=story.pull, lines=tuple(story.lines))


@dataclass(slots=True)
class Story:
    """The state of the telling: who is there, and what was said so far."""

    folder: Path
    env: Mapping[str, str]
    say_line: Say
    state: State
    pull: PullRequest
    private_key: str
    port: int
    began: float
    server: asyncio.subprocess.Process | None = None
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.say_line(line)

    @property
    def model(self) -> str | None:
        has_one = self.env.get("OPENAI_BASE_URL") and self.env.get("MODEL")
        return self.env["MODEL"] if has_one else None

    async def introduce(self) -> None:
        unmodelled = [bug for bug in planted.BUGS if bug.finder == planted.MODEL]
        files = len(self.pull.changes())
        self.say(
            f"A stand-in for GitHub (real git, GitHub's rules) runs at {self.state.api_url}. "
            f"{self.pull.repository.full_name}#{self.pull.number} changes {files} files "
            f"and hides {len(planted.BUGS)} bugs."
        )
        if self.model:
            self.say(f"The model is yours: {self.model}.")
        else:
            self.say(
                f"No model is configured, so only the analysers run. {len(unmodelled)} of the bugs "
                "need a model and are not looked for:"
            )
            for bug in unmodelled:
                self.say(f"    {bug.path}:{bug.line} {bug.what}")
        await self.start()

    async def comment_and_crash(self) -> None:
        self.state.faults.append(HOLD)
        await self.command()
        await self.until(
            "a pending review", lambda: any(r.state == "PENDING" for r in self.reviews())
        )
        await self.stop()
        pending = [r for r in self.reviews() if r.state == "PENDING"]
        self.say(
            f"kill -9 in the middle: {len(pending)} review is written but not submitted, "
            f"the check run is {_runs(self.state)[-1].status}."
        )
        self.state.faults.clear()

    async def come_back(self) -> None:
        began = time.monotonic()
        await self.start()
        await self.until("a finished check run", lambda: self.has_ended(1))
        self.say(f"The server is started again; {_since(began)} later:")
        self.tell_reviews()
        self.tell_verdict()

    async def fix(self) -> None:
        before = self.pull.head_sha
        await asyncio.to_thread(self.state.push, self.pull, planted.FIX, message="Fix two bugs")
        await deliver(self.state, push_event(self.state, self.pull, before))
        self.say(f"A fix of {len(planted.FIX)} bugs is pushed.")
        await self.command()
        await self.until("a second check run", lambda: self.has_ended(2))

    async def compare(self) -> None:
        self.tell_verdict()
        first, second = (_receipt(run) for run in _runs(self.state)[:2])
        old = {f["fingerprint"]: f for f in first["findings"]}
        new = {f["fingerprint"]: f for f in second["findings"]}
        self.say(
            f"The two receipts: {len(old.keys() - new.keys())} findings gone, "
            f"{len(old.keys() & new.keys())} still open, {len(new.keys() - old.keys())} new."
        )
        for gone in (f for key, f in old.items() if key not in new):
            self.say(f"    fixed  {gone['path']}:{gone['line']} {gone['title']}")
        submitted = _submitted(self.state, self.pull)
        repeated = sum(len(self.state.comments_of(review)) for review in submitted[1:])
        comments = self.state.comments_of(submitted[0])
        n_fixed = sum(comment.body.startswith(FIXED) for comment in comments)
        n_minimised = sum(comment.minimized is not None for comment in comments)
        self.say(
            f"Comments that begin with “{FIXED}” now: {n_fixed}, minimised: {n_minimised}, "
            f"repeated after the push: {repeated}."
        )
        self.say(f"{len(self.state.requests)} requests to GitHub in all; {_since(self.began)}.")

    async def stay(self) -> None:
        address = f"{self.state.api_url}/repos/{self.pull.repository.full_name}"
        self.say(f"Left running. The review: {address}/pulls/{self.pull.number}/comments")
        self.say(f"The server: http://127.0.0.1:{self.port}/webhook. Ctrl-C ends both.")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def command(self) -> None:
        """Let the reviewer write the command and wait for the 👀."""
        comment = self.state.comment(self.pull, REVIEWER, "@codex review")
        began = time.monotonic()
        event = await asyncio.to_thread(comment_event, self.state, comment)
        delivery = await deliver(self.state, event)
        answered = time.monotonic()
        subject = ("issue_comment", comment.id)
        await self.until("👀", lambda: bool(self.state.reactions_to(subject)))
        self.say(
            f"{REVIEWER} writes “{comment.body}”; the signed delivery is answered "
            f"{delivery.status_code} in {1000 * (answered - began):.0f} ms, "
            f"👀 after {1000 * (time.monotonic() - began):.0f} ms."
        )

    def tell_reviews(self) -> None:
        submitted = _submitted(self.state, self.pull)
        left = [r for r in self.reviews() if r.state == "PENDING"]
        comments = [c for review in submitted for c in self.state.comments_of(review)]
        self.say(
            f"    {len(submitted)} review with {len(comments)} inline comments, "
            f"{len(left)} left pending"
        )
        for comment in comments:
            heading = comment.body.partition("\n")[0].strip("*")
            self.say(f"    {comment.place.path}:{comment.place.line} {heading}")

    def tell_verdict(self) -> None:
        run = _runs(self.state)[-1]
        self.say(f"    check run “{run.name}”: {run.conclusion}, {run.title}")
        found = _receipt(run)["findings"]
        bugs = [bug for bug in planted.BUGS if self.model or bug.finder != planted.MODEL]
        bugs = [bug for bug in bugs if self._is_there(bug)]
        hits = [bug for bug in bugs if any(_is_hit(bug, f) for f in found)]
        alarms = [f for f in found if not any(_is_hit(bug, f) for bug in planted.BUGS)]
        self.say(
            f"    of {len(bugs)} planted bugs that could be looked for: {len(hits)} found, "
            f"{len(bugs) - len(hits)} missed; false alarms: {len(alarms)}"
        )

    def _is_there(self, bug: planted.Planted) -> bool:
        return (
            bug.path not in planted.FIX
            or len(self.pull.commits()) == 1
            or (bug.finder == planted.MODEL)
        )

    def reviews(self) -> list[Review]:
        return [r for r in self.state.reviews.values() if r.pull is self.pull]

    def has_ended(self, n: int) -> bool:
        return len(_runs(self.state)) >= n and _runs(self.state)[n - 1].status == "completed"

    async def start(self) -> None:
        began = time.monotonic()
        with (self.folder / "server.log").open("ab") as log:
            self.server = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-c",
                "from app.cli import run; run()",
                "serve",
                "--port",
                str(self.port),
                env=self.server_env(),
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=log,
            )
        await self.until("the server", lambda: _listens(self.port))
        self.say(f"codex-review serve listens on port {self.port} after {_since(began)}.")

    def server_env(self) -> dict[str, str]:
        kept = ("PATH", "LANG", "OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL", "MODEL_API")
        env = {name: self.env[name] for name in kept if name in self.env}
        if self.model is None:
            env["MODEL_API"] = "static"
        return env | {
            "APP_ID": str(self.state.app.id),
            "PRIVATE_KEY": self.private_key,
            "WEBHOOK_SECRET": SECRET,
            "GITHUB_API_URL": self.state.api_url,
            "DATABASE_URL": f"sqlite:///{self.folder}/codex-review.db",
        }

    async def stop(self) -> None:
        """Kill the server as a crash would: it gets no chance to tidy up."""
        if self.server is not None and self.server.returncode is None:
            self.server.send_signal(signal.SIGKILL)
            await self.server.wait()

    async def until(self, what: str, came_about: Callable[[], bool]) -> None:
        """Wait until something is so. Raises TimeoutError with the server's last words."""
        end = time.monotonic() + PATIENCE_S
        while not came_about():
            died = self.server is not None and self.server.returncode not in (None, -signal.SIGKILL)
            if died or time.monotonic() > end:
                log = self.folder / "server.log"
                words = log.read_text("utf-8", "replace")[-2_000:] if log.exists() else ""
                raise TimeoutError(f"{what} did not come.\n{words}")
            await asyncio.sleep(0.01)


def _begin(folder: Path, env: Mapping[str, str], say: Say) -> Story:
    app, private_key = new_app(SECRET)
    state = State(folder / "github", app)
    repository = state.create_repository(f"{planted.OWNER}/{planted.REPO}", planted.BASE)
    state.permit(repository, REVIEWER, "write")
    pull = state.open_pull_request(
        repository, planted.HEAD, title=planted.TITLE, body=planted.BODY, author="casey"
    )
    port = _free_port()
    state.hook = Hook(url=f"http://127.0.0.1:{port}/webhook")
    return Story(
        folder=folder,
        env=env,
        say_line=say,
        state=state,
        pull=pull,
        private_key=private_key,
        port=port,
        began=time.monotonic(),
    )


def _submitted(state: State, pull: PullRequest) -> list[Review]:
    reviews = [r for r in state.reviews.values() if r.pull is pull and r.state != "PENDING"]
    return sorted(reviews, key=lambda review: review.id)


def _runs(state: State) -> list[CheckRun]:
    return sorted(state.check_runs.values(), key=lambda run: run.id)


def _receipt(run: CheckRun) -> dict[str, list[dict[str, str]]]:
    receipt: dict[str, list[dict[str, str]]] = json.loads(run.text or "{}")
    return {"findings": [], **receipt}


def _is_hit(bug: planted.Planted, finding: Mapping[str, object]) -> bool:
    start, end = finding["start_line"], finding["line"]
    if not isinstance(start, int) or not isinstance(end, int):
        return False
    bug_is = (bug.path, bug.side, bug.area)
    found_is = (finding["path"], finding["side"], finding["area"])
    return bug_is == found_is and start - 3 <= bug.line <= end + 3


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
