"""The table of analysers: a new one is a new file and one line here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.analysers import ast_grep
from app.analysers.conflicts import CONFLICTS
from app.analysers.dependencies import Dependencies
from app.analysers.kept import KeepingChild
from app.analysers.languages import Languages, Missing
from app.analysers.linter import Linter, Tool, find_program
from app.analysers.oxlint import OXLINT
from app.analysers.ruff import RUFF
from app.analysers.secrets import Secrets
from app.analysers.shellcheck import SHELLCHECK
from app.analysers.suppressions import SUPPRESSIONS
from app.analysers.tests import TESTS
from app.analysers.unicode import UNICODE
from app.analysers.zizmor import ZIZMOR
from app.ports import Child, Finder, Outputs

PROGRAMS: Mapping[str, Callable[[], Tool]] = MappingProxyType(
    {
        "ruff": lambda: RUFF,
        "oxlint": lambda: OXLINT,
        "shellcheck": lambda: SHELLCHECK,
        "zizmor": lambda: ZIZMOR,
        "ast-grep": ast_grep.build_tool,
    }
)
"""Those that are not installed name what they would have read."""


def build_finders(child: Child, outputs: Outputs | None = None) -> tuple[Finder, ...]:
    """Build every analyser; those that are programs run in `child`, and `outputs` keeps answers."""
    child = KeepingChild(child, outputs) if outputs else child
    tools = [build() for build in PROGRAMS.values()]
    return (
        *(
            Linter(child, tool, binary) if (binary := find_program(tool.name)) else Missing(tool)
            for tool in tools
        ),
        Languages(tools),
        Secrets(),
        UNICODE,
        CONFLICTS,
        Dependencies(child),
        TESTS,
        SUPPRESSIONS,
    )
