"""Asks for 50 reviews of the 25-file pull request at once, with latencies like those outside.

Run it from the checkout: `python -m tests.benchmarks.reviews_at_once`. Exit status 1 if a bound is
broken. GitHub takes 50 ms longer for each request and the model 2 s, both on their own side.

The bound is what the operator's limits leave of a perfect program on free processors. The model
alone: questions / MAX_CONCURRENT_MODEL_CALLS rounds of 2 s. The slots alone: reviews /
MAX_CONCURRENT_REVIEWS rounds of one review, that is its questions, all at once, and its GitHub
requests as far as each needs the one before (`CHAIN`). The larger of both holds, and one CHAIN
before the first question and after the last one is added where the model is the narrow place.
"""

import asyncio
import math
import sys
import time

from app.demo.deliveries import deliver
from app.demo.events import comment_event
from app.demo.faults import Fault
from app.demo.records import PullRequest
from tests.benchmarks.rig import Rig, Verdicts, finds_one, rig, until

N = 50
GITHUB_S, MODEL_S = 0.05, 2.0
MAX_REVIEWS, MAX_CALLS = 8, 16
CHAIN = 9
"""Token, permission, 👀; pull request with its diff, check run; questions; head, reviews, pending
review, submitted review. The verdict comes after the review that people see, and is the tenth."""
MAX_RATIO = 1.5


async def main() -> int:
    verdicts = Verdicts()
    async with rig(finds_one(MODEL_S)) as one:
        pulls = await asyncio.to_thread(one.open_pulls, N)
        one.state.faults.append(Fault(path="", delay_s=GITHUB_S, times=sys.maxsize))
        one.env = {
            "MAX_CONCURRENT_REVIEWS": str(MAX_REVIEWS),
            "MAX_CONCURRENT_MODEL_CALLS": str(MAX_CALLS),
        }
        async with one.server() as (process, one.state.hook.url):
            began, cpu_before = time.perf_counter(), process.cpu_s()
            await asyncio.gather(*(_command(one, pull) for pull in pulls))
            await until(lambda: _is_done(one))
            took_s, cpu_s = time.perf_counter() - began, process.cpu_s() - cpu_before
    questions = len(one.model.questions)
    print(f"{N} reviews in {took_s:.1f} s; server {cpu_s:.1f} s of CPU")
    print(f"{questions} questions, at most {one.model.busiest} at once; ", end="")
    print(f"{len(one.state.requests)} requests to GitHub")
    bound_s = _bound(questions)
    print(f"bound {bound_s:.1f} s")
    submitted = [r for r in one.state.reviews.values() if r.state == "COMMENTED"]
    verdicts.hold("reviews lost or doubled", abs(len(submitted) - N), 0)
    verdicts.hold("model calls at once", one.model.busiest, MAX_CALLS)
    verdicts.hold("time, ours / bound", took_s / bound_s, MAX_RATIO)
    return verdicts.status()


def _bound(questions: int) -> float:
    chain_s = CHAIN * GITHUB_S
    by_model = math.ceil(questions / MAX_CALLS) * MODEL_S + chain_s
    by_slots = math.ceil(N / MAX_REVIEWS) * (MODEL_S + chain_s)
    print(f"by the model {by_model:.1f} s, by the slots {by_slots:.1f} s; ", end="")
    return max(by_model, by_slots)


async def _command(one: Rig, pull: PullRequest) -> None:
    comment = one.state.comment(pull, "riley", "@codex review")
    await deliver(one.state, await asyncio.to_thread(comment_event, one.state, comment))


def _is_done(one: Rig) -> bool:
    done = [run for run in one.state.check_runs.values() if run.status == "completed"]
    return len(done) >= N and one.jobs("ended_at IS NULL") == 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
