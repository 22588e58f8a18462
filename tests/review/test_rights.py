"""Who may command, and whose pull requests are reviewed without a command."""

import pytest

from app.review.config import AutomaticFor, Config, MayCommand
from app.review.rights import (
    least_to_command,
    may_bot_command,
    may_command,
    may_dismiss,
    may_have_automatic,
)

PERMISSIONS = ("admin", "write", "read", "none", "of tomorrow")


@pytest.mark.parametrize(
    ("automatic_for", "those"),
    [
        (AutomaticFor.ADMIN, {"admin"}),
        (AutomaticFor.WRITE, {"admin", "write"}),
        (AutomaticFor.READ, {"admin", "write", "read"}),
        (AutomaticFor.ANYONE, set(PERMISSIONS)),
    ],
)
def test_automatic_reviews_are_for_authors_with_at_least_this_permission(
    automatic_for: AutomaticFor, those: set[str]
) -> None:
    config = Config(automatic_for=automatic_for)
    assert {one for one in PERMISSIONS if may_have_automatic(one, config)} == those


@pytest.mark.parametrize("is_author", [True, False])
@pytest.mark.parametrize(
    ("needed", "those"),
    [
        (MayCommand.ADMIN, {"admin"}),
        (MayCommand.WRITE, {"admin", "write"}),
        (MayCommand.READ, {"admin", "write", "read"}),
        (MayCommand.AUTHOR, {"admin", "write"}),
    ],
)
def test_commands_are_for_people_with_at_least_this_permission_and_maybe_the_author(
    needed: MayCommand, those: set[str], is_author: bool
) -> None:
    config = Config(may_command=needed)
    may = {one for one in PERMISSIONS if may_command(one, config, is_author=is_author)}
    assert may == (set(PERMISSIONS) if needed is MayCommand.AUTHOR and is_author else those)


def test_whoever_is_not_the_author_is_told_what_they_need() -> None:
    assert least_to_command(Config(may_command=MayCommand.ADMIN)) == "admin"
    assert least_to_command(Config(may_command=MayCommand.AUTHOR)) == "write"


def test_only_bots_on_the_list_may_command() -> None:
    config = Config(bots=("Merge-Bot[bot]",))
    assert may_bot_command("merge-bot[bot]", config)
    assert not may_bot_command("merge-bot", config)
    assert not may_bot_command("merge-bot[bot]", Config())


def test_write_access_is_needed_to_dismiss_whoever_may_command() -> None:
    assert {one for one in PERMISSIONS if may_dismiss(one)} == {"admin", "write"}
