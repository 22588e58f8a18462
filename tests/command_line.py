"""The program's command line, run in this process."""

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from app.cli import run


class Terminal:
    """Runs the program in this process with a standard input of our choice."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.folder = folder

    def run(self, *argv: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Return how it left, and what it wrote to stdout and stderr."""
        self._monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
        with pytest.raises(SystemExit) as left:
            run(argv)
        out, err = self._capsys.readouterr()
        return int(left.value.code or 0), out, err

    def review(self, diff: bytes, *argv: str) -> tuple[int, str, str]:
        return self.run("review", "--diff", "-", *argv, stdin=diff)
