"""Cases are read from disk and reviewed, as often and as dearly as was asked for."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.alone import NoCheck, NoMemory, NoPublisher, NoThreads
from app.asking import Asking
from app.errors import ModelUnavailable, Unusable
from app.evaluating import (
    CaseChanges,
    Plan,
    add_case,
    fetch_case,
    measure,
    read_cases,
    spent_usd,
)
from app.parts import SystemClock, load_prompts
from app.ports import Model, Services
from app.review.answer import Answer, Usage
from app.review.cases import Case
from app.review.config import Config
from app.review.diff import parse_diff
from app.review.focus import Area
from app.review.price import Limits, Price
from app.review.prompt import Prompt
from app.review.pull import Change, Target
from app.review.receipt import ReceiptUsage, State
from app.review.scoring import Measured, is_cut_off
from app.review.syntax import Language
from app.single_runs import NOWHERE
from tests.builders import make_change, make_diff, make_receipt, make_target
from tests.models import models_of

pytestmark = pytest.mark.anyio

FIX = b"""\
diff --git a/door.py b/door.py
--- a/door.py
+++ b/door.py
@@ -1,2 +1,3 @@
 def enter(who):
+    check(who)
     return door(who)
"""
FIXED = b"def enter(who):\n    check(who)\n    return door(who)\n"
PRICE = Price(input_usd=100, output_usd=0)
ROW = {"id": "one", "diff": FIX.decode(), "golden": []}


def cases_of(*ids: str) -> tuple[Case, ...]:
    return tuple(Case(id=id, diff=make_diff({f"{id}.py": "x = 1\n"})) for id in ids)


class Silent:
    """A model that finds nothing, and keeps what it was asked."""

    name = "silent"
    token_ratio = 1.0

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []

    async def ask(self, prompt: Prompt) -> Answer:
        self.prompts.append(prompt)
        usage = Usage(calls=1, input_tokens=10, output_tokens=1)
        return Answer(text='{"findings": []}', model=self.name, usage=usage)


class Broken(Silent):
    async def ask(self, prompt: Prompt) -> Answer:
        raise ModelUnavailable("no answer")


class NoSyntax:
    async def count_errors(
        self, language: Language, texts: Sequence[str]
    ) -> tuple[int | None, ...]:
        return (None,) * len(texts)


async def measure_with(
    model: Model | None,
    plan: Plan,
    measured: list[Measured],
    told: list[str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> str:
    services = Services(
        changes=CaseChanges(case=plan.cases[0], config=Config()),
        verdicts=NoCheck(),
        publisher=NoPublisher(),
        threads=NoThreads(),
        memory=NoMemory(),
        models=models_of(model, PRICE, limits),
        finders=(),
        syntax=NoSyntax(),
    )
    how = Asking(prompts=load_prompts(), fence_secret=b"s" * 32)
    tell = (told if told is not None else []).append
    return await measure(plan, NOWHERE, services, how, SystemClock(), measured, tell)


async def test_each_case_is_reviewed_as_often_as_was_asked() -> None:
    model, measured, told = Silent(), list[Measured](), list[str]()
    plan = Plan(cases=cases_of("a", "b"), repeat=3, at_once=2)
    assert await measure_with(model, plan, measured, told) == ""
    assert sorted(run.case.id for run in measured) == ["a", "a", "a", "b", "b", "b"]
    assert {run.receipt.state for run in measured} == {State.CLEAN}
    assert {run.model for run in measured} == {"silent"}
    assert told[-1] == "6 of 6 reviews by silent"
    assert len({run.receipt.run_id for run in measured}) == 6


async def test_no_kept_answer_makes_two_runs_equal() -> None:
    model = Silent()
    await measure_with(model, Plan(cases=cases_of("a"), repeat=2), [])
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    for prompt in model.prompts:
        (second if prompt.user in first else first)[prompt.user] = prompt.salt
    assert first.keys() == second.keys()
    assert set(first.values()).isdisjoint(second.values())


async def test_what_the_author_says_and_the_areas_of_the_bugs_are_asked_about() -> None:
    model = Silent()
    (case,) = cases_of("a")
    await measure_with(model, Plan(cases=(replace(case, title="Shorter", body="Why"),)), [])
    assert all("Shorter" in prompt.user and "Why" in prompt.user for prompt in model.prompts)


async def test_without_a_model_only_analysers_run() -> None:
    measured = list[Measured]()
    assert await measure_with(None, Plan(cases=cases_of("a")), measured) == ""
    assert [(run.model, run.receipt.state) for run in measured] == [("", State.CHECKED)]


async def test_a_model_that_fails_is_measured_too() -> None:
    measured = list[Measured]()
    assert await measure_with(Broken(), Plan(cases=cases_of("a")), measured) == ""
    assert measured[0].receipt.state is State.FAILED


def spent(usd: float) -> Measured:
    usage = ReceiptUsage(model="dear", calls=1, input_tokens=9, output_tokens=9, usd=usd)
    (case,) = cases_of("before")
    return Measured(model="dear", case=case, receipt=make_receipt(usage=usage), seconds=1)


@pytest.mark.parametrize("at_once", [1, 16])
async def test_no_review_is_begun_that_the_money_may_not_suffice_for(at_once: int) -> None:
    measured = [spent(0.6), spent(0.4)]
    plan = Plan(cases=cases_of("a", "b"), repeat=3, at_once=at_once, max_usd=1.007)
    left_out = await measure_with(Silent(), plan, measured)
    assert left_out == "silent: 3 of 6 reviews, the limit of 1.01 USD allows no more"
    assert sorted(run.case.id for run in measured[2:]) == ["a", "a", "b"]
    assert spent_usd(measured) == pytest.approx(1.006)


async def test_without_money_nothing_is_begun() -> None:
    measured, model = [spent(1.0)], Silent()
    await measure_with(model, Plan(cases=cases_of("a"), max_usd=1.0), measured)
    assert (len(measured), model.prompts) == (1, [])


class Busy(Silent):
    """Takes its time, so that all that is begun at once is under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most = 0

    async def ask(self, prompt: Prompt) -> Answer:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.005)
        self.under_way -= 1
        return await super().ask(prompt)


