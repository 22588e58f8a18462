"""The steps of the Dockerfile, taken without an engine: install what is copied, serve, ask."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text("utf-8")
INSTALLED = "/opt/codex-review"


def instructions(word: str) -> list[str]:
    """What stands behind each such instruction, its lines joined."""
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    return re.findall(rf"(?m)^{word}\s+(.*)$", joined)


def copied(folder: Path) -> None:
    """Copy what the first stage copies."""
    for line in instructions("COPY"):
        *sources, to = shlex.split(line)
        for source in sources if not line.startswith("--from") else ():
            place = CHECKOUT / source
            if place.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(place, folder / to, ignore=ignored)
            else:
                shutil.copy(place, folder / to)


def test_the_image_runs_as_nobody_special_and_keeps_its_data_in_a_volume() -> None:
    assert instructions("USER") == ["10001"]
    assert instructions("WORKDIR")[-1] == instructions("VOLUME")[0] == "/data"
    assert json.loads(instructions("ENTRYPOINT")[0]) == [f"{INSTALLED}/bin/codex-review"]


def test_what_is_copied_is_not_ignored() -> None:
    kept = (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
    for line in instructions("COPY"):
        if not line.startswith("--from"):
            assert {f"!{source}" for source in shlex.split(line)[:-1]} <= set(kept)


@pytest.mark.slow
def test_the_steps_of_the_image_lead_to_a_server_that_is_healthy(tmp_path: Path) -> None:
    source, venv, data = (tmp_path / name for name in ("src", "venv", "data"))
    source.mkdir()
    data.mkdir()
    copied(source)
    install = instructions("RUN")[0].replace(INSTALLED, str(venv))
    install = install.replace("python -m venv", f"{sys.executable} -m venv")
    subprocess.run(["bash", "-ec", install], cwd=source, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def here(words: list[str]) -> list[str]:
        given = [word.replace(INSTALLED, str(venv)).replace("8000", str(port)) for word in words]
        return [word.replace("0.0.0.0", "127.0.0.1") for word in given]  # noqa: S104 - not bound

    entry, usual = instructions("ENTRYPOINT")[0], instructions("CMD")[-1]
    command = here([*json.loads(entry), *json.loads(usual)])
    check = here(json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2]))
    env = {"PATH": os.environ["PATH"], "MODEL_API": "static"}
    serving = subprocess.Popen([*command, "--port", str(port)], cwd=data, env=env)
    try:
        end = time.monotonic() + 60
        while subprocess.run(check, capture_output=True).returncode:
            assert time.monotonic() < end, "it never became healthy"
            time.sleep(0.2)
    finally:
        serving.terminate()
        serving.wait(20)
    assert subprocess.run(check, capture_output=True).returncode != 0
