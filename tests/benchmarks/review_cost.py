"""Measures what one review of the 25-file pull request costs: processor time and GitHub requests.

Run it from the checkout: `python -m tests.benchmarks.review_cost`. Exit status 1 if a bound is
broken. The bare script parses the diff once and sends the same requests, GitHub's and the model's,
all at once; it gets the answers that the review got. Both are measured when warm.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.demo.deliveries import deliver
from app.demo.events import comment_event
from app.demo.faults import RecordedRequest
from app.demo.records import PullRequest
from app.demo.serving import serving
from tests.benchmarks.rig import Rig, Verdicts, finds_one, rig, until
from tests.conftest import CHECKOUT
from tests.model_server import Question

N_WARM, N = 3, 20
MAX_CPU = 4.0
MAX_CALLS = 14
UNCOUNTED = re.compile(r"^GET .*(/contents/|/files$|/comments$|/reviews$|/check-runs$)")
"""Contents of changed files and pages of lists."""


async def main() -> int:
    verdicts = Verdicts()
    async with rig(finds_one()) as one:
        pulls = await asyncio.to_thread(one.open_pulls, N_WARM + N)
        async with one.server() as (process, one.state.hook.url):
            for pull in pulls[:N_WARM]:
                await _review(one, pull)
            cpu_s, children_s = process.cpu_s(), process.children_cpu_s()
            asked, sent = len(one.model.questions), len(one.state.requests)
            for pull in pulls[N_WARM:]:
                await _review(one, pull)
            cpu_s = (process.cpu_s() - cpu_s) / N
            children_s = (process.children_cpu_s() - children_s) / N
        requests = one.state.requests[sent:]
        last = _last_review(requests)
        questions = one.model.questions[-((len(one.model.questions) - asked) // N) :]
        bare_s = await _bare(one, last, questions)
    calls = _calls(last)
    print(f"GitHub requests of one review: {len(last)}")
    for call, times in sorted(calls.items()):
        print(f"  {times:3} {call}")
    print(f"questions to the model: {len(questions)}")
    counted = sum(times for call, times in calls.items() if not UNCOUNTED.match(call))
    print(f"CPU of one review: ours {1000 * cpu_s:.0f} ms, bare {1000 * bare_s:.0f} ms", end="")
    print(f"; beside it {1000 * children_s:.0f} ms of analysers in children")
    verdicts.hold("GitHub requests beside lists and contents", counted, MAX_CALLS)
    verdicts.hold("CPU, ours / bare", cpu_s / bare_s, MAX_CPU)
    return verdicts.status()


async def _review(one: Rig, pull: PullRequest) -> None:
    comment = one.state.comment(pull, "riley", "@codex review")
    delivery = await deliver(one.state, await asyncio.to_thread(comment_event, one.state, comment))
    if delivery.status_code != 202:
        raise RuntimeError(f"answered {delivery.status_code}")
    await until(lambda: one.jobs("ended_at IS NULL") == 0)


def _last_review(requests: Sequence[RecordedRequest]) -> list[RecordedRequest]:
    """The requests from the last look at a permission on, and the token that a first one needs."""
    starts = [n for n, request in enumerate(requests) if request.path.endswith("/permission")]
    return list(requests[starts[-1] :])


def _calls(requests: Sequence[RecordedRequest]) -> Counter[str]:
    named = (f"{r.method} {re.sub(r'/[0-9a-f]{40}', '/SHA', r.path)}" for r in requests)
    plain = (re.sub(r"/contents/.*", "/contents/…", re.sub(r"/\d+", "/N", name)) for name in named)
    return Counter(plain)


async def _bare(
    one: Rig, requests: Sequence[RecordedRequest], questions: Sequence[Question]
) -> float:
    """Let the bare script play the review against its recorded answers; return its CPU seconds."""
    diff = next(r.response_body for r in requests if "diff" in r.accept)
    async with serving(_replay(requests)) as github:
        planned = [
            _planned(f"{github}{r.path}?{r.query}", r.method, r.accept, r.request_body)
            for r in requests
        ]
        planned += [
            _planned(
                f"{one.model_url}/chat/completions", "POST", "*/*", json.dumps(q.body).encode()
            )
            for q in questions
        ]
        plan, raw = one.folder / "requests.json", one.folder / "change.diff"
        plan.write_text(json.dumps(planned))
        raw.write_bytes(diff)
        arguments = ("-m", "tests.benchmarks.bare_client", str(plan), str(raw), str(N))
        told = await asyncio.to_thread(
            subprocess.check_output, [sys.executable, *arguments], cwd=CHECKOUT, env=os.environ
        )
    return float(told)


def _planned(url: str, method: str, accept: str, body: bytes) -> dict[str, str]:
    return {
        "url": url,
        "method": method,
        "accept": accept,
        "body": base64.b64encode(body).decode(),
    }


def _replay(requests: Sequence[RecordedRequest]) -> Starlette:
    """Give each request the answer that it got."""
    known = {(r.method, r.path, r.accept): r for r in requests}

    async def answer(request: Request) -> Response:
        await request.body()
        was = known[request.method, request.url.path, request.headers["accept"]]
        kind = "application/json" if was.response_body[:1] in (b"{", b"[") else "text/plain"
        return Response(was.response_body, was.status, media_type=kind)

    return Starlette(
        routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PATCH", "DELETE", "PUT"])]
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
