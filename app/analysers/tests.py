"""What a change takes from tests: some are skipped, the others are, or they check less.

Knows how the test frameworks of a dozen languages say so in one line.
"""

import re
from collections.abc import Iterator
from itertools import islice
from posixpath import splitext
from typing import NamedTuple

from app.analysers.added import InDiff, is_test, quote, words
from app.review.diff import FileDiff, Hunk, Line, Side, Status
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from app.review.pull import Change

NAME = "tests"
MAX_LINE = 1_000
"""Characters that are searched; longer lines are no test's."""
MAX_CALLS = 100
"""Added calls of a hunk that are looked at."""

_JAVASCRIPT = words(".cjs .cts .js .jsx .mjs .mts .ts .tsx .vue")
_CODE = _JAVASCRIPT | words(
    ".c .cc .cpp .cs .dart .ex .exs .go .groovy .java .kt .php .py .rb .rs .scala .swift"
)


class _Pattern(NamedTuple):
    """A line in files with these suffixes."""

    suffixes: frozenset[str]
    regex: re.Pattern[str]


def _pattern(suffixes: frozenset[str], regex: str) -> _Pattern:
    return _Pattern(suffixes, re.compile(regex))


_RUBY_TEST = r"\s*(?:RSpec\.)?(?:it|describe|context|specify|feature|scenario)\b.{1,300}?,\s*"
_FOCUSED = (
    _pattern(_JAVASCRIPT, r"\s*(?:describe|it|test|context|suite|specify)\.only\s*[(.`]"),
    _pattern(_JAVASCRIPT, r"\s*(?:fdescribe|fit|fcontext)\s*\(\s*[\"'`]"),
    _pattern(words(".rb"), r"\s*(?:fdescribe|fit|fcontext|fspecify)\b[ (]*[\"']"),
    _pattern(words(".rb"), _RUBY_TEST + r"(?::focus\b|focus: true)"),
    _pattern(words(".go"), r"\s*(?:FDescribe|FIt|FContext|FWhen)\(\s*\""),
)
_SKIPPED = (
    _pattern(
        words(".py"),
        r"\s*@(?:pytest\.mark\.(?:skip\b(?!if)|skipif\(True\b"
        r"|xfail(?:\((?:reason=(?!.*strict=True).*)?\))?\s*$)"
        r"|(?:unittest\.)?(?:skip\(|skipIf\(True\b|expectedFailure\b))"
        r"|pytest\.skip\(.*allow_module_level=True",
    ),
    _pattern(
        _JAVASCRIPT,
        r"\s*(?:(?:describe|it|test|context|suite)\.(?:skip|failing|fixme)|xdescribe|xit|xtest|xcontext)"
        r"(?:\.each\s*\(.*\))?\s*\(\s*[\"'`]",
    ),
    _pattern(words(".go"), r"\t[tb]\.(?:Skip|Skipf|SkipNow)\("),
    _pattern(words(".java .kt .groovy .scala"), r"\s*@(?:Disabled|Ignore)\b(?!If|d)"),
    _pattern(words(".rs"), r"\s*#\[ignore\b"),
    _pattern(words(".cs"), r"\s*\[(?:Ignore\b|(?:Fact|Theory)\(Skip\s*=)"),
    _pattern(words(".rb"), r"\s*(?:xdescribe|xit|xcontext|xspecify)\b[ (]*[\"']"),
    _pattern(words(".rb"), _RUBY_TEST + r"(?::skip\b|skip:|:pending\b|pending:)"),
    _pattern(words(".exs"), r"\s*@tag :skip\b"),
)
_SKIPPED_WITHIN = (
    _pattern(
        words(".py"),
        r"\s*(?:pytest\.(?:skip|xfail)\(|self\.skipTest\(|raise (?:unittest\.)?SkipTest\b)",
    ),
    _pattern(_JAVASCRIPT, r"\s*this\.skip\(\)"),
    _pattern(words(".rb"), r"\s*(?:skip|pending)\s*(?:$|[(\"'](?!.*\b(?:if|unless)\b))"),
    _pattern(words(".php"), r"\s*(?:\$this->|self::|static::)markTest(?:Skipped|Incomplete)\("),
)
"""Skips the test that it is a statement of; deeper within, it depends on something."""
_MAX_ABOVE = 30
"""Lines above such a statement in which its test is looked for."""
_ASSERTION = re.compile(
    r"\bassert|\bexpect|\bshould\b|\.should|\brequire\.|\bverify|\bcheck|\bensure|\bfail\b|\braises\b"
    r"|\b(?:EXPECT|ASSERT|REQUIRE|CHECK)_?|\bt\.(?:Error|Fatal)|\bmust|\bXCT|\bpanic|\bok\(|\bis\("
    r"|\bequal|\bmatch",
    re.IGNORECASE,
)
_CERTAIN_ASSERTION = re.compile(
    r"\s*(?:await\s+)?(?:assert\b|assert[A-Z_]\w*[!(.]|self\.assert\w+\(|Assert\.\w+\(|expect\s*\("
    r"|require\.\w+\(t\b|assert\.\w+\(|(?:EXPECT|ASSERT)_\w+\(|assert_\w+[ (]"
    r"|(?:\$this->|self::|static::)assert\w+\(|t\.(?:Error|Fatal)f?\((?!.*\berr\b))"
)
_CHECKS_NOTHING = re.compile(
    r"\s*(?:#|//|/\*|--|assert!?[ (]\s*(?:True|true|1)\s*(?:$|[#,)])"
    r"|assert\.(?:True|ok)\((?:t, )?true|expect\((?:true|false|null|\d{1,9})\)\.to"
    r"|(?:[\w$]+(?:\.|->|::))?assertTrue\([Tt]rue\)"
    r"|(?:[\w$]+(?:\.|->|::))?assert(?:Equals?|Same)\((\d+), \1\))"
)
_CALL = re.compile(
    r"\s*(?:await\s+)?(?!(?:print|echo|puts|log|console|fmt|dbg|System)\b)[\w.]+!?\("
)
_CHECKED = re.compile(r"\b(?!assert\b|expect\b)\w+\b(?!\s*[!(])")
"""What an assertion names beside the functions that it calls."""
_TEXT = re.compile(r"\"[^\"]*\"|'[^']*'")
_WORD = re.compile(r"\w+")
_BEGINS_TEST = re.compile(
    r"\s*(?:(?:async )?def test|class \w*Test|func Test"
    r"|(?:it|test|describe|context)\b[\w.]*\s*[(\"'`]"
    r"|@Test|#\[(?:\w+::)?test|fn test|\[(?:Fact|Test|Theory)|TEST\w*\(|(?:public )?function test)"
)
_HEADS = re.compile(r"\s*[@\[#]")
"""Begins a line that stands above a test and belongs to it."""


