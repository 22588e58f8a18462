"""The only place that builds real things and joins them."""

import asyncio
import secrets
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette

from app import log
from app.analysers.table import build_finders
from app.errors import AppError, Unusable
from app.github.auth import AppCredentials
from app.github.changes import GitHubChanges
from app.github.checks import GitHubVerdicts
from app.github.comments import GitHubConversation
from app.github.deliveries import GitHubDeliveries
from app.github.local_diff import GitDiff
from app.github.permissions import GitHubPermissions
from app.github.publisher import GitHubPublisher
from app.github.transport import Connection, GitHub
from app.handlers import Handlers
from app.intake import Rules
from app.jobs.job import Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.jobs.worker import Pace, Patience, Worker
from app.llm.chat import ChatModel
from app.llm.remembered import Remembered
from app.pipeline import Asking, run_review
from app.ports import Answers, Changes, Clock, Desk, Model, Run, Services, Syntax
from app.recovery import DAY_S, Bounds, CatchUp, Cleaning, Intervals, Sweep, every
from app.review.event import Request
from app.review.focus import Area
from app.review.prompt import Prompts, parse_prompts
from app.review.pull import InstallationId, RunId, Target
from app.review.receipt import Receipt
from app.sandbox.child import LimitedChild, Limits
from app.sandbox.parsing import ParsingChild
from app.settings import ModelSettings, Settings, TerminalSettings
from app.store.check_runs import StoredCheckRuns
from app.store.database import Database, open_database
from app.store.deliveries import StoredDeliveries
from app.store.memory import Store
from app.terminal import NoCheck, NoMemory, NoPublisher
from app.web.webhook import Door, webhook

RESPOND_SLOTS = 8
GRACE_S = 20.0
"""How long a stop waits for running reviews before it hands them back."""
IDENTITY_RETRY_S = 30.0
SLUG = "slug"
"""The name under which the App's own name is kept."""
INTERVALS = Intervals()

PACKAGE = Path(__file__).parent
NOWHERE = Target(installation_id=InstallationId(0), repository_id=0, owner="", repo="", number=0)


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def serve(settings: Settings, host: str, port: int, *, pull_s: float | None = None) -> None:
    """Serve until SIGTERM or SIGINT; what still runs then is finished or handed back.

    With `pull_s` deliveries are also taken from GitHub's own list, so many seconds apart.
    """
    log.configure(settings.log_level)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        github = await stack.enter_async_context(httpx.AsyncClient())
        model = await stack.enter_async_context(httpx.AsyncClient())
        intervals = Intervals(pull_s=pull_s)
        app = await stack.enter_async_context(
            running(settings, github, model, SystemClock(), intervals=intervals)
        )
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
        log.event("serve.started", address=listener.getsockname()[:2], model=_name(settings.model))
        await _Server(config).serve(sockets=[listener])
        log.event("serve.stopping")


