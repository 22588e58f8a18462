"""Says whether all that is put into a text (SQL, HTML, a command) is harmless: constants, numbers,
placeholders. Reads code of any language line by line, by its looks only.
"""

import re

_NUMBERED = re.compile(r"`\$\$\{[^{}]*\}`")
_SEPARATOR = r"(?:,?\s?| (?i:and|or) )"
_VALUE = rf"([\w.]+|[\"']{_SEPARATOR}[\"']\.join\([^()]*(?:\([^()]*\)[^()]*)?\))"
_BETWEEN = re.compile(
    rf"[\"'`]\s*\+(?:([^+]+)\+\s*[\"'`]|\s*{_VALUE})|(?<=[\w)])\s*\+\s*([A-Za-z_][\w.]*)"
    r"|\{([^{}]*)\}"
)
_ONE_VALUE = re.compile(
    rf"[\"']\s*(?:%(?!s[\"'])\s*{_VALUE}(?=\s*(?:[,)\n]|$))|\.format\({_VALUE}\))"
)
_OTHERWISE_FILLED = re.compile(r"[\"'`]\s*%(?!s[\"'`])|\.format\(|(?i:\bsprintf|string\.format)\(")
_CONSTANT = re.compile(r"(?:\w+\.)*[A-Z][A-Z0-9_]*[A-Z0-9]")
_NUMBER = re.compile(
    r"[\w.]+\.(?:length|size|count|toFixed\(\d?\))|(?:Number|parseInt|int|len)\([^()]*\)"
)
_PLACEHOLDERS = re.compile(
    r"[\"'`],?\s?(?:\?|%s),?\s?[\"'`]|`\$\$\{|(?i:placeholders?|qmarks|question_?marks)"
    r"|(?i:[\"'`] (?:and|or) [\"'`]\.join\()"  # of conditions, which are looked at themselves
)
_LITERAL = re.compile(r"([\"'`])[^\"'`{}$]*\1\s*[;,)]?\s*(?:(?:#|//).*)?")
_NAME = re.compile(r"\w+")
_MAX_CODE = 2_000
"""Characters; what is longer is not looked at."""


def is_harmless(code: str, module: str) -> bool:
    """Say whether each value that `code` puts into a text is harmless, as far as can be seen.

    `module` is the whole file: it may say what a name stands for.
    """
    if len(code) > _MAX_CODE:
        return False
    code = _ONE_VALUE.sub(lambda one: f"'{{{one[1] or one[2]}}}", code.replace("{}", ""))
    if _OTHERWISE_FILLED.search(code):
        return False
    found = _BETWEEN.finditer(_NUMBERED.sub("'?'", code))
    values = {next(filter(None, match.groups()), "").strip() for match in found}
    unsure = {value for value in values if not _is_plain(value)}
    return bool(values) and unsure <= _constants(unsure, module)


def is_constant(name: str, module: str) -> bool:
    """Say whether only what is harmless is assigned to a name in a file."""
    return name in _constants({name}, module)


def _is_plain(value: str) -> bool:
    return bool(
        _CONSTANT.fullmatch(value) or _NUMBER.fullmatch(value) or _PLACEHOLDERS.search(value)
    )


def _constants(values: set[str], module: str) -> set[str]:
    """Return the names among values that only harmless things are assigned to."""
    names = "|".join(filter(_NAME.fullmatch, values))
    if not names:
        return set()
    # A type may stand between: `cols string =` in Go, `table: string =` in TypeScript.
    gap = "[ \t]{0,9}"
    assigned = re.findall(
        rf"\b({names})\b(?:{gap}:?{gap}\w+)?{gap}:?=(?!=){gap}([^\n]{{0,300}})", module
    )
    harmful = {
        name
        for name, what in assigned
        if not (_LITERAL.fullmatch(what) or _is_plain(what.rstrip("; ")))
    }
    return {name for name, _ in assigned} - harmful
