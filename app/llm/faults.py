"""What a model server's refusal means: from status, headers and body to one kind of fault.

Servers that speak the same protocol disagree most about errors; this is the table of what was
seen. Knows nothing of requests, waiting or retries.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import NamedTuple

from app.errors import (
    AnswerCut,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    OutOfCredit,
    PromptTooLong,
)
from app.review.answer import Usage
from app.review.masking import mask, visible

MAX_TEXT = 300


class Kind(Enum):
    """What the asker does about a fault.

    `PASSING` is tried again; `CUT` and `BLANK` once, with more room; `GARBLED`, which is not the
    protocol at all, once. `API_REFUSED`, `PARAMETER_REFUSED`, `FORMAT_REFUSED` and, perhaps,
    `BAD_REQUEST` are asked again with less (`ladder`). The rest is final.
    """

    DENIED = auto()
    OUT_OF_CREDIT = auto()
    TOO_LONG = auto()
    REFUSED = auto()
    API_REFUSED = auto()
    PARAMETER_REFUSED = auto()
    FORMAT_REFUSED = auto()
    BAD_REQUEST = auto()
    PASSING = auto()
    GARBLED = auto()
    CUT = auto()
    BLANK = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a request got no answer.

    `wait_s` is how long the server asked us to wait, if it did, and `is_limit` where that is
    because it is asked too often; `named` the field of our request that it does not take.
    """

    kind: Kind
    text: str
    wait_s: float | None = None
    is_limit: bool = False
    named: str = ""


_ERRORS: Mapping[Kind, type[ModelError]] = {
    Kind.DENIED: ModelDenied,
    Kind.API_REFUSED: ModelDenied,
    Kind.OUT_OF_CREDIT: OutOfCredit,
    Kind.TOO_LONG: PromptTooLong,
    Kind.CUT: AnswerCut,
    Kind.BLANK: AnswerCut,
    Kind.REFUSED: ModelRefused,
}


def error_of(fault: Fault, usage: Usage | None = None) -> ModelError:
    """Return the error that tells of a fault, and what it cost, once nothing more is tried."""
    return _ERRORS.get(fault.kind, ModelUnavailable)(fault.text, usage=usage)


def fault_of_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, secret: str
) -> Fault:
    """Say what an answer other than 200 means. `secret` appears in no text."""
    told = _read_error(_loads(body))
    if told.message == "" and not _is_html(body):
        told = told._replace(message=body.decode("utf-8", "replace"))
    wait_s = _wait_s(headers, now)
    return _fault(status, told, wait_s, secret)


def fault_of_error(error: object, *, secret: str) -> Fault:
    """Say what an `error` within a 200 means; gateways report late failures so."""
    told = _read_error({"error": error})
    status = int(told.code) if re.fullmatch(r"[45]\d\d", told.code) else 200
    return _fault(status, told, None, secret)


def fault(kind: Kind, text: str, *, secret: str) -> Fault:
    """Make a fault of a text that may be anybody's."""
    return Fault(kind=kind, text=_clean(text, secret))


class _Told(NamedTuple):
    """What an error body says, whatever its shape."""

    message: str
    code: str
    type: str
    param: str

    @property
    def words(self) -> str:
        return f"{self.code} {self.type}".lower()


