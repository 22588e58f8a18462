"""Stand-ins for the judge: they read its question as it was asked, and answer in its schema."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

DOUBTS = ("introduced_here", "code_does_this", "trigger_can_happen", "author_would_fix")

_BLOCK = re.compile(r"^<<<DATA (\w+) ([0-9a-f]{24})$\n(.*?)^DATA>>> \2$", re.MULTILINE | re.DOTALL)
_NUMBERED = re.compile(r"^## Finding (\d+)$(.*?)(?=^## Finding |\Z)", re.MULTILINE | re.DOTALL)
_CHANGED = re.compile(r"^\d+ [-+](.*\w.*)$", re.MULTILINE)


def blocks(user: str) -> dict[str, str]:
    """Split a question into its fenced parts."""
    return {name: text.removesuffix("\n") for name, _, text in _BLOCK.findall(user)}


def is_second_look(user: str) -> bool:
    return "findings" in blocks(user)


def findings(user: str) -> Iterator[tuple[int, str]]:
    """Give the number and text of each finding that is to be judged."""
    for number, text in _NUMBERED.findall(blocks(user).get("findings", "")):
        yield int(number), text


def verdict(number: int, proof: str | None, **given: Any) -> dict[str, Any]:
    """Answer all questions with yes and prove them with one line; None: with no."""
    answers = {doubt: {"quote": proof, "answer": proof is not None} for doubt in DOUBTS}
    usual = {"finding": number, "reason": "As told.", **answers}
    return {**usual, "rule": None, "about": None, "priority": 0, **given}


def verdicts(*items: Mapping[str, Any]) -> str:
    return json.dumps({"verdicts": items})


def agree(user: str) -> str:
    """Say yes to every finding, and prove it with the first changed line shown."""
    changed = _CHANGED.search(blocks(user).get("code", ""))
    proof = changed[1] if changed else None
    return verdicts(*(verdict(number, proof) for number, _ in findings(user)))


def refuse(user: str) -> str:
    """Say no to every finding."""
    return verdicts(*(verdict(number, None, rule=5) for number, _ in findings(user)))
