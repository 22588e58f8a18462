"""zizmor on changed GitHub workflows and actions, offline and without its configuration.

Knows zizmor's JSON and what we make of its audits; an audit that is not named here is a nit.
"""

import re
from collections.abc import Iterator, Mapping
from posixpath import basename
from types import MappingProxyType

import msgspec

from app.analysers.linter import Rule, Said, Tool
from app.review.focus import Area
from app.review.priority import Priority

FLAGS = (
    *("--offline", "--no-config", "--no-ignores", "--no-progress", "--persona", "regular"),
    "--strict-collection",  # or it leaves out what it cannot read
    *("--min-severity", "medium", "--min-confidence", "medium", "--format", "json-v1", "--"),
)

_PATH = re.compile(r"(?:.*/)?\.github/workflows/[^/]+\.ya?ml|(?:.*/)?action\.ya?ml")
_SECRETS = "A pull request's author or a compromised action can read the job's secrets."


def _rule(priority: Priority, confidence: float, title: str, body: str, trigger: str) -> Rule:
    return Rule(
        area=Area.SECURITY,
        priority=priority,
        confidence=confidence,
        title=title,
        body=body,
        trigger=trigger,
    )


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "template-injection": _rule(
            Priority.P1,
            0.9,
            "Text from outside is put into a script",
            "Whoever writes it runs commands in the job: pass it through `env` instead.",
            "The text holds a quote and a command.",
        ),
        "github-env": _rule(
            Priority.P1,
            0.8,
            "A value from outside may reach the environment file",
            "It can set variables such as LD_PRELOAD for the steps after it.",
            "The value has several lines.",
        ),
        "insecure-commands": _rule(
            Priority.P1,
            0.9,
            "Workflow commands that were switched off are switched on",
            "Anything that prints to the log can set the environment of later steps.",
            "A step prints text from outside.",
        ),
        "hardcoded-container-credentials": _rule(
            Priority.P1,
            0.9,
            "Password of a container registry in plain text",
            "Everyone who reads the repository can use it.",
            "Somebody reads the file.",
        ),
        "dangerous-triggers": _rule(
            Priority.P2,
            0.7,
            "The workflow runs with secrets on a stranger's pull request",
            "If it runs or checks out anything of that pull request, its author has the secrets.",
            "A fork opens a pull request.",
        ),
        "bot-conditions": _rule(
            Priority.P2,
            0.7,
            "The check for a bot can be passed by others",
            "`github.actor` is who caused the last event, not who wrote the change.",
            "Somebody makes the bot act on their branch.",
        ),
        "cache-poisoning": _rule(
            Priority.P2,
            0.6,
            "A release is built with a cache that others can fill",
            "What a less trusted workflow cached ends up in what is published.",
            "Another workflow writes the cache.",
        ),
        "overprovisioned-secrets": _rule(
            Priority.P2, 0.8, "All secrets are handed over", _SECRETS, "The step runs."
        ),
        "secrets-inherit": _rule(
            Priority.P3, 0.7, "All secrets are handed over", _SECRETS, "The workflow is called."
        ),
        "unsound-contains": _rule(
            Priority.P2,
            0.8,
            "`contains` on text lets parts of it through",
            "Another branch whose name is a part of the text passes the check.",
            "A branch has such a name.",
        ),
        "excessive-permissions": _rule(
            Priority.P3,
            0.6,
            "The job may do more than it needs",
            "What runs in it can use all of that.",
            "One of its steps is compromised.",
        ),
        "unpinned-uses": Rule(
            area=Area.DEPENDENCIES,
            priority=Priority.P3,
            confidence=0.7,
            title="The action is not pinned to a commit",
            body="Whoever can move the tag runs code in this job.",
            trigger="The tag is moved.",
        ),
    }
)
_NIT = Rule(
    area=Area.SECURITY,
    priority=Priority.P3,
    confidence=0.5,
    body="It makes the workflow easier to attack.",
    trigger="The workflow runs.",
)


class _Point(msgspec.Struct, frozen=True, kw_only=True):
    row: int


class _Range(msgspec.Struct, frozen=True, kw_only=True):
    start_point: _Point


class _Concrete(msgspec.Struct, frozen=True, kw_only=True):
    location: _Range


class _Local(msgspec.Struct, frozen=True, kw_only=True):
    verbatim_path: str


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    local: _Local = msgspec.field(name="Local")


class _Symbolic(msgspec.Struct, frozen=True, kw_only=True):
    key: _Key
    kind: str


class _Location(msgspec.Struct, frozen=True, kw_only=True):
    symbolic: _Symbolic
    concrete: _Concrete


class _Finding(msgspec.Struct, frozen=True, kw_only=True):
    ident: str
    desc: str
    locations: tuple[_Location, ...]


def _wants(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def _rename(path: str) -> str:
    """Keep what zizmor tells an action from a workflow by."""
    return "action.yml" if basename(path).startswith("action.y") else "workflow.yml"


def _read(stdout: bytes) -> list[Said]:
    return [
        said
        for one in msgspec.json.decode(stdout, type=tuple[_Finding, ...])
        for said in _at_primary(one)
    ]


def _at_primary(one: _Finding) -> Iterator[Said]:
    for location in one.locations:
        if location.symbolic.kind == "Primary":
            yield Said(
                file=location.symbolic.key.local.verbatim_path,
                line=location.concrete.location.start_point.row + 1,
                code=one.ident,
                message=one.desc[:1].upper() + one.desc[1:],
            )


def _judge(said: Said, in_test: bool) -> Rule | None:
    return RULES.get(said.code, _NIT)


ZIZMOR = Tool(
    name="zizmor",
    arguments=FLAGS,
    wants=_wants,
    rename=_rename,
    read=_read,
    judge=_judge,
)
