"""Chunks show true line numbers and little context, fit the budget, and come riskiest first."""

import time

from app.review.chunks import CONTEXT_LINES, MAX_LINE, Chunks, HunkToShow, make_chunks
from app.review.classes import classify
from app.review.diff import Side, parse_diff
from app.review.focus import Area

ONE = (Area.CORRECTNESS,)


def added(path: str, *lines: str) -> str:
    """Write the diff of a new file."""
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{body}"
    )


def changed(path: str, hunk: str) -> str:
    """Write the diff of a changed file from the text of its hunks."""
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunk}"


def chunks_of(
    *files: str,
    areas: tuple[Area, ...] = ONE,
    budget_tokens: int = 1_000,
    max_chunks: int = 100,
) -> Chunks:
    diff = parse_diff("".join(files).encode("utf-8", "surrogateescape"))
    assert not diff.damaged
    hunks = [(file, hunk) for file in diff.files for hunk in file.hunks]
    to_show = [
        HunkToShow(row=row, file=file, file_class=classify(file), hunk=hunk, areas=areas)
        for row, (file, hunk) in enumerate(hunks)
    ]
    return make_chunks(to_show, budget_tokens=budget_tokens, max_chunks=max_chunks)


def paths_of(chunks: Chunks) -> list[list[str]]:
    """List the paths of each chunk in their order."""
    return [list(dict.fromkeys(path for path, _, _ in chunk.shown)) for chunk in chunks.chunks]


def test_a_hunk_is_shown_with_true_numbers_and_its_definition() -> None:
    hunk = "@@ -9,4 +10,4 @@ def area(self):\n a\n-b\n+B\n c\n d\n"
    (chunk,) = chunks_of(changed("src/a.py", hunk)).chunks
    assert chunk.text == (
        "## File: src/a.py (modified)\n@@ def area(self):\n10  a\n10 -b\n11 +B\n12  c\n13  d\n"
    )
    assert chunk.shown == {
        ("src/a.py", Side.RIGHT, 10): "a",
        ("src/a.py", Side.LEFT, 10): "b",
        ("src/a.py", Side.RIGHT, 11): "B",
        ("src/a.py", Side.RIGHT, 12): "c",
        ("src/a.py", Side.RIGHT, 13): "d",
    }
    assert (chunk.number, chunk.areas) == (1, ONE)


def test_a_renamed_file_is_shown_with_its_old_name() -> None:
    (chunk,) = chunks_of(
        "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\n"
        "rename to new.py\n--- a/old.py\n+++ b/new.py\n@@ -1 +1 @@\n-a\n+b\n"
    ).chunks
    assert chunk.text == "## File: new.py (renamed from old.py)\n@@\n1 -a\n1 +b\n"


def test_a_deleted_file_is_shown_with_its_old_numbers() -> None:
    (chunk,) = chunks_of(
        "diff --git a/a.py b/a.py\ndeleted file mode 100644\n--- a/a.py\n+++ /dev/null\n"
        "@@ -1,2 +0,0 @@\n-a\n-b\n"
    ).chunks
    assert chunk.text == "## File: a.py (deleted)\n@@\n1 -a\n2 -b\n"


def test_a_missing_newline_is_shown_where_it_changed() -> None:
    hunk = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    (chunk,) = chunks_of(changed("a.py", hunk)).chunks
    assert chunk.text.endswith("@@\n1 -a\n\\ No newline at end of file\n1 +a\n")


def test_context_far_from_a_change_is_cut() -> None:
    before = "".join(f" b{n}\n" for n in range(20))
    hunk = f"@@ -1,42 +1,44 @@\n{before}+x\n{before}+y\n a\n a\n"
    (chunk,) = chunks_of(changed("a.py", hunk)).chunks
    numbers = [number for _, _, number in chunk.shown]
    assert numbers == [*range(16, 27), *range(37, 45)]
    assert "26  b4\n…\n37  b15\n" in chunk.text
    assert chunk.text.count("…") == 1
    assert CONTEXT_LINES == 5


def test_secrets_and_invisible_characters_are_shown_as_they_are_kept() -> None:
    secret = "ghp_" + "aB3dE6gH9j" * 4
    section = f"@@ -1 +1 @@ x\u202e {secret}\n"
    (chunk,) = chunks_of(changed("a\u202e.py", f"{section}-a\n+b = '{secret}'\u200b\n")).chunks
    assert secret not in chunk.text
    assert "a<U+202E>.py" in chunk.text
    assert "@@ x<U+202E> ghp_█" in chunk.text
    text = chunk.shown["a\u202e.py", Side.RIGHT, 1]
    assert text == f"b = 'ghp_{'█' * 40}'<U+200B>"
    assert f"1 +{text}\n" in chunk.text


