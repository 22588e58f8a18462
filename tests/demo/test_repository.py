"""Real git underneath: deterministic commits, diffs in GitHub's form, names as they are."""

from pathlib import Path

import pytest

from app.demo.repository import Entry, Files, GitRepository

LINES = "".join(f"{number}\n" for number in range(1, 31))


def two_commits(path: Path, before: Files, after: Files) -> tuple[GitRepository, str, str]:
    git = GitRepository.create(path)
    base = git.commit("refs/heads/main", before, parent=None, message="Begin")
    return git, base, git.commit("refs/heads/work", after, parent=base, message="Work")


def test_the_same_files_make_the_same_shas(tmp_path: Path) -> None:
    one = two_commits(tmp_path / "one", {"a": "1\n"}, {"a": "2\n"})
    other = two_commits(tmp_path / "other", {"a": "1\n"}, {"a": "2\n"})
    assert one[1:] == other[1:]


@pytest.mark.parametrize(
    "name",
    [
        "plain.py",
        "with space.py",
        "é ü.txt",
        'quo"te\\.txt',
        "a b/c b/d.txt",
        "line\nbreak",
        "*.py",
    ],
)
def test_every_name_arrives_as_it_is(tmp_path: Path, name: str) -> None:
    git, base, head = two_commits(tmp_path / "r", {"x": "1\n"}, {name: "content\n"})
    [change] = git.changes(base, head)
    assert (change.path, change.status, change.additions) == (name, "added", 1)
    entry = git.entry(head, name)
    assert entry is not None
    assert git.blob(entry.sha) == b"content\n"


@pytest.mark.parametrize(
    ("before", "after", "status", "has_patch"),
    [
        ({"a": LINES}, {"a": None, "b": LINES}, "renamed", False),
        ({"a": LINES}, {"a": None, "b": LINES + "more\n"}, "renamed", True),
        ({"a": LINES}, {"a": None}, "removed", True),
        ({"a": LINES}, {"b": ""}, "added", False),
        ({"a": LINES}, {"a": Entry(LINES.encode(), "100755")}, "modified", False),
        ({"a": b"\0\1"}, {"a": b"\0\2"}, "modified", False),
        ({"a": LINES}, {"a": Entry(b"b", "120000")}, "changed", True),
    ],
)
def test_a_change_has_githubs_status_and_a_patch_only_where_lines_changed(
    tmp_path: Path, before: Files, after: Files, status: str, has_patch: bool
) -> None:
    git, base, head = two_commits(tmp_path / "r", before, after)
    [change] = git.changes(base, head)
    assert (change.status, change.patch is not None) == (status, has_patch)


def test_only_lines_in_a_hunk_are_found(tmp_path: Path) -> None:
    git, base, head = two_commits(
        tmp_path / "r", {"a": LINES}, {"a": LINES.replace("10\n", "ten\nand more\n", 1)}
    )
    [change] = git.changes(base, head)
    right = [line for line in range(1, 40) if change.find("RIGHT", line)]
    left = [line for line in range(1, 40) if change.find("LEFT", line)]
    assert (right, left) == (list(range(7, 15)), list(range(7, 14)))


def test_content_that_looks_like_a_header_does_not_split_a_file(tmp_path: Path) -> None:
    tricky = "-- a/b\ndiff --git a/x b/x\n@@ -1 +1 @@\n++ c\r\f\u2028end"
    git, base, head = two_commits(
        tmp_path / "r", {"a": tricky, "z": "1\n"}, {"a": None, "z": "2\n"}
    )
    removed, changed = git.changes(base, head)
    assert (removed.path, removed.deletions, changed.path) == ("a", 4, "z")


@pytest.mark.parametrize(
    ("line", "now"),
    [(1, 1), (10, None), (13, 14), (14, 15), (30, 31)],
)
def test_a_line_is_followed_through_a_change(tmp_path: Path, line: int, now: int | None) -> None:
    git, base, head = two_commits(
        tmp_path / "r", {"a": LINES}, {"a": LINES.replace("10\n", "ten\nand more\n", 1)}
    )
    [change] = git.changes(base, head)
    assert change.follow(line) == now


def test_a_name_that_looks_like_an_option_is_no_commit(tmp_path: Path) -> None:
    git, _, head = two_commits(tmp_path / "r", {"a": "1\n"}, {"a": "2\n"})
    assert git.resolve("--all") is None
    assert git.resolve("nowhere") is None
    assert git.resolve(head[:10]) == git.resolve("work") == head
