"""Takes a diff apart: which files changed and how, with the true number and text of every line.

It knows git's diff format with its oddities, and nothing about reviews. unidiff reads the hunks,
one file at a time behind a stub header, so that a damaged file costs only itself; splitting (at
`\\n` only), names and modes are done here. Text is UTF-8 with surrogateescape: no byte is lost.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, pairwise
from types import MappingProxyType

import msgspec
from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as UnidiffHunk
from unidiff.patch import PatchSet

SYMLINK_MODE = "120000"
SUBMODULE_MODE = "160000"


class Side(StrEnum):
    """Which numbering a line number belongs to: the old file (LEFT) or the new one (RIGHT)."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"


class Status(StrEnum):
    """What happened to a file; the value's first letter is git's (A, D, M, R, C).

    A change of mode alone is `MODIFIED`. A change of type (file to symlink) is two entries, as git
    prints it: `DELETED`, then `ADDED`, of the same path.
    """

    ADDED = "added"
    DELETED = "deleted"
    MODIFIED = "modified"
    RENAMED = "renamed"
    COPIED = "copied"


# https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files
GITHUB_STATUS: Mapping[str, Status] = MappingProxyType(
    {
        "added": Status.ADDED,
        "removed": Status.DELETED,
        "modified": Status.MODIFIED,
        "changed": Status.MODIFIED,
        "unchanged": Status.MODIFIED,
        "renamed": Status.RENAMED,
        "copied": Status.COPIED,
    }
)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a hunk. A diff holds very many of them: small, and no work for the collector,
    whose passes would stop the event loop while a large diff is parsed beside it.

    `kind` is "+", "-" or " "; `old` and `new` are 1-based, None where the line does not exist;
    `text` is without its `\\n` (a `\\r` stays); `has_newline` is False for a last line without.
    """

    kind: str
    old: int | None
    new: int | None
    text: str
    has_newline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """A run of lines; a side with count 0 has no lines and starts at the line before it."""

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    section: str
    lines: tuple[Line, ...]

    @property
    def header(self) -> str:
        """The `@@` line, both counts always written out."""
        old = f"-{self.old_start},{self.old_count}"
        new = f"+{self.new_start},{self.new_count}"
        return f"@@ {old} {new} @@ {self.section}".rstrip(" ")

    @property
    def n_added(self) -> int:
        return len(self.lines) - self.old_count

    @property
    def n_deleted(self) -> int:
        return len(self.lines) - self.new_count

    @property
    def changed_lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.kind != " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """One file pair. What the diff does not tell (modes of a pure rename, ...) is None.

    `old_oid` and `new_oid` are as short as git printed them. Binaries, pure renames, changes of
    mode and empty files have no hunks. `takes_comments` is False where GitHub shows no diff of the
    file; `unread` then says why its changed lines are not here either, if they are not.
    """

    old_path: str | None
    new_path: str | None
    status: Status
    old_mode: str | None = None
    new_mode: str | None = None
    old_oid: str | None = None
    new_oid: str | None = None
    similarity: int | None = None
    is_binary: bool = False
    is_submodule: bool = False
    hunks: tuple[Hunk, ...] = ()
    takes_comments: bool = True
    unread: str = ""

    @property
    def path(self) -> str:
        """The name GitHub knows the file by: the new one, of a deleted file the old one."""
        return self.new_path if self.new_path is not None else self.old_path or ""

    @property
    def is_symlink(self) -> bool:
        return SYMLINK_MODE in (self.old_mode, self.new_mode)

    @property
    def n_added(self) -> int:
        return sum(hunk.n_added for hunk in self.hunks)

    @property
    def n_deleted(self) -> int:
        return sum(hunk.n_deleted for hunk in self.hunks)

    @property
    def changed_lines(self) -> Iterator[Line]:
        return chain.from_iterable(hunk.changed_lines for hunk in self.hunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """Text that is in no `FileDiff`, why, and the path it belongs to ("" where none is known)."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A whole diff, files in its order. A path can be in both tuples: whole, then junk after it."""

    files: tuple[FileDiff, ...] = ()
    damaged: tuple[Damaged, ...] = ()


