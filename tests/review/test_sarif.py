"""SARIF as its own schema and GitHub's code scanning want it.

The schema is read from `sarif-schema-2.1.0.json` in `$CONFORMANCE_DATA`, where it lies there; what
GitHub demands beyond it is written down here, and always held.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.focus import Area
from app.review.priority import Priority
from app.review.receipt import (
    NEVER,
    VERSION,
    Conclusion,
    Receipt,
    ReceiptCoverage,
    ReceiptFinding,
    ReceiptNotice,
    State,
)
from app.review.sarif import MAX_MESSAGE, MAX_NOTIFICATIONS, MAX_RESULTS, render_sarif
from tests.builders import BASE, HEAD, RUN, make_receipt, make_receipt_finding
from tests.conftest import CHECKOUT


def text(most: int) -> dict[str, Any]:
    shape = {"type": "string", "minLength": 1, "maxLength": most}
    return {"properties": {"text": shape}, "required": ["text"], "additionalProperties": False}


LEVEL = {"enum": ["error", "warning", "note"]}
LINE = {"type": "integer", "minimum": 1}
GITHUB: dict[str, Any] = {
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {"minItems": 1, "maxItems": 20, "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "required": ["tool", "results"],
            "properties": {
                "tool": {"properties": {"driver": {"$ref": "#/$defs/driver"}}},
                "results": {"maxItems": 25_000, "items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "required": ["name", "semanticVersion", "rules"],
            "properties": {"rules": {"maxItems": 25_000, "items": {"$ref": "#/$defs/rule"}}},
        },
        "rule": {
            "required": ["id", "name", "shortDescription", "fullDescription", "help"],
            "properties": {
                "id": {"minLength": 1},
                "name": {"minLength": 1, "maxLength": 255},
                "shortDescription": text(1024),
                "fullDescription": text(1024),
                "help": text(1024),
                "defaultConfiguration": {"properties": {"level": LEVEL}},
                "properties": {
                    "properties": {
                        "tags": {"type": "array", "maxItems": 10},
                        "security-severity": {"pattern": r"^(10\.0|[0-9]\.[0-9])$"},
                    }
                },
            },
        },
        "result": {
            "required": ["ruleId", "message", "locations", "partialFingerprints"],
            "properties": {
                "level": LEVEL,
                "message": text(MAX_MESSAGE),
                "locations": {"minItems": 1, "maxItems": 1, "items": {"$ref": "#/$defs/location"}},
                "partialFingerprints": {
                    "required": ["primaryLocationLineHash"],
                    "additionalProperties": {"type": "string", "minLength": 1},
                },
            },
        },
        "location": {
            "properties": {
                "physicalLocation": {
                    "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {
                            "required": ["uri"],
                            "properties": {"uri": {"pattern": r"^(?![/:])[A-Za-z0-9._~/%-]*$"}},
                            "additionalProperties": False,
                        },
                        "region": {
                            "required": ["startLine", "endLine"],
                            "properties": {"startLine": LINE, "endLine": LINE},
                        },
                    },
                }
            }
        },
    },
}


def schemas() -> list[Any]:
    """GitHub's demands; and the format's own schema, where a copy of it is at hand."""
    named = os.environ.get("CONFORMANCE_DATA")
    own = (Path(named) if named else CHECKOUT.parent / "shared") / "sarif-schema-2.1.0.json"
    found = [pytest.param(GITHUB, id="github")]
    if own.exists():
        found.append(pytest.param(json.loads(own.read_text("utf-8-sig")), id="sarif"))
    return found


each_schema = pytest.mark.parametrize("schema", schemas())


def sarif(receipt: Receipt) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(render_sarif(receipt, version="1.2.3"))
    return read


def run(receipt: Receipt) -> dict[str, Any]:
    [only] = sarif(receipt)["runs"]
    return dict(only)


def problems(schema: dict[str, Any], log: dict[str, Any]) -> list[str]:
    made = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return [f"{error.json_path}: {error.message}" for error in made(schema).iter_errors(log)]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
findings: st.SearchStrategy[ReceiptFinding] = st.builds(
    make_receipt_finding,
    area=st.sampled_from([area.value for area in Area]),
    priority=st.sampled_from(Priority),
    title=texts,
    body=texts | st.just("long " * 3_000),
    trigger=texts,
    path=texts,
    line=st.integers(0, 10**7),
    evidence=texts,
    sources=st.lists(texts, max_size=2).map(tuple),
    rule=st.sampled_from([None, "", "S602", "rule " * 200, "rule " * 201]) | texts,
)
receipts: st.SearchStrategy[Receipt] = st.builds(
    Receipt,
    version=st.just(VERSION),
    run_id=st.just(str(RUN)),
    head_sha=st.none() | st.just(str(HEAD)),
    base_sha=st.just(str(BASE)),
    state=st.sampled_from(State),
    conclusion=st.sampled_from(Conclusion),
    fail_on=st.just(NEVER),
    reason=texts,
    findings=st.lists(findings, max_size=5).map(tuple),
    coverage=st.lists(
        st.builds(
            ReceiptCoverage,
            path=texts,
            hunk=texts,
            areas=st.just({"tests": "left out: no model"}),
        ),
        max_size=3,
    ).map(tuple),
    notices=st.lists(st.builds(ReceiptNotice, path=texts, reason=texts), max_size=3).map(tuple),
    mistakes=st.lists(texts, max_size=2).map(tuple),
    findings_cut=st.integers(0, 3),
)


@each_schema
@given(receipt=receipts)
def test_every_receipt_is_sarif_that_github_takes(schema: Any, receipt: Receipt) -> None:
    log = sarif(receipt)
    assert problems(schema, log) == []
    [only] = log["runs"]
    rules = only["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result, finding in zip(only["results"], receipt.findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        [location] = result["locations"]
        assert unquote(location["physicalLocation"]["artifactLocation"]["uri"]) == finding.path


@each_schema
def test_the_schemas_refuse_what_is_wrong(schema: Any) -> None:
    log = sarif(make_receipt(make_receipt_finding()))
    [result] = log["runs"][0]["results"]
    result["level"] = "bad"
    assert problems(schema, log)
    assert problems(schema, {"version": "2.1.0"})


def test_a_finding_becomes_a_result() -> None:
    found = make_receipt_finding(area="performance", priority=Priority.P2, path="a b/ü.py", line=7)
    told = run(make_receipt(msgspec.structs.replace(found, start_line=5)))
    assert told["results"] == [
        {
            "ruleId": "performance",
            "ruleIndex": 0,
            "level": "warning",
            "message": {
                "text": "Loop ends too early.\n\nThe last item is skipped.\n\nWhen: any list\n\n"
                "for i in range(n - 1):"
            },
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "a%20b/%C3%BC.py"},
                        "region": {"startLine": 5, "endLine": 7},
                    }
                }
            ],
            "partialFingerprints": {"primaryLocationLineHash": "f1:1"},
            "properties": {
                "area": "performance",
                "priority": "P2",
                "confidence": 0.9,
                "side": "RIGHT",
                "sources": ["model"],
            },
        }
    ]
    assert told["tool"]["driver"]["semanticVersion"] == "1.2.3"


@pytest.mark.parametrize(
    ("priority", "level", "severity"),
    [
        (Priority.P0, "error", "9.5"),
        (Priority.P1, "error", "8.0"),
        (Priority.P2, "warning", "5.5"),
        (Priority.P3, "note", "2.0"),
    ],
)
def test_security_has_a_severity_in_its_rule_and_nothing_else_has(
    priority: Priority, level: str, severity: str
) -> None:
    told = run(
        make_receipt(
            make_receipt_finding(area="security", rule="S602", priority=priority),
            make_receipt_finding(area="security", priority=priority),
            make_receipt_finding(priority=priority),
        )
    )
    assert [result["level"] for result in told["results"]] == [level] * 3
    assert [(r["id"], r["properties"]) for r in told["tool"]["driver"]["rules"]] == [
        (f"security/S602/{priority}", {"tags": ["security"], "security-severity": severity}),
        (f"security/{priority}", {"tags": ["security"], "security-severity": severity}),
        ("correctness", {"tags": ["correctness"]}),
    ]


def test_two_findings_of_one_kind_share_a_rule() -> None:
    told = run(make_receipt(make_receipt_finding(), make_receipt_finding(priority=Priority.P3)))
    assert [rule["id"] for rule in told["tool"]["driver"]["rules"]] == ["correctness"]
    assert [result["ruleIndex"] for result in told["results"]] == [0, 0]


def test_a_removed_line_is_told_at_the_top_of_its_file() -> None:
    left = msgspec.structs.replace(make_receipt_finding(line=9), side="LEFT")
    [result] = run(make_receipt(left))["results"]
    [location] = result["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 1, "endLine": 1}
    assert "In line 9, which was removed." in result["message"]["text"]


def test_words_of_others_make_no_link() -> None:
    [result] = run(make_receipt(make_receipt_finding(title="![a](https://e.vil) \u202e")))[
        "results"
    ]
    assert "](" not in result["message"]["text"]
    assert "\u202e" not in result["message"]["text"]


@pytest.mark.parametrize("path", ["/etc/passwd", "//e.vil/x", "https://e.vil/x", "a?b#c", "a:b"])
def test_a_path_never_leads_to_another_place(path: str) -> None:
    [result] = run(make_receipt(make_receipt_finding(path=path)))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert not set(uri) & set(":?#")
    assert not uri.startswith("/")
    assert unquote(uri) == path


@pytest.mark.parametrize("state", State)
def test_a_review_that_is_not_whole_was_no_success_and_says_why(state: State) -> None:
    told = run(
        make_receipt(
            make_receipt_finding(),
            state=state,
            reason="out of credit",
            notices=[ReceiptNotice(path="b c.py", reason="not analysed: needs the file")],
        )
    )
    [invocation] = told["invocations"]
    is_whole = state in (State.CLEAN, State.FINDINGS)
    assert invocation["executionSuccessful"] is is_whole
    assert len(told["results"]) == 1
    *verdict, skipped = invocation["toolExecutionNotifications"]
    assert [note["level"] for note in verdict] == ([] if is_whole else ["error"])
    assert skipped == {
        "level": "warning",
        "message": {"text": "Not reviewed: b c.py: not analysed: needs the file"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "b%20c.py"}}}],
    }


def test_more_than_github_takes_is_cut_and_said() -> None:
    receipt = make_receipt(
        *(make_receipt_finding(fingerprint=f"{n}") for n in range(MAX_RESULTS + 3)),
        notices=[ReceiptNotice(path=f"{n}.py", reason="x") for n in range(MAX_NOTIFICATIONS + 2)],
    )
    told = run(msgspec.structs.replace(receipt, findings_cut=4, mistakes=("line 3: wrong",)))
    notes = [n["message"]["text"] for n in told["invocations"][0]["toolExecutionNotifications"]]
    assert len(told["results"]) == MAX_RESULTS
    assert notes[:2] == ["Configuration: line 3: wrong", "7 more findings"]
    assert notes[-1] == "Not reviewed: 2 more files"
    assert len(notes) == MAX_NOTIFICATIONS + 3
