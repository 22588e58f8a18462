"""Pull requests that GitHub does not give whole, against the stand-in."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import httpx
import msgspec
import pytest

from app.demo.faults import Fault
from app.demo.repository import Entry, Files
from app.demo.shapes import PATCH_CHANGES_MAX
from app.errors import Permanent, PullRequestGone, Unavailable
from app.github.auth import AppCredentials
from app.github.changes import MAX_DIFF_BYTES, GitHubChanges
from app.github.contents import MAX_FILE_BYTES
from app.github.listed import (
    LIST_ENDS,
    MAX_COMPARED_FILES,
    MAX_COMPARED_LINES,
    MAX_LISTED_FILES,
    MAX_SHOWN_LINES,
    NO_GIT,
    OVER_ROOM,
    TOO_MANY,
    WRONG_CONTENT,
)
from app.github.local_diff import GitDiff
from app.github.policies import ConfigFiles
from app.github.transport import DIFF, Connection, GitHub
from app.ports import Ended
from app.review.anchor import NOT_SHOWN, anchor, commentable
from app.review.config import CONFIG_PATH, Config, Layer
from app.review.coverage import LeftOut, Reason, plan_review, settle
from app.review.diff import Damaged, FileDiff, Side, Status, parse_diff
from app.review.event import Request
from app.review.pull import Change
from app.sandbox.child import LimitedChild
from tests.builders import make_candidate, make_location
from tests.github.conftest import FILES, Scene

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

GIT = GitDiff(LimitedChild(), shutil.which("git") or "")
MANY = PATCH_CHANGES_MAX + 1


def text(n_lines: int, word: str = "line") -> str:
    return "".join(f"{word} {n}\n" for n in range(n_lines))


def after_commit(scene: Scene, files: Files) -> Scene:
    """Put a commit on the base, and look at another pull request, opened on top of it."""
    scene.state.commit(scene.repository, files)
    pull = scene.state.open_pull_request(scene.repository, FILES, branch="second")
    return replace(scene, pull=pull, target=replace(scene.target, number=pull.number))


Instead = Callable[[httpx.Request], httpx.Response | None]


class Between(httpx.AsyncBaseTransport):
    """Stands between us and the stand-in, and answers some requests instead of it."""

    def __init__(self, standin: httpx.AsyncClient, instead: Instead) -> None:
        self._standin = standin
        self._instead = instead

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._instead(request) or await self._standin.send(request)


def is_diff(request: httpx.Request) -> bool:
    return request.headers["accept"] == DIFF


def too_large(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(406, json={"message": "too large"}) if is_diff(request) else None


async def open_between(
    scene: Scene,
    instead: Instead,
    *,
    git: GitDiff | None = GIT,
    server: Layer | None = None,
) -> Change:
    """Open the pull request while somebody else answers some of our requests."""
    async with httpx.AsyncClient(transport=Between(scene.client, instead)) as client:
        connection = Connection(client, clock=scene.clock, jitter=lambda: 1.0)
        credentials = AppCredentials(
            connection, app_id=str(scene.state.app.id), private_key=scene.private_key
        )
        github = GitHub(connection, credentials)
        changes = GitHubChanges(github, files=ConfigFiles(github, server=server), git=git)
        return await changes.open(scene.target)


async def open_with(
    scene: Scene, files: Files, *, git: GitDiff | None = GIT, server: Layer | None = None
) -> Change:
    """Push files, and open the pull request as if its diff were over GitHub's limit."""
    scene.state.push(scene.pull, files)
    scene.clock.at += 3_600
    return await open_between(scene, too_large, git=git, server=server)


