"""GitHub's own description of its API, read once."""

import json
from pathlib import Path

import pytest

from tests.conformance.description import Description


@pytest.fixture(scope="session")
def description(shared: Path) -> Description:
    return Description(json.loads((shared / "github-openapi-subset.json").read_text("utf-8")))
