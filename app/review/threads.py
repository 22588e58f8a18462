"""The threads that stand on a pull request's diff, and what of them a new finding would repeat.

Text of others is compared and goes nowhere else.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.review.diff import Side
from app.review.findings import Finding, Fingerprint

FIXED = "Fixed in "
"""How a comment of ours begins once its finding is fixed."""
MIN_SHARED_WORDS = 3
MIN_SHARE = 0.4
"""Share of the shorter text's words that two tellings of one problem have in common."""
STEM = 4
"""Letters by which words are compared: `divides` and `division` are one."""
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
the and for this that with not are was were has have had but you your can will would should could
from into when then than there here its does did being which what who how why also only just any all
may might must please think maybe see use used using code line lines file function method value
values change changed instead because
""",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread on the diff. `line` is None where the code has moved on since.

    `comment_id` and `node_id` name its first comment, whose text is `body`. `fingerprint` and
    `run_id` are those of our marker in it, if we wrote it. `disliked_by` and `resolved_by` are
    people's logins.
    """

    id: str
    comment_id: int
    node_id: str
    path: str
    side: Side
    start_line: int | None
    line: int | None
    body: str
    is_resolved: bool = False
    is_minimized: bool = False
    resolved_by: str = ""
    disliked_by: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None
    run_id: str = ""

    @property
    def is_ours(self) -> bool:
        return self.fingerprint is not None

    @property
    def is_closed(self) -> bool:
        """Say whether we have told that its finding is fixed."""
        return self.is_ours and self.body.startswith(FIXED)

    @property
    def is_unwanted(self) -> bool:
        """Say whether people have had enough of a finding of ours."""
        return self.is_ours and bool(self.disliked_by or (self.is_resolved and not self.is_closed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands on a pull request. `told` are findings that our reviews' bodies tell, by run."""

    threads: tuple[Thread, ...] = ()
    told: frozenset[tuple[str, Fingerprint]] = frozenset()

    def before(self, run_id: str) -> "Standing":
        """Return what stood there before a run: taken up again, it must say the same again."""
        return Standing(
            threads=tuple(thread for thread in self.threads if thread.run_id != run_id),
            told=frozenset((run, one) for run, one in self.told if run != run_id),
        )

    @property
    def said(self) -> frozenset[Fingerprint]:
        """Name the findings that we said here and did not take for fixed."""
        in_threads = {t.fingerprint for t in self.threads if t.fingerprint and not t.is_closed}
        return frozenset(in_threads | {one for _, one in self.told})


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A thread of ours whose finding is fixed, and what its first comment becomes."""

    thread: Thread
    body: str


def is_unwanted(finding: Finding, threads: Iterable[Thread]) -> bool:
    """Say whether people disliked or resolved a comment of ours that told of the same."""
    return any(
        thread.fingerprint == finding.fingerprint
        or (thread.path == finding.location.path and has_the_same_meaning(finding, thread.body))
        for thread in threads
        if thread.is_unwanted
    )


def is_said_by_others(finding: Finding, threads: Iterable[Thread]) -> bool:
    """Say whether somebody else has opened the same problem on these lines, and it is open."""
    return any(
        not (thread.is_ours or thread.is_resolved)
        and _overlap(finding, thread)
        and has_the_same_meaning(finding, thread.body)
        for thread in threads
    )


def has_the_same_meaning(finding: Finding, text: str) -> bool:
    """Compare a finding's title and body with a text about the same lines, word by word."""
    told, said = _words(f"{finding.title} {finding.body}"), _words(text)
    n_shared = len(told & said)
    return n_shared >= MIN_SHARED_WORDS and n_shared >= MIN_SHARE * min(len(told), len(said))


def _overlap(finding: Finding, thread: Thread) -> bool:
    place = finding.location
    if thread.line is None or (thread.path, thread.side) != (place.path, place.side):
        return False
    return (thread.start_line or thread.line) <= place.line and place.start_line <= thread.line


def _words(text: str) -> frozenset[str]:
    """Take the stems of a text's words and of the parts of its identifiers."""
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+", text)
    words = (part.lower() for part in parts)
    return frozenset(word[:STEM] for word in words if len(word) > 2 and word not in _STOP)