def parse_diff(raw: bytes) -> Diff:
    """Parse what `git diff` prints (or a plain unified diff).

    Never raises: what cannot be read is in `damaged`. A last line without its `\\n` means that the
    text was cut there, which damages the last file.
    """
    raw, damaged = _without_cut_start(raw)
    starts = _file_starts(raw)
    files: list[FileDiff] = []
    damaged += _damage_before(raw[: starts[0]] if starts else raw, is_all=not starts)
    for start, end in pairwise([*starts, len(raw)]):
        text = _decode(raw[start:end])
        try:
            file, rest = _parse_file(text)
        except _Damage as damage:
            damaged.append(Damaged(path=_best_name(text), reason=str(damage)))
            continue
        files.append(file)
        if _is_part_of_diff(rest):
            damaged.append(Damaged(path=file.path, reason="text after its last hunk is not a hunk"))
    return Diff(files=tuple(files), damaged=tuple(damaged))


def parse_patch(
    patch: bytes, *, status: str, filename: str, previous_filename: str | None = None
) -> FileDiff | Damaged:
    """Parse the header-less `patch` of GitHub's list-files answer (b"" where it has none).

    `status` is GitHub's word. Never raises.
    """
    try:
        hunks, rest = _parse_hunks(_decode(patch))
    except _Damage as damage:
        return Damaged(path=filename, reason=str(damage))
    if rest.strip():
        return Damaged(path=filename, reason="text that is not a hunk")
    known = GITHUB_STATUS.get(status, Status.MODIFIED)
    return FileDiff(
        old_path=None if known is Status.ADDED else previous_filename or filename,
        new_path=None if known is Status.DELETED else filename,
        status=known,
        is_submodule=_names_commits(hunks),
        hunks=hunks,
    )


def hunk_key(file: FileDiff, hunk: Hunk) -> str:
    """Name a change by its path and changed lines, so that it is known again after a rebase.

    Line numbers and context do not count; a missing newline at the end of the file does.
    """
    ends = (line.kind + line.text + ("\n" if line.has_newline else "") for line in hunk.lines)
    changed = (end for end in ends if end[0] != " ")
    text = file.path + "\0" + "\0".join(changed)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


class _Damage(Exception):
    """This file cannot be parsed; the text says why and quotes nothing."""


_CUT = "cut in the middle of a line"
_FILE_STARTS = (b"diff --git ", b"diff --cc ", b"diff --combined ")
_PLAIN_FILE = re.compile(rb"^--- [^\n]*\n\+\+\+ [^\n]*\n(?=@@ -)", re.MULTILINE)
_STRAY = re.compile(
    r"^(?:@@ -|[-+ ]|index [0-9a-f]+\.\.|(?:old|new) mode |(?:new|deleted) file mode "
    r"|(?:rename|copy) (?:from|to) |similarity index |Binary files |GIT binary )",
    re.MULTILINE,
)
_SIGNATURE = re.compile(r"^-- \r?\n", re.MULTILINE)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _file_starts(raw: bytes) -> list[int]:
    """Offsets of the lines that open a file; no line within a hunk looks like one."""
    starts = [0] if raw.startswith(_FILE_STARTS) else []
    at = raw.find(b"\ndiff --")
    while at != -1:
        if raw.startswith(_FILE_STARTS, at + 1):
            starts.append(at + 1)
        at = raw.find(b"\ndiff --", at + 1)
    return starts or [match.start() for match in _PLAIN_FILE.finditer(raw)]


