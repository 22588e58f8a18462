"""What a review's cost is measured against: parse its diff and send the same requests with httpx.

Run by `review_cost.py`: `python -m tests.benchmarks.bare_client REQUESTS DIFF ROUNDS`. Prints the
processor time of one round, the imports left out.
"""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path

import httpx

from app.review.diff import parse_diff


def main(requests: str, diff: str, rounds: str) -> None:
    planned = json.loads(Path(requests).read_text())
    print(asyncio.run(_measure(planned, Path(diff).read_bytes(), int(rounds))))


async def _measure(planned: list[dict[str, str]], raw: bytes, rounds: int) -> float:
    """Play the exchanges of one review again and again; the first round warms up."""
    async with httpx.AsyncClient() as http:
        await _play(http, planned, raw)
        began = time.process_time()
        for _ in range(rounds):
            await _play(http, planned, raw)
    return (time.process_time() - began) / rounds


async def _play(http: httpx.AsyncClient, planned: list[dict[str, str]], raw: bytes) -> None:
    parse_diff(raw)
    await asyncio.gather(*(_send(http, request) for request in planned))


async def _send(http: httpx.AsyncClient, request: dict[str, str]) -> None:
    answer = await http.request(
        request["method"],
        request["url"],
        content=base64.b64decode(request["body"]),
        headers={"Accept": request["accept"], "Authorization": "Bearer ghs_none"},
    )
    if "json" in answer.headers["content-type"]:
        answer.json()


if __name__ == "__main__":
    main(*sys.argv[1:])
