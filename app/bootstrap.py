"""The only place that builds real things and joins them."""

import asyncio
import secrets
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app import log
from app.alone import (
    Blocking,
    ChecksOfOneRun,
    NoCheck,
    NoMemory,
    NoPublisher,
    NoThreads,
    Progress,
    WatchedModel,
)
from app.analysers.table import build_finders
from app.asking import Asking
from app.credentials import Registration, read_environment
from app.doctor import Diagnosis, diagnose
from app.errors import AppError, Forbidden, Overtaken, PullRequestGone, Unusable
from app.estimating import Estimates
from app.evaluating import CaseChanges, fetch_case, measure, spent_usd
from app.evaluating import Plan as EvaluationPlan
from app.github.addresses import Address, CheckAddress, PullAddress, web_url
from app.github.auth import PERMISSIONS, UNPOSTED, VERDICT, AppCredentials
from app.github.changes import GitHubChanges
from app.github.checks import GitHubVerdicts
from app.github.comments import GitHubConversation
from app.github.conversion import convert
from app.github.deliveries import GitHubDeliveries
from app.github.local_diff import GitDiff
from app.github.manifest import Manifest, read_manifest
from app.github.permissions import GitHubPermissions
from app.github.policies import ConfigFiles
from app.github.posted import PostedVerdicts
from app.github.publisher import GitHubPublisher
from app.github.talks import GitHubTalks
from app.github.threads import GitHubThreads
from app.github.transport import Connection, GitHub
from app.github.user_token import TokenCredentials
from app.handlers import Handlers, Waits
from app.intake import Rules
from app.jobs.job import Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.jobs.worker import Pace, Patience, Worker
from app.llm.connection import Connection as ModelConnection
from app.llm.fallback import WithFallback
from app.llm.ladder import Api
from app.llm.metered import LedgerOfOneRun, Meter, MeteredModels
from app.llm.model import ServedModel
from app.llm.server import Account, warn_of_models
from app.pipeline import run_review
from app.ports import (
    Changes,
    Clock,
    Desk,
    Ledger,
    Model,
    Models,
    Publisher,
    Run,
    Services,
    Syntax,
    Threads,
    Verdicts,
)
from app.recovery import DAY_S, Bounds, CatchUp, Cleaning, Intervals, Sweep, every
from app.review.config import DEFAULTS
from app.review.dry_run import DryRun
from app.review.event import Request
from app.review.focus import Area
from app.review.price import Prices
from app.review.priority import Priority
from app.review.prompt import Prompts, parse_prompts
from app.review.pull import InstallationId, RunId, Target
from app.review.receipt import Receipt, State, broken_off
from app.review.scoring import Measured
from app.sandbox.child import Limits
from app.sandbox.isolation import Sandbox, find_sandbox
from app.sandbox.parsing import ParsingChild
from app.settings import (
    GitHubAccess,
    ModelApi,
    ModelSettings,
    Settings,
    TerminalSettings,
    read_settings,
)
from app.store.check_runs import StoredCheckRuns
from app.store.database import Database, open_database
from app.store.deliveries import StoredDeliveries
from app.store.dismissals import StoredDismissals
from app.store.feedback import StoredStatistics
from app.store.forgetting import forget
from app.store.memory import Store
from app.store.runs import StoredRuns
from app.store.spending import StoredLedger
from app.web.api import ReviewApi
from app.web.html import page
from app.web.metrics import Metrics
from app.web.openapi import refuse, routes_of, with_description
from app.web.pages import Pages
from app.web.password import Password
from app.web.probes import probes
from app.web.setup import PATH as SETUP
from app.web.setup import SetUp
from app.web.webhook import Door, webhook

RESPOND_SLOTS = 16
LOOK_SLOTS = 4
ASK_SLOTS = 8
A_DAY = Patience(retries=200, longest_s=900.0)
"""How long it is tried to tell how a job ended: about a day, a quarter of an hour apart at most."""
SHARE = 4
"""Quick jobs of one installation that may run at once are one in so many: GitHub may slow down
one installation, and the others shall not wait for it."""
WAITS = Waits()
GRACE_S = 20.0
"""How long a stop waits for running reviews before it hands them back."""
SLOW_SENDERS_S = 3
"""How long a stop waits for requests that are only half sent."""
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