def _without_cut_start(raw: bytes) -> tuple[bytes, list[Damaged]]:
    """Take away a last line that is the beginning of a next file, so that the one before stays."""
    last = raw[raw.rfind(b"\n") + 1 :]
    if last and any(start.startswith(last) for start in _FILE_STARTS):
        return raw[: len(raw) - len(last)], [Damaged(path="", reason=_CUT)]
    return raw, []


def _damage_before(before: bytes, *, is_all: bool) -> list[Damaged]:
    """Account for text before the first file: mail headers may stand there, hunks may not."""
    if is_all and before.strip():
        return [Damaged(path="", reason="no diff in this text")]
    if before.startswith(b"@@ -") or b"\n@@ -" in before:
        return [Damaged(path="", reason="hunks before the first file")]
    return []


def _is_part_of_diff(rest: str) -> bool:
    """Whether text after a file is lost diff, not the prose between two mails or commits.

    Prose begins with an empty line or with a mail's signature.
    """
    if not rest or rest[0] in "\r\n" or _SIGNATURE.match(rest):
        return "\n@@ -" in rest
    return _STRAY.search(rest) is not None


def _best_name(text: str) -> str:
    """Name a file that could not be parsed, as well as its first line allows."""
    first = text.partition("\n")[0].rstrip("\r")
    for opening in ("diff --cc ", "diff --combined ", "--- "):
        if first.startswith(opening):
            return _unquote(first.removeprefix(opening).partition("\t")[0])
    line = first.removeprefix("diff --git ")
    names = _names_of_git_line(line)
    return names[1] if names else line


# ---- one file ------------------------------------------------------------------------------------

# The order in which git prints header lines: diff.c, `fill_metainfo` and `builtin_diff`.
_RANKS: Mapping[str, int] = MappingProxyType(
    {
        "diff --git": 0,
        "old mode": 1,
        "new mode": 2,
        "new file mode": 2,
        "deleted file mode": 2,
        "similarity index": 3,
        "dissimilarity index": 3,
        "rename from": 4,
        "copy from": 4,
        "rename to": 5,
        "copy to": 5,
        "index": 6,
        "---": 7,
        "+++": 8,
        "Binary files": 8,
        "GIT binary": 8,
    }
)
_BINARY = frozenset({"Binary files", "GIT binary"})
_HEADER_LINE = re.compile(rf"({'|'.join(map(re.escape, _RANKS))}) (.*)")
_INDEX = re.compile(r"([0-9a-f]{1,64})\.\.([0-9a-f]{1,64})(?: ([0-7]{6}))?")
_MODE = re.compile(r"[0-7]{6}")
_PERCENT = re.compile(r"([0-9]{1,3})%")
_NO_FILE = "/dev/null"
# The hashes of nothing, in SHA-1 and SHA-256, and of a file that is not there.
_EMPTY_OID = re.compile(r"0+|e69de29[0-9a-f]*|473a0f4c[0-9a-f]*")
_MARKER = "\\ No newline at end of file"


def _parse_file(text: str) -> tuple[FileDiff, str]:
    """Parse one file's part of a diff; the second value is the text after it."""
    if text.startswith(("diff --cc ", "diff --combined ")):
        raise _Damage("a combined diff (of a merge) has no lines to comment on")
    if not text.endswith("\n") and not text.endswith("\n" + _MARKER):
        raise _Damage(_CUT)
    header, body = _parse_header(text)
    has_hunks = body.startswith("@@ -") and _BINARY.isdisjoint(header)
    try:
        file = _describe(header, has_hunks=has_hunks)
    except _Damage:
        whole = _hunkless_part(header)
        if whole is None:
            raise
        stray = "".join(f"{key} {header[key]}\n" for key in header if key not in whole)
        return _describe(whole, has_hunks=False), stray + body
    if not has_hunks:
        return file, body
    hunks, rest = _parse_hunks(body)
    if (file.old_path is None and any(hunk.old_count for hunk in hunks)) or (
        file.new_path is None and any(hunk.new_count for hunk in hunks)
    ):
        raise _Damage("a hunk has lines on a side where there is no file")
    return replace(file, hunks=hunks), rest


