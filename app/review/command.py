"""What somebody tells us to do in a comment: which lines are commands, and what they say.

Markdown decides what is a line of a person's own (quotes, code, tables and HTML are not), the
grammar what it means. What a person got wrong is a value. Knows nothing of who may command.
"""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from app.review.focus import Area, closest, parse_area

# GitHub's own limit for a comment; what is longer did not come from there.
MAX_CHARACTERS = 65_536
# What follows bounds the time that a hostile comment costs. No person needs as much.
MAX_LINES = 10_000
MAX_NESTING = 12
MAX_WORDS_COMPARED = 8
MAX_WORD_LENGTH = 40

LIKENESS = 0.75  # of difflib; "reveiw" is 0.83 like "review", "resume" 0.67


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCommand:
    """Review this. `areas` None means the configured ones; `wish` is the text after `for`."""

    areas: tuple[Area, ...] | None = None
    full: bool = False
    wish: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpCommand:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCommand:
    """No automatic reviews on this pull request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCommand:
    """Automatic reviews again, where they are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelCommand:
    """Stop the reviews of this pull request that run or wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateCommand:
    """Say what a review would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCommand:
    """Say which configuration is in force, and whence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyCommand:
    """Say what led to a finding, or what became of the pull request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCommand:
    """Answer this question: raw text of one line, to be fenced as data."""

    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DismissCommand:
    """Withdraw the finding that this thread is about."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownCommand:
    """Not understood. `text` stood after the mention; it is raw and must be made harmless.

    `did_you_mean` is in words of ours only.
    """

    text: str
    did_you_mean: str | None = None


Command = (
    ReviewCommand
    | HelpCommand
    | PauseCommand
    | ResumeCommand
    | CancelCommand
    | EstimateCommand
    | ConfigCommand
    | WhyCommand
    | AskCommand
    | DismissCommand
    | UnknownCommand
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command and the line that gave it, without list marks and indentation."""

    line: str
    command: Command


def addresses(mentions: Sequence[str], slug: str | None) -> tuple[str, ...]:
    """Return all names we answer to: the configured mentions and the App's own."""
    named = (*mentions, *([slug] if slug else []))
    return tuple(dict.fromkeys(name if name[:1] in _MARKS else f"@{name}" for name in named))


def parse_commands(
    markdown: str, mentions: Sequence[str], *, in_thread: bool = False
) -> tuple[CommandLine, ...]:
    """Find the commands of a comment, in order. `mentions` carry their `@` (or `/`).

    `in_thread`: it stands on the diff, where other words are a question.
    """
    text = _NEWLINE.sub("\n", markdown).replace("\0", "\ufffd")
    if len(text) > MAX_CHARACTERS or text.count("\n") > MAX_LINES:
        return ()
    mention = _mention(mentions)
    if not mention.search(text):
        return ()
    return tuple(
        CommandLine(line=line, command=parse_line(line, mentions, in_thread=in_thread))
        for line in _own_lines(text, mention)
    )


def parse_line(line: str, mentions: Sequence[str], *, in_thread: bool = False) -> Command:
    """Parse one line as a CommandLine holds it, maybe one that an earlier release stored."""
    addressed = _mention(mentions).match(line)
    if addressed is None:  # the mentions have been configured otherwise since
        return UnknownCommand(text=line)
    said = _HTML_COMMENT.sub(" ", line[addressed.end() :]).strip()
    command = _parse_text(said)
    if in_thread and isinstance(command, UnknownCommand) and not _is_slip(command):
        return _parse_question(said)
    return command


# Which lines are somebody's own

_MARKS: Final = "@/"
_NEWLINE = re.compile(r"\r\n?")
_LIST_AND_HEADING_MARKS = re.compile(r"[ \t\d*+\-.)#]*")
_UP_TO_THREE_SPACES = re.compile(r" {0,3}")
_NOT_SAID_HERE = {"fence", "code_block", "html_block", "blockquote_open"}
# Outlook writes "Original Message" in its user's language, between exactly five dashes.
_ORIGINAL_MESSAGE = re.compile(
    r"[ \t]*-{2,}[ \t]*Original Message[ \t]*-{2,}[ \t]*"
    r"|-{5}(?!BEGIN |END )[^\W\d_][^-]{3,40}[^\W\d_]-{5}",
    re.I,
)
_CLOCK = re.compile(r"(?<!\d)\d{1,2}[:.]\d\d(?!\d)")
_ADDRESS = re.compile(r"<[^<>\s]{1,100}@[^<>\s]{1,100}>")
_SIGNATURE = "-- "  # RFC 3676, section 4.3
_ATTRIBUTION_LINES = 3  # mail programs wrap "On … wrote:"


