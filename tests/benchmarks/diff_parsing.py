"""Measures `parse_diff` against plain unidiff: speed and peak memory over 50 MB of real diffs.

Run it from the checkout: `python -m tests.benchmarks.diff_parsing`. Exit status 1 if a bound
is broken. Each measurement runs in a process of its own, on the same file.
"""

import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SIZE = 50_000_000
ROUNDS = 3
MIN_SPEED = 0.5  # of unidiff's
MAX_MEMORY = 1.2  # of unidiff's


def main() -> int:
    """Print both ratios; 0 if they are within their bounds."""
    if len(sys.argv) == 3:
        return _measure(sys.argv[1], Path(sys.argv[2]))
    data = Path(os.environ.get("CONFORMANCE_DATA", "../shared")) / "diffs" / "diffs.jsonl.gz"
    if not data.exists():
        print(f"skipped: {data} is not there")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.diff"
        path.write_bytes(_corpus(data))
        print(f"{path.stat().st_size / 1e6:.1f} MB, best of {ROUNDS}, each in its own process")
        unidiff_s, unidiff_mb = _run("unidiff", path)
        ours_s, ours_mb = _run("ours", path)
    speed, memory = unidiff_s / ours_s, ours_mb / unidiff_mb
    print(f"unidiff {unidiff_s:6.2f} s {unidiff_mb:7.0f} MB")
    print(f"ours    {ours_s:6.2f} s {ours_mb:7.0f} MB")
    print(f"speed  {speed:.2f} of unidiff's (at least {MIN_SPEED})")
    print(f"memory {memory:.2f} of unidiff's (at most {MAX_MEMORY})")
    return int(speed < MIN_SPEED or memory > MAX_MEMORY)


def _corpus(data: Path) -> bytes:
    """Repeat the diffs that plain unidiff can read up to `SIZE` bytes."""
    diffs = []
    with gzip.open(data) as lines:
        for line in lines:
            raw = json.loads(line)["diff"].encode("utf-8", "surrogateescape")
            if _is_readable(raw):
                diffs.append(raw)
    once = b"".join(diffs)
    return once * (SIZE // len(once) + 1)


def _is_readable(raw: bytes) -> bool:
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    try:
        return bool(PatchSet(raw.decode("utf-8")))
    except (UnidiffParseError, UnicodeDecodeError):
        return False


def _run(who: str, path: Path) -> tuple[float, float]:
    """Take the best seconds and the least megabytes of several fresh processes."""
    module = "tests.benchmarks.diff_parsing"
    results = []
    for _ in range(ROUNDS):
        output = subprocess.check_output([sys.executable, "-m", module, who, str(path)], text=True)
        results.append([float(word) for word in output.split()])
    return min(result[0] for result in results), min(result[1] for result in results)


def _measure(who: str, path: Path) -> int:
    raw = path.read_bytes()
    parse = _parser(who)
    before = time.process_time()
    parsed = parse(raw)
    seconds = time.process_time() - before
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(seconds, peak_kb / 1024)
    return 0 if parsed else 1


def _parser(who: str) -> Callable[[bytes], object]:
    # Imported here, so that neither measurement pays for the other's module.
    if who == "unidiff":
        from unidiff.patch import PatchSet

        return PatchSet
    from app.review.diff import parse_diff

    return parse_diff


if __name__ == "__main__":
    sys.exit(main())
