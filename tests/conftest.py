"""Fixtures shared by all rooms."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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