def _mention(mentions: Sequence[str]) -> re.Pattern[str]:
    """Match a mention that stands alone. Case is folded in ASCII only: `K` is no `k` (Kelvin)."""
    names = "|".join(re.escape(mention) for mention in mentions if mention) or r"(?!)"
    return re.compile(rf"(?ai:{names})(?:[,:;.!?…，：；。！？、]*(?=\s|\Z))")


def _own_lines(text: str, mention: re.Pattern[str]) -> Iterator[str]:
    """Yield the lines that begin with a mention and are the writer's own words."""
    if "\n" not in text and mention.match(text):  # whatever follows, it is a paragraph
        yield text.strip()
        return
    lines = text.split("\n")
    env: dict[str, object] = {}
    blocks = _BLOCKS.parse(text, env)
    end = _mail_tail(lines, blocks)
    for block in _spoken(blocks):
        first = block.map[0] if block.map else 0
        said = block.content.split("\n")
        wanted = {
            number
            for number, line in enumerate(said)
            if first + number < end and mention.match(line.lstrip(" "))
        }
        if not wanted:
            continue
        if 0 in wanted and not _only_marks_before(said[0], lines[first]):
            wanted.remove(0)
        yield from (said[n].strip(" ") for n in _line_starts(block.content, env) if n in wanted)


def _spoken(blocks: Sequence[Token]) -> Iterator[Token]:
    """Yield the texts of paragraphs and headings, also in lists, outside of quotes and tables."""
    hidden = 0
    for token in blocks:
        if token.type in ("blockquote_open", "table_open"):
            hidden += 1
        elif token.type in ("blockquote_close", "table_close"):
            hidden -= 1
        elif token.type == "inline" and not hidden:
            yield token


def _only_marks_before(said: str, line: str) -> bool:
    """Say whether nothing but Markdown's marks precedes the text on its line.

    markdown-it strips any Unicode white space there, which would make a command of more.
    """
    before, found, _ = line.partition(said)
    return bool(found) and _LIST_AND_HEADING_MARKS.fullmatch(before) is not None


def _line_starts(content: str, env: dict[str, object]) -> Iterator[int]:
    """Yield the numbers of the lines that begin as text, not inside code, a link or HTML."""
    tokens: list[Token] = []
    _INLINE.inline.parse(content, _INLINE, env, tokens)
    is_link = False
    for token in tokens:
        if token.type in ("link_open", "link_close"):
            is_link = token.nesting > 0
        if token.type == _LINE_START and not is_link:
            yield content.count("\n", 0, token.meta["at"])


def _mail_tail(lines: Sequence[str], blocks: Sequence[Token]) -> int:
    """Return the number of the first line that a mail program added beneath the message."""
    said = [True] * len(lines)
    for token in blocks:
        if token.type in _NOT_SAID_HERE and token.map:
            start, end = token.map
            said[start:end] = [False] * (end - start)
    for number, line in enumerate(lines):
        if not said[number]:
            continue
        if line == _SIGNATURE or _ORIGINAL_MESSAGE.fullmatch(line):
            return number
        if line.rstrip().endswith((":", "：")) and _is_attribution(lines, number):
            return number
    return len(lines)


def _is_attribution(lines: Sequence[str], number: int) -> bool:
    """Say whether "On … wrote:" ends on this line, or what says the same in another language:
    a time, an address and a colon."""
    sentence: list[str] = []
    for line in reversed(lines[max(0, number + 1 - _ATTRIBUTION_LINES) : number + 1]):
        if not line.strip():
            break
        sentence.insert(0, line.strip())
        if line.lstrip().startswith("On ") and sentence[-1].endswith("wrote:"):
            return True
    text = "".join(sentence)
    return bool(_CLOCK.search(text) and _ADDRESS.search(text))


_LINE_START = "line_start"


def _line_start(state: StateInline, silent: bool) -> bool:
    """Note where a line begins with something that could be a mention (an inline rule)."""
    if state.src[state.pos] not in _MARKS:
        return False
    line = state.src.rfind("\n", 0, state.pos) + 1
    if not _UP_TO_THREE_SPACES.fullmatch(state.src, line, state.pos):
        return False
    if not silent:
        state.push(_LINE_START, "", 0).meta = {"at": state.pos}
    state.pos += 1
    return True


def _blocks() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table")
    return parser.disable(["inline", "text_join"])


def _inline() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING})
    parser.disable(["emphasis", "autolink", "entity"])
    parser.inline.ruler.before("text", _LINE_START, _line_start)
    return parser


_BLOCKS = _blocks()
_INLINE = _inline()


# What a command says