async def serve(
    environ: Mapping[str, str], host: str, port: int, *, say: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; what still runs then is finished or handed back.

    Without an App, set-up is served first, and its address said.
    """
    settings = read_settings(read_environment(environ), may_lack_app=True)
    log.configure(settings.log_level)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        github = await stack.enter_async_context(httpx.AsyncClient())
        model = await stack.enter_async_context(httpx.AsyncClient())
        front = Front(environ, settings, github, clock)
        config = uvicorn.Config(
            front.app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SLOW_SENDERS_S,
        )
        server = _Server(config)
        serving: asyncio.Task[None] | None = None
        if not settings.has_app:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            stack.callback(serving.cancel)
            await asyncio.sleep(0)  # from here on signals are its own
            base_url = settings.public_url or _reached_at(listener)
            say(f"There is no GitHub App yet. Create it here: {base_url}{front.way_in}")
            either: tuple[asyncio.Future[None] | asyncio.Future[Settings], ...]
            either = (serving, front.registered)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not front.registered.done():
                return await serving
            settings = front.registered.result()
        intervals = Intervals(pull_s=settings.pull_s)
        app = await stack.enter_async_context(
            running(settings, github, model, clock, intervals=intervals)
        )
        front.open(app)
        log.event("serve.started", address=listener.getsockname()[:2], model=_name(settings.model))
        looking = asyncio.create_task(_look_at_model(settings.model, model, clock))
        stack.callback(looking.cancel)
        await (serving or server.serve(sockets=[listener]))
        log.event("serve.stopping")


class Front:
    """Set-up, and behind it the app that runs, as soon as there is one.

    `registered` is settled when set-up came to an App. Built inside a running loop.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        settings: Settings,
        http: httpx.AsyncClient,
        clock: Clock,
    ) -> None:
        token = "" if settings.has_app else secrets.token_urlsafe(32)
        self.way_in = f"{SETUP}?token={token}"
        self.registered: asyncio.Future[Settings] = asyncio.get_running_loop().create_future()
        self._is_open = asyncio.Event()
        # A process that waits for its App lives, and is not to be restarted.
        alive = Route("/healthz", lambda _: JSONResponse({"status": "alive"}))
        not_set_up = page("not_set_up.html", HTTPStatus.SERVICE_UNAVAILABLE)
        self._behind: ASGIApp = Starlette(routes=[alive, Mount("", app=not_set_up)])
        office = Registration(
            environ=environ,
            exchange=partial(convert, http),
            deliveries=lambda settings: GitHubDeliveries(_github(settings, http, clock)[0]),
            registered=self.registered,
            is_up=self._is_open,
        )
        is_named = "GITHUB_API_URL" in read_environment(environ)
        set_up = SetUp(
            office=office,
            manifest=load_manifest(),
            clock=clock,
            token=token,
            has_app=settings.has_app,
            api_url=settings.github_api_url if is_named else "",
            public_url=settings.public_url,
        )
        routes = [set_up.route(), Mount("", app=self._pass)]
        self.app = Starlette(routes=_also_below(_prefix(settings), routes))

    def open(self, app: ASGIApp) -> None:
        """Let requests through to the app that runs now."""
        self._behind = app
        self._is_open.set()

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._behind(scope, receive, send)


def _prefix(settings: Settings) -> str:
    """Return the path under which people reach us, without a slash at its end."""
    return urlsplit(settings.public_url).path


def _also_below(prefix: str, routes: Sequence[BaseRoute]) -> Sequence[BaseRoute]:
    """Serve with the prefix too: some proxies take it off, some leave it."""
    return [Mount(prefix, routes=routes), *routes] if prefix else routes


def load_manifest() -> Manifest:
    """Read what our App may do."""
    return read_manifest(shipped("app.yml").read_text("utf-8"))


