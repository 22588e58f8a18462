"""Where a finding comes to stand: on its lines, moved to its quote, in the summary, or nowhere."""

import time
from dataclasses import replace

import pytest

from app.review.anchor import (
    AMBIGUOUS,
    NOT_SHOWN,
    OUTSIDE,
    Range,
    anchor,
    commentable,
    is_commentable,
)
from app.review.chunks import shown_name
from app.review.diff import Diff, Side, parse_diff
from app.review.findings import (
    Candidate,
    Dropped,
    Finding,
    Gate,
    Location,
    fingerprint,
)
from app.review.focus import Area
from app.review.masking import mask, visible
from app.review.priority import Priority

RIGHT, LEFT = Side.RIGHT, Side.LEFT


def edit(*hunks: str, name: str = "app.py") -> str:
    head = f"diff --git a/{name} b/{name}\nindex 1111111..2222222 100644\n"
    return f"{head}--- a/{name}\n+++ b/{name}\n{''.join(hunks)}"


FIRST = (
    "@@ -10,6 +10,7 @@ def load():\n"
    " def load():\n"  # 10 | 10
    "-    data = read(old)\n"  # 11
    "-    return data.strip()\n"  # 12
    "+    data = read(path)\n"  # 11
    "+    if not data:\n"  # 12
    "+        return None\n"  # 13
    " \n"  # 13 | 14
    "     log(data)\n"  # 14 | 15
    "-    close(old)\n"  # 15
    "+    close(path)\n"  # 16
)
SECOND = (
    "@@ -40,3 +41,4 @@ def save():\n"
    "     value = 1\n"  # 40 | 41
    "+    return None\n"  # 42
    "     end(value)\n"  # 41 | 43
    " # done\n"  # 42 | 44
)
DIFF = parse_diff(edit(FIRST, SECOND).encode())


def claim(
    evidence: str,
    line: int = 1,
    *,
    start: int | None = None,
    side: Side = RIGHT,
    path: str = "app.py",
) -> Candidate:
    return Candidate(
        area=Area.CORRECTNESS,
        priority=Priority.P1,
        confidence=0.9,
        title="Title",
        body="Body",
        trigger="Trigger",
        evidence=evidence,
        location=Location(
            path=path, side=side, start_line=line if start is None else start, line=line
        ),
        source="model",
        rule="R1",
        suggestion="better",
    )


def place(
    candidate: Candidate,
    diff: Diff = DIFF,
    shown: dict[tuple[str, Side, int], str] | None = None,
    head_text: dict[str, str] | None = None,
) -> tuple[str, int, int] | tuple[str, int, int, str] | str:
    """Anchor one candidate: its side and lines (and why it is in the summary), or why it fell."""
    gate = anchor([candidate], diff, shown or {}, head_text)
    if gate.dropped:
        return gate.dropped[0].reason
    (finding,) = gate.kept
    where = finding.location
    found = (where.side.value, where.start_line, where.line)
    return found if finding.summary_reason is None else (*found, finding.summary_reason)


# ---- which lines can carry a comment -------------------------------------------------------------


def test_new_lines_of_each_hunk_and_runs_of_deleted_lines_are_commentable() -> None:
    (file,) = DIFF.files
    assert commentable(file, RIGHT) == (Range(10, 16), Range(41, 44))
    assert commentable(file, LEFT) == (Range(11, 12), Range(15, 15))


def test_runs_of_deleted_lines_do_not_leave_their_hunk() -> None:
    diff = parse_diff(edit("@@ -1 +0,0 @@\n-a\n", "@@ -2,2 +1 @@\n-b\n+c\n-d\n").encode())
    assert commentable(diff.files[0], LEFT) == (Range(1, 1), Range(2, 3))
    assert commentable(diff.files[0], RIGHT) == (Range(1, 1),)


