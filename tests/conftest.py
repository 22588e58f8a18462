"""Fixtures shared by all rooms."""

import json
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from app import log

# The same examples each time, however busy the machine is: a red run always means a change.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    max_examples=100 if os.environ.get("REQUIRE_ALL") else 40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

CHECKOUT = Path(__file__).resolve().parent.parent


def _prose() -> Iterator[str]:
    """What only prompts say: their longer lines."""
    for path in (CHECKOUT / "prompts").rglob("*.md"):
        yield from (line for line in path.read_text("utf-8").splitlines() if len(line) > 50)


NEVER_LOGGED = re.compile(
    "|".join(
        (
            r"-----BEGIN|\bgh[a-z]_\w{10}|\beyJ[\w-]{20}|Bearer \w",  # keys and tokens
            r"sesame-of-|hush-of-|a webhook secret|sk-\w{8}",  # what the tests plant
            r"@@ -\d|total / len\(values\)|diff --git|\\n[+-]\w",  # diffs
            *map(re.escape, _prose()),
        )
    )
)


@pytest.fixture(autouse=True)
def nothing_private_is_logged() -> Iterator[None]:
    """Listen to every test, at all levels: no secret, no diff, no prompt in any line."""
    lines: list[str] = []
    with log.heard_by(lambda line: lines.append(json.dumps(line, default=str, ensure_ascii=False))):
        yield
    found = [line for line in lines if NEVER_LOGGED.search(line)]
    assert not found, f"this must not be logged: {found[0]}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Material that others made; what needs it skips where it is absent."""
    named = os.environ.get("CONFORMANCE_DATA")
    place = Path(named) if named else CHECKOUT.parent / "shared"
    if not (place / "diffs").is_dir():
        pytest.skip(f"no conformance data at {place}: set CONFORMANCE_DATA")
    return place


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything is required."""
    report = yield
    if report.skipped and os.environ.get("REQUIRE_ALL") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but REQUIRE_ALL is set: {report.longrepr}"
    return report
