"""Real git repositories: commits from dicts of files, and the diffs that GitHub would make of them.

Knows git's command line and nothing of GitHub. All calls block; shas depend on contents only.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from app.demo.diffs import FileChange, parse_changes

AUTHOR = "Stand-in <standin@example.com>"
FIRST_COMMIT_AT = 1_767_225_600  # 2026-01-01T00:00:00Z; each commit is a minute after the last


class Entry(NamedTuple):
    """A file with its mode: 100755, or 120000 for a symlink (the content is its target)."""

    content: bytes
    mode: str = "100644"


Files = Mapping[str, str | bytes | Entry | None]
"""Path to content; None removes the file."""


class TreeEntry(NamedTuple):
    mode: str
    kind: str
    sha: str
    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    at: int
    message: str


class GitRepository:
    """One bare repository on disk. What was read is remembered until the next commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[tuple[str, ...], bytes | None] = {}
        self._changes: dict[tuple[str, str], tuple[FileChange, ...]] = {}
        self._commits_made = 0

    @classmethod
    def create(cls, path: Path) -> "GitRepository":
        path.mkdir(parents=True)
        repository = cls(path)
        repository._run("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        return repository

    def commit(
        self, ref: str, files: Files, *, parent: str | None, message: str, also: str | None = None
    ) -> str:
        """Put a commit on `ref` (and `also`), wherever that pointed before, and give its sha."""
        at = FIRST_COMMIT_AT + 60 * self._commits_made
        self._commits_made += 1
        stream = [
            f"reset {ref}\ncommit {ref}\nmark :1\ncommitter {AUTHOR} {at} +0000\n".encode(),
            _data(message.encode()),
            f"from {parent}\n".encode() if parent else b"",
            *(_fast_import_line(path, content) for path, content in files.items()),
            f"reset {also}\nfrom :1\n".encode() if also else b"",
            b"get-mark :1\ndone\n",
        ]
        keep_packed = ("-c", "fastimport.unpackLimit=1")
        command = (*keep_packed, "fast-import", "--quiet", "--force", "--done")
        sha = self._run(*command, stdin=b"".join(stream)).decode().strip()
        self._read.clear()
        return sha

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, a full ref or a (short) sha names."""
        if not name or name.startswith("-"):
            return None
        for candidate in (f"refs/heads/{name}", name):
            found = self._try("rev-parse", "--verify", "--quiet", candidate + "^{commit}")
            if found is not None:
                return found.decode().strip()
        return None

    def sha(self, name: str) -> str:
        """The same, for a name that must be there."""
        found = self.resolve(name)
        if found is None:
            raise ValueError(f"no commit {name!r} in {self.path}")
        return found

    def merge_base(self, base: str, head: str) -> str | None:
        found = self._try("merge-base", base, head)
        return found.decode().strip() if found else None

    def commits(self, base: str, head: str) -> list[str]:
        """The shas that head has and base has not, oldest first."""
        return self._look("rev-list", "--reverse", f"{base}..{head}").decode().split()

    def describe(self, sha: str) -> Commit:
        out = self._look("show", "--no-patch", "--format=%T%n%P%n%ct%n%B", sha).decode()
        tree, parents, at, message = out.split("\n", 3)
        return Commit(
            sha=sha,
            tree=tree,
            parents=tuple(parents.split()),
            at=int(at),
            message=message.strip(),
        )

    def diff(self, base: str, head: str) -> bytes:
        """The diff between two commits, as GitHub prints it."""
        return self._look("diff", "--no-color", "--no-ext-diff", "-M", "-U3", base, head)

    def changes(self, base: str, head: str) -> tuple[FileChange, ...]:
        key = (base, head)
        if key not in self._changes:
            raw = self._look("diff", "--raw", "-z", "--no-abbrev", "-M", base, head)
            self._changes[key] = parse_changes(raw, self.diff(base, head))
        return self._changes[key]

    def entry(self, commit: str, path: str) -> TreeEntry | None:
        """What lies at a path beneath the root, itself and not its contents."""
        return next(iter(self._ls_tree(commit, path)), None) if path else None

    def root(self, commit: str) -> list[TreeEntry]:
        return self._ls_tree(commit)

    def everything(self, commit: str) -> list[TreeEntry]:
        """All files and folders beneath the root."""
        return self._ls_tree(commit, options=("-r", "-t"))

    def blob(self, sha: str) -> bytes | None:
        return None if sha.startswith("-") else self._try("cat-file", "blob", sha)

    def _ls_tree(self, commit: str, *paths: str, options: tuple[str, ...] = ()) -> list[TreeEntry]:
        out = self._look("ls-tree", "-z", "--long", *options, commit, "--", *paths)
        entries = []
        for record in out.decode("utf-8", "surrogateescape").split("\0")[:-1]:
            head, path = record.split("\t", 1)
            mode, kind, sha, size = head.split()
            entries.append(TreeEntry(mode, kind, sha, path, 0 if size == "-" else int(size)))
        return entries

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            ["git", *arguments],
            input=stdin,
            capture_output=True,
            check=True,
            cwd=self.path,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "LC_ALL": "C",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_LITERAL_PATHSPECS": "1",
                "GIT_DIR": str(self.path),
            },
        )
        return done.stdout

    def _look(self, *arguments: str) -> bytes:
        found = self._try(*arguments)
        if found is None:
            raise ValueError(f"git {' '.join(arguments)} failed in {self.path}")
        return found

    def _try(self, *arguments: str) -> bytes | None:
        if arguments not in self._read:
            try:
                self._read[arguments] = self._run(*arguments)
            except subprocess.CalledProcessError:
                self._read[arguments] = None
        return self._read[arguments]


def _fast_import_line(path: str, content: str | bytes | Entry | None) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    name = f'"{escaped}"'.encode("utf-8", "surrogateescape")
    match content:
        case None:
            return b"D " + name + b"\n"
        case Entry(content=data, mode=mode):
            return f"M {mode} inline ".encode() + name + b"\n" + _data(data)
        case str():
            return b"M 100644 inline " + name + b"\n" + _data(content.encode())
        case _:
            return b"M 100644 inline " + name + b"\n" + _data(content)


def _data(data: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(data), data)
