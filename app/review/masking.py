"""Finds what looks like a secret and hides it; makes characters visible that do not show.

Every pattern is anchored on a prefix and bounded, so that time is linear in the text, whoever
wrote it. Knows shapes only: whether a secret is valid is nobody's business here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MASK = "█"
"""What each character of a secret becomes; text that holds it is not what stands in the file."""

MAX_EXAMINED = 4_000_000
"""Characters that are searched; text beyond them is masked, because nobody looked at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Where a secret stands: `text[start:end]`, without a prefix that everybody knows."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """A kind of secret. Group 1 is what is secret; one of the `hints` is in every match.

    `is_certain` shapes are secrets whatever they hold; the others must look random or chosen.
    """

    kind: str
    hints: tuple[str, ...]
    regex: re.Pattern[str]
    is_certain: bool = True


def find_secrets(text: str) -> tuple[Secret, ...]:
    """Find secrets in the first `MAX_EXAMINED` characters, in order, none within another."""
    text = text[:MAX_EXAMINED]
    lowered = text.lower()
    found = list(_private_keys(text))
    for pattern in _PATTERNS:
        if any(hint in lowered for hint in pattern.hints):
            found += _matches(pattern, text, named={secret.end for secret in found})
    return _without_overlaps(found)


def mask(text: str) -> str:
    """Hide secrets; the result has the same length and the same lines."""
    parts: list[str] = []
    last = 0
    for secret in find_secrets(text):
        parts += text[last : secret.start], _masked(text[secret.start : secret.end])
        last = secret.end
    parts += text[last:MAX_EXAMINED], _masked(text[max(last, MAX_EXAMINED) :])
    return "".join(parts)


def mask_lines(lines: Sequence[str]) -> list[str]:
    """Hide secrets in lines that stand below each other: a private key has many."""
    return mask("\n".join(lines)).split("\n") if lines else []


def visible(text: str) -> str:
    """Write characters that show nothing, or reorder what shows, as `<U+202E>`.

    Tabs and line ends stay (a lone CR is no line end); bytes that are no UTF-8 become `<0xFF>`.
    """
    is_plain = text.isascii() and text.replace("\n", "").replace("\t", "").isprintable()
    return text if is_plain else _UNSEEN.sub(_written_out, text)


def hides_something(text: str) -> bool:
    """Say whether a reader would see a text otherwise than it is, or it was masked already."""
    return MASK in text or visible(mask(text)) != text


# ---- secrets -------------------------------------------------------------------------------------

# No word goes on before or after.
_B = r"(?<![A-Za-z0-9_])"
_E = r"(?![A-Za-z0-9_])"


def _pattern(kind: str, hints: str, regex: str, *, is_certain: bool = True) -> _Pattern:
    return _Pattern(
        kind=kind, hints=tuple(hints.split()), regex=re.compile(regex), is_certain=is_certain
    )


_NAMES = r"(?:pass(?:word|wd|phrase)|pwd)"
_KEY_NAMES = r"(?:secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key|credential)"
_IS = r"\\?[\"'\]]{0,2}[ \t]{0,8}(?::=|=>|=|:)[ \t]{0,8}[rbf]?\\?"

# Known shapes first: what they name is not named again by the general ones at the end.
_PATTERNS = (
    _pattern("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"{_B}gh[pousr]_([A-Za-z0-9]{{30,255}})"),
    _pattern("GitHub token", "github_pat_", rf"{_B}github_pat_([A-Za-z0-9_]{{22,255}})"),
    _pattern(
        "AWS access key", "akia asia abia acca", rf"{_B}(?:AKIA|ASIA|ABIA|ACCA)([A-Z2-7]{{16}}){_E}"
    ),
    _pattern(
        "AWS secret key",
        "aws secret",
        r"(?i:(?:aws[_-]?secret|secret[_-]?access)(?:[_-]?access)?(?:[_-]?key)?)" + _IS + r"[\"']?"
        r"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _pattern("Slack token", "xox", rf"{_B}xox[abeoprs]-([A-Za-z0-9-]{{10,250}})"),
    _pattern("Slack token", "xapp-", rf"{_B}xapp-([A-Za-z0-9-]{{20,250}})"),
    _pattern(
        "Slack webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_-]{20,200})",
    ),
    _pattern("Stripe key", "sk_ rk_", rf"{_B}[sr]k_(?:live|test)_([A-Za-z0-9]{{16,247}})"),
    _pattern("Stripe webhook secret", "whsec_", rf"{_B}whsec_([A-Za-z0-9+/=]{{24,100}})"),
    _pattern("Google API key", "aiza", rf"{_B}AIza([A-Za-z0-9_-]{{35}})"),
    _pattern("Google OAuth secret", "gocspx-", rf"{_B}GOCSPX-([A-Za-z0-9_-]{{20,40}})"),
    _pattern("Google access token", "ya29.", rf"{_B}ya29\.([A-Za-z0-9_-]{{20,400}})"),
    _pattern("Anthropic key", "sk-ant-", rf"{_B}sk-ant-([A-Za-z0-9_-]{{20,250}})"),
    _pattern(
        "OpenAI key",
        "sk-",
        rf"{_B}sk-(?!ant-)(?:proj-|svcacct-|admin-)?([A-Za-z0-9_-]{{20,250}})",
        is_certain=False,
    ),
    _pattern(
        "GitLab token",
        "glpat- gldt- glrt- glptt- glft- glsoat- glcbt- glimt- glagent-",
        rf"{_B}gl(?:pat|dt|rt|ptt|ft|soat|cbt|imt|agent)-([A-Za-z0-9_-]{{20,255}})",
    ),
    _pattern("npm token", "npm_", rf"{_B}npm_([A-Za-z0-9]{{36}}){_E}"),
    _pattern("PyPI token", "pypi-", rf"{_B}pypi-(Ag[A-Za-z0-9_-]{{50,500}})"),
    _pattern("SendGrid key", "sg.", rf"{_B}SG\.([A-Za-z0-9_-]{{16,32}}\.[A-Za-z0-9_-]{{32,64}})"),
    _pattern("Twilio key", "sk", rf"{_B}SK([0-9a-f]{{32}}){_E}"),
    _pattern("DigitalOcean token", "_v1_", rf"{_B}do[opr]_v1_([a-f0-9]{{64}})"),
    _pattern("Hugging Face token", "hf_", rf"{_B}hf_([A-Za-z0-9]{{30,100}}){_E}"),
    _pattern("Telegram token", ":aa", rf"{_B}[0-9]{{8,10}}:(AA[A-Za-z0-9_-]{{32,33}}){_E}"),
    _pattern("Azure key", "accountkey=", r"AccountKey=([A-Za-z0-9+/]{60,100}={0,2})"),
    _pattern("Shopify token", "shp", rf"{_B}shp(?:at|ca|pa|ss)_([A-Fa-f0-9]{{32}})"),
    _pattern("Docker token", "dckr_", rf"{_B}dckr_(?:pat|oat)_([A-Za-z0-9_-]{{20,100}})"),
    _pattern("Vault token", "hvs. hvb.", rf"{_B}hv[sb]\.([A-Za-z0-9_-]{{24,250}})"),
    _pattern("age key", "age-secret-key-1", rf"{_B}AGE-SECRET-KEY-1([A-Z0-9]{{50,60}})"),
    _pattern(
        "JSON web token",
        "eyj",
        r"(?<![A-Za-z0-9_-])eyJ([A-Za-z0-9_-]{10,2000}+\.eyJ[A-Za-z0-9_-]{4,4000}+"
        r"(?:\.[A-Za-z0-9_-]{0,2000}+)?)",
    ),
    _pattern(
        "credentials in a URL",
        "://",
        r"://[^\s/:@\"'<>?#]{0,100}+:([^\s/@\"'<>?#\\]{3,200}+)@",
        is_certain=False,
    ),
    _pattern(
        "Authorization header",
        "bearer basic",
        r"(?i:(?:bearer|basic))[ \t]{1,4}([A-Za-z0-9._~+/=-]{20,2000}+)",
        is_certain=False,
    ),
    _pattern(
        "password",
        "pass pwd",
        rf"(?i:{_NAMES}){_IS}(?:\"([^\"\s\\]{{6,128}})\\?\"|'([^'\s\\]{{6,128}})\\?')",
        is_certain=False,
    ),
    _pattern(
        "secret",
        "secret token key credential",
        rf"(?i:{_KEY_NAMES})[A-Za-z_]{{0,20}}{_IS}"
        r"(?:\"([^\"\s\\]{12,256})\\?\"|'([^'\s\\]{12,256})\\?')",
        is_certain=False,
    ),
    _pattern(
        "secret in the environment",
        "=",
        r"(?:PASSWORD|PASSWD|SECRET|TOKEN|_KEY|CREDENTIALS)=([^\s\"'$`;&|<>()\\]{8,256}+)",
        is_certain=False,
    ),
)

_PLACEHOLDER = re.compile(
    r"example|sample|dummy|fake|placeholder|change[-_]?(?:me|it|this)|your[-_]|my[-_]|redacted|"
    r"xxxx|\*\*\*|\.\.\.|todo|replace|insert|<|\$\{|\$\(|\{\{|%\(|%s|\{[a-z_.]{0,40}\}|"
    r"environ|getenv|process\.env|secrets\.|config\.|vault:|" + MASK,
    re.IGNORECASE,
)
_CHOSEN_KINDS = frozenset({"password", "credentials in a URL"})
MIN_DIFFERENT = 4
MIN_WORD = 10
# Between letters and digits: names have one or two (`sha256`, `oauth2`), random text has many.
_TURNS = re.compile(r"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
MIN_TURNS = 3


def _matches(pattern: _Pattern, text: str, *, named: set[int]) -> Iterator[Secret]:
    """Find one pattern's secrets, but for those that a pattern before has named: `named` ends."""
    for match in pattern.regex.finditer(text):
        group = match.lastindex or 0
        value = match[group]
        if match.end(group) in named:
            continue
        if pattern.is_certain or _looks_secret(value, is_chosen=pattern.kind in _CHOSEN_KINDS):
            yield Secret(kind=pattern.kind, start=match.start(group), end=match.end(group))


