"""What a change does to dependencies: looser versions, new sources, scripts that run on install.

Compares each manifest at the head with what it was before. Knows no registry: whether a package
exists or is sound is nobody's business here.
"""

import asyncio
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from posixpath import basename, dirname, join
from typing import NamedTuple

import msgspec

from app.analysers.added import added_lines, at_line, before, fold, quote, words
from app.analysers.linter import FILES
from app.analysers.manifests import (
    PIP,
    Manifest,
    Requirement,
    Room,
    Source,
    host_of,
    kind_of,
)
from app.ports import Child, Found
from app.review.classes import LOCKS_OF, FileClass, classify
from app.review.diff import FileDiff, Status
from app.review.findings import Candidate
from app.review.focus import Area
from app.review.masking import mask
from app.review.priority import Priority
from app.review.pull import Change
from app.review.text import cut

MAX_BYTES = 300_000
MAX_CLAIMS = 200
"""Things that are said of one file; they are folded anyway."""
ALL_S = 10.0
"""How long reading all manifests of a change may take, however many of them are hostile."""
UNREADABLE = "it cannot be read"
LOOSER = "A new version of it is published."
PINNED_SHARE = 0.8
MIN_PINNED = 3
"""A list of requirements pins its versions if so many of them, and so large a part, are pinned."""
MAX_NAME = 80

_EVERYBODYS = words(
    """
    registry.npmjs.org registry.yarnpkg.com npm.pkg.github.com npm.jsr.io pypi.org pypi.python.org
    files.pythonhosted.org test.pypi.org crates.io index.crates.io static.crates.io rubygems.org
    rubygems.pkg.github.com proxy.golang.org sum.golang.org packagist.org repo.packagist.org
    github.com codeload.github.com api.github.com download.pytorch.org
    """
)
"""Hosts that packages usually come from."""
_LOCK_FILES = words(
    """
    Cargo.lock Gemfile.lock npm-shrinkwrap.json package-lock.json pnpm-lock.yaml uv.lock yarn.lock
    """
)
_LOCKED_HOST = re.compile(
    r"(?:\"resolved\": \"|resolved \"|tarball: |registry = \"|registry\+(?:sparse\+)?|remote: )"
    r"(https?://[^\s\"#]{1,300})"
)


class _Claim(NamedTuple):
    """What is said of a line that holds all of `needles`."""

    rule: str
    priority: Priority
    confidence: float
    title: str
    body: str
    trigger: str
    needles: tuple[str, ...]


# Tells each pair as soon as it is known and ends when one takes longer than its seconds, so that it
# is clear which text a parser hangs on.
PROGRAM = """
import signal, sys
from pathlib import Path
import msgspec
from app.analysers.manifests import parse_manifest
folder = Path(sys.argv[1])
for number, kind in enumerate(sys.argv[2:]):
    signal.alarm(2)
    texts = ((folder / f"{number}/{side}").read_bytes() for side in ("was", "now"))
    pair = [parse_manifest(kind, text.decode("utf-8", "replace")) for text in texts]
    print(msgspec.json.encode(pair).decode(), flush=True)
"""


class _Pair(NamedTuple):
    """A manifest before and at the head, as text."""

    kind: str
    was: bytes
    now: bytes


Read = tuple[Manifest | None, Manifest | None]


class Dependencies:
    """A Finder for manifests, which `child` reads, and lock files."""

    name = "dependencies"

    def __init__(self, child: Child) -> None:
        self._child = child

    def wants(self, path: str) -> bool:
        """Say yes to manifests: a line alone does not tell its section."""
        return kind_of(path) is not None

    async def find(self, change: Change, files: Mapping[str, bytes]) -> Found:
        """Find what each changed manifest and lock file brings that is to be looked at."""
        pairs = await asyncio.to_thread(_pairs, change, files)
        refused = {path: one for path, one in pairs.items() if isinstance(one, str)}
        read = await self._read({p: one for p, one in pairs.items() if not isinstance(one, str)})
        refused |= {path: UNREADABLE for path, (_, now) in read.items() if now is None}
        candidates = await asyncio.to_thread(lambda: fold(_in_change(change, read)))
        return Found(finder=self.name, candidates=candidates, not_analysed=refused or None)

    async def _read(self, pairs: Mapping[str, _Pair]) -> dict[str, Read]:
        """Read manifests in a child; one that it does not come through is read as (None, None).

        A child that came to an end too early is followed by one for those that it did not tell.
        """
        read: dict[str, Read] = {}
        deadline = asyncio.get_running_loop().time() + ALL_S
        left = dict(pairs)
        while left:
            told = await self._ask(list(left.values()), deadline)
            read |= zip(left, told, strict=False)
            if not told:
                read[next(iter(left))] = (None, None)
            if asyncio.get_running_loop().time() >= deadline:
                read |= {path: (None, None) for path in left if path not in read}
            left = {path: pair for path, pair in left.items() if path not in read}
        return read

    async def _ask(self, pairs: Sequence[_Pair], deadline: float) -> list[Read]:
        """Return what is read of the first of them, as far as the child came."""
        kinds = (pair.kind for pair in pairs)
        argv = (sys.executable, "-I", "-B", "-c", PROGRAM, FILES, *kinds)
        files = {
            f"{number}/{side}": text
            for number, pair in enumerate(pairs)
            for side, text in (("was", pair.was), ("now", pair.now))
        }
        try:
            async with asyncio.timeout_at(deadline):
                ended = await self._child.run(argv, files)
        except TimeoutError:
            return []
        return list(_whole(ended.stdout))


