"""Makes text that we did not write safe to post as GitHub Markdown.

Knows what GitHub turns into HTML, links, notifications and commands. Prose comes out as plain
text: only code (inline and fenced) and list markers keep their meaning. Give each function raw
text, once: it hides secrets, then cuts, and returns whole Markdown of at most `limit` characters.
"""

import re
from collections.abc import Callable

from app.review.masking import mask, visible

ZERO_WIDTH_SPACE = "\u200b"
MAX_BODY = 60_000
"""Characters in one body; GitHub refuses more than 65,536."""
MAX_PROSE = 20_000
MAX_LINE = 1_000
MAX_SPAN = 500
MAX_CODE = 8_000
CUT = "… (cut)"
FIT_STEPS = 100
"""How near to its limit a text is cut, as a part of the limit, where rendering lengthens it."""

_FENCE = re.compile(r"([ \t]{0,20}+)(`{3,}+[^`]*+|~{3,}+.*+)")
_LIST_MARKER = re.compile(r"( {0,6}+(?:[-*+]|[0-9]{1,3}+[.)])) {1,4}+(\S.*+)")
_TICKS = re.compile(r"`++")
_IMAGE = re.compile(r"!\[[^\]]{0,200}+\](?:\([^)]{0,500}+\)|\[[^\]]{0,200}+\])")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,15}://|www\.|mailto:)[^\s<>`]{1,2000}+", re.IGNORECASE)
_END_OF_SENTENCE = ".,;:!?)'\""
_SPECIAL = re.compile(r"([\\*_\[\]~|`])")
_TEX_COMMAND = re.compile(r"(\\\\)(?=[A-Za-z])")
_REFERENCE = re.compile(r"([@#](?=[\w/\\-])|GH-(?=[0-9]))", re.IGNORECASE)
# A heading, underline, table or list that is none of ours, or a command to another bot.
_LINE_START = re.compile(r"([/!#=+:-]|[0-9]++(?=[.)]))")
# Other bots read what we post raw. Some take a mention and a word wherever they stand, as Mergify
# does; others a slash that begins a line, as Prow does.
_MENTION_IN_CODE = re.compile(r"(?<!\w)@(?=[\w-]+[ \t]+\w)")
_SLASH_IN_CODE = re.compile(r"^([ \t]*/)(?=[A-Za-z])", re.MULTILINE)
# Code that must stay as it is may mention: annotations and decorators do.
_COMMAND_IN_LIVE_CODE = re.compile(r"^[ \t]*(?:/[A-Za-z]|@[\w-]+[ \t]+\w)", re.MULTILINE)


def safe_prose(text: str, limit: int = MAX_PROSE) -> str:
    """Return untrusted prose as Markdown that shows the words and does nothing else."""
    return _fit(_prose, _clean(text), limit)


def safe_line(text: str, limit: int = MAX_LINE) -> str:
    """Return untrusted text as one line of Markdown without any block in it."""
    return _fit(_line, " ".join(_clean(text).split()), limit)


def code_span(text: str, limit: int = MAX_SPAN) -> str:
    """Return text as inline code, whatever backticks it holds; blank text is no code."""
    return _fit(_span, _clean(text).replace("\n", " "), limit)


def fenced(text: str, limit: int = MAX_CODE) -> str:
    """Return text as a code block that it cannot close; no line of it can command a bot."""
    return _fit(_block, _clean(text), limit)


def is_inert_code(code: str) -> bool:
    """Say whether code can be posted as it is: no hidden comment, no line that commands a bot."""
    return "<!--" not in code and not _COMMAND_IN_LIVE_CODE.search(code)


def suggestion_block(code: str) -> str:
    """Return code, exactly, as a block that GitHub applies; it must be checked and inert."""
    end = "" if not code or code.endswith("\n") else "\n"
    ticks = "`" * max(3, _longest_run(code) + 1)
    return f"{ticks}suggestion\n{code}{end}{ticks}"


def plain_line(text: str, limit: int = MAX_LINE) -> str:
    """Return untrusted text as one line for places that show no Markdown."""
    return cut(" ".join(_clean(text).split()), limit)


def cut(text: str, limit: int, note: str = CUT) -> str:
    """Cut text to `limit` characters, saying so. Only for text that is no Markdown yet."""
    if len(text) <= limit:
        return text
    return text[: max(0, limit - len(note))].rstrip() + note[: max(0, limit)]


