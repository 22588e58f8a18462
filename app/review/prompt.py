"""Questions for the model: the prose of `prompts/` joined with fenced, untrusted material.

Knows the order of the parts and how they are fenced; holds no prose and reads no file.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from app.errors import Unusable
from app.review.focus import Area
from app.review.masking import mask, visible
from app.review.text import cut

SYSTEM = "system.md"
SCHEMA = "findings.schema.json"
SCHEMA_NAME = "findings"
JUDGE = "judge.md"
JUDGE_SCHEMA = "judge.schema.json"
JUDGE_SCHEMA_NAME = "verdicts"
ASK = "ask.md"
ASK_SCHEMA = "ask.schema.json"
ASK_SCHEMA_NAME = "answer"

MAX_TITLE = 300
MAX_BODY = 6_000
MAX_FILE_LIST = 6_000
MAX_GUIDELINES = 16_000
MAX_WISH = 1_000
MAX_QUESTION = 4_000
MAX_THREAD = 16_000
MAX_ASKED_CODE = 40_000
MAX_ERROR = 1_000
"""Characters of each part of a question."""

_KEY_LENGTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question. `system` is the same bytes for every chunk; `user` ends with the focus.

    `schema` is the JSON schema that the answer must obey. `salt` is not sent: a question with
    another salt is a new one, whatever was answered before. `is_urgent`: somebody waits for this
    one answer, or a review ends with it.
    """

    system: str
    user: str
    schema_name: str
    schema: bytes
    salt: str = ""
    is_urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The prose of a deployment. `hash` names all that reviews are made of, schemas included."""

    system: str
    focus: Mapping[Area, str]
    schema: bytes
    judge: str
    judge_schema: bytes
    ask: str
    ask_schema: bytes
    hash: str


def parse_prompts(files: Mapping[str, str]) -> Prompts:
    """Take the files of `prompts/` (name relative to that folder → text).

    Raises Unusable, which lists every file that is missing, empty or no JSON.
    """
    names = {area: f"focus/{area}.md" for area in Area}
    reviewing = (SYSTEM, SCHEMA, JUDGE, JUDGE_SCHEMA, *names.values())
    used = (*reviewing, ASK, ASK_SCHEMA)
    problems = [f"prompts/{name}: missing or empty" for name in used if not _has_text(files, name)]
    schemas = {name: _compact_json(files.get(name, "{}")) for name in used if "schema" in name}
    problems += [
        f"prompts/{name}: not a JSON object" for name, schema in schemas.items() if not schema
    ]
    if problems:
        raise Unusable("; ".join(problems))
    return Prompts(
        system=files[SYSTEM].strip() + "\n",
        focus=MappingProxyType({area: files[name].strip() for area, name in names.items()}),
        schema=schemas[SCHEMA],
        judge=files[JUDGE].strip() + "\n",
        judge_schema=schemas[JUDGE_SCHEMA],
        ask=files[ASK].strip() + "\n",
        ask_schema=schemas[ASK_SCHEMA],
        hash=_hash(files, reviewing),
    )


def render_prompt(
    prompts: Prompts,
    chunk_text: str,
    areas: tuple[Area, ...],
    *,
    title: str,
    body: str,
    file_list: tuple[str, ...],
    guidelines: str,
    wish: str | None,
    fence_secret: bytes,
    salt: str = "",
) -> Prompt:
    """Ask for the findings of one chunk in these areas.

    What stays the same stands first (for the prefix caches of model servers), the focus last.
    All but our own prose is cut to size, masked, made visible and fenced; empty parts are left
    out.
    """
    parts = (
        *_stated(title, body, guidelines),
        ("files", _file_list(file_list)),
        ("diff", chunk_text.strip("\n")),
        ("wish", cut((wish or "").strip(), MAX_WISH)),
    )
    focus = [prompts.focus[area] for area in areas]
    return Prompt(
        system=prompts.system,
        user="\n\n".join([*_fenced(parts, fence_secret), *focus]) + "\n",
        schema_name=SCHEMA_NAME,
        schema=prompts.schema,
        salt=salt,
    )


def render_judge(
    prompts: Prompts,
    *,
    findings: str,
    code: str,
    analysers: str,
    rules: str,
    title: str,
    body: str,
    guidelines: str,
    fence_secret: bytes,
    salt: str = "",
) -> Prompt:
    """Ask for a second look at findings; all that is not our own prose is fenced, as above."""
    parts = (
        *_stated(title, body, guidelines),
        ("code", code),
        ("analysers", analysers),
        ("rules", rules),
        ("findings", findings),
    )
    return Prompt(
        system=prompts.judge,
        user="\n\n".join(_fenced(parts, fence_secret)) + "\n",
        schema_name=JUDGE_SCHEMA_NAME,
        schema=prompts.judge_schema,
        salt=salt,
        is_urgent=True,
    )


def render_ask(
    prompts: Prompts,
    *,
    question: str,
    code: str,
    thread: str,
    title: str,
    body: str,
    guidelines: str,
    fence_secret: bytes,
) -> Prompt:
    """Put a person's question about code, with what was said before it."""
    parts = (
        *_stated(title, body, guidelines),
        ("code", cut(code, MAX_ASKED_CODE)),
        ("thread", cut(thread, MAX_THREAD)),
        ("question", cut(question, MAX_QUESTION)),
    )
    return Prompt(
        system=prompts.ask,
        user="\n\n".join(_fenced(parts, fence_secret)) + "\n",
        schema_name=ASK_SCHEMA_NAME,
        schema=prompts.ask_schema,
        is_urgent=True,
    )


