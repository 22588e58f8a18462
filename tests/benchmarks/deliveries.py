"""Sends 2,000 signed deliveries, 50 at a time, three in four irrelevant: none is lost or doubled.

Run it from the checkout: `python -m tests.benchmarks.deliveries`. Exit status 1 if one is. Every
fifth command is delivered twice, by two of the fifty. The commands are worked on meanwhile, so the
times are those of a busy server that shares two processors with its GitHub and its sender.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from itertools import cycle

import httpx

from app.demo.events import comment_event, pull_event
from app.demo.records import IssueComment, PullRequest
from tests.benchmarks.rig import Rig, Verdicts, finds_one, quantile, rig, signed, until

N, AT_ONCE, N_PULLS = 2_000, 50, 50
MAX_P99_MS = 1_000.0
"""👀 is promised within a second of the delivery."""
OF_PEOPLE = "json_extract(work, '$.is_bot') IS NOT 1"
"""A bot's command is a job too, since a repository may hear it; here it leads to nothing."""

Delivery = tuple[bytes, dict[str, str]]


async def main() -> int:
    verdicts = Verdicts()
    async with rig(finds_one()) as one, one.server() as (process, url):
        comments, deliveries = await asyncio.to_thread(_deliveries, one)
        began = time.perf_counter()
        statuses, times = await _send(url, deliveries)
        sent_s = time.perf_counter() - began
        await until(lambda: one.jobs("ended_at IS NULL") == 0)
        worked_s = time.perf_counter() - began
        wrong = [comment.id for comment in comments if _reactions(one, comment) != ["eyes"]]
        stored, answers = one.jobs(OF_PEOPLE), _answers(one)
        rss_mb = process.rss_mb()
    p50, p99 = (1000 * quantile(times, share) for share in (0.5, 0.99))
    print(f"{len(deliveries)} deliveries in {sent_s:.1f} s: {dict(statuses)}, p50 {p50:.0f} ms")
    print(f"{len(comments)} commands: {stored} jobs, {answers} answers after {worked_s:.1f} s")
    print(f"the server holds {rss_mb:.0f} MB")
    verdicts.hold("p99 of an acknowledgement", p99, MAX_P99_MS, " ms")
    verdicts.hold("deliveries refused", len(deliveries) - statuses[202], 0)
    verdicts.hold("commands without 👀, or with more", len(wrong), 0)
    verdicts.hold("jobs lost or doubled", abs(stored - len(comments)), 0)
    verdicts.hold("answers lost or doubled", abs(answers - len(comments)), 0)
    return verdicts.status()


def _deliveries(one: Rig) -> tuple[list[IssueComment], list[Delivery]]:
    """Write the deliveries in the order in which they are sent, and the comments that command."""
    pulls = cycle(one.open_pulls(N_PULLS))
    irrelevant = cycle((_chatter, _of_a_bot, _assigned))
    comments, sent = [], []
    for number in range(N):
        pull = next(pulls)
        if number % 4:
            sent.append(next(irrelevant)(one, pull))
            continue
        comment = one.state.comment(pull, "riley", "@codex help")
        comments.append(comment)
        delivery = signed(comment_event(one.state, comment))
        sent += [delivery] * (2 if len(comments) % 5 == 0 else 1)
    random.Random(0).shuffle(sent)
    return comments, sent


def _chatter(one: Rig, pull: PullRequest) -> Delivery:
    return signed(comment_event(one.state, one.state.comment(pull, "casey", "Looks good to me.")))


def _of_a_bot(one: Rig, pull: PullRequest) -> Delivery:
    bot = one.state.person("other[bot]", "Bot").login
    return signed(comment_event(one.state, one.state.comment(pull, bot, "@codex review")))


def _assigned(one: Rig, pull: PullRequest) -> Delivery:
    return signed(pull_event(one.state, pull, "assigned"))


async def _send(url: str, deliveries: list[Delivery]) -> tuple[Counter[int], list[float]]:
    """Send all of them; return how often each status came, and the seconds that each took."""
    statuses: Counter[int] = Counter()
    times = []
    left = iter(deliveries)
    async with httpx.AsyncClient(timeout=30) as http:

        async def sender() -> None:
            for body, headers in left:
                began = time.perf_counter()
                reply = await http.post(url, content=body, headers=headers)
                times.append(time.perf_counter() - began)
                statuses[reply.status_code] += 1

        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return statuses, times


def _reactions(one: Rig, comment: IssueComment) -> list[str]:
    found = one.state.reactions_to(("issue_comment", comment.id))
    return [reaction.content for reaction in found]


def _answers(one: Rig) -> int:
    us = one.state.app.bot
    return sum(comment.author == us for comment in one.state.issue_comments.values())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
