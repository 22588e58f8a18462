"""ruff on the changed Python files: pyflakes, bugbear, bandit and the like, with our flags only.

Nothing of the pull request configures it: no configuration is read, no `noqa` is honoured, files
have names of ours. Knows ruff's JSON; `ruff_rules.py` says what a rule means.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec
from ruff import find_ruff_bin  # type: ignore[import-untyped] # it ships no py.typed

from app.analysers.added import added_lines, at_line, fold, is_test, quote
from app.analysers.ruff_rules import SYNTAX, Rule, rule_for
from app.ports import Child, Found
from app.review.classes import classify, is_reviewable
from app.review.diff import FileDiff
from app.review.findings import Candidate
from app.review.masking import mask
from app.review.priority import Priority
from app.review.pull import Change
from app.review.text import cut

FLAGS = (
    "check",
    "--isolated",
    "--no-cache",
    "--ignore-noqa",
    "--no-fix",
    "--exit-zero",
    "--output-format=json",
    "--target-version=py310",
    "--select=F,E9,PLE,B,S,PERF,ASYNC,C4,RUF006",
    "--ignore=F401,S101,S603,S607,S311,S404,B904,B028,B011,PERF203",
)
MAX_BYTES = 1_000_000
MAX_ALL_BYTES = 20_000_000
MAX_FILES = 1_000
MAX_LINE = 2_000
"""Characters; longer lines are generated or minified."""

_MAX_TITLE = 120
_RULE = re.compile(r"[A-Z]+\d+")
_UNREADABLE = "E902"
_LONE_CR = re.compile(rb"\r(?!\n)")
# What is only too new for the oldest Python that we check for is no mistake.
_TOO_NEW = re.compile(r"\(syntax was added in Python 3\.\d+\)|requires-python")
# Of bandit's rules, these (TLS, shells, SQL) are as wrong in a test.
_UNSAFE_IN_TESTS = re.compile(r"S[56]")


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    row: int


class _Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of one of ruff's diagnostics. `code` is null for syntax errors of old ruffs."""

    code: str | None
    message: str
    filename: str
    location: _Place


class Ruff:
    """A Finder for Python. `binary` is None where ruff is not installed."""

    name = "ruff"

    def __init__(self, child: Child, binary: str | None) -> None:
        self._child = child
        self._binary = binary

    def wants(self, path: str) -> bool:
        """Say yes to Python and to its stubs."""
        return path.endswith((".py", ".pyi"))

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Run ruff once over the changed files; keep what it says of added lines."""
        changed = {
            file.path: file
            for file in change.diff.files
            if file.path in files and self.wants(file.path) and is_reviewable(classify(file))
        }
        admitted, refused = _admit({path: files[path] for path in changed})
        if not admitted:
            return Found(finder=self.name, not_analysed=refused or None)
        names = {_safe_name(n, path): path for n, path in enumerate(admitted, 1)}
        said = await self._ask({name: admitted[path] for name, path in names.items()})
        if isinstance(said, str):
            refused |= dict.fromkeys(admitted, said)
            return Found(finder=self.name, not_analysed=refused)
        by_name: defaultdict[str, list[_Diagnostic]] = defaultdict(list)
        for one in said:
            by_name["/".join(one.filename.split("/")[-2:])].append(one)
        candidates: list[Candidate] = []
        for name, path in names.items():
            if any(_is_failure(one) for one in by_name[name]):
                refused[path] = "ruff could not read it"
            candidates += _candidates(changed[path], by_name[name])
        return Found(finder=self.name, candidates=fold(candidates), not_analysed=refused or None)

    async def _ask(self, files: Mapping[str, bytes]) -> list[_Diagnostic] | str:
        """Return what ruff says, or why it says nothing."""
        if self._binary is None:
            return "ruff is not installed"
        places = (f"{{files}}/{name}" for name in files)
        ended = await self._child.run((self._binary, *FLAGS, "--", *places), files)
        if ended.problem is not None:
            return f"ruff {ended.problem}"
        try:
            return msgspec.json.decode(ended.stdout, type=list[_Diagnostic])
        except msgspec.DecodeError:
            return "ruff gave no answer that can be read"


def find_binary() -> str | None:
    """Return the path of the ruff that is installed with us; None if it is not."""
    try:
        return str(find_ruff_bin())
    except FileNotFoundError:
        return None


def _admit(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Split files into those to look at and those not, with the reason."""
    admitted: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    left = MAX_ALL_BYTES
    for path, content in files.items():
        if len(content) > MAX_BYTES:
            refused[path] = f"it is larger than {MAX_BYTES:,} bytes"
        elif _LONE_CR.search(content):  # ruff counts it as the end of a line, a diff does not
            refused[path] = "it has carriage returns within lines"
        elif len(admitted) == MAX_FILES or len(content) > left:
            refused[path] = "the change is too large"
        else:
            admitted[path] = content
            left -= len(content)
    return admitted, refused


def _safe_name(number: int, path: str) -> str:
    """Name a file anew, keeping what ruff judges by: a stub, a package's `__init__`."""
    stem = "__init__" if path.rpartition("/")[2].startswith("__init__.py") else "module"
    suffix = ".pyi" if path.endswith(".pyi") else ".py"
    return f"{number:04}/{stem}{suffix}"


def _candidates(file: FileDiff, diagnostics: list[_Diagnostic]) -> Iterator[Candidate]:
    in_test = is_test(file)
    added = added_lines(file)
    for one in _without_echoes(diagnostics):
        line = added.get(one.location.row)
        code = one.code or SYNTAX
        if line is None or len(line) > MAX_LINE or _is_failure(one):
            continue
        if in_test and code.startswith("S") and not _UNSAFE_IN_TESTS.match(code):
            continue
        yield _candidate(file.path, one, line, rule_for(code, one.message), in_test=in_test)


def _is_failure(one: _Diagnostic) -> bool:
    """Say whether this is no rule's word but ruff's own trouble with a file."""
    if one.code is None or one.code == SYNTAX:
        return False
    return one.code == _UNREADABLE or _RULE.fullmatch(one.code) is None


def _without_echoes(diagnostics: list[_Diagnostic]) -> Iterator[_Diagnostic]:
    """Leave out what is only too new, and all syntax errors but the first: they follow from it.

    If that one stands on an old line, the file never was Python of this time, and none is told.
    """
    seen_broken = False
    for one in sorted(diagnostics, key=lambda one: one.location.row):
        if _TOO_NEW.search(one.message):
            continue
        if one.code in (None, SYNTAX):
            if seen_broken:
                continue
            seen_broken = True
        yield one


def _candidate(path: str, one: _Diagnostic, line: str, rule: Rule, *, in_test: bool) -> Candidate:
    code = one.code or SYNTAX
    message = cut(mask(one.message), _MAX_TITLE, "…")
    if code == SYNTAX:
        message = f"Syntax error: {message}"
    priority = rule.priority
    if in_test and priority.at_or_above(Priority.P1):
        priority = Priority.P2  # it fails where the author sees it
    return Candidate(
        area=rule.area,
        priority=priority,
        confidence=rule.confidence,
        title=rule.title or message,
        body=rule.body,
        trigger=rule.trigger,
        evidence=quote(line),
        location=at_line(path, one.location.row),
        source=Ruff.name,
        rule=code,
    )
