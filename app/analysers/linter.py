"""Runs a program over changed files, and keeps what it says of added lines.

Knows how its trouble with one file is kept from the others. What is special to a program (flags,
names, its JSON, the meaning of its rules) stands in a `Tool`, one file each.
"""

import asyncio
import re
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from app.analysers.added import added_lines, at_line, fold, is_test, quote
from app.ports import Child, Found
from app.review.classes import classify, is_reviewable
from app.review.diff import FileDiff
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.masking import hides_something, mask
from app.review.priority import Priority
from app.review.pull import Change
from app.review.text import cut

FILES = "{files}"
"""Stands in an argument for the folder where a child puts the files."""
MAX_BYTES = 1_000_000
MAX_ALL_BYTES = 20_000_000
MAX_FILES = 1_000
MAX_LINE = 2_000
"""Characters; longer lines are generated or minified."""
PARTS = 8
AT_ONCE = 2
"""Parts that are looked at side by side: so many cores a small server has."""

_MAX_TITLE = 120
_LONE_CR = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a program may take for a change, however many of its files give it trouble, and for
    a part of the files, after it had trouble with all of them."""

    all_s: float = 20.0
    part_s: float = 3.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What we make of a program's rule. `title` is None where its own message is good."""

    area: Area
    priority: Priority
    confidence: float
    body: str
    trigger: str
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A safe fix within one line: what stands between two columns (1-based, characters)."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that a program says: of a line (1-based) of the file that we named `file`.

    `is_error`: the program itself calls it more than a warning. `is_trouble`: it is no rule's
    word, the program could not read the file.
    """

    file: str
    line: int
    code: str
    message: str
    edit: Edit | None = None
    is_error: bool = False
    is_trouble: bool = False


def _as_it_is(said: list[Said]) -> Iterable[Said]:
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What is special to one program.

    `arguments` come before the files; `beside` are files of ours that they name. `rename` gives a
    file, by its path, the end of a name that tells the program its kind. `read` takes the output
    apart, or raises msgspec.DecodeError. `sift` leaves out of one file's what only follows from
    something else. `judge` makes a rule of what is said, or None of noise.
    """

    name: str
    arguments: tuple[str, ...]
    wants: Callable[[str], bool]
    rename: Callable[[str], str]
    read: Callable[[bytes], list[Said]]
    judge: Callable[[Said, bool], Rule | None]
    sift: Callable[[list[Said]], Iterable[Said]] = _as_it_is
    beside: Mapping[str, bytes] = field(default_factory=dict)


