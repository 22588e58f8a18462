"""Verdicts of the judge, validated item by item: what it answered, not yet what is proven."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.review.priority import Priority
from app.review.reading import as_number, find_items, printable

MAX_REASON = 400
MAX_QUOTE = 2_000


class Doubt(StrEnum):
    """What is asked of each finding, in order. The values are fields of the answer."""

    INTRODUCED = "introduced_here"
    TRUE = "code_does_this"
    HAPPENS = "trigger_can_happen"
    WORTH_FIXING = "author_would_fix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was answered about one finding.

    `proofs` holds what was answered with yes, and the lines quoted for it (perhaps none). `rule` is
    one of the judge's own, `about` one of the repository's that were put to it.
    """

    reason: str
    proofs: Mapping[Doubt, str]
    rule: int | None = None
    about: int | None = None
    priority: Priority | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """Verdicts by number of the finding. `problem` tells the model what was wrong or missing."""

    by_number: Mapping[int, Verdict]
    problem: str = ""


def parse_verdicts(text: str, n_findings: int) -> Verdicts:
    """Read the verdicts about findings 1 … `n_findings`; those about others are ignored.

    A finding that is judged twice is not judged. Raises AnswerInvalid when nothing can be read.
    """
    found = find_items(text, "verdicts", ("finding", Doubt.INTRODUCED))
    verdicts: dict[int, Verdict] = {}
    unclear: set[int] = set()
    problems: list[str] = []
    for index, item in enumerate(found.items[: 2 * n_findings]):
        try:
            number, verdict = _number(item), _verdict(item)
        except _Unfit as unfit:
            problems.append(f"verdicts[{index}]: {unfit}")
            continue
        if number in verdicts:
            unclear.add(number)
        verdicts.setdefault(number, verdict)
    expected = range(1, n_findings + 1)
    problems += [f"finding {n}: judged twice" for n in expected if n in unclear]
    problems += [f"finding {n}: not judged" for n in expected if n not in verdicts]
    return Verdicts(
        by_number={n: verdicts[n] for n in expected if n in verdicts and n not in unclear},
        problem="; ".join(problems),
    )


class _Unfit(Exception):
    """This item is no verdict; the text says why and quotes nothing."""


def _number(item: object) -> int:
    number = as_number(item.get("finding")) if isinstance(item, dict) else None
    if number is None or number != int(number):
        raise _Unfit("finding: not a number")
    return int(number)


def _verdict(item: object) -> Verdict:
    if not isinstance(item, dict):
        raise _Unfit("not an object")
    reason = item.get("reason")
    answers = {doubt: _answer(item.get(doubt), doubt) for doubt in Doubt}
    return Verdict(
        reason=printable(" ".join(reason.split()))[:MAX_REASON] if isinstance(reason, str) else "",
        proofs={doubt: quote for doubt, quote in answers.items() if quote is not None},
        rule=_whole(item.get("rule")),
        about=_whole(item.get("about")),
        priority=_priority(item.get("priority")),
    )


_WORDS = {"yes": True, "true": True, "no": False, "false": False}


def _answer(value: object, doubt: Doubt) -> str | None:
    """Return what was quoted for a yes, None for a no. A bare yes has no quote."""
    fields = value if isinstance(value, dict) else {"answer": value}
    answer, quote = fields.get("answer"), fields.get("quote")
    if isinstance(answer, str):
        answer = _WORDS.get(answer.strip().lower())
    if not isinstance(answer, bool):
        raise _Unfit(f"{doubt}: answer: not true or false")
    if not answer:
        return None
    return printable(quote.strip("\r\n"))[:MAX_QUOTE] if isinstance(quote, str) else ""


def _whole(value: object) -> int | None:
    number = as_number(value)
    return int(number) if number is not None and abs(number) < 1_000 else None


def _priority(value: object) -> Priority | None:
    number = _whole(value)
    return tuple(Priority)[number] if number is not None and 0 <= number < len(Priority) else None