@pytest.mark.parametrize(
    ("side", "start", "line", "legal"),
    [
        (RIGHT, 10, 10, True),
        (RIGHT, 10, 16, True),
        (RIGHT, 44, 44, True),
        (RIGHT, 9, 10, False),
        (RIGHT, 16, 17, False),
        (RIGHT, 16, 41, False),
        (RIGHT, 12, 11, False),
        (RIGHT, 17, 17, False),
        (RIGHT, 0, 0, False),
        (LEFT, 11, 12, True),
        (LEFT, 15, 15, True),
        (LEFT, 11, 15, False),
        (LEFT, 10, 11, False),
        (LEFT, 13, 13, False),
        (LEFT, 40, 40, False),
    ],
)
def test_a_comment_stays_on_the_commentable_lines_of_one_hunk(
    side: Side, start: int, line: int, legal: bool
) -> None:
    assert is_commentable(DIFF.files[0], side, start, line) is legal


# ---- anchored ------------------------------------------------------------------------------------


def test_a_proven_finding_keeps_all_that_was_claimed() -> None:
    candidate = claim("    if not data:\n        return None", 13, start=12)
    assert anchor([candidate], DIFF, {}) == Gate(
        kept=(
            Finding(
                area=Area.CORRECTNESS,
                priority=Priority.P1,
                confidence=0.9,
                title="Title",
                body="Body",
                trigger="Trigger",
                evidence=candidate.evidence,
                location=Location(path="app.py", side=RIGHT, start_line=12, line=13),
                fingerprint=fingerprint("app.py", Area.CORRECTNESS, candidate.evidence),
                sources=("model",),
                rule="R1",
                suggestion="better",
                summary_reason=None,
            ),
        )
    )


def test_a_dropped_candidate_leaves_a_record() -> None:
    gate = anchor([claim("never_there()", 12)], DIFF, {})
    assert gate == Gate(
        kept=(),
        dropped=(
            Dropped(
                gate="anchored",
                reason="unproven",
                title="Title",
                path="app.py",
                line=12,
                source="model",
            ),
        ),
    )


def test_findings_keep_their_order() -> None:
    other = parse_diff((edit(FIRST) + edit(FIRST, name="b.py")).encode())
    claims = [
        claim("log(data)", 15, path="b.py"),
        claim("log(data)", 15),
        claim("nothing here", 15),
        claim("close(path)", 16, path="b.py"),
        claim("log(data)", 15, path="nowhere.py"),
    ]
    gate = anchor(claims, other, {})
    assert [(f.location.path, f.location.line) for f in gate.kept] == [
        ("b.py", 15),
        ("app.py", 15),
        ("b.py", 16),
    ]
    assert [(d.path, d.reason) for d in gate.dropped] == [
        ("app.py", "unproven"),
        ("nowhere.py", "unknown_path"),
    ]


@pytest.mark.parametrize(
    "quote",
    [
        "    data = read(path)",
        "data = read(path)",
        "data=read( path )",
        "\tdata  =\tread(path)\r\n",
        "\n\n  data = read(path)\n\n",
        "read(path)",
        "+    data = read(path)",
        "def load():\n    data = read(path)",
        "data = read(path) if not data:",
    ],
)
def test_white_space_and_diff_markers_do_not_count(quote: str) -> None:
    assert place(claim(quote, 11)) == ("RIGHT", 11, 11)


def test_an_empty_line_in_a_quote_does_not_count() -> None:
    assert place(claim("return None\nlog(data)", 13)) == ("RIGHT", 13, 13)
    assert place(claim("return None\n\n\nlog(data)", 13)) == ("RIGHT", 13, 13)


def test_all_lines_of_a_quote_may_have_a_marker() -> None:
    assert place(claim("+    if not data:\n\n+        return None", 12)) == ("RIGHT", 12, 12)
    assert place(claim("-    close(old)", 15, side=LEFT)) == ("LEFT", 15, 15)
    assert place(claim("+    if not data:\n        return None", 12)) == "unproven"


def test_the_lines_named_stay_when_the_quote_is_among_them() -> None:
    assert place(claim("if not data:", 13, start=11)) == ("RIGHT", 11, 13)


def test_a_range_is_cut_to_its_hunk() -> None:
    assert place(claim("end(value)", 10**30, start=-(10**30))) == ("RIGHT", 41, 44)
    assert place(claim("log(data)", 30, start=14)) == ("RIGHT", 14, 16)
    assert place(claim("log(data)", 15, start=2)) == ("RIGHT", 10, 15)


