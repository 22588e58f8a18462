"""The configuration of a review: every value, its default and its meaning."""

from dataclasses import dataclass
from enum import StrEnum

from app.review.focus import DEFAULT_AREAS, Area
from app.review.priority import Priority

CONFIG_PATH = ".github/codex-review.yml"
"""Where a repository's configuration lies; its organisation's too, in its `.github` repository."""


class Trigger(StrEnum):
    """What happened to a pull request that may start an automatic review; beside `label:<name>`."""

    OPENED = "opened"
    REOPENED = "reopened"
    READY_FOR_REVIEW = "ready_for_review"
    SYNCHRONIZE = "synchronize"


LABEL_TRIGGER = "label:"
"""`automatic: [label:review-me]` starts a review when that label is put on."""


class AutomaticFor(StrEnum):
    """Whose pull requests are reviewed automatically: people with at least this permission."""

    ADMIN = "admin"
    WRITE = "write"
    READ = "read"
    ANYONE = "anyone"


class MayCommand(StrEnum):
    """Who may command: people with at least this permission; `author`: and the author too."""

    ADMIN = "admin"
    WRITE = "write"
    READ = "read"
    AUTHOR = "author"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What the repository's own people say about files whose path matches `path`."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Findings that nobody wants to hear of. `area` and `path` None fit all; with `about` the
    judge says whether a finding is about it."""

    area: Area | None = None
    path: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What governs one review. The defaults are those of the README's table.

    `automatic` holds the values of `Trigger` and `label:<name>`; `usd_per_review` None is no
    limit; `model` is empty for the server's own choice.
    """

    automatic: tuple[str, ...] = ()
    automatic_for: AutomaticFor = AutomaticFor.WRITE
    focus: tuple[Area, ...] = DEFAULT_AREAS
    min_priority: Priority = Priority.P2
    min_priority_automatic: Priority = Priority.P1
    max_comments: int = 5
    fail_on: Priority | None = None
    fail_on_error: bool = False
    drafts: bool = False
    branches: tuple[str, ...] = ("*",)
    ignore_authors: tuple[str, ...] = ()
    skip_labels: tuple[str, ...] = ()
    language: str = "en"
    check_name: str = "codex review"
    ignore: tuple[str, ...] = ()
    never_send: tuple[str, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    suppress: tuple[Suppression, ...] = ()
    may_command: MayCommand = MayCommand.WRITE
    bots: tuple[str, ...] = ()
    model: str = ""
    usd_per_review: float | None = None

    @property
    def is_english(self) -> bool:
        """Say whether the model answers in the language of its instructions."""
        return self.language.lower().startswith("en")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What the operator allows at most. `models` are the names that a repository may choose."""

    models: tuple[str, ...] = ()
    usd_per_review: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One file of configuration. `name` tells people where it lies, e.g.
    `acme/shop: .github/codex-review.yml` or `DEFAULT_CONFIG`."""

    name: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong in a layer: `line` is 1-based, `key` is dotted and may be empty."""

    layer: str
    line: int
    key: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.layer}, line {self.line}"
        return f"{where}, {self.key}: {self.expected}" if self.key else f"{where}: {self.expected}"


DEFAULTS = Config()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The configuration in force. `sources`: dotted key → name of the layer it came from; a key
    that is not there has its default. `mistakes` are told; what they name had no effect."""

    config: Config = DEFAULTS
    sources: tuple[tuple[str, str], ...] = ()
    mistakes: tuple[Mistake, ...] = ()
