"""Every setting in every form that people give it; every problem told at once, no secret shown."""

import base64
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.errors import Unusable
from app.review.config import Ceilings, Layer
from app.review.rights import key_of
from app.settings import (
    APP,
    ModelApi,
    ModelSettings,
    Secret,
    examine_settings,
    parse_private_key,
    read_github_access,
    read_settings,
    read_terminal_settings,
)


@functools.cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(
    form: PrivateFormat = PrivateFormat.TraditionalOpenSSL, password: bytes | None = None
) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key().private_bytes(Encoding.PEM, form, encryption).decode()


def env(**changes: str) -> dict[str, str]:
    """An environment that `serve` can run on, changed as a test needs it."""
    return {
        "APP_ID": "12345",
        "PRIVATE_KEY": pem(),
        "WEBHOOK_SECRET": "hook-secret",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/",
        "OPENAI_API_KEY": "model-secret",
        "MODEL": "gpt-x",
        **changes,
    }


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(Unusable) as told:
        read_settings(environment)
    return str(told.value).split("\n")


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "with CRLF": lambda text: text.replace("\n", "\r\n"),
    "with CR": lambda text: text.replace("\n", "\r"),
    "on one line": lambda text: text.replace("\n", "\\n"),
    "on one line with CRLF": lambda text: text.replace("\n", "\\r\\n"),
    "quoted": lambda text: f'"{text}"',
    "quoted on one line": lambda text: "'" + text.strip().replace("\n", "\\n") + "'",
    "escaped twice": lambda text: text.replace("\n", "\\\\n"),
    "with blanks around it": lambda text: f"   {text}  \n ",
    "with blanks for line ends": lambda text: text.replace("\n", " "),
    "with nothing for line ends": lambda text: text.replace("\n", ""),
    "indented": lambda text: text.replace("\n", "\n    "),
    "with blank lines": lambda text: text.replace("\n", "\n\n"),
    "with a byte order mark": lambda text: f"\ufeff{text}",
    "after a comment": lambda text: f"# the key\n{text}",
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in wrapped base64": lambda text: base64.encodebytes(text.encode()).decode(),
    "in base64 of CRLF": lambda text: base64.b64encode(
        text.replace("\n", "\r\n").encode()
    ).decode(),
}


