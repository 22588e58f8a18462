"""Whether a pull request is reviewed although nobody asked. Knows no queue and asks nobody."""

from dataclasses import dataclass

from app.review.config import Config
from app.review.globs import compile_globs
from app.review.pull import PullRequest

_BOT = "[bot]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Review it, if its author may have that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Somebody may expect a review: a check run tells them why there is none."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """Nobody expects anything."""

    reason: str


Wish = Wanted | Skipped | Unwanted


def decide_automatic(pull: PullRequest, config: Config, trigger: str, *, is_paused: bool) -> Wish:
    """Decide whether what happened starts a review; `trigger` as `automatic` names it."""
    if trigger.casefold() not in _folded(config.automatic):
        return Unwanted(reason="not configured")
    if pull.state != "open":
        return Unwanted(reason="closed")
    if pull.is_archived or pull.is_locked:
        return Unwanted(reason="archived or locked")
    reason = _why_not(pull, config, is_paused=is_paused)
    return Skipped(reason=reason) if reason else Wanted()


def _why_not(pull: PullRequest, config: Config, *, is_paused: bool) -> str:
    if is_paused:
        return "automatic reviews are paused here"
    if pull.is_draft and not config.drafts:
        return "it is a draft"
    if not compile_globs(map(_anchored, config.branches)).matches(pull.base_ref):
        return "its base branch is not among the configured branches"
    if _person(pull.author) in {_person(author) for author in config.ignore_authors}:
        return "its author is among the ignored authors"
    labels = [label for label in pull.labels if label.casefold() in _folded(config.skip_labels)]
    return f"its label {labels[0]} says so" if labels else ""


def _folded(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def _anchored(pattern: str) -> str:
    """A branch is named as a whole, other than a file, whose name may stand in any folder."""
    return "**" if pattern == "*" else f"/{pattern}"


def _person(login: str) -> str:
    return login.casefold().removesuffix(_BOT)
