"""Builds what runs once, for whoever sits at a terminal: a review, a plan of one, a measurement, a
look at a verdict. Nothing of it is kept."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

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
from app.doctor import Diagnosis, diagnose
from app.errors import AppError, Forbidden, Overtaken, PullRequestGone, Unusable
from app.estimating import Estimates
from app.evaluating import CaseChanges, fetch_case, measure, spent_usd
from app.evaluating import Plan as EvaluationPlan
from app.github.addresses import Address, CheckAddress, PullAddress
from app.github.auth import PERMISSIONS, UNPOSTED, VERDICT, AppCredentials
from app.github.checks import GitHubVerdicts
from app.github.posted import PostedVerdicts
from app.github.publisher import GitHubPublisher
from app.github.threads import GitHubThreads
from app.github.transport import Connection, GitHub
from app.github.user_token import TokenCredentials
from app.parts import (
    SystemClock,
    build_app,
    build_asking,
    build_changes,
    build_client,
    build_models,
    build_syntax,
    load_manifest,
    prices_of,
)
from app.pipeline import run_review
from app.ports import (
    Changes,
    Clock,
    Model,
    Publisher,
    Run,
    Services,
    Threads,
    Verdicts,
)
from app.review.config import DEFAULTS
from app.review.dry_run import DryRun
from app.review.event import Request
from app.review.focus import Area
from app.review.priority import Priority
from app.review.pull import InstallationId, RunId, Target
from app.review.receipt import Receipt, State, broken_off
from app.review.scoring import Measured
from app.sandbox.isolation import Sandbox, find_sandbox
from app.settings import (
    GitHubAccess,
    TerminalSettings,
)
from app.store.database import open_database
from app.store.forgetting import forget

NOWHERE = Target(installation_id=InstallationId(0), repository_id=0, owner="", repo="", number=0)


async def diagnose_here(environ: Mapping[str, str]) -> Diagnosis:
    """Look at all that a review needs; see `doctor.py`."""
    log.configure("error")
    async with build_client() as github, build_client() as model:
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
            services=services, asking=asking, prices=prices_of(settings.model), is_recalled=False
        )
        return await estimates.foresee(target, run_id, Request(areas=areas))


async def fetch_verdict(access: GitHubAccess, address: Address) -> Receipt:
    """Fetch the receipt that stands in a check run of ours on GitHub. Raises NoVerdict."""
    async with build_client() as http:
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
    async with build_client() as model_http, build_client() as github_http:
        clock = SystemClock()
        sandbox = find_sandbox()

        def watched(model: Model) -> Model:
            return WatchedModel(model, progress) if progress else model

        has_app = isinstance(source, OnGitHub) and source.access.key is not None
        with _told_to_a_person(has_app=has_app):
            around = await _surroundings(source, settings, github_http, clock, sandbox)
            services = Services(
                changes=around.changes,
                verdicts=around.verdicts,
                publisher=around.publisher,
                threads=around.threads,
                memory=NoMemory(),
                models=build_models(settings, model_http, clock, wrap=watched),
                finders=build_finders(sandbox.child()),
                syntax=build_syntax(sandbox),
            )
            yield around.target, services, build_asking(settings, secrets.token_bytes(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """Where a single review takes its change from, and what becomes of its verdict."""

    target: Target
    changes: Changes
    verdicts: Verdicts
    publisher: Publisher
    threads: Threads


async def _surroundings(
    source: Changes | OnGitHub,
    settings: TerminalSettings,
    http: httpx.AsyncClient,
    clock: Clock,
    sandbox: Sandbox,
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
    changes = build_changes(github, settings, sandbox)
    has_check_run = source.has_check_run
    author = credentials.author if isinstance(credentials, TokenCredentials) else github.author
    return _Surroundings(
        target=await credentials.find(where.owner, where.repo, where.number),
        changes=changes if has_check_run else Blocking(changes=changes, fail_on=source.fail_on),
        verdicts=GitHubVerdicts(github, ChecksOfOneRun()) if has_check_run else NoCheck(),
        publisher=GitHubPublisher(github) if source.post else NoPublisher(),
        threads=GitHubThreads(github, author) if source.post else NoThreads(),
    )


def _somebody(
    access: GitHubAccess, http: httpx.AsyncClient, clock: Clock, permissions: Mapping[str, str]
) -> tuple[GitHub, AppCredentials | TokenCredentials]:
    """Be the App where we have its key, else the person whose token we have, else nobody."""
    if (key := access.key) is not None:
        return build_app(
            http,
            clock,
            api_url=access.api_url,
            app_id=key.app_id,
            private_key=key.private_key,
            permissions=permissions,
        )
    connection = Connection(http, clock=clock, base_url=access.api_url)
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
