"""The coverage map names every hunk and area, before and after the answers are in."""

import pytest

from app.review.config import Config
from app.review.coverage import (
    Asked,
    Coverage,
    Covered,
    LeftOut,
    NotConcerned,
    Plan,
    Planned,
    Reason,
    Row,
    Shown,
    Withheld,
    coverage_key,
    plan_review,
    settle,
    split_chunks,
)
from app.review.diff import Damaged, Diff, parse_diff
from app.review.event import Request
from app.review.focus import DEFAULT_AREAS, Area


def added(path: str, *lines: str) -> str:
    """Write the diff of a new file."""
    lines = lines or ("x = 1",)
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{body}"
    )


def plan_of(
    *files: str,
    request: Request | None = None,
    config: Config | None = None,
    covered: frozenset[str] = frozenset(),
    budget_tokens: int = 1_000,
    max_chunks: int = 100,
    attributes: str = "",
    rules_hash: str = "",
) -> Plan:
    return plan_review(
        parse_diff("".join(files).encode()),
        request or Request(),
        config or Config(),
        covered=covered,
        budget_tokens=budget_tokens,
        max_chunks=max_chunks,
        attributes=attributes,
        rules_hash=rules_hash,
    )


def all_answered(plan: Plan) -> Coverage:
    return settle(plan, {chunk.number: None for chunk in plan.chunks})


def states(plan: Plan) -> list[set[Planned]]:
    return [set(row.areas.values()) for row in plan.rows]


def test_a_source_hunk_is_asked_for_each_area_that_it_concerns() -> None:
    plan = plan_of(added("a.py"))
    (row,) = plan.rows
    assert (row.path, row.hunk, row.n_changed_lines) == ("a.py", "@@ -0,0 +1,1 @@", 1)
    assert row.areas == {
        Area.CORRECTNESS: Asked((1,)),
        Area.SECURITY: Asked((2,)),
        Area.PERFORMANCE: Asked((1,)),
        Area.DEPENDENCIES: NotConcerned(),
        Area.TESTS: Asked((1,)),
    }
    assert [chunk.areas for chunk in plan.chunks] == [
        (Area.CORRECTNESS, Area.PERFORMANCE, Area.TESTS),
        (Area.SECURITY,),
    ]
    assert plan.shown == plan.chunks[0].shown == plan.chunks[1].shown


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (added("uv.lock"), Reason.LOCK_FILE),
        (added("vendor/a.py"), Reason.VENDORED),
        (added("a.min.js"), Reason.MINIFIED),
        (added("a_pb2.py"), Reason.GENERATED),
        (added("docs/a.py"), Reason.IGNORED),
        (added("gen/a.py"), Reason.GENERATED),
        (
            "diff --git a/a.png b/a.png\nindex 0123456..1234567 100644\n"
            "Binary files a/a.png and b/a.png differ\n",
            Reason.BINARY,
        ),
        ("diff --git a/a.sh b/a.sh\nold mode 100644\nnew mode 100755\n", Reason.NO_LINES),
        (
            "diff --git a/a.py b/b.py\nsimilarity index 100%\nrename from a.py\nrename to b.py\n",
            Reason.NO_LINES,
        ),
    ],
)
def test_what_nobody_wrote_is_left_out_by_name_and_is_no_gap(file: str, reason: Reason) -> None:
    plan = plan_of(file, config=Config(ignore=("docs/**",)), attributes="gen/** linguist-generated")
    assert states(plan) == [{LeftOut(reason)}]
    assert plan.chunks == ()
    coverage = settle(plan, {})
    assert (coverage.gaps, coverage.n_reviewed) == ((), 0)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (".env", ".env*"),
        ("deploy/.env.production", ".env*"),
        ("certs/Server.PEM", "*.pem"),
        ("home/.ssh/id_rsa", "id_rsa*"),
        ("a.key", "*.key"),
        (".npmrc", ".npmrc"),
        ("home/.aws/credentials", "**/.aws/credentials"),
        ("private/plans.py", "private/**"),
    ],
)
def test_a_withheld_file_is_shown_nowhere(path: str, pattern: str) -> None:
    plan = plan_of(added(path), added("a.py"), config=Config(never_send=("Private/**",)))
    assert states(plan)[0] == {Withheld(pattern)}
    assert {shown_path for shown_path, _, _ in plan.shown} == {"a.py"}
    assert all(path not in chunk.text for chunk in plan.chunks)
    assert all_answered(plan).gaps == ()


