"""Cases are read from JSONL; what is wrong is told with its line."""

import json

import pytest

from app.errors import Unusable
from app.review.cases import KnownBug, areas_of, parse_cases
from app.review.diff import Side
from app.review.focus import DEFAULT_AREAS, Area
from app.review.priority import Priority

DIFF = """\
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
"""
BACK = DIFF.replace("-two", "-TWO").replace("+TWO", "+two")


def golden(**fields: object) -> dict[str, object]:
    return {
        "path": "a.py",
        "side": "RIGHT",
        "start_line": 2,
        "end_line": 2,
        "severity": "high",
        "category": "bug",
        "text": "Two is written large.",
        **fields,
    }


def row(**fields: object) -> dict[str, object]:
    return {"id": "one", "diff": DIFF, "golden": [golden()], **fields}


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


def test_a_case_has_its_change_its_bug_and_its_files() -> None:
    (case,) = parse_cases(lines(row(title="Shout", files={"a.py": {"head": "one\n"}})), "c")
    assert (case.id, case.title, case.body, case.area) == ("one", "Shout", "", Area.CORRECTNESS)
    assert [file.path for file in case.diff.files] == ["a.py"]
    assert case.heads == {"a.py": b"one\n"}
    assert case.bugs == (
        KnownBug(
            area=Area.CORRECTNESS,
            priority=Priority.P1,
            path="a.py",
            side=Side.RIGHT,
            start_line=2,
            end_line=2,
            text="Two is written large.",
        ),
    )


@pytest.mark.parametrize(
    ("severity", "priority"), [("critical", "P0"), ("high", "P1"), ("medium", "P2"), ("low", "P3")]
)
def test_a_severity_is_a_priority(severity: str, priority: str) -> None:
    (case,) = parse_cases(lines(row(golden=[golden(severity=severity)])), "c")
    assert case.bugs[0].priority == priority


def test_the_control_is_the_change_turned_round_with_its_files() -> None:
    files = {"a.py": {"head": "with the bug", "base": "without"}}
    case, control = parse_cases(lines(row(control={"diff": BACK}, files=files)), "c")
    assert (case.id, case.heads) == ("one", {"a.py": b"with the bug"})
    assert (control.id, control.heads, control.bugs) == ("one/control", {"a.py": b"without"}, ())
    assert control.area is None


def test_whole_files_may_lie_beside_the_cases() -> None:
    beside = lines({"id": "one", "files": {"a.py": {"head": "caf\udce9", "base": None}}})
    (case,) = parse_cases(lines(row()), "c", beside, "f")
    assert case.heads == {"a.py": b"caf\xe9"}


def test_a_review_looks_for_the_usual_areas_and_those_of_the_bugs() -> None:
    plain = parse_cases(lines(row()), "c")
    docs = parse_cases(lines(row(golden=[golden(category="docs")])), "c")
    assert areas_of(plain) == DEFAULT_AREAS
    assert areas_of(docs) == (*DEFAULT_AREAS, Area.DOCS)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (row(id=""), "length >= 1 - at `$.id`"),
        ({"id": "x", "diff": DIFF}, "missing required field `golden`"),
        (row(golden=[golden(side="UP")]), "Invalid enum value 'UP' - at `$.golden[0].side`"),
        (row(golden=[golden(start_line=0)]), ">= 1 - at `$.golden[0].start_line`"),
        (row(golden=[golden(severity="bad")]), "'bad' - at `$.golden[0].severity`"),
        (row(golden=[golden(category="x")]), "golden[0].category: expected `bug` or one of"),
        (row(golden=[golden(path="b.py")]), "golden[0].path: expected a file with RIGHT lines"),
        (row(golden=[golden(start_line=3)]), "golden[0]: expected start_line at or before"),
        (
            row(golden=[golden(), golden(start_line=8, end_line=9)]),
            "golden[1]: expected RIGHT lines that the diff shows",
        ),
        (row(diff="nothing"), "expected a whole unified diff in diff"),
        (row(diff=DIFF[:-8]), "expected a whole unified diff in diff: a.py: "),
        (row(diff=""), "expected a unified diff with changed lines in diff"),
        (row(control={"diff": "x"}), "expected a whole unified diff in control.diff"),
        (row(id="good"), "expected an id of its own, 'good' stands above"),
        ("text", "Expected `object`, got `str`"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(wrong: object, told: str) -> None:
    raw = lines(row(id="good")) + b"\n" + lines(wrong)
    with pytest.raises(Unusable) as caught:
        parse_cases(raw, "my.jsonl")
    assert str(caught.value).startswith("my.jsonl:3: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_told(raw: bytes) -> None:
    with pytest.raises(Unusable, match=r"^my\.jsonl:2: [Ee]xpected "):
        parse_cases(lines(row()) + raw, "my.jsonl")


def test_all_mistakes_are_told_at_once_but_not_without_end() -> None:
    with pytest.raises(Unusable) as caught:
        parse_cases(lines(*({"id": "x"} for _ in range(30))), "c", b"{", "f")
    told = str(caught.value).splitlines()
    assert len(told) == 20
    assert [line.partition(": ")[0] for line in told[:3]] == ["f:1", "c:1", "c:2"]


def test_a_control_has_an_id_of_its_own_too() -> None:
    with pytest.raises(Unusable, match=r"c:2: expected an id of its own, 'one/control'"):
        parse_cases(lines(row(id="one/control"), row(control={"diff": BACK})), "c")


def test_no_case_at_all_is_a_mistake() -> None:
    with pytest.raises(Unusable, match="expected at least one case"):
        parse_cases(b"\n", "c")
