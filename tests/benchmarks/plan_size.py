"""Measures what a plan costs: prompt bytes per changed line and area group, and time.

Run it from the checkout: `python -m tests.benchmarks.plan_size [FOLDER OF CASES]`.
"""

import json
import random
import sys
import time
from pathlib import Path

from app.review.config import Config
from app.review.coverage import Asked, LeftOut, Plan, plan_review
from app.review.diff import parse_diff
from app.review.event import Request

N_FILES, N_LINES = 337, 40_000
BUDGET_TOKENS = 6_000
STATEMENTS = (
    "    result = self.fetch(url, timeout_s=timeout)",
    "    if not isinstance(value, (int, float)):",
    "        raise ValueError(f'unexpected {value!r}')",
    "    return [item for item in items if item.is_open]",
    "",
    "def handle_{n}(request: Request, *, retries: int = 3) -> Response:",
    "    # Keep the order that the server gave us.",
    "    log.event('request.handled', path=request.path, status={n})",
)
SUFFIXES = (".py", ".py", ".go", ".ts", "_test.go", ".md", ".yml")


def synthetic_change() -> bytes:
    """Write the diff of 337 files with 40,000 changed lines, a third of them deleted."""
    chance = random.Random(0)
    per_file, rest = divmod(N_LINES, N_FILES)
    return "".join(
        _file(chance, number, per_file + (number < rest)) for number in range(N_FILES)
    ).encode()


def _file(chance: random.Random, number: int, n_changed: int) -> str:
    path = f"pkg{number % 12}/module_{number}{SUFFIXES[number % len(SUFFIXES)]}"
    hunks = []
    old = new = 1
    while n_changed:
        n_here = min(n_changed, chance.randint(1, 40))
        n_changed -= n_here
        n_deleted = n_here // 3
        body = [f" {_line(chance)}" for _ in range(3)]
        body += [f"-{_line(chance)}" for _ in range(n_deleted)]
        body += [f"+{_line(chance)}" for _ in range(n_here - n_deleted)]
        body += [f" {_line(chance)}" for _ in range(3)]
        n_old, n_new = n_deleted + 6, n_here - n_deleted + 6
        hunks.append(f"@@ -{old},{n_old} +{new},{n_new} @@ def handle_{old}():")
        hunks += body
        old, new = old + n_old + 50, new + n_new + 50
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
    return head + "\n".join(hunks) + "\n"


def _line(chance: random.Random) -> str:
    return chance.choice(STATEMENTS).replace("{n}", str(chance.randint(1, 9_999)))


def report(name: str, raw: bytes, *, max_chunks: int) -> Plan:
    diff = parse_diff(raw)
    start = time.perf_counter()
    plan = plan_review(
        diff, Request(), Config(), budget_tokens=BUDGET_TOKENS, max_chunks=max_chunks
    )
    seconds = time.perf_counter() - start
    n_changed = sum(row.n_changed_lines for row in plan.rows)
    n_shown = sum(
        row.n_changed_lines
        for row in plan.rows
        if any(isinstance(state, Asked) for state in row.areas.values())
    )
    n_bytes = sum(len(chunk.text.encode()) for chunk in plan.chunks)
    left_out = {
        state.reason.value
        for row in plan.rows
        for state in row.areas.values()
        if isinstance(state, LeftOut)
    }
    print(
        f"{name}: {n_changed} changed lines, {n_shown} shown, {len(plan.chunks)} chunks, "
        f"{n_bytes / n_changed:.0f} prompt bytes a changed line over all areas "
        f"({n_bytes / len(raw):.2f} of the diff), {sum(c.tokens for c in plan.chunks)} tokens, "
        f"{seconds:.2f} s; left out: {', '.join(sorted(left_out)) or 'nothing'}"
    )
    return plan


def main() -> None:
    raw = synthetic_change()
    report("337 files", raw, max_chunks=1_000)
    report("337 files, at most 60 chunks", raw, max_chunks=60)
    for folder in sys.argv[1:]:
        for line in (Path(folder) / "cases.jsonl").read_text().splitlines():
            case = json.loads(line)
            report(case["id"], case["diff"].encode("utf-8", "surrogateescape"), max_chunks=60)


if __name__ == "__main__":
    main()