@pytest.mark.parametrize("paste", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_a_key_is_read_however_it_was_pasted(
    form: PrivateFormat, paste: Callable[[str], str]
) -> None:
    assert parse_private_key(paste(pem(form))) == pem(form)


def public_pem() -> str:
    public = key().public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def elliptic_pem() -> str:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    return elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: pem(PrivateFormat.OpenSSH), "ssh-keygen -p -m PEM"),
        (lambda: pem(PrivateFormat.PKCS8, b"pw"), "encrypted; decrypt it"),
        (lambda: pem(PrivateFormat.TraditionalOpenSSL, b"pw"), "encrypted; decrypt it"),
        (public_pem, "public key"),
        (lambda: "ssh-rsa AAAAB3Nz me@here", "public key"),
        (lambda: base64.b64encode(pem(PrivateFormat.OpenSSH).encode()).decode(), "ssh-keygen"),
        (elliptic_pem, "RSA"),
        (lambda: "hello", "no PEM private key"),
        (lambda: pem()[:900], "no PEM private key"),
        (lambda: base64.b64encode(b"hello").decode(), "no PEM private key"),
        (lambda: base64.b64encode(b"\xff\xfe").decode(), "no PEM private key"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_with_its_remedy(
    make: Callable[[], str], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy) as told:
        parse_private_key(make())
    assert "MII" not in str(told.value)


def test_a_key_can_be_in_a_file(tmp_path: Path) -> None:
    place = tmp_path / "key.pem"
    place.write_text("\ufeff" + pem(), encoding="utf-8", newline="\r\n")
    without = {k: v for k, v in env().items() if k != "PRIVATE_KEY"}
    settings = read_settings({**without, "PRIVATE_KEY_PATH": str(place)})
    assert settings.private_key.reveal() == pem()


@pytest.mark.parametrize("path", ["none.pem", ".", "~nobody-here/key.pem"])
def test_a_key_file_that_cannot_be_read_is_a_problem(tmp_path: Path, path: str) -> None:
    place = path if path.startswith("~") else str(tmp_path / path)
    (problem,) = problems(env(PRIVATE_KEY="", PRIVATE_KEY_PATH=place))
    assert problem.startswith("PRIVATE_KEY_PATH cannot be read (")


def test_defaults_are_those_of_the_contract() -> None:
    settings = read_settings(env())
    assert settings.app_id == 12345
    assert [secret.reveal() for secret in settings.webhook_secrets] == ["hook-secret"]
    assert settings.github_api_url == "https://api.github.com"
    assert settings.database == Path("codex-review.db")
    assert isinstance(settings.model, ModelSettings)
    assert settings.model.base_url == "http://127.0.0.1:9/v1"
    assert settings.model.api_key.reveal() == "model-secret"
    assert (settings.model.model, settings.model.timeout_s) == ("gpt-x", 300)
    assert (settings.max_concurrent_reviews, settings.max_concurrent_model_calls) == (8, 16)
    assert settings.mentions == ("@codex",)
    assert settings.allowed_owners == ()
    assert (settings.prompts_dir, settings.default_config) == (None, None)
    assert settings.log_level == "info"


def test_other_models_are_those_that_a_repository_may_name_too() -> None:
    settings = read_settings(env(MODELS=" large, gpt-x ,small"))
    assert settings.model is not None
    assert settings.model.others == ("large", "small")
    assert settings.ceilings == Ceilings(models=("gpt-x", "large", "small"))
    assert read_settings(env(MODEL_API="static", MODELS="large")).ceilings == Ceilings()


def test_the_default_configuration_is_read_at_the_start(tmp_path: Path) -> None:
    place = tmp_path / "default.yml"
    place.write_text("model: {name: large}\n")
    settings = read_settings(env(DEFAULT_CONFIG=str(place), MODELS="large"))
    assert settings.default_config == Layer(name="DEFAULT_CONFIG", raw=b"model: {name: large}\n")


def test_keys_of_the_api_are_kept_without_their_secrets() -> None:
    keys = read_settings(env(API_KEYS="ci:s=/e!c, one:hush:Acme/Shop|acme/x.y")).api_keys
    assert [(key.name, key.repositories) for key in keys] == [
        ("ci", None),
        ("one", frozenset({"acme/shop", "acme/x.y"})),
    ]
    assert key_of("hush", keys) is keys[1]
    assert key_of("s=/e!c", keys) is keys[0]
    assert key_of("", keys) is key_of("one", keys) is None
    assert "hush" not in repr(keys)


@pytest.mark.parametrize(
    "keys",
    ["ci", "ci:", ":hush", "c i:hush", "ci:hush:", "ci:hush:acme", "ci:hush:a/b|", "ci:hush:a/b/c"],
)
def test_a_key_of_the_api_that_cannot_be_read_is_a_problem_that_shows_no_secret(keys: str) -> None:
    [told] = problems(env(API_KEYS=f"ok:sesame,{keys}"))
    assert told.startswith("API_KEYS cannot be read at key 2: write NAME:SECRET")
    assert "hush" not in told


@pytest.mark.parametrize("keys", ["ci:one,ci:two", "one:same,two:same"])
def test_two_keys_of_the_api_share_neither_name_nor_secret(keys: str) -> None:
    assert problems(env(API_KEYS=keys)) == [
        "API_KEYS holds a name or a secret twice: give each key its own."
    ]


def test_every_mistake_in_the_default_configuration_is_a_problem(tmp_path: Path) -> None:
    place = tmp_path / "default.yml"
    place.write_text("review:\n  max_comments: many\nmodel: {name: large}\n")
    told = problems(env(DEFAULT_CONFIG=str(place)))
    assert [line.partition(": ")[0] for line in told] == [
        "DEFAULT_CONFIG is wrong in line 2, review.max_comments",
        "DEFAULT_CONFIG is wrong in line 3, model.name",
    ]


@pytest.mark.parametrize("api", ["auto", "chat", "responses", "completions", "Responses"])
def test_a_model_is_spoken_to_as_named(api: str) -> None:
    model = read_settings(env(MODEL_API=api, FALLBACK_MODEL="small")).model
    assert model is not None
    assert (model.api, model.fallback) == (ModelApi(api.lower()), "small")


def test_values_are_read_as_people_write_them(tmp_path: Path) -> None:
    settings = read_settings(
        env(
            APP_ID=" 7 ",
            WEBHOOK_SECRET=" new , old ",
            GITHUB_API_URL="https://ghe.example/api/v3/",
            DATABASE_URL="sqlite:////var/lib/reviews.db",
            MODEL_TIMEOUT_S="2.5",
            MAX_CONCURRENT_REVIEWS="3",
            BOT_MENTION="@codex, @reviewer",
            ALLOWED_OWNERS="acme, other ,",
            PROMPTS_DIR=str(tmp_path),
            LOG_LEVEL="DEBUG",
        )
    )
    assert settings.app_id == 7
    assert [secret.reveal() for secret in settings.webhook_secrets] == ["new", "old"]
    assert settings.github_api_url == "https://ghe.example/api/v3"
    assert settings.database == Path("/var/lib/reviews.db")
    assert settings.model is not None
    assert settings.model.timeout_s == 2.5
    assert settings.max_concurrent_reviews == 3
    assert settings.mentions == ("@codex", "@reviewer")
    assert settings.allowed_owners == ("acme", "other")
    assert settings.prompts_dir == tmp_path
    assert settings.log_level == "debug"


def test_all_that_is_missing_is_listed_at_once() -> None:
    told = problems({})
    assert [line.split()[0] for line in told] == [
        "APP_ID",
        "PRIVATE_KEY",
        "WEBHOOK_SECRET",
        "OPENAI_BASE_URL",
        "MODEL",
    ]
    assert all(": " in line and line.endswith(".") for line in told)


WRONG = {
    "APP_ID": "my-app",
    "PRIVATE_KEY": "hello",
    "WEBHOOK_SECRET": ",",
    "GITHUB_API_URL": "ftp://x",
    "DATABASE_URL": "postgresql://h/db",
    "OPENAI_BASE_URL": "localhost:8000",
    "MODEL_TIMEOUT_S": "soon",
    "MAX_CONCURRENT_REVIEWS": "0",
    "MAX_CONCURRENT_MODEL_CALLS": "1.5",
    "BOT_MENTION": "@co dex",
    "ALLOWED_OWNERS": ",",
    "MODELS": ",",
    "DEFAULT_CONFIG": "/no/such/file.yml",
    "PROMPTS_DIR": "/no/such/folder",
    "LOG_LEVEL": "loud",
}


def test_all_that_is_wrong_is_listed_at_once() -> None:
    assert {line.split()[0] for line in problems(env(**WRONG))} == set(WRONG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *WRONG.items(),
        ("APP_ID", "0"),
        ("APP_ID", "-1"),
        ("APP_ID", "١٢"),
        ("APP_ID", "9" * 30),
        ("WEBHOOK_SECRET", "a,,b"),
        ("WEBHOOK_SECRET", "a, a"),
        ("GITHUB_API_URL", "https://"),
        ("GITHUB_API_URL", "https://host:port"),
        ("GITHUB_API_URL", "https://:pw@host"),
        ("DATABASE_URL", "sqlite:///"),
        ("MODEL_API", "telepathy"),
        ("MODEL_TIMEOUT_S", "nan"),
        ("MODEL_TIMEOUT_S", "inf"),
        ("MODEL_TIMEOUT_S", "-1"),
        ("MAX_CONCURRENT_REVIEWS", "1e9"),
        ("BOT_MENTION", ","),
        ("BOT_MENTION", "@codex,@a\nb"),
    ],
)
def test_one_wrong_value_is_one_problem(name: str, value: str) -> None:
    (problem,) = problems(env(**{name: value}))
    assert problem.startswith(f"{name} ")