_WORD = re.compile(r"[^\s,:]+")
_HTML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)")
_FULL = "full"
_ALONE: Mapping[str, Command] = {
    "help": HelpCommand(),
    "pause": PauseCommand(),
    "resume": ResumeCommand(),
    "cancel": CancelCommand(),
    "estimate": EstimateCommand(),
    "config": ConfigCommand(),
    "why": WhyCommand(),
}
"""Commands of one word."""
COMMANDS = ("review", "ask", "dismiss", *_ALONE)
_ASK = "ask <question>"
_AREAS = {area.value: area for area in Area}


def _parse_text(after_mention: str) -> Command:
    text = _without_punctuation(after_mention)
    words = list(_WORD.finditer(text))
    said = [word.group().lower().rstrip(".;!?") for word in words]
    match said:
        case []:
            return HelpCommand()
        case ["ask", *_]:
            return _parse_question(after_mention[words[0].end() :])
        case ["dismiss", *more]:
            return DismissCommand(reason=_readable(text[words[1].start() :]) if more else None)
        case [word] if word in _ALONE:
            return _ALONE[word]
        case [word, *_] if word in _ALONE:
            return UnknownCommand(text=text, did_you_mean=word)
    asked = said.index("for") if "for" in said else len(said)
    if "review" not in said[:asked]:
        return UnknownCommand(text=text, did_you_mean=_command_meant(said))
    if asked == len(said):
        return _parse_review(text, said, wish=None)
    wish = text[words[asked].end() :].lstrip(" ,:")
    if not wish:
        return UnknownCommand(text=text, did_you_mean="review")
    return _parse_review(text, said[:asked], wish=_readable(wish))


def _parse_question(text: str) -> Command:
    question = _readable(text).lstrip(" ,:")
    if not _without_punctuation(question):
        return UnknownCommand(text="ask", did_you_mean=_ASK)
    return AskCommand(question=question)


def _parse_review(text: str, said: Sequence[str], *, wish: str | None) -> Command:
    full = _FULL in said
    narrowed = [word for word in said if word not in ("review", "and", _FULL)]
    areas = {word: parse_area(word) for word in narrowed}
    if None in areas.values():
        return UnknownCommand(text=text, did_you_mean=_review_meant(areas, full=full, wish=wish))
    if not areas and wish:
        # Aliases are ordinary words in prose ("error", "package"): here only the areas' own names.
        areas = {word: _AREAS.get(word) for word in re.findall(r"\w+", wish.lower())}
    return ReviewCommand(areas=_in_order(set(areas.values())) or None, full=full, wish=wish)


def _in_order(areas: Collection[Area | None]) -> tuple[Area, ...]:
    return tuple(area for area in Area if area in areas)


def _review_meant(areas: Mapping[str, Area | None], *, full: bool, wish: str | None) -> str:
    """Write the command with what resembles no area left out."""
    unknown = _comparable([word for word, area in areas.items() if area is None])
    full = full or any(_like(word, (_FULL,)) for word in unknown)
    meant = _in_order({*areas.values(), *(closest(word) for word in unknown)})
    return " ".join(
        (
            "review",
            *([_FULL] if full else []),
            *([", ".join(meant)] if meant else []),
            *(["for …"] if wish else []),
        )
    )


def _is_slip(unknown: UnknownCommand) -> bool:
    """Say whether nothing but words of ours was meant, so that it is hardly a question."""
    said = _WORD.findall(unknown.text.lower())
    named = said[: said.index("for")] if "for" in said else said
    return (
        unknown.did_you_mean is not None
        and len(named) <= MAX_WORDS_COMPARED
        and all(_like(word, (*COMMANDS, _FULL, "and")) or closest(word) for word in named)
    )


def _command_meant(said: Sequence[str]) -> str | None:
    for word in _comparable(said):
        meant = _like(word, COMMANDS)
        if meant:
            return _ASK if meant == "ask" else meant
    area = closest(said[0]) if len(said) == 1 and _comparable(said) else None
    return f"review {area}" if area else None


def _comparable(said: Sequence[str]) -> list[str]:
    return [word for word in said[:MAX_WORDS_COMPARED] if len(word) <= MAX_WORD_LENGTH]


def _like(word: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=LIKENESS)), None)


def _without_punctuation(text: str) -> str:
    end = len(text)
    while end and (text[end - 1].isspace() or unicodedata.category(text[end - 1])[0] == "P"):
        end -= 1
    return text[:end].strip()


def _readable(text: str) -> str:
    """Drop what a reader does not see: zero-width, direction and tag characters, controls."""
    shown = (char for char in text if unicodedata.category(char) not in ("Cf", "Cc", "Cs"))
    return "".join(shown).strip()
