"""Builds the parts that a server and a single run have in common."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from app.asking import Asking
from app.errors import Unusable
from app.github.auth import PERMISSIONS, AppCredentials
from app.github.changes import GitHubChanges
from app.github.local_diff import GitDiff
from app.github.manifest import Manifest, read_manifest
from app.github.policies import ConfigFiles
from app.github.transport import Connection, GitHub
from app.llm.connection import Connection as ModelConnection
from app.llm.fallback import WithFallback
from app.llm.ladder import Api
from app.llm.metered import LedgerOfOneRun, Meter, MeteredModels
from app.llm.model import ServedModel
from app.llm.turns import Turns
from app.ports import (
    Clock,
    Ledger,
    Model,
    Syntax,
)
from app.review.price import Prices
from app.review.prompt import Prompts, parse_prompts
from app.sandbox.child import Limits
from app.sandbox.isolation import Sandbox
from app.sandbox.parsing import ParsingChild
from app.settings import (
    ModelApi,
    ModelSettings,
    Secret,
    Settings,
    TerminalSettings,
)
from app.store.memory import Store

PACKAGE = Path(__file__).parent


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


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


def load_manifest() -> Manifest:
    """Read what our App may do."""
    return read_manifest(shipped("app.yml").read_text("utf-8"))


def build_app(
    http: httpx.AsyncClient,
    clock: Clock,
    *,
    api_url: str,
    app_id: int,
    private_key: Secret,
    permissions: Mapping[str, str] = PERMISSIONS,
) -> tuple[GitHub, AppCredentials]:
    """Build what speaks to GitHub as the App."""
    connection = Connection(http, clock=clock, base_url=api_url)
    credentials = AppCredentials(
        connection,
        app_id=str(app_id),
        private_key=private_key.reveal(),
        permissions=permissions,
    )
    return GitHub(connection, credentials), credentials


def build_changes(
    github: GitHub, settings: Settings | TerminalSettings, sandbox: Sandbox
) -> GitHubChanges:
    """Build what opens pull requests; git compares what GitHub shows no diff of."""
    program = shutil.which("git")
    return GitHubChanges(
        github,
        files=ConfigFiles(github, server=settings.default_config, ceilings=settings.ceilings),
        git=GitDiff(sandbox.child(), program) if program else None,
    )


def build_client() -> httpx.AsyncClient:
    """Build a client as the environment says whom to trust and which proxy to take.

    Raises Unusable where it says so wrongly.
    """
    try:
        return httpx.AsyncClient()
    except OSError as exc:
        told = f"SSL_CERT_FILE cannot be read ({exc}): name a file of certificates in PEM"
        raise Unusable(told) from exc
    except (ValueError, httpx.InvalidURL) as exc:
        told = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is no address: give http://HOST:PORT"
        raise Unusable(told) from exc


def build_asking(settings: Settings | TerminalSettings, fence_secret: bytes) -> Asking:
    """Build what puts questions together."""
    return Asking(
        prompts=load_prompts(settings.prompts_dir),
        fence_secret=fence_secret,
        at_once=settings.max_concurrent_model_calls,
    )


def build_syntax(sandbox: Sandbox) -> Syntax:
    """Parsers read hostile text and some hang on it: each text has a short-lived child."""
    return ParsingChild(sandbox.child(Limits(wall_s=5, cpu_s=5)))


def prices_of(settings: ModelSettings | None) -> Prices:
    """Return what is known of prices."""
    return settings.prices if settings else {}


def build_models(
    settings: Settings | TerminalSettings,
    http: httpx.AsyncClient,
    clock: Clock,
    *,
    store: Store | None = None,
    ledger: Ledger | None = None,
    wrap: Callable[[Model], Model] = lambda model: model,
) -> MeteredModels | None:
    """Build the models; a `store` remembers answers, and what the server takes."""
    server = settings.model
    if server is None:
        return None
    connection = model_connection(server, http)
    turns = Turns(settings.max_concurrent_model_calls)

    def served(name: str) -> Model:
        return ServedModel(
            connection=connection,
            model=name,
            api=None if server.api is ModelApi.AUTO else Api(server.api.value),
            timeout_s=server.timeout_s,
            turns=turns,
            clock=clock,
            learned=store,
        )

    def built(name: str) -> Model:
        if server.fallback in ("", name):
            return wrap(served(name))
        return wrap(WithFallback(served(name), served(server.fallback), clock))

    return MeteredModels(
        built(server.model),
        Meter(ledger or LedgerOfOneRun(), server.prices, server.limits, clock),
        others={name: built(name) for name in server.others},
        answers=store,
    )


def model_connection(settings: ModelSettings, http: httpx.AsyncClient) -> ModelConnection:
    """Build the connection to the model server."""
    return ModelConnection(
        client=http, base_url=settings.base_url, api_key=settings.api_key.reveal()
    )