def test_a_range_on_the_left_is_cut_to_its_run_of_deleted_lines() -> None:
    assert place(claim("return data.strip()", 15, start=10, side=LEFT)) == ("LEFT", 11, 12)


def test_a_range_may_be_given_backwards() -> None:
    assert place(claim("if not data:", 11, start=13)) == ("RIGHT", 11, 13)


def test_of_several_quotes_among_the_lines_named_the_last_decides() -> None:
    assert place(claim("return None", 43, start=1)) == ("RIGHT", 41, 43)


def test_a_quote_over_deleted_and_context_lines_stands_on_the_deleted_ones() -> None:
    quote = "data = read(old)\n return data.strip()\n \n log(data)"
    assert place(claim(quote, 11, side=LEFT)) == ("LEFT", 11, 11)
    assert place(claim(quote, 14, side=LEFT)) == ("LEFT", 11, 12)
    both = "return data.strip()\n log(data)\n close(old)"
    assert place(claim(both, 15, side=LEFT)) == ("LEFT", 15, 15)
    assert place(claim(both, 12, side=LEFT)) == ("LEFT", 12, 12)


# ---- moved ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "side", "line", "found"),
    [
        ("log(data)", RIGHT, 12, ("RIGHT", 15, 15)),
        ("log(data)", RIGHT, 0, ("RIGHT", 15, 15)),
        ("log(data)", RIGHT, -(10**40), ("RIGHT", 15, 15)),
        ("log(data)", RIGHT, 10**40, ("RIGHT", 15, 15)),
        ("if not data:\n return None", RIGHT, 44, ("RIGHT", 12, 13)),
        ("return None", RIGHT, 14, ("RIGHT", 13, 13)),
        ("return None", RIGHT, 29, ("RIGHT", 42, 42)),
        ("return None", RIGHT, 27, ("RIGHT", 13, 13)),
        ("return None", RIGHT, 500, ("RIGHT", 42, 42)),
        ("close(old)", RIGHT, 16, ("LEFT", 15, 15)),
        ("close(path)", LEFT, 15, ("RIGHT", 16, 16)),
        ("data = read(old)\nreturn data.strip()", RIGHT, 11, ("LEFT", 11, 12)),
        ("log(data)", LEFT, 14, ("RIGHT", 15, 15)),
    ],
)
def test_a_quote_that_stands_elsewhere_moves_the_finding(
    quote: str, side: Side, line: int, found: tuple[str, int, int]
) -> None:
    assert place(claim(quote, line, side=side)) == found


def test_a_whole_line_is_preferred_to_a_part_of_one() -> None:
    diff = parse_diff(edit("@@ -0,0 +1,4 @@\n+x = load(y)\n+a\n+b\n+load(y)\n").encode())
    assert place(claim("load(y)", 2), diff) == ("RIGHT", 4, 4)
    assert place(claim("load(y)", 1), diff) == ("RIGHT", 1, 1)
    assert place(claim("x = load", 3), diff) == ("RIGHT", 1, 1)


def test_the_side_named_wins_at_equal_distance() -> None:
    diff = parse_diff(edit("@@ -1,2 +1,2 @@\n-call(x)\n-a\n+  call(x)\n+b\n").encode())
    assert place(claim("call(x)", 2), diff) == ("RIGHT", 1, 1)
    assert place(claim("call(x)", 2, side=LEFT), diff) == ("LEFT", 1, 1)


def test_the_other_side_wins_where_it_is_nearer() -> None:
    diff = parse_diff(edit("@@ -1,2 +1,4 @@\n-call(x)\n-a\n+b\n+b\n+b\n+call(x)\n").encode())
    assert place(claim("call(x)", 1), diff) == ("LEFT", 1, 1)
    assert place(claim("call(x)", 3), diff) == ("RIGHT", 4, 4)


# ---- the summary ---------------------------------------------------------------------------------


def test_a_quote_equally_near_twice_goes_to_the_summary() -> None:
    diff = parse_diff(edit("@@ -0,0 +1,5 @@\n+call(x)\n+a\n+b\n+c\n+call(x)\n").encode())
    assert place(claim("call(x)", 3), diff) == ("RIGHT", 1, 1, AMBIGUOUS)
    assert place(claim("call(x)", 2), diff) == ("RIGHT", 1, 1)
    assert place(claim("call(x)", 4), diff) == ("RIGHT", 5, 5)