async def open_listed(scene: Scene, listed: list[dict[str, object]]) -> Change:
    """Open the pull request as if GitHub listed these files."""

    def instead(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/files"):
            return httpx.Response(200, content=msgspec.json.encode(listed))
        return too_large(request)

    return await open_between(scene, instead)


def listed(filename: str, patch: str | None, **fields: object) -> dict[str, object]:
    """One file of a list, without a patch as GitHub leaves it out."""
    shown = {} if patch is None else {"patch": patch}
    return {"sha": None, "filename": filename, "status": "modified", **shown, **fields}


def file_of(change: Change, path: str) -> FileDiff:
    return next(file for file in change.diff.files if file.path == path)


def truth(scene: Scene, path: str) -> FileDiff:
    """What git says of the commits."""
    whole = parse_diff(scene.repository.git.diff(scene.pull.merge_base(), scene.pull.head_sha))
    return next(file for file in whole.files if file.path == path)


def gaps(change: Change) -> tuple[Reason, ...]:
    plan = plan_review(
        change.diff,
        Request(),
        change.config,
        budget_tokens=6_000,
        max_chunks=10_000,
        attributes=change.attributes,
    )
    return settle(plan, dict.fromkeys((chunk.number for chunk in plan.chunks), None)).gaps


# ---- a file without a patch is compared by its contents ------------------------------------------

LONG = text(MANY)
EDITED = "".join(f"line {n}\n" if n % 3 else f"line {n} is new\nand more\n" for n in range(MANY))

CASES: dict[str, tuple[Files, Files]] = {
    "added": ({}, {"f.txt": LONG}),
    "deleted": ({"f.txt": LONG}, {"f.txt": None}),
    "modified": ({"f.txt": LONG}, {"f.txt": EDITED}),
    "renamed": (
        {"old name.txt": LONG + text(2 * MANY, "kept")},
        {"old name.txt": None, "f.txt": EDITED + text(2 * MANY, "kept")},
    ),
    "CRLF": (
        {"f.txt": LONG.replace("\n", "\r\n")},
        {"f.txt": EDITED.replace("\n", "\r\n")},
    ),
    "no newline at the end": ({"f.txt": LONG + "end"}, {"f.txt": EDITED + "the end"}),
    "no UTF-8": ({"f.txt": b"\xff\n" + LONG.encode()}, {"f.txt": b"\xfe\n" + EDITED.encode()}),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_file_without_a_patch_has_git_s_own_hunks(scene: Scene, name: str) -> None:
    before, after = CASES[name]
    scene = after_commit(scene, before)
    change = await open_with(scene, after)
    found, true = file_of(change, "f.txt"), truth(scene, "f.txt")
    assert found.hunks == true.hunks
    assert (found.old_path, found.new_path, found.status) == (
        true.old_path,
        true.new_path,
        true.status,
    )
    assert (found.takes_comments, found.unread) == (False, "")
    assert gaps(change) == ()


async def test_the_old_side_is_the_merge_base_not_the_tip_of_the_base(scene: Scene) -> None:
    scene = after_commit(scene, {"f.txt": LONG})
    scene.state.commit(scene.repository, {"f.txt": "rewritten on main since\n"})
    change = await open_with(scene, {"f.txt": EDITED})
    assert scene.pull.base_sha != scene.pull.merge_base()
    assert file_of(change, "f.txt").hunks == truth(scene, "f.txt").hunks


async def test_what_is_compared_costs_one_read_a_side_and_one_for_the_merge_base(
    scene: Scene,
) -> None:
    scene = after_commit(scene, {"f.txt": LONG, "g.txt": LONG})
    await open_with(scene, {"f.txt": EDITED, "g.txt": None})
    base, head = scene.pull.base_sha, scene.pull.head_sha
    assert sorted(scene.calls("GET pulls")) == [
        f"GET compare/{base}...{head}",
        f"GET contents/{CONFIG_PATH}",
        "GET contents/f.txt",
        "GET contents/f.txt",
        "GET contents/g.txt",
        f"GET git/trees/{base}",
    ]
    compared = next(r for r in scene.state.requests if "/compare/" in r.path)
    assert len(compared.response_body) < 20_000  # no files, no patches


async def test_nothing_more_is_asked_where_every_file_has_its_patch(scene: Scene) -> None:
    scene.state.push(scene.pull, {f"f{n:03}.py": f"x = {n}\n" for n in range(301)})
    scene.clock.at += 3_600
    change = await GitHubChanges(scene.github, git=GIT).open(scene.target)
    assert len(change.diff.files) == 303
    assert all(file.hunks and file.takes_comments for file in change.diff.files)
    assert scene.calls("GET pulls", "GET git", f"GET contents/{CONFIG_PATH}") == []
    assert gaps(change) == ()


async def test_a_diff_of_20_001_lines_is_shown_whole_and_its_file_read_once(scene: Scene) -> None:
    changes = GitHubChanges(scene.github, git=GIT)
    scene.state.push(scene.pull, {"big.txt": text(20_001)})
    scene.clock.at += 3_600
    change = await changes.open(scene.target)
    whole = parse_diff(scene.repository.git.diff(scene.pull.merge_base(), scene.pull.head_sha))
    assert [file.hunks for file in change.diff.files] == [file.hunks for file in whole.files]
    assert gaps(change) == ()
    before = len(scene.state.requests)
    assert await changes.read(change, "big.txt") == text(20_001).encode()
    assert len(scene.state.requests) == before


# ---- no comment where GitHub shows no line -------------------------------------------------------


async def test_a_finding_where_github_shows_no_diff_goes_to_the_summary(scene: Scene) -> None:
    change = await open_with(scene, {"f.txt": LONG})
    candidate = make_candidate(
        evidence="line 999", location=make_location(path="f.txt", line=1_000)
    )
    [finding] = anchor([candidate], change.diff, {}).kept
    assert (finding.location.line, finding.summary_reason) == (1_000, NOT_SHOWN)
    shown, hidden = file_of(change, "b.py"), file_of(change, "f.txt")
    assert commentable(shown, Side.RIGHT)
    assert not any(commentable(hidden, side) for side in Side)


# ---- what stays out is named, and the review is partial ------------------------------------------


async def test_one_file_of_17_mb_does_not_stop_the_others(scene: Scene) -> None:
    huge = ("x" * 8_499 + "\n") * MANY
    assert len(huge) > 17_000_000
    change = await open_with(scene, {"huge.txt": huge, "f.txt": LONG})
    assert file_of(change, "huge.txt") == FileDiff(
        old_path=None,
        new_path="huge.txt",
        status=Status.ADDED,
        takes_comments=False,
        unread=f"2,001 changed lines; GitHub's answer is larger than {MAX_FILE_BYTES:,} bytes",
    )
    for path in ("a.py", "b.py", "f.txt"):
        assert file_of(change, path).hunks == truth(scene, path).hunks
    assert gaps(change) == (Reason.TOO_LARGE,)


async def test_a_file_of_more_lines_than_we_compare_is_not_fetched(scene: Scene) -> None:
    n_lines = MAX_COMPARED_LINES + 1
    change = await open_listed(
        scene, [listed("a.py", None, changes=n_lines), listed("b.py", None, changes=1)]
    )
    assert file_of(change, "a.py").unread == f"{n_lines:,} changed lines; {TOO_MANY}"
    assert "GET contents/a.py" not in scene.calls()
    assert "GET contents/b.py" in scene.calls()


async def test_the_coverage_tells_why_a_file_is_left_out(scene: Scene) -> None:
    change = await open_with(scene, {"f.txt": LONG}, git=None)
    plan = plan_review(change.diff, Request(), Config(), budget_tokens=6_000, max_chunks=10)
    row = next(row for row in plan.rows if row.path == "f.txt")
    left_out = LeftOut(Reason.TOO_LARGE, f"2,001 changed lines; {NO_GIT}")
    assert set(row.areas.values()) == {left_out}


async def test_only_so_many_files_are_compared_the_smallest_first(scene: Scene) -> None:
    small = [f"f{n:02}.txt" for n in range(MAX_COMPARED_FILES)]
    files = {"a.txt": text(MANY + 1), **dict.fromkeys(small, text(MANY))}
    change = await open_with(scene, files, git=None)
    reasons = {file.path: file.unread.partition("; ")[2] for file in change.diff.files}
    assert {reasons[path] for path in small} == {NO_GIT}
    assert reasons["a.txt"] == TOO_MANY


async def test_files_beyond_the_list_s_end_are_counted_and_leave_the_review_partial(
    scene: Scene,
) -> None:
    scene.state.push(scene.pull, {f"f{n:04}.py": "1\n" for n in range(3_010)})
    scene.clock.at += 3_600
    change = await GitHubChanges(scene.github).open(scene.target)
    assert len(change.diff.files) == MAX_LISTED_FILES
    assert change.diff.damaged == (Damaged(path="(12 more files)", reason=LIST_ENDS),)
    assert gaps(change) == (Reason.DAMAGED,)


async def test_what_a_symlink_leads_to_is_not_taken_for_the_link(scene: Scene) -> None:
    scene = after_commit(scene, {"f.txt": LONG, "target.txt": "target\n"})
    change = await open_with(scene, {"f.txt": Entry(b"target.txt", mode="120000")})
    assert file_of(change, "f.txt").unread.endswith(WRONG_CONTENT)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/contents/f.txt", "GitHub answered 502"),
        ("/compare/", "GitHub does not say where the branches parted"),
    ],
)
async def test_what_cannot_be_fetched_costs_only_that_file(
    scene: Scene, path: str, reason: str
) -> None:
    scene = after_commit(scene, {"f.txt": LONG})
    scene.state.faults.append(Fault(path=path, status=502, times=999))
    change = await open_with(scene, {"f.txt": EDITED, "g.txt": LONG})
    assert file_of(change, "f.txt").unread.endswith(reason)
    assert file_of(change, "g.txt").hunks


