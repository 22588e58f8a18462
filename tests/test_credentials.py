"""The file of credentials: read beneath the environment, written for its owner only."""

import stat
from pathlib import Path

import pytest

from app.credentials import credentials_file, read_environment, write_privately
from app.errors import Unusable

MULTILINE = 'PRIVATE_KEY="-----BEGIN X-----\nabc\n-----END X-----"\n'


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("APP_ID=7\n", {"APP_ID": "7"}),
        ("# a comment\nexport APP_ID='7'\n", {"APP_ID": "7"}),
        ("MODEL=$HOME/${x}\n", {"MODEL": "$HOME/${x}"}),
        ("APP_ID=\nMODEL\n", {}),
        ("APP_ID=\nAPP_ID=7\n", {"APP_ID": "7"}),
        (MULTILINE, {"PRIVATE_KEY": "-----BEGIN X-----\nabc\n-----END X-----"}),
    ],
)
def test_the_file_is_read_as_people_write_such_files(
    tmp_path: Path, text: str, read: dict[str, str]
) -> None:
    file = tmp_path / "app.env"
    file.write_text(text)
    assert read_environment({"CREDENTIALS_FILE": str(file)}) == {
        "CREDENTIALS_FILE": str(file),
        **read,
    }


def test_the_environment_lies_over_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text("APP_ID=7\nMODEL=small\n")
    told = {"CREDENTIALS_FILE": str(file), "APP_ID": " ", "MODEL": "large"}
    found = read_environment(told)
    assert (found["APP_ID"], found["MODEL"]) == ("7", "large")


def test_a_file_that_lies_in_the_folder_is_not_obeyed_by_who_reviews_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    credentials_file({}).write_text("OPENAI_BASE_URL=https://elsewhere.example\n")
    assert read_environment({}, by_default=False) == {}
    assert read_environment({}) == {"OPENAI_BASE_URL": "https://elsewhere.example"}


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"CREDENTIALS_FILE .* cannot be read"):
        read_environment({"CREDENTIALS_FILE": str(tmp_path)})


def test_what_is_written_is_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    real = tmp_path / "real.env"
    real.write_text("old")
    real.chmod(0o644)
    link = tmp_path / "link.env"
    link.symlink_to(real)
    write_privately(link, "new")
    assert (real.read_text(), stat.S_IMODE(real.stat().st_mode)) == ("new", 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.env", "real.env"]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be written"):
        write_privately(tmp_path / "none" / "app.env", "x")
