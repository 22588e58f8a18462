"""What `parse_diff` and `parse_patch` make of git's diff format and its oddities."""

import pytest

from app.review.diff import (
    Damaged,
    Diff,
    FileDiff,
    Hunk,
    Line,
    Side,
    Status,
    hunk_key,
    parse_diff,
    parse_patch,
)

HUNK = "@@ -1 +1 @@\n-old\n+new\n"


def one(text: str) -> FileDiff:
    diff = parse_diff(text.encode("utf-8", "surrogateescape"))
    assert diff.damaged == ()
    assert len(diff.files) == 1
    return diff.files[0]


def edit(name: str = "x", hunks: str = HUNK) -> str:
    head = f"diff --git a/{name} b/{name}\nindex 1111111..2222222 100644\n"
    return f"{head}--- a/{name}\n+++ b/{name}\n{hunks}"


def damage(text: str) -> list[str]:
    diff = parse_diff(text.encode())
    assert diff.files == ()
    return [damaged.reason for damaged in diff.damaged]


def test_an_edited_file_is_parsed_whole() -> None:
    text = (
        "diff --git a/src/app.py b/src/app.py\n"
        "index 83db48f..bf269f4 100644\n"
        "--- a/src/app.py\n"
        "+++ b/src/app.py\n"
        "@@ -3,3 +3,4 @@ def main():\n"
        " same\n"
        "-gone\n"
        "+come\n"
        "+come too\n"
        " end\n"
    )
    assert one(text) == FileDiff(
        old_path="src/app.py",
        new_path="src/app.py",
        status=Status.MODIFIED,
        old_mode="100644",
        new_mode="100644",
        old_oid="83db48f",
        new_oid="bf269f4",
        hunks=(
            Hunk(
                old_start=3,
                old_count=3,
                new_start=3,
                new_count=4,
                section="def main():",
                lines=(
                    Line(" ", 3, 3, "same", True),
                    Line("-", 4, None, "gone", True),
                    Line("+", None, 4, "come", True),
                    Line("+", None, 5, "come too", True),
                    Line(" ", 5, 6, "end", True),
                ),
            ),
        ),
    )


def test_counts_and_changed_lines_leave_context_out() -> None:
    file = one(edit(hunks="@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n@@ -9,2 +10 @@\n-e\n f\n"))
    assert (file.n_added, file.n_deleted) == (2, 2)
    assert [line.text for line in file.changed_lines] == ["b", "c", "d", "e"]
    assert [(hunk.n_added, hunk.n_deleted) for hunk in file.hunks] == [(2, 1), (0, 1)]


@pytest.mark.parametrize(
    ("header", "written"),
    [
        ("@@ -1 +1 @@", "@@ -1,1 +1,1 @@"),
        ("@@ -1,1 +1,1 @@ class A:  # @@ x", "@@ -1,1 +1,1 @@ class A:  # @@ x"),
        ("@@ -1 +1 @@ f()\r", "@@ -1,1 +1,1 @@ f()"),
    ],
)
def test_a_hunk_header_is_written_with_both_counts(header: str, written: str) -> None:
    assert one(edit(hunks=f"{header}\n-old\n+new\n")).hunks[0].header == written


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "new file mode 100755\nindex 0000000..1111111\n--- /dev/null\n+++ b/x\n"
            "@@ -0,0 +1 @@\n+a\n",
            (None, "x", Status.ADDED, None, "100755"),
        ),
        (
            "new file mode 100644\nindex 0000000..e69de29\n",
            (None, "x", Status.ADDED, None, "100644"),
        ),
        (
            "deleted file mode 100644\nindex 1111111..0000000\n--- a/x\n+++ /dev/null\n"
            "@@ -1 +0,0 @@\n-a\n",
            ("x", None, Status.DELETED, "100644", None),
        ),
        (
            "deleted file mode 100644\nindex e69de29..0000000\n",
            ("x", None, Status.DELETED, "100644", None),
        ),
        (
            "new file mode 100644\nindex 0000000..473a0f4c3be8a93681a267e3\n",
            (None, "x", Status.ADDED, None, "100644"),
        ),
        (
            f"dissimilarity index 70%\nindex 1111111..2222222 100644\n--- a/x\n+++ b/x\n{HUNK}",
            ("x", "x", Status.MODIFIED, "100644", "100644"),
        ),
        ("old mode 100644\nnew mode 100755\n", ("x", "x", Status.MODIFIED, "100644", "100755")),
        (
            f"old mode 100644\nnew mode 100755\nindex 1111111..2222222\n--- a/x\n+++ b/x\n{HUNK}",
            ("x", "x", Status.MODIFIED, "100644", "100755"),
        ),
    ],
)
def test_what_happened_to_a_file(
    header: str, expected: tuple[str | None, str | None, Status, str | None, str | None]
) -> None:
    file = one(f"diff --git a/x b/x\n{header}")
    found = (file.old_path, file.new_path, file.status, file.old_mode, file.new_mode)
    assert found == expected
    assert file.path == "x"


