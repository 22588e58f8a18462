"""A document becomes nodes with lines, or one reason why not, and quickly, whoever wrote it."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.review.yaml_nodes import (
    ALIAS,
    CONTROL,
    LOADER,
    MAX_BYTES,
    TAG,
    Document,
    Items,
    Loader,
    Node,
    Pairs,
    Scalar,
    Unreadable,
    decode,
    parse_yaml,
)

LOADERS = [LOADER, yaml.SafeLoader]


def plain(node: Document) -> object:
    """Return a document as Python values; a node with a flaw is its flaw."""
    match node:
        case Scalar():
            return node.flaw or node.text
        case Items():
            return node.flaw or [plain(item) for item in node.items]
        case Pairs():
            return node.flaw or [(plain(key), plain(value)) for key, value in node.pairs]
        case _:
            return node


def scalar(document: Document) -> Scalar:
    assert isinstance(document, Pairs)
    value = document.pairs[0][1]
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing\n", None),
        ("---\n", ""),
        ("a: b", [("a", "b")]),
        ("a: [b, {c: d}]", [("a", ["b", [("c", "d")]])]),
        ("a: 1\na: 2", [("a", "1"), ("a", "2")]),
        ("? [a]\n: b", [(["a"], "b")]),
        ("a: |\n  x\n  y\n", [("a", "x\ny\n")]),
        ("%YAML 1.2\n---\na: b\n...\n", [("a", "b")]),
        ("a: &x [1]\nb: *x", [("a", ALIAS), ("b", ALIAS)]),
        ("<<: *x", [("<<", ALIAS)]),
        ("*x : b", [(ALIAS, "b")]),
        ("a: !!python/object/apply:os.system [ls]", [("a", TAG)]),
        ("a: !!str 5", [("a", TAG)]),
        ("a: ! 5", [("a", TAG)]),
        ('a: "\\0"', [("a", CONTROL)]),
        ('"\\e": b', [(CONTROL, "b")]),
    ],
)
def test_a_document_is_taken_apart_without_resolving_anything(
    text: str, expected: object, loader: Loader
) -> None:
    assert plain(parse_yaml(text, loader)) == expected


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: [b, c\n\n\n", 1, "expected valid YAML: "),
        ("ok: 1\na: 'b\n", 2, "expected valid YAML: "),
        ("a: b: c", 1, "expected valid YAML: mapping values are not allowed "),
        ("a: 1\n\tb: 2", 2, "expected blanks; YAML takes no tab here"),
        ("a:\n\t- b", 2, "expected blanks; YAML takes no tab here"),
        ("a: @b", 1, "expected valid YAML: "),
        ("!e!x a", 1, "expected valid YAML: found undefined tag handle"),
        ("a: 1\n---\nb: 2\n", 2, "expected one document, not several"),
        ("a: b\r\nc: [\r\n", 2, "expected valid YAML: "),
        ("a: b\rb: [", 2, "expected valid YAML: "),
        ('a: "\\UFFFFFFFF"', 1, "expected valid YAML"),
        ("[" * 65_000, 1, "expected at most 20 levels"),
        ("{" * 65_000, 1, "expected at most 20 levels"),
        ("- " * 32_000, 1, "expected at most 20 levels"),
        ("? " * 32_000, 1, "expected at most 20 levels"),
        ("[\n" * 32_000, 21, "expected at most 20 levels"),
        ("[" + "{a: " * 16_000, 1, "expected at most 20 levels"),
        ("- a\n" * 16_000, 5_000, "expected at most 5000 keys and values"),
        ("[" + "a," * 30_000 + "]", 1, "expected at most 5000 keys and values"),
        ("a: b\n" * 13_000, 2_500, "expected at most 5000 keys and values"),
    ],
)
def test_what_is_not_read_is_told_with_its_line(
    text: str, line: int, reason: str, loader: Loader
) -> None:
    started = time.perf_counter()
    told = parse_yaml(text, loader)
    assert time.perf_counter() - started < 5  # in pure Python it is ten times slower
    assert isinstance(told, Unreadable)
    assert told.line == line
    assert told.reason.startswith(reason)


def test_the_place_where_a_bracket_was_opened_is_told() -> None:
    told = parse_yaml("a:\n- [b\nc: d\n")
    assert isinstance(told, Unreadable)
    assert told.reason.endswith("while parsing a flow sequence that begins in line 2")


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("value", ["plain", '"in quotes"', "'so'", "\U0001f600 after", "1.50"])
def test_a_scalar_knows_where_it_stands_as_it_was_written(value: str, loader: Loader) -> None:
    text = f"# \U0001f600\nkey: {value}  # why\n"
    node = scalar(parse_yaml(text, loader))
    assert text[node.start : node.end] == value
    assert node.line == 2
    assert node.is_plain is not value.startswith(("'", '"'))


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"a: b\r\n", "a: b\r\n"), (b"\xef\xbb\xbfa: b", "a: b"), (b"a:\tb", "a:\tb")],
)
def test_a_file_is_text_without_a_byte_order_mark(raw: bytes, text: str) -> None:
    assert decode(raw) == text


@pytest.mark.parametrize(
    ("raw", "line", "reason"),
    [
        (b"a: 1\nb: \xff\n", 2, "expected UTF-8; a byte here is not"),
        ("a: 1".encode("utf-16"), 1, "expected UTF-8; a byte here is not"),
        ("a: 1".encode("utf-16-le"), 1, f"{CONTROL} (U+0000)"),
        (b"a: 1\n\nb: \0", 3, f"{CONTROL} (U+0000)"),
        (b"a: \x1b[2J", 1, f"{CONTROL} (U+001B)"),
        (b"#" * (MAX_BYTES + 1), 1, f"expected at most {MAX_BYTES} bytes, not {MAX_BYTES + 1}"),
        (b"#" * 1_000_000, 1, f"expected at most {MAX_BYTES} bytes, not 1000000"),
    ],
)
def test_bytes_that_are_no_text_are_told(raw: bytes, line: int, reason: str) -> None:
    assert decode(raw) == Unreadable(line=line, reason=reason)


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`?, \n\t\r\\0xU~\x85\u2028"), max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    nodes: list[Document] = [parse_yaml(text, loader) for loader in LOADERS]
    for node in nodes:
        assert not isinstance(node, Node) or 1 <= node.line <= len(text.splitlines()) + 1
