"""Environment → one frozen `Settings`, read once. Every problem is listed with its remedy."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from app.errors import Unusable
from app.review.config import Ceilings, Layer
from app.review.config_file import read_config
from app.review.masking import mask
from app.review.price import Limits, Price, Prices
from app.review.rights import ApiKey, digest_of
from app.review.text import cut

APP = ("APP_ID", "PRIVATE_KEY", "PRIVATE_KEY_PATH", "WEBHOOK_SECRET")
"""What says who we are on GitHub: none of them is set before set-up."""
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_NUMBER = 1_000_000
MAX_QUOTED = 60
"""Characters of a wrong value that are shown."""


class Secret:
    """A text that never shows itself by accident; `reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)


class ModelApi(StrEnum):
    """How the model server is spoken to; `static` means no model at all."""

    AUTO = "auto"
    CHAT = "chat"
    RESPONSES = "responses"
    COMPLETIONS = "completions"
    STATIC = "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Where the models are. `base_url` ends without a slash; `others` may be asked for by name.

    `fallback` stands in for any of them; empty for none. `prices` are those that are known, and
    `limits` hold for what has one.
    """

    base_url: str
    api_key: Secret
    api: ModelApi
    model: str
    fallback: str
    others: tuple[str, ...]
    timeout_s: float
    prices: Prices
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `serve` runs on. `model` is None only where `MODEL_API=static` was named.

    `public_url` is empty where nobody told it. `pull_s` is set where deliveries are fetched.
    """

    app_id: int
    private_key: Secret
    webhook_secrets: tuple[Secret, ...]
    github_api_url: str
    public_url: str
    pull_s: float | None
    database: Path
    model: ModelSettings | None
    max_concurrent_reviews: int
    max_concurrent_model_calls: int
    max_reviews_per_day: int | None
    mentions: tuple[str, ...]
    allowed_owners: tuple[str, ...]
    default_config: Layer | None
    prompts_dir: Path | None
    api_keys: tuple[ApiKey, ...]
    admin_password: Secret
    keep_days: float
    log_level: str

    @property
    def has_app(self) -> bool:
        """Say whether we are somebody on GitHub; if not, set-up comes first."""
        return bool(self.private_key)

    @property
    def ceilings(self) -> Ceilings:
        return _ceilings(self.model)


@dataclass(slots=True)
class _Reader:
    """Reads variables one by one and collects what is wrong with them."""

    env: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        return self.env.get(name, "").strip() or default

    def required(self, name: str, remedy: str) -> str:
        value = self.text(name)
        if not value:
            self.problem(name, "is not set", remedy)
        return value

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        words = tuple(w.strip() for w in self.text(name, default).split(",") if w.strip())
        if not words and self.text(name):
            self.problem(name, "holds nothing but commas", "name something, or leave it out")
        return words

    def number(self, name: str, default: float, *, at_least: float) -> float:
        value = self.text(name)
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not at_least <= number < MAX_NUMBER:
            remedy = f"give a number from {at_least:g} to below {MAX_NUMBER}"
            self.problem(name, f"is {_quoted(value)}", remedy)
            return default
        return number

    def usd(self, name: str) -> float | None:
        value = self.text(name)
        usd = _usd(value)
        if value and usd is None:
            self.problem(name, f"is {_quoted(value)}", "give an amount in USD, for example 20")
        return usd

    def whole_number_or_none(self, name: str, *, at_least: int) -> int | None:
        return self.whole_number(name, at_least, at_least=at_least) if self.text(name) else None

    def whole_number(self, name: str, default: int, *, at_least: int) -> int:
        number = self.number(name, default, at_least=at_least)
        if number != int(number):
            self.problem(name, f"is {number:g}", "give a whole number")
        return int(number)

    def url(self, name: str, default: str = "") -> str:
        value = self.text(name, default).rstrip("/")
        if value and not _is_http_url(value):
            remedy = "give an address such as https://host/path, without login"
            self.problem(name, f"is {_quoted(value)}", remedy)
        return value

    def problem(self, name: str, what: str, remedy: str) -> None:
        self.problems.append(f"{name} {what}: {remedy}.")

    def stop_if_wrong(self) -> None:
        if self.problems:
            raise Unusable("\n".join(self.problems))


def read_settings(env: Mapping[str, str], *, may_lack_app: bool = False) -> Settings:
    """Read what `serve` needs. Raises Unusable with one line for each problem.

    `may_lack_app`: that nothing is said of an App is no problem; half of it is.
    """
    settings, problems = examine_settings(env, may_lack_app=may_lack_app)
    if problems:
        raise Unusable("\n".join(problems))
    return settings


def examine_settings(
    env: Mapping[str, str], *, may_lack_app: bool = True
) -> tuple[Settings, tuple[str, ...]]:
    """Read as much as can be read, and every problem; what is wrong stays empty."""
    reader = _Reader(env)
    names_app = not may_lack_app or any(reader.text(name) for name in APP)
    settings = Settings(
        app_id=_app_id(reader) if names_app else 0,
        private_key=_private_key(reader) if names_app else Secret(""),
        webhook_secrets=_webhook_secrets(reader) if names_app else (),
        github_api_url=_github_api_url(reader),
        public_url=reader.url("PUBLIC_URL"),
        pull_s=reader.number("PULL", 0, at_least=1) or None,
        database=_database(reader),
        model=(model := _model(reader, required=True)),
        max_concurrent_reviews=reader.whole_number("MAX_CONCURRENT_REVIEWS", 8, at_least=1),
        max_concurrent_model_calls=_model_calls(reader),
        max_reviews_per_day=reader.whole_number_or_none("MAX_REVIEWS_PER_DAY", at_least=1),
        mentions=_mentions(reader),
        allowed_owners=reader.words("ALLOWED_OWNERS"),
        default_config=_default_config(reader, _ceilings(model)),
        prompts_dir=_prompts_dir(reader),
        api_keys=_api_keys(reader),
        admin_password=Secret(reader.text("ADMIN_PASSWORD")),
        keep_days=reader.number("KEEP_DAYS", 90, at_least=4),
        log_level=_log_level(reader),
    )
    return settings, tuple(reader.problems)


def read_database(env: Mapping[str, str]) -> Path:
    """Read where we keep what we remember. Raises Unusable."""
    reader = _Reader(env)
    database = _database(reader)
    reader.stop_if_wrong()
    return database


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSettings:
    """What `review` on the terminal runs on. Without a model only analysers run.

    `is_static` is True when the absence of a model was asked for.
    """

    model: ModelSettings | None
    is_static: bool
    max_concurrent_model_calls: int
    default_config: Layer | None
    prompts_dir: Path | None

    @property
    def ceilings(self) -> Ceilings:
        return _ceilings(self.model)


def read_terminal_settings(env: Mapping[str, str]) -> TerminalSettings:
    """Read what the terminal needs. Raises Unusable with one line for each problem."""
    reader = _Reader(env)
    settings = TerminalSettings(
        model=(model := _model(reader, required=False)),
        is_static=is_static(env),
        max_concurrent_model_calls=_model_calls(reader),
        default_config=_default_config(reader, _ceilings(model)),
        prompts_dir=_prompts_dir(reader),
    )
    reader.stop_if_wrong()
    return settings


def is_static(env: Mapping[str, str]) -> bool:
    """Say whether reviewing without a model was asked for, so that nothing is missing then."""
    return _Reader(env).text("MODEL_API").lower() == ModelApi.STATIC


@dataclass(frozen=True, slots=True, kw_only=True)
class AppKey:
    """What an App signs with."""

    app_id: int
    private_key: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubAccess:
    """How the terminal reaches GitHub: as the App (`key`), by a person's token, or as nobody.

    `app_id` may be known without its key: then it only says whose check runs count.
    """

    api_url: str
    key: AppKey | None
    app_id: int | None
    token: Secret


def read_github_access(env: Mapping[str, str]) -> GitHubAccess:
    """Read who the terminal is on GitHub. Raises Unusable with one line for each problem."""
    reader = _Reader(env)
    has_key = bool(reader.text("PRIVATE_KEY") or reader.text("PRIVATE_KEY_PATH"))
    app_id = _app_id(reader) if has_key or reader.text("APP_ID") else None
    key = AppKey(app_id=app_id or 0, private_key=_private_key(reader)) if has_key else None
    access = GitHubAccess(
        api_url=_github_api_url(reader),
        key=key,
        app_id=app_id,
        token=Secret(reader.text("GITHUB_TOKEN")),
    )
    reader.stop_if_wrong()
    return access


def parse_private_key(text: str) -> str:
    """Return a PEM private key, whatever form it was pasted in.

    Accepts PEM, PEM on one line with `\\n`, quoted, with CRLF, and base64 of the PEM. Raises
    ValueError with a remedy for anything that is no unencrypted RSA private key.
    """
    pem = _as_pem(text)
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except TypeError as exc:
        raise ValueError(_ENCRYPTED) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ValueError(_key_remedy(pem)) from exc
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("GitHub Apps have RSA keys; download one from the App's settings")
    return pem


def _as_pem(text: str) -> str:
    bare = re.sub(r"\\+n", "\n", re.sub(r"\\+r", "", text)).replace("\r", "\n")
    bare = bare.strip(" \t\n\\\"'\ufeff")
    if "-----" in bare:
        return _rewrap(bare)
    try:
        decoded = base64.b64decode("".join(bare.split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return bare
    return _rewrap(decoded) if "-----" in decoded else bare


def _rewrap(pem: str) -> str:
    """Put each line of a PEM back on a line of its own, whatever became of their ends."""
    found = re.search(r"(-----BEGIN [A-Z ]+-----)(.*?)(-----END [A-Z ]+-----)", pem, re.DOTALL)
    if found is None or ":" in found[2]:  # RFC 1421 headers, as in old encrypted keys
        return pem
    body = "".join(found[2].split())
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join((found[1], *lines, found[3], ""))


_ENCRYPTED = "the key is encrypted; decrypt it: openssl rsa -in KEY -out PLAIN"


def _key_remedy(pem: str) -> str:
    if "OPENSSH PRIVATE KEY" in pem:
        return "this is an OpenSSH key; convert it: ssh-keygen -p -m PEM -N '' -f KEY"
    if "ENCRYPTED" in pem:
        return _ENCRYPTED
    if "PUBLIC KEY" in pem or pem.startswith("ssh-"):
        return "this is a public key; download the private key from the App's settings"
    return "this is no PEM private key; download one from the App's settings"


def _github_api_url(reader: _Reader) -> str:
    return reader.url("GITHUB_API_URL", "https://api.github.com")


def _app_id(reader: _Reader) -> int:
    value = reader.required("APP_ID", "copy the App ID from the App's settings page")
    if value and not re.fullmatch(r"[1-9][0-9]{0,17}", value, re.ASCII):
        reader.problem(
            "APP_ID", f"is {_quoted(value)}", "it is the number on the App's settings page"
        )
        return 0
    return int(value or 0)


def _private_key(reader: _Reader) -> Secret:
    name, text = "PRIVATE_KEY", reader.text("PRIVATE_KEY")
    if not text:
        name, path = "PRIVATE_KEY_PATH", reader.text("PRIVATE_KEY_PATH")
        if not path:
            reader.problem(
                "PRIVATE_KEY", "is not set", "give the key itself, or its file as PRIVATE_KEY_PATH"
            )
            return Secret("")
        try:
            text = Path(path).expanduser().read_text("utf-8")
        except (OSError, RuntimeError, UnicodeDecodeError) as exc:  # RuntimeError: no such ~user
            reader.problem(name, f"cannot be read ({type(exc).__name__})", "check path and rights")
            return Secret("")
    try:
        return Secret(parse_private_key(text))
    except ValueError as exc:
        reader.problem(name, "cannot be used", str(exc))
        return Secret("")


def _webhook_secrets(reader: _Reader) -> tuple[Secret, ...]:
    text = reader.required("WEBHOOK_SECRET", "set the same secret here and in the App's settings")
    words = [word.strip() for word in text.split(",")]
    if text and not all(words):
        reader.problem("WEBHOOK_SECRET", "holds an empty secret", "take the extra comma out")
    elif len(words) != len(set(words)):
        reader.problem("WEBHOOK_SECRET", "holds a secret twice", "name each one once")
    return tuple(Secret(word) for word in words if word)


def _database(reader: _Reader) -> Path:
    url = reader.text("DATABASE_URL", "sqlite:///codex-review.db")
    if not url.startswith("sqlite:///") or url == "sqlite:///":
        reader.problem(
            "DATABASE_URL", "is no sqlite:///PATH", "this release keeps its data in SQLite"
        )
        return Path("codex-review.db")
    return Path(url.removeprefix("sqlite:///"))


def _model(reader: _Reader, *, required: bool) -> ModelSettings | None:
    api = reader.text("MODEL_API", ModelApi.AUTO).lower()
    if api not in set(ModelApi):
        known = ", ".join(ModelApi)
        reader.problem("MODEL_API", f"is {_quoted(api)}", f"this release knows {known}")
    timeout_s = reader.number("MODEL_TIMEOUT_S", 300, at_least=1)
    if api == ModelApi.STATIC:
        return None
    base_url, model = reader.url("OPENAI_BASE_URL"), reader.text("MODEL")
    if not required and not base_url and not model:
        return None
    remedy = "or set MODEL_API=static to run without a model (analysers only)"
    if not base_url:
        reader.problem(
            "OPENAI_BASE_URL", "is not set", f"give the model server's /v1 address, {remedy}"
        )
    if not model:
        reader.problem("MODEL", "is not set", f"name the model to ask, {remedy}")
    settings = ModelSettings(
        base_url=base_url,
        api_key=Secret(reader.text("OPENAI_API_KEY")),
        api=ModelApi(api) if api in set(ModelApi) else ModelApi.AUTO,
        model=model,
        fallback=reader.text("FALLBACK_MODEL"),
        others=tuple(name for name in reader.words("MODELS") if name != model),
        timeout_s=timeout_s,
        prices=_prices(reader),
        limits=Limits(**{field: reader.usd(name) for name, field in _LIMITS.items()}),
    )
    _check_limits(reader, settings)
    return settings


_LIMITS = {
    "MAX_USD_PER_REVIEW": "review_usd",
    "MAX_USD_PER_PULL_REQUEST": "pull_request_usd",
    "MAX_USD_PER_MONTH": "month_usd",
}


def _prices(reader: _Reader) -> Prices:
    prices: dict[str, Price] = {}
    for word in reader.words("MODEL_PRICES"):
        name, _, usd = word.rpartition("=")
        numbers = [_usd(text) for text in usd.split("/")]
        match numbers:
            case [float(input_usd), float(output_usd)] if name.strip():
                prices[name.strip()] = Price(input_usd=input_usd, output_usd=output_usd)
            case _:
                remedy = "write MODEL=IN/OUT, USD for a million tokens, for example gpt-6-sol=2/10"
                reader.problem("MODEL_PRICES", f"holds {_quoted(word)}", remedy)
    return prices


def _usd(text: str) -> float | None:
    try:
        usd = float(text)
    except ValueError:
        return None
    return usd if 0 <= usd < MAX_NUMBER else None


def _check_limits(reader: _Reader, model: ModelSettings) -> None:
    """A limit that nobody could keep is worse than none."""
    named = [name for name, field in _LIMITS.items() if getattr(model.limits, field) is not None]
    asked = dict.fromkeys((model.model, *model.others, model.fallback))
    unpriced = [name for name in asked if name and name not in model.prices]
    if named and unpriced and "MODEL_PRICES" not in {p.split()[0] for p in reader.problems}:
        remedy = f"name what {', '.join(unpriced)} costs in MODEL_PRICES (MODEL=IN/OUT)"
        reader.problem(named[0], "cannot be kept without a price", remedy)


def _ceilings(model: ModelSettings | None) -> Ceilings:
    if model is None:
        return Ceilings()
    return Ceilings(models=(model.model, *model.others), usd_per_review=model.limits.review_usd)


def _default_config(reader: _Reader, ceilings: Ceilings) -> Layer | None:
    name, path = "DEFAULT_CONFIG", reader.text("DEFAULT_CONFIG")
    if not path:
        return None
    try:
        layer = Layer(name=name, raw=Path(path).expanduser().read_bytes())
    except (OSError, RuntimeError) as exc:  # RuntimeError: no such ~user
        reader.problem(name, f"cannot be read ({type(exc).__name__})", "check path and rights")
        return None
    for mistake in read_config((layer,), ceilings).mistakes:
        where = f"line {mistake.line}" + (f", {mistake.key}" if mistake.key else "")
        reader.problem(name, f"is wrong in {where}", mask(mistake.expected))
    return layer


def _model_calls(reader: _Reader) -> int:
    return reader.whole_number("MAX_CONCURRENT_MODEL_CALLS", 16, at_least=1)


def _mentions(reader: _Reader) -> tuple[str, ...]:
    mentions = reader.words("BOT_MENTION", "@codex")
    for mention in mentions:
        if not re.fullmatch(r"[@/]?[A-Za-z0-9][A-Za-z0-9-]{0,99}", mention, re.ASCII):
            reader.problem("BOT_MENTION", f"holds {_quoted(mention)}", "give words such as @codex")
    return mentions


def _prompts_dir(reader: _Reader) -> Path | None:
    value = reader.text("PROMPTS_DIR")
    if value and not Path(value).is_dir():
        reader.problem("PROMPTS_DIR", f"is {_quoted(value)}", "name a folder that exists")
    return Path(value) if value else None


_REPO = r"[\w.-]+/[\w.-]+"
_API_KEY = re.compile(
    rf"(?P<name>[\w.-]{{1,64}}):(?P<secret>[!-9;-~]+)(?::(?P<repos>{_REPO}(?:\|{_REPO})*))?",
    re.ASCII,
)


def _api_keys(reader: _Reader) -> tuple[ApiKey, ...]:
    keys: list[ApiKey] = []
    for number, word in enumerate(reader.words("API_KEYS"), start=1):
        found = _API_KEY.fullmatch(word)
        if found is None:
            remedy = "write NAME:SECRET or NAME:SECRET:OWNER/REPO|OWNER/REPO, comma separated"
            reader.problem("API_KEYS", f"cannot be read at key {number}", remedy)
            continue
        repositories = frozenset(found["repos"].lower().split("|")) if found["repos"] else None
        digest = digest_of(found["secret"])
        keys.append(ApiKey(name=found["name"], digest=digest, repositories=repositories))
    if min(len({key.name for key in keys}), len({key.digest for key in keys})) < len(keys):
        reader.problem("API_KEYS", "holds a name or a secret twice", "give each key its own")
    return tuple(keys)


def _log_level(reader: _Reader) -> str:
    value = reader.text("LOG_LEVEL", "info").lower()
    if value not in LOG_LEVELS:
        reader.problem(
            "LOG_LEVEL", f"is {_quoted(value)}", f"choose one of {', '.join(LOG_LEVELS)}"
        )
        return "info"
    return value


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    is_plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_plain


def _quoted(value: str) -> str:
    """Show a wrong value; people paste secrets into the wrong place."""
    return repr(cut(mask(value), MAX_QUOTED))
