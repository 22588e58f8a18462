"""What a server takes, for one model: learnt from its refusals, one step down at a time.

Pure; `model` keeps what was learnt, so that it is learnt once a day and not at every start.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

import msgspec

from app.llm.faults import Fault, Kind

TRUSTED_S = 24 * 3600.0
"""How long we believe what we learnt: servers are updated."""


class Api(StrEnum):
    """The protocols that we speak."""

    CHAT = "chat"
    RESPONSES = "responses"
    COMPLETIONS = "completions"


class Form(IntEnum):
    """How the answer's form is asked for, from strict to not at all."""

    JSON_SCHEMA = 0
    JSON_OBJECT_WITH_SCHEMA = 1
    JSON_OBJECT = 2
    TEXT = 3


EXTRAS = frozenset({"stream", "stream_options", "store"})
"""Fields of a request that an answer can do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What we believe that a server takes. `refused` are names of fields that it does not."""

    api: Api
    form: Form = Form.JSON_SCHEMA
    refused: frozenset[str] = frozenset()

    def takes(self, field: str) -> bool:
        return field not in self.refused


def step_down(
    can: Abilities, fault: Fault, *, proven: Abilities | None, is_auto: bool
) -> Abilities | None:
    """Return what to try after a refusal; None where asking for less would not help.

    A bad request for no reason given is taken for such a refusal, until the server is `proven` to
    take what we send. Only with `is_auto` the protocol may change.
    """
    match fault.kind:
        case Kind.API_REFUSED if is_auto and can.api is Api.CHAT:
            return Abilities(api=Api.RESPONSES)
        case Kind.PARAMETER_REFUSED if can.takes(fault.named):
            return replace(can, refused=can.refused | {fault.named})
        case Kind.FORMAT_REFUSED if can.form is not Form.TEXT:
            return replace(can, form=Form(can.form + 1))
        case Kind.BAD_REQUEST if proven:  # perhaps by a question that was asked at the same time
            least = least_of(proven, can)
            return least if least != can else None
        case Kind.BAD_REQUEST if not can.refused >= EXTRAS:
            return replace(can, refused=can.refused | EXTRAS)
        case Kind.BAD_REQUEST if can.form is not Form.TEXT:
            return replace(can, form=Form.TEXT)
    return None


def least_of(one: Abilities, other: Abilities) -> Abilities:
    """Join what two questions learnt at the same time."""
    if one.api is not other.api:
        return one if one.api is Api.RESPONSES else other
    form, refused = max(one.form, other.form), one.refused | other.refused
    return Abilities(api=one.api, form=form, refused=refused)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    learnt_at: float
    abilities: Abilities


def encode(abilities: Abilities, *, learnt_at: float) -> str:
    """Write down what was learnt, and when (epoch seconds)."""
    return msgspec.json.encode(_Kept(learnt_at=learnt_at, abilities=abilities)).decode()


def decode(text: str | None, *, now: float) -> tuple[Abilities, float] | None:
    """Read what was learnt and when; None where it is too old or cannot be read."""
    try:
        kept = msgspec.json.decode(text or "", type=_Kept)
    except msgspec.MsgspecError:
        return None
    return (kept.abilities, kept.learnt_at) if now - kept.learnt_at < TRUSTED_S else None
