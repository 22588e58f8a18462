"""What models answer, and what is read out of it."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AnswerInvalid
from app.review.answer import MAX_FINDINGS, Parsed, Usage, parse_answer
from app.review.diff import Side
from app.review.findings import Candidate, Dropped, Location
from app.review.focus import Area
from app.review.priority import Priority

BOTH = (Area.CORRECTNESS, Area.SECURITY)
ONE = (Area.CORRECTNESS,)

ITEM: dict[str, Any] = {
    "title": "mean([]) raises",
    "body": "The guard is gone.",
    "priority": 1,
    "confidence_score": 0.9,
    "area": "correctness",
    "code_location": {
        "path": "stats.py",
        "side": "RIGHT",
        "line_range": {"start": 42, "end": 43},
    },
    "evidence_quote": "    return sum(values) / len(values)",
    "trigger": "mean([])",
    "suggestion": None,
}
CANDIDATE = Candidate(
    area=Area.CORRECTNESS,
    priority=Priority.P1,
    confidence=0.9,
    title="mean([]) raises",
    body="The guard is gone.",
    trigger="mean([])",
    evidence="    return sum(values) / len(values)",
    location=Location(path="stats.py", side=Side.RIGHT, start_line=42, line=43),
    source="model",
)
OVERALL = {
    "overall_correctness": "patch is incorrect",
    "overall_explanation": "It fails.",
    "overall_confidence_score": 0.8,
}


def item(**changes: Any) -> dict[str, Any]:
    return {**ITEM, **changes}


def placed(**changes: Any) -> dict[str, Any]:
    return item(code_location={**ITEM["code_location"], **changes})


def answer(*items: Any) -> str:
    return json.dumps({"findings": list(items), **OVERALL})


def titles(parsed: Parsed) -> list[str]:
    return [candidate.title for candidate in parsed.candidates]


GOOD = answer(ITEM)
TWO = answer(ITEM, item(title="second"))
OUTER_END = TWO.index('], "overall')


def test_an_answer_that_obeys_the_schema_is_read_whole() -> None:
    assert parse_answer(GOOD, areas=BOTH) == Parsed(
        candidates=(CANDIDATE,),
    )


def test_no_findings_is_a_normal_answer() -> None:
    parsed = parse_answer(answer(), areas=BOTH)
    assert (parsed.candidates, parsed.rejected, parsed.was_cut) == ((), (), False)


WRAPPED = {
    "byte order mark": "\ufeff" + GOOD,
    "blanks": "\n\n  " + GOOD + "\n\n",
    "fence": f"```json\n{GOOD}\n```",
    "fence without language": f"```\n{GOOD}\n```",
    "fence that never closes": f"```json\n{GOOD}",
    "prose before and after": f"Here is my review:\n\n{GOOD}\n\nI hope this helps {{a lot}}.",
    "braces in the prose before": f"In `f(x) {{ return }}` I see:\n{GOOD}",
    "an open brace in the prose before": f"The block `if (x) {{` is wrong.\n{GOOD}",
    "a lonely quote in the prose before": f'A 5" disk. {GOOD}',
    "thoughts": f"<think>First {{look}} here.</think>\n{GOOD}",
    "thoughts with a draft": f"<think>{answer(item(title='draft'))}</think>{GOOD}",
    "thoughts without their opening": f"I see {{x}}: {answer(item(title='d'))}</think>{GOOD}",
    "thoughts twice": f"<think>a</think><thinking>b</thinking>{GOOD}",
    "prose, then thoughts": f"Sure.\n<think>{{}}</think>\n{GOOD}",
    "another object first": '{"note": "ok"}\n' + GOOD,
    "an empty object echoed first": '{"findings": []}\n' + GOOD,
    "an empty object after": GOOD + '\n{"findings": []}',
    "as a tool call": json.dumps({"name": "review", "arguments": {"findings": [ITEM]}}),
    "in a JSON string": json.dumps(GOOD),
    "pretty": json.dumps({"findings": [ITEM]}, indent=4),
    "other order": json.dumps({**OVERALL, "findings": [ITEM]}),
    "CRLF": json.dumps({"findings": [ITEM]}, indent=1).replace("\n", "\r\n"),
    "comma after the last item": '{"findings": [' + json.dumps(ITEM) + ",], }",
    "no closing brace": GOOD.rstrip("}"),
    "cut after the list": GOOD[: GOOD.index("overall") + 5],
    "only the list": json.dumps([ITEM]),
    "only the finding": json.dumps(ITEM),
    "unknown fields": json.dumps({"findings": [item(severity="high", cwe=79)], "model": "x"}),
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED.keys())
def test_whatever_stands_around_the_json_the_finding_is_read(text: str) -> None:
    parsed = parse_answer(text, areas=BOTH)
    assert parsed.candidates == (CANDIDATE,)
    assert (parsed.rejected, parsed.was_cut) == ((), False)


CUT = {
    "in the second item": TWO[: OUTER_END - 20],
    "between the items": TWO[: TWO.index('{"title": "second"') - 1],
    "in a string that holds brackets": TWO.replace("second", "a } ] b")[: OUTER_END - 250],
    "in a fence": "```json\n" + TWO[: OUTER_END - 20],
    "after thoughts": "<think>{</think>" + TWO[: OUTER_END - 20],
    "after an empty echo": '{"findings": []} then ' + TWO[: OUTER_END - 20],
    "only the list": json.dumps([ITEM, item(title="second")])[:-30],
}


@pytest.mark.parametrize("text", CUT.values(), ids=CUT.keys())
def test_of_a_cut_answer_the_complete_items_are_saved(text: str) -> None:
    parsed = parse_answer(text, areas=BOTH)
    assert parsed.candidates == (CANDIDATE,)
    assert parsed.was_cut


INVALID = {
    "nothing": "",
    "blanks": "   \n\t ",
    "prose": "I found no issues. LGTM!",
    "HTML": "<html><body>502 Bad Gateway</body></html>",
    "another object": '{"result": "ok"}',
    "empty object": "{}",
    "null": "null",
    "a number": "42",
    "findings is null": '{"findings": null}',
    "findings is an object": json.dumps({"findings": {"title": "x"}}),
    "findings is text": '{"findings": "none"}',
    "cut before the first item is complete": GOOD[:80],
    "cut at once": '{"findings": [',
    "cut in the thoughts": '<think>Perhaps {"findings": []}',
    "prose around an empty list": "The list [] is empty.",
    "deep nesting": "{" * 100_000,
    "deep lists": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "only closing brackets": "}}}]]]" * 1000,
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_an_answer_without_findings_is_never_taken_for_a_clean_one(text: str) -> None:
    with pytest.raises(AnswerInvalid):
        parse_answer(text, areas=BOTH)


@pytest.mark.parametrize("text", ["[]", " [ ]\n", "```json\n[]\n```"])
def test_an_empty_list_alone_says_that_there_are_none(text: str) -> None:
    assert parse_answer(text, areas=BOTH) == Parsed()


REPAIRED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "priority as P1": (item(priority="P1"), {}),
    "priority as [p1]": (item(priority="[p1]"), {}),
    "priority as text": (item(priority="1"), {}),
    "priority as float": (item(priority=1.0), {}),
    "priority tag in the title": (item(title="[P1] mean([]) raises"), {}),
    "confidence as text": (item(confidence_score="0.9"), {}),
    "area in capitals": (item(area=" Correctness "), {}),
    "area by another name": (item(area="bugs"), {}),
    "side in small letters": (placed(side="right"), {}),
    "side missing": (placed(side=None), {}),
    "lines as text": (placed(line_range={"start": "42", "end": "43"}), {}),
    "lines as float": (placed(line_range={"start": 42.0, "end": 43.0}), {}),
    "lines the wrong way round": (placed(line_range={"start": 43, "end": 42}), {}),
    "quote between line ends": (item(evidence_quote=f"\n{ITEM['evidence_quote']}\n"), {}),
    "suggestion empty": (item(suggestion=""), {}),
    "suggestion null as text": (item(suggestion="null"), {}),
    "suggestion of the wrong type": (item(suggestion={"code": "x"}), {}),
    "suggestion endless": (item(suggestion="x" * 100_000), {}),
    "title over two lines": (item(title=" mean([])\n raises "), {}),
    "trained name of the path": (
        item(
            code_location={
                "absolute_file_path": "stats.py",
                "line_range": {"start": 42, "end": 43},
            }
        ),
        {},
    ),
    "priority null": (item(priority=None), {"priority": Priority.P2}),
    "confidence missing": (item(confidence_score=None), {"confidence": 0.5}),
    "confidence above one": (item(confidence_score=7), {"confidence": 1.0}),
    "confidence below nought": (item(confidence_score=-1), {"confidence": 0.0}),
    "confidence not a number": (item(confidence_score=float("nan")), {"confidence": 0.5}),
    "confidence infinite": (item(confidence_score=float("inf")), {"confidence": 0.5}),
    "confidence as a word": (item(confidence_score="high"), {"confidence": 0.5}),
    "half a character": (item(title="a\ud800b"), {"title": "a\ufffdb"}),
    "NUL": (item(body="a\0b"), {"body": "a\ufffdb"}),
    "suggestion": (item(suggestion="    return 0\n"), {"suggestion": "    return 0\n"}),
}


@pytest.mark.parametrize(("given_item", "change"), REPAIRED.values(), ids=REPAIRED.keys())
def test_what_is_plainly_meant_is_read(given_item: Any, change: dict[str, Any]) -> None:
    (candidate,) = parse_answer(answer(given_item), areas=BOTH).candidates
    wanted = {field: getattr(CANDIDATE, field) for field in Candidate.__slots__} | change
    assert candidate == Candidate(**wanted)


@pytest.mark.parametrize(
    ("line_range", "lines"),
    [
        ({"start": 42}, (42, 42)),
        ({"start": 42, "end": None}, (42, 42)),
        ({"start": 0, "end": -3}, (1, 1)),
        ({"start": 42, "end": 10**30}, (42, 10_000_000)),
        ({"start": 42.9, "end": 43}, (42, 43)),
    ],
)
def test_impossible_lines_become_the_nearest_possible(
    line_range: dict[str, Any], lines: tuple[int, int]
) -> None:
    (candidate,) = parse_answer(answer(placed(line_range=line_range)), areas=BOTH).candidates
    assert (candidate.location.start_line, candidate.location.line) == lines


@pytest.mark.parametrize("word", ["old", "LEFT", "left"])
def test_a_deleted_line_is_on_the_left(word: str) -> None:
    (candidate,) = parse_answer(answer(placed(side=word)), areas=BOTH).candidates
    assert candidate.location.side is Side.LEFT


REJECTED = {
    "not an object": ("text", "not an object"),
    "null": (None, "not an object"),
    "no title": (item(title=None), "title: missing"),
    "empty title": (item(title="  "), "title: empty"),
    "title of the wrong type": (item(title=["x"]), "title: not a text"),
    "no body": (item(body=""), "body: empty"),
    "no trigger": (item(trigger=" "), "trigger: empty"),
    "no quote": (item(evidence_quote="\n \n"), "evidence_quote: missing"),
    "one endless line quoted": (item(evidence_quote="x" * 9000), "evidence_quote: missing"),
    "priority 4": (item(priority=4), "priority: not 0, 1, 2 or 3"),
    "priority 1.5": (item(priority=1.5), "priority: not 0, 1, 2 or 3"),
    "priority true": (item(priority=True), "priority: not 0, 1, 2 or 3"),
    "priority as a word": (item(priority="high"), "priority: not 0, 1, 2 or 3"),
    "area unknown": (item(area="buggy code"), "area: not a focus area"),
    "area of the wrong type": (item(area=["security"]), "area: not a focus area"),
    "area not asked for": (item(area="docs"), "area: docs was not asked for"),
    "no place": (item(code_location=None), "code_location: not an object"),
    "no path": (placed(path=""), "code_location.path: missing"),
    "endless path": (placed(path="a/" * 5000), "code_location.path: longer than 1024 characters"),
    "no lines": (placed(line_range=None), "code_location.line_range: not an object"),
    "lines that are no numbers": (
        placed(line_range={"start": "top", "end": 3}),
        "code_location.line_range.start: not a number",
    ),
    "line true": (
        placed(line_range={"start": True, "end": 3}),
        "code_location.line_range.start: not a number",
    ),
    "unknown side": (placed(side="MIDDLE"), "code_location.side: not LEFT or RIGHT"),
}


@pytest.mark.parametrize(("bad", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_a_bad_item_costs_only_itself_and_says_why(bad: Any, reason: str) -> None:
    parsed = parse_answer(answer(bad, ITEM), areas=BOTH)
    assert parsed.candidates == (CANDIDATE,)
    assert [(drop.gate, drop.reason, drop.source) for drop in parsed.rejected] == [
        ("parsed", reason, "model")
    ]


def test_a_rejected_item_is_recorded_under_its_title_and_place() -> None:
    parsed = parse_answer(answer(item(trigger="")), areas=BOTH)
    assert parsed.rejected == (
        Dropped(
            gate="parsed",
            reason="trigger: empty",
            title="mean([]) raises",
            path="stats.py",
            line=42,
            source="model",
        ),
    )


def test_if_no_item_obeys_the_schema_the_problem_can_be_told_to_the_model() -> None:
    parsed = parse_answer(answer(item(trigger=""), "x"), areas=BOTH)
    assert parsed.problem == "findings[0]: trigger: empty; findings[1]: not an object"


@pytest.mark.parametrize("items", [(), (ITEM, "x"), (item(area="docs"),)])
def test_there_is_no_problem_where_an_item_obeys_the_schema(items: tuple[Any, ...]) -> None:
    assert parse_answer(answer(*items), areas=BOTH).problem == ""


def test_an_unknown_area_means_the_only_one_asked_for() -> None:
    (candidate,) = parse_answer(answer(item(area="buggy code")), areas=ONE).candidates
    assert candidate.area is Area.CORRECTNESS


def test_another_area_is_never_relabelled() -> None:
    parsed = parse_answer(answer(item(area="security")), areas=ONE)
    assert [drop.reason for drop in parsed.rejected] == ["area: security was not asked for"]


BROKEN = '{"findings": [%s, %s], "overall_correctness": "x"}'


@pytest.mark.parametrize(
    "bad",
    [
        '{"title": }',
        "{'title': 'single quotes'}",
        '{"title": "say "cheese" now"}',
        '{"title": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"title": undefined}',
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_an_item_that_is_no_json_costs_only_itself(bad: str, is_first: bool) -> None:
    items = (bad, json.dumps(ITEM)) if is_first else (json.dumps(ITEM), bad)
    parsed = parse_answer(BROKEN % items, areas=BOTH)
    assert parsed.candidates == (CANDIDATE,)
    assert [drop.reason for drop in parsed.rejected] == ["not JSON"]
    assert not parsed.was_cut


@pytest.mark.parametrize(
    ("raw", "quote"),
    [
        (r"re.sub(\"\d+\", x)", 're.sub("\\d+", x)'),
        (r"C:\Users\x", "C:\\Users\\x"),
        (r"\\d \" \n", '\\d " \n'.strip("\n")),
        ("a raw\nline end and\ttab", "a raw\nline end and\ttab"),
        (r"\u00e9 \u12", "é \\u12"),
    ],
)
def test_wrong_escapes_and_raw_line_ends_in_strings_are_read(raw: str, quote: str) -> None:
    text = GOOD.replace(ITEM["evidence_quote"], raw)
    (candidate,) = parse_answer(text, areas=BOTH).candidates
    assert candidate.evidence == quote


def test_tags_and_brackets_within_strings_are_text() -> None:
    title = '</think> } ] {"findings": ['
    parsed = parse_answer(answer(item(title=title), ITEM), areas=BOTH)
    assert titles(parsed) == [title, "mean([]) raises"]


@pytest.mark.parametrize("title", ["a <think> tag", "a </think> tag", "<think></think>"])
@pytest.mark.parametrize("before", ["", "My review: "])
def test_a_tag_within_the_answer_does_not_cut_it(title: str, before: str) -> None:
    assert titles(parse_answer(before + answer(item(title=title)), areas=BOTH)) == [title]


def test_a_quoted_key_is_not_taken_for_the_list() -> None:
    text = r'{"overall_explanation": "\"findings\": [", "findings": [ITEM,],}'
    text = text.replace("ITEM", json.dumps(ITEM))
    assert parse_answer(text, areas=BOTH).candidates == (CANDIDATE,)


def test_a_long_quote_keeps_its_first_whole_lines() -> None:
    quote = "\n".join(f"    line {number}" for number in range(1000))
    (candidate,) = parse_answer(answer(item(evidence_quote=quote)), areas=BOTH).candidates
    assert 1900 < len(candidate.evidence) <= 2000
    assert set(candidate.evidence.split("\n")) <= set(quote.split("\n"))


def test_long_prose_is_cut() -> None:
    long = item(title="t" * 9999, body="b" * 9999, trigger="c" * 9999)
    (candidate,) = parse_answer(answer(long), areas=BOTH).candidates
    assert [len(candidate.title), len(candidate.body), len(candidate.trigger)] == [160, 3000, 1000]


def test_too_many_findings_are_cut_and_counted() -> None:
    parsed = parse_answer(answer(*[ITEM] * (MAX_FINDINGS + 7)), areas=BOTH)
    assert len(parsed.candidates) == MAX_FINDINGS
    assert [drop.reason for drop in parsed.rejected] == ["7 findings too many"]


HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"start": 42', f'"start": {HUGE}'),
        ('"priority": 1', f'"priority": {HUGE}'),
        ('"confidence_score": 0.9', f'"confidence_score": {HUGE}'),
        ('"confidence_score": 0.9', '"confidence_score": 1e999'),
        ('"confidence_score": 0.9', '"confidence_score": -Infinity'),
        ('"overall_confidence_score": 0.8', f'"overall_confidence_score": -{HUGE}'),
        ('"overall_correctness": "patch is incorrect"', '"overall_correctness": [[]]'),
    ],
)
def test_huge_numbers_and_wrong_types_crash_nothing(old: str, new: str) -> None:
    assert old in GOOD
    parsed = parse_answer(GOOD.replace(old, new), areas=BOTH)
    assert len(parsed.candidates) + len(parsed.rejected) == 1


BLOWN_UP = {
    "open braces": "{" * 300_000,
    "braces and quotes": '{"' * 150_000,
    "backslashes": '{"findings": ["' + "\\" * 300_001,
    "thoughts": "<think></think>" * 20_000 + GOOD,
    "thoughts before a far brace": "x<think></think>" * 20_000 + "{",
    "closing thoughts": "</think>" * 40_000 + GOOD,
    "lists of findings": '{"findings": [' * 20_000,
    "empty lists of findings": '{ "findings": [] ' * 20_000,
    "small objects": "{}" * 50_000,
    "blanks": '{"findings"' + " " * 300_000 + ":",
    "keys and blanks": '{"findings"          ' * 15_000,
}


@pytest.mark.parametrize("text", BLOWN_UP.values(), ids=BLOWN_UP.keys())
def test_time_grows_no_faster_than_the_answer(text: str) -> None:
    began = time.process_time()
    with suppress(AnswerInvalid):
        parse_answer(text, areas=BOTH)
    assert time.process_time() - began < 2.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(ITEM)), json_values), st.sampled_from([ONE, BOTH]))
def test_an_item_of_any_values_becomes_a_candidate_or_a_drop(
    changes: dict[str, Any], areas: tuple[Area, ...]
) -> None:
    parsed = parse_answer(answer(item(**changes)), areas=areas)
    assert len(parsed.candidates) + len(parsed.rejected) == 1
    for candidate in parsed.candidates:
        assert candidate.area in areas
        assert 0 <= candidate.confidence <= 1
        assert 1 <= candidate.location.start_line <= candidate.location.line
        assert candidate.evidence.strip()
        repr(candidate).encode()


@given(st.text())
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        parsed = parse_answer(text, areas=BOTH)
    except AnswerInvalid:
        return
    assert parsed.candidates == ()


@given(st.integers(min_value=0, max_value=len(TWO)))
def test_wherever_an_answer_is_cut_no_item_is_invented(length: int) -> None:
    try:
        parsed = parse_answer(TWO[:length], areas=BOTH)
    except AnswerInvalid:
        assert length < TWO.index('{"title": "second"')
        return
    assert titles(parsed) == ["mean([]) raises", "second"][: len(parsed.candidates)]
    assert len(parsed.candidates) == 2 or parsed.was_cut


def test_usage_adds_up() -> None:
    assert Usage(calls=1, input_tokens=10, output_tokens=2) + Usage(
        calls=2, input_tokens=5, output_tokens=1, is_estimated=True
    ) == Usage(calls=3, input_tokens=15, output_tokens=3, is_estimated=True)