def test_a_key_over_many_lines_is_masked() -> None:
    begin, end = "-----BEGIN " + "PRIVATE KEY-----", "-----END " + "PRIVATE KEY-----"
    (chunk,) = chunks_of(added("a.py", begin, "MIIEvQIBADANBgkqhkiG9w0B", end, "x")).chunks
    assert chunk.shown["a.py", Side.RIGHT, 2] == "█" * 24
    assert chunk.shown["a.py", Side.RIGHT, 4] == "x"


def test_names_cannot_break_out_of_their_heading() -> None:
    path = "a\n## File: b.py"
    quoted = '"b/a\\n## File: b.py"'
    (chunk,) = chunks_of(
        f'diff --git "a/a\\n## File: b.py" {quoted}\nnew file mode 100644\n--- /dev/null\n'
        f"+++ {quoted}\n@@ -0,0 +1 @@\n+x\n"
    ).chunks
    assert chunk.text == "## File: a<U+000A>## File: b.py (added)\n@@\n1 +x\n"
    assert list(chunk.shown) == [(path, Side.RIGHT, 1)]


def test_windows_line_ends_are_not_shown_unless_they_are_the_change() -> None:
    (chunk,) = chunks_of(changed("a.py", "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n")).chunks
    assert chunk.text.endswith("1  a\n2 -b\n2 +c\n")
    cut = "\\ No newline at end of file\n"
    (chunk,) = chunks_of(changed("a.py", f"@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\n{cut}")).chunks
    assert "2 -b\n2 +c\n" in chunk.text
    (chunk,) = chunks_of(changed("a.py", "@@ -1 +1 @@\n-b\r\n+b\n")).chunks
    assert chunk.text.endswith("1 -b<U+000D>\n1 +b\n")


def test_a_long_line_is_cut_visibly() -> None:
    chunks = chunks_of(added("a.py", "x" * 10_000, "y" * MAX_LINE))
    (chunk,) = chunks.chunks
    text = chunk.shown["a.py", Side.RIGHT, 1]
    assert text == "x" * 460 + "… [9540 more characters]"
    assert f"1 +{text}\n" in chunk.text
    assert chunk.shown["a.py", Side.RIGHT, 2] == "y" * MAX_LINE
    assert chunks.n_cut_lines == {0: 1}


def test_an_enormous_line_is_no_matter() -> None:
    line = "password = '" * 1_000_000
    start = time.perf_counter()
    (chunk,) = chunks_of(added("a.py", line)).chunks
    assert time.perf_counter() - start < 2
    assert chunk.shown["a.py", Side.RIGHT, 1].endswith(f"… [{len(line) - 460} more characters]")


def test_a_hunk_over_the_budget_is_split_between_lines() -> None:
    chunks = chunks_of(added("a.py", *(f"line_{n} = {n}" for n in range(100))), budget_tokens=200)
    assert len(chunks.chunks) > 3
    assert all(chunk.tokens <= 200 for chunk in chunks.chunks)
    shown = [number for chunk in chunks.chunks for _, _, number in chunk.shown]
    assert shown == list(range(1, 101))
    assert [("(continued)" in chunk.text) for chunk in chunks.chunks[:2]] == [False, True]
    assert chunks.placed == {(0, Area.CORRECTNESS): tuple(range(1, len(chunks.chunks) + 1))}


def test_a_line_over_the_budget_has_a_chunk_of_its_own() -> None:
    chunks = chunks_of(added("a.py", "a b " * 50, "c d " * 50), budget_tokens=1)
    assert [len(chunk.shown) for chunk in chunks.chunks] == [1, 1]


def test_context_gives_way_to_changes() -> None:
    hunk = "@@ -1,4 +1,4 @@\n" + f" {'a b ' * 60}\n" * 3 + f"-{'c d ' * 40}\n+e\n"
    chunks = chunks_of(changed("a.py", hunk), budget_tokens=150)
    assert all(chunk.tokens <= 150 for chunk in chunks.chunks)
    assert {place[1:] for chunk in chunks.chunks for place in chunk.shown} == {
        (Side.LEFT, 4),
        (Side.RIGHT, 4),
    }


def test_what_exceeds_the_limit_is_not_placed() -> None:
    files = [added(f"{name}.py", *(f"{name}{n} = {n}" for n in range(20))) for name in "abcd"]
    chunks = chunks_of(*files, budget_tokens=250, max_chunks=2)
    assert paths_of(chunks) == [["a.py"], ["b.py"]]
    assert chunks.placed == {(0, Area.CORRECTNESS): (1,), (1, Area.CORRECTNESS): (2,)}


def test_a_split_hunk_is_placed_only_as_a_whole() -> None:
    big = added("a.py", *(f"line_{n} = {n}" for n in range(200)))
    chunks = chunks_of(big, budget_tokens=200, max_chunks=2)
    assert len(chunks.chunks) == 2
    assert chunks.placed == {}


