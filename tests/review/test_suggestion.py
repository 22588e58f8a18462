"""Which suggestions may be posted as a block that changes a file, and why the others may not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from app.review.anchor import OTHER_RANGE, anchor
from app.review.diff import Diff, Side, parse_diff
from app.review.findings import NOT_CHECKED, Finding
from app.review.masking import MASK
from app.review.merge import merge
from app.review.priority import Priority
from app.review.receipt import conclude
from app.review.render import compose
from app.review.suggestion import (
    MAX_FILE,
    MAX_REPLACED,
    MAX_SUGGESTION,
    Edit,
    Errors,
    Refusal,
    paths_to_read,
    propose_edits,
    settle_suggestions,
)
from app.review.syntax import count_errors
from app.review.text import MAX_BODY
from tests.builders import make_candidate, make_finding, make_location, make_outcome
from tests.markdown import code

TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
PYTHON = """\
def total(items):
    result = 0
    for item in items[1:]:
        result += item.price
    return result
"""
LOOP = "    for item in items:\n"


def diff_that_adds(path: str, text: str) -> Diff:
    lines = text.split("\n")
    body = "".join(f"+{line}\n" for line in lines[:-1])
    if lines[-1]:
        body += f"+{lines[-1]}\n\\ No newline at end of file\n"
    n_lines = len(lines) - (not lines[-1])
    return parse_diff(
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{n_lines} @@\n{body}".encode()
    )


def check(
    findings: Sequence[Finding],
    diff: Diff,
    heads: Mapping[str, bytes],
    shown: Mapping[tuple[str, Side, int], str] | None = None,
) -> tuple[Finding, ...]:
    """Do as `app/suggesting.py` does, with the parsers in this process."""
    proposals = propose_edits(findings, diff, shown or {}, heads)
    errors = {
        number: Errors(
            head=count_errors(edit.language, edit.head),
            result=count_errors(edit.language, edit.result),
        )
        for number, edit in enumerate(proposals)
        if isinstance(edit, Edit) and edit.language
    }
    return settle_suggestions(findings, proposals, errors)


def judge(
    suggestion: str,
    line: int,
    *,
    start: int | None = None,
    path: str = "app.py",
    text: str = PYTHON,
    head: bytes | None = None,
    shown: Mapping[int, str] | None = None,
) -> str | Refusal:
    """Check one suggestion in a file that the diff adds; return its exact text or the refusal."""
    finding = make_finding(suggestion=suggestion, location=make_location(path, line, start=start))
    (checked,) = check(
        (finding,),
        diff_that_adds(path, text),
        {path: text.encode("utf-8", "surrogateescape") if head is None else head},
        {(path, Side.RIGHT, number): line for number, line in (shown or {}).items()},
    )
    if checked.suggestion_refused is not None:
        assert checked == replace(finding, suggestion_refused=checked.suggestion_refused)
        return Refusal(checked.suggestion_refused)
    assert checked == replace(finding, suggestion=checked.suggestion, suggestion_refused=None)
    return checked.suggestion or ""


@pytest.mark.parametrize("suggestion", [LOOP, LOOP.rstrip("\n"), LOOP.replace("\n", "\r\n")])
def test_a_suggestion_that_fits_is_the_exact_text_of_its_lines(suggestion: str) -> None:
    assert judge(suggestion, 3) == LOOP


def test_a_suggestion_may_replace_several_lines_by_more_or_fewer() -> None:
    more = "    for item in items:\n        check(item)\n        result += item.price\n"
    assert judge(more, 4, start=3) == more
    assert judge("    return sum(item.price for item in items)\n", 5, start=2) == (
        "    return sum(item.price for item in items)\n"
    )


def test_an_empty_suggestion_deletes_the_lines() -> None:
    assert judge("", 2) == ""
    assert judge("", 4) is Refusal.BREAKS


def test_a_blank_line_is_no_deletion() -> None:
    assert judge("\n", 2) == "\n"


def test_line_ends_of_windows_stay() -> None:
    text = PYTHON.replace("\n", "\r\n")
    shown = {3: "    for item in items[1:]:"}
    assert judge(LOOP, 3, text=text, shown=shown) == LOOP.replace("\n", "\r\n")


def test_a_last_line_without_newline_stays_without() -> None:
    assert judge("    return 1\n", 5, text=PYTHON.rstrip("\n")) == "    return 1"
    windows = PYTHON.replace("\n", "\r\n").rstrip("\r\n")
    assert judge("    a()\n    return 1\n", 5, text=windows) == "    a()\r\n    return 1"


def test_a_file_of_one_line_without_newline_can_be_changed() -> None:
    assert judge("b = 1\nc = 2\n", 1, text="a = 1") == "b = 1\nc = 2"


def test_line_ends_that_differ_are_refused() -> None:
    mixed = PYTHON.replace("0\n", "0\r\n")
    assert judge("    result = 1\n    for x in items:", 3, start=2, text=mixed) is Refusal.LINE_ENDS
    mixed = "a = 1\r\nb = 2\nc = 3"
    assert judge("c = 4", 3, text=mixed) is Refusal.LINE_ENDS


@pytest.mark.parametrize(
    ("text", "head"),
    [
        (PYTHON, PYTHON.replace("[1:]", "")),
        (PYTHON, "\n" + PYTHON),
        (PYTHON, PYTHON.replace("\n", "\r\n")),
        (PYTHON, "a = 1\n"),
        (PYTHON, ""),
    ],
)
def test_lines_that_are_others_at_the_head_are_refused(text: str, head: str) -> None:
    assert judge(LOOP, 3, text=text, head=head.encode()) is Refusal.OTHER_LINES


@pytest.mark.parametrize(("start", "line"), [(6, 6), (5, 6), (0, 1), (-3, -1), (4, 3), (1, 10**9)])
def test_lines_that_are_not_in_the_diff_are_refused(start: int, line: int) -> None:
    assert judge(LOOP, line, start=start) is Refusal.OTHER_LINES


def test_lines_of_two_hunks_are_refused() -> None:
    diff = parse_diff(
        b"diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n"
        b"@@ -1 +1 @@\n-x\n+a = 1\n@@ -2 +2 @@\n-y\n+b = 2\n"
    )
    finding = make_finding(suggestion="c = 3\n", location=make_location("a.py", 2, start=1))
    (checked,) = check((finding,), diff, {"a.py": b"a = 1\nb = 2\n"})
    assert checked.suggestion_refused == Refusal.OTHER_LINES


def test_a_file_that_is_not_there_or_too_large_is_refused() -> None:
    finding = make_finding(suggestion=LOOP, location=make_location("app.py", 3))
    diff = diff_that_adds("app.py", PYTHON)
    large = PYTHON.encode() + b"#" * (MAX_FILE - len(PYTHON) + 1)
    for heads in ({}, {"app.py": large}, {"other.py": PYTHON.encode()}):
        (checked,) = check((finding,), diff, heads)
        assert checked.suggestion_refused == Refusal.NO_FILE


@pytest.mark.parametrize(
    "head", [PYTHON.encode() + b"# \xff\n", PYTHON.encode("utf-16"), b"# coding: latin-1\n"]
)
def test_a_file_that_is_not_utf8_is_refused(head: bytes) -> None:
    assert judge(LOOP, 3, head=head) is Refusal.NOT_UTF8


def test_a_suggestion_that_declares_another_encoding_is_refused() -> None:
    assert judge("# coding: latin-1\na = 1\n", 1, text="a = 2\n") is Refusal.NOT_UTF8
    text = "import a\nimport b\n# coding: latin-1\n"
    assert judge("", 1, text=text) is Refusal.NOT_UTF8


def test_a_symlink_is_no_file_to_change() -> None:
    diff = parse_diff(
        b"diff --git a/l b/l\nnew file mode 120000\nindex 0000000..1111111\n"
        b"--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+target\n\\ No newline at end of file\n"
    )
    finding = make_finding(suggestion="other", location=make_location("l", 1))
    (checked,) = check((finding,), diff, {"l": b"target"})
    assert checked.suggestion_refused == Refusal.OTHER_LINES


@pytest.mark.parametrize(
    "finding",
    [
        make_finding(suggestion="x", summary_reason="elsewhere"),
        make_finding(suggestion="x", location=make_location("app.py", 3, side=Side.LEFT)),
    ],
)
def test_without_a_comment_on_the_new_side_there_is_no_suggestion(finding: Finding) -> None:
    diff = diff_that_adds("app.py", PYTHON)
    (checked,) = check((finding,), diff, {"app.py": PYTHON.encode()})
    assert checked == replace(finding, suggestion_refused=Refusal.NOT_INLINE.value)
    assert paths_to_read((finding,)) == ()


def test_a_finding_without_suggestion_or_with_a_refused_one_stays_as_it_is() -> None:
    findings = (
        make_finding(location=make_location("app.py", 3)),
        replace(
            make_finding(suggestion=LOOP, location=make_location("app.py", 3)),
            suggestion_refused="made for other lines",
        ),
    )
    diff = diff_that_adds("app.py", PYTHON)
    assert check(findings, diff, {"app.py": PYTHON.encode()}) == findings
    assert findings[0].suggestion_refused == NOT_CHECKED
    assert paths_to_read(findings) == ()


def test_each_file_is_read_once() -> None:
    findings = tuple(
        make_finding(suggestion=LOOP, location=make_location(path, 3)) for path in "baab"
    )
    assert paths_to_read(findings) == ("b", "a")


@pytest.mark.parametrize(
    "suggestion", ["    for item in items[1:]:", "    for item in items[1:]:\n"]
)
def test_what_changes_nothing_is_refused(suggestion: str) -> None:
    assert judge(suggestion, 3) is Refusal.NO_CHANGE


@pytest.mark.parametrize(
    "suggestion",
    [
        f"    result = '{MASK * 4}'",
        f"    result = '{TOKEN}'",
        "    result = '<U+200B>'",
        "    result = b'<0xFF>'",
        "    result = '\u202e'",
        "    result = '\x00'",
        "    result = 0\r",
        "    result = '\udcff'",
    ],
)
def test_a_suggestion_with_text_that_does_not_show_is_refused(suggestion: str) -> None:
    assert judge(suggestion, 2) is Refusal.HIDDEN


@pytest.mark.parametrize("line", [f"a = '{TOKEN}'", "a = '\u200b'", f"a = '{MASK}'"])
def test_lines_that_were_not_shown_as_they_are_are_not_replaced(line: str) -> None:
    assert judge("a = 2", 1, text=f"{line}\n") is Refusal.HIDDEN


def test_lines_that_a_prompt_showed_otherwise_are_not_replaced() -> None:
    assert judge(LOOP, 3, shown={3: "    for item in items[1:]:"}) == LOOP
    assert judge(LOOP, 3, shown={3: "    for item in … [9 more characters]"}) is Refusal.HIDDEN
    assert judge(LOOP, 3, shown={2: "other"}) == LOOP


def test_a_byte_order_mark_is_not_replaced() -> None:
    assert judge("a = 2", 1, text="\ufeffa = 1\n") is Refusal.HIDDEN
    assert judge("b = 2", 2, text="\ufeffa = 1\nb = 1\n") == "b = 2\n"


@pytest.mark.parametrize(
    "suggestion", ["<!-- codex-review run=1 head=2 -->", "/approve", "@dependabot merge"]
)
def test_what_other_programs_obey_is_refused(suggestion: str) -> None:
    assert judge(suggestion, 1, path="a.md", text="text\n") is Refusal.NOT_INERT


def test_a_decorator_is_no_command() -> None:
    suggestion = "@cache\ndef total(items):\n"
    assert judge(suggestion, 1) == suggestion


def test_what_is_too_long_or_replaces_too_much_is_refused() -> None:
    assert judge("#" * (MAX_SUGGESTION + 1), 1) is Refusal.TOO_LONG
    assert judge("a = 2", 1, text=f"a = {'1' * MAX_REPLACED}\n") is Refusal.TOO_LONG


@pytest.mark.parametrize(
    ("old", "suggestion", "fits"),
    [
        ("    a()", "    b()", True),
        ("    a()", "b()", False),
        ("    a()", "        b()", False),
        ("\ta()", "\tb()", True),
        ("\ta()", "    b()", False),
        ("    a()", "\tb()", False),
        ("    a()", "    b(\n\t)", False),
        ("    a()", "    b(\n  \t)", False),
        ("\ta()", "\tb(\n\t  c)", True),
        ("\ta()", "\tb(\n    c)", False),
        ("\t/* a */", "\t/* a\n\t * b */", True),
        ("/* a */", "/* a\n * b */", True),
        ("a()", "b(\n\tc)", True),
        ("a()", "b(\n    c)", False),
        ("\n    a()", "    b()", True),
        ("\n", "    b()", False),
        ("\n", "b()", True),
    ],
)
def test_indentation_stays_as_it_is(old: str, suggestion: str, fits: bool) -> None:
    text = f"{{\n{old}\n}}\n\tz()\n"
    last = 1 + len(old.split("\n"))
    result = judge(suggestion, last, start=2, path="a.kt", text=text)
    assert result == (f"{suggestion}\n" if fits else Refusal.INDENTATION)


def test_a_file_with_both_signs_takes_both() -> None:
    text = "a()\n\tb()\n    c()\n"
    assert judge("d(\n\te)", 1, path="a.kt", text=text) == "d(\n\te)\n"


@pytest.mark.parametrize(
    ("suggestion", "line"),
    [
        ("    result = 0\n    for item in items:", 3),
        ("    for item in items:\n        result += item.price\n", 3),
        ("    return result\n", 4),
    ],
)
def test_a_line_beside_the_replaced_ones_is_not_repeated(suggestion: str, line: int) -> None:
    expected = Refusal.INDENTATION if line == 4 else Refusal.REPEATS
    assert judge(suggestion, line) is expected


def test_lines_that_were_alike_before_may_stay_so() -> None:
    text = "a()\na()\nb()\n"
    assert judge("a()\nc()\n", 2, text=text) == "a()\nc()\n"


def test_brackets_alone_may_be_repeated() -> None:
    text = "a {\n  b {\n  }\n  c()\n  }\n}\n"
    assert judge("  d {\n  }\n", 4, path="a.kt", text=text) == "  d {\n  }\n"


@pytest.mark.parametrize(
    ("path", "text", "fits", "breaks"),
    [
        ("a.py", "def f():\n    return 1\n", "    return 2", "    return (2"),
        ("a.pyi", "a: int\n", "a: str", "a: str:"),
        ("a.json", '{"a": 1,\n"b": 2}\n', '{"a": 2,', '{"a": 2'),
        ("a.toml", "[a]\nb = 1\n", "b = '1'", "b = x"),
        ("a.yaml", "a:\n  b: 1\n", "  b: [1]", "  b: [1"),
        ("a.go", "package a\nvar b = 1\n", "var b = 2", "var b = = 2"),
        ("a.ts", "type A = 1\nlet b: A = 1\n", "let b: A = 2", "let b: = 2"),
        ("A.java", "class A {\nint b = 1;\n}\n", "int b = 2;", "int b = 2; }"),
        ("a.rs", "fn a() {\nb();\n}\n", "c();", "c(;"),
        ("a.rb", "def a\nb\nend\n", "c", "if c"),
        ("a.kt", "fun a() {\nb()\n}\n", "c()", "c() {"),
    ],
)
def test_a_file_that_parses_goes_on_parsing(path: str, text: str, fits: str, breaks: str) -> None:
    line = 1 if path in ("a.pyi", "a.json") else 2
    assert judge(fits, line, path=path, text=text) == f"{fits}\n"
    expected = Refusal.UNBALANCED if path == "a.kt" else Refusal.BREAKS
    assert judge(breaks, line, path=path, text=text) is expected


def test_brackets_do_not_count_where_the_file_parses() -> None:
    text = 'a = """\nb\n"""\n'
    assert judge("(", 2, text=text) == "(\n"


def test_a_file_that_does_not_parse_is_judged_by_its_brackets() -> None:
    old_python = "print 'a'\nx = f(1)\n"
    assert judge("x = f(2)", 2, text=old_python) == "x = f(2)\n"
    assert judge("x = f(2", 2, text=old_python) is Refusal.UNBALANCED
    old_python = "print 'a'\nif a:\n    b\n"
    assert judge("", 2, text=old_python) is Refusal.UNBALANCED


def test_a_new_error_beside_an_old_one_is_refused() -> None:
    text = "MACRO(a) {{\nint f() { return 1; }\n"
    assert judge("int f() { return 2; }", 2, path="a.c", text=text) == "int f() { return 2; }\n"
    assert judge("int f() { return * * ; }", 2, path="a.c", text=text) is Refusal.BREAKS


def test_brackets_in_text_for_people_need_no_partner() -> None:
    assert judge("a) one :)", 1, path="a.md", text="1. one\n") == "a) one :)\n"


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        (Errors(), None),
        (Errors(head=0, result=0), None),
        (Errors(head=0, result=1), Refusal.BREAKS),
        (Errors(head=0), Refusal.BREAKS),
        (Errors(head=2, result=1), None),
        (Errors(head=2, result=3), Refusal.BREAKS),
    ],
)
def test_what_the_parser_says_decides(errors: Errors, verdict: Refusal | None) -> None:
    finding = make_finding(suggestion=LOOP, location=make_location("app.py", 3))
    diff = diff_that_adds("app.py", PYTHON)
    proposals = propose_edits((finding,), diff, {}, {"app.py": PYTHON.encode()})
    (settled,) = settle_suggestions((finding,), proposals, {0: errors})
    assert settled.suggestion_refused == verdict


def posted(finding: Finding) -> str:
    receipt = conclude(make_outcome(findings=(finding,)))
    (comment,) = compose(receipt, (finding,)).comments
    return comment.body


def test_an_accepted_suggestion_is_posted_as_it_is() -> None:
    text = "    s = '''\r\n````\r\n<b>@acme</b> \\ & http://a\r\n'''\r\n"
    body = posted(make_finding(suggestion=text, suggestion_refused=None))
    assert f"\n\n`````suggestion\n{text}`````\n\n" in body


def test_the_longest_suggestion_leaves_room_for_everything_else() -> None:
    finding = make_finding(
        title="&" * 5_000,
        body="&" * 50_000,
        trigger="_" * 50_000,
        evidence="`" * 50_000,
        suggestion="`" * MAX_SUGGESTION,
        suggestion_refused=None,
    )
    body = posted(finding)
    assert len(body) <= MAX_BODY
    assert code(body)[-1] == f"{finding.suggestion}\n"


def test_a_refused_suggestion_is_proposed_in_words() -> None:
    body = posted(make_finding(suggestion="/approve\nx = '```'\n"))
    assert "\n\nProposed:\n\n````\n/\u200bapprove\nx = '```'\n````\n\n" in body
    assert "suggestion" not in body


@pytest.mark.parametrize("suggestion", [None, "", f"a = '{TOKEN}'", f"a = '{MASK}'", "a\u202eb"])
def test_what_is_hidden_or_says_nothing_is_not_proposed(suggestion: str | None) -> None:
    assert posted(make_finding(suggestion=suggestion)) == posted(make_finding())


def test_what_changes_nothing_is_not_proposed() -> None:
    finding = make_finding(suggestion="a = 1", suggestion_refused=Refusal.NO_CHANGE.value)
    assert posted(finding) == posted(make_finding())


def test_the_receipt_records_why_a_suggestion_is_none() -> None:
    findings = (
        make_finding(suggestion="a", suggestion_refused=None),
        make_finding(suggestion="a", suggestion_refused=Refusal.BREAKS.value),
        make_finding(),
    )
    told = conclude(make_outcome(findings=findings)).findings
    assert [(f.suggestion, f.suggestion_refused) for f in told] == [
        ("a", None),
        ("a", "the file would no longer parse"),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("start", "line", "stands_on", "refused"),
    [
        (3, 3, (3, 3), NOT_CHECKED),
        (2, 4, (2, 4), NOT_CHECKED),
        (5, 5, (3, 3), NOT_CHECKED),
        (4, 5, (3, 3), OTHER_RANGE),
        (3, 9, (3, 5), OTHER_RANGE),
    ],
)
def test_a_suggestion_for_more_or_fewer_lines_than_its_comment_has_is_refused(
    start: int, line: int, stands_on: tuple[int, int], refused: str
) -> None:
    candidate = make_candidate(
        suggestion=LOOP,
        evidence="for item in items[1:]:",
        location=make_location("app.py", line, start=start),
    )
    (finding,) = anchor((candidate,), diff_that_adds("app.py", PYTHON), {}).kept
    assert (finding.location.start_line, finding.location.line) == stands_on
    assert finding.suggestion_refused == refused


def test_a_suggestion_taken_over_from_the_same_place_keeps_its_reason() -> None:
    one = make_finding(priority=Priority.P0, sources=("model",))
    other = make_finding(suggestion="x", suggestion_refused=OTHER_RANGE, sources=("ruff",))
    elsewhere = replace(other, location=make_location(line=9))
    assert [(f.suggestion, f.suggestion_refused) for f in merge((one, other)).kept] == [
        ("x", OTHER_RANGE)
    ]
    assert [f.suggestion for f in merge((one, elsewhere)).kept] == [None]
