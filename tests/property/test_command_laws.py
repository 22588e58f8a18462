"""Laws of commands: nothing quoted or shown as code commands, no text breaks the parser."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.review.command import HelpCommand, ReviewCommand, parse_commands, parse_line

pytestmark = pytest.mark.slow

MENTIONS = ("@codex",)
COMMANDS = st.sampled_from(
    ["@codex review", "@codex help", "@Codex review security", "@codex review for x", "@codex ?"]
)
PIECES = st.sampled_from(
    (
        *("@codex", " review", "\n", "\r\n", "> ", "```", "`", "- ", "    ", "|", "-|-", "1. "),
        *("<!--", "-->", "<div>", "[", "](", "!", "# ", "-- ", "On x wrote:", "\t", "\0", "\u200b"),
    )
)
MARKDOWN = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join))
PROSE = st.text(alphabet="abc äß.,!?", max_size=60).map(str.strip)


@given(MARKDOWN)
@example("\ud800@codex review")
def test_no_text_breaks_the_parser(markdown: str) -> None:
    for line in parse_commands(markdown, MENTIONS):
        assert line.command == parse_line(line.line, MENTIONS)


@given(MARKDOWN)
def test_a_command_begins_a_line_of_the_comment(markdown: str) -> None:
    for command in parse_commands(markdown, MENTIONS):
        assert command.line.lower().startswith("@codex")
        assert command.line.replace("\ufffd", "\0") in markdown or "\ufffd" in markdown


@given(MARKDOWN, COMMANDS)
def test_a_whole_comment_that_is_quoted_commands_nothing(markdown: str, command: str) -> None:
    said = f"{command}\n{markdown}\n{command}".replace("\r\n", "\n").replace("\r", "\n")
    quoted = "\n".join(f"> {line}" for line in said.split("\n"))
    assert parse_commands(quoted, MENTIONS) == ()


@given(MARKDOWN, COMMANDS)
def test_a_comment_in_a_code_block_commands_nothing(markdown: str, command: str) -> None:
    fence = "`" * (markdown.count("`") + 3)
    assert parse_commands(f"{fence}\n{command}\n{markdown}\n{command}", MENTIONS) == ()


@given(MARKDOWN, COMMANDS)
def test_an_indented_comment_commands_nothing(markdown: str, command: str) -> None:
    said = f"{command}\n{markdown}\n{command}".replace("\r\n", "\n").replace("\r", "\n")
    indented = "\n".join(f"    {line}" for line in said.split("\n"))
    assert parse_commands(indented, MENTIONS) == ()


@given(MARKDOWN, COMMANDS)
def test_what_follows_a_mail_signature_commands_nothing(markdown: str, command: str) -> None:
    tail = parse_commands(f"Thanks.\n\n-- \n{markdown}\n{command}", MENTIONS)
    assert tail == ()


@given(PROSE, COMMANDS, PROSE)
def test_a_command_between_paragraphs_is_obeyed(above: str, command: str, below: str) -> None:
    (found,) = parse_commands(f"{above}\n\n{command}\n\n{below}", MENTIONS)
    assert found.line == command


@given(st.integers(0, 12), st.sampled_from(["\u200b", "\u200d", "\u00ad", "\ufeff", "\u2060"]))
def test_an_invisible_character_in_the_words_never_leaves_the_command(at: int, unseen: str) -> None:
    line = "@codex review"
    broken = line[:at] + unseen + line[at:]
    for found in parse_commands(broken, MENTIONS):
        assert not isinstance(found.command, ReviewCommand | HelpCommand)


SIZE = 64_000
HOSTILE = {
    "quotes": ">" * SIZE,
    "spaced quotes": "> " * (SIZE // 2),
    "brackets": "[" * SIZE,
    "images": "![" * (SIZE // 2),
    "half links": "[a](" * (SIZE // 4),
    "half references": "[a][" * (SIZE // 4),
    "backticks": "`" * SIZE,
    "growing backticks": " ".join("`" * n for n in range(1, 350)),
    "tags": "<a " * (SIZE // 3),
    "comments": "<!--" * (SIZE // 4),
    "stars": "*a _" * (SIZE // 4),
    "escapes": "\\" * SIZE,
    "lists": "- " * (SIZE // 2),
    "deep lists": "".join(" " * n + "- a\n" for n in range(340)),
    "lines": "a\n" * 9_000,
    "lazy quotes": ">" * 20 + "a\n" + "b\n" * 9_000,
    "wide table": "|a" * 900 + "|\n" + "|-" * 900 + "|\n" + "|x\n" * 9_000,
    "commas": "@codex" + "," * SIZE,
    "words": "@codex " + "a " * (SIZE // 2),
    "areas": "@codex review " + "security," * (SIZE // 9),
    "punctuation": "@codex review" + "." * SIZE + "x",
    "commands": "@codex review\n" * (SIZE // 14),
    "unknown commands": "@codex revue secruity\n" * (SIZE // 22),
}
SECONDS = 4  # measured: at most 1 s on two busy cores


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_a_hostile_comment_costs_bounded_time(kind: str, separator: str) -> None:
    before = time.process_time()
    parse_commands(HOSTILE[kind] + separator + "@codex review", MENTIONS)
    assert time.process_time() - before < SECONDS
