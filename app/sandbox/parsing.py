"""Parses texts of a pull request in a child: a parser that hangs or crashes costs only itself."""

import re
import sys
from collections.abc import Sequence

from app.ports import Child
from app.review.syntax import Language
from app.sandbox.child import FILES

# Tells each number as soon as it is known, so that a text that hangs costs only those after it.
PROGRAM = """
import sys
from pathlib import Path
from app.review.syntax import Language, count_errors
folder, language = Path(sys.argv[1]), Language(sys.argv[2])
for number in range(int(sys.argv[3])):
    text = (folder / str(number)).read_bytes().decode("utf-8", "surrogatepass")
    print(count_errors(language, text), flush=True)
"""

_COUNT = re.compile(rb"([0-9]+)\n|None\n")


class ParsingChild:
    """A Syntax that starts one child for each call."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def count_errors(
        self, language: Language, texts: Sequence[str]
    ) -> tuple[int | None, ...]:
        """Count the errors in each text; None where that could not be told."""
        ended = await self._child.run(
            (sys.executable, "-I", "-B", "-c", PROGRAM, FILES, language.value, str(len(texts))),
            {str(n): text.encode("utf-8", "surrogatepass") for n, text in enumerate(texts)},
        )
        told = [int(found[1]) if found[1] else None for found in _COUNT.finditer(ended.stdout)]
        return (*told, *[None] * (len(texts) - len(told)))
