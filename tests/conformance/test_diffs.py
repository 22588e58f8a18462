"""Our parser and anchoring rules against git's truth: every file pair, line number and text."""

import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.review.anchor import commentable, is_commentable
from app.review.diff import FileDiff, Side, parse_diff

NO_MODE = "000000"
PURE = 100  # per cent: nothing in such a diff tells mode or binary

FILE_START = re.compile(rb"^diff --git ", re.MULTILINE)

# JSON of the corpus, whose README describes it.
Truth = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(shared: Path) -> list[Truth]:
    with gzip.open(shared / "diffs" / "diffs.jsonl.gz") as lines:
        return [json.loads(line) for line in lines]


def bytes_of(record: Truth) -> bytes:
    raw: bytes = record["diff"].encode("utf-8", "surrogateescape")
    assert hashlib.sha256(raw).hexdigest() == record["diff_sha256"]
    return raw


def pairs(corpus: list[Truth]) -> Iterator[tuple[FileDiff, Truth]]:
    for record in corpus:
        if not record.get("combined"):
            diff = parse_diff(bytes_of(record))
            assert diff.damaged == (), record["id"]
            yield from zip(diff.files, record["files"], strict=True)


def test_every_file_pair_agrees(corpus: list[Truth]) -> None:
    for file, truth in pairs(corpus):
        assert (file.old_path, file.new_path) == (truth["old"], truth["new"])
        assert file.status[0].upper() == truth["status"]
        assert file.similarity == truth.get("similarity")
        assert (truth["old_oid"]).startswith(file.old_oid or "")
        assert (truth["new_oid"]).startswith(file.new_oid or "")
        if file.similarity != PURE:
            assert (file.old_mode or NO_MODE, file.new_mode or NO_MODE) == (
                truth["old_mode"],
                truth["new_mode"],
            )
            assert file.is_binary == truth["binary"]


def test_every_line_agrees(corpus: list[Truth]) -> None:
    for file, truth in pairs(corpus):
        found = [[h.old_start, h.old_count, h.new_start, h.new_count] for h in file.hunks]
        assert found == truth["hunks"]
        if file.hunks:
            assert (file.n_added, file.n_deleted) == (truth["n_added"], truth["n_deleted"])
            assert digest(file, "+") == truth["added_sha256"]
            assert digest(file, "-") == truth["deleted_sha256"]


def digest(file: FileDiff, kind: str) -> str:
    sha = hashlib.sha256()
    for line in file.changed_lines:
        if line.kind == kind:
            number = line.new if kind == "+" else line.old
            sha.update(f"{number}\t{line.text}\n".encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def test_every_missing_newline_is_marked(corpus: list[Truth]) -> None:
    for record in corpus:
        if record.get("combined"):
            continue
        raw = bytes_of(record)
        lines = [x for f in parse_diff(raw).files for h in f.hunks for x in h.lines]
        markers = raw.count(b"\n\\ No newline at end of file\n")
        assert sum(not line.has_newline for line in lines) == markers


def test_the_commentable_lines_are_those_of_the_tables(corpus: list[Truth]) -> None:
    for file, truth in pairs(corpus):
        right = [list(lines) for lines in commentable(file, Side.RIGHT)]
        left = [list(lines) for lines in commentable(file, Side.LEFT)]
        assert right == truth.get("legal", {}).get("RIGHT", [])
        assert left == truth.get("deleted_ranges", [])


def test_a_line_is_commentable_exactly_if_a_table_has_it(corpus: list[Truth]) -> None:
    for file, truth in pairs(corpus):
        if file.n_added + file.n_deleted > 500:
            continue
        for side, table in (
            (Side.RIGHT, truth.get("legal", {}).get("RIGHT", [])),
            (Side.LEFT, truth.get("deleted_ranges", [])),
        ):
            legal = {n for first, last in table for n in range(first, last + 1)}
            tried = {n + d for n in legal for d in (-1, 0, 1)} | {-1, 0, 1}
            assert {n for n in tried if is_commentable(file, side, n, n)} == legal


def test_a_combined_diff_has_no_lines(corpus: list[Truth]) -> None:
    combined = [record for record in corpus if record.get("combined")]
    for record in combined:
        diff = parse_diff(bytes_of(record))
        assert diff.files == ()
        assert {damaged.path for damaged in diff.damaged} <= set(record["paths"])
    assert combined


@pytest.mark.conformance
def test_ten_thousand_damaged_diffs_keep_their_whole_files(corpus: list[Truth]) -> None:
    chance = random.Random(8)
    small = [raw for r in corpus if not r.get("combined") and len(raw := bytes_of(r)) < 60_000]
    whole = [parse_diff(raw).files for raw in small]
    for _ in range(10_000):
        at = chance.randrange(len(small))
        raw, first = damaged(small[at], chance)
        kept = files_before(small[at], first)
        assert parse_diff(raw).files[:kept] == whole[at][:kept]


def damaged(raw: bytes, chance: random.Random) -> tuple[bytes, int]:
    """Cut a diff, change a byte of it or swap two lines; the number is where the damage begins."""
    kind = chance.choice(["cut", "byte", "neighbours", "lines"])
    at = chance.randrange(len(raw))
    if kind == "cut":
        return raw[:at], at
    if kind == "byte":
        return raw[:at] + chance.randbytes(1) + raw[at + 1 :], at
    lines = raw.split(b"\n")
    one = chance.randrange(len(lines) - 1)
    two = (
        min(one + 1, len(lines) - 2)
        if kind == "neighbours"
        else chance.randrange(one, len(lines) - 1)
    )
    if lines[two].startswith(b"\\"):  # "no newline" after a whole hunk is well-formed
        return raw, len(raw)
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines), len(b"".join(line + b"\n" for line in lines[:one]))


def files_before(raw: bytes, first: int) -> int:
    """Count the files that end at or before a byte."""
    starts = [match.start() for match in FILE_START.finditer(raw)]
    return sum(end <= first for end in [*starts[1:], len(raw)])
