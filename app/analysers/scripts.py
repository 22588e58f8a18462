"""Tells the language of a script that has no suffix by its first line."""

import re
from collections.abc import Mapping
from posixpath import basename
from types import MappingProxyType

from app.review.classes import FileClass, class_of_name

_INTERPRETER = re.compile(rb"#!\s*(?:\S+/env(?:\s+-\S+)*\s+|\S*/)([a-z]+)")
_SUFFIXES: Mapping[bytes, str] = MappingProxyType(
    {
        **dict.fromkeys((b"sh", b"bash", b"dash", b"ksh"), ".sh"),
        **dict.fromkeys((b"python", b"pypy"), ".py"),
        **dict.fromkeys((b"node", b"nodejs"), ".js"),
        **dict.fromkeys((b"deno", b"bun"), ".ts"),
        **{b"perl": ".pl", b"php": ".php", b"ruby": ".rb", b"lua": ".lua", b"zsh": ".zsh"},
    }
)


def may_be_script(path: str) -> bool:
    """Say whether a file has no suffix, nor a name that tells what it is."""
    return "." not in basename(path) and class_of_name(path) in (FileClass.SOURCE, FileClass.TEST)


def with_suffix(path: str, content: bytes) -> str:
    """Give a script that has none the suffix of its language."""
    if not may_be_script(path):
        return path
    found = _INTERPRETER.match(content[:200])
    return path + _SUFFIXES.get(found[1], "") if found else path
