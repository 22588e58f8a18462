"""Matches paths against glob patterns, in time linear in the path, however the pattern is made.

A pattern without a slash is about the file's name, at any depth; one with a slash is about the
whole path from the root. `*` and `?` stop at a slash, `**/` is any number of folders, `/**` (or
a slash at the end) is everything beneath. Everything else stands for itself: no braces, no sets.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

_Token = NewType("_Token", str)

# Tokens are single characters or one of these.
_ONE = _Token("one character")
_STAR = _Token("any characters of a name")
_FOLDERS = _Token("any folders")
_BENEATH = _Token("anything beneath")


@dataclass(frozen=True, slots=True, kw_only=True)
class Globs:
    """Several patterns as one automaton: each number is a set of places within the patterns.

    Bit n is the place before token n; all patterns advance at once with a character.
    """

    start: int
    end: int
    literals: dict[str, int]
    ones: int
    stars: int
    folders: int
    beneath: int

    def matches(self, path: str) -> bool:
        """Say whether any of the patterns matches the path (slashes, no leading one)."""
        optional = self.stars | self.folders | self.beneath
        active = self.start
        for character in path:
            passing = active & self.literals.get(character, 0)
            if character == "/":
                passing |= active & self.folders
                staying = active & self.beneath
            else:
                passing |= active & self.ones
                staying = active & (self.stars | self.beneath)
            # Only a new place may skip what is optional: `**/` ends at a slash, not inside a name.
            reached = _skip(passing << 1 | staying, optional)
            active = reached | active & self.folders
            if not active:
                return False
        return bool(active & self.end)


def compile_globs(patterns: Iterable[str]) -> Globs:
    """Compile patterns into one matcher; empty patterns match nothing."""
    start = end = ones = stars = folders = beneath = 0
    literals: dict[str, int] = {}
    place = 1
    for pattern in patterns:
        tokens = _tokens(pattern)
        if not tokens:
            continue
        start |= place
        for token in tokens:
            if token == _ONE:
                ones |= place
            elif token == _STAR:
                stars |= place
            elif token == _FOLDERS:
                folders |= place
            elif token == _BENEATH:
                beneath |= place
            else:
                literals[token] = literals.get(token, 0) | place
            place <<= 1
        end |= place
        place <<= 1
    return Globs(
        start=_skip(start, stars | folders | beneath),
        end=end,
        literals=literals,
        ones=ones,
        stars=stars,
        folders=folders,
        beneath=beneath,
    )


def compile_list(patterns: str) -> Globs:
    """Compile patterns that are listed with white space between them."""
    return compile_globs(patterns.split())


def _tokens(pattern: str) -> list[_Token]:
    """Take a pattern apart; neighbours that mean the same become one."""
    if not pattern.strip("/"):
        return []
    if "/" not in pattern.removesuffix("/"):
        pattern = "**/" + pattern
    if pattern.endswith("/"):
        pattern += "**"
    segments = pattern.removeprefix("/").split("/")
    tokens: list[_Token] = []
    for number, segment in enumerate(segments, start=1):
        is_last = number == len(segments)
        if segment == "**":
            token = _BENEATH if is_last else _FOLDERS
            if tokens[-1:] != [token]:
                tokens.append(token)
            continue
        tokens += _segment_tokens(segment)
        if not is_last:
            tokens.append(_Token("/"))
    return tokens


def _segment_tokens(segment: str) -> list[_Token]:
    tokens: list[_Token] = []
    for character in segment:
        if character == "?":
            tokens.append(_ONE)
        elif character != "*":
            tokens.append(_Token(character))
        elif tokens[-1:] != [_STAR]:
            tokens.append(_STAR)
    return tokens


def _skip(places: int, optional: int) -> int:
    """Add the places after tokens that may match nothing; at most two stand in a row."""
    places |= (places & optional) << 1
    return places | (places & optional) << 1