def _reached_at(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - read, not bound
    return f"http://{named}:{port}"


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
    waits: Waits = WAITS,
) -> AsyncIterator[Starlette]:
    """Run the worker beside the web part that is yielded; stop both on leaving.

    What still runs `grace_s` seconds after that is handed back to the queue.
    """
    database = await open_database(settings.database, alone=True)
    try:
        store = Store(database, clock)
        jobs = SqliteJobs(database, clock, _limits(settings))
        await jobs.take_over()
        github, credentials = _github(settings, github_http, clock)
        check_runs = StoredCheckRuns(database, clock)
        known_slug = await store.kept_value(SLUG)

        def slug() -> str | None:
            return github.slug or known_slug

        ledger = StoredLedger(database, clock)
        dismissals = StoredDismissals(database, clock)
        asked = asyncio.Semaphore(settings.max_concurrent_model_calls)
        models = _models(settings.model, model_http, asked, clock, store=store, ledger=ledger)
        credit = _credit(settings.model, model_http, clock)
        sandbox = find_sandbox()
        files = ConfigFiles(github, server=settings.default_config, ceilings=settings.ceilings)
        changes = GitHubChanges(github, files=files, git=_git(sandbox))
        worker = await _worker(
            settings,
            jobs,
            store,
            models,
            credit,
            changes,
            check_runs,
            dismissals,
            github,
            slug,
            sandbox,
            clock,
            waits,
        )
        api = ReviewApi(
            api_url=settings.github_api_url,
            allowed_owners=settings.allowed_owners,
            models=settings.ceilings.models,
            max_reviews_per_day=settings.max_reviews_per_day,
            find=credentials.find,
            policies=changes,
            jobs=jobs,
            receipts=store,
            budget=models,
            credit=credit,
            clock=clock,
        )
        metrics = Metrics(jobs, ledger.total, clock)
        github_http.event_hooks["response"].append(metrics.hear_github)
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
        operations = with_description(
            (*api.operations(), *probes(partial(_missing, store)), metrics.operation()),
            version=version("codex-review"),
        )
        pages = Pages(
            runs=StoredRuns(database),
            jobs=jobs,
            statistics=StoredStatistics(database),
            password=Password(settings.admin_password.reveal(), clock),
            look=partial(_missing, store),
            other_codex=store.other_codex,
            slug=slug,
            mentions=settings.mentions,
            model=_name(settings.model),
            base=_prefix(settings),
            web_url=web_url(settings.github_api_url),
        )
        described = routes_of(operations, settings.api_keys)
        routes = [webhook(door, jobs), *pages.routes(), *described]
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            stack.enter_context(log.heard_by(metrics.hear))
            working = tasks.create_task(worker.run())
            learning = _learn_identity(github, store, clock)
            beside = [tasks.create_task(one) for one in (learning, *rounds)]
            try:
                yield Starlette(
                    routes=_also_below(_prefix(settings), routes),
                    exception_handlers={HTTPException: refuse, Exception: refuse},
                )
            finally:
                for task in beside:
                    task.cancel()
                await worker.stop(grace_s)
                await working
    finally:
        await database.close()


async def diagnose_here(environ: Mapping[str, str]) -> Diagnosis:
    """Look at all that a review needs; see `doctor.py`."""
    log.configure("error")
    async with httpx.AsyncClient() as github, httpx.AsyncClient() as model:
        manifest, clock = load_manifest(), SystemClock()
        return await diagnose(environ, manifest, github, model, find_sandbox(), clock)


async def forget_repository(path: Path, owner: str, repo: str) -> Mapping[str, int]:
    """Erase all that is kept about a repository; see `store/forgetting.py`. Raises AppError."""
    database = await open_database(path)
    try:
        return await forget(database, owner, repo, SystemClock())
    finally:
        await database.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnGitHub:
    """A pull request, who we are there, and whether its review is posted."""

    access: GitHubAccess
    address: PullAddress
    fail_on: Priority | None
    post: bool = False

    @property
    def has_check_run(self) -> bool:
        """Say whether the verdict is posted too, which only Apps may."""
        return self.post and self.access.key is not None


async def review_on_terminal(
    settings: TerminalSettings,
    source: Changes | OnGitHub,
    areas: tuple[Area, ...] | None,
    progress: Progress,
) -> Receipt:
    """Run the pipeline once; nothing is kept, and nothing posted unless the source says so."""
    run = Run(id=RunId(secrets.token_hex(8)), attempt=1)
    progress.say("Reading the change")
    try:
        async with _alone(settings, source, progress) as (target, services, asking):
            try:
                return await run_review(target, Request(areas=areas), run, services, asking)
            except Overtaken:
                raise  # its check run says so already
            except (Exception, asyncio.CancelledError) as exc:  # no check run stays unfinished
                with suppress(AppError):  # what broke first is what is told
                    await services.verdicts.fail(target, run.id, _broken_off(run, exc))
                raise
    finally:
        progress.say("")