def _parse_header(text: str) -> tuple[dict[str, str], str]:
    """Read header lines into a mapping, in order. The rest begins at the first other line."""
    header: dict[str, str] = {}
    rank = -1
    at = 0
    while (end := text.find("\n", at)) != -1:
        match = _HEADER_LINE.fullmatch(text[at:end].rstrip("\r"))
        if not match or _RANKS[match[1]] <= rank:
            break
        rank = _RANKS[match[1]]
        header[match[1]] = match[2]
        at = end + 1
    return header, text[at:]


def _hunkless_part(header: Mapping[str, str]) -> dict[str, str] | None:
    """Tell a file that needs no hunks from header lines of another one that strayed after it."""
    keys = list(header)
    for size in range(len(keys) - 1, 0, -1):
        part = {key: header[key] for key in keys[:size]}
        if _needs_no_hunks(part):
            return part
    return None


def _needs_no_hunks(header: Mapping[str, str]) -> bool:
    """Whether a header is whole: a binary, an empty file, a pure rename or change of mode."""
    *before, last = header
    if last in _BINARY:
        return "---" not in header and not _needs_no_hunks({key: header[key] for key in before})
    if last == "index":
        oids = _INDEX.fullmatch(header[last])
        is_empty = oids and _EMPTY_OID.fullmatch(oids[1]) and _EMPTY_OID.fullmatch(oids[2])
        return bool(is_empty) and ("new file mode" in before or "deleted file mode" in before)
    if last in ("rename to", "copy to"):
        return header.get("similarity index", "100%") == "100%"
    return last == "new mode" and "old mode" in before


def _describe(header: Mapping[str, str], *, has_hunks: bool) -> FileDiff:
    """Build the file of a header, still without its hunks."""
    if not has_hunks and not _needs_no_hunks(header):
        raise _Damage("its hunks are missing")
    old_path, new_path, status = _names(header)
    old_mode = _mode(header, "old mode", "deleted file mode")
    new_mode = _mode(header, "new mode", "new file mode")
    old_oid = new_oid = None
    if "index" in header:
        index = _INDEX.fullmatch(header["index"])
        if not index:
            raise _Damage("its index line cannot be read")
        old_oid, new_oid = index[1], index[2]
        old_mode, new_mode = old_mode or index[3], new_mode or index[3]
    percent = _PERCENT.fullmatch(header.get("similarity index", ""))
    return FileDiff(
        old_path=old_path,
        new_path=new_path,
        status=status,
        old_mode=old_mode,
        new_mode=new_mode,
        old_oid=old_oid,
        new_oid=new_oid,
        similarity=int(percent[1]) if percent else None,
        is_binary=not _BINARY.isdisjoint(header),
        is_submodule=SUBMODULE_MODE in (old_mode, new_mode),
    )


def _mode(header: Mapping[str, str], *keys: str) -> str | None:
    for key in keys:
        if key in header:
            if not _MODE.fullmatch(header[key]):
                raise _Damage("its mode cannot be read")
            return header[key]
    return None


# ---- names ---------------------------------------------------------------------------------------

# git's quote.c, `sq_lookup` and `unquote_c_style`.
_ESCAPES: Mapping[str, int] = MappingProxyType(
    dict(zip('abtnvfr"\\', (7, 8, 9, 10, 11, 12, 13, 34, 92), strict=True))
)
_QUOTED = re.compile(r'".*"', re.DOTALL)
_ESCAPE = re.compile(rb'\\([0-3][0-7]{2}|[abtnvfr"\\])')
_PREFIX = re.compile(r"[abciow12]/")


