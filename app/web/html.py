"""Renders our pages: one frame, no script, nothing from elsewhere, and the headers that say so."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from app.review.masking import visible

_TEMPLATES = Path(__file__).parent / "templates"


def _seen(value: object) -> object:
    """Write out what a reader would not see; jinja2 then escapes it."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_JINJA = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_seen,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = (_TEMPLATES / "style.css").read_text("utf-8")
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def page(
    template: str,
    status: int = HTTPStatus.OK,
    *,
    posts_to: str = "",
    headers: Mapping[str, str] | None = None,
    **shown: object,
) -> HTMLResponse:
    """Render a page whose forms go to us, and to the origin of `posts_to`."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self' {posts_to}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    text = _JINJA.get_template(template).render(style=_STYLE, **shown)
    return HTMLResponse(
        text, status, {**_HEADERS, "Content-Security-Policy": policy, **(headers or {})}
    )
