"""Measures one review of 16 questions with a model that takes 2 s, and its second look.

Run it from the checkout: `python -m tests.benchmarks.model_rounds`. Exit status 1 if the bound is
broken. It is what a perfect program needs: for the questions and for the second look each
⌈calls / MAX_CONCURRENT_MODEL_CALLS⌉ rounds of 2 s. Ours runs from the delivery to the completed
check run, in a process of its own, the first review of its life.
"""

import asyncio
import math
import re
import sys
import time

import httpx

from app.demo.events import comment_event
from tests.benchmarks.rig import Rig, Verdicts, rig, signed, until
from tests.judges import agree, is_second_look
from tests.model_server import Question, Reply, slow
from tests.world import answer, finding

MODEL_S, MAX_CALLS = 2.0, 16
SETTLING_S = 2.0
N_FILES, N_FUNCTIONS = 8, 210
MAX_RATIO = 1.15
_FILE = re.compile(r"^## File: (\S+)", re.MULTILINE)
_LINE = re.compile(r"^(\d+) \+(    return alpha.*)$", re.MULTILINE)


async def main() -> int:
    verdicts = Verdicts()
    async with rig(_script) as one:
        files = {f"sums/part_{n}.py": _source(n) for n in range(N_FILES)}
        pull = await asyncio.to_thread(
            one.state.open_pull_request, one.repository, files, title="Sums", branch="sums"
        )
        one.env = {"MAX_CONCURRENT_MODEL_CALLS": str(MAX_CALLS)}
        comment = one.state.comment(pull, "riley", "@codex review")
        body, headers = signed(await asyncio.to_thread(comment_event, one.state, comment))
        async with one.server(extras=True) as (_, hook), httpx.AsyncClient() as client:
            await asyncio.sleep(SETTLING_S)
            began = time.perf_counter()
            await client.post(hook, content=body, headers=headers)
            await until(lambda: _is_done(one))
            took_s = time.perf_counter() - began
    judged = sum(is_second_look(question.user) for question in one.model.questions)
    asked = len(one.model.questions) - judged
    bound_s = sum(math.ceil(calls / MAX_CALLS) for calls in (asked, judged)) * MODEL_S
    print(f"{asked} questions, {judged} second looks, at most {one.model.busiest} at once")
    print(f"{took_s:.2f} s of {bound_s:.0f} s")
    verdicts.hold("time, ours / bound", took_s / bound_s, MAX_RATIO)
    return verdicts.status()


def _source(number: int) -> str:
    return "".join(
        f"def sum_{number}_{n}(alpha, beta):\n    return alpha + beta + {n}\n\n"
        for n in range(N_FUNCTIONS)
    )


def _script(question: Question) -> Reply:
    said = agree if is_second_look(question.user) else _find
    return slow(MODEL_S, said(question.user))


def _find(user: str) -> str:
    """Find fault with one line of each file, but not twice: another question is about security."""
    if "# Focus: security" in user:
        return answer()
    found = []
    for file in _FILE.finditer(user):
        if line := _LINE.search(user, file.end()):
            lines = {"start": int(line[1]), "end": int(line[1])}
            place = {"path": file[1], "side": "RIGHT", "line_range": lines}
            found.append(finding(code_location=place, evidence_quote=line[2]))
    return answer(*found)


def _is_done(one: Rig) -> bool:
    return any(run.status == "completed" for run in one.state.check_runs.values())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
