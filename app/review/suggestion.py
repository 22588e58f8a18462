"""The gate for suggestions: which may stand in a block that changes a file at one click.

Knows the file at the head, the diff and what the model was shown. It is the same rule for every
suggestion: what is not certain to replace the commented lines, and only them, by code that fits
stays prose, and the finding says why. See `product.md` §3.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.review.anchor import Shown, is_commentable
from app.review.diff import Diff, FileDiff, Side
from app.review.findings import NOT_CHECKED, Finding
from app.review.masking import hides_something
from app.review.syntax import (
    Language,
    declares_other_encoding,
    is_prose,
    keeps_brackets,
    keeps_nesting,
    language_of,
)
from app.review.text import is_inert_code

MAX_FILE = 1_000_000
"""Bytes of a file in which a suggestion is checked."""
MAX_SUGGESTION = 5_000
MAX_REPLACED = 20_000
"""Characters that a suggestion has, and that it replaces, at most."""


class Refusal(StrEnum):
    """Why a suggestion is not posted as one."""

    NOT_INLINE = "its finding has no comment on the new side of the diff"
    NO_FILE = "the file was not available"
    NOT_UTF8 = "the file is not UTF-8 text"
    OTHER_LINES = "the lines at the head are not those of the diff"
    TOO_LONG = "it is too long, or replaces too much"
    HIDDEN = "it holds, or replaces, text that was not shown as it is"
    NOT_INERT = "other programs could take it for a command or a marker"
    LINE_ENDS = "the lines that it replaces do not all end alike"
    NO_CHANGE = "it changes nothing"
    INDENTATION = "it is not indented as the lines that it replaces"
    REPEATS = "it repeats a line next to those that it replaces"
    BREAKS = "the file would no longer parse"
    UNBALANCED = "it opens or closes other brackets or blocks than the lines that it replaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a suggestion does to a file, as lines with their ends: `new` instead of `old`.

    `language` is None where no parser is known.
    """

    path: str
    language: Language | None
    before: tuple[str, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def head(self) -> str:
        return "".join((*self.before, *self.old, *self.after))

    @property
    def result(self) -> str:
        return "".join((*self.before, *self.new, *self.after))


Proposal = Edit | Refusal | None
"""What a finding's suggestion comes to; None where it has none, or where that is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Errors in a file without and with a suggestion; None where no parser could tell."""

    head: int | None = None
    result: int | None = None


UNPARSED = Errors()


def paths_to_read(findings: Iterable[Finding]) -> tuple[str, ...]:
    """List the files that are needed at the head to check the suggestions, each once."""
    return tuple(dict.fromkeys(f.location.path for f in findings if _is_open(f) and _is_inline(f)))


def propose_edits(
    findings: Sequence[Finding], diff: Diff, shown: Shown, heads: Mapping[str, bytes]
) -> tuple[Proposal, ...]:
    """Turn suggestions into edits, one proposal for each finding, in order.

    `heads` holds files at the head by path; `shown` the lines of the diff as the model saw them.
    """
    files = _Files(diff, shown, {path: heads.get(path) for path in paths_to_read(findings)})
    return tuple(_propose(finding, files) for finding in findings)


def settle_suggestions(
    findings: Sequence[Finding], proposals: Sequence[Proposal], errors: Mapping[int, Errors]
) -> tuple[Finding, ...]:
    """Accept or refuse each suggestion; an accepted one is the exact text of the lines it becomes.

    `errors` are those of the edits that were parsed, by their place in `proposals`.
    """
    return tuple(
        _settled(finding, proposal, errors.get(number, UNPARSED))
        for number, (finding, proposal) in enumerate(zip(findings, proposals, strict=True))
    )


def _is_open(finding: Finding) -> bool:
    return finding.suggestion is not None and finding.suggestion_refused == NOT_CHECKED


def _is_inline(finding: Finding) -> bool:
    return finding.summary_reason is None and finding.location.side is Side.RIGHT


def _settled(finding: Finding, proposal: Proposal, errors: Errors) -> Finding:
    match proposal:
        case None:
            return finding
        case Refusal():
            return replace(finding, suggestion_refused=proposal.value)
        case Edit():
            damage = _damage(proposal, errors)
            if damage:
                return replace(finding, suggestion_refused=damage.value)
            return replace(finding, suggestion="".join(proposal.new), suggestion_refused=None)


def _damage(edit: Edit, errors: Errors) -> Refusal | None:
    """Compare the errors; a file that had some of its own is judged by its brackets as well."""
    if errors.head is not None:
        if errors.result is None or errors.result > errors.head:
            return Refusal.BREAKS
        if errors.head == 0:
            return None
    if is_prose(edit.path):
        return None
    is_whole = keeps_brackets("".join(edit.old), "".join(edit.new)) and keeps_nesting(
        edit.old, edit.new, edit.after
    )
    return None if is_whole else Refusal.UNBALANCED


# ---- from suggestion to edit ---------------------------------------------------------------------

# What a model that copies what it was shown writes for a character that cannot be seen.
_WRITTEN_OUT = re.compile(r"<(?:U\+[0-9A-F]{4,6}|0x[0-9A-F]{2})>")


def _propose(finding: Finding, files: "_Files") -> Proposal:
    suggestion, place = finding.suggestion, finding.location
    if suggestion is None or not _is_open(finding):
        return None
    if not _is_inline(finding):
        return Refusal.NOT_INLINE
    if len(suggestion) > MAX_SUGGESTION:
        return Refusal.TOO_LONG
    if hides_something(suggestion) or _WRITTEN_OUT.search(suggestion):
        return Refusal.HIDDEN
    head = files.head(place.path)
    if isinstance(head, Refusal):
        return head
    first, last = place.start_line, place.line
    expected = files.lines_of_diff(place.path, first, last)
    old = head[first - 1 : last] if expected else ()
    if not expected or old != expected:
        return Refusal.OTHER_LINES
    if sum(map(len, old)) > MAX_REPLACED:
        return Refusal.TOO_LONG
    line_end = _line_end(old, head)
    if line_end is None:
        return Refusal.LINE_ENDS
    new = _new_lines(suggestion, line_end, is_terminated=old[-1].endswith("\n"))
    edit = Edit(
        path=place.path,
        language=language_of(place.path),
        before=head[: first - 1],
        old=old,
        new=new,
        after=head[last:],
    )
    return _objection(edit, files.as_shown(place.path, first, old)) or edit


class _Files:
    """What is known of the files, by path; each is taken apart once."""

    def __init__(self, diff: Diff, shown: Shown, heads: Mapping[str, bytes | None]) -> None:
        self._shown = shown
        self._heads = {path: _lines(content) for path, content in heads.items()}
        self._diffs: dict[str, list[FileDiff]] = {path: [] for path in heads}
        for file in diff.files:
            if file.path in self._diffs and not (file.is_symlink or file.is_submodule):
                self._diffs[file.path].append(file)

    def head(self, path: str) -> tuple[str, ...] | Refusal:
        return self._heads[path]

    def lines_of_diff(self, path: str, first: int, last: int) -> tuple[str, ...]:
        """Give new lines, if one comment can stand on all of them; else nothing."""
        for file in self._diffs[path]:
            if is_commentable(file, Side.RIGHT, first, last):
                return tuple(
                    f"{line.text}\n" if line.has_newline else line.text
                    for hunk in file.hunks
                    for line in hunk.lines
                    if line.new is not None and first <= line.new <= last
                )
        return ()

    def as_shown(self, path: str, first: int, lines: Sequence[str]) -> str:
        """Give lines as the model saw them, as far as it saw them."""
        return "\n".join(
            self._shown.get((path, Side.RIGHT, number), _bare(line))
            for number, line in enumerate(lines, start=first)
        )


def _lines(content: bytes | None) -> tuple[str, ...] | Refusal:
    """Split a file at `\\n` only, as git does; the ends stay."""
    if content is None or len(content) > MAX_FILE:
        return Refusal.NO_FILE
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return Refusal.NOT_UTF8
    if declares_other_encoding(text):
        return Refusal.NOT_UTF8
    return tuple(f"{line}\n" for line in text.split("\n"))[:-1] + _last(text)


def _last(text: str) -> tuple[str, ...]:
    rest = text.rpartition("\n")[2]
    return (rest,) if rest else ()


def _bare(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _line_end(old: Sequence[str], head: Sequence[str]) -> str | None:
    """Tell how all lines end, or how the file's do if there is one line that ends nowhere."""
    ends = {_end(line) for line in old if line.endswith("\n")}
    ends = ends or {_end(line) for line in head if line.endswith("\n")} or {"\n"}
    return ends.pop() if len(ends) == 1 else None


def _end(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else "\n"


def _new_lines(suggestion: str, line_end: str, *, is_terminated: bool) -> tuple[str, ...]:
    """Give a suggestion the ends of the lines that it replaces; nothing deletes them."""
    text = suggestion.replace("\r\n", "\n").removesuffix("\n")
    lines = [f"{line}{line_end}" for line in text.split("\n")] if suggestion else []
    if lines and not is_terminated:
        lines[-1] = lines[-1].removesuffix(line_end)
    return tuple(line for line in lines if line)


# ---- what speaks against an edit -----------------------------------------------------------------


def _objection(edit: Edit, old_as_shown: str) -> Refusal | None:
    old, new = "".join(edit.old), "".join(edit.new)
    if old == new:
        return Refusal.NO_CHANGE
    if old_as_shown != "\n".join(map(_bare, edit.old)) or hides_something(old):
        return Refusal.HIDDEN
    if not is_inert_code(new):
        return Refusal.NOT_INERT
    if declares_other_encoding("".join((*edit.before[:2], *edit.new[:2], *edit.after[:2]))):
        return Refusal.NOT_UTF8
    if not _keeps_indentation(edit):
        return Refusal.INDENTATION
    return Refusal.REPEATS if _repeats(edit) else None


_INDENT = re.compile(r"[ \t]*+(?=[^\s])")
_LONG_INDENT = 2
"""Spaces that indent; a single one aligns the stars of a comment."""


def _keeps_indentation(edit: Edit) -> bool:
    """Whether the first line stands as deep as before, and all are indented by the same sign."""
    old, new = list(_indents(edit.old)), list(_indents(edit.new))
    if old and new and old[0] != new[0]:
        return False
    signs = _signs(old) or _signs(_indents((*edit.before, *edit.after)))
    return len(signs) != 1 or _signs(new) <= signs


def _indents(lines: Iterable[str]) -> Iterator[str]:
    return (found[0] for line in lines if (found := _INDENT.match(line)))


def _signs(indents: Iterable[str]) -> set[str]:
    """Collect what indents lines: tab, space. Spaces after a tab only align."""
    signs: set[str] = set()
    for indent in indents:
        if indent.startswith("\t") or len(indent) >= _LONG_INDENT:
            signs.add(indent[0])
        if indent.startswith(" ") and "\t" in indent:
            signs.add("\t")
    return signs


def _repeats(edit: Edit) -> bool:
    """Whether the first or last line says again what stands beside it, which it did not before."""
    if not edit.new:
        return False
    return (bool(edit.before) and _says_again(edit.before[-1], edit.new[0], edit.old[0])) or (
        bool(edit.after) and _says_again(edit.after[0], edit.new[-1], edit.old[-1])
    )


def _says_again(beside: str, new: str, old: str) -> bool:
    beside, new, old = beside.rstrip(), new.rstrip(), old.rstrip()
    return new == beside != old and any(sign.isalnum() for sign in new)