def test_two_lines_of_the_other_side_among_those_named_are_ambiguous() -> None:
    diff = parse_diff(edit("@@ -1,2 +1 @@\n-call(x)\n-call(x)\n+b\n").encode())
    assert place(claim("call(x)", 2, start=1), diff) == ("LEFT", 2, 2, AMBIGUOUS)
    assert place(claim("call(x)", 2), diff) == ("LEFT", 2, 2)


def test_a_quote_twice_on_one_line_is_not_ambiguous() -> None:
    diff = parse_diff(edit("@@ -0,0 +1,2 @@\n+call(x) + call(x)\n+b\n").encode())
    assert place(claim("call(x)", 2), diff) == ("RIGHT", 1, 1)


HEAD = "import os\n\nLIMIT = 5\nother = LIMIT\n"


def test_a_quote_from_outside_the_hunks_goes_to_the_summary() -> None:
    heads = {"app.py": HEAD}
    assert place(claim("LIMIT = 5", 11), head_text=heads) == ("RIGHT", 3, 3, OUTSIDE)
    assert place(claim("LIMIT", 11), head_text=heads) == ("RIGHT", 3, 3, OUTSIDE)
    quote = "import os\nLIMIT = 5"
    assert place(claim(quote, 11), head_text=heads) == ("RIGHT", 1, 3, OUTSIDE)
    assert place(claim("LIMIT = 6", 11), head_text=heads) == "unproven"
    assert place(claim("LIMIT = 5", 11)) == "unproven"
    assert place(claim("LIMIT = 5", 11), head_text={"b.py": HEAD}) == "unproven"


def test_outside_the_hunks_a_whole_line_is_preferred_too() -> None:
    heads = {"app.py": "x = LIMIT()\nLIMIT()\n"}
    assert place(claim("LIMIT()", 11), head_text=heads) == ("RIGHT", 2, 2, OUTSIDE)


def test_a_quote_that_leaves_its_hunk_stands_on_what_is_inside() -> None:
    heads = {"app.py": "\n" * 8 + "# loads\ndef load():\n"}
    assert place(claim("# loads\ndef load():", 9), head_text=heads) == ("RIGHT", 10, 10)


def test_a_shown_line_outside_the_hunks_is_known_without_the_head() -> None:
    shown = {("app.py", RIGHT, 5): "class Loader:"}
    assert place(claim("class Loader:", 11), shown=shown) == ("RIGHT", 5, 5, OUTSIDE)


# ---- as it was shown -----------------------------------------------------------------------------


def test_a_quote_is_compared_with_what_the_model_was_shown() -> None:
    shown = {("app.py", RIGHT, 11): "    data = read(<masked:1>)"}
    assert place(claim("read(<masked:1>)", 11), shown=shown) == ("RIGHT", 11, 11)
    assert place(claim("read(<masked:1>)\nif not data:", 30), shown=shown) == ("RIGHT", 11, 12)
    assert place(claim("read(<masked:1>)", 11)) == "unproven"


def test_an_analyser_quotes_the_line_itself_even_where_it_was_masked() -> None:
    shown = {("app.py", RIGHT, 11): "    data = read(<masked:1>)"}
    assert place(claim("    data = read(path)", 11), shown=shown) == ("RIGHT", 11, 11)


def test_a_masked_line_may_be_quoted_as_everything_that_we_show_is_masked() -> None:
    key = "AKIA" + "ABCDEFGHIJ234567"
    line = f'key = "{key}"'
    diff = parse_diff(edit(f"@@ -0,0 +1 @@\n+{line}\n").encode())
    masked = visible(mask(line))
    assert key not in masked
    assert place(claim(masked, 1), diff) == ("RIGHT", 1, 1)
    assert place(claim(line, 1), diff) == ("RIGHT", 1, 1)