def _listen(host: str, port: int) -> socket.socket:
    """Listen, or say in words why that cannot be. Raises Unusable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
        # asyncio sets this itself on sockets that it made: without it each answer on a connection
        # that is kept waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise Unusable(
            f"cannot listen on {host} port {port} ({why}): choose others with --host and --port"
        ) from exc


@asynccontextmanager
async def running(
    settings: Settings,
    github_http: httpx.AsyncClient,
    model_http: httpx.AsyncClient,
    clock: Clock,
    *,
    grace_s: float = GRACE_S,
    intervals: Intervals = INTERVALS,
) -> AsyncIterator[Starlette]:
    """Run the worker beside the web part that is yielded; stop both on leaving.

    What still runs `grace_s` seconds after that is handed back to the queue.
    """
    database = await open_database(settings.database)
    try:
        store = Store(database, clock)
        jobs = SqliteJobs(database, clock, _limits(settings))
        await jobs.take_over()
        github = _github(settings, github_http, clock)
        verdicts = GitHubVerdicts(github, StoredCheckRuns(database, clock))
        known_slug = await store.kept_value(SLUG)

        def slug() -> str | None:
            return github.slug or known_slug

        worker = await _worker(settings, jobs, store, verdicts, github, slug, model_http, clock)
        rules = Rules(
            app_id=settings.app_id,
            slug=slug,
            mentions=settings.mentions,
            allowed_owners=settings.allowed_owners,
        )
        door = Door(
            secrets=tuple(secret.reveal().encode() for secret in settings.webhook_secrets),
            rules=rules,
        )
        rounds = _rounds(settings, intervals, database, store, jobs, github, rules, clock)
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(worker.run())
            learning = _learn_identity(github, store, clock)
            beside = [tasks.create_task(one) for one in (learning, *rounds)]
            try:
                yield Starlette(routes=[webhook(door, jobs)])
            finally:
                for task in beside:
                    task.cancel()
                await worker.stop(grace_s)
                await working
    finally:
        await database.close()


async def review_on_terminal(
    settings: TerminalSettings, changes: Changes, areas: tuple[Area, ...] | None
) -> Receipt:
    """Run the pipeline on a change of this machine; nothing is posted or kept."""
    async with httpx.AsyncClient() as http:
        asked = asyncio.Semaphore(settings.max_concurrent_model_calls)
        services = Services(
            changes=changes,
            verdicts=NoCheck(),
            publisher=NoPublisher(),
            memory=NoMemory(),
            model=_model(settings.model, http, asked, SystemClock(), answers=None),
            finders=build_finders(LimitedChild()),
            syntax=_syntax(),
        )
        asking = Asking(
            prompts=load_prompts(settings.prompts_dir), fence_secret=secrets.token_bytes(32)
        )
        run = Run(id=RunId(secrets.token_hex(8)), attempt=1)
        return await run_review(NOWHERE, Request(areas=areas), run, services, asking)


def load_prompts(overlay: Path | None = None) -> Prompts:
    """Read the prose that ships with us; Markdown of the same name in `overlay` stands over it.

    The answer's schema is not overlaid: the parser knows only ours.
    """
    files: dict[str, str] = {}
    for folder, suffixes in ((shipped("prompts"), (".md", ".json")), (overlay, (".md",))):
        for path in sorted(folder.rglob("*")) if folder else ():
            if path.is_file() and path.suffix in suffixes:
                files[path.relative_to(folder or path).as_posix()] = path.read_text("utf-8")
    return parse_prompts(files)


def shipped(name: str) -> Path:
    """Find a file or folder that ships inside the wheel and lies at the top of a checkout."""
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name


async def _worker(
    settings: Settings,
    jobs: SqliteJobs,
    store: Store,
    verdicts: GitHubVerdicts,
    github: GitHub,
    slug: Callable[[], str | None],
    model_http: httpx.AsyncClient,
    clock: Clock,
) -> Worker:
    asked = asyncio.Semaphore(settings.max_concurrent_model_calls)
    handlers = Handlers(
        jobs=jobs,
        services=Services(
            changes=GitHubChanges(github, git=_git()),
            verdicts=verdicts,
            publisher=GitHubPublisher(github),
            memory=store,
            model=_model(settings.model, model_http, asked, clock, answers=store),
            finders=build_finders(LimitedChild()),
            syntax=_syntax(),
        ),
        desk=Desk(permissions=GitHubPermissions(github), conversation=GitHubConversation(github)),
        asking=Asking(
            prompts=load_prompts(settings.prompts_dir),
            fence_secret=bytes.fromhex(
                await store.value("fence_secret", lambda: secrets.token_hex(32))
            ),
        ),
        mentions=settings.mentions,
        slug=slug,
    )
    slots = {lane: limit.in_all for lane, limit in _limits(settings).items()}
    return Worker(
        jobs, handlers.handle, handlers.report, clock, slots, pace=Pace(), patience=Patience()
    )


def _git() -> GitDiff | None:
    """Find the git that compares what GitHub shows no diff of."""
    program = shutil.which("git")
    return GitDiff(LimitedChild(), program) if program else None


def _rounds(
    settings: Settings,
    intervals: Intervals,
    database: Database,
    store: Store,
    jobs: SqliteJobs,
    github: GitHub,
    rules: Rules,
    clock: Clock,
) -> tuple[Coroutine[None, None, None], ...]:
    """Build what looks again and again after what was left behind."""
    check_runs = StoredCheckRuns(database, clock)
    catch_up = CatchUp(
        deliveries=GitHubDeliveries(github),
        seen=StoredDeliveries(database),
        jobs=jobs,
        rules=rules,
        overlap_s=intervals.overlap_s,
        takes_all=intervals.pull_s is not None,
    )
    sweep = Sweep(
        checks=check_runs,
        receipts=store,
        jobs=jobs,
        verdicts=GitHubVerdicts(github, check_runs),
        clock=clock,
        settle_s=intervals.settle_s,
    )
    bounds = Bounds(keep_s=settings.keep_days * DAY_S)
    cleaning = Cleaning(kept=database, clock=clock, bounds=bounds)
    return (
        every(intervals.pull_s or intervals.catch_up_s, "catch_up", catch_up.look, clock),
        every(intervals.sweep_s, "sweep", sweep.look, clock),
        every(intervals.clean_s, "clean", cleaning.look, clock),
    )


def _syntax() -> Syntax:
    """Parsers read hostile text and some hang on it: each text has a short-lived child."""
    return ParsingChild(LimitedChild(Limits(wall_s=5, cpu_s=5)))


def _limits(settings: Settings) -> dict[Lane, Limit]:
    reviews = settings.max_concurrent_reviews
    return {
        Lane.RESPOND: Limit(in_all=RESPOND_SLOTS, per_installation=RESPOND_SLOTS),
        Lane.REVIEW: Limit(in_all=reviews, per_installation=reviews),
    }


def _github(settings: Settings, http: httpx.AsyncClient, clock: Clock) -> GitHub:
    connection = Connection(http, clock=clock, base_url=settings.github_api_url)
    credentials = AppCredentials(
        connection, app_id=str(settings.app_id), private_key=settings.private_key.reveal()
    )
    return GitHub(connection, credentials)


async def _learn_identity(github: GitHub, store: Store, clock: Clock) -> None:
    """Ask GitHub which App we are until it answers: our own name is a mention too.

    It is kept, so that after the first start no delivery has to wait for it.
    """
    while True:
        try:
            identity = await github.identity()
            await store.keep_value(SLUG, identity.slug)
        except AppError as exc:
            log.error("identity.unknown", reason=str(exc))
            await clock.sleep(IDENTITY_RETRY_S)
        else:
            log.event("identity.known", slug=identity.slug)
            return


def _model(
    settings: ModelSettings | None,
    http: httpx.AsyncClient,
    slots: asyncio.Semaphore,
    clock: Clock,
    *,
    answers: Answers | None,
) -> Model | None:
    if settings is None:
        return None
    model = ChatModel(
        client=http,
        base_url=settings.base_url,
        api_key=settings.api_key.reveal(),
        model=settings.model,
        timeout_s=settings.timeout_s,
        slots=slots,
        clock=clock,
    )
    return Remembered(model, answers) if answers else model


def _name(settings: ModelSettings | None) -> str:
    return settings.model if settings else "none: analysers only"


class _Server(uvicorn.Server):
    """Stops on a signal without dying of it, so that running jobs can be handed back."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
