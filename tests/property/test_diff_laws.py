"""Laws of the diff parser: it gives back both files, survives anything, keeps what is whole."""

import difflib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.diff import FileDiff, Line, parse_diff, parse_patch

NO_NEWLINE = b"\\ No newline at end of file\n"

# Lines as bytes: everything but the newline, and much of what could be taken for structure.
ODD = [
    b"",
    b"\r",
    b"a\rb",
    b"\x0b\x0c",
    b"\x1c\x1d",
    b"\x85",
    "\u2028".encode(),
    b"\xff\xfe",
    b"\0",
]
LIKE_HEADERS = [
    b"-- x",
    b"++ x",
    b"@@ -1 +1 @@",
    b"diff --git a/x b/x",
    b"\\ No newline",
    b"-",
    b"+",
]
lines = st.one_of(
    st.sampled_from([*ODD, *LIKE_HEADERS, b"a", b"b"]),
    st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")),
)
contents = st.lists(lines, max_size=12)
edits = st.tuples(contents, contents).filter(lambda pair: pair[0] != pair[1])
names = st.one_of(
    st.sampled_from([b"x", b"a b/c", b"a/b a/b", b'q"q', b"t\tab", b"--- x", b"dev/null", b"\\n"]),
    st.binary(min_size=1, max_size=8).map(lambda name: name.replace(b"\0", b"0")),
)


def quoted(prefix: bytes, name: bytes) -> bytes:
    """Quote a name as git does."""
    plain = all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in name)
    if plain:
        return prefix + name
    out = b""
    for byte in name:
        letter = b"abtnvfr"[byte - 7 : byte - 6] if 7 <= byte <= 13 else b""
        if letter:
            out += b"\\" + letter
        elif byte in b'"\\':
            out += b"\\" + bytes([byte])
        else:
            out += bytes([byte]) if 0x20 <= byte < 0x7F else b"\\%03o" % byte
    return b'"' + prefix + out + b'"'


def hunks_of(old: list[bytes], new: list[bytes], context: int, *, ends: bool) -> bytes:
    """Print the hunks of an edit; without `ends`, neither file ends in a newline."""
    patch = list(difflib.diff_bytes(difflib.unified_diff, old, new, n=context, lineterm=b""))[2:]
    out = [line + b"\n" for line in patch]
    if not ends:
        last = {b"-": len(old), b" ": len(old), b"+": len(new)}
        numbered = zip(out, numbers(out), strict=True)
        out = [
            line + NO_NEWLINE
            if number is not None and last[line[:1]] == number[line[:1] == b"+"]
            else line
            for line, number in numbered
        ]
    return b"".join(out)


def numbers(hunk_lines: list[bytes]) -> list[tuple[int, int] | None]:
    """Number the lines of hunks by their headers: (old, new), None for a header."""
    found: list[tuple[int, int] | None] = []
    old = new = 0
    left = [0, 0]
    for line in hunk_lines:
        if left == [0, 0]:
            spans = [span[1:].split(b",") for span in line.split(b" ")[1:3]]
            left = [int(span[1]) if len(span) > 1 else 1 for span in spans]
            old, new = (int(span[0]) for span in spans)
            found.append(None)
            continue
        found.append((old, new))
        kind = line[:1]
        old, left[0] = old + (kind != b"+"), left[0] - (kind != b"+")
        new, left[1] = new + (kind != b"-"), left[1] - (kind != b"-")
    return found


def file_of(name: bytes, hunks: bytes) -> bytes:
    old, new = quoted(b"a/", name), quoted(b"b/", name)
    tab = b"\t" if b" " in name else b""
    head = b"diff --git %s %s\nindex 1111111..2222222 100644\n" % (old, new)
    return head + b"--- %s%s\n+++ %s%s\n" % (old, tab, new, tab) + hunks


def text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


@settings(deadline=None)
@given(edits, st.integers(0, 3), names, st.booleans())
def test_every_line_has_the_number_and_text_that_it_has_in_its_file(
    edit: tuple[list[bytes], list[bytes]], context: int, name: bytes, ends: bool
) -> None:
    old, new = edit
    diff = parse_diff(file_of(name, hunks_of(old, new, context, ends=ends)))
    assert diff.damaged == ()
    (file,) = diff.files
    assert file.path == text(name)
    assert rebuilt(file, old) == [text(line) for line in new]
    for line in itertools.chain.from_iterable(hunk.lines for hunk in file.hunks):
        check_line(line, old, new, ends=ends)