@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_renames_and_copies_have_both_names_and_a_similarity(verb: str) -> None:
    head = f"diff --git a/p b/q b/r\nsimilarity index 90%\n{verb} from p b/q\n{verb} to r\n"
    file = one(f"{head}index 1111111..2222222 100644\n--- a/p b/q\t\n+++ b/r\n{HUNK}")
    assert (file.old_path, file.new_path, file.similarity) == ("p b/q", "r", 90)
    assert file.status == {"rename": Status.RENAMED, "copy": Status.COPIED}[verb]
    assert file.path == "r"
    assert len(file.hunks) == 1


def test_a_pure_rename_has_no_hunks_and_no_modes() -> None:
    file = one("diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n")
    assert (file.old_path, file.new_path, file.hunks) == ("x", "y", ())
    assert (file.old_mode, file.new_mode, file.similarity) == (None, None, 100)


def test_a_rename_that_only_moves_lines_is_all_similar_and_has_hunks() -> None:
    head = "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n"
    hunks = "@@ -1,2 +1,2 @@\n-a\n b\n+a\n"
    file = one(f"{head}index 1111111..2222222 100644\n--- a/x\n+++ b/y\n{hunks}")
    assert (file.status, file.similarity, file.n_added) == (Status.RENAMED, 100, 1)


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        ('"{}a b.py"', "a b.py"),
        ("{}x b/y.py", "x b/y.py"),
        ("{}a/b a/b", "a/b a/b"),
        ("{}dev/null", "dev/null"),
        ("{}--- x", "--- x"),
        ('"{}tab\\tname"', "tab\tname"),
        ('"{}new\\nline"', "new\nline"),
        ('"{}a\\"b\\\\c"', 'a"b\\c'),
        ('"{}bell\\a\\b\\v\\f\\r\\033"', "bell\a\b\v\f\r\033"),
        ('"{}caf\\303\\251"', "café"),
        ('"{}latin\\351"', "latin\udce9"),
        ('"{}\\\\303"', "\\303"),
        ('"{}quote\\"\udce9"', 'quote"\udce9'),
        ('"', '"'),
        ("{}café", "café"),
    ],
)
def test_names_are_unquoted_and_not_cut_at_b_slash(quoted: str, name: str) -> None:
    old, new = quoted.format("a/"), quoted.format("b/")
    header = f"diff --git {old} {new}\n"
    assert one(f"{header}old mode 100644\nnew mode 100755\n").path == name
    tab = "\t" if " " in name else ""
    index = "index 1111111..2222222 100644\n"
    assert one(f"{header}{index}--- {old}{tab}\n+++ {new}{tab}\n{HUNK}").path == name


@pytest.mark.parametrize(
    ("old", "new"), [("x/y", "x/y"), ("i/x/y", "w/x/y"), ("c/x/y", "i/x/y"), ("a/x/y", "b/x/y")]
)
def test_prefixes_of_other_git_settings_are_known(old: str, new: str) -> None:
    assert one(f"diff --git {old} {new}\nold mode 100644\nnew mode 100755\n").path == "x/y"
    index = "index 1111111..2222222 100644\n"
    assert one(f"diff --git {old} {new}\n{index}--- {old}\n+++ {new}\n{HUNK}").path == "x/y"


