"""Troubles with GitHub that have a name, as faults of the stand-in."""

from app.demo.faults import Fault

# What GitHub says, as quoted in public issues.
SECONDARY_LIMIT = (
    "You have exceeded a secondary rate limit and have been temporarily blocked from content "
    "creation. Please retry your request again later."
)
PRIMARY_LIMIT = "API rate limit exceeded for installation."


def secondary_limit(path: str, *, retry_after_s: int | None = None, times: int = 1) -> Fault:
    """A 403 for writing too quickly, with or without `retry-after`."""
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return Fault(path=path, status=403, message=SECONDARY_LIMIT, headers=headers, times=times)


def primary_limit(path: str, *, reset_at: int, status: int = 403, times: int = 1) -> Fault:
    """A used-up hour: nothing remains until `reset_at` (epoch seconds)."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset_at)}
    return Fault(path=path, status=status, message=PRIMARY_LIMIT, headers=headers, times=times)


def expired_token(path: str, *, times: int = 1) -> Fault:
    """A 401 for a token that was good a moment ago."""
    return Fault(path=path, status=401, message="Bad credentials", times=times)