def _whole(stdout: bytes) -> Iterator[Read]:
    """Take apart the lines that came whole: the child may have been ended within one."""
    for line in stdout.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        yield msgspec.json.decode(line, type=Read)


def _pairs(change: Change, files: Mapping[str, bytes]) -> dict[str, _Pair | str]:
    return {
        file.path: _pair(file, kind, files[file.path])
        for file in change.diff.files
        if file.path in files
        and (kind := kind_of(file.path))
        and classify(file) is not FileClass.VENDORED
    }


def _pair(file: FileDiff, kind: str, content: bytes) -> _Pair | str:
    """Return a manifest before and now, or why it is not read."""
    if len(content) > MAX_BYTES:
        return f"it is larger than {MAX_BYTES:,} bytes"
    old = before(file, content.decode("utf-8", "surrogateescape"))
    if old is None:
        return "its lines are not those of the diff"
    return _Pair(kind, old.encode("utf-8", "surrogateescape"), content)


def _in_change(change: Change, read: Mapping[str, Read]) -> Iterator[Candidate]:
    paths = {file.path for file in change.diff.files}
    locks = change.locks - paths
    for file in change.diff.files:
        was, now = read.get(file.path, (None, None))
        if now is not None:
            yield from _located(file, _claims(file.path, was or Manifest(), now))
            yield from _located(file, _unlocked(file.path, was or Manifest(), now, paths, locks))
        elif basename(file.path) in _LOCK_FILES:
            yield from _located(file, _locked(file))


def _located(file: FileDiff, claims: Iterator[_Claim]) -> Iterator[Candidate]:
    """Make candidates of the claims that an added line proves."""
    added = added_lines(file)
    for claim in islice(claims, MAX_CLAIMS):
        line = _line_of(added, claim.needles)
        if line is None:
            continue
        yield Candidate(
            area=Area.DEPENDENCIES,
            priority=claim.priority,
            confidence=claim.confidence,
            title=claim.title,
            body=claim.body,
            trigger=claim.trigger,
            evidence=quote(added[line]),
            location=at_line(file.path, line),
            source=Dependencies.name,
            rule=claim.rule,
        )


def _line_of(added: Mapping[int, str], needles: tuple[str, ...]) -> int | None:
    """Find the first added line that holds them all, else the one that holds the last."""
    for wanted in (needles, needles[-1:]):
        for number, text in added.items():
            if all(needle in text for needle in wanted):
                return number
    return None


def _claims(path: str, was: Manifest, now: Manifest) -> Iterator[_Claim]:
    for key, one in now.requirements.items():
        old = was.requirements.get(key)
        if old != one:
            yield from _source(path, old, one)
            yield from _looser(path, old, one, was)
    yield from _scripts(was, now)
    yield from _registries(was.registries, now.registries)
    for host in now.unchecked:
        if host not in was.unchecked:
            yield _Claim(
                "unchecked-host",
                Priority.P1,
                0.8,
                f"Certificates of `{_shown(host)}` are not checked",
                "Anyone on the way can put in packages of their own.",
                "Somebody installs the dependencies.",
                (host,),
            )


def _source(path: str, old: Requirement | None, one: Requirement) -> Iterator[_Claim]:
    """Tell of a dependency that comes from elsewhere than a registry, and did not before."""
    name = _shown(one.name)
    same_place = old and (old.source, _place(old)) == (one.source, _place(one))
    if one.source is Source.REGISTRY or (same_place and old and old.is_fixed == one.is_fixed):
        return
    if one.source is Source.PATH:
        # A path is how parts of one repository name each other; a replaced one was tried out here.
        if path.endswith("go.mod") or (old and old.source is not Source.PATH):
            yield _Claim(
                "local-source",
                Priority.P2,
                0.7,
                f"`{name}` is taken from a folder",
                "It builds only where that folder lies beside this one.",
                "Somebody else builds it.",
                (one.name, one.text),
            )
        return
    is_open = one.text.startswith(("http:", "git:", "git+http:"))
    what = "a git repository" if one.source is Source.GIT else "a URL"
    if is_open:
        body = "It is fetched without encryption, so anyone on the way can replace it."
    elif one.is_fixed:
        body = "It passes by the registry, its releases and its warnings."
    else:
        body = "What is there can change without a change here, as no commit or checksum is named."
    yield _Claim(
        f"{one.source}-source",
        Priority.P1 if is_open else Priority.P3 if one.is_fixed else Priority.P2,
        0.8,
        f"`{name}` comes from {what}",
        body,
        "Somebody installs it.",
        (one.name, one.text),
    )