def _looks_secret(value: str, *, is_chosen: bool) -> bool:
    """Say whether a value is no placeholder, name or path. Only passwords are chosen by people."""
    if _PLACEHOLDER.search(value[:300]) or len(set(value)) < MIN_DIFFERENT or value[0] in "/.":
        return False
    if not is_chosen:
        return len(_TURNS.findall(value)) >= MIN_TURNS
    is_words = value.replace("_", "").replace("-", "").isalpha()
    is_long_word = value.isalpha() and len(value) >= MIN_WORD and "password" not in value.lower()
    return is_long_word or not is_words


_KEY_HEADER = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s:,.()]|\\[nrt]|-(?!----)){0,20000}+")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]+\r?")
MAX_KEY_LINE = 200
# A header within quotes is code about keys; at the end of a line, or before a body, it is a key.
_KEY_FOLLOWS = re.compile(r"\s{0,8}(?:$|\r?\n|\\[nr]|[A-Za-z0-9+/=]{16})")


def _private_keys(text: str) -> Iterator[Secret]:
    """Find private keys in PEM: what follows a first line, or stands before a lonely last one."""
    if "PRIVATE KEY" not in text:
        return
    last = 0
    for header in _KEY_HEADER.finditer(text):
        if header.start() >= last and _KEY_FOLLOWS.match(text, header.end()):
            body = _KEY_BODY.match(text, header.end())
            last = body.end() if body else header.end()
            yield Secret(kind="private key", start=header.start(), end=last)
    for footer in _KEY_END.finditer(text):
        start = _start_of_body(text, footer.start())
        if start < footer.start():
            yield Secret(kind="private key", start=start, end=footer.start())