async def dry_run_on_terminal(
    settings: TerminalSettings, source: Changes | OnGitHub, areas: tuple[Area, ...] | None
) -> DryRun:
    """Plan a review and render its questions; no model is asked, or even needed."""
    run_id = RunId(secrets.token_hex(8))
    async with _alone(settings, source, None) as (target, services, asking):
        estimates = Estimates(
            services=services, asking=asking, prices=_prices(settings.model), is_recalled=False
        )
        return await estimates.foresee(target, run_id, Request(areas=areas))


async def fetch_verdict(access: GitHubAccess, address: Address) -> Receipt:
    """Fetch the receipt that stands in a check run of ours on GitHub. Raises NoVerdict."""
    async with httpx.AsyncClient() as http:
        github, credentials = _somebody(access, http, SystemClock(), VERDICT)
        posted = PostedVerdicts(github, app_id=access.app_id)
        number = address.number if isinstance(address, PullAddress) else 0
        target = await credentials.find(address.owner, address.repo, number)
        with _told_to_a_person(has_app=access.key is not None):
            if isinstance(address, CheckAddress):
                return await posted.of_check(target, address.check_run_id)
            return await posted.of_pull(target)


async def evaluate_on_terminal(
    settings: TerminalSettings,
    plan: EvaluationPlan,
    models: Sequence[str],
    measured: list[Measured],
    progress: Progress,
) -> str:
    """Measure these models, or the configured one, one after the other; say what was left out."""
    left_out: list[str] = []
    try:
        for one in _measuring(settings, models, plan.max_usd, measured):
            changes = CaseChanges(case=plan.cases[0], config=DEFAULTS)
            async with _alone(one, changes, None) as (target, services, asking):
                clock, say = SystemClock(), progress.say
                left_out.append(await measure(plan, target, services, asking, clock, measured, say))
    finally:
        progress.say("")
    return "; ".join(filter(None, left_out))


def _measuring(
    settings: TerminalSettings,
    models: Sequence[str],
    max_usd: float | None,
    measured: Sequence[Measured],
) -> Iterator[TerminalSettings]:
    """Give each model settings of its own, in which no other one answers in its place.

    All cases are booked as one pull request, and its limit is what is left of `max_usd`.
    """
    server = settings.model
    if server is None and models:
        raise Unusable("--model needs a model server: set OPENAI_BASE_URL and MODEL")
    if server is None:
        yield settings
        return
    names = tuple(dict.fromkeys(models or (server.model,)))
    if max_usd is not None and (unpriced := [name for name in names if name not in server.prices]):
        raise Unusable(
            f"--max-usd cannot be kept: no price is known for {', '.join(unpriced)}. "
            "Name it in MODEL_PRICES, or leave --max-usd out."
        )
    for name in names:
        left_usd = None if max_usd is None else max(0.0, max_usd - spent_usd(measured))
        limits = replace(server.limits, pull_request_usd=left_usd)
        alone = replace(server, model=name, others=(), fallback="", limits=limits)
        yield replace(settings, model=alone)


async def fetch_case_on_terminal(settings: TerminalSettings, source: OnGitHub) -> bytes:
    """Make a case of a pull request that fixed a bug; see `review/fix_case.py`."""
    async with _alone(settings, source, None) as (target, services, _):
        return await fetch_case(target, services.changes)


@asynccontextmanager
async def _alone(
    settings: TerminalSettings, source: Changes | OnGitHub, progress: Progress | None
) -> AsyncIterator[tuple[Target, Services, Asking]]:
    """Build what a single review needs."""
    async with httpx.AsyncClient() as model_http, httpx.AsyncClient() as github_http:
        clock = SystemClock()
        sandbox = find_sandbox()
        asked = asyncio.Semaphore(settings.max_concurrent_model_calls)

        def watched(model: Model) -> Model:
            return WatchedModel(model, progress) if progress else model

        has_app = isinstance(source, OnGitHub) and source.access.key is not None
        with _told_to_a_person(has_app=has_app):
            surroundings = await _surroundings(source, settings, github_http, clock)
            services = Services(
                changes=surroundings.changes,
                verdicts=surroundings.verdicts,
                publisher=surroundings.publisher,
                threads=surroundings.threads,
                memory=NoMemory(),
                models=_models(settings.model, model_http, asked, clock, wrap=watched),
                finders=build_finders(sandbox.child()),
                syntax=_syntax(sandbox),
            )
            asking = Asking(
                prompts=load_prompts(settings.prompts_dir),
                fence_secret=secrets.token_bytes(32),
                at_once=settings.max_concurrent_model_calls,
            )
            yield surroundings.target, services, asking


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """Where a single review takes its change from, and what becomes of its verdict."""

    target: Target
    changes: Changes
    verdicts: Verdicts
    publisher: Publisher
    threads: Threads