class Stuck:
    """A child whose program never comes to an end of its own."""

    async def run(self, argv: Sequence[str], files: Mapping[str, bytes]) -> Ended:
        return Ended(status=None, stdout=b"", stderr=b"", problem="ran longer than 10 s")


async def test_a_pair_that_git_cannot_compare_in_time_is_named(scene: Scene) -> None:
    change = await open_with(scene, {"f.txt": LONG}, git=GitDiff(Stuck(), "/usr/bin/git"))
    unread = file_of(change, "f.txt").unread
    assert unread == "2,001 changed lines; git diff ran longer than 10 s"
    assert file_of(change, "b.py").hunks


# ---- what nobody would look at is not fetched ----------------------------------------------------


async def test_lock_files_and_what_is_ignored_or_generated_are_not_fetched(scene: Scene) -> None:
    attributes = "*.gen linguist-generated\n"
    scene = after_commit(scene, {".gitattributes": attributes})
    unwanted = ["package-lock.json", "api.gen", "data/big.txt"]
    server = Layer(name="DEFAULT_CONFIG", raw=b"paths: {ignore: ['data/**']}\n")
    change = await open_with(scene, dict.fromkeys(unwanted, LONG), server=server)
    assert change.attributes == attributes
    assert [file_of(change, path).unread for path in unwanted] == ["2,001 changed lines"] * 3
    assert not [call for path in unwanted for call in scene.calls() if path in call]
    assert gaps(change) == ()


