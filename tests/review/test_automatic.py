"""Which pull requests are reviewed although nobody asked, and which are told that they are not."""

from dataclasses import replace
from typing import Any

import pytest

from app.review.automatic import Skipped, Unwanted, Wanted, Wish, decide_automatic
from app.review.config import Config
from tests.builders import make_pull

CONFIG = Config(automatic=("opened", "synchronize", "label:Review me"))
PULL = make_pull(author="casey")


def _decide(
    trigger: str = "opened", *, is_paused: bool = False, config: Config = CONFIG, **pull: Any
) -> Wish:
    return decide_automatic(replace(PULL, **pull), config, trigger, is_paused=is_paused)


@pytest.mark.parametrize("trigger", ["opened", "synchronize", "label:Review me", "label:review me"])
def test_a_configured_trigger_wants_a_review(trigger: str) -> None:
    assert _decide(trigger) == Wanted()


@pytest.mark.parametrize("trigger", ["reopened", "ready_for_review", "label:opened", "label:", ""])
def test_any_other_trigger_is_nobody_s_business(trigger: str) -> None:
    assert _decide(trigger) == Unwanted(reason="not configured")


def test_without_a_configured_trigger_not_even_a_draft_is_told_anything() -> None:
    assert _decide(config=Config(), is_draft=True, is_paused=True) == Unwanted(
        reason="not configured"
    )


@pytest.mark.parametrize(
    ("pull", "reason"),
    [
        ({"state": "closed"}, "closed"),
        ({"is_archived": True}, "archived or locked"),
        ({"is_locked": True}, "archived or locked"),
    ],
)
def test_what_takes_no_review_is_left_alone(pull: dict[str, Any], reason: str) -> None:
    assert _decide(is_paused=True, **pull) == Unwanted(reason=reason)


def test_a_draft_is_skipped_unless_drafts_are_wanted() -> None:
    assert _decide(is_draft=True) == Skipped(reason="it is a draft")
    assert _decide(is_draft=True, config=replace(CONFIG, drafts=True)) == Wanted()


def test_a_paused_pull_request_says_so_before_anything_else() -> None:
    paused = Skipped(reason="automatic reviews are paused here")
    assert _decide(is_paused=True, is_draft=True) == paused


@pytest.mark.parametrize(
    ("branches", "base", "is_wanted"),
    [
        (("*",), "main", True),
        (("*",), "release/1.0", True),
        (("main",), "main", True),
        (("main",), "feature/main", False),
        (("main",), "Main", False),
        (("release/*",), "release/1.0", True),
        (("release/*",), "release/1.0/hot", False),
        (("release/**",), "release/1.0/hot", True),
        (("main", "v?"), "v2", True),
        (("main", "v?"), "v10", False),
        ((), "main", False),
        (("",), "main", False),
    ],
)
def test_only_configured_base_branches_are_reviewed(
    branches: tuple[str, ...], base: str, is_wanted: bool
) -> None:
    wish = _decide(config=replace(CONFIG, branches=branches), base_ref=base)
    skipped = Skipped(reason="its base branch is not among the configured branches")
    assert wish == (Wanted() if is_wanted else skipped)


@pytest.mark.parametrize(
    ("ignored", "author", "is_wanted"),
    [
        ("Casey", "casey", False),
        ("dependabot", "dependabot[bot]", False),
        ("dependabot[bot]", "Dependabot[bot]", False),
        ("case", "casey", True),
        ("[bot]", "casey", True),
    ],
)
def test_ignored_authors_are_known_whatever_the_case_and_as_bots(
    ignored: str, author: str, is_wanted: bool
) -> None:
    wish = _decide(config=replace(CONFIG, ignore_authors=(ignored,)), author=author)
    assert wish == (
        Wanted() if is_wanted else Skipped(reason="its author is among the ignored authors")
    )


def test_a_skip_label_is_named() -> None:
    config = replace(CONFIG, skip_labels=("no-review", "wip"))
    assert _decide(config=config, labels=("bug", "WIP")) == Skipped(reason="its label WIP says so")
    assert _decide(config=config, labels=("bug",)) == Wanted()