async def _surroundings(
    source: Changes | OnGitHub, settings: TerminalSettings, http: httpx.AsyncClient, clock: Clock
) -> _Surroundings:
    if not isinstance(source, OnGitHub):
        return _Surroundings(
            target=NOWHERE,
            changes=source,
            verdicts=NoCheck(),
            publisher=NoPublisher(),
            threads=NoThreads(),
        )
    permissions = PERMISSIONS if source.post else UNPOSTED
    github, credentials = _somebody(source.access, http, clock, permissions)
    where = source.address
    target = await credentials.find(where.owner, where.repo, where.number)
    files = ConfigFiles(github, server=settings.default_config, ceilings=settings.ceilings)
    changes = GitHubChanges(github, files=files, git=_git(find_sandbox()))
    has_check_run = source.has_check_run
    author = credentials.author if isinstance(credentials, TokenCredentials) else github.author
    return _Surroundings(
        target=target,
        changes=changes if has_check_run else Blocking(changes=changes, fail_on=source.fail_on),
        verdicts=GitHubVerdicts(github, ChecksOfOneRun()) if has_check_run else NoCheck(),
        publisher=GitHubPublisher(github) if source.post else NoPublisher(),
        threads=GitHubThreads(github, author) if source.post else NoThreads(),
    )


def _somebody(
    access: GitHubAccess, http: httpx.AsyncClient, clock: Clock, permissions: Mapping[str, str]
) -> tuple[GitHub, AppCredentials | TokenCredentials]:
    """Be the App where we have its key, else the person whose token we have, else nobody."""
    connection = Connection(http, clock=clock, base_url=access.api_url)
    credentials: AppCredentials | TokenCredentials
    if access.key is not None:
        key = access.key.private_key.reveal()
        credentials = AppCredentials(
            connection,
            app_id=str(access.key.app_id),
            private_key=key,
            permissions=permissions,
        )
    else:
        credentials = TokenCredentials(connection, access.token.reveal())
    return GitHub(connection, credentials), credentials


@contextmanager
def _told_to_a_person(*, has_app: bool) -> Iterator[None]:
    """Word for whoever gave number and token what is worded for an App's admin."""
    try:
        yield
    except PullRequestGone as exc:
        gone = "GitHub shows us no such pull request"
        raise PullRequestGone(gone, remedy="Check its number.") from exc
    except Forbidden as exc:
        if has_app or "the App" not in exc.remedy:
            raise
        needed = "GITHUB_TOKEN must see the repository and, to post, write to pull requests."
        raise Forbidden(str(exc), remedy=needed) from exc


def _broken_off(run: Run, exc: BaseException) -> Receipt:
    if isinstance(exc, asyncio.CancelledError):
        state, reason = State.CANCELLED, "stopped at the terminal"
    else:
        state = State.FAILED
        reason = str(exc) if isinstance(exc, AppError) else "something broke on our side"
    return broken_off(run.id, head_sha=None, state=state, reason=reason)


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
    models: Models | None,
    credit: Account | None,
    changes: GitHubChanges,
    check_runs: StoredCheckRuns,
    dismissals: StoredDismissals,
    github: GitHub,
    slug: Callable[[], str | None],
    sandbox: Sandbox,
    clock: Clock,
    waits: Waits,
) -> Worker:
    verdicts = GitHubVerdicts(github, check_runs)
    services = Services(
        changes=changes,
        verdicts=verdicts,
        publisher=GitHubPublisher(github),
        threads=GitHubThreads(github, github.author),
        memory=store,
        models=models,
        finders=build_finders(sandbox.child(), store),
        syntax=_syntax(sandbox),
    )
    asking = Asking(
        prompts=load_prompts(settings.prompts_dir),
        fence_secret=bytes.fromhex(await store.value("fence_secret", secrets.token_hex(32))),
        at_once=settings.max_concurrent_model_calls,
    )
    handlers = Handlers(
        services=services,
        desk=Desk(
            permissions=GitHubPermissions(github),
            conversation=GitHubConversation(github),
            talks=GitHubTalks(github),
            dismissals=dismissals,
            policies=changes,
            jobs=jobs,
            pauses=store,
            told=store,
            checks=check_runs,
            statements=verdicts,
            foresight=Estimates(services=services, asking=asking, prices=_prices(settings.model)),
        ),
        asking=asking,
        mentions=settings.mentions,
        slug=slug,
        clock=clock,
        credit=credit,
        max_reviews_per_day=settings.max_reviews_per_day,
        waits=waits,
    )
    slots = {lane: limit.in_all for lane, limit in _limits(settings).items()}
    return Worker(
        jobs,
        handlers.handle,
        handlers.report,
        clock,
        slots,
        pace=Pace(),
        patience=Patience(),
        reports=A_DAY,
    )