def _names(header: Mapping[str, str]) -> tuple[str | None, str | None, Status]:
    """Find both names: rename and copy lines say it best, then the first line, then `---`/`+++`."""
    for status, verb in ((Status.RENAMED, "rename"), (Status.COPIED, "copy")):
        if f"{verb} from" in header or f"{verb} to" in header:
            if not (f"{verb} from" in header and f"{verb} to" in header):
                raise _Damage(f"one of its {verb} lines is missing")
            old, new = _unquote(header[f"{verb} from"]), _unquote(header[f"{verb} to"])
            _check_names(header, old, new)
            return old, new, status
    old_name, new_name = _header_names(header)
    if "new file mode" in header or header.get("---") == _NO_FILE:
        _check_names(header, None, new_name)
        return None, new_name, Status.ADDED
    if "deleted file mode" in header or header.get("+++") == _NO_FILE:
        _check_names(header, old_name, None)
        return old_name, None, Status.DELETED
    _check_names(header, old_name, new_name)
    return old_name, new_name, Status.MODIFIED if old_name == new_name else Status.RENAMED


def _header_names(header: Mapping[str, str]) -> tuple[str, str]:
    """Take the names of a file that is no rename."""
    if names := _names_of_git_line(header.get("diff --git", "")):
        return names
    if "---" not in header or "+++" not in header:
        raise _Damage("its name cannot be told")
    old, new = _side_name(header["---"]), _side_name(header["+++"])
    return _without_prefix(old), _without_prefix(new)


def _names_of_git_line(line: str) -> tuple[str, str] | None:
    """Split `a/X b/X` in two equal halves: the only reading, as renames have lines of their own."""
    middle = len(line) // 2
    if line[middle : middle + 1] != " ":
        return None
    old, new = _unquote(line[:middle]), _unquote(line[middle + 1 :])
    if old == new:
        return old, new
    if _PREFIX.match(old) and _PREFIX.match(new) and old[2:] == new[2:]:
        return old[2:], new[2:]
    return None


def _check_names(header: Mapping[str, str], old: str | None, new: str | None) -> None:
    """Refuse a header whose `---` and `+++` speak of another file: lines were mixed up."""
    for key, name in (("---", old), ("+++", new)):
        if key in header:
            found = _side_name(header[key])
            if found != (_NO_FILE if name is None else name) and _without_prefix(found) != name:
                raise _Damage("its header names two files")


def _side_name(value: str) -> str:
    """Take the name of a `---` or `+++` line: git ends one with spaces, diff its date, by a tab."""
    return _unquote(value.partition("\t")[0])


def _without_prefix(name: str) -> str:
    return name[2:] if _PREFIX.match(name) else name


def _unquote(name: str) -> str:
    """Undo git's C quotes; a name without them stays as it is."""
    if not _QUOTED.fullmatch(name):
        return name
    raw = name[1:-1].encode("utf-8", "surrogateescape")
    return _decode(_ESCAPE.sub(_unescape, raw))


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1].decode("ascii")
    return bytes([_ESCAPES[escape] if escape in _ESCAPES else int(escape, 8)])


# ---- hunks ---------------------------------------------------------------------------------------

_STUB = ("--- a/file\n", "+++ b/file\n")
_FOREIGN_LINE = re.compile(r"\n(?=[^-+ @\\\r\n])")
_HUNK_HEADER = re.compile(r"@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@", re.ASCII)
_COMMIT = re.compile(r"Subproject commit [0-9a-f]{40,64}(?:-dirty)?")


def _parse_hunks(body: str) -> tuple[tuple[Hunk, ...], str]:
    """Parse hunks up to the first line that is in none; the second value begins there."""
    foreign = _FOREIGN_LINE.search(body)
    body, rest = (body[: foreign.end()], body[foreign.end() :]) if foreign else (body, "")
    if rest and body.endswith("\n\n"):
        rest = "\n" + rest  # an empty line may end a hunk or begin prose: here it may do both
    lines = body.split("\n")
    if not lines[-1]:
        lines.pop()
    if "" in lines:  # diff.suppressBlankEmpty; unidiff knows such a line by its newline
        lines = [line or "\n" for line in lines]
    hunks = _read_by_unidiff(lines)
    if hunks is None:
        whole = _count_whole(lines)
        rest = _check_rest(lines[whole:], rest)
        hunks = _read_by_unidiff(lines[:whole])
    if hunks is None:
        raise _Damage("a hunk cannot be read")
    _check_order(hunks)
    return hunks, rest