def test_without_prefixes_a_folder_is_not_taken_for_one() -> None:
    index = "index 1111111..2222222 100644\n"
    assert one(f"diff --git w/x w/x\n{index}--- w/x\n+++ w/x\n{HUNK}").path == "w/x"


def test_a_pure_rename_need_not_say_how_similar_it_is() -> None:
    file = one("diff --git a/x b/y\nrename from x\nrename to y\n")
    assert (file.status, file.path, file.similarity) == (Status.RENAMED, "y", None)


@pytest.mark.parametrize(
    "body",
    [
        "Binary files a/x and b/x differ\n",
        "GIT binary patch\nliteral 3\nKc${Nk-~s>u0RRC20H^=}\n\nliteral 0\nHcmV?d00001\n\n",
    ],
)
def test_a_binary_has_no_lines(body: str) -> None:
    file = one(f"diff --git a/x b/x\nindex 1111111..2222222 100644\n{body}")
    assert file.is_binary
    assert file.hunks == ()

    both = parse_diff((f"diff --git a/x b/x\nindex 1111111..2222222\n{body}" + edit("y")).encode())
    assert [file.path for file in both.files] == ["x", "y"]
    assert both.damaged == ()


@pytest.mark.parametrize(
    "changed",
    [
        "old mode 100644\nnew mode 100755\nindex 1111111..2222222\n",
        "similarity index 100%\nrename from y\nrename to x\nindex 1111111..2222222 100644\n",
        "new file mode 100644\nindex 0000000..2222222\n",
        "",
    ],
)
def test_a_binary_may_change_in_other_ways_too(changed: str) -> None:
    file = one(f"diff --git a/{'y' if 'from' in changed else 'x'} b/x\n{changed}GIT binary patch\n")
    assert (file.path, file.is_binary) == ("x", True)


def test_lines_after_a_binary_are_reported() -> None:
    binary = "diff --git a/x b/x\nindex 1111111..2222222\nBinary files a/x and b/x differ\n"
    for lost in ("+lost\n", HUNK):
        diff = parse_diff((binary + lost).encode())
        assert [file.is_binary for file in diff.files] == [True]
        assert [damaged.path for damaged in diff.damaged] == ["x"]


def test_a_submodule_and_a_symlink_are_told_by_their_mode() -> None:
    submodule = one(edit().replace("100644", "160000"))
    symlink = one(edit().replace("100644", "120000"))
    file = one(edit())
    assert [f.is_submodule for f in (submodule, symlink, file)] == [True, False, False]
    assert [f.is_symlink for f in (submodule, symlink, file)] == [False, True, False]


def test_a_change_of_type_is_a_deletion_and_an_addition() -> None:
    diff = parse_diff(
        b"diff --git a/x b/x\ndeleted file mode 100644\nindex 1111111..0000000\n"
        b"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-text\n"
        b"diff --git a/x b/x\nnew file mode 120000\nindex 0000000..2222222\n"
        b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+target\n\\ No newline at end of file\n"
    )
    assert [(f.status, f.path, f.is_symlink) for f in diff.files] == [
        (Status.DELETED, "x", False),
        (Status.ADDED, "x", True),
    ]


@pytest.mark.parametrize(
    "text",
    ["a\rb", "end\r", "\r", "a\x0bb\x0cc", "a\x1cb\x1db\x1e", "a\x85b", "a\u2028b\u2029", "\0", ""],
)
def test_only_a_newline_ends_a_line(text: str) -> None:
    file = one(edit(hunks=f"@@ -1,2 +1,2 @@\n-{text}\n+{text}{text}\n last\n"))
    assert [(line.kind, line.text) for line in file.hunks[0].lines] == [
        ("-", text),
        ("+", text + text),
        (" ", "last"),
    ]


def test_bytes_that_are_no_utf_8_are_kept() -> None:
    raw = edit(hunks="@@ -1 +1 @@\n-a\n+caf").encode() + b"\xe9\xff\n"
    text = parse_diff(raw).files[0].hunks[0].lines[1].text
    assert text.encode("utf-8", "surrogateescape") == b"caf\xe9\xff"


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ("-a\n\\ No newline at end of file\n+b\n", [False, True]),
        ("-a\n+b\n\\ No newline at end of file\n", [True, False]),
        ("-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n", [False, False]),
        ("-a\n+b\n", [True, True]),
    ],
)
def test_a_missing_newline_at_the_end_is_a_flag_of_the_line(body: str, ends: list[bool]) -> None:
    hunk = one(edit(hunks=f"@@ -1 +1 @@\n{body}")).hunks[0]
    assert [line.has_newline for line in hunk.lines] == ends
    assert [line.text for line in hunk.lines] == ["a", "b"]


