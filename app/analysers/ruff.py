"""ruff on the changed Python files: pyflakes, bugbear, bandit and the like, with our flags only.

Nothing of the pull request configures it: no configuration is read, no `noqa` is honoured, files
have names of ours. Knows ruff's JSON; `meanings/ruff.yml` says what a rule means, so that new rules
of a new ruff cannot become loud by themselves.
"""

import re
from collections.abc import Iterator

import msgspec

from app.analysers.added import words
from app.analysers.filled import is_harmless
from app.analysers.linter import Edit, Rule, Said, Tool, load_meanings

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
    "--",
)

SYNTAX = "invalid-syntax"
_MEANINGS = load_meanings("ruff")
_HARMLESS_IF_CONSTANT = frozenset({"S602", "S605"})
# A loader of another name than PyYAML's is a variable, or a class that may well be safe.
_OWN_LOADER = re.compile(r"unsafe loader `(?!(?:Base|C|CUnsafe|Full|CFull|Unsafe)?Loader`)")
_LETTERS = re.compile(r"[A-Z]*")
_RULE = re.compile(r"[A-Z]+\d+")
_UNREADABLE = "E902"
# What is only too new for the oldest Python that we check for is no mistake.
_TOO_NEW = re.compile(r"\(syntax was added in Python 3\.\d+\)|requires-python")
# Code for both Pythons asks which one it runs on; ruff does not see that.
_PYTHON_2 = re.compile(
    r"Undefined name `(?:basestring|cmp|execfile|file|long|raw_input|reduce|reload|unichr|unicode"
    r"|xrange|WindowsError)`"
)
_PYTHON_2_SYNTAX = re.compile(
    r"\s*(?:print(?:[ \t]+[^\s(=.,:]|[ \t]*>>)|exec[ \t]+[^\s(=.,:]|raise[ \t]+[\w.]+,"
    r"|except[ \t]+[\w.()]+,[ \t]*\w+:)"
)
# What `gettext.install`, IPython and type checkers bring.
_BROUGHT = re.compile(r"Undefined name `(?:_|get_ipython|reveal_type)`")
_PROTECTS = re.compile(r"(?i)passw|pwd|secret|token|sign|hmac|auth|credential|session|csrf|verif")
# A file of the program's own, or a copy made by way of one.
_OWN_PICKLE = re.compile(r"__file__|\b[A-Z][A-Z0-9_]+[A-Z0-9]\.|pickle\.dumps\(")
_NAMED = re.compile(r"`(\w+)`")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff]")
_LINES_ABOVE = 4
"""A name there says what a hash is for."""
# Of bandit's rules, these (TLS, shells, SQL) are as wrong in a test.
_UNSAFE_IN_TESTS = re.compile(r"S[56]")


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    row: int
    column: int = 0


class _Edit(msgspec.Struct, frozen=True, kw_only=True):
    content: str
    location: _Place
    end_location: _Place


class _Fix(msgspec.Struct, frozen=True, kw_only=True):
    applicability: str
    edits: tuple[_Edit, ...]


class _Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of one of ruff's diagnostics. `code` is null for syntax errors of old ruffs."""

    code: str | None
    message: str
    filename: str
    location: _Place
    end_location: _Place | None = None
    fix: _Fix | None = None


def _wants(path: str) -> bool:
    return path.endswith((".py", ".pyi"))


def _rename(path: str) -> str:
    """Keep what ruff judges by: a stub, a package's `__init__`."""
    stem = "__init__" if path.rpartition("/")[2].startswith("__init__.py") else "module"
    return stem + (".pyi" if path.endswith(".pyi") else ".py")


def _read(stdout: bytes) -> list[Said]:
    return [_said(one) for one in msgspec.json.decode(stdout, type=list[_Diagnostic])]


def _said(one: _Diagnostic) -> Said:
    code = one.code or SYNTAX
    is_rule = code == SYNTAX or (code != _UNREADABLE and _RULE.fullmatch(code) is not None)
    return Said(
        file=one.filename,
        line=one.location.row,
        end=one.end_location.row if one.end_location else 0,
        code=code,
        message=f"Syntax error: {one.message}" if code == SYNTAX else one.message,
        edit=_edit(one),
        is_trouble=not is_rule,
    )


def _edit(one: _Diagnostic) -> Edit | None:
    """Return the fix, if ruff calls it safe and it stays within the line."""
    if one.fix is None or one.fix.applicability != "safe" or len(one.fix.edits) != 1:
        return None
    edit = one.fix.edits[0]
    if (edit.location.row, edit.end_location.row) != (one.location.row, one.location.row):
        return None
    return Edit(start=edit.location.column, end=edit.end_location.column, text=edit.content)


def _sift(said: list[Said]) -> Iterator[Said]:
    """Leave out what is only too new, and all syntax errors but the first: they follow from it.

    If that one stands on an old line, the file never was Python of this time, and none is told.
    """
    seen_broken = False
    for one in sorted(said, key=lambda one: one.line):
        if _TOO_NEW.search(one.message):
            continue
        if one.code == SYNTAX:
            if seen_broken:
                continue
            seen_broken = True
        yield one


def _judge(said: Said, in_test: bool) -> Rule | None:
    if in_test and said.code.startswith("S") and not _UNSAFE_IN_TESTS.match(said.code):
        return None
    if _BROUGHT.match(said.message) or _PYTHON_2.match(said.message):
        return None
    family = _MEANINGS.get(_LETTERS.findall(said.code)[0], _MEANINGS["ANY"])
    if said.code in _HARMLESS_IF_CONSTANT and "seems safe" in said.message:
        return family
    if said.code == "S506" and _OWN_LOADER.search(said.message):
        return family
    return _MEANINGS.get(said.code, family)


def _is_mild(said: Said, code: str, module: str) -> bool:
    match said.code:
        case "invalid-syntax":
            return _PYTHON_2_SYNTAX.match(code) is not None
        case "F821":  # a value of a `Literal` that is no type's of `typing`
            name = _NAMED.search(said.message)
            return name is not None and f'"{name[1]}"' in code and "Literal[" in code
        case "PLE2502":  # a mark that belongs to such text; what reorders more is told elsewhere
            return _RIGHT_TO_LEFT.search(code) is not None
        case "S608":
            return is_harmless(code, module)
        case "S324":  # most such hashes are names: of a cache, an entity, a file
            above = module.split("\n")[max(0, said.line - 1 - _LINES_ABOVE) : said.line - 1]
            return _PROTECTS.search("\n".join((*above, code))) is None
        case "S301":
            return _OWN_PICKLE.search(code) is not None
        case _:  # S503; despite its name it agrees on the best version that both know
            return "SSLv23_METHOD" in code


RUFF = Tool(
    name="ruff",
    arguments=FLAGS,
    wants=_wants,
    rename=_rename,
    read=_read,
    judge=_judge,
    sift=_sift,
    weighed=words("invalid-syntax F821 PLE2502 S301 S324 S503 S608"),
    is_mild=_is_mild,
)