def _read_by_unidiff(lines: list[str]) -> tuple[Hunk, ...] | None:
    """Read hunks; None if a line is in no hunk, or a hunk has not the lines that it announces."""
    try:
        patch = PatchSet(chain(_STUB, lines))
    except (UnidiffParseError, ValueError):  # ValueError: a number of thousands of digits
        return None
    read = patch[0]
    if sum(1 + len(hunk) for hunk in read) != len(lines):
        return None
    read.reverse()
    hunks = []
    while read:  # each is freed when it is taken over: never the whole file twice in memory
        hunks.append(_convert(read.pop()))
    return tuple(hunks)


def _convert(hunk: UnidiffHunk) -> Hunk:
    lines: list[Line] = []
    for line in hunk:
        kind = line.line_type
        text = line.value
        if kind == "\\":
            if not lines:
                raise _Damage("a hunk cannot be read")
            lines[-1] = msgspec.structs.replace(lines[-1], has_newline=False)
        elif kind:  # none: an empty line after the hunk
            if text == "\n":
                text = ""
            lines.append(Line(kind, line.source_line_no, line.target_line_no, text, True))
    return Hunk(
        old_start=hunk.source_start,
        old_count=hunk.source_length,
        new_start=hunk.target_start,
        new_count=hunk.target_length,
        section=hunk.section_header.rstrip("\r"),
        lines=tuple(lines),
    )


def _count_whole(lines: list[str]) -> int:
    """Count the lines of the whole hunks at the beginning."""
    whole = 0
    while whole < len(lines) and (match := _HUNK_HEADER.match(lines[whole])):
        old, new = (1 if count is None else int(count) for count in match.groups())
        at = whole + 1
        while at < len(lines) and (old > 0 or new > 0):
            old -= lines[at][0] in " -\r\n"
            new -= lines[at][0] in " +\r\n"
            at += 1
        if old or new:
            break
        while at < len(lines) and lines[at][0] == "\\":
            at += 1
        whole = at
    return whole


def _check_rest(left: list[str], rest: str) -> str:
    """Tell a file that is whole, with something lost after it, from one with a broken hunk."""
    has_hunk = any(line.startswith("@@") for line in left[1:])
    is_cut = bool(left) and left[0].startswith("@@") and (len(left) > 1 or not rest)
    if has_hunk or is_cut:
        raise _Damage("a hunk has not the lines that its header counts")
    return "".join(line.rstrip("\n") + "\n" for line in left) + rest


def _check_order(hunks: tuple[Hunk, ...]) -> None:
    """Refuse hunks that are empty, overlap, go backwards or begin before line 1."""
    old_end = new_end = 0
    for hunk in hunks:
        if not hunk.lines:
            raise _Damage("a hunk cannot be read")
        old_first = hunk.old_start + (hunk.old_count == 0)
        new_first = hunk.new_start + (hunk.new_count == 0)
        if old_first <= old_end or new_first <= new_end:
            raise _Damage("its hunks are not in order")
        old_end = old_first + hunk.old_count - 1
        new_end = new_first + hunk.new_count - 1


def _names_commits(hunks: tuple[Hunk, ...]) -> bool:
    """Whether a change without modes is a submodule's: it has one line, which names a commit."""
    lines = [line for hunk in hunks for line in hunk.lines]
    return bool(lines) and all(_COMMIT.fullmatch(line.text) for line in lines)
