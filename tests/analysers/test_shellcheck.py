"""shellcheck itself on changes, well-meant and hostile."""

import pytest

from app.analysers.shellcheck import SHELLCHECK
from app.ports import Found
from app.review.priority import Priority
from tests.analysers.children import Planted, analyse, told

pytestmark = pytest.mark.anyio

BAD = '#!/bin/sh\nrm -rf "$1/"*\n'


@pytest.mark.parametrize(
    ("code", "rule", "priority"),
    [
        (BAD, "SC2115", Priority.P1),
        ("#!/bin/sh\nrm -rf /usr\n", "SC2114", Priority.P1),
        ("#!/bin/bash\nf() { ls $@; }\nf a\n", "SC2068", Priority.P2),
        ("#!/bin/sh\ncd /srv\n", "SC2164", Priority.P3),
    ],
)
async def test_a_rule_has_its_priority(code: str, rule: str, priority: Priority) -> None:
    found = await analyse(SHELLCHECK, {"a.sh": code})

    assert [(c.rule, c.priority) for c in found.candidates] == [(rule, priority)]


@pytest.mark.parametrize(
    "code",
    [
        '#!/bin/sh\nrm -rf "${1:?}/"*\n',
        '#!/bin/sh\nf() { local a=$1; echo "$a"; }\nf x\n',
        '. ./other.sh\necho "$FROM_OTHER"\n',
        "#!/bin/sh\necho $1\n",
    ],
)
async def test_sound_code_and_noise_are_left_alone(code: str) -> None:
    assert await analyse(SHELLCHECK, {"a.sh": code}) == Found(finder="shellcheck")


async def test_only_added_lines_are_spoken_of() -> None:
    found = await analyse(SHELLCHECK, {"a.sh": BAD + "cd /srv\n"}, before={"a.sh": BAD})

    assert told(found) == [("SC2164", "a.sh", 3)]


async def test_configuration_in_the_change_changes_nothing() -> None:
    planted = Planted({".shellcheckrc": "disable=all\n", "shellcheckrc": "disable=all\n"})

    found = await analyse(SHELLCHECK, {"a.sh": BAD}, child=planted)

    assert told(found) == [("SC2115", "a.sh", 2)]


@pytest.mark.parametrize(
    "comment",
    [
        "# shellcheck disable=SC2115",
        "# shellcheck disable=SC1000-SC9999 # all is well",
        "  # shellcheck shell=sh disable=all",
    ],
)
async def test_a_comment_silences_nothing(comment: str) -> None:
    code = f'#!/bin/sh\nx() {{ ls --disable=SC2115; }}\n{comment}\nrm -rf "$1/"*\n'

    assert told(await analyse(SHELLCHECK, {"a.sh": code})) == [("SC2115", "a.sh", 4)]


async def test_files_that_a_script_sources_are_not_read() -> None:
    code = '#!/bin/sh\n# shellcheck source=/etc/profile\n. /etc/profile\nrm -rf "$1/"*\n'

    assert told(await analyse(SHELLCHECK, {"a.sh": code})) == [("SC2115", "a.sh", 4)]


@pytest.mark.parametrize("code", ["#!/bin/zsh\nls\n", "#!/bin/sh\nif true; then\n"])
async def test_what_cannot_be_parsed_is_not_analysed(code: str) -> None:
    found = await analyse(SHELLCHECK, {"a.sh": code})

    assert found == Found(
        finder="shellcheck", not_analysed={"a.sh": "shellcheck could not read it"}
    )


@pytest.mark.parametrize(("path", "wanted"), [("a.sh", True), ("b.bats", True), ("a.zsh", False)])
def test_shell_scripts_are_wanted(path: str, wanted: bool) -> None:
    assert SHELLCHECK.wants(path) is wanted


async def test_a_script_without_a_suffix_is_read() -> None:
    found = await analyse(SHELLCHECK, {"bin/run": '#!/usr/bin/env bash\nrm -rf "$1/"*\n'})

    assert told(found) == [("SC2115", "bin/run", 2)]
