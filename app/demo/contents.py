"""What is read of a repository: files, trees, comparisons, collaborators and pull requests."""

import posixpath
from dataclasses import replace

from app.demo import pull_shapes, shapes
from app.demo.call import Answer, Call, NotFound, Refused, Route, page_asked, paged
from app.demo.diffs import FileChange
from app.demo.records import Repository
from app.demo.repository import TreeEntry
from app.demo.shapes import Json
from app.demo.state import State

TREE_ENTRIES_MAX = 100_000
LISTED_FILES_MAX = 3_000
# Later files of a large page come without their patch (openjdk/skara#1302).
PATCHES_PER_PAGE = 70
DIFF_FILES_MAX = 300
DIFF_LINES_MAX = 20_000
DIFF_BYTES_MAX = 1_000_000

_SYMLINK = "120000"


def get_repository(call: Call) -> Answer:
    return Answer(content=shapes.full_repository(call.state, call.repository))


def get_permission(call: Call) -> Answer:
    login = call.params["login"]
    if login not in call.state.people:
        raise NotFound
    return Answer(content=shapes.permission(call.state, call.repository, login))


def get_contents(call: Call) -> Answer:
    """A file as it is, the only form that the App asks for; a symlink to one is followed."""
    if not call.wants("raw"):
        raise Refused(415, "The stand-in has contents in their raw form only.")
    git, path = call.repository.git, call.params["path"].strip("/")
    ref = call.query.get("ref", call.repository.default_branch)
    commit = git.resolve(ref)
    if commit is None:
        raise Refused(404, f"No commit found for the ref {ref}")
    entry = git.entry(commit, path)
    if entry is not None and entry.mode == _SYMLINK:
        target = (git.blob(entry.sha) or b"").decode("utf-8", "replace")
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        followed = None if beside.startswith(("/", "..")) else git.entry(commit, beside)
        entry = followed if followed and followed.mode != _SYMLINK else entry
    data = git.blob(entry.sha) if entry is not None else None
    if data is None:
        raise NotFound
    return Answer(content=data, media_type="application/vnd.github.raw; charset=utf-8")


def get_tree(call: Call) -> Answer:
    repository, sha = call.repository, call.params["sha"]
    commit = repository.git.resolve(sha)
    if commit is None:
        raise NotFound
    git = repository.git
    entries = git.everything(commit) if "recursive" in call.query else git.root(commit)
    shape: Json = {
        "sha": sha,
        "url": f"{shapes.repository_url(call.state, repository)}/git/trees/{sha}",
        "tree": [_tree_entry(call.state, repository, it) for it in entries[:TREE_ENTRIES_MAX]],
        "truncated": len(entries) > TREE_ENTRIES_MAX,
    }
    return Answer(content=shape)


def compare(call: Call) -> Answer:
    base_name, dots, head_name = call.params["basehead"].partition("...")
    repository, git = call.repository, call.repository.git
    base, head = _end(repository, base_name), _end(repository, head_name)
    merge_base = git.merge_base(base, head) if base and head else None
    if not dots or base is None or head is None or merge_base is None:
        raise NotFound
    if call.wants("diff"):
        return _diff(repository, merge_base, head)
    ahead, behind = git.commits(base, head), git.commits(head, base)
    size, page = page_asked(call)
    shown = ahead[(page - 1) * size : page * size] if "page" in call.query else ahead[:250]
    changes = git.changes(merge_base, head)[:DIFF_FILES_MAX] if page == 1 else ()
    url = f"{shapes.repository_url(call.state, repository)}/compare/{base_name}...{head_name}"
    html = f"{shapes.HTML}/{repository.full_name}/compare/{base_name}...{head_name}"
    names = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind"}
    shape: Json = {
        "url": url,
        "html_url": html,
        "permalink_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": shapes.commit(call.state, repository, git.describe(base)),
        "merge_base_commit": shapes.commit(call.state, repository, git.describe(merge_base)),
        "status": names.get((bool(ahead), bool(behind)), "identical"),
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [shapes.commit(call.state, repository, git.describe(sha)) for sha in shown],
        "files": [shapes.file_change(call.state, repository, head, change) for change in changes],
    }
    return Answer(content=shape)


def get_pull(call: Call) -> Answer:
    if call.wants("diff"):
        return _diff(call.repository, call.pull.merge_base(), call.pull.head_sha)
    return Answer(content=pull_shapes.pull_full(call.state, call.pull))


def list_files(call: Call) -> Answer:
    pull = call.pull
    size, _ = page_asked(call)
    listed = [
        replace(change, hunks=()) if index % size >= PATCHES_PER_PAGE else change
        for index, change in enumerate(pull.changes()[:LISTED_FILES_MAX])
    ]

    def shape(change: FileChange) -> shapes.Json:
        return shapes.file_change(call.state, pull.repository, pull.head_sha, change)

    return paged(call, listed, shape)


def _diff(repository: Repository, merge_base: str, head: str) -> Answer:
    """The diff as text, or 406 where it is larger than GitHub shows."""
    diff = repository.git.diff(merge_base, head)
    files, lines = len(repository.git.changes(merge_base, head)), diff.count(b"\n")
    for what, much, most in (
        ("number of files", files, DIFF_FILES_MAX),
        ("number of lines", lines, DIFF_LINES_MAX),
        ("number of bytes", len(diff), DIFF_BYTES_MAX),
    ):
        if much > most:
            raise Refused(
                406,
                f"Sorry, the diff exceeded the maximum {what} ({most}). Consider using 'List pull "
                "requests files' API or locally cloning the repository instead.",
                errors=[{"resource": "PullRequest", "field": "diff", "code": "too_large"}],
            )
    return Answer(content=diff, media_type="application/vnd.github.diff; charset=utf-8")


def _tree_entry(state: State, repository: Repository, entry: TreeEntry) -> Json:
    part = "trees" if entry.kind == "tree" else "blobs"
    return {
        "path": entry.path,
        "mode": entry.mode,
        "type": entry.kind,
        "sha": entry.sha,
        **({"size": entry.size} if entry.kind == "blob" else {}),
        "url": f"{shapes.repository_url(state, repository)}/git/{part}/{entry.sha}",
    }


def _end(repository: Repository, name: str) -> str | None:
    """One end of a comparison: a branch, a sha, or `user:branch` in a fork."""
    owner, colon, branch = name.partition(":")
    if not colon:
        return repository.git.resolve(name)
    ref = "refs/heads" if owner == repository.owner else f"refs/forks/{owner}"
    return repository.git.resolve(f"{ref}/{branch}")


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    Route("GET", _REPO, get_repository, "metadata=read"),
    Route("GET", _REPO + "/collaborators/{login}/permission", get_permission, "metadata=read"),
    Route("GET", _REPO + "/contents/{path:path}", get_contents, "contents=read"),
    Route("GET", _REPO + "/git/trees/{sha}", get_tree, "contents=read"),
    Route("GET", _REPO + "/compare/{basehead:path}", compare, "contents=read"),
    Route("GET", _REPO + "/pulls/{number}", get_pull, "pull_requests=read"),
    Route("GET", _REPO + "/pulls/{number}/files", list_files, "pull_requests=read"),
)