def test_a_context_line_may_have_lost_its_space() -> None:
    hunk = one(edit(hunks="@@ -1,3 +1,3 @@\n-a\n+b\n\n c\n")).hunks[0]
    assert hunk.lines[2:] == (Line(" ", 2, 2, "", True), Line(" ", 3, 3, "c", True))


def test_lines_that_look_like_headers_are_content_while_the_hunk_counts_them() -> None:
    body = "@@ -1,3 +1,3 @@\n--- a/no\n-@@ -1 +1 @@\n-diff --git a/n b/n\n+++ b/no\n++\n+-- \n"
    file = one(edit(hunks=body))
    assert [line.text for line in file.changed_lines] == [
        "-- a/no",
        "@@ -1 +1 @@",
        "diff --git a/n b/n",
        "++ b/no",
        "+",
        "-- ",
    ]


def test_a_diff_with_dos_line_ends_is_read() -> None:
    file = one(edit().replace("\n", "\r\n"))
    assert file.path == "x"
    assert [line.text for line in file.changed_lines] == ["old\r", "new\r"]


def test_files_keep_their_order() -> None:
    diff = parse_diff((edit("b") + edit("a") + edit("c")).encode())
    assert [file.path for file in diff.files] == ["b", "a", "c"]


def test_mail_around_the_files_is_no_damage() -> None:
    mail = "From 1234 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] x\n\n---\n x | 2 +-\n\n"
    between = "-- \n2.39.5\n\nFrom 5678 Mon Sep 17\nSubject: y\n\n---\n y | 2 +-\n\n"
    text = mail + edit("x") + between + edit("y") + "-- \n2.39.5\n\n"
    diff = parse_diff(text.encode())
    assert [file.path for file in diff.files] == ["x", "y"]
    assert diff.damaged == ()
    assert diff.files[0].hunks == one(edit("x")).hunks


@pytest.mark.parametrize(
    "prose",
    [
        "\n",
        "\r\n",
        "\ncommit 1234\nAuthor: A <a@b>\n\n    + a message\n\n",
        "\r\ncommit 1234\r\n\r\n    + a message\r\n",
        "\ndiff --stat is prose\n",
        "-- \r\n2.39.5\r\n",
    ],
)
def test_prose_after_a_file_changes_nothing(prose: str) -> None:
    diff = parse_diff((edit("x") + prose + edit("y")).encode())
    assert diff == Diff(files=(one(edit("x")), one(edit("y"))))


def test_a_marker_is_read_though_something_strayed_after_it() -> None:
    ended = edit(hunks="@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n")
    diff = parse_diff((ended + "+lost\n").encode())
    assert diff.files == (one(ended),)
    assert not diff.files[0].hunks[0].lines[-1].has_newline
    assert [damaged.path for damaged in diff.damaged] == ["x"]


def test_words_are_those_of_git_and_github() -> None:
    assert list(Status) == ["added", "deleted", "modified", "renamed", "copied"]
    assert list(Side) == ["LEFT", "RIGHT"]


def test_a_plain_unified_diff_is_read_too() -> None:
    text = (
        "diff -ru a/x b/x\n--- a/x\t2024-01-01 10:00:00\n+++ b/x\t2024-01-02 10:00:00\n"
        f"{HUNK}diff -ru a/y b/y\n--- a/y\t2024\n+++ b/y\t2024\n{HUNK}"
        f"--- /dev/null\n+++ b/z\n@@ -0,0 +1 @@\n+z\n"
        f"--- a/w\n+++ /dev/null\n@@ -1 +0,0 @@\n-w\n--- old.py\n+++ new.py\n{HUNK}"
    )
    diff = parse_diff(text.encode())
    assert [(f.status, f.old_path, f.new_path) for f in diff.files] == [
        (Status.MODIFIED, "x", "x"),
        (Status.MODIFIED, "y", "y"),
        (Status.ADDED, None, "z"),
        (Status.DELETED, "w", None),
        (Status.RENAMED, "old.py", "new.py"),
    ]
    assert diff.damaged == ()