@pytest.mark.parametrize(
    ("line", "summary_reason"), [(15, NOT_SHOWN), (300, NOT_SHOWN), (3, OUTSIDE)]
)
def test_a_file_that_github_shows_no_diff_of_has_its_findings_in_the_summary(
    line: int, summary_reason: str
) -> None:
    hidden = Diff(files=tuple(replace(file, takes_comments=False) for file in DIFF.files))
    assert commentable(hidden.files[0], RIGHT) == ()
    quote = "LIMIT = 5" if summary_reason == OUTSIDE else "log(data)"
    number = 3 if summary_reason == OUTSIDE else 15
    found = place(claim(quote, line), hidden, head_text={"app.py": HEAD})
    assert found == ("RIGHT", number, number, summary_reason)


def test_what_was_shown_of_another_file_proves_nothing() -> None:
    shown = {("b.py", RIGHT, 11): "masked", ("app.py", LEFT, 11): "shown left"}
    assert place(claim("masked", 11), shown=shown) == "unproven"
    assert place(claim("shown left", 11), shown=shown) == ("LEFT", 11, 11)


# ---- unproven ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quote",
    [
        "",
        " \n\t",
        "}",
        "):",
        "---",
        "read(pat",
        "ead(path)",
        "atas",
        "re",
        "def load():\n    if not data:",
        "log(data)\nvalue = 1",
        "close(path) value = 1",
        "\ud800",
        "data = read(path)\x00",
    ],
)
def test_a_quote_that_stands_nowhere_is_unproven(quote: str) -> None:
    assert place(claim(quote, 11)) == "unproven"


@pytest.mark.parametrize("quote", ["}", "}\n)", "---", "+}", "_"])
def test_signs_alone_prove_nothing(quote: str) -> None:
    diff = parse_diff(edit("@@ -0,0 +1,4 @@\n+}\n+)\n+---\n+_\n").encode())
    assert place(claim(quote, 1), diff) == "unproven"


def test_a_part_of_a_line_proves_only_with_enough_signs() -> None:
    diff = parse_diff(edit("@@ -0,0 +1,3 @@\n+a = abc\n+b = abcd\n+x\n").encode())
    assert place(claim("abc", 1), diff) == "unproven"
    assert place(claim("abcd", 2), diff) == ("RIGHT", 2, 2)
    assert place(claim("b = ab", 2), diff) == "unproven"
    assert place(claim("a = a", 1), diff) == "unproven"
    assert place(claim("b = ", 2), diff) == "unproven"
    assert place(claim("x", 3), diff) == ("RIGHT", 3, 3)


# ---- paths ---------------------------------------------------------------------------------------

RENAME = (
    "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\nrename to new.py\n"
    "index 1111111..2222222 100644\n--- a/old.py\n+++ b/new.py\n@@ -1 +1 @@\n-first()\n+second()\n"
)
COPY = RENAME.replace("rename", "copy")


@pytest.mark.parametrize("path", ["new.py", "./new.py", "a/new.py", "b/new.py", "./b/new.py"])
def test_a_path_may_have_the_prefixes_of_a_diff(path: str) -> None:
    gate = anchor([claim("second()", 1, path=path)], parse_diff(RENAME.encode()), {})
    assert [finding.location.path for finding in gate.kept] == ["new.py"]


def test_the_old_name_of_a_renamed_file_is_its_new_one() -> None:
    diff = parse_diff(RENAME.encode())
    for path in ("old.py", "a/old.py"):
        gate = anchor([claim("first()", 1, side=LEFT, path=path)], diff, {})
        assert [finding.location.path for finding in gate.kept] == ["new.py"]


def test_the_source_of_a_copy_is_not_the_copy() -> None:
    diff = parse_diff(COPY.encode())
    assert place(claim("second()", 1, path="old.py"), diff) == "unknown_path"


def test_a_name_taken_again_after_a_rename_means_the_new_file() -> None:
    diff = parse_diff((RENAME + edit("@@ -1 +1 @@\n-a\n+third()\n", name="old.py")).encode())
    gate = anchor([claim("third()", 1, path="old.py")], diff, {})
    assert [finding.location.path for finding in gate.kept] == ["old.py"]


ONE_LINE = "@@ -1 +1 @@\n-first()\n+second()\n"


