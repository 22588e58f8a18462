"""Draws the README's picture: a review and its check run, as SVG.

Knows how GitHub lays a comment out, roughly; every word in the picture comes from the posted
review, its comments and the check run.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

WIDTH = 860
MARGIN = 24
LINE = 20
SANS = "-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"


class Theme(StrEnum):
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    page: str
    box: str
    head: str
    line: str
    text: str
    quiet: str
    added: str
    mark: str


COLOURS = {
    Theme.LIGHT: Colours(
        page="#ffffff",
        box="#ffffff",
        head="#f6f8fa",
        line="#d0d7de",
        text="#1f2328",
        quiet="#59636e",
        added="#dafbe1",
        mark="#59636e",
    ),
    Theme.DARK: Colours(
        page="#0d1117",
        box="#0d1117",
        head="#151b23",
        line="#3d444d",
        text="#f0f6fc",
        quiet="#9198a1",
        added="#12261e",
        mark="#9198a1",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commented:
    """One inline comment: the line it stands on, and its paragraphs as plain text."""

    path: str
    line: int
    code: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the picture shows."""

    author: str
    check_name: str
    check_title: str
    conclusion: str
    comments: Sequence[Commented]


def draw(scene: Scene, theme: Theme) -> str:
    """Draw the scene. The same scene gives the same bytes."""
    colours = COLOURS[theme]
    shapes: list[str] = []
    y = MARGIN
    for comment in scene.comments:
        y = _comment(shapes, scene.author, comment, y, colours) + 16
    y = _check(shapes, scene, y, colours)
    height = y + MARGIN
    label = escape(f"{len(scene.comments)} review comments and the check run: {scene.check_title}")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-label="{label}">',
            f"<title>{label}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="{colours.page}"/>',
            *shapes,
            "</svg>",
        )
    )


def _comment(shapes: list[str], author: str, comment: Commented, y: int, c: Colours) -> int:
    paragraphs = [wrapped for line in comment.text.splitlines() for wrapped in _wrap(line)]
    code_y, body_y = y + 36, y + 36 + 32
    height = 36 + 32 + 40 + LINE + len(paragraphs) * LINE + 22
    x = MARGIN
    shapes += [
        f'<rect x="{x}" y="{y}" width="{WIDTH - 2 * x}" height="{height}" rx="6" '
        f'fill="{c.box}" stroke="{c.line}"/>',
        f'<path d="M{x} {y + 36}h{WIDTH - 2 * x}" stroke="{c.line}"/>',
        _text(x + 16, y + 23, comment.path, c.text, font=MONO),
        f'<rect x="{x + 1}" y="{code_y + 1}" width="{WIDTH - 2 * x - 2}" height="30" '
        f'fill="{c.added}"/>',
        _text(x + 16, code_y + 21, f"{comment.line:>3} +", c.quiet, font=MONO),
        _text(x + 64, code_y + 21, comment.code, c.text, font=MONO),
        f'<path d="M{x} {body_y}h{WIDTH - 2 * x}" stroke="{c.line}"/>',
        _text(x + 16, body_y + 25, author, c.text, weight=600),
        _text(x + 16, body_y + 40 + 14, comment.heading, c.text, weight=600),
    ]
    y = body_y + 40 + LINE + 14
    for paragraph in paragraphs:
        shapes.append(_text(x + 16, y, paragraph, c.text))
        y += LINE
    return body_y + height - 36 - 32


def _check(shapes: list[str], scene: Scene, y: int, c: Colours) -> int:
    x = MARGIN
    shapes += [
        f'<rect x="{x}" y="{y}" width="{WIDTH - 2 * x}" height="52" rx="6" '
        f'fill="{c.head}" stroke="{c.line}"/>',
        f'<circle cx="{x + 24}" cy="{y + 26}" r="7" fill="none" stroke="{c.mark}" '
        'stroke-width="2"/>',
        _text(x + 44, y + 31, scene.check_name, c.text, weight=600),
        _text(x + 160, y + 31, f"{scene.check_title} ({scene.conclusion})", c.quiet),
    ]
    return y + 52


def _text(x: int, y: int, text: str, fill: str, *, font: str = SANS, weight: int = 400) -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" font-family="{font}" font-size="14" '
        f'font-weight="{weight}" xml:space="preserve">{escape(text)}</text>'
    )


def _wrap(line: str) -> list[str]:
    return textwrap.wrap(line, 104) or [""]