def test_a_file_that_was_withheld_under_its_old_name_stays_so() -> None:
    plan = plan_of(
        "diff --git a/.env b/settings.py\nsimilarity index 50%\nrename from .env\n"
        "rename to settings.py\n--- a/.env\n+++ b/settings.py\n@@ -1 +1 @@\n-a\n+b\n"
    )
    assert states(plan) == [{Withheld(".env*")}]
    assert plan.chunks == ()


def test_a_source_file_that_is_named_like_a_secret_is_reviewed() -> None:
    plan = plan_of(added("credentials.py"), added("src/environment.ts"))
    assert {path for path, _, _ in plan.shown} == {"credentials.py", "src/environment.ts"}


def test_damage_is_a_gap() -> None:
    damage = Damaged(path="a.py", reason="cut in the middle of a line")
    plan = plan_review(
        Diff(damaged=(damage, Damaged(path="", reason="no diff in this text"))),
        Request(),
        Config(),
        budget_tokens=1_000,
        max_chunks=10,
    )
    assert [row.path for row in plan.rows] == ["a.py", "(a file without a name)"]
    state = LeftOut(Reason.DAMAGED, "cut in the middle of a line")
    assert plan.rows[0] == Row(
        path="a.py",
        hunk="",
        hunk_key="",
        n_changed_lines=0,
        areas=dict.fromkeys(DEFAULT_AREAS, state),
    )
    assert str(state) == "left out: damaged in the diff (cut in the middle of a line)"
    assert settle(plan, {}).gaps == (Reason.DAMAGED,)


def test_a_narrowed_run_leaves_the_other_areas_out() -> None:
    plan = plan_of(added("a.py"), request=Request(areas=(Area.SECURITY,)))
    assert plan.rows[0].areas == {
        Area.CORRECTNESS: LeftOut(Reason.NOT_ASKED),
        Area.SECURITY: Asked((1,)),
        Area.PERFORMANCE: LeftOut(Reason.NOT_ASKED),
        Area.DEPENDENCIES: NotConcerned(),
        Area.TESTS: LeftOut(Reason.NOT_ASKED),
    }
    assert all_answered(plan).gaps == (Reason.NOT_ASKED,)


def test_an_area_that_is_not_configured_can_be_asked_for() -> None:
    plan = plan_of(
        added("a.py"),
        request=Request(areas=(Area.STYLE,)),
        config=Config(focus=(Area.SECURITY,)),
    )
    assert plan.rows[0].areas == {
        Area.SECURITY: LeftOut(Reason.NOT_ASKED),
        Area.STYLE: Asked((1,)),
    }


def test_what_is_covered_is_not_asked_again() -> None:
    first = all_answered(plan_of(added("a.py"), rules_hash="r"))
    covered = first.keys_covered_by("r")
    assert len(covered) == 4
    second = plan_of(added("a.py"), added("b.py"), covered=covered, rules_hash="r")
    assert second.rows[0].n_cut_lines == 0
    assert states(second)[0] == {Covered(), NotConcerned()}
    assert {path for path, _, _ in second.shown} == {"b.py"}
    coverage = all_answered(second)
    assert coverage.n_reviewed == 2


def test_other_rules_cover_nothing() -> None:
    covered = all_answered(plan_of(added("a.py"), rules_hash="r")).keys_covered_by("r")
    assert states(plan_of(added("a.py"), covered=covered, rules_hash="s")) == states(
        plan_of(added("a.py"))
    )


def test_a_full_review_asks_everything_again() -> None:
    covered = all_answered(plan_of(added("a.py"))).keys_covered_by("")
    plan = plan_of(added("a.py"), covered=covered, request=Request(full=True))
    assert plan == plan_of(added("a.py"))


def test_a_narrowed_full_review_keeps_what_else_is_covered() -> None:
    covered = all_answered(plan_of(added("a.py"))).keys_covered_by("")
    request = Request(full=True, areas=(Area.SECURITY,))
    plan = plan_of(added("a.py"), covered=covered, request=request)
    assert plan.rows[0].areas[Area.SECURITY] == Asked((1,))
    assert plan.rows[0].areas[Area.CORRECTNESS] == Covered()