@pytest.mark.parametrize("text", ["", "\n", " \n"])
def test_no_text_is_an_empty_diff(text: str) -> None:
    assert parse_diff(text.encode()) == Diff()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html>\n", "no diff in this text"),
        (HUNK, "no diff in this text"),
        (edit()[:-1], "cut in the middle of a line"),
        (edit(hunks="@@ -1,2 +1,2 @@\n-a\n+b\n"), "a hunk has not the lines"),
        (edit(hunks="@@ -1 +1 @@\n"), "a hunk has not the lines"),
        (edit(hunks="@@ -1 +1,2 @@\n-a\n+b\n"), "a hunk has not the lines"),
        (edit(hunks=f"{HUNK}@@ -5,2 +5 @@\n-a\n"), "a hunk has not the lines"),
        (edit(hunks="@@ -1 +1 @@\n-a\n+b\n+c\n@@ -7 +8 @@\n-x\n+y\n"), "a hunk has not the lines"),
        (edit(hunks="@@ -1,2 +1 @@\n-a\n+b\nforeign\n-c\n"), "a hunk has not the lines"),
        (edit(hunks="@@ -x +1 @@\n-a\n+b\n"), "a hunk has not the lines"),
        (edit(hunks=f"@@ -{'9' * 5000} +1 @@\n-a\n+b\n"), "a hunk cannot be read"),
        (edit(hunks=f"@@ -1,{'9' * 5000} +1 @@\n-a\n+b\n"), "a hunk has not the lines"),
        (edit(hunks="@@ -0,0 +0,0 @@\n"), "a hunk cannot be read"),
        (edit(hunks="@@ -1 +1 @@\n\\ No newline at end of file\n-a\n+b\n"), "a hunk cannot"),
        (edit(hunks="@@ -0 +1 @@\n-a\n+b\n"), "its hunks are not in order"),
        (edit(hunks="@@ -1 +0 @@\n-a\n+b\n"), "its hunks are not in order"),
        (edit(hunks=f"@@ -5 +5 @@\n-a\n+b\n{HUNK}"), "its hunks are not in order"),
        (edit(hunks=f"{HUNK}@@ -1 +2 @@\n-a\n+b\n"), "its hunks are not in order"),
        (edit(hunks=f"{HUNK}@@ -2 +1 @@\n-a\n+b\n"), "its hunks are not in order"),
        (edit(hunks=f"{HUNK}@@ -0,0 +2 @@\n+b\n"), "its hunks are not in order"),
        (edit(hunks=""), "its hunks are missing"),
        ("diff --git a/x b/x\n--- a/x\n+++ b/x\n", "its hunks are missing"),
        ("diff --git a/x b/x\n--- a/x\n", "its hunks are missing"),
        ("diff --git a/x b/x\n", "its hunks are missing"),
        ("diff --git a/x b/x\nnew file mode 100644\n", "its hunks are missing"),
        ("diff --git a/x b/x\ndeleted file mode 100644\n", "its hunks are missing"),
        ("diff --git a/x b/x\nindex 1111111..2222222 100644\n", "its hunks are missing"),
        ("diff --git a/x b/x\nindex e69de29..2222222 100644\n", "its hunks are missing"),
        ("diff --git a/x b/x\nindex 1111111..e69de29 100644\n", "its hunks are missing"),
        (edit().replace("1111111", "nothing"), "its index line cannot be read"),
        (edit().replace("1111111", "e69de29nothing"), "its index line cannot be read"),
        ("diff --git a/x b/x\nnew mode 100755\n", "its hunks are missing"),
        (
            "diff --git a/x b/x\nnew file mode 100644\nindex 1111111..e69de29\n",
            "its hunks are missing",
        ),
        (
            "diff --git a/x b/x\ndeleted file mode 100644\nindex e69de29..1111111\n",
            "its hunks are missing",
        ),
        (
            edit(hunks="").replace("+++ b/x", "Binary files a/x and b/x differ"),
            "its hunks are missing",
        ),
        ("diff --git a/x b/y\nold mode 100644\nnew mode 100755\n", "its name cannot be told"),
        ("diff --git q/x b/x\nold mode 100644\nnew mode 100755\n", "its name cannot be told"),
        ("diff --git a/x q/x\nold mode 100644\nnew mode 100755\n", "its name cannot be told"),
        (f"diff --git a/x b/other\n--- a/x\n{HUNK}", "its name cannot be told"),
        (f"diff --git a/x b/other\n+++ b/other\n{HUNK}", "its name cannot be told"),
        ("diff --git a/x b/x\nold mode 1\nnew mode 2\n", "its mode cannot be read"),
        (
            "diff --git a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\n",
            "its hunks are missing",
        ),
        ("diff --git a/x b/y\nsimilarity index 100%\nrename from x\n", "its hunks are missing"),
        (f"diff --git a/x b/y\nrename from x\n{HUNK}", "one of its rename lines"),
        ("diff --git a/x b/y\nsimilarity index 100%\ncopy to y\n", "one of its copy lines"),
        ("diff --git a/x b/other\nold mode 100644\nnew mode 100755\n", "its name cannot be told"),
        (edit().replace("+++ b/x", "+++ b/y"), "its header names two files"),
        (edit().replace("--- a/x", "--- a/y"), "its header names two files"),
        (edit().replace("index 1111111..2222222 100644", "new file mode 100644"), "its header"),
        (
            "diff --git a/x b/x\nnew file mode 100644\nindex 0000000..1111111\n"
            f"--- /dev/null\n+++ b/x\n{HUNK}",
            "a hunk has lines on a side where there is no file",
        ),
        (
            "diff --git a/x b/x\ndeleted file mode 100644\nindex 1111111..0000000\n"
            f"--- a/x\n+++ /dev/null\n{HUNK}",
            "a hunk has lines on a side where there is no file",
        ),
        (
            "diff --cc x\nindex 1,2..3\n--- a/x\n+++ b/x\n@@@ -1,1 -1,1 +1,1 @@@\n",
            "a combined diff",
        ),
        ("diff --combined x\nindex 1,2..3\n", "a combined diff"),
    ],
)
def test_damage_is_named_and_nothing_is_guessed(text: str, reason: str) -> None:
    (found,) = damage(text)
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (edit("sp ace")[:-1], "sp ace"),
        ('diff --git "a/caf\\303\\251" "b/caf\\303\\251"\n', "café"),
        ("diff --cc caf\r\n", "caf"),
        ('diff --combined "t\\tb"\n', "t\tb"),
        ("diff --git a/x b/other\n", "a/x b/other"),
        ("--- a/x\t2024\n+++ b/x\n@@ -1 +1 @@\n-a\n", "a/x"),
        ("<html>\n", ""),
    ],
)
def test_damage_is_named_by_its_path(text: str, path: str) -> None:
    assert [damaged.path for damaged in parse_diff(text.encode()).damaged] == [path]


