"""Golden texts: what we publish, compared with a file; `UPDATE_GOLDEN=1` writes the file anew."""

import os

from tests.conftest import CHECKOUT

FOLDER = CHECKOUT / "tests" / "data" / "golden"


def assert_golden(name: str, text: str) -> None:
    """Compare a text with the golden file of that name (a newline is added to its end)."""
    place = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        place.write_text(text + "\n", encoding="utf-8", newline="\n")
    assert place.exists(), f"no {place.name}: run with UPDATE_GOLDEN=1 and read what it wrote"
    assert text + "\n" == place.read_text("utf-8")