def test_no_model_has_to_be_asked_for_by_name() -> None:
    without = {k: v for k, v in env().items() if k not in ("OPENAI_BASE_URL", "MODEL")}
    assert all("MODEL_API=static" in line for line in problems(without))
    assert read_settings({**without, "MODEL_API": "Static"}).model is None


@pytest.mark.parametrize(
    ("environment", "has_model", "is_static"),
    [
        ({}, False, False),
        ({"MODEL_API": "static", "MODEL": "m", "OPENAI_BASE_URL": "http://h"}, False, True),
        ({"MODEL": "m", "OPENAI_BASE_URL": "http://h"}, True, False),
    ],
)
def test_the_terminal_needs_no_model(
    environment: dict[str, str], has_model: bool, is_static: bool
) -> None:
    settings = read_terminal_settings(environment)
    assert (settings.model is not None, settings.is_static) == (has_model, is_static)


@pytest.mark.parametrize("environment", [{"MODEL": "m"}, {"OPENAI_BASE_URL": "http://h"}])
def test_half_a_model_is_a_problem_on_the_terminal_too(environment: dict[str, str]) -> None:
    with pytest.raises(Unusable, match="is not set"):
        read_terminal_settings(environment)


def test_on_github_the_terminal_is_whom_it_has_the_credentials_of() -> None:
    nobody = read_github_access({})
    assert (nobody.api_url, nobody.key, nobody.app_id) == ("https://api.github.com", None, None)
    assert not nobody.token
    known = read_github_access({"APP_ID": "7", "GITHUB_TOKEN": " t \n"})
    assert (known.key, known.app_id, known.token.reveal()) == (None, 7, "t")
    app = read_github_access({"APP_ID": "7", "PRIVATE_KEY": pem()})
    assert app.key is not None
    assert (app.key.app_id, app.app_id) == (7, 7)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"APP_ID": "x"}, "APP_ID is 'x'"),
        ({"PRIVATE_KEY": pem()}, "APP_ID is not set"),
        ({"APP_ID": "7", "PRIVATE_KEY": "x"}, "PRIVATE_KEY cannot be used"),
        ({"GITHUB_API_URL": "github.com"}, "GITHUB_API_URL is 'github.com'"),
    ],
)
def test_wrong_credentials_are_told_on_the_terminal_too(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(Unusable, match=words):
        read_github_access(environment)


def test_no_secret_shows_itself() -> None:
    settings = read_settings(env())
    shown = f"{settings!r} {settings} {settings.private_key} {settings.webhook_secrets[0]!r}"
    for secret in ("hook-secret", "model-secret", pem()[40:80]):
        assert secret not in shown
    assert not Secret("")
    assert Secret("x")


def test_no_problem_quotes_a_secret() -> None:
    token = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
    told = "\n".join(
        problems(
            env(
                APP_ID=pem(),
                PRIVATE_KEY=token,
                WEBHOOK_SECRET="hush, hush",
                OPENAI_BASE_URL="https://user:s3cr3t-pw@host/v1",
                DATABASE_URL="postgresql://user:s3cr3t-pw@host/db",
                MODEL_API=token,
                LOG_LEVEL=token,
            )
        )
    )
    for secret in (token[4:], token[4:].lower(), "s3cr3t-pw", "hush", pem()[40:80]):
        assert secret not in told


def test_an_environment_without_an_app_is_for_set_up() -> None:
    without = {k: v for k, v in env().items() if k not in APP}
    assert not read_settings(without, may_lack_app=True).has_app
    assert read_settings(env(), may_lack_app=True).has_app
    with pytest.raises(Unusable, match="APP_ID is not set"):
        read_settings(without)
    half = {**without, "WEBHOOK_SECRET": "hook-secret"}
    with pytest.raises(Unusable, match="PRIVATE_KEY is not set"):
        read_settings(half, may_lack_app=True)


@pytest.mark.parametrize(("text", "pull_s"), [("", None), ("5", 5.0), ("0.2", None)])
def test_deliveries_are_fetched_where_that_was_asked_for(text: str, pull_s: float | None) -> None:
    settings, problems = examine_settings(env(PULL=text))
    assert settings.pull_s == pull_s
    assert bool(problems) == (text == "0.2")
