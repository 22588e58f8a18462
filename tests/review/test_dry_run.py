"""A dry run says what would be asked and what not, and counts what a question really holds."""

import pytest

from app.review.config import Config
from app.review.coverage import plan_review
from app.review.dry_run import DryRun, render_dry_run, render_prompts
from app.review.event import Request
from app.review.prompt import Prompt
from app.review.pull import NotInDiff
from app.review.tokens import estimate
from tests.builders import make_diff


@pytest.fixture
def dry() -> DryRun:
    diff = make_diff({"a.py": "x = 1\n", "b\x1b.py": "y = 2\n", "go.sum": "z\n", ".env": "K=v\n"})
    plan = plan_review(diff, Request(), Config(), budget_tokens=2_000, max_chunks=9)
    prompts = tuple(
        Prompt(system="Be good.", user=f"About {c.number}\n", schema_name="s", schema=b"{}")
        for c in plan.chunks
    )
    notices = (NotInDiff(path="new.py", reason="untracked"),)
    return DryRun(plan=plan, prompts=prompts, model="gpt-x", notices=notices)


def test_a_dry_run_lists_questions_and_what_is_left_out(dry: DryRun) -> None:
    each = estimate("Be good.") + estimate("About 1\n") + estimate("{}")
    assert render_dry_run(dry).splitlines() == [
        f"question 1: correctness, performance, tests, about {each} tokens: a.py, b<U+001B>.py",
        f"question 2: security, about {each} tokens: a.py, b<U+001B>.py",
        "Left out:",
        "- new.py: untracked",
        "- go.sum: lock file",
        "- .env: withheld: matches .env*",
        f"2 questions, about {2 * each} tokens in (gpt-x), price unknown; nothing was sent",
    ]


def test_the_questions_are_printed_as_they_would_be_sent(dry: DryRun) -> None:
    shown = render_prompts(dry)
    assert shown.count("Be good.") == 1
    assert "==== question 1: correctness, performance, tests\n\nAbout 1\n" in shown
    assert "==== question 2: security\n\nAbout 2\n" in shown
