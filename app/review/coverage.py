"""The coverage map: for every hunk and focus area whether it is shown, and if not, why not.

Plans a review (what is shown in which chunk), and settles the plan when the answers are in. It
decides what counts as covered; it does not know who asks the model, or where keys are kept.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from app.review.chunks import Chunk, Chunks, HunkToShow, Place, make_chunks
from app.review.classes import (
    NOT_REVIEWABLE,
    Attributes,
    FileClass,
    classify,
    parse_attributes,
)
from app.review.config import Config
from app.review.diff import Damaged, Diff, FileDiff, Hunk, hunk_key
from app.review.event import Request
from app.review.focus import Area, concerns
from app.review.globs import Globs, compile_globs
from app.review.masking import mask, visible

_NEVER_SEND = """
    .env* *.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk *.tfstate *.tfstate.backup
    id_rsa* id_dsa* id_ecdsa* id_ed25519* .netrc _netrc .npmrc .pypirc .htpasswd .pgpass .my.cnf
    .git-credentials .dockercfg **/.docker/config.json **/.aws/credentials **/.kube/config
    credentials credentials.json service-account*.json master.key *.secret
"""
NEVER_SEND = tuple(_NEVER_SEND.split())
"""Files that never leave the machine, however the case of their letters; beside the configured."""


class Reason(StrEnum):
    """Why lines were not shown. The values are published."""

    IGNORED = "ignored by the configuration"
    LOCK_FILE = "lock file"
    GENERATED = "generated"
    VENDORED = "vendored"
    MINIFIED = "minified"
    BINARY = "binary"
    NO_LINES = "no changed lines"
    DAMAGED = "damaged in the diff"
    TOO_LARGE = "too large"
    NOT_ASKED = "not asked for"
    OVER_LIMIT = "over the limit of one review"
    NO_MODEL = "no model"
    MODEL_UNAVAILABLE = "no answer from the model"
    MODEL_REFUSED = "refused by the model"
    MODEL_DENIED = "denied by the model's server"
    TOO_LONG = "too long for the model"
    ANSWER_INVALID = "the model's answer was not usable"
    ANSWER_CUT = "the model's answer was cut off"
    ANSWER_EMPTY = "the model's answer was empty"
    OUT_OF_CREDIT = "out of credit"
    OVER_BUDGET = "over the limit of money"
    BROKEN_OFF = "the run was broken off"

    @property
    def is_gap(self) -> bool:
        """Say whether there was something to review, so that the review is partial."""
        return self not in _NOTHING_TO_REVIEW


_REASON_OF_CLASS = {file_class: Reason(file_class.value) for file_class in NOT_REVIEWABLE}
_NOTHING_TO_REVIEW = {Reason.IGNORED, Reason.NO_LINES, *_REASON_OF_CLASS.values()}


@dataclass(frozen=True, slots=True)
class Asked:
    """Will be shown, every line once, in these chunks (several where a hunk had to be split)."""

    chunks: tuple[int, ...]

    def __str__(self) -> str:
        return f"planned {_numbers(self.chunks)}"


@dataclass(frozen=True, slots=True)
class Shown:
    """Was shown in these chunks, and the model answered for all of them."""

    chunks: tuple[int, ...]

    def __str__(self) -> str:
        return f"shown {_numbers(self.chunks)}"


@dataclass(frozen=True, slots=True)
class Covered:
    """Was shown in an earlier run, with the same prompts and configuration."""

    def __str__(self) -> str:
        return "covered"


@dataclass(frozen=True, slots=True)
class NotConcerned:
    """The area has nothing to look for in such a file."""

    def __str__(self) -> str:
        return "not concerned"


@dataclass(frozen=True, slots=True)
class Withheld:
    """Never leaves the machine, because its path matches this pattern."""

    pattern: str

    def __str__(self) -> str:
        return f"withheld: matches {self.pattern}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"left out: {self.reason}" + (f" ({self.detail})" if self.detail else "")


Planned = Asked | Covered | NotConcerned | Withheld | LeftOut
Settled = Shown | Covered | NotConcerned | Withheld | LeftOut


_State = TypeVar("_State")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[_State]):
    """A hunk (or a file without hunks: `hunk` and `hunk_key` are empty) and what is planned for it,
    or what has become of that.

    `hunk` is the `@@` line, fit to be published (the path is as it is in the diff).
    `areas` has all configured areas, and those asked for. `n_cut_lines` of the changed lines are
    so long that only their beginning is shown.
    """

    path: str
    hunk: str
    hunk_key: str
    n_changed_lines: int
    areas: Mapping[Area, _State]
    n_cut_lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a review will show. `shown` is every line of every chunk, as the model sees it.

    `hunks` are those that have a place in chunks.
    """

    chunks: tuple[Chunk, ...]
    rows: tuple[Row[Planned], ...]
    shown: Mapping[Place, str]
    rules_hash: str
    budget_tokens: int
    hunks: tuple[HunkToShow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a review has shown."""

    rows: tuple[Row[Settled], ...]

    @property
    def gaps(self) -> tuple[Reason, ...]:
        """Why anything that could be reviewed was not, each reason once."""
        found = {
            state.reason
            for row in self.rows
            for state in row.areas.values()
            if isinstance(state, LeftOut)
        }
        return tuple(reason for reason in Reason if reason in found and reason.is_gap)

    @property
    def n_reviewed(self) -> int:
        """Count the hunks that this run or an earlier one has shown for at least one area."""
        return sum(
            any(isinstance(state, Shown | Covered) for state in row.areas.values())
            for row in self.rows
        )

    def keys_covered_by(self, rules_hash: str) -> frozenset[str]:
        """Name what need not be shown again by these rules, which are no stricter than ours.

        Of equal hunks, all must have been shown.
        """
        shown: set[str] = set()
        not_shown: set[str] = set()
        for row in self.rows:
            for area, state in row.areas.items():
                key = coverage_key(row.hunk_key, area, rules_hash)
                if isinstance(state, Shown):
                    shown.add(key)
                elif isinstance(state, LeftOut):
                    not_shown.add(key)
        return frozenset(shown - not_shown)


ANY_RULES = ""
"""In the place of rules: a key that says that a hunk was shown, by whatever rules."""


def coverage_key(hunk_key: str, area: Area, rules_hash: str) -> str:
    """Name a hunk, area and rules (the hash of prompts and configuration) for the memory."""
    text = "\0".join((hunk_key, area.value, rules_hash))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def plan_review(
    diff: Diff,
    request: Request,
    config: Config,
    *,
    covered: frozenset[str] = frozenset(),
    budget_tokens: int,
    max_chunks: int,
    attributes: str = "",
    rules_hash: str = "",
) -> Plan:
    """Plan what is not covered yet, as chunks, and account for every hunk and area.

    `covered` holds coverage keys; `attributes` is the root `.gitattributes` of the base.
    """
    asked = config.focus if request.areas is None else request.areas
    never_send = _patterns_of(config)
    scope = _Scope(
        areas=tuple(dict.fromkeys((*config.focus, *asked))),
        asked=frozenset(asked),
        is_full=request.full,
        covered=covered,
        rules_hash=rules_hash,
        attributes=parse_attributes(attributes),
        ignore=compile_globs(config.ignore),
        never_send=never_send,
        withheld=compile_globs(never_send),
    )
    drafts = [draft for file in diff.files for draft in _drafts(file, scope)]
    hunks = tuple(
        HunkToShow(
            row=number,
            file=draft.file,
            file_class=draft.file_class,
            hunk=draft.hunk,
            areas=draft.asked,
        )
        for number, draft in enumerate(drafts)
        if draft.hunk is not None and draft.asked
    )
    chunks = make_chunks(hunks, budget_tokens=budget_tokens, max_chunks=max_chunks)
    damaged = tuple(_damaged_row(damage, scope) for damage in diff.damaged)
    return Plan(
        chunks=chunks.chunks,
        rows=(*(_row(n, draft, chunks) for n, draft in enumerate(drafts)), *damaged),
        shown={place: text for chunk in chunks.chunks for place, text in chunk.shown.items()},
        rules_hash=rules_hash,
        budget_tokens=budget_tokens,
        hunks=hunks,
    )


def split_chunks(plan: Plan, numbers: Collection[int], *, max_chunks: int) -> Plan:
    """Show what these chunks were to show in new ones, at the end: one area each, and of those
    that had one area already at most half the lines.

    At most `max_chunks` new ones; what finds no room stays with its old chunk.
    """
    failed = [chunk for chunk in plan.chunks if chunk.number in numbers]
    has_one_area = all(len(chunk.areas) == 1 for chunk in failed)
    largest = max((chunk.tokens for chunk in failed), default=0)
    budget = largest // 2 if has_one_area else plan.budget_tokens
    first = max((chunk.number for chunk in plan.chunks), default=0) + 1
    for area in dict.fromkeys(area for chunk in failed for area in chunk.areas):
        hunks = tuple(
            replace(hunk, areas=(area,))
            for hunk in plan.hunks
            if _is_in(plan.rows[hunk.row], area, numbers)
        )
        new = make_chunks(hunks, budget_tokens=budget, max_chunks=max_chunks, first=first)
        shown = {place: text for chunk in new.chunks for place, text in chunk.shown.items()}
        rows = tuple(_moved(number, row, new) for number, row in enumerate(plan.rows))
        plan = replace(
            plan, chunks=plan.chunks + new.chunks, rows=rows, shown={**plan.shown, **shown}
        )
        first, max_chunks = first + len(new.chunks), max_chunks - len(new.chunks)
    return plan


def _is_in(row: Row[Planned], area: Area, numbers: Collection[int]) -> bool:
    state = row.areas.get(area)
    return isinstance(state, Asked) and not set(numbers).isdisjoint(state.chunks)


def _moved(number: int, row: Row[Planned], new: Chunks) -> Row[Planned]:
    def place(area: Area, state: Planned) -> Planned:
        placed = new.placed.get((number, area))
        return Asked(placed) if placed else state

    return replace(row, areas={area: place(area, state) for area, state in row.areas.items()})


NO_DETAILS: Mapping[int, str] = {}


def settle(
    plan: Plan, outcomes: Mapping[int, Reason | None], details: Mapping[int, str] = NO_DETAILS
) -> Coverage:
    """Say what was shown after all. `outcomes`: chunk number → None where the model answered.

    A chunk without an outcome was never asked. A split hunk counts when all its parts do.
    `details` tell more of some outcomes, for people.
    """
    return Coverage(
        rows=tuple(
            Row(
                path=row.path,
                hunk=row.hunk,
                hunk_key=row.hunk_key,
                n_changed_lines=row.n_changed_lines,
                areas={a: _settled(state, outcomes, details) for a, state in row.areas.items()},
                n_cut_lines=row.n_cut_lines,
            )
            for row in plan.rows
        )
    )


def _settled(
    state: Planned, outcomes: Mapping[int, Reason | None], details: Mapping[int, str]
) -> Settled:
    if not isinstance(state, Asked):
        return state
    for number in state.chunks:
        reason = outcomes.get(number, Reason.BROKEN_OFF)
        if reason is not None:
            return LeftOut(reason, details.get(number, ""))
    return Shown(state.chunks)


def _numbers(chunks: tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in chunks)


# ---- what is shown for which area ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """What decides about every file alike."""

    areas: tuple[Area, ...]
    asked: frozenset[Area]
    is_full: bool
    covered: frozenset[str]
    rules_hash: str
    attributes: Attributes
    ignore: Globs
    never_send: tuple[str, ...]
    withheld: Globs


@dataclass(frozen=True, slots=True, kw_only=True)
class _RowDraft:
    """A row before it is known which chunks have room; None for areas that still want one."""

    file: FileDiff
    file_class: FileClass
    hunk: Hunk | None
    hunk_key: str
    areas: Mapping[Area, Planned | None]

    @property
    def asked(self) -> tuple[Area, ...]:
        return tuple(area for area, state in self.areas.items() if state is None)


def _drafts(file: FileDiff, scope: _Scope) -> list[_RowDraft]:
    file_class = classify(file, scope.attributes)
    whole = _whole_file(file, file_class, scope)
    hunks = file.hunks or (None,)
    return [_draft(file, file_class, hunk, whole, scope) for hunk in hunks]


def _whole_file(file: FileDiff, file_class: FileClass, scope: _Scope) -> Planned | None:
    """Decide what is true of a file for all areas, if anything is."""
    names = [name.lower() for name in (file.old_path, file.new_path) if name is not None]
    if any(scope.withheld.matches(name) for name in names):
        return Withheld(_first_match(scope.never_send, names))
    if scope.ignore.matches(file.path):
        return LeftOut(Reason.IGNORED)
    reason = _REASON_OF_CLASS.get(file_class)
    return LeftOut(reason) if reason else None


def withheld_by(config: Config, *paths: str | None) -> str | None:
    """Return the pattern for which a file, by its old or new name, never leaves the machine."""
    patterns = _patterns_of(config)
    names = [path.lower() for path in paths if path is not None]
    is_withheld = any(map(compile_globs(patterns).matches, names))
    return _first_match(patterns, names) if is_withheld else None


def _patterns_of(config: Config) -> tuple[str, ...]:
    return tuple(pattern.lower() for pattern in (*NEVER_SEND, *config.never_send))


def _first_match(patterns: tuple[str, ...], names: list[str]) -> str:
    return next(p for p in patterns if any(compile_globs((p,)).matches(name) for name in names))


def _draft(
    file: FileDiff,
    file_class: FileClass,
    hunk: Hunk | None,
    whole: Planned | None,
    scope: _Scope,
) -> _RowDraft:
    if whole is None and file.unread:
        whole = LeftOut(Reason.TOO_LARGE, file.unread)
    if whole is None and (hunk is None or not hunk.changed_lines):
        whole = LeftOut(Reason.NO_LINES)
    key = hunk_key(file, hunk) if hunk else ""
    return _RowDraft(
        file=file,
        file_class=file_class,
        hunk=hunk,
        hunk_key=key,
        areas={
            area: whole or _state(area, file.path, file_class, key, scope) for area in scope.areas
        },
    )


def _state(area: Area, path: str, file_class: FileClass, key: str, scope: _Scope) -> Planned | None:
    """Decide about one hunk and area; None when it has to be shown."""
    if not concerns(area, file_class, path):
        return NotConcerned()
    is_asked = area in scope.asked
    is_covered = coverage_key(key, area, scope.rules_hash) in scope.covered
    if is_covered and not (is_asked and scope.is_full):
        return Covered()
    return None if is_asked else LeftOut(Reason.NOT_ASKED)


def _row(number: int, draft: _RowDraft, chunks: Chunks) -> Row[Planned]:
    def planned(area: Area) -> Planned:
        placed = chunks.placed.get((number, area))
        return Asked(placed) if placed else LeftOut(Reason.OVER_LIMIT)

    return Row(
        path=draft.file.path,
        hunk=visible(mask(draft.hunk.header)) if draft.hunk else "",
        hunk_key=draft.hunk_key,
        n_changed_lines=len(draft.hunk.changed_lines) if draft.hunk else 0,
        areas={area: state or planned(area) for area, state in draft.areas.items()},
        n_cut_lines=chunks.n_cut_lines.get(number, 0),
    )


def _damaged_row(damage: Damaged, scope: _Scope) -> Row[Planned]:
    state = LeftOut(Reason.DAMAGED, damage.reason)
    return Row(
        path=damage.path or "(a file without a name)",
        hunk="",
        hunk_key="",
        n_changed_lines=0,
        areas=dict.fromkeys(scope.areas, state),
    )
