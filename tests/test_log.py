"""One event is one line of JSON, whatever is in it."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import log
from app.settings import Secret
from tests.conftest import CHECKOUT, NEVER_LOGGED

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
HOSTILE = 'a\nb\rc\x1b[2J\x7f\x85\u2028\u202e"quoted"\\ \udcff {0} %s %d'


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """Put the program's logger back as it was."""
    logger = logging.getLogger("codex_review")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield logger
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


class Lines:
    """What is written from now on, line by line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        log.configure("info")
        self._capsys = capsys

    def raw(self) -> list[str]:
        return self._capsys.readouterr().err.splitlines()

    def decoded(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.raw()]


def test_an_event_has_time_level_name_and_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(capsys)
    log.event("review.finished", findings=2, clean=False, path=Path("a"), who=None)
    log.warning("chunk.not_reviewed")
    log.error("job.failed")
    told = lines.decoded()
    assert all(re.fullmatch(TIME, str(one.pop("time"))) for one in told)
    assert told == [
        {
            "level": "info",
            "event": "review.finished",
            "findings": 2,
            "clean": False,
            "path": "a",
            "who": None,
        },
        {"level": "warning", "event": "chunk.not_reviewed"},
        {"level": "error", "event": "job.failed"},
    ]


def test_hostile_text_stays_in_its_line_and_its_field(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(capsys)
    log.event(HOSTILE, reason=HOSTILE)
    (line,) = lines.raw()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == HOSTILE
    assert json.loads(line)["reason"] == HOSTILE


def test_an_exception_stands_in_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(capsys)
    try:
        raise ValueError(HOSTILE)
    except ValueError as exc:
        log.error("crash", exc=exc, job=1)
    (line,) = lines.raw()
    told = json.loads(line)
    assert line.isprintable()
    assert told["job"] == 1
    assert told["exception"].startswith("Traceback")
    assert f"ValueError: {HOSTILE}" in told["exception"]


def test_no_field_can_pose_as_time_level_or_event(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(capsys)
    log.event("true", event="false", level="error", time="never", name="kept")
    told = lines.decoded()[0]
    assert (told["event"], told["level"], told["name"]) == ("true", "info", "kept")
    assert told["time"] != "never"


async def _in_a_task(name: str) -> None:
    with log.bind(job=name):
        await asyncio.sleep(0)
        log.event("step")


@pytest.mark.anyio
async def test_what_is_bound_stands_in_the_lines_below_and_only_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines(capsys)
    with log.bind(delivery="d", job="outer"):
        await asyncio.gather(_in_a_task("one"), _in_a_task("two"))
        log.event("after")
    log.event("outside")
    told = lines.decoded()
    assert [(one.get("delivery"), one.get("job"), one["event"]) for one in told] == [
        ("d", "one", "step"),
        ("d", "two", "step"),
        ("d", "outer", "after"),
        (None, None, "outside"),
    ]


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(capsys)
    log.configure("error")
    log.event("quiet")
    log.warning("quiet")
    log.error("loud")
    assert [json.loads(line)["event"] for line in lines.raw()] == ["loud"]


def test_what_a_library_says_is_a_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, root.handlers[:] = root.handlers[:], []
    try:
        lines = Lines(capsys)
        logging.getLogger("a.library").info("127.0.0.1 GET /")
        logging.getLogger("a.library").warning("Invalid %s", HOSTILE)
    finally:
        root.handlers[:] = handlers
    [line] = lines.decoded()
    assert (line["level"], line["event"], line["logger"]) == ("warning", "library", "a.library")
    assert line["message"] == f"Invalid {HOSTILE}"


@pytest.mark.parametrize(
    "private",
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        "ghs_0123456789abcdef",
        "Authorization: Bearer abc",
        "@@ -1,4 +1,3 @@",
        "a.py\n+import os",
        (CHECKOUT / "prompts" / "system.md").read_text("utf-8"),
    ],
)
def test_the_suite_would_notice_what_must_not_be_logged(private: str) -> None:
    assert NEVER_LOGGED.search(json.dumps({"reason": private}, ensure_ascii=False))


def test_a_listener_hears_every_level_and_only_inside_its_block() -> None:
    heard: list[object] = []
    with log.heard_by(lambda line: heard.append((line["event"], line.get("job")))):
        log.configure("error")
        with log.bind(job=7):
            log.event("quiet")
    log.event("later")
    assert heard == [("quiet", 7)]


def test_a_secret_hides_itself(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(capsys)
    log.event("settings.read", key=Secret("hush"))
    assert "hush" not in lines.raw()[0]