def check_line(line: Line, old: list[bytes], new: list[bytes], *, ends: bool) -> None:
    assert (line.old is None) == (line.kind == "+")
    assert (line.new is None) == (line.kind == "-")
    if line.old is not None:
        assert text(old[line.old - 1]) == line.text
    if line.new is not None:
        assert text(new[line.new - 1]) == line.text
    is_last = line.old == len(old) if line.old is not None else line.new == len(new)
    assert line.has_newline == (ends or not is_last)


def rebuilt(file: FileDiff, old: list[bytes]) -> list[str]:
    """Apply the hunks to the old file."""
    out: list[str] = []
    at = 1
    for hunk in file.hunks:
        first = hunk.old_start + (hunk.old_count == 0)
        out += [text(line) for line in old[at - 1 : first - 1]]
        out += [line.text for line in hunk.lines if line.kind != "-"]
        at = first + hunk.old_count
    return out + [text(line) for line in old[at - 1 :]]


@settings(deadline=None)
@given(edits, st.integers(0, 3))
def test_a_patch_without_header_has_the_same_hunks(
    edit: tuple[list[bytes], list[bytes]], context: int
) -> None:
    hunks = hunks_of(*edit, context, ends=True)
    file = parse_patch(hunks[:-1], status="modified", filename="x")
    assert isinstance(file, FileDiff)
    assert file.hunks == parse_diff(file_of(b"x", hunks)).files[0].hunks


@settings(deadline=None)
@given(names, names)
def test_both_names_of_a_rename_come_back(old: bytes, new: bytes) -> None:
    diff = parse_diff(
        b"diff --git %s %s\nsimilarity index 100%%\nrename from %s\nrename to %s\n"
        % (quoted(b"a/", old), quoted(b"b/", new), quoted(b"", old), quoted(b"", new))
    )
    assert [(f.old_path, f.new_path) for f in diff.files] == [(text(old), text(new))]


diffs = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([b"x", b"y", b"z"]), edits).map(
            lambda made: file_of(made[0], hunks_of(*made[1], 1, ends=True))
        ),
        st.sampled_from(
            [
                b"diff --git a/m b/m\nold mode 100644\nnew mode 100755\n",
                b"diff --git a/o b/n\nsimilarity index 100%\nrename from o\nrename to n\n",
                b"diff --git a/e b/e\nnew file mode 100644\nindex 0000000..e69de29\n",
                b"diff --git a/b b/b\nindex 1..2 100644\nBinary files a/b and b/b differ\n",
            ]
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(diffs, st.data())
def test_a_cut_diff_keeps_its_whole_files(files: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(files)
    at = data.draw(st.integers(0, len(raw)))
    whole = whole_before(files, at)
    assert parse_diff(raw[:at]).files[: len(whole)] == whole


@settings(deadline=None)
@given(diffs, st.data())
def test_a_diff_with_a_line_put_elsewhere_keeps_the_whole_files_before(
    files: list[bytes], data: st.DataObject
) -> None:
    rows = b"".join(files).split(b"\n")[:-1]
    at = data.draw(st.integers(0, len(rows) - 1))
    other = data.draw(st.integers(at, len(rows) - 1))
    before = len(b"".join(row + b"\n" for row in rows[:at]))
    is_marker = rows[other].startswith(b"\\")  # "no newline" after a whole hunk is well-formed
    rows[at], rows[other] = rows[other], rows[at]
    found = parse_diff(b"\n".join(rows) + b"\n")
    whole = whole_before(files, before)
    assert is_marker or found.files[: len(whole)] == whole


def whole_before(files: list[bytes], at: int) -> tuple[FileDiff, ...]:
    ends = itertools.accumulate(len(file) for file in files)
    whole = [file for file, end in zip(files, ends, strict=True) if end <= at]
    return tuple(parse_diff(file).files[0] for file in whole)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(st.one_of(lines, names)).map(b"\n".join)))
def test_no_bytes_raise(raw: bytes) -> None:
    for opening in (b"", b"diff --git a/x b/x\n", b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n"):
        diff = parse_diff(opening + raw)
        assert diff.files or diff.damaged or not (opening + raw).strip()
    assert parse_patch(raw, status="modified", filename="x").path == "x"
