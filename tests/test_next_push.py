"""A pull request's life: what a maintainer sees there after each thing that happens."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from app.demo.faults import Fault
from app.demo.records import Place, ReviewComment
from app.demo.state import AppIdentity, new_app
from tests.disk import rows
from tests.faults import secondary_limit
from tests.hurried import hurry
from tests.judges import agree, is_second_look, refuse
from tests.model_server import Question, Reply
from tests.world import World, answer, build_world, receipt

pytestmark = pytest.mark.anyio

SUM = "    return sum(prices) / 100"
TAX = "    return price * 1.19 + 0.5"
PAY = "    return card.charge(total)"
SHOP = f"""\
def total(prices):
{SUM}


def tax(price):
{TAX}
"""
BUGS = {
    SUM: ("Cents are lost", "correctness"),
    TAX: ("Tax has fifty cents too much", "correctness"),
    PAY: ("A card is charged twice", "security"),
}


def sees(question: Question) -> Reply:
    """Find each bug whose line is shown, where it stands, as a model would."""
    if is_second_look(question.user):
        return agree(question.user)
    found = []
    path = ""
    for line in question.user.split("\n"):
        if line.startswith("## File: "):
            path = line.removeprefix("## File: ").split(" ")[0]
        number, _, text = line.lstrip().partition(" ")
        for quote, (title, area) in BUGS.items():
            is_there = number.isdigit() and text in (f"+{quote}", f" {quote}")
            if is_there and f"# Focus: {area}" in question.user:
                found.append(bug(quote, path, int(number), title, area))
    return answer(*found)


def bug(quote: str, path: str, line: int, title: str, area: str) -> dict[str, Any]:
    return {
        "title": title,
        "body": f"What it returns is wrong: {title.lower()}.",
        "priority": 1,
        "confidence_score": 0.9,
        "area": area,
        "code_location": {
            "path": path,
            "side": "RIGHT",
            "line_range": {"start": line, "end": line},
        },
        "evidence_quote": quote,
        "trigger": "any price",
        "suggestion": None,
    }


@pytest.fixture(scope="module")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def world(tmp_path: Path, identity: tuple[AppIdentity, str]) -> World:
    world = hurry(build_world(tmp_path, identity, sees))
    world.state.push(world.pull, {"shop.py": SHOP}, force=True)
    return world


@pytest.fixture
def static(world: World) -> World:
    world.env = {"OPENAI_BASE_URL": "", "MODEL": "", "MODEL_API": "static"}
    return world


@pytest.fixture
async def living(world: World) -> AsyncIterator[World]:
    async with world.running():
        yield world


async def review(world: World, command: str = "@codex review") -> dict[str, Any]:
    """Let somebody ask for a review; return its receipt."""
    n = len(world.checks)
    await world.comment(command)
    run = await world.ended(n + 1)
    await world.rest()
    return receipt(run)


def said(world: World) -> list[str]:
    """Our comments on the diff in their order: where they were put, and what became of them."""
    head = world.pull.head_sha
    return [
        f"{comment.place.path}:{comment.place.line} {_title(comment)}"
        + (" fixed here" if comment.body.startswith(f"Fixed in {head}.") else "")
        + (" fixed before" if _was_fixed_before(comment, head) else "")
        + (f" {comment.minimized}" if comment.minimized else "")
        + (f" resolved by {comment.resolved_by}" if comment.resolved_by else "")
        for comment in world.inline
        if comment.author == world.state.app.bot
    ]


def _title(comment: ReviewComment) -> str:
    [title] = [title for title, _ in BUGS.values() if title in comment.body]
    return title


def _was_fixed_before(comment: ReviewComment, head: str) -> bool:
    return comment.body.startswith("Fixed in ") and not comment.body.startswith(f"Fixed in {head}")


def left(told: dict[str, Any]) -> list[str]:
    """The open findings of a verdict."""
    return [f"{f['path']}:{f['line']} {f['title']}" for f in told["findings"]]


def requests(world: World, method: str, path: str) -> int:
    return sum(r.method == method and path in r.path for r in world.state.requests)


LOST, FIFTY, TWICE = (title for title, _ in BUGS.values())


async def test_one_is_fixed_one_moves_and_one_is_new(living: World) -> None:
    world = living
    assert left(await review(world)) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]

    world.state.push(
        world.pull,
        {
            "shop.py": SHOP.replace(SUM, "    return sum(prices)").replace(
                "def tax", "A = 1\n\ndef tax"
            ),
            "pay.py": f"def pay(card, total):\n{PAY}\n",
        },
    )
    told = await review(world)

    assert left(told) == [f"pay.py:2 {TWICE}", f"shop.py:8 {FIFTY}"]
    assert said(world) == [
        f"shop.py:2 {LOST} fixed here resolved",
        f"shop.py:6 {FIFTY}",
        f"pay.py:2 {TWICE}",
    ]
    assert world.inline[0].body.endswith("-->")
    assert len(world.reviews) == 2
    assert "Still open and not repeated: 1 known finding." in world.reviews[1].body


async def test_a_guard_before_the_code_fixes_it_if_a_second_look_says_so(living: World) -> None:
    """The quoted line stands as it was; the model no longer reports it."""
    world = living
    await review(world)
    guarded = SHOP.replace(TAX, f"    price -= 0.5 / 1.19\n{TAX}")
    world.model.script = lambda q: agree(q.user) if is_second_look(q.user) else answer()
    world.state.push(world.pull, {"shop.py": guarded})
    assert left(await review(world)) == [f"shop.py:2 {LOST}", f"shop.py:7 {FIFTY}"]

    world.state.push(world.pull, {"shop.py": f"# Money.\n{guarded}"})
    world.model.script = lambda q: refuse(q.user) if is_second_look(q.user) else answer()
    assert left(await review(world)) == []
    assert said(world)[1] == f"shop.py:6 {FIFTY} fixed here resolved"


@pytest.mark.slow
async def test_a_second_look_that_fails_closes_nothing(living: World) -> None:
    world = living
    await review(world)
    world.model.script = lambda q: "no JSON" if is_second_look(q.user) else answer()
    world.state.push(world.pull, {"shop.py": f"# Money.\n{SHOP}"})
    assert left(await review(world)) == [f"shop.py:3 {LOST}", f"shop.py:7 {FIFTY}"]


@pytest.mark.slow
async def test_code_that_nobody_changed_stays_open_although_it_is_not_found_again(
    living: World,
) -> None:
    world = living
    first = await review(world)
    world.model.script = lambda q: refuse(q.user) if is_second_look(q.user) else answer()
    assert left(await review(world, "@codex review full")) == left(first)


@pytest.mark.slow
async def test_what_an_analyser_reports_no_more_is_fixed(static: World) -> None:
    world = static
    async with world.running():
        world.state.push(world.pull, {"a.py": "print(os.name)\n"})
        assert [f["rule"] for f in (await review(world))["findings"]] == ["F821"]
        world.state.push(world.pull, {"a.py": "import os\n\nprint(os.name)\n"})
        assert (await review(world))["findings"] == []
    assert [c.minimized for c in world.inline] == ["resolved"]


async def test_nothing_new_to_say_is_no_review(living: World) -> None:
    world = living
    await review(world)
    world.state.push(world.pull, {"other.py": "x = 1\n"})
    told = await review(world)
    assert left(told) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    assert len(world.reviews) == 1

    world.state.push(world.pull, {"shop.py": None})
    told = await review(world)
    assert (told["state"], told["conclusion"], len(world.reviews)) == ("clean", "success", 1)
    assert said(world) == [
        f"shop.py:2 {LOST} fixed here resolved",
        f"shop.py:6 {FIFTY} fixed here resolved",
    ]
    assert "+1" in world.reactions(list(world.state.issue_comments.values())[-1])


@pytest.mark.slow
async def test_what_was_told_as_fixed_is_not_touched_again_and_may_come_back(living: World) -> None:
    world = living
    await review(world)
    world.state.push(world.pull, {"shop.py": SHOP.replace(SUM, "    return sum(prices)")})
    await review(world)
    edits = requests(world, "PATCH", "/pulls/comments/")
    world.state.push(world.pull, {"shop.py": SHOP})
    told = await review(world)
    assert left(told) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    assert said(world) == [
        f"shop.py:2 {LOST} fixed before resolved",
        f"shop.py:6 {FIFTY}",
        f"shop.py:2 {LOST}",
    ]
    assert requests(world, "PATCH", "/pulls/comments/") == edits == 1


@pytest.mark.parametrize("granted", [True, False])
@pytest.mark.slow
async def test_a_thread_is_resolved_where_the_installation_grants_it(
    living: World, granted: bool
) -> None:
    world = living
    [installation] = world.state.installations.values()
    if granted:
        installation.permissions["contents"] = "write"
    await review(world)
    world.state.push(world.pull, {"shop.py": SHOP.replace(SUM, "    return sum(prices)")})
    await review(world)
    by_us = f" resolved by {world.state.app.bot}" if granted else ""
    assert said(world)[0] == f"shop.py:2 {LOST} fixed here resolved{by_us}"
    asked = [t.permissions or {} for t in world.state.tokens.values()]
    assert sum(permissions.get("contents") == "write" for permissions in asked) == int(granted)


async def test_a_rename_takes_its_findings_along(living: World) -> None:
    world = living
    await review(world)
    world.state.push(world.pull, {"shop.py": None, "till.py": SHOP})
    told = await review(world)
    assert left(told) == [f"till.py:2 {LOST}", f"till.py:6 {FIFTY}"]
    assert said(world) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    assert left(await review(world)) == [f"till.py:2 {LOST}", f"till.py:6 {FIFTY}"]
    assert requests(world, "GET", "/compare/") == 1
    assert len(world.reviews) == 1


@pytest.mark.slow
async def test_a_rename_in_a_forced_push_is_followed_by_the_code(living: World) -> None:
    world = living
    await review(world)
    world.state.push(world.pull, {"till.py": SHOP}, force=True)
    told = await review(world)
    assert left(told) == [f"till.py:2 {LOST}", f"till.py:6 {FIFTY}"]
    assert said(world) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]


@pytest.mark.slow
async def test_a_rebase_asks_for_nothing_again(living: World) -> None:
    world = living
    first = await review(world)
    asked = len(world.model.questions)
    world.state.commit(world.pull.repository, {"readme.md": "Hello.\n"})
    head = world.pull.repository.git.commit(
        "refs/heads/feature",
        {"shop.py": SHOP},
        parent=world.pull.repository.git.sha("main"),
        message="Rebased",
        also="refs/pull/1/head",
    )
    world.pull.head_sha, world.pull.base_sha = head, world.pull.repository.git.sha("main")
    told = await review(world)
    assert left(told) == left(first)
    assert len(world.model.questions) == asked
    assert told.get("again", "") == ""
    assert len(world.reviews) == 1


@pytest.mark.slow
async def test_a_merge_from_the_base_shows_only_what_is_new(living: World) -> None:
    world = living
    first = await review(world)
    asked = len(world.model.questions)
    main = world.state.commit(world.pull.repository, {"readme.md": "Hello.\n"})
    world.state.push(world.pull, {"readme.md": "Hello.\n"}, message="Merge main")
    world.pull.base_sha = main
    told = await review(world)
    assert left(told) == left(first)
    assert all("## File: shop.py" not in q.user for q in world.model.questions[asked:])
    assert len(world.reviews) == 1


async def test_another_configuration_looks_again_and_says_why(living: World) -> None:
    world = living
    await review(world)
    asked = len(world.model.questions)
    world.configure("version: 1\nreview: {language: de}\n")
    told = await review(world)
    assert len(world.model.questions) > asked
    assert "configuration" in told["again"]
    assert f"Looked at again: {told['again']}." in (world.checks[-1].summary or "")
    assert left(told) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    assert len(world.reviews) == 1
    assert (await review(world, "@codex review full")).get("again", "") == ""


@pytest.mark.slow
async def test_full_and_narrowed_reviews_repeat_nothing(living: World) -> None:
    world = living
    first = await review(world)
    assert left(await review(world, "@codex review full")) == left(first)
    narrowed = await review(world, "@codex review security")
    assert (left(narrowed), narrowed["state"]) == (left(first), "findings")
    assert len(world.reviews) == 1


@pytest.mark.slow
async def test_a_run_that_may_not_look_at_a_place_leaves_its_findings_open(living: World) -> None:
    """Narrowed to another area, all of the code stands: nothing is fixed."""
    world = living
    first = await review(world, "@codex review correctness")
    world.state.push(world.pull, {"shop.py": f"A = 1\n{SHOP}"})
    told = await review(world, "@codex review docs")
    assert [f["title"] for f in told["findings"]] == [f["title"] for f in first["findings"]]
    assert said(world) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]


@pytest.mark.slow
async def test_the_more_urgent_of_two_tellings_counts(living: World) -> None:
    world = living
    await review(world)
    world.model.script = lambda q: (
        reply.replace('"priority": 1', '"priority": 0')
        if isinstance(reply := sees(q), str)
        else reply
    )
    told = await review(world, "@codex review full")
    assert [f["priority"] for f in told["findings"]] == ["P0", "P0"]
    assert len(world.inline) == 2


async def test_a_disliked_finding_is_not_said_again_and_counts_until_it_is_fixed(
    living: World,
) -> None:
    world = living
    await review(world)
    disliked = world.inline[0]
    world.state.react(("review_comment", disliked.id), "riley", "-1")
    world.state.react(("review_comment", disliked.id), world.state.app.bot, "-1")
    world.inline[1].resolved_by = "casey"
    world.state.push(world.pull, {"other.py": "x = 1\n"})
    told = await review(world)
    assert left(told) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    counted = "SELECT what, COUNT(*) FROM feedback GROUP BY what ORDER BY what"
    assert rows(world.database, counted) == [("disliked", 1), ("resolved", 1), ("said", 2)]
    people = {str(who) for (who,) in rows(world.database, "SELECT who FROM feedback")}
    assert people.isdisjoint({"riley", "casey"})

    world.state.push(world.pull, {"shop.py": SHOP.replace(SUM, "    return sum(prices)")})
    await review(world)
    world.state.push(world.pull, {"shop.py": SHOP})
    told = await review(world)
    assert left(told) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    assert len(world.inline) == 2


@pytest.mark.parametrize("login", ["casey", "other-reviewer[bot]"])
async def test_what_others_have_opened_is_not_repeated_but_counts(
    living: World, login: str
) -> None:
    world = living
    world.state.person(login, "Bot" if login.endswith("[bot]") else "User")
    theirs = world.state.review(world.pull, login, "")
    place = Place(path="shop.py", line=2)
    world.state.review_comment(theirs, "Wrong: cents get lost when this returns.", place)
    told = await review(world)
    assert said(world) == [f"shop.py:6 {FIFTY}"]
    assert left(told) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]
    [dropped] = [d for d in told["dropped"] if d["gate"] == "new"]
    assert (dropped["reason"], dropped["line"]) == ("already said by others", 2)


@pytest.mark.slow
async def test_a_resolved_or_another_remark_of_others_hides_nothing(living: World) -> None:
    world = living
    theirs = world.state.review(world.pull, "casey", "")
    world.state.review_comment(theirs, "Please rename this one.", Place(path="shop.py", line=2))
    text = "Tax returned is wrong: it has fifty cents too much."
    done = world.state.review_comment(theirs, text, Place(path="shop.py", line=6))
    done.resolved_by = "casey"
    await review(world)
    assert said(world) == [f"shop.py:2 {LOST}", f"shop.py:6 {FIFTY}"]


@pytest.mark.slow
async def test_markers_in_anybody_else_s_comment_mean_nothing(living: World) -> None:
    world = living
    await review(world)
    forged = world.state.review(world.pull, "mallory", "")
    copy = world.state.review_comment(forged, world.inline[0].body, world.inline[0].place)
    world.state.push(world.pull, {"shop.py": None})
    await review(world)
    assert (copy.minimized, copy.body.startswith("Fixed")) == (None, False)
    assert said(world)[0] == f"shop.py:2 {LOST} fixed here resolved"


@pytest.mark.slow
async def test_where_the_memory_is_lost_our_own_comments_are_not_repeated(world: World) -> None:
    async with world.running():
        first = await review(world)
    for file in world.folder.glob("codex-review.db*"):
        file.unlink()
    async with world.running():
        assert left(await review(world)) == left(first)
    assert len(world.inline) == 2


TROUBLE = {
    "no GraphQL": Fault(path="^/graphql$", status=404, message="Not Found", times=99),
    "GraphQL is down": Fault(path="^/graphql$", status=502, times=99),
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.slow
async def test_without_graphql_comments_are_edited_and_nothing_else_is_lost(
    living: World, trouble: str
) -> None:
    world = living
    world.state.faults.append(structs.replace(TROUBLE[trouble]))
    await review(world)
    world.state.push(world.pull, {"shop.py": SHOP.replace(SUM, "    return sum(prices)")})
    told = await review(world)
    assert left(told) == [f"shop.py:6 {FIFTY}"]
    assert said(world) == [f"shop.py:2 {LOST} fixed here", f"shop.py:6 {FIFTY}"]


@pytest.mark.parametrize("path", [r"^/graphql$", r"/pulls/comments/\d+$"])
@pytest.mark.parametrize(
    "trouble",
    [
        Fault(path="", status=502, when="after"),
        Fault(path="", cut=True, when="after"),
        secondary_limit("", retry_after_s=1),
        Fault(path="", status=403, message="Resource not accessible by integration"),
    ],
    ids=["502", "cut", "limit", "403"],
)
@pytest.mark.slow
async def test_trouble_with_what_is_done_to_a_fixed_comment_costs_no_verdict(
    living: World, path: str, trouble: Fault
) -> None:
    world = living
    await review(world)
    world.state.push(world.pull, {"shop.py": SHOP.replace(SUM, "    return sum(prices)")})
    reads = Fault(path="^/graphql$", times=1) if path == r"^/graphql$" else None
    world.state.faults += [*filter(None, [reads]), structs.replace(trouble, path=path)]
    told = await review(world)
    assert left(told) == [f"shop.py:6 {FIFTY}"]
    is_done = "integration" not in trouble.message
    done = [" fixed here", " resolved"]
    missing = done[0] if "comments" in path else done[1]
    expected = "".join(one for one in done if is_done or one != missing)
    assert said(world)[0] == f"shop.py:2 {LOST}{expected}"


@pytest.mark.slow
async def test_what_could_not_be_told_as_fixed_is_told_by_the_next_run(living: World) -> None:
    world = living
    await review(world)
    world.state.push(world.pull, {"shop.py": SHOP.replace(SUM, "    return sum(prices)")})
    forbidden = Fault(path=r"/pulls/comments/\d+$", status=403, message="no")
    world.state.faults.append(forbidden)
    await review(world)
    assert said(world)[0] == f"shop.py:2 {LOST} resolved"
    await review(world)
    assert said(world)[0] == f"shop.py:2 {LOST} fixed here resolved"
    n_asked = requests(world, "POST", "/graphql")
    await review(world)
    assert requests(world, "POST", "/graphql") == n_asked + 1


@pytest.mark.slow
async def test_closed_and_reopened_it_goes_on_where_it_was(living: World) -> None:
    world = living
    first = await review(world)
    world.pull.state = "closed"
    await world.happens("closed")
    world.pull.state = "open"
    await world.happens("reopened")
    assert left(await review(world)) == left(first)
    assert len(world.reviews) == 1
