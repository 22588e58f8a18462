"""Builds the server: real things, joined. Single runs are built by `single_runs.py`, of the same
parts (`parts.py`); nobody else builds adapters."""

import asyncio
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from app import log
from app.analysers.table import build_finders
from app.credentials import Registration, read_environment
from app.errors import AppError, Unusable
from app.estimating import Estimates
from app.github.addresses import web_url
from app.github.auth import AppCredentials
from app.github.checks import GitHubVerdicts
from app.github.comments import GitHubConversation
from app.github.conversion import convert
from app.github.deliveries import GitHubDeliveries
from app.github.permissions import GitHubPermissions
from app.github.publisher import GitHubPublisher
from app.github.talks import GitHubTalks
from app.github.threads import GitHubThreads
from app.github.transport import GitHub
from app.handlers import Handlers, Waits
from app.intake import Rules
from app.jobs.job import Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.jobs.worker import Pace, Patience, Worker
from app.llm.server import Account, warn_of_models
from app.parts import (
    SystemClock,
    build_app,
    build_asking,
    build_changes,
    build_client,
    build_models,
    build_syntax,
    load_manifest,
    model_connection,
    prices_of,
)
from app.ports import (
    Clock,
    Desk,
    Services,
)
from app.recovery import DAY_S, Bounds, CatchUp, Cleaning, Intervals, Sweep, every
from app.sandbox.isolation import find_sandbox
from app.settings import (
    ModelSettings,
    Settings,
    read_settings,
)
from app.store.check_runs import StoredCheckRuns
from app.store.database import Database, open_database
from app.store.deliveries import StoredDeliveries
from app.store.dismissals import StoredDismissals
from app.store.feedback import StoredStatistics
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
        github = await stack.enter_async_context(build_client())
        model = await stack.enter_async_context(build_client())
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
            deliveries=lambda settings: GitHubDeliveries(_app(settings, http, clock)[0]),
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
    if not prefix:
        return routes
    to_state = Route(prefix, lambda _: RedirectResponse(f"{prefix}/"))
    return [to_state, Mount(prefix, app=Router(routes, redirect_slashes=False)), *routes]


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
        known_slug = await Store(database, clock).kept_value(SLUG)
        built = _Built(settings, database, github_http, model_http, clock, known_slug)
        await built.jobs.take_over()
        worker = await _worker(built, waits)
        metrics = Metrics(built.jobs, built.ledger.total, clock)
        github_http.event_hooks["response"].append(metrics.hear_github)
        routes = _routes(built, metrics)
        rounds = _rounds(built, intervals)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            stack.enter_context(log.heard_by(metrics.hear))
            working = tasks.create_task(worker.run())
            learning = _learn_identity(built.github, built.store, clock)
            beside = [tasks.create_task(one) for one in (learning, *rounds)]
            try:
                app = Starlette(
                    routes=_also_below(_prefix(settings), routes),
                    exception_handlers={HTTPException: refuse, Exception: refuse},
                )
                # What it would redirect to is made of the Host header.
                app.router.redirect_slashes = False
                yield app
            finally:
                for task in beside:
                    task.cancel()
                await worker.stop(grace_s)
                await working
    finally:
        await database.close()


