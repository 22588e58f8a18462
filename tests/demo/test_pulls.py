"""Pull requests, diffs, files, comparisons and contents as GitHub gives them out."""

import httpx
import pytest

from app.demo.records import PullRequest, Repository
from app.demo.repository import Entry, Files
from app.demo.shapes import PATCH_CHANGES_MAX
from app.demo.state import State
from tests.demo.conftest import AFTER, BEFORE, Client

pytestmark = pytest.mark.anyio
REPO = "/repos/acme/shop"
DIFF, RAW = "application/vnd.github.diff", "application/vnd.github.raw+json"


def links(answer: httpx.Response) -> dict[str | None, str]:
    return {rel: link["url"] for rel, link in answer.links.items()}


async def test_a_pull_request_counts_its_changes(client: Client, pull: PullRequest) -> None:
    shown = (await client("GET", f"{REPO}/pulls/1")).json()
    counts = {name: shown[name] for name in ("additions", "deletions", "changed_files", "commits")}
    assert counts == {"additions": 4, "deletions": 1, "changed_files": 2, "commits": 1}
    assert shown["head"]["sha"] == pull.head_sha
    assert shown["base"]["sha"] == pull.base_sha


async def test_the_diff_begins_at_the_merge_base(
    client: Client, state: State, repository: Repository, pull: PullRequest
) -> None:
    before = (await client("GET", f"{REPO}/pulls/1", accept=DIFF)).text
    state.commit(repository, {"app.py": "all new\n"})
    after = await client("GET", f"{REPO}/pulls/1", accept=DIFF)
    assert after.text == before
    assert after.headers["content-type"].startswith(DIFF)
    assert before.startswith("diff --git a/app.py b/app.py\nindex ")
    assert "+line five" in before


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({f"f{number}.py": "x\n" for number in range(301)}, "number of files (300)"),
        ({"big.py": "x\n" * 20_001}, "number of lines (20000)"),
        ({"wide.py": "x" * 1_000_001}, "number of bytes"),
    ],
)
async def test_a_diff_that_is_too_large_is_refused(
    client: Client, state: State, repository: Repository, files: Files, words: str
) -> None:
    large = state.open_pull_request(repository, files)
    answer = await client("GET", f"{REPO}/pulls/{large.number}", accept=DIFF)
    assert answer.status_code == 406
    assert words in answer.json()["message"]
    assert answer.json()["errors"][0]["code"] == "too_large"


async def test_files_come_in_pages_that_links_lead_through(
    client: Client, state: State, repository: Repository
) -> None:
    files = {f"f{number:02}.py": "x\n" for number in range(25)}
    state.open_pull_request(repository, files)
    first = await client("GET", f"{REPO}/pulls/1/files?per_page=10")
    assert set(links(first)) == {"next", "last"}
    second = await client("GET", links(first)["next"])
    third = await client("GET", links(second)["next"])
    assert set(links(third)) == {"prev", "first"}
    names = [item["filename"] for page in (first, second, third) for item in page.json()]
    assert names == sorted(files)


async def test_a_patch_is_left_out_of_large_files_and_late_in_large_pages(
    client: Client, state: State, repository: Repository
) -> None:
    files = {f"f{number:02}.py": "x\n" for number in range(80)}
    state.open_pull_request(repository, {**files, "a.py": "x\n" * (PATCH_CHANGES_MAX + 1)})
    large, *rest = (await client("GET", f"{REPO}/pulls/1/files?per_page=100")).json()
    assert ("patch" in large, large["changes"]) == (False, PATCH_CHANGES_MAX + 1)
    assert [("patch" in item) for item in rest] == [True] * 69 + [False] * 11
    assert not rest[0]["patch"].endswith("\n")


async def test_a_fork_is_read_through_the_base_repository(
    client: Client, state: State, repository: Repository
) -> None:
    pull = state.open_pull_request(repository, {"a.py": "1\n"}, author="eve", from_fork=True)
    shown = (await client("GET", f"{REPO}/pulls/1")).json()
    assert (shown["head"]["label"], shown["head"]["repo"]["fork"]) == ("eve:feature", True)
    assert (await client("GET", "/repos/eve/shop")).status_code == 404
    path = f"{REPO}/contents/a.py?ref="
    for ref in (pull.head_sha, "refs/pull/1/head"):
        assert (await client("GET", path + ref, accept=RAW)).text == "1\n"
    compared = await client("GET", f"{REPO}/compare/main...eve:feature")
    assert compared.json()["ahead_by"] == 1


@pytest.mark.parametrize(
    ("base", "head", "status"),
    [("main", "feature", "ahead"), ("feature", "main", "behind"), ("main", "main", "identical")],
)
async def test_a_comparison_tells_who_is_ahead(
    client: Client, pull: PullRequest, base: str, head: str, status: str
) -> None:
    answer = (await client("GET", f"{REPO}/compare/{base}...{head}")).json()
    assert answer["status"] == status
    assert answer["merge_base_commit"]["sha"] == pull.base_sha


async def test_a_force_push_leaves_no_way_back_to_nowhere(
    client: Client, state: State, pull: PullRequest
) -> None:
    gone = f"{REPO}/compare/{'0' * 40}...{pull.head_sha}"
    assert (await client("GET", gone)).status_code == 404
    before = pull.head_sha
    state.push(pull, {"b.py": "1\n"}, force=True)
    shown = (await client("GET", f"{REPO}/compare/{before}...{pull.head_sha}")).json()
    assert shown["status"] == "diverged"


async def test_contents_are_files_as_they_are(client: Client, pull: PullRequest) -> None:
    assert (await client("GET", f"{REPO}/contents/app.py", accept=RAW)).text == BEFORE
    assert (await client("GET", f"{REPO}/contents/app.py?ref=feature", accept=RAW)).text == AFTER
    for nothing in ("", "docs", "nothing.py", "app.py?ref=nowhere"):
        answer = await client("GET", f"{REPO}/contents/{nothing}", accept=RAW)
        assert (nothing, answer.status_code) == (nothing, 404)


async def test_a_tree_is_the_root_or_with_recursive_all_beneath_it(
    client: Client, pull: PullRequest
) -> None:
    tree = f"{REPO}/git/trees/{pull.base_sha}"
    root = (await client("GET", tree)).json()["tree"]
    assert [(item["path"], item["type"]) for item in root] == [("app.py", "blob"), ("docs", "tree")]
    everything = (await client("GET", f"{tree}?recursive=1")).json()
    assert [(item["path"], item.get("size")) for item in everything["tree"]] == [
        ("app.py", len(BEFORE)),
        ("docs", None),
        ("docs/a.md", 4),
    ]
    assert everything["truncated"] is False
    assert (await client("GET", f"{REPO}/git/trees/{'0' * 40}")).status_code == 404


async def test_a_symlink_to_a_file_is_followed_and_another_one_is_its_target(
    client: Client, state: State, repository: Repository
) -> None:
    files = {"link": Entry(b"docs/a.md", "120000"), "out": Entry(b"/etc/passwd", "120000")}
    state.commit(repository, files)
    assert (await client("GET", f"{REPO}/contents/link", accept=RAW)).text == "# A\n"
    assert (await client("GET", f"{REPO}/contents/out", accept=RAW)).text == "/etc/passwd"


@pytest.mark.parametrize("path", [f"{REPO}/pulls/9", f"{REPO}/pulls/x", f"{REPO}/pulls/1/", "/x"])
async def test_what_is_not_there_is_not_found(client: Client, pull: PullRequest, path: str) -> None:
    answer = await client("GET", path)
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")
