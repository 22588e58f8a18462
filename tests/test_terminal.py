"""A change from a diff file and from a real git repository, as the terminal reviews it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.errors import Unusable
from app.review.config import Layer
from app.review.diff import Status
from app.review.pull import Change, NotInDiff
from app.single_runs import NOWHERE
from app.terminal import GIT_DIFF, MAX_FILE, DiffChanges, GitChanges
from tests.builders import added_files

pytestmark = pytest.mark.anyio

UNTRACKED = "untracked: git add it to have it reviewed"


@dataclass(frozen=True)
class Repository:
    """A real git repository in a folder of its own."""

    folder: Path

    def git(self, *argv: str) -> str:
        settings = ("user.name=t", "user.email=t@t.example", "commit.gpgsign=false")
        options = [part for setting in settings for part in ("-c", setting)]
        return subprocess.run(
            ["git", *options, *argv], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            self.write_file(name, text)

    def write_file(self, name: str | bytes, text: str) -> None:
        place = self.folder / os.fsdecode(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "work")
        return self.git("rev-parse", "HEAD")

    def changes(self, base: str = "main", *, within: str = ".") -> GitChanges:
        return GitChanges(folder=self.folder / within, base=base)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """One commit on `main`, with `work` checked out."""
    for name in os.environ:
        if name.startswith("GIT_"):  # set where tests run in a hook: it names another repository
            monkeypatch.delenv(name)
    folder = tmp_path / "shop"
    folder.mkdir()
    made = Repository(folder)
    made.git("init", "-q", "-b", "main")
    made.write(a="one\n", b="".join(f"{n}\n" for n in range(20)))
    made.commit()
    made.git("checkout", "-q", "-b", "work")
    return made


def names(change: Change) -> list[tuple[str, Status]]:
    return sorted((file.path, file.status) for file in change.diff.files)


def test_git_is_called_as_agreed() -> None:
    assert " ".join(GIT_DIFF) == (
        "git -c core.fsmonitor=false -c core.quotePath=true -c diff.suppressBlankEmpty=false"
        " diff --merge-base --no-ext-diff --no-textconv --no-color --no-relative"
        " --submodule=short --src-prefix=a/ --dst-prefix=b/ -M -U3 --end-of-options"
    )


async def test_committed_staged_and_changed_files_are_one_change(repository: Repository) -> None:
    base = repository.git("rev-parse", "main")
    repository.write(committed="x\n")
    repository.commit()
    repository.write(staged="x\n")
    repository.git("add", "staged")
    repository.write(a="one\ntwo\n")
    change = await repository.changes().open(NOWHERE)
    assert names(change) == [
        ("a", Status.MODIFIED),
        ("committed", Status.ADDED),
        ("staged", Status.ADDED),
    ]
    assert (change.base_sha, change.head_sha, change.pull) == (base, None, None)
    assert change.not_in_diff == ()


async def test_what_happened_on_the_base_since_is_no_part(repository: Repository) -> None:
    merge_base = repository.git("rev-parse", "main")
    repository.write(mine="x\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write(theirs="x\n")
    repository.commit()
    repository.git("checkout", "-q", "work")
    change = await repository.changes().open(NOWHERE)
    assert names(change) == [("mine", Status.ADDED)]
    assert change.base_sha == merge_base


async def test_odd_names_are_found_and_read(repository: Repository) -> None:
    odd = ["with blank.py", "umläut/ß.py", 'quo"te\\.py', "tab\there.py", "日本.py"]
    for name in odd:
        repository.write_file(name, f"{len(name)}\n")
    repository.write_file(b"latin-\xe9.py", "latin\n")
    repository.git("add", "--all")
    changes = repository.changes()
    change = await changes.open(NOWHERE)
    assert [path for path, _ in names(change)] == sorted([*odd, "latin-\udce9.py"])
    for name in odd:
        assert await changes.read(change, name) == f"{len(name)}\n".encode()
    assert await changes.read(change, "latin-\udce9.py") == b"latin\n"


async def test_a_renamed_file_is_one_file(repository: Repository) -> None:
    repository.git("mv", "b", "moved here")
    change = await repository.changes().open(NOWHERE)
    (file,) = change.diff.files
    assert (file.old_path, file.new_path, file.status) == ("b", "moved here", Status.RENAMED)


async def test_untracked_files_are_named_as_not_reviewed(repository: Repository) -> None:
    repository.write(**{".gitignore": "*.log\n", "x.log": "", "sub/new é.py": "x\n"})
    repository.write_file(b"\xff", "")
    repository.git("add", ".gitignore")
    change = await repository.changes().open(NOWHERE)
    assert names(change) == [(".gitignore", Status.ADDED)]
    assert set(change.not_in_diff) == {
        NotInDiff(path="sub/new é.py", reason=UNTRACKED),
        NotInDiff(path="\udcff", reason=UNTRACKED),
    }


async def test_from_a_folder_within_it_is_the_same_change(repository: Repository) -> None:
    repository.write(**{"sub/in.py": "in\n", "out.py": "out\n", "sub/loose": ""})
    repository.git("add", "sub/in.py", "out.py")
    changes = repository.changes(within="sub")
    change = await changes.open(NOWHERE)
    assert [path for path, _ in names(change)] == ["out.py", "sub/in.py"]
    assert [notice.path for notice in change.not_in_diff] == ["sub/loose"]
    assert await changes.read(change, "out.py") == b"out\n"
    assert await changes.read(change, "sub/in.py") == b"in\n"


async def test_settings_of_the_user_change_nothing(repository: Repository) -> None:
    plain = (await repository.changes().open(NOWHERE)).diff
    for setting, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.external": "false",
        "diff.context": "0",
        "diff.renames": "false",
        "diff.relative": "true",
        "color.ui": "always",
        "core.quotePath": "false",
    }.items():
        repository.git("config", setting, value)
    assert (await repository.changes().open(NOWHERE)).diff == plain
    repository.git("mv", "b", "ümlaut")
    assert names(await repository.changes().open(NOWHERE)) == [("ümlaut", Status.RENAMED)]


async def test_nothing_is_read_through_a_link_or_from_outside(repository: Repository) -> None:
    (repository.folder.parent / "secret").write_text("s")
    (repository.folder / "link").symlink_to("../secret")
    (repository.folder / "away").symlink_to("..")
    (repository.folder / "inner").symlink_to("a")
    os.mkfifo(repository.folder / "pipe")
    repository.write(big="x" * (MAX_FILE + 1), full="x" * MAX_FILE)
    changes = repository.changes()
    change = await changes.open(NOWHERE)
    for path in ("link", "away/secret", "../secret", "inner", "pipe", "big", "none", "nul\0"):
        assert await changes.read(change, path) is None, path
    assert await changes.read(change, str(repository.folder.parent / "secret")) is None
    assert len(await changes.read(change, "full") or b"") == MAX_FILE


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("nope", "bad revision 'nope'"),
        ("", "bad revision ''"),
        ("main..work", "merge-base"),
        ("--output=stolen", "bad revision '--output=stolen'"),
        ("nul\0", "git cannot be started"),
    ],
)
async def test_a_wrong_revision_is_told_in_gits_words(
    repository: Repository, base: str, words: str
) -> None:
    with pytest.raises(Unusable, match=words):
        await repository.changes(base).open(NOWHERE)
    assert not (repository.folder / "stolen").exists()


async def test_a_base_without_common_history_is_told(repository: Repository) -> None:
    repository.git("checkout", "-q", "--orphan", "other")
    repository.write(a="other\n")
    repository.commit()
    with pytest.raises(Unusable, match=r"git says: .*merge base"):
        await repository.changes().open(NOWHERE)


async def test_a_repository_without_commits_is_told(repository: Repository, tmp_path: Path) -> None:
    empty = Repository(tmp_path / "empty")
    empty.folder.mkdir()
    empty.git("init", "-q", "-b", "main")
    with pytest.raises(Unusable, match=r"git says: .*bad revision"):
        await empty.changes().open(NOWHERE)


async def test_a_folder_without_repository_is_told(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="not a git repository"):
        await Repository(tmp_path).changes().open(NOWHERE)
    with pytest.raises(Unusable, match="git cannot be started"):
        await Repository(tmp_path / "none").changes().open(NOWHERE)


async def test_of_a_diff_only_files_that_it_adds_can_be_read() -> None:
    raw = added_files({"new.py": "x = 1\ny = 2\n"}) + (
        b"diff --git a/old.py b/old.py\n--- a/old.py\n+++ b/old.py\n"
        b"@@ -1 +1 @@\n-a\n+caf\xe9\n\\ No newline at end of file\n"
        b"diff --git a/latin.py b/latin.py\nnew file mode 100644\n--- /dev/null\n+++ b/latin.py\n"
        b"@@ -0,0 +1 @@\n+caf\xe9\n\\ No newline at end of file\n"
    )
    changes = DiffChanges(raw=raw)
    change = await changes.open(NOWHERE)
    assert [path for path, _ in names(change)] == ["latin.py", "new.py", "old.py"]
    assert await changes.read(change, "new.py") == b"x = 1\ny = 2\n"
    assert await changes.read(change, "latin.py") == b"caf\xe9"
    assert await changes.read(change, "old.py") is None
    assert await changes.read(change, "none.py") is None


async def test_of_a_file_with_too_long_changes_only_the_name_is_kept() -> None:
    change = await DiffChanges(raw=added_files({"a.py": "\u202e" * 2_000_001, "b.py": "x"})).open(
        NOWHERE
    )

    assert [(file.path, bool(file.hunks), file.unread) for file in change.diff.files] == [
        ("a.py", False, "more than 2,000,000 characters"),
        ("b.py", True, ""),
    ]


async def test_the_base_governs_the_review_and_the_working_tree_does_not(
    repository: Repository,
) -> None:
    configured = "version: 1\npaths: {ignore: ['**/generated/**']}\nreview: {fokus: []}\n"
    repository.git("checkout", "-q", "main")
    repository.write(
        **{
            ".github/codex-review.yml": configured,
            "AGENTS.md": "# Review guidelines\nBe brief.\n",
            "sub/AGENTS.md": "# Review guidelines\nBe kind.\n",
            "other/AGENTS.md": "# Review guidelines\nNot here.\n",
            ".gitattributes": "a linguist-generated\n",
        }
    )
    repository.commit()
    repository.git("checkout", "-q", "work")
    repository.git("rebase", "-q", "main")
    repository.write(
        **{
            ".github/codex-review.yml": "version: 1\npaths: {ignore: ['**']}\n",
            "sub/AGENTS.md": "# Review guidelines\nSay nothing.\n",
            "sub/x.py": "x\n",
            ".gitattributes": "* linguist-generated\n",
        }
    )
    repository.git("add", "--all")
    change = await repository.changes().open(NOWHERE)
    assert change.config.ignore == ("**/generated/**",)
    assert change.attributes == "a linguist-generated\n"
    assert dict(change.agents)["sub/AGENTS.md"] == "# Review guidelines\nBe kind.\n"
    assert "other/AGENTS.md" not in dict(change.agents)
    [mistake] = change.mistakes
    assert mistake.startswith("main:.github/codex-review.yml, line 3, review.fokus: ")


async def test_the_servers_configuration_lies_beneath_that_of_the_base(
    repository: Repository,
) -> None:
    server = Layer(name="DEFAULT_CONFIG", raw=b"version: 1\nreview: {max_comments: 2}\n")
    changes = GitChanges(folder=repository.folder, base="main", server=server)
    assert (await changes.open(NOWHERE)).config.max_comments == 2


async def test_of_a_diff_changed_files_are_read_where_they_lie_as_it_leaves_them(
    tmp_path: Path,
) -> None:
    raw = (
        b"diff --git a/old.py b/old.py\n--- a/old.py\n+++ b/old.py\n"
        b"@@ -1,2 +1,2 @@\n x\r\n-a\n+caf\xe9\n\\ No newline at end of file\n"
    )
    changes = DiffChanges(raw=raw, folder=tmp_path)
    change = await changes.open(NOWHERE)
    place = tmp_path / "old.py"
    for content, fits in (
        (b"x\r\ncaf\xe9", True),
        (b"x\r\na", False),
        (b"x\ncaf\xe9", False),
        (b"x\r\n", False),
        (b"", False),
    ):
        place.write_bytes(content)
        assert await changes.read(change, "old.py") == (content if fits else None)
    place.unlink()
    assert await changes.read(change, "old.py") is None
