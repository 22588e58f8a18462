"""Measures the memory of `serve`: at rest, and how it grows over 200 reviews and 2,000 deliveries.

Run it from the checkout: `python -m tests.benchmarks.memory`. Exit status 1 if a bound is broken.
Each review is of a 25-file pull request of its own; what the kernel counts as resident is taken
when all work has ended.
"""

import asyncio
import sys
from itertools import islice

import httpx

from app.demo.deliveries import deliver
from app.demo.events import comment_event
from app.demo.records import PullRequest
from tests.benchmarks.rig import Measured, Rig, Verdicts, finds_one, rig, signed, until

N_WARM_REVIEWS, N_WARM_DELIVERIES = 40, 400
N_REVIEWS, N_DELIVERIES = 200, 2_000
STEPS = 4
SETTLING_S = 3.0
AT_ONCE = 16
MAX_IDLE_MB, MAX_GROWTH_MB, MAX_MB = 80, 20, 150


async def main() -> int:
    verdicts = Verdicts()
    async with rig(finds_one()) as one, one.server(extras=True) as (process, _):
        print(
            f"idle, with the extras that are installed here: {await _idle_mb(one, process):.0f} MB"
        )
    async with rig(finds_one()) as one:
        pulls = iter(await asyncio.to_thread(one.open_pulls, N_WARM_REVIEWS + N_REVIEWS))
        async with one.server() as (process, url):
            one.state.hook.url = url
            idle_mb = await _idle_mb(one, process)
            await _work(one, url, list(islice(pulls, N_WARM_REVIEWS)), N_WARM_DELIVERIES)
            grown = [process.rss_mb()]
            for _ in range(STEPS):
                some = list(islice(pulls, N_REVIEWS // STEPS))
                await _work(one, url, some, N_DELIVERIES // STEPS)
                grown.append(process.rss_mb())
        reviews = sum(review.state == "COMMENTED" for review in one.state.reviews.values())
    print("warm, then after each quarter: " + ", ".join(f"{mb:.1f}" for mb in grown) + " MB")
    verdicts.hold("reviews missing", N_WARM_REVIEWS + N_REVIEWS - reviews, 0)
    verdicts.hold("idle", idle_mb, MAX_IDLE_MB, " MB")
    verdicts.hold("growth", grown[-1] - grown[0], MAX_GROWTH_MB, " MB")
    verdicts.hold("in all", max(grown), MAX_MB, " MB")
    return verdicts.status()


async def _idle_mb(one: Rig, process: Measured) -> float:
    await until(lambda: any(request.path == "/app" for request in one.state.requests))
    await asyncio.sleep(SETTLING_S)
    return process.rss_mb()


async def _work(one: Rig, url: str, pulls: list[PullRequest], n_deliveries: int) -> None:
    """Review pull requests while deliveries come in that are nobody's command."""
    await asyncio.gather(*(_command(one, pull) for pull in pulls))
    chatter = one.state.comment(pulls[0], "casey", "Looks good to me.")
    event = await asyncio.to_thread(comment_event, one.state, chatter)
    left = iter(range(n_deliveries))
    async with httpx.AsyncClient(timeout=30) as http:

        async def sender() -> None:
            for _ in left:
                body, headers = signed(event)
                (await http.post(url, content=body, headers=headers)).raise_for_status()

        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    await until(lambda: one.jobs("ended_at IS NULL") == 0)


async def _command(one: Rig, pull: PullRequest) -> None:
    comment = one.state.comment(pull, "riley", "@codex review")
    await deliver(one.state, await asyncio.to_thread(comment_event, one.state, comment))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
