"""Fetches the configuration that governs a repository: its own, its organisation's, the server's.

Knows where the files lie and what their absence means. What is in them reads `config_file.py`.
"""

import asyncio
from dataclasses import replace

from app.errors import Forbidden, Permanent
from app.github.transport import ORGANISATION, RAW, GitHub, NotFound, Repository, TooBig
from app.review.config import CONFIG_PATH, Ceilings, Configured, Layer, Mistake
from app.review.config_file import read_config
from app.review.pull import Target
from app.review.yaml_nodes import MAX_BYTES

KEPT_S = 300.0
"""How long an organisation's file is kept, and that there is none: so late is a change seen."""
MAX_KEPT = 200
"""Organisations of which a file is kept."""

NO_CEILINGS = Ceilings()

_Found = Layer | Mistake | None


class ConfigFiles:
    """The files of configuration. `server` is the weakest layer, the repository's the strongest."""

    def __init__(
        self, github: GitHub, *, server: Layer | None = None, ceilings: Ceilings = NO_CEILINGS
    ) -> None:
        self._github = github
        self._server = server
        self._ceilings = ceilings
        self._kept: dict[tuple[int, str], tuple[_Found, float]] = {}
        """What was found in an account, and until when that holds."""

    async def fetch(self, target: Target) -> Configured:
        """Fetch and read what governs a repository, from its default branch whatever is reviewed.

        A file that is not there, or that we may not see, is no layer; one that cannot be read is
        a mistake. Raises Retryable where GitHub does not answer: defaults would be a guess.
        """
        theirs, ours = await asyncio.gather(
            self._organisation(target),
            _fetch(self._github.repository(target), target.full_name),
        )
        found = (self._server, theirs, ours)
        layers = [one for one in found if isinstance(one, Layer)]
        unread = tuple(one for one in found if isinstance(one, Mistake))
        configured = await asyncio.to_thread(read_config, layers, self._ceilings)
        return replace(configured, mistakes=unread + configured.mistakes)

    async def _organisation(self, target: Target) -> _Found:
        if target.repo.lower() == ORGANISATION:
            return None  # its own file is the organisation's
        key = (target.installation_id, target.owner.lower())
        now = self._github.clock.now()
        found, until = self._kept.get(key, (None, 0.0))
        if now < until:
            return found
        found = await _fetch(self._github.organisation(target), f"{target.owner}/{ORGANISATION}")
        self._kept.pop(key, None)
        self._kept[key] = found, now + KEPT_S
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return found


async def _fetch(repository: Repository, full_name: str) -> _Found:
    name = f"{full_name}: {CONFIG_PATH}"
    path = f"contents/{CONFIG_PATH}"  # without `ref` GitHub reads the default branch
    try:
        return Layer(name=name, raw=await repository.get(path, accept=RAW, max_bytes=MAX_BYTES))
    except (NotFound, Forbidden):
        return None
    except TooBig:
        expected = f"expected at most {MAX_BYTES} bytes"
    except Permanent as exc:
        expected = f"expected a file that can be read: {exc}"
    return Mistake(layer=name, line=1, key="", expected=expected)
