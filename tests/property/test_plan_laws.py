"""The coverage map adds up for any diff, any budget and any limit."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.config import Config
from app.review.coverage import (
    Asked,
    Coverage,
    LeftOut,
    Plan,
    Reason,
    Withheld,
    plan_review,
    settle,
)
from app.review.diff import Diff, FileDiff, Hunk, Line, Side, Status
from app.review.event import Request
from app.review.focus import DEFAULT_AREAS, Area

pytestmark = pytest.mark.slow

PATHS = (
    "src/a.py",
    "src/auth.py",
    "tests/test_a.py",
    "web/a.ts",
    "web/a.test.ts",
    "README.md",
    "package.json",
    "uv.lock",
    ".env",
    ".github/workflows/ci.yml",
    "docs/ignored/a.py",
    "data.csv",
)
TEXTS = st.sampled_from(
    (
        "",
        "x = 1",
        "    return self.fetch(url, timeout_s=10)",
        "y" * 700,
        "z\u202e\u200b\udcff",
        "\u202e" * 400,
        "password = 'hunter22!'",
        "名前" * 200,
        "a\r",
        "## File: src/b.py (modified)",
    )
)


@st.composite
def hunks_of(draw: st.DrawFn, old: int, new: int) -> Hunk:
    """Draw a hunk that begins at these line numbers."""
    lines: list[Line] = []
    n_old, n_new = old, new
    for kind in draw(st.text("+- ", min_size=1, max_size=14)):
        text = draw(TEXTS)
        is_old, is_new = kind != "+", kind != "-"
        lines.append(Line(kind, n_old if is_old else None, n_new if is_new else None, text, True))
        n_old, n_new = n_old + is_old, n_new + is_new
    return Hunk(
        old_start=old,
        old_count=n_old - old,
        new_start=new,
        new_count=n_new - new,
        section=draw(TEXTS),
        lines=tuple(lines),
    )


@st.composite
def files_at(draw: st.DrawFn, path: str) -> FileDiff:
    hunks: list[Hunk] = []
    old, new = 1, 1
    for _ in range(draw(st.integers(0, 3))):
        hunk = draw(hunks_of(old, new))
        hunks.append(hunk)
        old, new = old + hunk.old_count + 20, new + hunk.new_count + 20
    return FileDiff(old_path=path, new_path=path, status=Status.MODIFIED, hunks=tuple(hunks))


@st.composite
def diffs(draw: st.DrawFn) -> Diff:
    paths = draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=6))
    return Diff(files=tuple(draw(files_at(path)) for path in paths))


AREAS = st.lists(st.sampled_from(list(Area)), unique=True, min_size=1).map(tuple)
REQUESTS = st.builds(Request, areas=st.none() | AREAS, full=st.booleans())
CONFIGS = st.builds(Config, focus=AREAS, ignore=st.just(("docs/ignored/**",)))
BUDGETS = st.integers(1, 60) | st.integers(60, 3_000)
LIMITS = st.integers(0, 4) | st.just(1_000)


def plan_of(
    diff: Diff,
    request: Request,
    config: Config,
    budget_tokens: int,
    max_chunks: int,
    covered: frozenset[str] = frozenset(),
) -> Plan:
    return plan_review(
        diff,
        request,
        config,
        covered=covered,
        budget_tokens=budget_tokens,
        max_chunks=max_chunks,
    )


def changed_places(path: str, hunk: Hunk) -> list[tuple[str, Side, int]]:
    return [
        (path, Side.LEFT, line.old or 0) if line.kind == "-" else (path, Side.RIGHT, line.new or 0)
        for line in hunk.changed_lines
    ]


def hunks_in_rows(diff: Diff) -> list[tuple[str, Hunk | None]]:
    """List what each row of a plan is about."""
    return [(file.path, hunk) for file in diff.files for hunk in file.hunks or (None,)]


@settings(max_examples=150, deadline=None)
@given(diffs(), REQUESTS, CONFIGS, BUDGETS, LIMITS)
def test_every_asked_line_is_shown_exactly_once_for_each_area(
    diff: Diff, request: Request, config: Config, budget_tokens: int, max_chunks: int
) -> None:
    plan = plan_of(diff, request, config, budget_tokens, max_chunks)
    about = hunks_in_rows(diff)
    assert [row.path for row in plan.rows] == [path for path, _ in about]
    for row, (path, hunk) in zip(plan.rows, about, strict=True):
        places = changed_places(path, hunk) if hunk else []
        assert row.n_changed_lines == len(places)
        assert set(row.areas) == {*config.focus, *(request.areas or ())}
        for area, state in row.areas.items():
            if not isinstance(state, Asked):
                continue
            named = [chunk for chunk in plan.chunks if chunk.number in state.chunks]
            assert len(named) == len(state.chunks) > 0
            assert all(area in chunk.areas for chunk in named)
            for place in places:
                assert sum(place in chunk.shown for chunk in named) == 1
                assert sum(place in c.shown for c in plan.chunks if area in c.areas) == 1


@settings(max_examples=100, deadline=None)
@given(diffs(), REQUESTS, CONFIGS, BUDGETS, LIMITS)
def test_chunks_keep_to_budget_limit_and_what_may_be_shown(
    diff: Diff, request: Request, config: Config, budget_tokens: int, max_chunks: int
) -> None:
    plan = plan_of(diff, request, config, budget_tokens, max_chunks)
    assert [chunk.number for chunk in plan.chunks] == list(range(1, len(plan.chunks) + 1))
    assert len(plan.chunks) <= max_chunks
    changed = {
        place
        for file in diff.files
        for hunk in file.hunks
        for place in changed_places(file.path, hunk)
    }
    withheld = {
        row.path
        for row in plan.rows
        if any(isinstance(state, Withheld) for state in row.areas.values())
    }
    assert withheld == {file.path for file in diff.files} & {".env"}
    asked_areas = set(config.focus if request.areas is None else request.areas)
    for chunk in plan.chunks:
        n_changed = sum(place in changed for place in chunk.shown)
        assert n_changed > 0
        assert chunk.tokens <= budget_tokens or n_changed == 1
        assert set(chunk.areas) <= asked_areas
        assert chunk.areas
        assert withheld.isdisjoint(path for path, _, _ in chunk.shown)
        chunk.text.encode("utf-8")
        assert "hunter22" not in chunk.text


@settings(max_examples=100, deadline=None)
@given(diffs(), BUDGETS)
def test_what_is_shown_stands_in_the_text_under_its_number(diff: Diff, budget_tokens: int) -> None:
    plan = plan_of(diff, Request(), Config(), budget_tokens, 1_000)
    for chunk in plan.chunks:
        lines = Counter(chunk.text.split("\n"))
        for (_, side, number), text in chunk.shown.items():
            marks = ("-",) if side is Side.LEFT else ("+", " ")
            assert any(lines[f"{number} {mark}{text}"] for mark in marks)
            assert len(text) <= 500


@settings(max_examples=100, deadline=None)
@given(diffs(), CONFIGS, BUDGETS, LIMITS, st.data())
def test_after_a_run_each_line_is_shown_or_named_with_its_reason(
    diff: Diff, config: Config, budget_tokens: int, max_chunks: int, data: st.DataObject
) -> None:
    plan = plan_of(diff, Request(), config, budget_tokens, max_chunks)
    outcomes = {
        chunk.number: data.draw(st.sampled_from((None, Reason.MODEL_REFUSED)))
        for chunk in plan.chunks
    }
    coverage: Coverage = settle(plan, outcomes)
    for before, after in zip(plan.rows, coverage.rows, strict=True):
        for area, state in before.areas.items():
            settled = after.areas[area]
            if not isinstance(state, Asked):
                assert settled == state
            elif any(outcomes[number] for number in state.chunks):
                assert settled == LeftOut(Reason.MODEL_REFUSED)
            else:
                assert str(settled) == str(state).replace("planned", "shown")


@settings(max_examples=60, deadline=None)
@given(diffs(), CONFIGS, st.integers(100, 3_000))
def test_what_was_shown_is_never_asked_again(
    diff: Diff, config: Config, budget_tokens: int
) -> None:
    plan = plan_of(diff, Request(), config, budget_tokens, 1_000)
    covered = settle(plan, {chunk.number: None for chunk in plan.chunks}).keys_covered_by("")
    again = plan_of(diff, Request(), config, budget_tokens, 1_000, covered)
    assert again.chunks == ()
    full = plan_of(diff, Request(full=True), config, budget_tokens, 1_000, covered)
    assert full.chunks == plan.chunks


@settings(max_examples=60, deadline=None)
@given(diffs(), BUDGETS, LIMITS)
def test_a_plan_is_the_same_each_time_whatever_the_order_of_areas(
    diff: Diff, budget_tokens: int, max_chunks: int
) -> None:
    one = plan_of(diff, Request(), Config(), budget_tokens, max_chunks)
    reordered = Config(focus=tuple(reversed(DEFAULT_AREAS)))
    other = plan_of(diff, Request(), reordered, budget_tokens, max_chunks)
    assert one.chunks == other.chunks
    assert [dict(row.areas) for row in one.rows] == [dict(row.areas) for row in other.rows]