async def test_the_attributes_are_the_base_s_not_the_head_s(scene: Scene) -> None:
    change = await open_with(scene, {".gitattributes": "* linguist-generated\n", "f.txt": LONG})
    assert change.attributes == ""
    assert file_of(change, "f.txt").hunks


# ---- a list that GitHub might answer with, beyond what the stand-in does -------------------------


async def test_a_patch_that_was_cut_between_hunks_is_replaced_by_a_comparison(scene: Scene) -> None:
    cut = "@@ -1,6 +1,6 @@\n line 1\n line 2\n-line 3\n+line three\n line 4\n line 5\n line 6"
    change = await open_listed(scene, [listed("a.py", cut, additions=2, deletions=1, changes=3)])
    assert change.diff.files[0].hunks == truth(scene, "a.py").hunks
    assert not change.diff.files[0].takes_comments


async def test_a_patch_that_was_cut_in_a_hunk_is_replaced_by_a_comparison(scene: Scene) -> None:
    cut = "@@ -1,6 +1,6 @@\n line 1\n line 2\n-line 3"
    change = await open_listed(scene, [listed("a.py", cut, additions=2, deletions=1, changes=3)])
    assert change.diff.files[0].hunks == truth(scene, "a.py").hunks


async def test_more_lines_than_a_review_could_read_are_not_parsed(scene: Scene) -> None:
    half = MAX_SHOWN_LINES // 2
    names = ["a.txt", "b.txt", "c.txt", "yarn.lock"]
    change = await open_listed(
        scene, [listed(name, "@@ -1 +1 @@\n-a\n+b", changes=half) for name in names]
    )
    assert {file.path: (file.n_added, file.unread) for file in change.diff.files} == {
        "a.txt": (1, ""),
        "b.txt": (1, ""),
        "c.txt": (0, f"{half:,} changed lines; {OVER_ROOM}"),
        "yarn.lock": (1, ""),
    }


# ---- no diff at all ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [422, 500, 503])
async def test_a_diff_that_github_cannot_make_is_built_from_the_list(
    scene: Scene, status: int
) -> None:
    def instead(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(status, json={"message": "corrupt"}) if is_diff(request) else None

    change = await open_between(scene, instead)
    for path in FILES:
        assert file_of(change, path).hunks == truth(scene, path).hunks
        assert file_of(change, path).takes_comments


async def test_a_diff_that_is_larger_than_we_parse_is_built_from_the_list(scene: Scene) -> None:
    def instead(request: httpx.Request) -> httpx.Response | None:
        endless = b"+" * (MAX_DIFF_BYTES + 1)
        return httpx.Response(200, content=endless) if is_diff(request) else None

    change = await open_between(scene, instead)
    assert [file.path for file in change.diff.files] == list(FILES)
    assert change.diff.damaged == ()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (422, Permanent, "cannot make the diff of this pull request.*this repository is empty"),
        (404, PullRequestGone, "has no list of this pull request's files"),
        (502, Unavailable, "502"),
    ],
)
async def test_a_pull_request_without_diff_and_list_ends_with_a_reason(
    scene: Scene, status: int, error: type[Exception], words: str
) -> None:
    refusal = {"message": "this repository is empty"}

    def instead(request: httpx.Request) -> httpx.Response | None:
        if is_diff(request):
            return httpx.Response(422, json=refusal)
        if request.url.path.endswith("/files"):
            return httpx.Response(status, json=refusal)
        return None

    with pytest.raises(error, match=words):
        await open_between(scene, instead)


async def test_a_pull_request_without_a_diff_is_gone(scene: Scene) -> None:
    def instead(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(404, json={}) if is_diff(request) else None

    with pytest.raises(PullRequestGone, match="no diff of this pull request"):
        await open_between(scene, instead)