def _in_change(change: Change) -> Iterator[Candidate]:
    code = [file for file in change.diff.files if _suffix(file) in _CODE]
    moved: frozenset[str] | None = None
    for file in code:
        if file.status is Status.DELETED:
            continue
        found = list(_switched_off(file))
        weakened = [hunk for hunk in file.hunks if any(_lost(hunk, frozenset()))]
        if not (found or weakened) or not is_test(file):
            continue
        if weakened and moved is None:
            moved = frozenset(_added(code))
        yield from found
        for hunk in weakened:
            yield from _checks_less(file, hunk, moved or frozenset())


def _added(files: list[FileDiff]) -> Iterator[str]:
    for file in files:
        for line in file.changed_lines:
            if line.kind == "+" and len(line.text) <= MAX_LINE:
                yield line.text.strip()


def _suffix(file: FileDiff) -> str:
    return splitext(file.path)[1]


def _switched_off(file: FileDiff) -> Iterator[Candidate]:
    gone = {line.text.strip() for line in file.changed_lines if line.kind == "-"}
    focused, skipped, within = (
        [pattern.regex for pattern in patterns if _suffix(file) in pattern.suffixes]
        for patterns in (_FOCUSED, _SKIPPED, _SKIPPED_WITHIN)
    )
    for hunk in file.hunks:
        for at, line in enumerate(hunk.lines):
            if line.kind != "+" or len(line.text) > MAX_LINE or line.text.strip() in gone:
                continue
            if _is_one_of(focused, line):
                yield _focused(file, line)
            elif _is_one_of(skipped, line):
                yield _skipped(file, line, is_old=_is_on_old_test(hunk, at))
            elif _is_one_of(within, line) and (test := _test_around(hunk, at)):
                yield _skipped(file, line, is_old=test.kind == " ")