def _shown(text: str) -> str:
    """Cut a text for a sentence; a URL in it may hold a password."""
    return cut(mask(text), MAX_NAME, "…")


def _place(one: Requirement) -> str:
    return re.split(r"[#?]", one.text)[0]


def _looser(
    path: str, old: Requirement | None, one: Requirement, was: Manifest
) -> Iterator[_Claim]:
    if one.source is not Source.REGISTRY:
        return
    name = _shown(one.name)
    needles = (one.name, one.text) if one.text else (one.name,)
    if old and old.source is Source.REGISTRY and old.room < one.room:
        is_wide = one.room is Room.ANY and (old.room is Room.ONE or not _is_python(path))
        said = _shown(one.text) or "no version"
        yield _Claim(
            "loosened",
            Priority.P2 if is_wide else Priority.P3,
            0.8,
            f"`{name}` is held less tightly than before",
            f"It was `{_shown(old.text)}` and is now `{said}`, "
            "so an install may bring another version than the tested one.",
            LOOSER,
            needles,
        )
    elif old is None and one.room is Room.ANY and _is_pinned_elsewhere(path, was):
        yield _Claim(
            "unpinned",
            Priority.P2,
            0.8,
            f"`{name}` has no fixed version",
            "Every install may bring another version, also a broken or hijacked one.",
            LOOSER,
            needles,
        )


def _is_python(path: str) -> bool:
    return path.endswith((".txt", "pyproject.toml", "setup.cfg", "Pipfile"))


def _is_pinned_elsewhere(path: str, was: Manifest) -> bool:
    """Whether an open version is unusual: in Python and Ruby only in a list of pins."""
    if kind_of(path) == PIP:
        pinned = sum(one.room is Room.ONE for one in was.requirements.values())
        return pinned >= max(MIN_PINNED, PINNED_SHARE * len(was.requirements))
    return not _is_python(path) and not path.endswith(("Gemfile", "gems.rb"))


def _scripts(was: Manifest, now: Manifest) -> Iterator[_Claim]:
    for name, command in now.scripts.items():
        if was.scripts.get(name) != command:
            yield _Claim(
                "install-script",
                Priority.P1 if now.is_published else Priority.P2,
                0.8,
                f"`{name}` runs on every install",
                "Whoever installs this runs the command, before anybody looks at anything.",
                "Somebody installs it.",
                (f'"{name}"',),
            )


def _registries(was: tuple[str, ...], now: tuple[str, ...]) -> Iterator[_Claim]:
    known = _EVERYBODYS | {host_of(url) for url in was}
    for url in now:
        host = host_of(url)
        if host and host not in known:
            yield _Claim(
                "registry",
                Priority.P1,
                0.8,
                f"Packages come from another host: `{_shown(host)}`",
                "Whoever runs that host decides what is installed.",
                "Somebody installs the dependencies.",
                (url,),
            )


def _unlocked(
    path: str, was: Manifest, now: Manifest, changed: Collection[str], locks: Collection[str]
) -> Iterator[_Claim]:
    """Tell of the first requirement that the lock file beside it cannot know yet."""
    lock = _stale_lock(path, changed, locks)
    replaced = {one.name for key, one in now.requirements.items() if key.startswith("replace")}
    for key, one in now.requirements.items() if lock else ():
        section = key.partition("\0")[0]
        is_locked = (
            section not in ("build", "uv", "replace", "repositories")
            and one.source is not Source.PATH
        )
        if is_locked and one.name not in replaced and was.requirements.get(key) != one:
            name, lock_name = basename(path), basename(lock)
            yield _Claim(
                "not-locked",
                Priority.P2,
                0.6,
                f"`{name}` changed without `{lock_name}`",
                f"`{lock}` still holds what was asked for before, so an install by it fails or "
                "brings the old version.",
                "Somebody installs what is locked.",
                (one.name, one.text),
            )
            return


def _stale_lock(path: str, changed: Collection[str], locks: Collection[str]) -> str:
    """Find the nearest lock file that belongs to a manifest; empty where it changed as well.

    Go writes one with the first requirement, so there it is missing rather than not in use.
    """
    names, folder = LOCKS_OF.get(basename(path), ()), path
    while folder.strip("/"):  # "/" is above itself
        folder = dirname(folder)
        beside = [join(folder, name) for name in names]
        if any(lock in changed for lock in beside):
            return ""
        if found := [lock for lock in beside if lock in locks or lock.endswith("go.sum")]:
            return found[0]
    return ""


def _locked(file: FileDiff) -> Iterator[_Claim]:
    """Tell of packages that a lock file takes from a host where none came from before."""
    if file.status is Status.ADDED:
        return
    urls = {"+": list[str](), "-": list[str](), " ": list[str]()}
    for hunk in file.hunks:
        for line in hunk.lines:
            if found := _LOCKED_HOST.search(line.text):
                urls[line.kind].append(found[1])
    old = tuple(urls["-"] + urls[" "])
    new = {host_of(url): url for url in reversed(urls["+"])}
    yield from _registries(old, tuple(new.values()))