def _clean(text: str) -> str:
    return mask(visible(text.replace("\r\n", "\n")))


def _fit(render: Callable[[str], str], text: str, limit: int) -> str:
    """Render as much of a text as stays within `limit` characters once it is rendered."""
    shown = render(cut(text, limit))
    if len(shown) <= limit:
        return shown
    fits, too_much = 0, limit
    while too_much - fits > max(1, limit // FIT_STEPS):
        room = (fits + too_much) // 2
        if len(render(cut(text, room))) <= limit:
            fits = room
        else:
            too_much = room
    return render(cut(text, fits))


def _prose(text: str) -> str:
    out: list[str] = []
    code: list[str] = []
    indent, fence = "", ""
    for line in text.split("\n"):
        if fence:
            if _closes(line, fence):
                out.append(_block("\n".join(code)))
                fence = ""
            else:
                code.append(line.removeprefix(indent))
        elif opening := _FENCE.fullmatch(line):
            indent, fence, code = opening[1], _run_of_first(opening[2]), []
        else:
            out.append(_item_or_line(line))
    if fence:
        out.append(_block("\n".join(code)))
    return "\n".join(out).strip()


def _run_of_first(text: str) -> str:
    return text[: len(text) - len(text.lstrip(text[0]))]


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and bare == fence[0] * len(bare)


def _block(text: str) -> str:
    text = _SLASH_IN_CODE.sub(rf"\1{ZERO_WIDTH_SPACE}", _inert(text.strip("\n")))
    if not text.strip():
        return ""
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}\n{text}\n{ticks}"


def _item_or_line(line: str) -> str:
    item = _LIST_MARKER.fullmatch(line)
    return f"{item[1]} {_line(item[2])}" if item else _line(line)


def _line(line: str) -> str:
    shown = _inline(line.strip())
    start = _LINE_START.match(shown)
    if start is None:
        return shown
    at = start.end() if start[0].isdigit() else 0
    return f"{shown[:at]}\\{shown[at:]}"


def _inline(line: str) -> str:
    """Escape one line; code in it stays code."""
    runs = [(run.start(), run.end()) for run in _TICKS.finditer(line)]
    closing = _closing_runs(runs)
    parts: list[str] = []
    last, number = 0, 0
    while number < len(runs):
        close = closing[number]
        if close is None:
            number += 1
            continue
        start, end = runs[number]
        parts += [*_plain(line[last:start]), _span(line[end : runs[close][0]])]
        last, number = runs[close][1], close + 1
    return _joined([*parts, *_plain(line[last:])])


def _closing_runs(runs: list[tuple[int, int]]) -> list[int | None]:
    """Find for each run of backticks the next one of the same length, which closes it."""
    closing: list[int | None] = []
    later: dict[int, int] = {}
    for number in reversed(range(len(runs))):
        length = runs[number][1] - runs[number][0]
        closing.append(later.get(length))
        later[length] = number
    return closing[::-1]


def _plain(text: str) -> list[str]:
    """Escape text outside of code; addresses become code, images vanish."""
    text = _IMAGE.sub("(image left out)", text)
    parts: list[str] = []
    last = 0
    for url in _URL.finditer(text):
        address = url[0].rstrip(_END_OF_SENTENCE)
        parts += [_escape(text[last : url.start()]), _span(address)]
        last = url.start() + len(address)
    return [*parts, _escape(text[last:])]


def _escape(text: str) -> str:
    text = _SPECIAL.sub(r"\\\1", text)
    text = _TEX_COMMAND.sub(rf"\1{ZERO_WIDTH_SPACE}", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _REFERENCE.sub(rf"\1{ZERO_WIDTH_SPACE}", text)


def _span(text: str) -> str:
    if not text.strip():
        return ""
    text = _inert(text)
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _joined(parts: list[str]) -> str:
    """Join parts of a line; code next to code would run together, so something stands between."""
    told = [part for part in parts if part]
    for number in range(1, len(told)):
        if told[number - 1].startswith("`") and told[number].startswith("`"):
            told[number - 1] += ZERO_WIDTH_SPACE
    return "".join(told)


def _inert(code: str) -> str:
    """Break hidden comments and mentions with a word after them: other programs obey them."""
    code = code.replace("<!--", f"<!{ZERO_WIDTH_SPACE}--")
    return _MENTION_IN_CODE.sub(f"@{ZERO_WIDTH_SPACE}", code)


def _longest_run(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)