def _git(sandbox: Sandbox) -> GitDiff | None:
    """Find the git that compares what GitHub shows no diff of."""
    program = shutil.which("git")
    return GitDiff(sandbox.child(), program) if program else None


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


def _syntax(sandbox: Sandbox) -> Syntax:
    """Parsers read hostile text and some hang on it: each text has a short-lived child."""
    return ParsingChild(sandbox.child(Limits(wall_s=5, cpu_s=5)))


def _limits(settings: Settings) -> dict[Lane, Limit]:
    reviews = settings.max_concurrent_reviews
    return {
        Lane.RESPOND: Limit(in_all=RESPOND_SLOTS, per_installation=RESPOND_SLOTS // SHARE),
        Lane.LOOK: Limit(in_all=LOOK_SLOTS, per_installation=LOOK_SLOTS // SHARE),
        Lane.ASK: Limit(in_all=ASK_SLOTS, per_installation=ASK_SLOTS // SHARE),
        Lane.REVIEW: Limit(in_all=reviews, per_installation=max(1, reviews - 1)),
    }


def _github(
    settings: Settings, http: httpx.AsyncClient, clock: Clock
) -> tuple[GitHub, AppCredentials]:
    connection = Connection(http, clock=clock, base_url=settings.github_api_url)
    credentials = AppCredentials(
        connection, app_id=str(settings.app_id), private_key=settings.private_key.reveal()
    )
    return GitHub(connection, credentials), credentials


async def _missing(store: Store) -> Mapping[str, str]:
    """Find out what is missing to take deliveries; without credentials nothing is served at all."""
    try:
        await store.keep_value("probe", "")
    except AppError as exc:
        return {"database": str(exc)}
    return {}


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


def _prices(settings: ModelSettings | None) -> Prices:
    return settings.prices if settings else {}


def _models(
    settings: ModelSettings | None,
    http: httpx.AsyncClient,
    slots: asyncio.Semaphore,
    clock: Clock,
    *,
    store: Store | None = None,
    ledger: Ledger | None = None,
    wrap: Callable[[Model], Model] = lambda model: model,
) -> MeteredModels | None:
    """Build the models; a `store` remembers answers, and what the server takes."""
    if settings is None:
        return None
    connection = _model_connection(settings, http)

    def served(name: str) -> Model:
        return ServedModel(
            connection=connection,
            model=name,
            api=None if settings.api is ModelApi.AUTO else Api(settings.api.value),
            timeout_s=settings.timeout_s,
            slots=slots,
            clock=clock,
            learned=store,
        )

    def built(name: str) -> Model:
        if settings.fallback in ("", name):
            return wrap(served(name))
        return wrap(WithFallback(served(name), served(settings.fallback), clock))

    return MeteredModels(
        built(settings.model),
        Meter(ledger or LedgerOfOneRun(), settings.prices, settings.limits, clock),
        others={name: built(name) for name in settings.others},
        answers=store,
    )


def _credit(
    settings: ModelSettings | None, http: httpx.AsyncClient, clock: Clock
) -> Account | None:
    return Account(_model_connection(settings, http), clock) if settings else None


def _model_connection(settings: ModelSettings, http: httpx.AsyncClient) -> ModelConnection:
    return ModelConnection(
        client=http, base_url=settings.base_url, api_key=settings.api_key.reveal()
    )


async def _look_at_model(
    settings: ModelSettings | None, http: httpx.AsyncClient, clock: Clock
) -> None:
    """Log what the model server tells of our models, while reviews are already taken."""
    if settings:
        names = dict.fromkeys((settings.model, *settings.others, settings.fallback))
        asked = tuple(name for name in names if name)
        await warn_of_models(_model_connection(settings, http), asked, clock)


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