@pytest.mark.parametrize(
    "broken",
    [
        edit("bad", "@@ -1,9 +1 @@\n-a\n+b\n"),
        "diff --cc bad\nindex 1,2..3\n--- a/bad\n+++ b/bad\n@@@ -1 -1 +1 @@@\n--a\n++b\n",
        "diff --git a/bad b/bad\n",
    ],
)
def test_a_damaged_file_costs_only_itself(broken: str) -> None:
    diff = parse_diff((edit("a") + broken + edit("z")).encode())
    assert [file.path for file in diff.files] == ["a", "z"]
    assert [damaged.path for damaged in diff.damaged] == ["bad"]


@pytest.mark.parametrize(
    "lost",
    [
        "+one more\n",
        "+++ b/y\nindex 1..2\n",
        f"index 1111111..2222222 100644\n--- a/y\n+++ b/y\n{HUNK}",
        "rename from y\nrename to z\n",
        "copy from y\ncopy to z\n",
        "old mode 100644\nnew mode 100755\n",
        "new file mode 100644\n",
        "deleted file mode 100644\n",
        "similarity index 90%\n",
        f"foreign\n{HUNK}",
        f"-- \n2.39\n{HUNK}",
    ],
)
@pytest.mark.parametrize(
    "whole", [edit(), "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n"]
)
def test_what_follows_a_whole_file_without_a_header_is_reported_beside_it(
    whole: str, lost: str
) -> None:
    diff = parse_diff((whole + lost).encode())
    assert diff.files == parse_diff(whole.encode()).files
    assert diff.damaged == (
        Damaged(path=diff.files[0].path, reason="text after its last hunk is not a hunk"),
    )


