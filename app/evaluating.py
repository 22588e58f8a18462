"""Runs the pipeline over cases with known bugs, so that models and prompts can be measured.

Reads cases from disk; what the runs are worth is counted in `review/scoring.py`.
"""

import asyncio
import gzip
import secrets
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app.asking import Asking
from app.errors import Unusable
from app.pipeline import run_review
from app.ports import Changes, Clock, Run, Services
from app.review.cases import Case, areas_of, parse_cases
from app.review.config import Config
from app.review.event import Request
from app.review.fix_case import case_of_fix, paths_of_fix
from app.review.pull import Change, RunId, Target
from app.review.scoring import Measured, is_cut_off

CASES = "cases.jsonl"
FILES = "files.jsonl.gz"
"""Lies beside the cases where these do not hold their files themselves."""


def read_cases(place: Path) -> tuple[Case, ...]:
    """Read cases from a file, or from the folder that holds it.

    Raises Unusable that names file, line and what was expected.
    """
    file = _file(place)
    files = file.with_name(FILES)
    try:
        raw = file.read_bytes()
        beside = gzip.decompress(files.read_bytes()) if files.exists() else b""
    except (OSError, EOFError, zlib.error) as exc:
        raise Unusable(f"{place}: the cases cannot be read: {exc}") from exc
    return parse_cases(raw, str(file), beside, str(files))


async def fetch_case(target: Target, changes: Changes) -> bytes:
    """Make a case, one line of JSON, of a pull request that fixed a bug."""
    change = await changes.open(target)
    paths = paths_of_fix(change)
    contents = await asyncio.gather(*(changes.read(change, path) for path in paths))
    heads = {path: text for path, text in zip(paths, contents, strict=True) if text is not None}
    return case_of_fix(f"{target.full_name}#{target.number}", change, heads)


def add_case(place: Path, line: bytes) -> None:
    """Append a case to a file, or to the one in a folder. Raises Unusable if that cannot be."""
    file = _file(place)
    try:
        file.touch()
        known = file.read_bytes()
        together = known + b"\n" * (bool(known) and not known.endswith(b"\n")) + line
        parse_cases(together, str(file))
        file.write_bytes(together)
    except OSError as exc:
        raise Unusable(f"{place}: the case cannot be added: {exc}") from exc


def _file(place: Path) -> Path:
    return place / CASES if place.is_dir() else place


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChanges:
    """The change of a case, with the whole files that it brings along."""

    case: Case
    config: Config

    async def open(self, target: Target) -> Change:
        return Change(
            pull=None,
            title=self.case.title,
            body=self.case.body,
            head_sha=None,
            base_sha=None,
            diff=self.case.diff,
            config=self.config,
        )

    async def confirm(self, change: Change) -> None:
        """Nobody moves this head."""

    async def read(self, change: Change, path: str) -> bytes | None:
        return self.case.heads.get(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured: each case `repeat` times, `at_once` side by side.

    `max_usd` takes a model with a price: no run is begun that would exceed it together with those
    under way, if each costs what the dearest so far did. The first is begun alone.
    """

    cases: tuple[Case, ...]
    repeat: int = 1
    at_once: int = 1
    max_usd: float | None = None


async def measure(
    plan: Plan,
    target: Target,
    s: Services,
    how: Asking,
    clock: Clock,
    measured: list[Measured],
    tell: Callable[[str], None],
) -> str:
    """Review every case and add it to `measured` as soon as it is done.

    Return why not all of it was measured, empty if all was.
    """
    config = Config(focus=areas_of(plan.cases))
    n_before, n_runs = len(measured), plan.repeat * len(plan.cases)
    to_do = deque(case for _ in range(plan.repeat) for case in plan.cases)

    async def one(case: Case) -> None:
        measured.append(await _review(case, config, target, s, how, clock))
        tell(f"{len(measured) - n_before} of {n_runs} reviews by {_name(s) or 'analysers'}")

    under_way: set[asyncio.Task[None]] = set()
    try:
        while to_do or under_way:
            while to_do and _may_begin(plan, len(under_way), measured, measured[n_before:]):
                under_way.add(asyncio.create_task(one(to_do.popleft())))
            if not under_way:
                break
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in under_way:
            task.cancel()
    n_whole = sum(not is_cut_off(one) for one in measured[n_before:])
    if n_whole == n_runs:
        return ""
    limit = "a limit" if plan.max_usd is None else f"the limit of {plan.max_usd:.2f} USD"
    return f"{_name(s)}: {n_whole} of {n_runs} reviews, {limit} allows no more"


def spent_usd(measured: Iterable[Measured]) -> float:
    """Return what reviews have cost, as far as prices are known."""
    return sum(one.receipt.usage.usd or 0.0 for one in measured)


async def _review(
    case: Case, config: Config, target: Target, s: Services, how: Asking, clock: Clock
) -> Measured:
    """Review one case with all gates; `full`, so that no kept answer is taken for a new one."""
    run = Run(id=RunId(secrets.token_hex(8)), attempt=1)
    began = clock.now()
    receipt = await run_review(
        target,
        Request(full=True),
        run,
        replace(s, changes=CaseChanges(case=case, config=config)),
        how,
    )
    return Measured(model=_name(s), case=case, receipt=receipt, seconds=clock.now() - began)


def _may_begin(
    plan: Plan, n_under_way: int, measured: Iterable[Measured], by_this_model: Iterable[Measured]
) -> bool:
    if n_under_way == plan.at_once:
        return False
    if plan.max_usd is None:
        return True
    left_usd = plan.max_usd - spent_usd(measured)
    dearest_usd = max((spent_usd([one]) for one in by_this_model), default=0.0)
    if not dearest_usd:
        return n_under_way == 0 and left_usd > 0
    return (n_under_way + 1) * dearest_usd <= left_usd


def _name(s: Services) -> str:
    return s.models.name if s.models else ""
