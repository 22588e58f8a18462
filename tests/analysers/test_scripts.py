"""Scripts without a suffix."""

import pytest

from app.analysers.scripts import may_be_script, with_suffix


@pytest.mark.parametrize(
    ("first", "suffix"),
    [
        (b"#!/bin/sh\n", ".sh"),
        (b"#! /usr/bin/env bash\n", ".sh"),
        (b"#!/usr/bin/env -S python3 -u\n", ".py"),
        (b"#!/usr/bin/python3.11\n", ".py"),
        (b"#!/usr/bin/env node\n", ".js"),
        (b"#!/usr/bin/awk -f\n", ""),
        (b"set -e\n", ""),
        (b"", ""),
    ],
)
def test_the_first_line_tells_the_language(first: bytes, suffix: str) -> None:
    assert with_suffix("bin/run", first + b"x\n") == "bin/run" + suffix


@pytest.mark.parametrize("path", ["LICENSE", "Makefile", "a.txt", ".gitignore", "Gemfile", "a.py"])
def test_what_a_name_tells_is_no_script_of_unknown_language(path: str) -> None:
    assert not may_be_script(path)
    assert with_suffix(path, b"#!/bin/sh\n") == path