@pytest.mark.parametrize(
    "hunk",
    [
        "@@ -1,3 +1,2 @@\n+d\n a\n-b\n-c\n",
        "@@ -1 +1,4 @@\n-b\n+a\n+b\n+c\n+d\n",
        "@@ -1,4 +1,3 @@\n\n-b\n\r\n \n",
        "@@ -4,2 +3,0 @@\n-a\n-b\n",
        "@@ -3,0 +4,2 @@\n+a\n+b\n",
    ],
)
def test_a_whole_hunk_is_counted_right_though_something_strayed_after_it(hunk: str) -> None:
    diff = parse_diff((edit(hunks=hunk) + "+lost\n").encode())
    assert diff.files == (one(edit(hunks=hunk)),)
    assert [damaged.path for damaged in diff.damaged] == ["x"]
    two = edit(hunks=hunk + "@@ -8,2 +8,2 @@\n-a\n+b\n c\n")
    assert parse_diff((two + "+lost\n").encode()).files == (one(two),)


def test_hunks_may_touch() -> None:
    file = one(edit(hunks=f"{HUNK}@@ -2 +2 @@\n-a\n+b\n@@ -2,0 +3 @@\n+c\n"))
    assert [hunk.new_start for hunk in file.hunks] == [1, 2, 3]


def test_a_stray_hunk_header_does_not_cost_the_file_before_it() -> None:
    stray = "@@ -5,2 +5,2 @@\nindex 1111111..2222222 100644\n"
    diff = parse_diff((edit() + stray).encode())
    assert diff.files == (one(edit()),)
    assert [damaged.path for damaged in diff.damaged] == ["x"]


@pytest.mark.parametrize("cut", ["d", "diff --", "diff --git", "diff --git ", "diff --c"])
def test_the_beginning_of_a_next_file_does_not_cost_the_last_one(cut: str) -> None:
    diff = parse_diff((edit() + cut).encode())
    assert diff.files == (one(edit()),)
    assert diff.damaged == (Damaged(path="", reason="cut in the middle of a line"),)


@pytest.mark.parametrize(
    "whole",
    [
        "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
        "diff --git a/y b/x\nsimilarity index 100%\nrename from y\nrename to x\n",
        "diff --git a/y b/x\nsimilarity index 100%\ncopy from y\ncopy to x\n",
        "diff --git a/x b/x\nnew file mode 100644\nindex 0000000..e69de29\n",
        "diff --git a/x b/x\ndeleted file mode 100644\nindex e69de29..0000000\n",
    ],
)
@pytest.mark.parametrize(
    "stray",
    [
        "index 1111111..2222222 100644\n",
        "index 0000000..e69de29\n",
        "--- a/z\n",
        "+++ b/z\n",
        f"--- a/z\n+++ b/z\n{HUNK}",
        "Binary files a/z and b/z differ\n",
        "GIT binary patch\n",
        "similarity index 100%\n",
        "rename from z\n",
        "new file mode 100644\n",
        "old mode 100644\n",
    ],
)
def test_a_header_line_of_another_file_does_not_cost_a_file_without_hunks(
    whole: str, stray: str
) -> None:
    diff = parse_diff((whole + stray + "-gone\n").encode())
    assert diff.files == (one(whole),)
    assert [damaged.path for damaged in diff.damaged] == ["x"]


def test_a_change_of_mode_is_not_left_over_from_a_file_with_a_broken_hunk() -> None:
    broken = edit(hunks="@@ -1,9 +1 @@\n-a\n+b\n")
    head, index, rest = broken.partition("index 1111111..2222222")
    moded = f"{head}old mode 100644\nnew mode 100755\n{index}{rest.removeprefix(' 100644')}"
    assert damage(moded) == ["a hunk has not the lines that its header counts"]