class Linter:
    """A Finder that runs one program, found at `binary`."""

    def __init__(
        self, child: Child, tool: Tool, binary: str, patience: Patience = PATIENCE
    ) -> None:
        self._child = child
        self._tool = tool
        self._binary = binary
        self._patience = patience

    @property
    def name(self) -> str:
        return self._tool.name

    def wants(self, path: str) -> bool:
        """Say whether the program knows such files."""
        return self._tool.wants(path)

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Run the program over the changed files; keep what it says of added lines."""
        wanted = [f for f in change.diff.files if f.path in files and self.wants(f.path)]
        admitted, refused = await asyncio.to_thread(_admit, wanted, files)
        names = {
            f"{number:04}/{self._tool.rename(path)}": path
            for number, path in enumerate(admitted, 1)
        }
        all_s = self._patience.all_s
        said, failed = await self._examine(
            {name: files[path] for name, path in names.items()}, _Run(_now() + all_s), all_s
        )
        refused |= {names[name]: reason for name, reason in failed.items()}
        named = {name: admitted[path] for name, path in names.items()}
        return await asyncio.to_thread(self._found, named, said, refused)

    def _found(
        self, named: Mapping[str, FileDiff], said: list[Said], refused: dict[str, str]
    ) -> Found:
        by_name: defaultdict[str, list[Said]] = defaultdict(list)
        for one in said:
            by_name["/".join(one.file.split("/")[-2:])].append(one)
        candidates: list[Candidate] = []
        for name, file in named.items():
            if any(one.is_trouble for one in by_name[name]):
                refused[file.path] = f"{self.name} could not read it"
            candidates += self._candidates(file, by_name[name])
        return Found(finder=self.name, candidates=fold(candidates), not_analysed=refused or None)

    async def _examine(
        self, files: Mapping[str, bytes], run: "_Run", limit_s: float
    ) -> tuple[list[Said], dict[str, str]]:
        """Return what is said, and of which files nothing is, with the reason.

        Trouble with many files is followed into ever smaller parts, until one file has it alone.
        """
        if not files:
            return [], {}
        async with run.slots:
            answer = await self._ask(files, min(run.deadline, _now() + limit_s))
        if not isinstance(answer, str):
            return answer, {}
        if len(files) == 1 or _now() >= run.deadline:
            return [], dict.fromkeys(files, answer)
        part_s = self._patience.part_s
        parts = [self._examine(part, run, part_s) for part in _parts(files)]
        results = await asyncio.gather(*parts)
        return (
            [one for said, _ in results for one in said],
            {name: reason for _, failed in results for name, reason in failed.items()},
        )

    async def _ask(self, files: Mapping[str, bytes], deadline: float) -> list[Said] | str:
        """Return what the program says, or why it says nothing."""
        places = (f"{FILES}/{name}" for name in files)
        argv = (self._binary, *self._tool.arguments, *places)
        try:
            async with asyncio.timeout_at(deadline):
                ended = await self._child.run(argv, {**files, **self._tool.beside})
        except TimeoutError:
            return f"{self.name} took too long"
        if ended.problem is not None:
            return f"{self.name} {ended.problem}"
        try:
            return self._tool.read(ended.stdout)
        except msgspec.DecodeError:
            return f"{self.name} gave no answer that can be read"

    def _candidates(self, file: FileDiff, said: list[Said]) -> Iterator[Candidate]:
        in_test = is_test(file)
        added = added_lines(file)
        for one in self._tool.sift(said):
            line = added.get(one.line)
            if line is None or len(line) > MAX_LINE or one.is_trouble:
                continue
            rule = self._tool.judge(one, in_test)
            if rule is not None:
                yield _candidate(self.name, file.path, one, line, rule, in_test=in_test)


class _Run:
    """One change's time, and how many of its parts may be looked at just now."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.slots = asyncio.Semaphore(AT_ONCE)


def _now() -> float:
    return asyncio.get_running_loop().time()


def find_program(name: str) -> str | None:
    """Return the path of a program that was installed with us; None if it was not."""
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        place = Path(sysconfig.get_path("scripts", scheme), name)
        if place.exists():
            return str(place)
    return None


def _admit(
    wanted: Iterable[FileDiff], files: Mapping[str, bytes]
) -> tuple[dict[str, FileDiff], dict[str, str]]:
    """Split files into those to look at and those not, with the reason."""
    admitted: dict[str, FileDiff] = {}
    refused: dict[str, str] = {}
    left = MAX_ALL_BYTES
    for file in wanted:
        content = files[file.path]
        if len(admitted) == MAX_FILES:  # and no time is spent on what the others are
            refused[file.path] = "the change is too large"
        elif not is_reviewable(classify(file)):
            continue
        elif len(content) > MAX_BYTES:
            refused[file.path] = f"it is larger than {MAX_BYTES:,} bytes"
        elif len(content) > left:
            refused[file.path] = "the change is too large"
        elif _LONE_CR.search(content):  # linters count it as the end of a line, a diff does not
            refused[file.path] = "it has carriage returns within lines"
        else:
            admitted[file.path] = file
            left -= len(content)
    return admitted, refused


def _parts(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    names = list(files)
    size = -(-len(names) // PARTS)
    for start in range(0, len(names), size):
        yield {name: files[name] for name in names[start : start + size]}


def _candidate(
    source: str, path: str, said: Said, line: str, rule: Rule, *, in_test: bool
) -> Candidate:
    priority = rule.priority
    if in_test and priority.at_or_above(Priority.P1):
        priority = Priority.P2  # it fails where the author sees it
    return Candidate(
        area=rule.area,
        priority=priority,
        confidence=rule.confidence,
        title=rule.title or cut(mask(said.message), _MAX_TITLE, "…"),
        body=rule.body,
        trigger=rule.trigger,
        evidence=quote(line),
        location=at_line(path, said.line),
        source=source,
        rule=said.code,
        suggestion=_edited(line, said.edit),
    )


def _edited(line: str, edit: Edit | None) -> str | None:
    """Apply a fix; a line that is not shown as it is gets none, because nor would the fix be."""
    if edit is None or hides_something(line):
        return None
    return line[: edit.start - 1] + edit.text + line[edit.end - 1 :]
