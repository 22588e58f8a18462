"""A signed delivery goes in; a review and a check run come out."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app import log
from app.demo.faults import Fault
from app.demo.state import AppIdentity, new_app
from tests.model_server import Completion, Script, error
from tests.world import World, answer, build_world, finding, finds, receipt

pytestmark = pytest.mark.anyio
Make = Callable[[Script], World]


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    return lambda script: build_world(tmp_path, identity, script)


async def test_a_signed_command_becomes_one_inline_review_and_a_check_run(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        comment = await world.comment("@codex review")
        run = await world.ended()
    [review] = world.reviews
    [inline] = world.inline
    assert world.state.deliveries[0].status_code == 202
    assert world.reactions(comment) == ["eyes"]
    assert (review.state, review.commit_id) == ("COMMENTED", world.pull.head_sha)
    assert (inline.place.path, inline.place.side, inline.place.line) == ("stats.py", "RIGHT", 3)
    assert "mean([])" in inline.body.replace("\\", "")
    assert (run.suite.head_sha, run.conclusion) == (world.pull.head_sha, "neutral")
    assert run.title == "Reviewed: 1 finding (1 P1)"
    assert receipt(run)["state"] == "findings"
    assert receipt(run)["run_id"] == run.external_id


async def test_every_line_about_a_job_tells_delivery_run_repository_and_pull_request(
    make: Make,
) -> None:
    world = make(finds(finding()))
    world.configure("version: 1\nreview: {automatic: [opened]}\n")
    lines: list[Mapping[str, object]] = []
    with log.heard_by(lines.append):
        async with world.running():
            await world.happens("opened")
            await world.rest()
            await world.comment("@codex review full")
            await world.rest()
    about_jobs = [line for line in lines if "job" in line]
    assert {line["lane"] for line in about_jobs} == {"respond", "look", "review"}
    assert all({"run", "repo", "pull"} <= line.keys() for line in about_jobs)
    deliveries = {delivery.guid for delivery in world.state.deliveries}
    assert {line.get("delivery") for line in about_jobs} == deliveries


async def test_a_clean_change_is_green_and_gets_a_thumb_and_no_review(make: Make) -> None:
    world = make(finds())
    async with world.running():
        comment = await world.comment("@codex review")
        run = await world.ended()
        await world.until(lambda: "+1" in world.reactions(comment))
    assert (run.conclusion, run.title) == ("success", "Reviewed: no findings")
    assert world.reviews == []


async def test_every_chunk_and_area_is_accounted_for_in_the_receipt(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    [row] = receipt(run)["coverage"]
    assert row["path"] == "stats.py"
    states = row["areas"]
    assert states.pop("dependencies") == "not concerned"
    assert set(states) == {"correctness", "security", "performance", "tests"}
    assert all(state.startswith("shown") for state in states.values())


async def test_what_a_model_cannot_prove_is_dropped_and_recorded(make: Make) -> None:
    world = make(finds(finding(evidence_quote="os.remove(values)"), finding(title="True one")))
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert [f["title"] for f in receipt(run)["findings"]] == ["True one"]
    [dropped] = receipt(run)["dropped"]
    assert (dropped["gate"], dropped["title"]) == ("anchored", "mean([]) raises ZeroDivisionError")


async def test_a_finding_on_the_wrong_line_is_moved_to_where_its_quote_stands(make: Make) -> None:
    place = {"path": "stats.py", "side": "RIGHT", "line_range": {"start": 900, "end": 905}}
    world = make(finds(finding(code_location=place)))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
    assert [comment.place.line for comment in world.inline] == [3]


async def test_a_stranger_is_refused_once_and_starts_nothing(make: Make) -> None:
    world = make(finds())
    async with world.running():
        first = await world.comment("@codex review", "stranger")
        await world.until(lambda: world.ours)
        second = await world.comment("@codex review", "stranger")
        asked = "/collaborators/stranger/permission"
        await world.until(lambda: sum(r.path.endswith(asked) for r in world.state.requests) == 2)
    assert len(world.ours) == 1
    assert "write access" in world.ours[0]
    assert world.reactions(first) == world.reactions(second) == []
    assert world.checks == []
    assert world.model.questions == []


async def test_the_same_delivery_three_times_is_one_review(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        comment = world.state.comment(world.pull, "riley", "@codex review")
        for _ in range(3):
            await world.deliver(comment, guid="11111111-2222-3333-4444-555555555555")
        await world.deliver(comment)
        await world.ended()
    assert len(world.reviews) == len(world.checks) == 1


@pytest.mark.slow
async def test_an_answer_lost_after_the_effect_leads_to_one_review(make: Make) -> None:
    world = make(finds(finding()))
    for path in (r"/reviews$", r"/reviews/\d+/events$", r"/check-runs$"):
        world.state.faults.append(Fault(path=path, method="POST", status=502, when="after"))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
    assert [review.state for review in world.reviews] == ["COMMENTED"]
    assert len(world.inline) == len(world.checks) == 1


async def test_a_push_during_the_review_supersedes_it(make: Make) -> None:
    world = make(finds())

    def push_then_answer(question: object) -> str:
        if len(world.pull.commits()) == 1:
            world.state.push(world.pull, {"stats.py": "def mean(values):\n    return 1\n"})
        return answer()

    world.model.script = push_then_answer
    old_head = world.pull.head_sha
    async with world.running():
        await world.comment("@codex review")
        last = await world.ended(2)
    first = world.checks[0]
    assert (first.suite.head_sha, first.conclusion) == (old_head, "cancelled")
    assert (last.suite.head_sha, last.conclusion) == (world.pull.head_sha, "success")


async def test_what_was_said_is_not_said_again_after_a_push(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        world.state.push(world.pull, {"other.py": "x = 1\n"})
        await world.comment("@codex review full")
        run = await world.ended(2)
    assert len(world.inline) == 1
    assert [f["title"] for f in receipt(run)["findings"]] == ["mean([]) raises ZeroDivisionError"]
    assert run.conclusion == "neutral"


async def test_a_refused_key_is_told_and_nothing_is_green(make: Make) -> None:
    world = make(lambda _: error(401, "Incorrect API key provided: sk-abcdefghijklmnop"))
    async with world.running():
        comment = await world.comment("@codex review")
        run = await world.ended()
        await world.until(lambda: world.ours)
    assert run.conclusion == "neutral"
    assert (run.title or "").startswith("NOT REVIEWED")
    assert "confused" in world.reactions(comment)
    [told] = world.ours
    assert run.external_id in told
    assert "sk-" not in told + (run.text or "") + (run.summary or "")


async def test_one_chunk_without_an_answer_makes_the_review_partial(make: Make) -> None:
    def script(question: object) -> Completion:
        declined = "# Focus: security" in str(getattr(question, "user", ""))
        if declined:
            return Completion(text=None, message={"content": None, "refusal": "I decline."})
        return Completion(text=answer())

    world = make(script)
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert (run.title or "").startswith("PARTIAL")
    assert run.conclusion == "neutral"
    assert "stats.py" in world.reviews[0].body
    assert "refused by the model" in world.reviews[0].body


async def test_without_a_model_only_analysers_run_and_the_verdict_says_so(make: Make) -> None:
    world = make(finds())
    world.env = {"OPENAI_BASE_URL": "", "MODEL": "", "MODEL_API": "static"}
    world.state.push(world.pull, {"stats.py": "def mean(values=[]):\n    return valeus\n"})
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    found = receipt(run)
    assert (found["state"], run.conclusion) == ("checked", "neutral")
    assert {f["rule"] for f in found["findings"]} == {"F821", "B006"}
    assert (run.title or "").startswith("ANALYSERS ONLY")
    assert world.model.questions == []


async def test_help_and_unknown_words_are_answered(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex help")
        await world.until(lambda: len(world.ours) == 1)
        await world.comment("@codex reveiw")
        await world.until(lambda: len(world.ours) == 2)
    assert "@codex review full" in world.ours[0]
    assert "Did you mean `@codex review`" in world.ours[1]
    assert world.checks == []


async def test_a_narrowed_review_says_partial(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review security")
        run = await world.ended()
    assert (run.title or "").startswith("PARTIAL")
    assert len(world.model.questions) == 1


async def test_a_stop_hands_the_review_back_and_the_next_start_finishes_it(make: Make) -> None:
    world = make(finds(finding()))
    hold = Fault(path=r"/reviews/\d+/events$", method="POST", delay_s=60)
    world.state.faults.append(hold)
    async with world.running(grace_s=0.1):
        await world.comment("@codex review")
        await world.until(lambda: world.reviews)
    world.state.faults.clear()
    async with world.running():
        await world.ended()
    assert [review.state for review in world.reviews] == ["COMMENTED"]
    assert len(world.inline) == len(world.checks) == 1


async def test_what_was_covered_is_not_asked_again_and_stays_in_the_verdict(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        first = len(world.model.questions)
        world.state.push(world.pull, {"other.py": "x = 1\n"})
        await world.comment("@codex review")
        run = await world.ended(2)
    asked = [question.user for question in world.model.questions[first:]]
    assert asked
    assert all("## File: other.py" in user for user in asked)
    assert not any("## File: stats.py" in user for user in asked)
    assert [f["title"] for f in receipt(run)["findings"]] == ["mean([]) raises ZeroDivisionError"]
    assert len(world.inline) == 1
    covered = {row["path"]: row["areas"]["correctness"] for row in receipt(run)["coverage"]}
    assert covered == {"stats.py": "covered", "other.py": "shown 1"}


async def test_a_finding_whose_code_is_gone_is_open_no_more(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        world.model.script = finds()
        world.state.push(world.pull, {"stats.py": "def mean(values):\n    return 0\n"})
        comment = await world.comment("@codex review")
        run = await world.ended(2)
        await world.until(lambda: "+1" in world.reactions(comment))
    assert (receipt(run)["state"], run.conclusion) == ("clean", "success")


async def test_full_asks_the_model_anew(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        first = len(world.model.questions)
        await world.comment("@codex review full")
        await world.ended(2)
    assert len(world.model.questions) == 2 * first


async def test_a_wish_is_asked_although_all_is_covered(make: Make) -> None:
    world = make(finds())
    async with world.running():
        await world.comment("@codex review")
        await world.ended()
        first = len(world.model.questions)
        await world.comment("@codex review for wrong means")
        await world.ended(2)
    assert len(world.model.questions) == 2 * first
    assert all("wrong means" in question.user for question in world.model.questions[first:])


async def test_a_secret_in_a_file_that_never_leaves_is_still_reported(make: Make) -> None:
    world = make(finds())
    token = "ghp_" + "Zk3vQ9rT1xWb7LmN5cYd2HsJ8pFg4aKeUo6R"
    world.state.push(world.pull, {".env": f"TOKEN={token}\n"})
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    [found] = receipt(run)["findings"]
    assert (found["path"], found["sources"]) == (".env", ["secrets"])
    assert token not in (run.text or "") + world.inline[0].body
    assert not any(token[:20] in question.user for question in world.model.questions)


async def test_a_suggestion_that_holds_becomes_a_block_and_one_that_breaks_the_file_prose(
    make: Make,
) -> None:
    good = finding(suggestion="    return total / len(values) if values else 0.0")
    bad = finding(
        title="Sum is slow",
        area="performance",
        suggestion="    total = sum(values",
        evidence_quote="    total = sum(values)",
        code_location={"path": "stats.py", "side": "RIGHT", "line_range": {"start": 2, "end": 2}},
    )
    world = make(finds(good, bad))
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    by_line = {comment.place.line: comment.body for comment in world.inline}
    block = "```suggestion\n    return total / len(values) if values else 0.0\n```"
    assert block in by_line[3]
    assert "```suggestion" not in by_line[2]
    refused = {f["title"]: f.get("suggestion_refused") for f in receipt(run)["findings"]}
    assert refused["mean([]) raises ZeroDivisionError"] is None
    assert refused["Sum is slow"]


async def test_a_private_key_stays_in_the_verdict_and_is_told_once(make: Make) -> None:
    world = make(finds())
    key = "-----BEGIN PRIVATE KEY-----\n" + "QUJDREVG" * 8 + "\n-----END PRIVATE KEY-----\n"
    world.state.push(world.pull, {"certs/server.pem": key})
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        await world.comment("@codex review performance")
        second = await world.ended(2)
    assert [f["priority"] for f in receipt(first)["findings"]] == ["P0"]
    assert [f["priority"] for f in receipt(second)["findings"]] == ["P0"]
    assert second.conclusion == "neutral"
    assert len(world.inline) == 1


async def test_what_a_lock_kept_back_is_told_when_the_lock_is_gone(make: Make) -> None:
    world = make(finds(finding()))
    world.pull.locked = True
    async with world.running():
        await world.comment("@codex review")
        first = await world.ended()
        assert "could not be posted" in (first.summary or "")
        world.pull.locked = False
        await world.comment("@codex review")
        await world.ended(2)
    assert [comment.place.line for comment in world.inline] == [3]
