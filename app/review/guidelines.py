"""What a repository's own people say about its files: `paths.instructions`, and `AGENTS.md`.

Knows which of it concerns which path and what comes first. It is text from the base, nothing more:
the prompt fences it.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from posixpath import dirname, join

from app.review.config import Instruction
from app.review.globs import compile_globs
from app.review.prompt import MAX_GUIDELINES, without_html_comments
from app.review.text import cut, plain_line

AGENTS = "AGENTS.md"
MAX_AGENTS = 20
"""Files that are worth fetching for one review."""
MAX_AGENTS_TEXT = 100_000
"""Characters of one file that are looked at."""

_RULES = frozenset({"code review rules", "review guidelines"})
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_UNDERLINE = re.compile(r" {0,3}(?:(=+)|-+)[ \t]*$")


def agents_paths(changed: Iterable[str], existing: Collection[str]) -> tuple[str, ...]:
    """Choose which `AGENTS.md` of those that exist concern the changed files: the nearest one up.

    Where they are too many, those that concern the most files; sorted by path.
    """
    files = frozenset(existing)
    concerned = Counter(filter(None, (_nearest(path, files) for path in changed)))
    by_weight = sorted(concerned, key=lambda path: (-concerned[path], path))
    return tuple(sorted(by_weight[:MAX_AGENTS]))


def guidelines_for(
    paths: Sequence[str],
    instructions: Sequence[Instruction],
    agents: Sequence[tuple[str, str]],
) -> str:
    """Compose what concerns these files, what matters most first, cut to size.

    `agents`: path → text. Each part says which files it is about, and not the chunk's own, so
    that chunks of one folder begin with the same words.
    """
    files = {path for path, _ in agents}
    concerned = {_nearest(path, files) for path in paths}
    rules: list[str] = []
    others: list[str] = []
    for path, text in sorted(agents):
        if path in concerned:
            about = f"from {path}, about files in {dirname(path) or 'any folder'} with none nearer"
            first, rest = _rules_first(text)
            rules += _part(f"Rules {about}:", first)
            others += _part(f"Also {about}:", rest)
    parts = [*_matching(paths, instructions), *rules, *others]
    return cut("\n\n".join(parts), MAX_GUIDELINES)


def names_of_guidelines(
    path: str, instructions: Sequence[Instruction], agents: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Name what `guidelines_for` tells about one file."""
    globs = (i.path for i in instructions if compile_globs([i.path]).matches(path))
    nearest = _nearest(path, {agent for agent, _ in agents})
    return (*(f"paths.instructions: {glob}" for glob in globs), *([nearest] if nearest else ()))


def rules_of(
    instructions: Sequence[Instruction], agents: Sequence[tuple[str, str]], language: str
) -> str:
    """Return all that steers a review beside the prompts, the same text for the same rules."""
    told = [[instruction.path, instruction.text] for instruction in instructions]
    return json.dumps([language, told, sorted(agents)], ensure_ascii=False)


def _nearest(path: str, files: Collection[str]) -> str | None:
    """Find the first of these files on the way from the path up to the root."""
    folder = path
    while folder.strip("/"):  # "/" is above itself
        folder = dirname(folder)
        if (file := join(folder, AGENTS)) in files:
            return file
    return None


def _matching(paths: Sequence[str], instructions: Sequence[Instruction]) -> Iterator[str]:
    for instruction in instructions:
        globs = compile_globs([instruction.path])
        if any(globs.matches(path) for path in paths):
            yield from _part(f"About files that match {instruction.path}:", instruction.text)


def _part(title: str, text: str) -> list[str]:
    return [f"{plain_line(title)}\n\n{text.strip()}"] if text.strip() else []


def _rules_first(text: str) -> tuple[str, str]:
    """Divide an `AGENTS.md` into its sections about reviews, and the rest."""
    lines = without_html_comments(text[:MAX_AGENTS_TEXT]).replace("\r\n", "\n").split("\n")
    rules: list[str] = []
    rest: list[str] = []
    fence, inside = "", 0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and _closes(line, fence) else fence
        elif mark:
            fence = mark[1]
        elif heading := _heading(line, following):
            level, title = heading
            if level <= inside:
                inside = 0
            if not inside and _plain(title) in _RULES:
                inside = level
        (rules if inside else rest).append(line)
    return "\n".join(rules), "\n".join(rest)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and not bare.strip(fence[0])


def _heading(line: str, following: str) -> tuple[int, str] | None:
    """Return the level and title of a heading; `following`: the line that may underline it."""
    if heading := _HEADING.match(line):
        return len(heading[1]), heading[2] or ""
    if line[:1].isalpha() and (underline := _UNDERLINE.match(following)):
        return (1 if underline[1] else 2), line
    return None


def _plain(title: str) -> str:
    """Return a title's words, without emphasis, numbers and symbols."""
    return " ".join(re.sub(r"[^a-z ]", " ", title.lower()).split())
