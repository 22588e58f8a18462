"""The table of analysers: a new one is a new file and one line here."""

from app.analysers.conflicts import Conflicts
from app.analysers.ruff import Ruff, find_binary
from app.analysers.secrets import Secrets
from app.analysers.unicode import Unicode
from app.ports import Child, Finder


def build_finders(child: Child) -> tuple[Finder, ...]:
    """Build every analyser; those that are programs run in `child`."""
    return (
        Ruff(child, find_binary()),
        Secrets(),
        Unicode(),
        Conflicts(),
    )