def test_narrowed_runs_add_up() -> None:
    covered: frozenset[str] = frozenset()
    for area in DEFAULT_AREAS:
        plan = plan_of(added("a.py"), request=Request(areas=(area,)), covered=covered)
        covered |= all_answered(plan).keys_covered_by("")
    assert states(plan_of(added("a.py"), covered=covered)) == [{Covered(), NotConcerned()}]


def test_repeated_runs_under_a_limit_come_to_cover_everything() -> None:
    files = [added(f"f{n}.py", *(f"x{m} = {n}" for m in range(20))) for n in range(9)]
    covered: frozenset[str] = frozenset()
    for _ in range(9):
        plan = plan_of(*files, covered=covered, budget_tokens=250, max_chunks=2)
        assert len(plan.chunks) == 2
        covered |= all_answered(plan).keys_covered_by("")
    plan = plan_of(*files, covered=covered, budget_tokens=250, max_chunks=2)
    assert all_answered(plan).gaps == ()


def test_over_the_limit_is_a_gap() -> None:
    plan = plan_of(added("a.py"), max_chunks=1)
    assert plan.rows[0].areas[Area.SECURITY] == LeftOut(Reason.OVER_LIMIT)
    assert all_answered(plan).gaps == (Reason.OVER_LIMIT,)


def test_a_chunk_without_an_answer_is_a_gap() -> None:
    plan = plan_of(added("a.py"))
    coverage = settle(plan, {1: Reason.MODEL_REFUSED, 2: None})
    (row,) = coverage.rows
    assert row.areas == {
        Area.CORRECTNESS: LeftOut(Reason.MODEL_REFUSED),
        Area.SECURITY: Shown((2,)),
        Area.PERFORMANCE: LeftOut(Reason.MODEL_REFUSED),
        Area.DEPENDENCIES: NotConcerned(),
        Area.TESTS: LeftOut(Reason.MODEL_REFUSED),
    }
    assert coverage.gaps == (Reason.MODEL_REFUSED,)
    assert coverage.keys_covered_by("") == {coverage_key(row.hunk_key, Area.SECURITY, "")}


def test_a_chunk_without_an_outcome_was_broken_off() -> None:
    assert settle(plan_of(added("a.py")), {1: None}).gaps == (Reason.BROKEN_OFF,)


def test_a_split_hunk_is_shown_when_all_its_parts_are() -> None:
    lines = (f"line_{n} = {n}" for n in range(60))
    request = Request(areas=(Area.SECURITY,))
    config = Config(focus=(Area.SECURITY,))
    plan = plan_of(added("a.py", *lines), request=request, config=config, budget_tokens=250)
    numbers = tuple(chunk.number for chunk in plan.chunks)
    assert len(numbers) > 2
    assert plan.rows[0].areas == {Area.SECURITY: Asked(numbers)}
    outcomes: dict[int, Reason | None] = dict.fromkeys(numbers)
    assert settle(plan, outcomes).rows[0].areas == {Area.SECURITY: Shown(numbers)}
    late = settle(plan, outcomes | {numbers[-1]: Reason.TOO_LONG})
    assert late.rows[0].areas == {Area.SECURITY: LeftOut(Reason.TOO_LONG)}
    assert (late.n_reviewed, late.keys_covered_by("")) == (0, frozenset())


def test_a_chunk_that_was_too_long_is_shown_again_in_halves_and_the_others_stay() -> None:
    files = [added(f"{name}.py", *(f"{name}_{n} = {n}" for n in range(40))) for name in "abc"]
    config = Config(focus=(Area.SECURITY,))
    plan = plan_of("".join(files), config=config, budget_tokens=500)
    assert [row.areas[Area.SECURITY] for row in plan.rows] == [Asked((n,)) for n in (1, 2, 3)]
    again = split_chunks(plan, {2}, max_chunks=9)
    assert again.chunks[:3] == plan.chunks
    new = again.chunks[3:]
    assert [chunk.number for chunk in new] == [4, 5, 6][: len(new)]
    assert len(new) >= 2
    assert max(chunk.tokens for chunk in new) <= plan.chunks[1].tokens // 2
    assert {place for chunk in new for place in chunk.shown} == set(plan.chunks[1].shown)
    numbers = tuple(chunk.number for chunk in new)
    assert [row.areas[Area.SECURITY] for row in again.rows] == [
        Asked((1,)),
        Asked(numbers),
        Asked((3,)),
    ]
    outcomes: dict[int, Reason | None] = dict.fromkeys((1, 3, *numbers))
    assert settle(again, outcomes | {2: Reason.TOO_LONG}).gaps == ()


