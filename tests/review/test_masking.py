"""What looks like a secret is found and hidden in place; what does not show is written out.

All secrets are made up, and put together here so that no scanner takes them for real ones.
"""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.masking import MASK, MAX_EXAMINED, find_secrets, mask, visible

MIXED = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6kL9nP2rS5uV8"
HEX = "9f86d081884c7d659a2feaa0c55ad015" * 2
KEY_BODY = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7" for _ in range(3))
BEGIN, END = "-----BEGIN " + "RSA PRIVATE KEY-----", "-----END " + "RSA PRIVATE KEY-----"

SECRETS = [
    ("GitHub token", "ghp_" + MIXED[:36]),
    ("GitHub token", "ghs_" + MIXED[:36]),
    ("GitHub token", "github_pat_" + MIXED[:22] + "_" + MIXED),
    ("AWS access key", "AKIA" + "Q3EGWR5TYUIOP7AS"),
    ("AWS secret key", "aws_secret_access_key = " + (MIXED + "/+")[-40:]),
    ("Slack token", "xoxb-" + "123456789012-abcdefABCDEF"),
    ("Slack token", "xapp-" + "1-A0123456789-" + MIXED),
    ("Slack webhook", "https://hooks.slack.com/" + "services/T0001/B0001/" + MIXED[:24]),
    ("Stripe key", "sk_live_" + MIXED[:24]),
    ("Stripe webhook secret", "whsec_" + MIXED[:32]),
    ("Google API key", "AIza" + MIXED[:35]),
    ("Google OAuth secret", "GOCSPX-" + MIXED[:28]),
    ("Google access token", "ya29." + MIXED),
    ("Anthropic key", "sk-ant-" + "api03-" + MIXED),
    ("OpenAI key", "sk-proj-" + MIXED),
    ("OpenAI key", "sk-" + MIXED),
    ("GitLab token", "glpat-" + MIXED[:20]),
    ("npm token", "npm_" + MIXED[:36]),
    ("PyPI token", "pypi-" + "AgEIcHlwaS5vcmc" + MIXED),
    ("SendGrid key", "SG." + MIXED[:22] + "." + MIXED[:43]),
    ("Twilio key", "SK" + HEX[:32]),
    ("DigitalOcean token", "dop_v1_" + HEX),
    ("Hugging Face token", "hf_" + MIXED[:34]),
    ("Telegram token", "123456789:" + "AA" + MIXED[:33]),
    ("Azure key", "AccountKey=" + (MIXED * 2)[:86] + "=="),
    ("Shopify token", "shpat_" + HEX[:32]),
    ("Docker token", "dckr_pat_" + MIXED[:27]),
    ("Vault token", "hvs." + MIXED[:24]),
    ("age key", "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2),
    ("JSON web token", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + MIXED),
    ("credentials in a URL", "postgres://app:" + "s3cr3t-pw@db.internal/app"),
    ("Authorization header", "Authorization: Bearer " + MIXED),
    ("password", 'DB_PASSWORD = "hunter22!"'),
    ("password", "'password': 'supersecret'"),
    ("password", r"{\"password\": \"hunter22\"}"),
    ("secret", 'client_secret: "' + MIXED[:24] + '"'),
    ("secret", "api_key='" + HEX[:32] + "'"),
    ("secret in the environment", "SESSION_SECRET=" + MIXED),
    ("private key", f"{BEGIN}\n{KEY_BODY}\n{END}"),
    ("private key", f'key = "{BEGIN}\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\\n{END}"'),
    ("private key", BEGIN),
    ("private key", f"{KEY_BODY}\n{END}"),
]

NO_SECRETS = [
    'password = "changeme"',
    'password = "<your password>"',
    'password = os.environ["DB_PASSWORD"]',
    'password = "${DB_PASSWORD}"',
    'password: "{{ vault_password }}"',
    'password = ""',
    'password = "********"',
    'label = {"password": "confirmPassword"}',
    'token = "authorization_code"',
    'secret_name = "projects/app/secrets/db"',
    'key = "sha256-digest-v2"',
    "postgres://user:password@localhost/db",
    "https://example.com:8080/path@v2",
    "git@github.com:owner/repo.git",
    "API_KEY=$OPENAI_API_KEY",
    "API_KEY=os.getenv('KEY')",
    "class=sk-fading-circle-animation-wrapper",
    "ghp_short",
    "AKIAtoolowercase1234",
    'assert text.startswith("-----BEGIN RSA PRIVATE KEY-----")',
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
    "the bearer of this letter and basic understanding of things",
    "password",
    "",
]


@pytest.mark.parametrize(("kind", "text"), SECRETS)
def test_a_secret_is_found_wherever_it_stands(kind: str, text: str) -> None:
    around = f"x = 1\n{text}\nreturn"
    assert [secret.kind for secret in find_secrets(around)] == [kind]


@pytest.mark.parametrize(("kind", "text"), SECRETS)
def test_a_masked_secret_has_its_length_and_is_a_secret_no_more(kind: str, text: str) -> None:
    hidden = mask(text)
    assert len(hidden) == len(text)
    assert [len(line) for line in hidden.split("\n")] == [len(line) for line in text.split("\n")]
    (secret,) = find_secrets(text)
    assert set(hidden[secret.start : secret.end]) <= {MASK, "\n"}
    assert hidden[: secret.start] == text[: secret.start]
    assert hidden[secret.end :] == text[secret.end :]
    assert find_secrets(hidden) == ()


@pytest.mark.parametrize("text", NO_SECRETS)
def test_a_placeholder_is_no_secret(text: str) -> None:
    assert find_secrets(text) == ()


def test_a_known_prefix_stays_readable() -> None:
    assert mask(f'token = "ghp_{MIXED[:36]}"') == f'token = "ghp_{MASK * 36}"'


def test_masking_keeps_json_valid() -> None:
    text = r'{"e": "password = \"hunter22\"", "k": "' + BEGIN + r"\nMIIEvQIBADANBgkqh\n\"x\"" + '"}'
    hidden = mask(text)
    assert "hunter22" not in hidden
    assert "MIIEvQ" not in hidden
    assert hidden.count('"') == text.count('"')
    assert hidden.endswith(r'\"x\""}')


def test_a_secret_within_a_secret_is_hidden_with_it() -> None:
    value = "https://app:hunter22!@h0s1t2d3/x4"
    (secret,) = find_secrets(f'secret = "{value}"')
    assert (secret.kind, secret.start, secret.end) == ("secret", 10, 10 + len(value))


def test_a_key_between_diff_marks_is_hidden_to_its_end() -> None:
    body = "\n".join(f"{n} +{line}" for n, line in enumerate(KEY_BODY.split("\n"), start=8))
    hidden = mask(f"7 +{BEGIN}\n{body}\n11 +{END}\n12 +x = 1")
    assert "MIIE" not in hidden
    assert hidden.endswith("12 +x = 1")


def test_text_that_nobody_looked_at_is_masked() -> None:
    text = "a\n" * (MAX_EXAMINED // 2) + "beyond\nall"
    assert mask(text)[MAX_EXAMINED:] == MASK * 6 + "\n" + MASK * 3


@given(st.text(alphabet=st.characters(), max_size=80) | st.text("ghp_=:\"' /-@\nA1", max_size=80))
def test_masking_changes_neither_length_nor_lines_and_is_idempotent(text: str) -> None:
    hidden = mask(text)
    assert len(hidden) == len(text)
    assert [i for i, c in enumerate(hidden) if c == "\n"] == [
        i for i, c in enumerate(text) if c == "\n"
    ]
    assert mask(hidden) == hidden


@pytest.mark.parametrize(
    "seed",
    [
        "ghp_",
        "eyJaaaaaaaaaaa.",
        "://a:",
        "password = '",
        "token" * 3,
        "secret_access_",
        "Bearer aaaaaaaaaaaaaaaaaaaa",
        "TOKEN=",
        BEGIN + "\n",
        "QUJD\n" + END + "\n",
        "sk-ant-",
        "-----BEGIN A ",
        "\u202e",
    ],
)
def test_a_hostile_line_takes_linear_time(seed: str) -> None:
    text = seed * (200_000 // len(seed))
    start = time.thread_time()
    mask(text)
    visible(text)
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if admin:\u202e", "if admin:<U+202E>"),
        ("a\u200bb\u2066c\ufeff", "a<U+200B>b<U+2066>c<U+FEFF>"),
        ("\U000e0041\U000e007f", "<U+E0041><U+E007F>"),
        ("soft\u00adhyphen\u3164", "soft<U+00AD>hyphen<U+3164>"),
        ("one\rtwo", "one<U+000D>two"),
        ("one\r\ntwo\r", "one\r\ntwo<U+000D>"),
        ("\x00\x1b[2J\x0b\x85\u2028", "<U+0000><U+001B>[2J<U+000B><U+0085><U+2028>"),
        ("x\ufe01\ufe0f", "x<U+FE01><U+FE0F>"),
        ("\udcff\udc80\ud800", "<0xFF><0x80><U+D800>"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("größe 名前 \u2764\ufe0f \U0001f600", "größe 名前 \u2764\ufe0f \U0001f600"),
    ],
)
def test_what_does_not_show_is_written_out(text: str, expected: str) -> None:
    assert visible(text) == expected


@given(st.text(alphabet=st.characters()))
def test_what_is_visible_can_be_sent_and_stays_on_its_lines(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert shown.count("\n") == text.count("\n")
    assert len(shown.replace("\r\n", "\n").splitlines()) <= shown.count("\n") + 1
    assert visible(shown) == shown
