"""Measures the analysers on changes with known bugs and on their controls: recall, false alarms.

Run it from the checkout: `python -m tests.benchmarks.analysers [CASES [DIFFS]]` (two folders).
A case counts as found when a finding stands within three lines of the bug; whether it names the
same fault is for a person to read, so each is printed. On a control everything is a false alarm.
The diffs are real changes that were merged: what is said of them is printed to be read.
"""

import asyncio
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.analysers.table import build_finders
from app.ports import Finder
from app.review.config import Config
from app.review.diff import parse_diff
from app.review.findings import Candidate
from app.review.priority import Priority
from app.review.pull import Change
from app.sandbox.isolation import find_sandbox

MAX_FALSE_ALARMS = 0.05
NEAR = 3
TOLD = Priority.P2
"""What a review tells when somebody asked for it; nits are not counted."""

N_FILES = 25
FILE = "".join(
    f"def f{n}(x):\n    if x > {n}:\n        return x + {n}\n    return f{n}(x)\n"
    for n in range(100)
)
SCRIPT = "".join(
    f"export function f{n}(x) {{\n  return x > {n} ? x : f{n}(x + 1);\n}}\n" for n in range(130)
)
GO = "package a\n" + "".join(f"func f{n}(x int) int {{\n\treturn x + {n}\n}}\n" for n in range(130))


def as_change(diff: str) -> Change:
    return Change(
        pull=None,
        title="",
        body="",
        head_sha=None,
        base_sha=None,
        diff=parse_diff(diff.encode("utf-8", "surrogateescape")),
        config=Config(),
    )


def added_only(change: Change) -> dict[str, bytes]:
    """Give the contents of added files, all that a diff alone tells."""
    return {
        file.path: "".join(f"{line.text}\n" for line in file.changed_lines).encode(
            "utf-8", "surrogateescape"
        )
        for file in change.diff.files
        if file.old_path is None and file.hunks
    }


def contents(files: Mapping[str, Mapping[str, str | None]], side: str) -> dict[str, bytes]:
    return {
        path: text.encode("utf-8", "surrogateescape")
        for path, sides in files.items()
        if (text := sides.get(side)) is not None
    }


async def said(
    finders: tuple[Finder, ...], change: Change, files: Mapping[str, bytes]
) -> list[Candidate]:
    found = await asyncio.gather(*(finder.find(change, files) for finder in finders))
    told = [c for one in found for c in one.candidates if c.priority.at_or_above(TOLD)]
    return sorted(told, key=lambda c: (c.location.path, c.location.line))


def is_near(candidate: Candidate, golden: Mapping[str, Any]) -> bool:
    lines = [(golden["start_line"], golden["end_line"])]
    if golden.get("right_hunk"):
        lines.append(tuple(golden["right_hunk"]))
    return candidate.location.path == golden["path"] and any(
        first - NEAR <= candidate.location.line <= last + NEAR for first, last in lines
    )


def show(name: str, told: list[Candidate]) -> None:
    for c in told:
        place = f"{c.location.path}:{c.location.line}"
        print(f"  {name} {c.source}/{c.rule} {c.priority} {place} {c.title}: {c.evidence[:90]!r}")


async def measure_cases(finders: tuple[Finder, ...], folder: Path) -> bool:
    """Print recall by kind and the false alarms; say whether those keep their bound."""
    with gzip.open(folder / "files.jsonl.gz", "rt", encoding="utf-8") as lines:
        files = {one["id"]: one["files"] for one in map(json.loads, lines)}
    n_cases, n_found, n_alarmed = Counter[str](), Counter[str](), 0
    for case in map(json.loads, (folder / "cases.jsonl").read_text("utf-8").splitlines()):
        of_case = files[case["id"]]
        told = await said(finders, as_change(case["diff"]), contents(of_case, "head"))
        near = [c for c in told if any(is_near(c, golden) for golden in case["golden"])]
        show(f"near {case['id']}", near)
        show(f"elsewhere {case['id']}", [c for c in told if c not in near])
        n_cases[case["kind"]] += 1
        n_found[case["kind"]] += bool(near)
        control = as_change(case["control"]["diff"])
        alarms = await said(finders, control, contents(of_case, "base"))
        show(f"CONTROL {case['id']}", alarms)
        n_alarmed += bool(alarms)
    for kind, n in n_cases.items():
        print(f"near a bug of kind {kind}: {n_found[kind]} of {n}")
    share = n_alarmed / n_cases.total()
    print(f"controls with a false alarm: {n_alarmed} of {n_cases.total()}, bound 5%: {share:.1%}")
    return share <= MAX_FALSE_ALARMS


async def measure_diffs(finders: tuple[Finder, ...], folder: Path) -> int:
    """Print what is said of real changes; return how much that is."""
    with gzip.open(folder / "diffs.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [one for one in map(json.loads, lines) if "made" not in one]
    n_told = 0
    for record in records:
        change = as_change(record["diff"])
        told = await said(finders, change, added_only(change))
        show(record["id"], told)
        n_told += len(told)
    print(f"findings on {len(records)} real changes, to be read: {n_told}")
    return n_told


async def measure_time(finders: tuple[Finder, ...]) -> None:
    files = dict(_files())
    diff = "".join(
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{text.count(chr(10))} @@\n"
        + "".join(f"+{line}\n" for line in text.splitlines())
        for path, text in files.items()
    )
    change = as_change(diff)
    encoded = {path: text.encode() for path, text in files.items()}
    for attempt in ("first", "second", "third"):
        began = time.perf_counter()
        await said(finders, change, encoded)
        took = time.perf_counter() - began
        print(f"{N_FILES} files of {len(FILE.splitlines())} lines, {attempt} time: {took:.2f} s")


def _files() -> Iterator[tuple[str, str]]:
    for n in range(N_FILES - 4):
        yield f"app/m{n}.py", FILE
    yield "web/a.ts", SCRIPT
    yield "web/package.json", '{"dependencies": {"left-pad": "^1.0.0"}}\n'
    yield "a.go", GO
    yield "run.sh", "#!/bin/sh\necho ok\n"


SHARED = Path(__file__).resolve().parents[3] / "shared"


async def main() -> None:
    named = [Path(argument) for argument in sys.argv[1:]]
    cases, diffs = named + [SHARED / "cases", SHARED / "diffs"][len(named) :]
    sandbox = find_sandbox()
    finders = build_finders(sandbox.child())
    print((await sandbox.isolation()).describe())
    print("analysers:", ", ".join(finder.name for finder in finders))
    await measure_time(finders)
    is_good = await measure_cases(finders, cases)
    await measure_diffs(finders, diffs)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    asyncio.run(main())
