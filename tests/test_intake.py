"""What a delivery leads to, wherever it comes from. The door's tests tell the rest."""

import pytest

from app.intake import may_start


@pytest.mark.parametrize(
    ("name", "action", "expected"),
    [
        ("issue_comment", "created", True),
        ("issue_comment", "edited", True),
        ("issue_comment", "deleted", False),
        ("pull_request_review", "submitted", True),
        ("pull_request_review", "dismissed", False),
        ("pull_request_review_comment", "created", True),
        ("pull_request", "opened", True),
        ("pull_request", "edited", True),
        ("pull_request", "assigned", False),
        ("check_run", "rerequested", True),
        ("check_run", "completed", False),
        ("merge_group", "checks_requested", True),
        ("push", "", False),
        ("an_event_of_tomorrow", "made", False),
    ],
)
def test_an_event_that_can_start_nothing_is_known_by_its_name(
    name: str, action: str, expected: bool
) -> None:
    assert may_start(name, action) is expected
