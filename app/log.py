"""Events in a context, one JSON object a line on standard error.

Ids (delivery, job, run, repo, pull) are bound once at the door and stand in every line below it.
Values are scalars that we chose: never tokens, diffs, prompts or answers.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_logger = logging.getLogger("codex_review")
_bound: ContextVar[dict[str, object]] = ContextVar("bound", default={})  # noqa: B039 - never mutated


def configure(level: str) -> None:
    """Write events of `level` and above to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add fields to every event inside the block, also in tasks started there."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def event(name: str, /, **fields: object) -> None:
    """Log a step of normal work."""
    _write(logging.INFO, name, fields)


def warning(name: str, /, **fields: object) -> None:
    """Log that something went wrong that we can live with."""
    _write(logging.WARNING, name, fields)


def error(name: str, /, *, exc: BaseException | None = None, **fields: object) -> None:
    """Log something that a person must look at; `exc` adds its traceback to the same line."""
    _write(logging.ERROR, name, fields, exc)


def _write(
    level: int, name: str, fields: dict[str, object], exc: BaseException | None = None
) -> None:
    if not _logger.isEnabledFor(level):
        return
    head = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": logging.getLevelName(level).lower(),
        "event": name,
    }
    line: dict[str, object] = head | _bound.get() | fields | head
    if exc is not None:
        line["exception"] = logging.Formatter().formatException((type(exc), exc, exc.__traceback__))
    # JSON leaves DEL as it is.
    _logger.log(level, json.dumps(line, default=str).replace("\x7f", "\\u007f"))
