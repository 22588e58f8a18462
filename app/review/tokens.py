"""Says how many tokens a text costs.

Estimated without any model's vocabulary, calibrated against o200k_base on 200 real diffs; the
margin lets it err on the high side, so that a prompt fits. Other vocabularies differ by 10 to 20%
anyway: what a server reports corrects it (`Model.token_ratio`).
"""

import re
from math import ceil

MARGIN = 1.2
_SCALE = 0.877

# Letters with digits among them (hashes, base64) cost far more than words.
_RUN = re.compile(r"[A-Za-z0-9]{16,}")
_WORD = re.compile(r"[A-Za-z]+")
_DIGITS = re.compile(r"[0-9]{1,3}")
_BLANK = re.compile(r"[^\S\n]+")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]+")
_ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")
_OTHER = re.compile(r"[^\x00-\x7f\s]")


def estimate(text: str) -> int:
    """Estimate the tokens of a text, margin included."""
    return with_margin(weight(text))


def with_margin(weight: float) -> int:
    """Turn a weight, or a sum of weights, into an estimate of tokens."""
    return ceil(weight * MARGIN)


def weight(text: str) -> float:
    """Tell the tokens without margin or rounding; weights of whole lines can be added."""
    total = 0.55 * text.count("\n")
    mixed = [run for run in _RUN.findall(text) if not run.isalpha()]
    if mixed:
        total += sum(map(len, mixed)) / 1.4
        text = _RUN.sub(lambda run: run[0] if run[0].isalpha() else "\n", text)
    words = _WORD.findall(text)
    total += len(words) + sum([len(word) - 7 for word in words if len(word) > 7]) / 5
    total += len(_DIGITS.findall(text))
    for blank in _BLANK.findall(text):
        # A single blank is part of the word after it.
        total += 0.1 if len(blank) == 1 else 0.75 + len(blank) / 80
    marks = _PUNCTUATION.findall(text)
    total += len(marks) + sum([len(mark) - 3 for mark in marks if len(mark) > 3]) / 4.5
    if not text.isascii():
        total += len(_OTHER.findall(text)) + len(_ASTRAL.findall(text))
    return _SCALE * total
