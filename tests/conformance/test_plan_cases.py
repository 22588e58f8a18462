"""Every golden line of the known cases stands in a chunk of its area, with its true number."""

import json
from pathlib import Path

from app.review.chunks import Chunk
from app.review.config import Config
from app.review.coverage import plan_review
from app.review.diff import Side, parse_diff
from app.review.event import Request
from app.review.focus import parse_area


def test_every_golden_line_is_shown_for_its_area(shared: Path) -> None:
    missing = []
    n_golden = 0
    for line in (shared / "cases" / "cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        diff = parse_diff(case["diff"].encode("utf-8", "surrogateescape"))
        plan = plan_review(diff, Request(), Config(), budget_tokens=6_000, max_chunks=60)
        for golden in case["golden"]:
            area = parse_area(golden["category"])
            chunks = [chunk for chunk in plan.chunks if area in chunk.areas]
            for number in range(golden["start_line"], golden["end_line"] + 1):
                n_golden += 1
                place = (golden["path"], Side(golden["side"]), number)
                if not any(_shows(chunk, place) for chunk in chunks):
                    missing.append((case["id"], *place))
    assert n_golden > 0
    assert missing == []


def _shows(chunk: Chunk, place: tuple[str, Side, int]) -> bool:
    """Look for a line in the map and, under its number and mark, in the text."""
    mark = "-" if place[1] is Side.LEFT else "+"
    return place in chunk.shown and f"\n{place[2]} {mark}{chunk.shown[place]}\n" in chunk.text
