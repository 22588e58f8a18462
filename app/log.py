"""Events in a context, one JSON object a line on standard error.

Ids (delivery, job, run, repo, pull) are bound once at the door and stand in every line below it.
Values are scalars that we chose: never tokens, diffs, prompts or answers. What libraries have to
say stands in such lines too.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_logger = logging.getLogger("codex_review")
_bound: ContextVar[dict[str, object]] = ContextVar("bound", default={})  # noqa: B039 - never mutated


Listener = Callable[[Mapping[str, object]], None]
_listeners: list[Listener] = []


class _Foreign(logging.Formatter):
    """A line of a library's log, as one of ours."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {"logger": record.name, "message": record.getMessage()}
        exc = record.exc_info[1] if record.exc_info else None
        return _json(_line(record.levelno, "library", told, exc))


def configure(level: str) -> None:
    """Write events of `level` and above to standard error as JSON lines; of others, warnings."""
    foreign = logging.StreamHandler(sys.stderr)
    foreign.setFormatter(_Foreign())
    foreign.setLevel(logging.WARNING)
    logging.basicConfig(handlers=[foreign])
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


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Let somebody hear every event inside the block, whatever its level."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


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
    is_written = _logger.isEnabledFor(level)
    if not is_written and not _listeners:
        return
    line = _line(level, name, fields, exc)
    for listener in _listeners:
        listener(line)
    if is_written:
        _logger.log(level, _json(line))


def _line(
    level: int, name: str, fields: dict[str, object], exc: BaseException | None
) -> dict[str, object]:
    head = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": logging.getLevelName(level).lower(),
        "event": name,
    }
    line: dict[str, object] = head | _bound.get() | fields | head
    if exc is not None:
        line["exception"] = logging.Formatter().formatException((type(exc), exc, exc.__traceback__))
    return line


def _json(line: dict[str, object]) -> str:
    # JSON leaves DEL as it is.
    return json.dumps(line, default=str).replace("\x7f", "\\u007f")