def _start_of_body(text: str, end: int) -> int:
    """Go back over the lines before a key's last line, as long as they can be a key's."""
    start = end
    while start and text[start - 1] == "\n":
        before = text.rfind("\n", max(0, start - MAX_KEY_LINE), start - 1) + 1
        if start - before > MAX_KEY_LINE or not _KEY_LINE.fullmatch(text, before, start - 1):
            break
        start = before
    return start


def _without_overlaps(found: list[Secret]) -> tuple[Secret, ...]:
    """Sort secrets; what lies in another one goes, what overlaps begins later."""
    kept: list[Secret] = []
    end = 0
    for secret in sorted(found, key=lambda s: (s.start, -s.end)):
        if secret.end > end:
            kept.append(Secret(kind=secret.kind, start=max(secret.start, end), end=secret.end))
            end = secret.end
    return tuple(kept)


def _masked(secret: str) -> str:
    return re.sub(r"[^\r\n]", MASK, secret)


# ---- invisible characters ------------------------------------------------------------------------

# Controls, soft hyphen, fillers, zero-width, bidirectional (CVE-2021-42574), variation selectors
# where they follow no symbol, interlinear marks, tags; and bytes that are no UTF-8.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
    "|(?<![\u2010-\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
    "|\r(?!\n)"
)
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if _FIRST_BYTE <= code <= _LAST_BYTE:  # surrogateescape
        return f"<0x{code - 0xDC00:02X}>"
    return f"<U+{code:04X}>"