def _is_one_of(patterns: list[re.Pattern[str]], line: Line) -> bool:
    return any(pattern.match(line.text) for pattern in patterns)


def _is_on_old_test(hunk: Hunk, at: int) -> bool:
    """Whether the test that an added line switches off was there before."""
    if at and hunk.lines[at - 1].kind == "-":  # its first line was changed into this one
        return True
    below = (line for line in hunk.lines[at + 1 :] if line.kind != "-")
    return next((line.kind == " " for line in below if not _HEADS.match(line.text)), False)


def _test_around(hunk: Hunk, at: int) -> Line | None:
    """Return the first line of the test that a line is a statement of, if the hunk shows it."""
    depth = _depth(hunk.lines[at])
    for above in reversed(hunk.lines[max(0, at - _MAX_ABOVE) : at]):
        if above.kind != "-" and above.text.strip(" \t{") and _depth(above) < depth:
            return above if _BEGINS_TEST.match(above.text[:MAX_LINE]) else None
    return None


def _depth(line: Line) -> int:
    return len(line.text) - len(line.text.lstrip())


def _focused(file: FileDiff, line: Line) -> Candidate:
    return _candidate(
        file,
        line,
        rule="focused-test",
        priority=Priority.P2,
        confidence=0.95,
        title="Only this test runs",
        body="All the others beside it are left out, and nothing says so.",
        trigger="The tests run.",
    )


def _skipped(file: FileDiff, line: Line, *, is_old: bool) -> Candidate:
    return _candidate(
        file,
        line,
        rule="skipped-test",
        priority=Priority.P2 if is_old else Priority.P3,
        confidence=0.8,
        title="A test need not pass any more" if is_old else "A new test need not pass",
        body="What it checks can break without a test that fails.",
        trigger="The code that it covers changes.",
    )


def _checks_less(file: FileDiff, hunk: Hunk, moved: frozenset[str]) -> Iterator[Candidate]:
    """Tell of a hunk that takes assertions out of a test that stays, and puts none in."""
    for line in islice(_lost(hunk, moved), 1):
        yield _candidate(
            file,
            line,
            rule="assertion-removed",
            priority=Priority.P2,
            confidence=0.6,
            title="The test checks less than before",
            body="An assertion was taken out, and none was put in its place.",
            trigger="What it checked breaks.",
        )


def _lost(hunk: Hunk, moved: frozenset[str]) -> Iterator[Line]:
    gone = [line for line in hunk.lines if line.kind == "-"]
    lost = [line for line in gone if _CERTAIN_ASSERTION.match(line.text[:MAX_LINE])]
    if not lost or any(_BEGINS_TEST.match(line.text[:MAX_LINE]) for line in gone):
        return
    added = [line.text[:MAX_LINE] for line in hunk.lines if line.kind == "+"]
    if any(_ASSERTION.search(text) and not _CHECKS_NOTHING.match(text) for text in added):
        return
    called = islice((text for text in added if _CALL.match(text)), MAX_CALLS)
    calls = [frozenset(_WORD.findall(text)) for text in called]
    for line in lost:
        if line.text.strip() not in moved and not _is_handed_on(line, calls):
            yield line


def _is_handed_on(line: Line, calls: list[frozenset[str]]) -> bool:
    """Whether all that an assertion named went into one call: a function's of the tests' own."""
    named = set(_CHECKED.findall(_TEXT.sub("", line.text[:MAX_LINE])))
    return bool(named) and any(named <= call for call in calls)


def _candidate(
    file: FileDiff,
    line: Line,
    *,
    rule: str,
    priority: Priority,
    confidence: float,
    title: str,
    body: str,
    trigger: str,
) -> Candidate:
    side = Side.RIGHT if line.new is not None else Side.LEFT
    number = line.new or line.old or 0
    return Candidate(
        area=Area.TESTS,
        priority=priority,
        confidence=confidence,
        title=title,
        body=body,
        trigger=trigger,
        evidence=quote(line.text),
        location=Location(path=file.path, side=side, start_line=number, line=number),
        source=NAME,
        rule=rule,
    )


TESTS = InDiff(name=NAME, search=_in_change)
