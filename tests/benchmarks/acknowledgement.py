"""Measures how soon a signed command is stored and answered, against a bare route that commits.

Run it from the checkout: `python -m tests.benchmarks.acknowledgement`. Exit status 1 if a bound
is broken. Requests go to both in turn, one at a time, and each is as often the first of the two.
"""

import asyncio
import http.client
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from app.demo.events import comment_event
from app.demo.serving import address, listen
from tests.benchmarks.rig import Rig, Verdicts, finds_one, quantile, rig, signed, started

N_WARM, N = 100, 1_000
MAX_RATIO = 2.0

Delivery = tuple[bytes, dict[str, str]]


async def main() -> int:
    verdicts = Verdicts()
    # A GitHub that never answers: what is stored is not worked on meanwhile.
    with listen() as silent:
        async with rig(finds_one()) as one, one.server(address(silent)) as (_, ours):
            deliveries = await asyncio.to_thread(_deliveries, one, N_WARM + N)
            async with _bare(one) as bare:
                at_bare, at_ours = await asyncio.to_thread(_measure, bare, ours, deliveries)
            stored = one.jobs("lane = 'respond'")
    for name, times in (("bare", at_bare), ("ours", at_ours)):
        p50, p99 = (1000 * quantile(times, share) for share in (0.5, 0.99))
        print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    if stored != N_WARM + N:
        verdicts.broken.append("lost")
    verdicts.hold("p50, ours / bare", quantile(at_ours, 0.5) / quantile(at_bare, 0.5), MAX_RATIO)
    return verdicts.status()


def _deliveries(one: Rig, count: int) -> list[Delivery]:
    [pull] = one.open_pulls(1)
    comments = (one.state.comment(pull, "riley", "@codex review") for _ in range(count))
    return [signed(comment_event(one.state, comment)) for comment in comments]


@asynccontextmanager
async def _bare(one: Rig) -> AsyncIterator[str]:
    arguments = ("-m", "tests.benchmarks.bare_route", str(one.folder / "bare.db"))
    async with started(arguments, os.environ, one.folder) as (_, at):
        yield f"{at}/webhook"


def _measure(bare: str, ours: str, deliveries: list[Delivery]) -> tuple[list[float], list[float]]:
    """Return the seconds that each acknowledgement took, those of the warm-up left out."""
    connections = [http.client.HTTPConnection(urlsplit(url).netloc) for url in (bare, ours)]
    times: tuple[list[float], list[float]] = ([], [])
    both = list(zip(connections, times, strict=True))
    for body, headers in deliveries:
        both.reverse()
        for connection, taken in both:
            began = time.perf_counter()
            connection.request("POST", "/webhook", body, headers)
            answer = connection.getresponse()
            answer.read()
            taken.append(time.perf_counter() - began)
            if answer.status != 202:
                raise RuntimeError(f"answered {answer.status}")
    return times[0][N_WARM:], times[1][N_WARM:]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
