"""The configuration of a review: every value, its default and its meaning."""

from dataclasses import dataclass

from app.review.focus import DEFAULT_AREAS, Area
from app.review.priority import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What governs one review. The defaults are those of the README's table."""

    focus: tuple[Area, ...] = DEFAULT_AREAS
    min_priority: Priority = Priority.P2
    min_priority_automatic: Priority = Priority.P1
    max_comments: int = 5
    fail_on: Priority | None = None
    fail_on_error: bool = False
    check_name: str = "codex review"
    ignore: tuple[str, ...] = ()
    never_send: tuple[str, ...] = ()
