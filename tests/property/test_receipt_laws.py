"""Laws of the receipt: valid, within its limit, and the same when it is read again."""

import json

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from app.review.coverage import Covered, LeftOut, NotConcerned, Reason, Settled, Shown, Withheld
from app.review.findings import Finding
from app.review.focus import Area
from app.review.priority import Priority
from app.review.pull import NotInDiff
from app.review.receipt import (
    MIN_LIMIT,
    Conclusion,
    Receipt,
    State,
    conclude,
    decode_receipt,
    encode_receipt,
)
from tests.builders import (
    make_coverage,
    make_dropped,
    make_finding,
    make_location,
    make_outcome,
)
from tests.receipt_schema import receipt_schema

SCHEMA = jsonschema.Draft202012Validator(receipt_schema())

# Lone surrogates, controls and quotes included.
texts = st.one_of(st.text(st.characters(), max_size=30), st.sampled_from(["", '<&>"\\\x00' * 400]))
states: st.SearchStrategy[Settled] = st.one_of(
    st.just(Shown((0, 1))),
    st.just(Covered()),
    st.just(NotConcerned()),
    st.builds(Withheld, texts),
    st.builds(LeftOut, st.sampled_from(Reason), texts),
)
findings: st.SearchStrategy[Finding] = st.builds(
    make_finding,
    area=st.sampled_from(Area),
    priority=st.sampled_from(Priority),
    confidence=st.floats(0, 1),
    title=texts,
    body=texts,
    trigger=texts,
    evidence=texts,
    location=st.builds(make_location, texts, st.integers(1, 10**7)),
    fingerprint=st.text("0123456789abcdef", min_size=16, max_size=16),
    sources=st.lists(texts, min_size=1, max_size=3).map(tuple),
    rule=st.none() | texts,
    suggestion=st.none() | texts,
    summary_reason=st.none() | st.just("why"),
)
receipts: st.SearchStrategy[Receipt] = st.builds(
    make_outcome,
    coverage=st.lists(states, min_size=1, max_size=8).map(lambda s: make_coverage(*s)),
    findings=st.lists(findings, max_size=8).map(tuple),
    dropped=st.lists(st.builds(make_dropped, reason=texts), max_size=4).map(tuple),
    notices=st.lists(st.builds(NotInDiff, path=texts, reason=texts), max_size=4).map(tuple),
    model=st.none() | texts,
).map(conclude)


@given(receipt=receipts)
def test_a_receipt_is_the_same_when_it_is_read_again(receipt: Receipt) -> None:
    assert decode_receipt(encode_receipt(receipt).encode("utf-8")) == receipt


@given(receipt=receipts, limit=st.integers(MIN_LIMIT, 12_000))
def test_a_receipt_keeps_to_its_limit_and_says_what_that_cost(receipt: Receipt, limit: int) -> None:
    text = encode_receipt(receipt, limit)
    json.loads(text)
    assert len(text) <= limit
    cut = decode_receipt(text)
    assert cut.truncated == (cut != receipt)
    assert (cut.state, cut.conclusion) == (receipt.state, receipt.conclusion)
    assert cut.findings_cut == len(receipt.findings) - len(cut.findings)
    assert list(SCHEMA.iter_errors(json.loads(text))) == []
    kept = [finding.fingerprint for finding in cut.findings]
    assert kept == [finding.fingerprint for finding in receipt.findings][: len(kept)]


@given(receipt=receipts)
def test_green_means_reviewed(receipt: Receipt) -> None:
    areas = [state for row in receipt.coverage for state in row.areas.values()]
    gaps = [reason.value for reason in Reason if reason.is_gap]
    has_gap = any(state.startswith(f"left out: {gap}") for state in areas for gap in gaps)
    was_shown = any(state.startswith(("shown", "covered")) for state in areas)
    if receipt.conclusion is Conclusion.SUCCESS:
        assert receipt.state is State.CLEAN
        assert was_shown
        assert not has_gap
        assert not receipt.findings
        assert receipt.usage.model is not None
