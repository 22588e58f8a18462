"""Runs a program over changed files, and keeps what it says of added lines and did not say before.

Knows how its trouble with one file is kept from the others. What is special to a program (flags,
names, its JSON, the meaning of its rules) stands in a `Tool`, one file each.
"""

import asyncio
import re
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import yaml

from app.analysers.added import added_lines, at_line, before, fold, is_test, quote
from app.analysers.scripts import may_be_script, with_suffix
from app.analysers.standing import Spoken, find_old
from app.ports import Child, Found
from app.review.classes import classify, is_reviewable
from app.review.diff import FileDiff
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.masking import hides_something, mask
from app.review.priority import Priority
from app.review.pull import Change
from app.review.text import cut

MEANINGS = Path(__file__).parent / "meanings"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The quicker of the two, where it was built."""
FILES = "{files}"
"""Stands in an argument for the folder where a child puts the files."""
MAX_BYTES = 1_000_000
MAX_ALL_BYTES = 20_000_000
MAX_FILES = 1_000
MAX_LINE = 2_000
"""Characters; of longer lines, which most often are generated, only what is urgent is told."""
QUOTED = 200
"""Characters of a longer line that are quoted: its beginning is shown."""
MAX_WEIGHED = 50
"""Of what is said of a change, so much is looked at for whether it is likely harmless."""
MAX_MODULE = 200_000
"""Characters of a file that are searched for what a name stands for."""
PARTS = 8
AT_ONCE = 2
"""Parts that are looked at side by side: so many cores a small server has."""

_MAX_TITLE = 120
_COLUMNS = ("area", "priority", "confidence", "title", "body", "trigger")
_CUT_WORD = re.compile(r"\w+$")
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

    `end` is the last line of what it speaks of, where that is another. `is_error`: the program
    itself calls it more than a warning. `is_trouble`: it is no rule's word, the program could not
    read the file.
    """

    file: str
    line: int
    code: str
    message: str
    end: int = 0
    edit: Edit | None = None
    is_error: bool = False
    is_trouble: bool = False


Judged = tuple[Said, Rule]
"""What is said of a line, and what we make of it."""


def _as_it_is(said: list[Said]) -> Iterable[Said]:
    return said


def _as_written(text: bytes) -> bytes:
    return text