# OpenAI answers 429 for billing; platform.openai.com/docs/guides/error-codes
_NO_CREDIT = re.compile(
    r"insufficient_(?:\w+_)?(?:quota|balance|credits?)|credit_balance_exhausted"
    r"|_spend_limit_exceeded|_usage_limit_exceeded|billing_hard_limit|billing_not_active"
)
# OpenRouter: the one 402 that passes by itself, when requests under way have ended.
_CREDIT_IN_FLIGHT = "in_flight_budget_exhausted"
_TOO_LONG_CODE = re.compile(
    r"context_length_exceeded|exceed_context_size|string_above_max_length|prompt_too_long"
)
_TOO_LONG = re.compile(
    r"maximum context|context (?:length|window|size)|prompt is too long|request too large"
    r"|too many (?:input )?tokens|input (?:is )?too long|reduce the length"
    r"|input tokens? .{0,60}exceed",
    re.IGNORECASE,
)
# Larger than the whole limit of a minute: waiting would not help.
_TOO_LARGE_FOR_RATE = re.compile(r"request too large", re.IGNORECASE)
_FILTERED = re.compile(r"content_filter|content_policy|moderation|responsibleai", re.IGNORECASE)
_FILTERED_TEXT = re.compile(
    r"content management policy|content filter|flagged|requires moderation", re.IGNORECASE
)
_FORMAT = re.compile(
    r"response_format|json_schema|json_object|json schema|text\.format|structured.outputs?"
    r"|guided_|grammar",
    re.IGNORECASE,
)
# The fields that we can do without; words of everyday language count only in quotes.
_PARAMETER = re.compile(
    r"\b(stream_options|max_(?:completion_|output_)?tokens)\b|[\"'`](store|stream)[\"'`]"
    r"|^(store|stream)$|(stream)ing (?:is )?not supported",
    re.IGNORECASE,
)
# A model of OpenAI's that is only served by its newer protocol. The first of these texts goes on
# "Did you mean to use v1/completions?", which is misleading.
_OTHER_API = re.compile(
    r"not a chat model|v1/responses|responses api|unsupported_api_for_model", re.IGNORECASE
)
_NO_MODEL = re.compile(
    r"(?:not a valid|unknown|invalid|no such) model|model .{0,80}"
    r"(?:does not exist|not found|(?:was|has been|is) (?:deprecated|retired|shut ?down))",
    re.IGNORECASE,
)
_API_STATUSES = frozenset({400, 404, 405, 422})
_FORMAT_STATUSES = frozenset({400, 422, 500, 501})
_DENIED_STATUSES = frozenset({401, 403, 404, 405, 410, *range(300, 400)})
_PASSING_STATUSES = frozenset({408, 409, 425, 429, 498})
_FILTER_STATUSES = frozenset({200, 400, 403, 422, 451})


def _fault(status: int, told: _Told, wait_s: float | None, secret: str) -> Fault:
    kind = _kind(status, told)
    detail = told.message or told.code or told.type or "no reason given"
    if kind is Kind.PASSING and wait_s is not None:
        text = (
            f"the model server answered {status} and asks to wait {math.ceil(wait_s)} s: {detail}"
        )
        text = _clean(text, secret)
        return Fault(kind=kind, text=text, wait_s=wait_s, is_limit=status == 429)
    named = _named(told) if kind is Kind.PARAMETER_REFUSED else ""
    return Fault(kind=kind, text=_clean(f"{_remedy(kind, status)}{detail}", secret), named=named)


def _kind(status: int, told: _Told) -> Kind:
    """Judge by codes first, by words where servers give no code, by the status last."""
    if _CREDIT_IN_FLIGHT in told.words:
        return Kind.PASSING
    if status == 402 or _NO_CREDIT.search(f"{told.words} {told.message}"):
        return Kind.OUT_OF_CREDIT
    if _TOO_LONG_CODE.search(told.words) or status == 413:
        return Kind.TOO_LONG
    if status in _API_STATUSES and _OTHER_API.search(f"{told.words} {told.message}"):
        return Kind.API_REFUSED
    too_long = _TOO_LARGE_FOR_RATE if status == 429 else _TOO_LONG
    if status not in (401, 404) and too_long.search(told.message):
        return Kind.TOO_LONG
    if status in _FILTER_STATUSES and (
        _FILTERED.search(told.words) or _FILTERED_TEXT.search(told.message)
    ):
        return Kind.REFUSED
    if status in _FORMAT_STATUSES and (refusal := _refusal(told)):
        return refusal
    if status in _DENIED_STATUSES or "model_not_found" in told.words:
        return Kind.DENIED
    if status in (200, 400, 422) and _NO_MODEL.search(told.message):
        return Kind.DENIED
    if status in _PASSING_STATUSES or status >= 500 or status == 200:
        return Kind.PASSING
    return Kind.BAD_REQUEST if status in (400, 422) else Kind.UNKNOWN


