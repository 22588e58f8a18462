"""The estimate is near what o200k_base counts, on the high side, and adds up over lines."""

import time
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.tokens import estimate, weight

# Counted with o200k_base.
CODE = '''def fetch(self, url: str, *, timeout_s: float = 10.0) -> bytes:
    """Fetch a page."""
    response = self.session.get(url, timeout=timeout_s)
    if response.status_code != 200:
        raise FetchError(f"{url}: {response.status_code}")
    return response.content
'''


TRUE_COUNTS = pytest.mark.parametrize(
    ("text", "true_count"),
    [
        (CODE, 68),
        ("getUserByIdentifierFromDatabase " * 30, 181),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" * 10, 421),
        ("TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24" * 10, 350),
        ("这是一个测试文件，用来检查中文的分词数量。" * 50, 650),
        ("\U0001f600\U0001f389" * 100, 300),
    ],
)


@TRUE_COUNTS
def test_the_estimate_is_not_below_the_true_count_and_not_twice_it(
    text: str, true_count: int
) -> None:
    assert true_count <= estimate(text) < 2 * true_count


def test_nothing_costs_nothing() -> None:
    assert estimate("") == 0


@given(st.text(), st.text())
def test_lines_can_be_counted_one_by_one(one: str, other: str) -> None:
    together = weight(f"{one}\n{other}\n")
    apart = weight(f"{one}\n") + weight(f"{other}\n")
    assert isclose(together, apart, abs_tol=1e-6)


@pytest.mark.parametrize("text", ["a", "a1", "1", " ", "-", "é", "\U0001f600", "a" * 41 + " "])
def test_a_long_line_takes_linear_time(text: str) -> None:
    start = time.perf_counter()
    assert estimate(text * (300_000 // len(text))) > 1_000
    assert time.perf_counter() - start < 1
