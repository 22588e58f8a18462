"""Text that others wrote shows its words when we post it, and does nothing else."""

import time
from collections.abc import Callable

import pytest

from app.review.masking import MASK
from app.review.text import code_span, cut, fenced, plain_line, safe_line, safe_prose

Z = "\u200b"
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("plain words, no more.", "plain words, no more."),
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("<!-- codex-review run=1 head=2 -->", "&lt;!-- codex-review run=1 head=2 --&gt;"),
        ("&#64;acme/team", f"&amp;#{Z}64;acme/team"),
        ("ping @acme/team and @casey", f"ping @{Z}acme/team and @{Z}casey"),
        ("mail me@example.com", f"mail me@{Z}example.com"),
        ("Fixes #1, acme/shop#2 and gh-3", f"Fixes #{Z}1, acme/shop#{Z}2 and gh-{Z}3"),
        ("C# is fine", "C# is fine"),
        ("**bold** _it_ ~~no~~", r"\*\*bold\*\* \_it\_ \~\~no\~\~"),
        ("[text](https://evil.example/a)", r"\[text\](`https://evil.example/a`)"),
        ("see https://a.example/b.", "see `https://a.example/b`."),
        ("www.evil.example", "`www.evil.example`"),
        ("mailto:me@example.com", "`mailto:me@example.com`"),
        ("<https://evil.example>", "&lt;`https://evil.example`&gt;"),
        ("![x](https://camo.example/1)", "(image left out)"),
        ("![x][ref]", "(image left out)"),
        ("| a | b |", r"\| a \| b \|"),
        ("zero\u200bwidth", "zero&lt;U+200B&gt;width"),
        ("\u202etxt.exe", "&lt;U+202E&gt;txt.exe"),
        (r"${\color{white}hidden}$", rf"${{\\{Z}color{{white}}hidden}}$"),
    ],
)
def test_prose_shows_its_words_and_does_nothing(raw: str, safe: str) -> None:
    assert safe_prose(raw) == safe
    assert safe_line(raw) == safe


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("# heading", r"\# heading"),
        ("> quote", "&gt; quote"),
        ("title\n===", "title\n\\==="),
        ("title\n---", "title\n\\---"),
        ("title\n- ", "title\n\\-"),
        ("title\n:-", "title\n\\:-"),
        ("/approve", r"\/approve"),
        ("  /approve", r"\/approve"),
        ("!build", r"\!build"),
        ("- /approve", r"- \/approve"),
        ("- # heading", r"- \# heading"),
        ("1. 2. # heading", r"1. 2\. # heading"),
        ("12345. # heading", r"12345\. # heading"),
        ("@dependabot merge", f"@{Z}dependabot merge"),
        ("1. one\n2) two\n  - three", "1. one\n2) two\n  - three"),
        ("    indented", "indented"),
    ],
)
def test_a_line_opens_no_block_but_a_list_and_commands_nobody(raw: str, safe: str) -> None:
    assert safe_prose(raw) == safe


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("call `f(@x, #1, <b>)` now", "call `f(@x, #1, <b>)` now"),
        ("a ``b`c`` d", "a ``b`c`` d"),
        ("a `b", r"a \`b"),
        ("a `b`` c", r"a \`b\`\` c"),
        (r"\`a`", r"\\`a`"),
        ("`<!-- x -->`", f"`<!{Z}-- x -->`"),
        ("https://a.example/`b`", f"`https://a.example/`{Z}`b`"),
        ("https://a.example/``b`@c``", f"`https://a.example/`{Z}``b`@c``"),
        ("` `", ""),
    ],
)
def test_code_in_a_line_stays_code(raw: str, safe: str) -> None:
    assert safe_prose(raw) == safe


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("so:\n```py\n<b> @x #1\n```\nend", "so:\n```\n<b> @x #1\n```\nend"),
        ("```suggestion\nx\n```", "```\nx\n```"),
        ("~~~\na\n```\nb\n~~~", "````\na\n```\nb\n````"),
        ("````\na\n```\nb\n````", "````\na\n```\nb\n````"),
        ("1. so\n   ```\n   a\n     b\n   ```", "1. so\n```\na\n  b\n```"),
        ("```\nnever closed", "```\nnever closed\n```"),
        ("```\n```", ""),
        ("```\n/approve\nok\n```", "```\n/\u200bapprove\nok\n```"),
        ("```\n  # @mergifyio merge\n```", "```\n  # @\u200bmergifyio merge\n```"),
        ("```\n@property\ndef a(x):\n```", "```\n@property\ndef a(x):\n```"),
        ("```\n@codex review\n```", "```\n@\u200bcodex review\n```"),
        ("```\n// note\n```", "```\n// note\n```"),
    ],
)
def test_a_code_block_stays_one_whatever_is_in_it(raw: str, safe: str) -> None:
    assert safe_prose(raw) == safe


def test_a_line_is_one_line_without_a_list() -> None:
    assert safe_line(" - a\n\n- b\t c ") == r"\- a - b c"


@pytest.mark.parametrize(
    ("raw", "span"),
    [
        ("a", "`a`"),
        ("a`b", "``a`b``"),
        ("``a", "``` ``a ```"),
        ("a\nb", "`a b`"),
        ("a|b", "`a|b`"),
        (" ", ""),
    ],
)
def test_a_span_holds_any_text(raw: str, span: str) -> None:
    assert code_span(raw) == span


@pytest.mark.parametrize("render", [safe_prose, safe_line, code_span, fenced, plain_line])
def test_secrets_are_hidden_even_where_the_text_is_cut(
    render: Callable[[str, int], str],
) -> None:
    for limit in range(20, 80):
        shown = render(f"token {TOKEN} leaked", limit)
        assert TOKEN[4:10] not in shown
    assert MASK in shown


@pytest.mark.parametrize("render", [safe_prose, safe_line, code_span, fenced, plain_line])
@pytest.mark.parametrize("unit", ["word ", "&", "`", "[", "<", "\U000e0041", "@a", "```\n", "\\"])
def test_text_is_cut_to_its_limit_however_it_grows(
    render: Callable[[str, int], str], unit: str
) -> None:
    for limit in (40, 1_000):
        assert len(render(unit * 3_000, limit)) <= limit


def test_a_cut_says_so_and_uses_the_room_it_has() -> None:
    shown = safe_prose("word & " * 1_000, 1_000)
    assert shown.endswith("… (cut)")
    assert len(shown) > 950
    assert fenced("x" * 100, 40).endswith("x… (cut)\n```")


def test_a_cut_note_itself_fits() -> None:
    assert cut("abcdefghij", 9) == "ab… (cut)"
    assert cut("abcdefghij", 3) == "… ("
    assert cut("abcdefghij", 0) == ""
    assert cut("abc", 3) == "abc"


HOSTILE = [
    "`", "``x`", "`a", "[", "![", "![](", "<", "<!--", "~", "~~~x`", "@", "#", "a.", "www.", "http",
    "a://", "- ", "1.", "\\", "\n", "```\n", "~~~\n", "&", "|", "*", "_", "$", " ", "\t", "\u200b",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("render", [safe_prose, safe_line, code_span, fenced])
def test_time_is_linear_in_hostile_text(render: Callable[[str, int], str], unit: str) -> None:
    text = (unit * 60_000)[:60_000] + "`"
    started = time.perf_counter()
    render(text, 1_000_000)
    assert time.perf_counter() - started < 2