def render_repair(prompt: Prompt, error: str) -> Prompt:
    """Ask the same question again after an answer that broke the schema as `error` tells."""
    told = cut(mask(visible(error)), MAX_ERROR)
    return replace(prompt, user=f"{prompt.user}\n# Answer rejected\n\n{told}\n")


def fence(name: str, text: str, secret: bytes) -> str:
    """Put untrusted text between two lines that it cannot know, masked and made visible.

    The key is an HMAC of what it encloses: not guessable from outside, and the same every time,
    so that kept answers and prefix caches still hit.
    """
    shown = mask(visible(text))
    message = f"{name}\0{shown}".encode()
    key = hmac.new(secret, message, hashlib.sha256).hexdigest()[:_KEY_LENGTH]
    return f"<<<DATA {name} {key}\n{shown}\nDATA>>> {key}"


def without_html_comments(text: str) -> str:
    """Drop what no reader of a Markdown text sees; templates are full of it."""
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) != -1 and (end := text.find("-->", start + 4)) != -1:
        kept.append(text[at:start])
        at = end + 3
    return "".join([*kept, text[at:]])


def _stated(title: str, body: str, guidelines: str) -> tuple[tuple[str, str], ...]:
    """Give what is the same for all questions about a pull request."""
    return (
        ("guidelines", cut(guidelines.strip(), MAX_GUIDELINES)),
        ("title", cut(" ".join(title.split()), MAX_TITLE)),
        ("body", cut(without_html_comments(body).strip(), MAX_BODY)),
    )


def _fenced(parts: Iterable[tuple[str, str]], secret: bytes) -> list[str]:
    return [fence(name, text, secret) for name, text in parts if text]


def _has_text(files: Mapping[str, str], name: str) -> bool:
    return bool(files.get(name, "").strip())


def _compact_json(text: str) -> bytes:
    """Return a JSON object without its blanks, nothing where it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return b""
    return json.dumps(value, separators=(",", ":")).encode() if isinstance(value, dict) else b""


def _hash(files: Mapping[str, str], names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{files[name]}\0".encode())
    return digest.hexdigest()[:16]


def _file_list(paths: tuple[str, ...]) -> str:
    """List paths one a line, as many as fit."""
    lines: list[str] = []
    length = 0
    for path in paths:
        line = " ".join(path.split("\n"))
        length += len(line) + 1
        if length > MAX_FILE_LIST:
            return "\n".join([*lines, f"… and {len(paths) - len(lines)} more"])
        lines.append(line)
    return "\n".join(lines)
