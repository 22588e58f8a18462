"""What `codex-review demo` prints is what happened, and the README shows it."""

import asyncio
import re
from pathlib import Path

import pytest

from app.demo import planted, story
from app.demo.records import ReviewComment
from tests.conftest import CHECKOUT
from tests.golden import assert_golden
from tests.picture import Commented, Scene, Theme, draw


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> story.Told:
    """The story, told once for all tests here; without a model, as on a machine without a key."""
    folder: Path = tmp_path_factory.mktemp("demo")
    return asyncio.run(story.tell(folder, {"PATH": "/usr/bin:/bin"}, keep=False, say=print))


def test_one_review_came_of_the_crash_and_none_is_left_pending(told: story.Told) -> None:
    reviews = [r for r in told.state.reviews.values() if r.pull is told.pull]
    assert [review.state for review in reviews] == ["COMMENTED"]
    assert any("1 review is written but not submitted" in line for line in told.lines)


def test_every_comment_that_is_printed_stands_on_github(told: story.Told) -> None:
    bodies = {
        comment: re.sub(r"^Fixed in [0-9a-f]{40}\.\n\n", "", comment.body)
        for comment in told.state.review_comments.values()
    }
    said = {
        f"    {comment.place.path}:{comment.place.line} {body.splitlines()[0].strip('*')}"
        for comment, body in bodies.items()
    }
    assert len(said) == 4
    assert said <= set(told.lines)


def test_both_check_runs_are_printed_as_they_are(told: story.Told) -> None:
    runs = sorted(told.state.check_runs.values(), key=lambda run: run.id)
    assert [run.status for run in runs] == ["completed", "completed"]
    for run in runs:
        assert f"    check run “{run.name}”: {run.conclusion}, {run.title}" in told.lines


def test_the_fixed_findings_are_those_of_the_fix(told: story.Told) -> None:
    fixed = [line.split()[1].partition(":")[0] for line in told.lines if "    fixed " in line]
    assert sorted(fixed) == sorted(planted.FIX)
    assert "The two receipts: 2 findings gone, 2 still open, 0 new." in told.lines


def test_bugs_that_need_a_model_are_named_as_not_looked_for(told: story.Told) -> None:
    for bug in planted.BUGS:
        line = f"    {bug.path}:{bug.line} {bug.what}"
        assert (line in told.lines) == (bug.finder == planted.MODEL)


def test_the_clean_control_is_left_alone(told: story.Told) -> None:
    assert planted.CONTROL in planted.HEAD
    assert not any(planted.CONTROL in c.body for c in told.state.review_comments.values())
    assert not any(c.place.path == planted.CONTROL for c in told.state.review_comments.values())


def test_the_acknowledgement_came_within_a_second(told: story.Told) -> None:
    [first, second] = [line for line in told.lines if "👀" in line]
    for line in (first, second):
        found = re.search(r"👀 after (\d+) ms", line)
        assert found
        assert int(found[1]) < 1_000


@pytest.mark.parametrize("theme", list(Theme))
def test_the_picture_in_the_readme_is_not_stale(told: story.Told, theme: Theme) -> None:
    assert_golden(str(CHECKOUT / ".github" / f"review-{theme}.svg"), draw(_scene(told), theme))


def _scene(told: story.Told) -> Scene:
    """Take from the stand-in what the picture shows: the first two comments, the first check."""
    [review] = told.state.reviews.values()
    run = min(told.state.check_runs.values(), key=lambda run: run.id)
    return Scene(
        author=told.state.app.bot,
        check_name=run.name,
        check_title=run.title or "",
        conclusion=run.conclusion or "",
        comments=[_commented(comment) for comment in told.state.comments_of(review)[:2]],
    )


def _commented(comment: ReviewComment) -> Commented:
    body = re.sub(r"^Fixed in [0-9a-f]{40}\.\n\n", "", comment.body)
    before, code, *_ = body.split("```")
    heading, _, text = before.strip().partition("\n")
    return Commented(
        path=comment.place.path,
        line=comment.place.line,
        code=code.strip("\n").split("\n")[0],
        heading=heading.strip("*"),
        text=text.strip(),
    )


def test_the_readme_prints_what_the_demo_prints(told: story.Told) -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    for line in told.lines:
        assert _timeless(line) in _timeless(readme), line


def _timeless(text: str) -> str:
    """Leave out what differs from run to run: ports and measured numbers."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\bport \d+", "port PORT", text)
    text = re.sub(r"[\d.]+ (m?s)\b", r"N \1", text)
    return re.sub(r"\d+ requests", "N requests", text)