def _refusal(told: _Told) -> Kind | None:
    """Say whether the form of the answer or another field of the request is refused."""
    if _FORMAT.search(told.param):
        return Kind.FORMAT_REFUSED
    if _named(told):
        return Kind.PARAMETER_REFUSED
    return Kind.FORMAT_REFUSED if _FORMAT.search(told.message) else None


def _named(told: _Told) -> str:
    """Return the field that is refused; of several the first, as the others are advice."""
    found = _PARAMETER.search(told.param) or _PARAMETER.search(told.message)
    return next((group for group in found.groups() if group), "").lower() if found else ""


def _remedy(kind: Kind, status: int) -> str:
    """Say first what a person can do, where a person must do something."""
    match kind:
        case Kind.DENIED if status in (401, 403):
            return f"the model server refuses the key ({status}); check OPENAI_API_KEY: "
        case Kind.DENIED if 300 <= status < 400:
            return f"the model server redirects ({status}); check OPENAI_BASE_URL: "
        case Kind.DENIED:
            return f"no such model or address ({status}); check MODEL and OPENAI_BASE_URL: "
        case Kind.API_REFUSED:
            return f"the model is not served this way ({status}); set MODEL_API=responses: "
        case Kind.OUT_OF_CREDIT:
            return f"no credit left at the model server ({status}): "
        case Kind.TOO_LONG:
            return "too long for the model: "
        case Kind.REFUSED:
            return "declined by a content filter: "
        case _:
            return f"the model server answered {status}: "


def _read_error(value: object) -> _Told:
    """Take an error body apart: text, `{"error": …}`, `{"message": …}`, `{"detail": …}`."""
    fields = value if isinstance(value, dict) else {}
    inner = fields.get("error", fields.get("detail", fields.get("message", value)))
    if not isinstance(inner, dict):
        return _Told(_words(inner), _words(fields.get("code")), _words(fields.get("type")), "")
    metadata = inner.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    message = ": ".join(filter(None, (_words(inner.get("message")), _words(raw))))
    return _Told(message, *(_words(inner.get(name)) for name in ("code", "type", "param")))


def _words(value: object) -> str:
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)[: 2 * MAX_TEXT]


def _loads(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


# Keys as servers echo them, also starred or cut: too short or too regular for `mask`.
_ECHOED_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[\w*.…-]+")


def _clean(text: str, secret: str) -> str:
    """One line without secrets, at most `MAX_TEXT` characters."""
    text = text.replace(secret, "…") if secret else text
    text = " ".join(text[: 8 * MAX_TEXT].split())
    return mask(visible(_ECHOED_KEY.sub("sk-…", text)))[:MAX_TEXT]


# ---- how long to wait ----------------------------------------------------------------------------

_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,4})m(?!s))?(?:(\d{1,6}(?:\.\d{1,9})?)(m?s))?")


def _wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long to wait, from the most to the least exact header."""
    if (milliseconds := _seconds(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    after = headers.get("retry-after")
    if (seconds := _seconds(after)) is not None:
        return seconds
    if (date := _date(after)) is not None:
        return max(0.0, date - now)
    return _reset_s(headers)


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """Read `x-ratelimit-reset-…`: of a limit that is used up; else of the one that is free first.

    https://platform.openai.com/docs/guides/rate-limits
    """
    resets: dict[str, float] = {}
    for name in ("requests", "tokens"):
        reset = _duration(headers.get(f"x-ratelimit-reset-{name}"))
        if reset is not None:
            resets[name] = reset
    used_up = [
        s for name, s in resets.items() if headers.get(f"x-ratelimit-remaining-{name}") == "0"
    ]
    return max(used_up) if used_up else min(resets.values(), default=None)


def _duration(text: str | None) -> float | None:
    """Read "20ms", "1s", "6m0s" or "1h2m3.5s"."""
    match = _DURATION.fullmatch(text.strip()) if text and text.strip() else None
    if match is None:
        return None
    hours, minutes, seconds, unit = match.groups()
    scale = 0.001 if unit == "ms" else 1.0
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0) * scale
