"""Editors are told by the schema what the parser takes: no more, no less."""

from typing import Any

import jsonschema
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from app.review.config import Ceilings, Layer
from app.review.config_file import read_config
from tests.config_schema import config_schema

VALIDATOR = jsonschema.Draft202012Validator(config_schema())


def from_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of ours may accept, and some that it does not."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([from_schema(one) for one in schema["anyOf"]])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"] - 1, schema["maximum"] + 1)
        case "number":
            return st.floats(schema["minimum"] - 1, schema["maximum"] + 1, width=32)
        case "string":
            near = st.sampled_from(
                ["a", "label:x", "src/**", "a[bot]", " ", "", "é", "!a", "1", "no"]
            )
            return st.one_of(near, st.text(max_size=5), st.text("ab/*-[]\\. ", max_size=210))
        case "array":
            return st.lists(from_schema(schema["items"]), max_size=3)
        case _:
            properties = {n: from_schema(s) for n, s in schema["properties"].items()}
            return st.fixed_dictionaries({}, optional=properties)


@example({"suppress": [{"about": "\ufffe"}]}, True)
@example({"paths": {"instructions": [{"path": "a", "text": "\x85\x86"}]}}, True)
@given(from_schema(config_schema()), st.booleans())
def test_the_schema_accepts_what_the_parser_takes_and_nothing_else(
    value: Any, in_flow: bool
) -> None:
    text = yaml.safe_dump(value, default_flow_style=in_flow)
    offered = Ceilings(models=(value.get("model", {}).get("name", ""),))
    configured = read_config([Layer(name="repo", raw=text.encode())], offered)
    assert (configured.mistakes == ()) is VALIDATOR.is_valid(value), (text, configured.mistakes)
