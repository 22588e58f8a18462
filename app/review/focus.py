"""The focus areas: their names, what people call them, which files concern them, and which share
a call. Tables and look-ups; a new area is a line in each table and a file in `prompts/focus/`.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from app.review.classes import FileClass
from app.review.globs import Globs, compile_list


class Area(StrEnum):
    CORRECTNESS = "correctness"
    SECURITY = "security"
    PERFORMANCE = "performance"
    DEPENDENCIES = "dependencies"
    TESTS = "tests"
    DOCS = "docs"
    STYLE = "style"


DEFAULT_AREAS = (
    Area.CORRECTNESS,
    Area.SECURITY,
    Area.PERFORMANCE,
    Area.DEPENDENCIES,
    Area.TESTS,
)

GROUPS = (
    (Area.CORRECTNESS, Area.PERFORMANCE, Area.TESTS),
    (Area.SECURITY,),
    (Area.DEPENDENCIES,),
    (Area.DOCS, Area.STYLE),
)
"""Areas that share a call. Each is in one group; a line is asked about once for each group."""

_WORDS = {
    Area.CORRECTNESS: "bug bugs bugfix correct defect defects error errors logic",
    Area.SECURITY: "sec secure vulnerability vulnerabilities vuln vulns safety",
    Area.PERFORMANCE: "perf performant speed efficiency optimisation optimization",
    Area.DEPENDENCIES: "deps dep dependency packages package supply-chain",
    Area.TESTS: "test testing coverage",
    Area.DOCS: "doc documentation docstring docstrings comments",
    Area.STYLE: "styles styling formatting naming readability nits nit lint",
}
ALIASES = {word: area for area, words in _WORDS.items() for word in (area.value, *words.split())}


_NO_PATHS = compile_list("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Which files concern an area: those of these classes, and those at these paths."""

    classes: frozenset[FileClass]
    paths: Globs = _NO_PATHS


# Files that steer what agents and CI do are code, whatever their suffix.
_INSTRUCTIONS = compile_list(
    """
    AGENTS.md CLAUDE.md GEMINI.md .cursorrules .windsurfrules **/.cursor/** **/.claude/**
    .github/copilot-instructions.md .github/instructions/** .github/prompts/** .github/agents/**
    """
)
_CI_AND_IMAGES = compile_list(
    """
    Dockerfile* *.dockerfile Containerfile* docker-compose* compose.yml compose.yaml
    .github/workflows/** .github/actions/** action.yml action.yaml .github/dependabot.yml
    .gitlab-ci.yml .gitlab/** .circleci/** .buildkite/** azure-pipelines.yml bitbucket-pipelines.yml
    .travis.yml .drone.yml Jenkinsfile* .pre-commit-config.yaml tox.ini noxfile.py .npmrc .yarnrc*
    """
)

CONCERNS = {
    Area.CORRECTNESS: Concern(
        classes=frozenset(
            (
                FileClass.SOURCE,
                FileClass.TEST,
                FileClass.CONFIGURATION,
                FileClass.MANIFEST,
                FileClass.SYMLINK,
            )
        )
    ),
    Area.SECURITY: Concern(
        classes=frozenset(
            (
                FileClass.SOURCE,
                FileClass.CONFIGURATION,
                FileClass.MANIFEST,
                FileClass.SYMLINK,
                FileClass.SUBMODULE,
            )
        ),
        paths=_INSTRUCTIONS,
    ),
    Area.PERFORMANCE: Concern(classes=frozenset((FileClass.SOURCE,))),
    Area.DEPENDENCIES: Concern(
        classes=frozenset((FileClass.MANIFEST, FileClass.SUBMODULE)), paths=_CI_AND_IMAGES
    ),
    Area.TESTS: Concern(classes=frozenset((FileClass.SOURCE, FileClass.TEST))),
    Area.DOCS: Concern(classes=frozenset((FileClass.DOCS, FileClass.SOURCE))),
    Area.STYLE: Concern(classes=frozenset((FileClass.SOURCE, FileClass.TEST))),
}


def parse_area(word: str) -> Area | None:
    """Find the area that a word names, its own name or an alias; case does not matter."""
    return ALIASES.get(word.strip().lower())


def closest(word: str) -> Area | None:
    """Guess which area was meant by a mistyped word."""
    near = get_close_matches(word.strip().lower()[:40], ALIASES, n=1, cutoff=0.7)
    return ALIASES[near[0]] if near else None


def concerns(area: Area, file_class: FileClass, path: str) -> bool:
    """Say whether an area has anything to look for in such a file."""
    concern = CONCERNS[area]
    return file_class in concern.classes or concern.paths.matches(path)