@pytest.mark.parametrize(
    "path",
    [
        "/src/app.py",
        "/repo/src/app.py",
        "app.py",
        "src/app.py (modified)",
        "./src/app.py",
        "src//./app.py",
        "src/../src/app.py",
        "src\\app.py",
        "file:///src/app.py",
        "`src/app.py`",
        "src/app.py:12-14",
        "src/app.py#L12",
    ],
)
def test_a_name_that_can_mean_one_file_only_is_enough(path: str) -> None:
    diff = parse_diff(
        (edit(ONE_LINE, name="src/app.py") + edit(ONE_LINE, name="other.py")).encode()
    )
    assert place(claim("second()", 1, path=path), diff) == ("RIGHT", 1, 1)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("ev\u202eil.py", "ev<U+202E>il.py"), ("a\u200b.py", "a<U+200B>.py"), ("\udcff.py", None)],
)
def test_a_file_is_found_by_the_name_that_the_model_was_shown(name: str, shown: str | None) -> None:
    text = edit(ONE_LINE, name=name).encode("utf-8", "surrogateescape")
    told = shown or shown_name(name)
    gate = anchor([claim("second()", 1, path=told)], parse_diff(text), {})
    assert [finding.location.path for finding in gate.kept] == [name]


def test_a_name_that_can_mean_several_files_means_none() -> None:
    diff = parse_diff((edit(ONE_LINE, name="a/x/m.py") + edit(ONE_LINE, name="b/y/m.py")).encode())
    assert place(claim("second()", 1, path="m.py"), diff) == "unknown_path"


@pytest.mark.parametrize("quote", ["15 +    log(data)", "   15 +    log(data)", "15     log(data)"])
def test_the_number_that_is_printed_before_a_line_is_no_part_of_it(quote: str) -> None:
    assert place(claim(quote, 15)) == ("RIGHT", 15, 15)


@pytest.mark.parametrize("path", ["", "pp.py", "APP.PY", "c/app.py", "x/app.py", "app"])
def test_an_unknown_path_is_dropped(path: str) -> None:
    assert place(claim("log(data)", 15, path=path)) == "unknown_path"


def test_a_folder_called_a_is_not_taken_for_a_prefix() -> None:
    diff = parse_diff((edit(FIRST) + edit(SECOND, name="a/app.py")).encode())
    gate = anchor([claim("end(value)", 43, path="a/app.py")], diff, {})
    assert [finding.location.path for finding in gate.kept] == ["a/app.py"]


def test_a_deleted_file_takes_comments_on_its_old_lines() -> None:
    text = "diff --git a/x b/x\ndeleted file mode 100644\nindex 1111111..0000000\n"
    diff = parse_diff(f"{text}--- a/x\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one()\n-two()\n".encode())
    assert place(claim("two()", 2, path="x"), diff) == ("LEFT", 2, 2)


def test_both_halves_of_a_change_of_type_are_searched() -> None:
    diff = parse_diff(
        b"diff --git a/x b/x\ndeleted file mode 100644\nindex 1111111..0000000\n"
        b"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-text\n"
        b"diff --git a/x b/x\nnew file mode 120000\nindex 0000000..2222222\n"
        b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+target\n\\ No newline at end of file\n"
    )
    assert place(claim("text", 1, path="x"), diff) == ("LEFT", 1, 1)
    assert place(claim("target", 1, path="x"), diff) == ("RIGHT", 1, 1)


def test_a_file_without_hunks_takes_no_inline_comment() -> None:
    diff = parse_diff(b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n")
    assert place(claim("main()", 1, path="x"), diff) == "unproven"
    assert place(claim("main()", 1, path="x"), diff, head_text={"x": "main()\n"}) == (
        "RIGHT",
        1,
        1,
        OUTSIDE,
    )


@pytest.mark.slow
def test_five_thousand_mad_findings_are_settled_in_seconds() -> None:
    rows = [f"+    value_{n} = compute(value_{n - 1}, limit)\n" for n in range(20_000)]
    diff = parse_diff(edit(f"@@ -0,0 +1,{len(rows)} @@\n" + "".join(rows)).encode())
    claims = [
        claim(f"compute(value_{n * 7}, limit)", line, start=line - n)
        for n in range(2500)
        for line in (10**12, -n)
    ]
    before = time.process_time()
    gate = anchor(claims, diff, {})
    assert time.process_time() - before < 10  # about 1 s on a small machine
    assert len(gate.kept) == len(claims)