def test_a_chunk_of_several_areas_that_was_too_long_is_first_shown_area_by_area() -> None:
    plan = plan_of(added("a.py", *(f"line_{n} = {n}" for n in range(40))), budget_tokens=3_000)
    chunk = next(chunk for chunk in plan.chunks if len(chunk.areas) > 1)
    again = split_chunks(plan, {chunk.number}, max_chunks=9)
    new = again.chunks[len(plan.chunks) :]
    assert [one.areas for one in new] == [(area,) for area in chunk.areas]
    assert {one.text for one in new} == {chunk.text}
    for one in new:
        assert again.rows[0].areas[one.areas[0]] == Asked((one.number,))


def test_what_finds_no_room_in_new_chunks_stays_with_the_one_that_was_too_long() -> None:
    plan = plan_of(added("a.py", *(f"line_{n} = {n}" for n in range(40))), budget_tokens=900)
    (number, *_) = (chunk.number for chunk in plan.chunks)
    again = split_chunks(plan, {number}, max_chunks=0)
    assert (again.chunks, again.rows) == (plan.chunks, plan.rows)


def test_of_equal_hunks_all_must_be_shown() -> None:
    hunks = "@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-a\n+b\n"
    file = f"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n{hunks}"
    config = Config(focus=(Area.SECURITY,))
    plan = plan_of(file, config=config, budget_tokens=30)
    assert plan.rows[0].hunk_key == plan.rows[1].hunk_key
    numbers = [chunk.number for chunk in plan.chunks]
    outcomes: dict[int, Reason | None] = dict.fromkeys(numbers)
    assert len(settle(plan, outcomes).keys_covered_by("")) == 1
    outcomes[numbers[-1]] = Reason.NO_MODEL
    assert settle(plan, outcomes).keys_covered_by("") == frozenset()


def test_keys_tell_hunks_areas_and_rules_apart() -> None:
    keys = {
        coverage_key(hunk, area, rules)
        for hunk in ("a", "b")
        for area in (Area.DOCS, Area.STYLE)
        for rules in ("", "r")
    }
    assert len(keys) == 8
    assert {len(key) for key in keys} == {24}


def test_a_cut_line_is_counted() -> None:
    plan = plan_of(added("a.py", "x" * 5_000, "y"))
    assert [row.n_cut_lines for row in plan.rows] == [1]
    assert [row.n_cut_lines for row in all_answered(plan).rows] == [1]


def test_a_header_is_fit_to_be_published() -> None:
    secret = "ghp_" + "aB3dE6gH9j" * 4
    section = f"@@ -1 +1 @@ {secret}\u202e\n-a\n+b\n"
    plan = plan_of(f"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n{section}")
    assert plan.rows[0].hunk == f"@@ -1,1 +1,1 @@ ghp_{'█' * 40}<U+202E>"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (Asked((1, 2)), "planned 1, 2"),
        (Shown((3,)), "shown 3"),
        (Covered(), "covered"),
        (NotConcerned(), "not concerned"),
        (Withheld("*.pem"), "withheld: matches *.pem"),
        (LeftOut(Reason.OUT_OF_CREDIT), "left out: out of credit"),
    ],
)
def test_states_read_as_the_receipt_says_them(state: Planned | Shown, text: str) -> None:
    assert str(state) == text


def test_only_what_could_be_reviewed_is_a_gap() -> None:
    assert [reason for reason in Reason if not reason.is_gap] == [
        Reason.IGNORED,
        Reason.LOCK_FILE,
        Reason.GENERATED,
        Reason.VENDORED,
        Reason.MINIFIED,
        Reason.BINARY,
        Reason.NO_LINES,
    ]


def test_a_file_without_hunks_has_a_row() -> None:
    plan = plan_of("diff --git a/a.sh b/a.sh\nold mode 100644\nnew mode 100755\n")
    areas = dict.fromkeys(DEFAULT_AREAS, LeftOut(Reason.NO_LINES))
    assert plan.rows == (
        Row(path="a.sh", hunk="", hunk_key="", n_changed_lines=0, areas=areas, n_cut_lines=0),
    )


def test_an_empty_diff_has_an_empty_plan() -> None:
    plan = plan_of("")
    assert (plan.chunks, plan.rows, plan.shown) == ((), (), {})