class _Built:
    """What several parts of the server share. `models` and `credit` are None without a model."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        github_http: httpx.AsyncClient,
        model_http: httpx.AsyncClient,
        clock: Clock,
        known_slug: str | None,
    ) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self.store = Store(database, clock)
        self.jobs = SqliteJobs(database, clock, _limits(settings))
        self.ledger = StoredLedger(database, clock)
        self.check_runs = StoredCheckRuns(database, clock)
        self.github, self.credentials = github, _ = _app(settings, github_http, clock)
        self.rules = Rules(
            app_id=settings.app_id,
            slug=lambda: github.slug or known_slug,
            mentions=settings.mentions,
            allowed_owners=settings.allowed_owners,
        )
        self.sandbox = find_sandbox()
        self.changes = build_changes(github, settings, self.sandbox)
        self.verdicts = GitHubVerdicts(github, self.check_runs)
        self.models = build_models(
            settings, model_http, clock, store=self.store, ledger=self.ledger
        )
        model = settings.model
        self.credit = Account(model_connection(model, model_http), clock) if model else None


async def _worker(built: _Built, waits: Waits) -> Worker:
    settings, store, github = built.settings, built.store, built.github
    services = Services(
        changes=built.changes,
        verdicts=built.verdicts,
        publisher=GitHubPublisher(github),
        threads=GitHubThreads(github, github.author),
        memory=store,
        models=built.models,
        finders=build_finders(built.sandbox.child(), store),
        syntax=build_syntax(built.sandbox),
    )
    fence_secret = await store.value("fence_secret", secrets.token_hex(32))
    asking = build_asking(settings, bytes.fromhex(fence_secret))
    desk = Desk(
        permissions=GitHubPermissions(github),
        conversation=GitHubConversation(github),
        talks=GitHubTalks(github),
        dismissals=StoredDismissals(built.database, built.clock),
        policies=built.changes,
        jobs=built.jobs,
        pauses=store,
        told=store,
        checks=built.check_runs,
        statements=built.verdicts,
        foresight=Estimates(services=services, asking=asking, prices=prices_of(settings.model)),
    )
    handlers = Handlers(
        services=services,
        desk=desk,
        asking=asking,
        mentions=settings.mentions,
        slug=built.rules.slug,
        clock=built.clock,
        credit=built.credit,
        max_reviews_per_day=settings.max_reviews_per_day,
        waits=waits,
    )
    return Worker(
        built.jobs,
        handlers.handle,
        handlers.report,
        built.clock,
        {lane: limit.in_all for lane, limit in _limits(settings).items()},
        pace=Pace(),
        patience=Patience(),
        reports=A_DAY,
    )


def _routes(built: _Built, metrics: Metrics) -> Sequence[BaseRoute]:
    """Build all that is served once there is an App."""
    settings, store = built.settings, built.store
    door = Door(
        secrets=tuple(secret.reveal().encode() for secret in settings.webhook_secrets),
        rules=built.rules,
    )
    pages = Pages(
        runs=StoredRuns(built.database),
        jobs=built.jobs,
        statistics=StoredStatistics(built.database),
        password=Password(settings.admin_password.reveal(), built.clock),
        look=partial(_missing, store),
        other_codex=store.other_codex,
        slug=built.rules.slug,
        mentions=settings.mentions,
        model=_name(settings.model),
        base=_prefix(settings),
        web_url=web_url(settings.github_api_url),
    )
    api = ReviewApi(
        api_url=settings.github_api_url,
        allowed_owners=settings.allowed_owners,
        models=settings.ceilings.models,
        max_reviews_per_day=settings.max_reviews_per_day,
        find=built.credentials.find,
        policies=built.changes,
        jobs=built.jobs,
        receipts=store,
        budget=built.models,
        credit=built.credit,
        clock=built.clock,
    )
    operations = with_description(
        (*api.operations(), *probes(partial(_missing, store)), metrics.operation()),
        version=version("codex-review"),
    )
    described = routes_of(operations, settings.api_keys)
    return [webhook(door, built.jobs), *pages.routes(), *described]


def _rounds(built: _Built, intervals: Intervals) -> tuple[Coroutine[None, None, None], ...]:
    """Build what looks again and again after what was left behind."""
    clock = built.clock
    catch_up = CatchUp(
        deliveries=GitHubDeliveries(built.github),
        seen=StoredDeliveries(built.database),
        jobs=built.jobs,
        rules=built.rules,
        overlap_s=intervals.overlap_s,
        takes_all=intervals.pull_s is not None,
    )
    sweep = Sweep(
        checks=built.check_runs,
        receipts=built.store,
        jobs=built.jobs,
        verdicts=built.verdicts,
        clock=clock,
        settle_s=intervals.settle_s,
    )
    bounds = Bounds(keep_s=built.settings.keep_days * DAY_S)
    cleaning = Cleaning(kept=built.database, clock=clock, bounds=bounds)
    return (
        every(intervals.pull_s or intervals.catch_up_s, "catch_up", catch_up.look, clock),
        every(intervals.sweep_s, "sweep", sweep.look, clock),
        every(intervals.clean_s, "clean", cleaning.look, clock),
    )


def _limits(settings: Settings) -> dict[Lane, Limit]:
    reviews = settings.max_concurrent_reviews
    return {
        Lane.RESPOND: Limit(in_all=RESPOND_SLOTS, per_installation=RESPOND_SLOTS // SHARE),
        Lane.LOOK: Limit(in_all=LOOK_SLOTS, per_installation=LOOK_SLOTS // SHARE),
        Lane.ASK: Limit(in_all=ASK_SLOTS, per_installation=ASK_SLOTS // SHARE),
        Lane.REVIEW: Limit(in_all=reviews, per_installation=max(1, reviews - 1)),
    }


def _app(
    settings: Settings, http: httpx.AsyncClient, clock: Clock
) -> tuple[GitHub, AppCredentials]:
    return build_app(
        http,
        clock,
        api_url=settings.github_api_url,
        app_id=settings.app_id,
        private_key=settings.private_key,
    )


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


async def _look_at_model(
    settings: ModelSettings | None, http: httpx.AsyncClient, clock: Clock
) -> None:
    """Log what the model server tells of our models, while reviews are already taken."""
    if settings:
        names = dict.fromkeys((settings.model, *settings.others, settings.fallback))
        asked = tuple(name for name in names if name)
        await warn_of_models(model_connection(settings, http), asked, clock)


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
