"""Repositories and what is in them: files, directories, blobs, comparisons, collaborators."""

import base64
import posixpath
from urllib.parse import quote

from app.demo import shapes
from app.demo.call import Answer, Call, NotFound, Refused, Route, page_asked, paged
from app.demo.records import Repository
from app.demo.repository import TreeEntry
from app.demo.shapes import Json
from app.demo.state import State

CONTENTS_MAX_BYTES = 1_000_000  # above it the JSON form has no content
TREE_ENTRIES_MAX = 100_000
DIFF_FILES_MAX = 300
DIFF_LINES_MAX = 20_000
DIFF_BYTES_MAX = 1_000_000

_KINDS = {"tree": "dir", "blob": "file", "commit": "submodule"}
_SYMLINK = "120000"


def get_repository(call: Call) -> Answer:
    return Answer(content=shapes.full_repository(call.state, call.repository))


def list_repositories(call: Call) -> Answer:
    found = call.state.repositories_of(call.token) if call.token else []
    return paged(call, found, lambda r: shapes.repository(call.state, r), under="repositories")


def get_permission(call: Call) -> Answer:
    login = call.params["login"]
    if login not in call.state.people:
        raise NotFound
    return Answer(content=shapes.permission(call.state, call.repository, login))


def get_contents(call: Call) -> Answer:
    repository, path = call.repository, call.params["path"].strip("/")
    ref = call.query.get("ref", repository.default_branch)
    commit = repository.git.resolve(ref)
    if commit is None:
        raise Refused(404, f"No commit found for the ref {ref}")
    entry = repository.git.entry(commit, path)
    if entry is None:
        raise NotFound
    if entry.kind == "tree":
        entries = repository.git.listing(commit, path)
        return Answer(content=[_entry(call.state, repository, ref, item) for item in entries])
    target = None
    if entry.mode == _SYMLINK:
        target = _text(repository, entry.sha)
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        inside = not beside.startswith(("/", ".."))
        followed = repository.git.entry(commit, beside) if inside else None
        if followed is not None and followed.kind == "blob" and followed.mode != _SYMLINK:
            entry, target = followed._replace(path=path), None
    if call.wants("raw"):
        data = repository.git.blob(entry.sha)
        return Answer(content=data or b"", media_type="application/vnd.github.raw; charset=utf-8")
    shape = _entry(call.state, repository, ref, entry)
    if target is not None:
        return Answer(content={**shape, "type": "symlink", "target": target})
    if entry.kind == "commit":
        return Answer(content={**shape, "submodule_git_url": None})
    return Answer(content={**shape, **_encoded(repository, entry.sha, CONTENTS_MAX_BYTES)})


def get_blob(call: Call) -> Answer:
    sha = call.params["sha"]
    data = call.repository.git.blob(sha)
    if data is None:
        raise NotFound
    if call.wants("raw"):
        return Answer(content=data, media_type="application/vnd.github.raw; charset=utf-8")
    shape: Json = {
        "sha": sha,
        "node_id": f"B_{sha}",
        "url": f"{shapes.repository_url(call.state, call.repository)}/git/blobs/{sha}",
        "size": len(data),
        "encoding": "base64",
        "content": base64.encodebytes(data).decode(),
    }
    return Answer(content=shape)


def get_tree(call: Call) -> Answer:
    repository, sha = call.repository, call.params["sha"]
    commit = repository.git.resolve(sha)
    if commit is None:
        raise NotFound
    git = repository.git
    entries = git.everything(commit) if "recursive" in call.query else git.listing(commit, "")
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
        return diff_answer(repository, merge_base, head)
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


def diff_answer(repository: Repository, merge_base: str, head: str) -> Answer:
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


def get_rate_limit(call: Call) -> Answer:
    core = {"limit": 5000, "used": 0, "remaining": 5000, "reset": int(call.state.now()) + 3600}
    named = {"core": core, "search": {**core, "limit": 30, "remaining": 30}, "graphql": core}
    return Answer(content={"resources": named, "rate": core})


def _entry(state: State, repository: Repository, ref: str, entry: TreeEntry) -> Json:
    api, html = shapes.repository_url(state, repository), f"{shapes.HTML}/{repository.full_name}"
    path = quote(entry.path, errors="surrogateescape")
    url = f"{api}/contents/{path}?ref={quote(ref)}"
    kind = "symlink" if entry.mode == _SYMLINK else _KINDS[entry.kind]
    part = "trees" if kind == "dir" else "blobs"
    git_url, html_url = f"{api}/git/{part}/{entry.sha}", f"{html}/blob/{quote(ref)}/{path}"
    return {
        "type": kind,
        "name": posixpath.basename(entry.path),
        "path": entry.path,
        "sha": entry.sha,
        "size": entry.size,
        "url": url,
        "git_url": git_url,
        "html_url": html_url,
        "download_url": f"{html}/raw/{quote(ref)}/{path}" if kind == "file" else None,
        "_links": {"self": url, "git": git_url, "html": html_url},
    }


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


def _encoded(repository: Repository, sha: str, most: int) -> Json:
    data = repository.git.blob(sha) or b""
    if len(data) > most:
        return {"encoding": "none", "content": ""}
    return {"encoding": "base64", "content": base64.encodebytes(data).decode()}


def _text(repository: Repository, sha: str) -> str:
    return (repository.git.blob(sha) or b"").decode("utf-8", "replace")


def _end(repository: Repository, name: str) -> str | None:
    """One end of a comparison: a branch, a sha, or `user:branch` in a fork."""
    owner, colon, branch = name.partition(":")
    if not colon:
        return repository.git.resolve(name)
    ref = "refs/heads" if owner == repository.owner else f"refs/forks/{owner}"
    return repository.git.resolve(f"{ref}/{branch}")


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    Route("GET", "/rate_limit", get_rate_limit, ""),
    Route("GET", "/installation/repositories", list_repositories, ""),
    Route("GET", _REPO, get_repository, "metadata=read"),
    Route("GET", _REPO + "/collaborators/{login}/permission", get_permission, "metadata=read"),
    Route("GET", _REPO + "/contents/{path:path}", get_contents, "contents=read"),
    Route("GET", _REPO + "/git/blobs/{sha}", get_blob, "contents=read"),
    Route("GET", _REPO + "/git/trees/{sha}", get_tree, "contents=read"),
    Route("GET", _REPO + "/compare/{basehead:path}", compare, "contents=read"),
)