def test_hunks_before_the_first_file_are_reported() -> None:
    diff = parse_diff(f" lost\n{HUNK}{edit()}".encode())
    assert [file.path for file in diff.files] == ["x"]
    assert diff.damaged == (Damaged(path="", reason="hunks before the first file"),)
    assert parse_diff(f"{HUNK}{edit()}".encode()).damaged == diff.damaged


def test_a_last_line_may_be_the_marker_without_its_newline() -> None:
    text = edit(hunks="@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file")
    assert not one(text).hunks[0].lines[-1].has_newline


# ---- parse_patch ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "previous", "expected"),
    [
        ("added", None, (None, "x", Status.ADDED)),
        ("removed", None, ("x", None, Status.DELETED)),
        ("modified", None, ("x", "x", Status.MODIFIED)),
        ("changed", None, ("x", "x", Status.MODIFIED)),
        ("unchanged", None, ("x", "x", Status.MODIFIED)),
        ("renamed", "y", ("y", "x", Status.RENAMED)),
        ("copied", "y", ("y", "x", Status.COPIED)),
        ("a new word", None, ("x", "x", Status.MODIFIED)),
    ],
)
def test_the_words_of_list_files_are_understood(
    status: str, previous: str | None, expected: tuple[str | None, str | None, Status]
) -> None:
    file = parse_patch(b"", status=status, filename="x", previous_filename=previous)
    assert isinstance(file, FileDiff)
    assert (file.old_path, file.new_path, file.status) == expected
    assert file.hunks == ()
    assert not file.is_submodule


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_patch_without_header_has_the_lines_of_the_diff(end: str) -> None:
    file = parse_patch((HUNK[:-1] + end).encode(), status="modified", filename='odd "x" b/y')
    assert isinstance(file, FileDiff)
    assert file.path == 'odd "x" b/y'
    assert file.hunks == one(edit()).hunks
    assert not file.is_submodule


def test_a_patch_of_a_submodule_is_told_by_its_line() -> None:
    commits = b"@@ -1 +1 @@\n-Subproject commit %s\n+Subproject commit %s"
    file = parse_patch(commits % (b"a" * 40, b"b" * 40), status="modified", filename="lib")
    assert isinstance(file, FileDiff)
    assert file.is_submodule


@pytest.mark.parametrize(
    "patch",
    [
        b"@@ -1,2 +1 @@\n-a\n+b",
        b"@@@ -1 -1 +1 @@@\n--a\n++b",
        b"not a patch",
        b"@@ -1 +1 @@\n-a\n+b\n+c",
        b"+a",
    ],
)
def test_a_broken_patch_is_named(patch: bytes) -> None:
    file = parse_patch(patch, status="modified", filename="x")
    assert isinstance(file, Damaged)
    assert file.path == "x"


# ---- hunk_key ------------------------------------------------------------------------------------


def key(hunks: str, name: str = "x") -> str:
    file = one(edit(name, hunks))
    return hunk_key(file, file.hunks[0])


def test_a_hunk_keeps_its_key_over_a_rebase() -> None:
    before = key("@@ -1,2 +1,2 @@ f\n context\n-old\n+new\n")
    assert before == key("@@ -80,2 +95,2 @@ g\n-old\n+new\n other\n")
    assert len(before) == 16


@pytest.mark.parametrize(
    "other",
    [
        "@@ -1 +1 @@\n-old\n+newer\n",
        "@@ -1 +1 @@\n-new\n+old\n",
        "@@ -1 +1,2 @@\n-old\n+n\n+ew\n",
        "@@ -1 +1 @@\n-old\n+new\n\\ No newline at end of file\n",
        "@@ -1 +1 @@\n-old\n\\ No newline at end of file\n+new\n",
        "@@ -1 +1,2 @@\n-old\n+new\n+\n",
    ],
)
def test_another_change_has_another_key(other: str) -> None:
    assert key(HUNK) != key(other)


def test_the_same_change_in_another_file_has_another_key() -> None:
    assert key(HUNK) != key(HUNK, name="y")
