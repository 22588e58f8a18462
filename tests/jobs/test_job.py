"""The state table and the work's form on disk."""

import msgspec
import pytest

from app.jobs.job import (
    ENDED,
    LANE_OF,
    NEXT,
    Again,
    Ask,
    Close,
    JobState,
    Look,
    MergeGroup,
    Met,
    Parked,
    Respond,
    Restate,
    Review,
    Work,
    command_key,
    decode_work,
    encode_work,
    ending_after_crash,
    name_run,
)
from app.review.focus import Area
from tests.jobs.builders import COMMENT, target

WORKS: list[Work] = [
    Respond(target=target(), comment=COMMENT, line="@codex review für “perf”"),
    Review(target=target(), areas=(Area.SECURITY,), full=True, wish="leaks", comment=COMMENT),
    Review(target=target(), is_automatic=True),
    Ask(target=target(), comment=COMMENT, question="Why “this”?"),
    Restate(target=target()),
    Look(target=target(), trigger="label:“review me”"),
    Close(target=target()),
    Again(target=target(), head_sha="a", asked_run="r", numbers=(1, 2), full=True),
    MergeGroup(target=target(), head_sha="a"),
    Parked(target=target(), review=Review(target=target(), wish="leaks"), run="r", since=7.5),
    Met(target=target(), at=7.5),
]


@pytest.mark.parametrize("work", WORKS)
def test_work_is_read_as_it_was_written(work: Work) -> None:
    assert decode_work(encode_work(work)) == work


def test_work_of_another_release_is_read_with_unknown_fields_and_without_later_ones() -> None:
    text = """{"type": "review", "since": "later", "target": {"installation_id": 7,
        "repository_id": 70, "owner": "acme", "repo": "shop", "number": 1}}"""
    assert decode_work(text) == Review(target=target())


def test_a_command_that_was_stored_before_there_were_threads_is_read() -> None:
    text = """{"type": "respond", "line": "@codex help", "target": {"installation_id": 7,
        "repository_id": 70, "owner": "acme", "repo": "shop", "number": 1},
        "comment": {"kind": "issue_comment", "id": 5, "author": "ann"}}"""
    work = decode_work(text)
    assert isinstance(work, Respond)
    assert work.comment.thread is None


@pytest.mark.parametrize("kind", ["look", "close", "again", "merge_group"])
def test_what_needs_a_field_that_is_not_there_is_refused(kind: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_work(f'{{"type": "{kind}"}}')


def test_every_kind_of_work_has_a_lane() -> None:
    assert set(LANE_OF) == {type(work) for work in WORKS}


def test_the_same_parts_name_the_same_run() -> None:
    assert name_run("a", "b") == name_run("a", "b") != name_run("a", "c")
    assert name_run("\udcff") != name_run("\udcfe")


def test_work_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_work('{"type": "dance"}')


def test_every_state_is_in_the_table_and_what_has_ended_stays_so() -> None:
    assert set(NEXT) == set(JobState)
    assert set(JobState) - ENDED == {JobState.QUEUED, JobState.RUNNING}


@pytest.mark.parametrize(
    ("crashes", "ending", "expected"),
    [
        (1, None, None),
        (2, None, None),
        (3, None, JobState.FAILED),
        (3, JobState.CANCELLED, JobState.CANCELLED),
    ],
)
def test_the_third_crash_makes_poison(
    crashes: int, ending: JobState | None, expected: JobState | None
) -> None:
    assert ending_after_crash(crashes, ending) is expected


def test_commands_are_told_apart_by_place_and_text() -> None:
    keys = {
        command_key(target(), COMMENT, 0, "@codex review"),
        command_key(target(), COMMENT, 1, "@codex review"),
        command_key(target(), COMMENT, 0, "@codex help"),
        command_key(target(repository=71), COMMENT, 0, "@codex review"),
    }
    assert len(keys) == 4
    assert command_key(target(), COMMENT, 0, "@codex help") in keys
