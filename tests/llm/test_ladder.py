"""What a server takes, learnt one refusal at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.faults import Fault, Kind
from app.llm.ladder import (
    EXTRAS,
    TRUSTED_S,
    Abilities,
    Api,
    Form,
    decode,
    encode,
    least_of,
    step_down,
)

TOP = Abilities(api=Api.CHAT)
abilities = st.builds(
    Abilities,
    api=st.sampled_from(Api),
    form=st.sampled_from(Form),
    refused=st.frozensets(st.sampled_from(sorted(EXTRAS | {"max_tokens"}))),
)
faults = st.builds(
    Fault,
    kind=st.sampled_from(Kind),
    text=st.just("no"),
    named=st.sampled_from(["stream", "stream_options", "max_tokens"]),
)


def step(
    kind: Kind,
    can: Abilities = TOP,
    *,
    named: str = "",
    proven: Abilities | None = None,
    is_auto: bool = True,
) -> Abilities | None:
    fault = Fault(kind=kind, text="no", named=named)
    return step_down(can, fault, proven=proven, is_auto=is_auto)


def test_each_refused_form_leads_to_a_simpler_one() -> None:
    forms: list[Form] = []
    can: Abilities | None = TOP
    while can:
        forms.append(can.form)
        can = step(Kind.FORMAT_REFUSED, can)
    assert forms == list(Form)


def test_a_refused_field_is_left_out_once() -> None:
    can = step(Kind.PARAMETER_REFUSED, named="stream")
    assert can == Abilities(api=Api.CHAT, refused=frozenset({"stream"}))
    assert step(Kind.PARAMETER_REFUSED, can, named="stream") is None


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("is_auto", [True, False])
def test_only_chat_that_was_not_chosen_by_a_person_goes_over_to_responses(
    api: Api, is_auto: bool
) -> None:
    can = step(Kind.API_REFUSED, Abilities(api=api), is_auto=is_auto)
    went_over = is_auto and api is Api.CHAT
    assert can == (Abilities(api=Api.RESPONSES) if went_over else None)


def test_a_bad_request_without_reason_drops_everything_that_can_be_spared() -> None:
    plain = step(Kind.BAD_REQUEST)
    assert plain == Abilities(api=Api.CHAT, refused=EXTRAS)
    plainest = step(Kind.BAD_REQUEST, plain)
    assert plainest == Abilities(api=Api.CHAT, refused=EXTRAS, form=Form.TEXT)
    assert step(Kind.BAD_REQUEST, plainest) is None


def test_a_server_that_took_our_questions_has_another_reason_for_a_bad_request() -> None:
    assert step(Kind.BAD_REQUEST, proven=TOP) is None


def test_a_bad_request_is_asked_again_as_the_server_took_another_question_meanwhile() -> None:
    plain = Abilities(api=Api.CHAT, refused=EXTRAS, form=Form.TEXT)
    assert step(Kind.BAD_REQUEST, proven=plain) == plain
    assert step(Kind.BAD_REQUEST, plain, proven=plain) is None


@given(abilities, st.lists(faults, max_size=40), st.none() | abilities, st.booleans())
def test_whatever_is_refused_the_ladder_ends(
    can: Abilities, refusals: list[Fault], proven: Abilities | None, is_auto: bool
) -> None:
    n_steps = 0
    for fault in refusals:
        lower = step_down(can, fault, proven=proven, is_auto=is_auto)
        if lower is not None:
            can, n_steps = lower, n_steps + 1
    assert n_steps <= 3 * (len(Form) + 4) + 2


learning = abilities.filter(lambda can: can.api is not Api.COMPLETIONS)


@given(learning, learning)
def test_what_two_learnt_is_joined_in_either_order_and_asks_for_no_more_than_both(
    one: Abilities, other: Abilities
) -> None:
    joined = least_of(one, other)
    assert joined == least_of(other, one)
    if one.api is joined.api:
        assert joined.form >= one.form
        assert joined.refused >= one.refused


@given(abilities, st.floats(0, 2e9))
def test_what_is_kept_is_read_again_for_a_day(can: Abilities, at: float) -> None:
    text = encode(can, learnt_at=at)
    assert decode(text, now=at + 60) == (can, at)
    assert decode(text, now=at + TRUSTED_S + 1) is None


@pytest.mark.parametrize("text", [None, "", "{}", "[", '{"learnt_at": 1, "abilities": {}}'])
def test_what_cannot_be_read_was_not_learnt(text: str | None) -> None:
    assert decode(text, now=0) is None
