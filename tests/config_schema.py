"""The JSON schema for editors as it has to be: what the parser takes, in the schema's own words.

`.github/codex-review.schema.json` holds the words, by hand: the description of each key.
"""

import json
from typing import Any

from app.review.config import DEFAULTS
from app.review.config_file import KEYS, field_of
from app.review.config_kinds import Flag, Kind, Many, Number, Record, Text, Words, spelled
from tests.conftest import CHECKOUT

FILE = CHECKOUT / ".github" / "codex-review.schema.json"
WITHOUT_DEFAULT = "limits.usd_per_review"


def config_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) that the keys and kinds of the parser call for."""
    kept = json.loads(FILE.read_text("utf-8"))
    top: dict[str, Any] = {"version": {"title": "version", "description": "Always 1.", "const": 1}}
    for name, kind in KEYS.items():
        section, _, leaf = name.rpartition(".")
        written = kept["properties"].get(section, kept).get("properties", {}).get(leaf, {})
        shape = {"title": name, "description": written.get("description", ""), **shape_of(kind)}
        if name != WITHOUT_DEFAULT:
            shape["default"] = spelled(getattr(DEFAULTS, field_of(name)))
        properties = top
        if section:
            properties = top.setdefault(section, _object(section))["properties"]
        properties[leaf] = shape
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_object("codex-review"),
        "description": "How pull requests are reviewed; from the default branch.",
        "properties": top,
    }


def shape_of(kind: Kind) -> dict[str, Any]:
    """Return the schema of what a kind reads, in its usual spelling."""
    match kind:
        case Flag():
            return {"type": "boolean"}
        case Number():
            name = "integer" if kind.is_whole else "number"
            return {"type": name, "minimum": kind.least, "maximum": kind.most}
        case Text():
            return {"type": "string", "maxLength": kind.most, "pattern": kind.pattern}
        case Words():
            words = {"enum": [spelled(value) for value in dict.fromkeys(kind.words.values())]}
            return {"anyOf": [words, shape_of(kind.free)]} if kind.free else words
        case Many():
            least = {"minItems": kind.least} if kind.least else {}
            items = shape_of(kind.item)
            return {"type": "array", "items": items, **least, "maxItems": kind.most}
        case Record():
            properties = {name: shape_of(one) for name, one in kind.fields.items()}
            needs = {"required": [*kind.required]} if kind.required else {"minProperties": 1}
            closed = {"additionalProperties": False}
            return {"type": "object", "properties": properties, **needs, **closed}
    raise AssertionError(f"a kind without a shape: {kind}")


def _object(title: str) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": {}, "additionalProperties": False}
