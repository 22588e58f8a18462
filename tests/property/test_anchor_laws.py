"""Laws of the anchoring gate: whatever is claimed, no comment that GitHub refuses is kept."""

import re
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.review.anchor import anchor, is_commentable
from app.review.diff import Side, parse_diff
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority

PATHS = ("x", "dir/y.py", "a/b")
texts = st.sampled_from(["", "a", "b", "foo(1)", "  foo(1)", "x = foo(1)", "}", "return", "a\rb"])
hunk_lines = st.lists(st.tuples(st.sampled_from("+- "), texts), min_size=1, max_size=8)
files = st.tuples(
    st.sampled_from(PATHS), st.lists(st.tuples(st.integers(0, 3), hunk_lines), max_size=3)
)


def render(made: Sequence[tuple[str, Sequence[tuple[int, Sequence[tuple[str, str]]]]]]) -> bytes:
    """Print files as git would; the number before a hunk is how many lines lie between."""
    out: list[str] = []
    for path, hunks in made:
        out.append(f"diff --git a/{path} b/{path}")
        if not hunks:
            out += ["old mode 100644", "new mode 100755"]
            continue
        out += ["index 1111111..2222222 100644", f"--- a/{path}", f"+++ b/{path}"]
        old = new = 1
        for gap, lines in hunks:
            olds = sum(kind != "+" for kind, _ in lines)
            news = sum(kind != "-" for kind, _ in lines)
            old, new = old + gap, new + gap
            starts = (old if olds else old - 1, new if news else new - 1)
            out.append(f"@@ -{starts[0]},{olds} +{starts[1]},{news} @@")
            out += [kind + text for kind, text in lines]
            old, new = old + olds, new + news
    return "".join(line + "\n" for line in out).encode()


def legal_lines(raw: bytes) -> set[tuple[str, Side, int, int]]:
    """Read from the raw text alone what can carry a comment: (path, side, line, hunk)."""
    legal: set[tuple[str, Side, int, int]] = set()
    path, hunk, old, new, left = "", 0, 0, 0, [0, 0]
    for line in raw.decode().split("\n"):
        if left == [0, 0]:
            if line.startswith("diff --git a/"):
                path = line[len("diff --git a/") :].partition(" b/")[0]
            if header := re.match(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", line):
                old, new = int(header[1]), int(header[3])
                left = [int(header[2]), int(header[4])]
                hunk += 1
            continue
        kind = line[0]
        if kind == "-":
            legal.add((path, Side.LEFT, old, hunk))
        else:
            legal.add((path, Side.RIGHT, new, hunk))
        if kind != "+":
            old, left[0] = old + 1, left[0] - 1
        if kind != "-":
            new, left[1] = new + 1, left[1] - 1
    return legal


numbers = st.one_of(st.integers(-2, 25), st.integers(), st.sampled_from([10**30, -(10**30)]))
claims = st.builds(
    Candidate,
    area=st.sampled_from(Area),
    priority=st.sampled_from(Priority),
    confidence=st.floats(0, 1),
    title=st.just("t"),
    body=st.just("b"),
    trigger=st.just(""),
    evidence=st.one_of(
        texts,
        st.lists(texts, min_size=1, max_size=4).map("\n".join),
        st.text(max_size=10),
    ),
    location=st.builds(
        Location,
        path=st.one_of(
            st.sampled_from([*PATHS, "./x", "b/x", "a/x", "b", "nowhere"]), st.text(max_size=5)
        ),
        side=st.sampled_from(Side),
        start_line=numbers,
        line=numbers,
    ),
    source=st.just("model"),
)
diffs = st.lists(files, min_size=1, max_size=3, unique_by=lambda file: file[0]).map(render)
shown_texts = st.dictionaries(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(Side), st.integers(-1, 25)),
    st.sampled_from(["foo(1)", "masked", ""]),
    max_size=4,
)
heads = st.dictionaries(
    st.sampled_from(PATHS), st.lists(texts, max_size=25).map("\n".join), max_size=2
)


@settings(deadline=None)
@given(diffs, st.lists(claims, max_size=12), shown_texts, heads)
@example(render([("x", [(0, [("-", "a"), (" ", "b"), ("-", "a")])])]), [], {}, {})
def test_every_inline_comment_is_legal(
    raw: bytes,
    candidates: list[Candidate],
    shown: dict[tuple[str, Side, int], str],
    head_text: dict[str, str],
) -> None:
    diff = parse_diff(raw)
    assert diff.damaged == ()
    by_path = {file.path: file for file in diff.files}
    legal = legal_lines(raw)
    gate = anchor(candidates, diff, shown, head_text)
    assert len(gate.kept) + len(gate.dropped) == len(candidates)
    for finding in gate.kept:
        where = finding.location
        assert where.path in by_path
        if finding.summary_reason is None:
            assert is_commentable(by_path[where.path], where.side, where.start_line, where.line)
            assert is_legal(where, legal)


def is_legal(where: Location, legal: set[tuple[str, Side, int, int]]) -> bool:
    """Whether all lines of a comment are legal and of one hunk, and the range is not backwards."""
    if not 0 <= where.line - where.start_line < 100:
        return False
    lines = range(where.start_line, where.line + 1)
    return any(
        all((where.path, where.side, line, hunk) in legal for line in lines)
        for hunk in {hunk for *_, hunk in legal}
    )


@settings(deadline=None)
@given(diffs)
def test_a_line_is_commentable_exactly_if_the_raw_text_says_so(raw: bytes) -> None:
    legal = legal_lines(raw)
    for file in parse_diff(raw).files:
        for side in Side:
            for start in range(-1, 30):
                for line in (start, start + 1, start + 2):
                    where = Location(path=file.path, side=side, start_line=start, line=line)
                    assert is_commentable(file, side, start, line) == is_legal(where, legal)


@settings(deadline=None)
@given(diffs, st.data())
def test_the_text_of_a_line_is_proof_on_that_line(raw: bytes, data: st.DataObject) -> None:
    diff = parse_diff(raw)
    lines = [
        (file.path, Side.LEFT if line.kind == "-" else Side.RIGHT, line)
        for file in diff.files
        for hunk in file.hunks
        for line in hunk.lines
        if any(sign.isalnum() for sign in line.text)
    ]
    if not lines:
        return
    path, side, line = data.draw(st.sampled_from(lines))
    number = line.old if side is Side.LEFT else line.new
    assert number is not None
    where = Location(path=path, side=side, start_line=number, line=number)
    candidate = replace(data.draw(claims), evidence=line.text, location=where)
    (finding,) = anchor([candidate], diff, {}).kept
    assert (finding.location, finding.summary_reason) == (where, None)