def _never(said: Said, code: str, module: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What is special to one program.

    `arguments` come before the files; `beside` are files of ours that they name. `rename` gives a
    file, by its path, the end of a name that tells the program its kind. `read` takes the output
    apart, or raises msgspec.DecodeError. `sift` leaves out of one file's what only follows from
    something else. `judge` makes a rule of what is said, or None of noise. `unmute` spoils, in as
    many characters, comments that would silence the program. `is_mild` is asked of the rules in
    `weighed`, with the lines of code that are spoken of and the file that they stand in: whether
    it is likely harmless, and so a nit.
    """

    name: str
    arguments: tuple[str, ...]
    wants: Callable[[str], bool]
    rename: Callable[[str], str]
    read: Callable[[bytes], list[Said]]
    judge: Callable[[Said, bool], Rule | None]
    sift: Callable[[list[Said]], Iterable[Said]] = _as_it_is
    unmute: Callable[[bytes], bytes] = _as_written
    weighed: frozenset[str] = frozenset()
    is_mild: Callable[[Said, str, str], bool] = _never
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
        """Say whether the program may know such a file."""
        return self._tool.wants(path) or may_be_script(path)

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Run the program over the changed files, and over what those were of which it says
        something; keep what it says of added lines and did not say of those in their place."""
        wanted = [
            f
            for f in change.diff.files
            if f.path in files and self._tool.wants(with_suffix(f.path, files[f.path]))
        ]
        admitted, refused = await asyncio.to_thread(_admit, wanted, files)
        names = {
            f"{number:04}/{self._tool.rename(with_suffix(path, files[path]))}": path
            for number, path in enumerate(admitted, 1)
        }
        named = {name: admitted[path] for name, path in names.items()}
        texts = {name: self._tool.unmute(files[path]) for name, path in names.items()}
        all_s = self._patience.all_s
        run = _Run(_now() + all_s)
        said, failed = await self._examine(texts, run, all_s)
        failed |= {
            name: f"{self.name} could not read it"
            for one in said
            if one.is_trouble and (name := _name_of(one)) in names
        }
        now = await asyncio.to_thread(self._judged, named, said, texts, added_lines)
        bases = await asyncio.to_thread(self._bases, {name: named[name] for name in now}, files)
        said, _ = await self._examine(bases, run, all_s)
        was = await asyncio.to_thread(self._judged, named, said, bases, _removed_lines)
        candidates = await asyncio.to_thread(
            lambda: fold(
                c for name in now for c in self._new(named[name], now[name], was.get(name, []))
            )
        )
        refused |= {names[name]: reason for name, reason in failed.items()}
        return Found(finder=self.name, candidates=candidates, not_analysed=refused or None)

    def _judged(
        self,
        named: Mapping[str, FileDiff],
        said: list[Said],
        texts: Mapping[str, bytes],
        lines_of: Callable[[FileDiff], Mapping[int, str]],
    ) -> dict[str, list[Judged]]:
        """Judge what is said of these lines; files of which nothing is said are left out."""
        by_name: defaultdict[str, list[Said]] = defaultdict(list)
        for one in said:
            by_name[_name_of(one)].append(one)
        weighings = iter(range(MAX_WEIGHED))
        judged: dict[str, list[Judged]] = {}
        for name, text in texts.items():
            file, of_file = named[name], by_name[name]
            lines = lines_of(file) if of_file else {}
            if pairs := list(self._judged_file(file, of_file, text, lines, weighings)):
                judged[name] = pairs
        return judged

    def _judged_file(
        self,
        file: FileDiff,
        said: list[Said],
        text: bytes,
        lines: Mapping[int, str],
        weighings: Iterator[int],
    ) -> Iterator[Judged]:
        in_test = is_test(file)
        module = text.decode("utf-8", "surrogateescape")
        for one in self._tool.sift(said):
            line = lines.get(one.line)
            rule = None if line is None or one.is_trouble else self._tool.judge(one, in_test)
            if line is None or rule is None:
                continue
            if len(line) > MAX_LINE and not rule.priority.at_or_above(Priority.P1):
                continue
            if one.code in self._tool.weighed and next(weighings, None) is not None:
                code = _lines(module, one.line, one.end)
                if self._tool.is_mild(one, code, module[:MAX_MODULE]):
                    rule = replace(rule, priority=Priority.P3)
            yield one, rule

    def _new(self, file: FileDiff, now: list[Judged], was: list[Judged]) -> Iterator[Candidate]:
        old = find_old(file, [_spoken(pair) for pair in now], [_spoken(pair) for pair in was])
        in_test = is_test(file)
        added = added_lines(file)
        for number, (one, rule) in enumerate(now):
            if number not in old:
                line = added[one.line]
                yield _candidate(self.name, file.path, one, line, rule, in_test=in_test)

    def _bases(self, named: Mapping[str, FileDiff], files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return what the files were before, of those that had lines taken out."""
        bases: dict[str, bytes] = {}
        left = MAX_ALL_BYTES
        for name, file in named.items():
            if not file.n_deleted:
                continue
            old = before(file, files[file.path].decode("utf-8", "surrogateescape"))
            base = (old or "").encode("utf-8", "surrogateescape")
            if 0 < len(base) <= min(MAX_BYTES, left) and not _LONE_CR.search(base):
                bases[name] = self._tool.unmute(base)
                left -= len(base)
        return bases

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


class _Run:
    """One change's time, and how many of its parts may be looked at just now."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.slots = asyncio.Semaphore(AT_ONCE)


def _now() -> float:
    return asyncio.get_running_loop().time()


def load_meanings(program: str) -> Mapping[str, Rule]:
    """Read what we make of a program's rules, by their codes; `ANY` is for those not named."""
    text = (MEANINGS / f"{program}.yml").read_text("utf-8")
    table = yaml.load(text, Loader=LOADER)  # noqa: S506 - both loaders are safe ones
    return {
        code: msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), type=Rule)
        for codes, row in table.items()
        for code in codes.split()
    }


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


def _name_of(said: Said) -> str:
    return "/".join(said.file.split("/")[-2:])


def _removed_lines(file: FileDiff) -> dict[int, str]:
    return {
        line.old: line.text
        for line in file.changed_lines
        if line.kind == "-" and line.old is not None
    }


def _lines(text: str, first: int, last: int) -> str:
    return "\n".join(text.split("\n")[first - 1 : max(first, last)])


def _spoken(judged: Judged) -> Spoken:
    said, rule = judged
    return said.line, (said.code, said.message, rule.priority)


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
        evidence=quote(line if len(line) <= MAX_LINE else _CUT_WORD.sub("", line[:QUOTED])),
        location=at_line(path, said.line),
        source=source,
        rule=said.code,
        suggestion=_edited(line, said.edit),
    )


def _edited(line: str, edit: Edit | None) -> str | None:
    """Apply a fix; a line that is not shown as it is gets none, because nor would the fix be."""
    if edit is None or len(line) > MAX_LINE or hides_something(line):
        return None
    return line[: edit.start - 1] + edit.text + line[edit.end - 1 :]