def test_no_chunks_at_all_may_be_allowed() -> None:
    chunks = chunks_of(added("a.py", "x"), max_chunks=0)
    assert (chunks.chunks, chunks.placed) == ((), {})


def test_groups_have_chunks_of_their_own_and_share_a_limit() -> None:
    files = [added(f"{name}.py", *(f"{name}{n} = {n}" for n in range(20))) for name in "ab"]
    areas = (Area.SECURITY, Area.TESTS, Area.CORRECTNESS)
    chunks = chunks_of(*files, areas=areas, budget_tokens=250, max_chunks=3)
    assert [chunk.areas for chunk in chunks.chunks] == [
        (Area.CORRECTNESS, Area.TESTS),
        (Area.SECURITY,),
        (Area.CORRECTNESS, Area.TESTS),
    ]
    assert paths_of(chunks) == [["a.py"], ["a.py"], ["b.py"]]
    assert (1, Area.SECURITY) not in chunks.placed
    assert chunks.placed[1, Area.TESTS] == (3,)


def test_source_comes_before_tests_configuration_and_docs() -> None:
    paths = ("README.md", "app.toml", "tests/test_other.py", "z.py")
    (only,) = paths_of(chunks_of(*(added(path, "x = 1") for path in paths)))
    assert only == ["z.py", "tests/test_other.py", "app.toml", "README.md"]


def test_larger_and_security_looking_changes_come_first() -> None:
    (only,) = paths_of(
        chunks_of(
            added("a.py", "x = 1"),
            added("b.py", "x = 1", "y = 2"),
            added("c.py", "check_password(x)"),
            added("auth/d.py", "x = 1"),
        )
    )
    assert only == ["auth/d.py", "c.py", "b.py", "a.py"]


def test_one_enormous_file_does_not_starve_the_others() -> None:
    chunks = chunks_of(
        added("big.py", *(f"line_{n} = {n}" for n in range(3_000))),
        added("small.py", "x = 1"),
        added("README.md", "x"),
        budget_tokens=200,
        max_chunks=4,
    )
    assert paths_of(chunks)[0][:2] == ["small.py", "README.md"]
    assert set(chunks.placed) == {(1, Area.CORRECTNESS), (2, Area.CORRECTNESS)}


def test_tests_stay_with_what_they_test() -> None:
    def body(name: str) -> list[str]:
        return [f"{name}_{n} = {n}" for n in range(10)]

    chunks = chunks_of(
        added("app/a.py", *body("a")),
        added("app/b.py", *body("b")),
        added("tests/app/test_a.py", *body("ta")),
        added("web/b.test.ts", *body("tb")),
        added("web/b.ts", *body("wb")),
        budget_tokens=260,
    )
    assert paths_of(chunks) == [
        ["app/a.py", "tests/app/test_a.py"],
        ["web/b.ts", "web/b.test.ts"],
        ["app/b.py"],
    ]


def test_the_hunks_of_a_file_stay_together_where_they_fit() -> None:
    def hunk(start: int, n_lines: int) -> str:
        lines = "".join(f"+line_{n} = {n}\n" for n in range(start, start + n_lines))
        return f"@@ -{start},0 +{start},{n_lines} @@\n{lines}"

    chunks = chunks_of(
        changed("auth.py", hunk(1, 18)),
        changed("b.py", hunk(1, 4) + hunk(50, 14)),
        budget_tokens=280,
    )
    assert paths_of(chunks) == [["auth.py"], ["b.py"]]
    assert chunks.placed == {
        (row, Area.CORRECTNESS): (number,) for row, number in ((0, 1), (1, 2), (2, 2))
    }


def test_a_pair_that_does_not_fit_is_parted_between_its_files() -> None:
    lines = [f"line_{n} = {n}" for n in range(14)]
    chunks = chunks_of(
        added("a.py", *lines),
        added("test_a.py", *lines),
        added("z.py", "x"),
        budget_tokens=200,
    )
    assert paths_of(chunks) == [["a.py", "z.py"], ["test_a.py"]]


def test_what_still_fits_is_placed_when_no_chunk_may_be_opened() -> None:
    chunks = chunks_of(
        added("a.py", *(f"line_{n} = {n}" for n in range(14))),
        added("b.py", *(f"line_{n} = {n}" for n in range(13))),
        added("test_b.py", "x"),
        budget_tokens=200,
        max_chunks=1,
    )
    assert paths_of(chunks) == [["a.py", "test_b.py"]]
    assert set(chunks.placed) == {(0, Area.CORRECTNESS), (2, Area.CORRECTNESS)}


def test_two_files_of_one_name_are_shown_apart() -> None:
    chunks = chunks_of(added("a.py", "one"), added("a.py", "two"))
    assert [list(chunk.shown.values()) for chunk in chunks.chunks] == [["one"], ["two"]]
