"""How urgent each rule of ruff is, and in our words what follows from breaking it.

A rule that is not named here is a nit: new rules of a new ruff cannot become loud by themselves.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from app.analysers.linter import Rule
from app.review.focus import Area
from app.review.priority import Priority

SYNTAX = "invalid-syntax"


def rule_for(code: str, message: str) -> Rule:
    """Return what we make of one diagnostic."""
    if code in _HARMLESS_IF_CONSTANT and "seems safe" in message:
        return _family(code)
    if code == "S506" and _OWN_LOADER.search(message):
        return _family(code)
    return RULES.get(code) or _family(code)


def _rule(
    area: Area,
    priority: Priority,
    confidence: float,
    body: str,
    *,
    title: str | None = None,
    trigger: str = "The line runs.",
) -> Rule:
    return Rule(
        area=area,
        priority=priority,
        confidence=confidence,
        body=body,
        trigger=trigger,
        title=title,
    )


def _breaks(body: str, confidence: float = 0.9, *, trigger: str = "The line runs.") -> Rule:
    """A sure failure."""
    return _rule(Area.CORRECTNESS, Priority.P1, confidence, body, trigger=trigger)


def _wrong(
    body: str,
    confidence: float = 0.8,
    *,
    title: str | None = None,
    trigger: str = "The line runs.",
) -> Rule:
    """It runs, and hardly does what was meant."""
    return _rule(Area.CORRECTNESS, Priority.P2, confidence, body, title=title, trigger=trigger)


def _unsafe(
    body: str,
    priority: Priority = Priority.P2,
    confidence: float = 0.7,
    *,
    title: str | None = None,
    trigger: str,
) -> Rule:
    return _rule(Area.SECURITY, priority, confidence, body, title=title, trigger=trigger)


def _blocks(title: str) -> Rule:
    return _rule(
        Area.PERFORMANCE,
        Priority.P2,
        0.8,
        "Every other task of the event loop waits until it is done.",
        title=title,
        trigger="Other tasks run on the same event loop.",
    )


_IMPORTED = "The module is imported."
_CALLED_TWICE = "The function is called more than once."
_OUTSIDE = "A part of the value comes from outside."
_FORMAT = "The string is formatted."
_SHELL_TITLE = "A shell runs a command made of text"
_SHELL = (
    "Whoever controls a part of it runs any command: pass a list of arguments, without a shell."
)
_CERTIFICATE = "Anyone on the way can read and change the traffic."
_NOT_PYTHON = "Python refuses to import the module."

_HARMLESS_IF_CONSTANT = frozenset({"S602", "S605"})
# A loader of another name than PyYAML's is a variable, or a class that may well be safe.
_OWN_LOADER = re.compile(r"unsafe loader `(?!(?:Base|C|CUnsafe|Full|CFull|Unsafe)?Loader`)")

_BY_CODES: Mapping[str, Rule] = MappingProxyType(
    {
        "invalid-syntax": _breaks(_NOT_PYTHON, 0.95, trigger=_IMPORTED),
        "F404 F406 F407 F621 F622 F701 F702 F704 F706 F707": _breaks(
            _NOT_PYTHON, trigger=_IMPORTED
        ),
        "F501 F509 F521 F525": _breaks("Python raises ValueError.", trigger=_FORMAT),
        "F502 F503 F507 F508": _breaks("Python raises TypeError.", trigger=_FORMAT),
        "F504 F522 F523": _wrong("A value that was passed does not appear.", trigger=_FORMAT),
        "F505": _breaks("Python raises KeyError.", trigger=_FORMAT),
        "F506": _breaks("Python raises an error.", trigger=_FORMAT),
        "F524": _breaks("Python raises KeyError or IndexError.", trigger=_FORMAT),
        "F601 F602": _wrong("Only the last value is kept."),
        "F631": _wrong("The assertion can never fail.", 0.95),
        "F632": _wrong(
            "Whether equal constants are the same object is up to the interpreter.",
            title="`is` compares with a constant",
        ),
        "F633": _breaks("Python raises TypeError."),
        "F634": _wrong("The branch is always taken.", 0.95),
        "F811": _wrong("The first definition is lost; for a test that means it never runs.", 0.7),
        "F821": _breaks("Python raises NameError.", 0.95),
        "F822": _breaks(
            "Python raises AttributeError.", 0.8, trigger="Somebody imports `*` from the module."
        ),
        "F823": _breaks("Python raises UnboundLocalError."),
        "F901": _wrong("Python raises TypeError instead.", 0.95),
        "B002": _wrong("The value stays the same: Python has no `++`.", 0.9),
        "B003": _wrong("Child processes still get the old environment."),
        "B005": _wrong(
            "It strips any of these characters, not the word: use `removeprefix` or "
            "`removesuffix`.",
            0.7,
            title="`strip` with several characters strips a set, not a word",
        ),
        "B006": _wrong(
            "All calls share one object: what one call changes, the next one sees.",
            title="Mutable object as an argument's default",
            trigger=_CALLED_TWICE,
        ),
        "B012": _wrong("An exception on its way out vanishes without a trace."),
        "B015": _wrong(
            "Its result is thrown away: assign, assert or remove it.",
            0.9,
            title="Comparison without effect",
        ),
        "B016": _breaks(
            "Python raises TypeError: exceptions must derive from BaseException.", trigger=_IMPORTED
        ),
        "B021": _wrong(
            "The function or class has no docstring.", title="An f-string is no docstring"
        ),
        "B022": _wrong("No exception is suppressed.", 0.9, title="`suppress()` without exceptions"),
        "B023": _rule(  # most such functions are called at once
            Area.CORRECTNESS,
            Priority.P3,
            0.5,
            "All functions see the value of the last round.",
            trigger="The function runs after the round that made it.",
        ),
        "B025": _wrong("The second handler can never run."),
        "B029": _wrong("Nothing is caught.", 0.95),
        "B030": _wrong("Python raises TypeError instead of handling.", trigger="Something raises."),
        "B031": _wrong("The second time it is empty."),
        "B032": _wrong("Nothing is assigned.", title="An annotation where `=` was meant"),
        "B035": _wrong("Only one entry is left.", 0.9),
        "B039": _wrong(
            "All contexts share one object.", title="Mutable object as a ContextVar's default"
        ),
        "RUF006": _wrong(
            "The event loop keeps only a weak reference: the task can vanish in the middle.",
            title="A task is started and not kept",
            trigger="The garbage collector runs before the task is done.",
        ),
        # Functions that handlers call raise again, too.
        "PLE0704": _rule(Area.CORRECTNESS, Priority.P3, 0.4, "It fails outside of a handler."),
        "PLE1205 PLE1206": _wrong("The message is lost and an error is printed.", trigger=_FORMAT),
        "PLE1310": _wrong("It strips any of these characters, not the word."),
        "PLE2502": _unsafe(
            "The code does not read as it runs.",
            Priority.P1,
            0.9,
            title="Bidirectional control character in the code",
            trigger="Somebody reviews the line as it shows.",
        ),
        "S102": _unsafe("Its text can run anything.", title="`exec` runs text", trigger=_OUTSIDE),
        "S113": _rule(
            Area.CORRECTNESS,
            Priority.P2,
            0.7,
            "It waits for ever.",
            title="Request without a timeout",
            trigger="The other side does not answer.",
        ),
        "S201": _unsafe(
            "Its debugger runs any code that a visitor sends.",
            Priority.P1,
            title="Flask runs in debug mode",
            trigger="The server can be reached by others.",
        ),
        "S202": _unsafe(
            "Members can lie outside of the folder: pass `filter='data'`.",
            title="`extractall` without a filter",
            trigger="The archive comes from outside.",
        ),
        "S301": _unsafe(
            "Loading a pickle can run anything.",
            confidence=0.6,
            title="Unpickling",
            trigger="The data comes from outside.",
        ),
        "S302": _unsafe(
            "Loading can crash or worse.", title="`marshal` loads data", trigger=_OUTSIDE
        ),
        "S306": _unsafe(
            "Somebody else can create the file first: use `mkstemp`.",
            title="`mktemp` is a race",
            trigger="Others have accounts there.",
        ),
        "S307": _unsafe(
            "Its text can run anything: use `ast.literal_eval` or parse it.",
            Priority.P1,
            0.8,
            title="`eval` runs text",
            trigger=_OUTSIDE,
        ),
        "S308": _unsafe(
            "Scripts in it run in the reader's browser.",
            confidence=0.5,
            title="`mark_safe` turns escaping off",
            trigger=_OUTSIDE,
        ),
        "S323 S501": _unsafe(
            _CERTIFICATE,
            Priority.P1,
            0.9,
            title="TLS certificates are not checked",
            trigger="Somebody sits between both ends.",
        ),
        "S324": _unsafe(
            "Two inputs with the same hash can be made.",
            confidence=0.5,
            title="Weak hash function",
            trigger="The hash protects something.",
        ),
        "S502": _unsafe(
            _CERTIFICATE,
            title="Broken version of TLS",
            trigger="Somebody sits between both ends.",
        ),
        "S503": _unsafe(
            _CERTIFICATE,
            title="Broken version of TLS by default",
            trigger="Somebody sits between both ends.",
        ),
        "S505": _unsafe("Such a key can be broken.", trigger="Somebody collects the traffic."),
        "S506": _unsafe(
            "Loading can build any object and so run anything: use `yaml.safe_load`.",
            Priority.P1,
            0.9,
            title="`yaml.load` without a safe loader",
            trigger="The text comes from outside.",
        ),
        "S507": _unsafe(
            _CERTIFICATE,
            title="SSH host keys are not checked",
            trigger="Somebody sits between both ends.",
        ),
        "S602 S605": _unsafe(_SHELL, Priority.P1, 0.8, title=_SHELL_TITLE, trigger=_OUTSIDE),
        "S608": _unsafe(
            "It can change the statement: pass it as a parameter.",
            confidence=0.6,
            title="SQL is joined from strings",
            trigger=_OUTSIDE,
        ),
        "S609": _unsafe(
            "A file named like an option becomes one.",
            title="A shell expands `*`",
            trigger="Somebody else can create files there.",
        ),
        "S611": _unsafe("It can change the statement.", confidence=0.6, trigger=_OUTSIDE),
        "S612": _unsafe("Whoever connects can run anything.", trigger="The port can be reached."),
        "S701": _unsafe(
            "Scripts in values run in the reader's browser.",
            confidence=0.6,
            title="Jinja2 does not escape",
            trigger="The template makes HTML from values that come from outside.",
        ),
        "S704": _unsafe(
            "Scripts in it run in the reader's browser.",
            confidence=0.6,
            title="`Markup` turns escaping off",
            trigger=_OUTSIDE,
        ),
        "ASYNC100": _wrong("The timeout can never end it.", title="Timeout around nothing"),
        "ASYNC105": _wrong("It never runs.", title="A coroutine is not awaited"),
        "ASYNC210 ASYNC212": _blocks("A blocking HTTP request in an async function"),
        "ASYNC220": _blocks("A blocking start of a process in an async function"),
        "ASYNC221": _blocks("A blocking run of a process in an async function"),
        "ASYNC222": _blocks("A blocking wait for a process in an async function"),
        "ASYNC250": _blocks("Blocking `input()` in an async function"),
        "ASYNC251": _blocks("Blocking `time.sleep` in an async function"),
    }
)
RULES = {code: rule for codes, rule in _BY_CODES.items() for code in codes.split()}

_LETTERS = re.compile(r"[A-Z]*")
_NIT = _rule(Area.CORRECTNESS, Priority.P3, 0.5, "It often hides a mistake.")
_FAMILIES: Mapping[str, Rule] = MappingProxyType(
    {
        "PLE": _breaks("Python raises an error or misreads it.", 0.8),
        "S": _rule(
            Area.SECURITY,
            Priority.P3,
            0.4,
            "It can be unsafe.",
            trigger="Values come from outside.",
        ),
        "PERF": _rule(Area.PERFORMANCE, Priority.P3, 0.6, "Another form does less work."),
        "C": _rule(Area.PERFORMANCE, Priority.P3, 0.6, "Another form does less work."),
        "ASYNC": _rule(
            Area.PERFORMANCE, Priority.P3, 0.5, "It can hold up other tasks of the event loop."
        ),
    }
)


def _family(code: str) -> Rule:
    letters = _LETTERS.match(code)
    return _FAMILIES.get(letters[0] if letters else "", _NIT)