async def test_until_a_cost_is_known_one_review_runs_alone_then_as_many_as_fit() -> None:
    few, many = Busy(), Busy()
    plan = Plan(cases=cases_of(*"abcdefgh"), at_once=8, max_usd=0.006)
    await measure_with(few, plan, [])
    assert await measure_with(many, replace(plan, max_usd=1.0), []) == ""
    assert len(few.prompts) == 6
    assert few.most <= 4 < many.most


async def test_what_a_limit_cut_off_is_not_measured() -> None:
    measured = list[Measured]()
    plan = Plan(cases=cases_of("a", "b"))
    left_out = await measure_with(Silent(), plan, measured, limits=Limits(pull_request_usd=0.0001))
    assert left_out == "silent: 0 of 2 reviews, a limit allows no more"
    assert all(map(is_cut_off, measured))


async def test_what_breaks_a_review_ends_the_others() -> None:
    class Crashing(Busy):
        async def ask(self, prompt: Prompt) -> Answer:
            if "b.py" in prompt.user:
                raise ZeroDivisionError
            return await super().ask(prompt)

    measured = list[Measured]()
    with pytest.raises(ZeroDivisionError):
        await measure_with(Crashing(), Plan(cases=cases_of("a", "b", "c"), at_once=3), measured)
    await asyncio.sleep(0.05)
    assert measured == []


async def test_the_change_of_a_case_has_its_files() -> None:
    (case,) = cases_of("a")
    changes = CaseChanges(
        case=replace(case, heads={"a.py": b"x = 1\n"}), config=Config(focus=(Area.TESTS,))
    )
    change = await changes.open(NOWHERE)
    assert (change.diff, change.config.focus) == (case.diff, (Area.TESTS,))
    assert await changes.read(change, "a.py") == b"x = 1\n"
    assert await changes.read(change, "b.py") is None


def test_cases_are_read_from_a_file_or_from_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(ROW))
    files = {"id": "one", "files": {"door.py": {"head": "x"}}}
    (tmp_path / "files.jsonl.gz").write_bytes(gzip.compress(json.dumps(files).encode()))
    assert read_cases(file) == read_cases(tmp_path)
    assert read_cases(file)[0].heads == {"door.py": b"x"}


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be read"):
        read_cases(tmp_path)
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(ROW) + "\n{}\n")
    with pytest.raises(Unusable, match=r"cases\.jsonl:2: .*missing required field `id`"):
        read_cases(file)
    (tmp_path / "files.jsonl.gz").write_bytes(b"not gzipped")
    with pytest.raises(Unusable, match="cannot be read"):
        read_cases(file)


class FixChanges:
    """A pull request that fixed a bug."""

    async def open(self, target: Target) -> Change:
        return make_change(diff=parse_diff(FIX))

    async def confirm(self, change: Change) -> None:
        raise AssertionError

    async def read(self, change: Change, path: str) -> bytes | None:
        return FIXED if path == "door.py" else None


async def test_a_fix_of_ones_own_becomes_a_case_that_can_be_added(tmp_path: Path) -> None:
    line = await fetch_case(make_target(7), FixChanges())
    file = tmp_path / "mine.jsonl"
    add_case(file, line)
    assert [case.id for case in read_cases(file)] == ["acme/shop#7"]
    file.write_text(json.dumps(ROW))  # a last line without its end
    add_case(file, line)
    assert [case.id for case in read_cases(file)] == ["one", "acme/shop#7"]


async def test_a_case_is_added_once_and_only_to_cases(tmp_path: Path) -> None:
    line = await fetch_case(make_target(7), FixChanges())
    (tmp_path / "cases.jsonl").write_bytes(line)
    with pytest.raises(Unusable, match=r"cases\.jsonl:2: expected an id of its own"):
        add_case(tmp_path, line)
    assert (tmp_path / "cases.jsonl").read_bytes() == line
    with pytest.raises(Unusable, match="cannot be added"):
        add_case(tmp_path / "none" / "cases.jsonl", line)
