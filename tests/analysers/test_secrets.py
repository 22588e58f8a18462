"""Secrets on added lines: found, named by kind, and nowhere in what is said of them."""

import string
from base64 import b64encode
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysers.secrets import BODY, TRIGGER, Secrets
from app.ports import Found
from app.review.anchor import anchor
from app.review.diff import Diff, FileDiff, Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.masking import MASK, mask
from app.review.priority import Priority
from tests.analysers.changes import make_change

pytestmark = pytest.mark.anyio

SECRET = "a1B2c3D4e5" * 4
TOKEN = f"ghp_{SECRET}"
KEY_LINES = [b64encode(bytes(range(n, n + 48))).decode() for n in range(0, 192, 48)]
KEY = "\n".join(("-----BEGIN RSA PRIVATE KEY-----", *KEY_LINES, "-----END RSA PRIVATE KEY-----"))


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    return await Secrets().find(make_change(files, before), {})


def told(found: Found) -> list[tuple[str | None, str, int, Priority]]:
    return [(c.rule, c.location.path, c.location.line, c.priority) for c in found.candidates]


async def test_a_secret_is_told_whole_and_masked() -> None:
    found = await analyse({".env": f"A=1\nGITHUB={TOKEN}\n"})

    assert found == Found(
        finder="secrets",
        candidates=(
            Candidate(
                area=Area.SECURITY,
                priority=Priority.P0,
                confidence=0.95,
                title="GitHub token in plain text",
                body=BODY,
                trigger=TRIGGER,
                evidence=f"GITHUB=ghp_{MASK * 40}",
                location=Location(path=".env", side=Side.RIGHT, start_line=2, line=2),
                source="secrets",
                rule="GitHub token",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("line", "kind", "priority"),
    [
        (f"x = '{TOKEN}'", "GitHub token", Priority.P0),
        ("key: AKIAQWERTYUIOPASDFGH", "AWS access key", Priority.P0),
        ("u = 'postgres://app:9xKq2LmZ@db/x'", "credentials in a URL", Priority.P1),
        ("API_TOKEN=9xKq2LmZ7vTr4WpB", "secret in the environment", Priority.P1),
        ("password = 'Tr0ub4dor&3'", "password", Priority.P1),
    ],
)
async def test_what_is_certain_comes_before_what_is_guessed(
    line: str, kind: str, priority: Priority
) -> None:
    assert told(await analyse({"a.py": line + "\n"})) == [(kind, "a.py", 1, priority)]


@pytest.mark.parametrize(
    "line",
    [
        "key: AKIAIOSFODNN7EXAMPLE",
        "t = 'ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "u = 'https://user:p4ssword@host/'",
        "if text.startswith('-----BEGIN RSA PRIVATE KEY-----'):",
        "password = os.environ['PASSWORD']",
        "token = get_token()",
    ],
)
async def test_an_example_is_no_secret(line: str) -> None:
    assert told(await analyse({"a.py": line + "\n"})) == []


@pytest.mark.parametrize("path", ["tests/test_a.py", "src/a.test.ts", "vendor/lib/a.go"])
async def test_in_tests_and_vendored_code_a_secret_is_likely_made_up(path: str) -> None:
    assert told(await analyse({path: TOKEN + "\n"})) == [("GitHub token", path, 1, Priority.P2)]


async def test_what_only_looks_like_a_secret_is_a_nit_in_tests() -> None:
    line = "u = 'postgres://app:9xKq2LmZ@db/x'\n"

    found = await analyse({"tests/test_a.py": line})

    assert told(found) == [("credentials in a URL", "tests/test_a.py", 1, Priority.P3)]


async def test_only_added_lines_are_spoken_of() -> None:
    before = f"old = '{TOKEN}'\nx = 1\n"

    assert told(await analyse({"a.py": before + "y = 2\n"}, before={"a.py": before})) == []


async def test_a_private_key_is_told_once_and_proven_by_its_first_line() -> None:
    found = await analyse({"key.pem": KEY + "\n"})

    assert told(found) == [("private key", "key.pem", 1, Priority.P0)]
    assert found.candidates[0].evidence == "-----BEGIN RSA PRIVATE KEY-----"
    assert not any(line[:12] in repr(found) for line in KEY_LINES)


async def test_a_key_whose_first_line_is_old_is_told_where_it_changed() -> None:
    new = KEY.replace(KEY_LINES[1], "QUJDREVG" * 8)

    found = await analyse({"key.pem": new + "\n"}, before={"key.pem": KEY + "\n"})

    assert told(found) == [("private key", "key.pem", 3, Priority.P0)]
    assert "QUJD" not in repr(found)


async def test_many_secrets_are_folded() -> None:
    found = await analyse({"a.txt": f"{TOKEN} {TOKEN}\n" * 6})

    assert [line for _, _, line, _ in told(found)] == [1]
    assert found.candidates[0].body == f"{BODY} (6 times in this file, also on lines 2, 3, 4, 5, 6)"


async def test_in_a_very_long_line_what_stands_before_the_secret_is_the_proof() -> None:
    line = f"{'var a=1;' * 9_000}token = {TOKEN};{'b();' * 9_000}"

    found = await analyse({"a.js": line + "\n"})

    (candidate,) = found.candidates
    assert candidate.evidence.endswith(";token = ")
    assert len(candidate.evidence) < 500


async def test_a_hunk_that_was_not_searched_whole_is_named() -> None:
    found = await analyse({"a.txt": "x" * 5_000_000 + "\n" + TOKEN + "\n"})

    assert found.not_analysed == {"a.txt": "a hunk is longer than 4,000,000 characters"}


async def test_a_finding_can_be_anchored_on_the_line_as_it_is_shown() -> None:
    files = {
        "a.py": f"x = 1\nt = '{TOKEN}'\n",
        "key.pem": KEY + "\n",
        "a.js": f"{'x;' * 900}t = {TOKEN};\n",
    }
    change = make_change(files)
    found = await Secrets().find(change, {})

    gate = anchor(found.candidates, change.diff, shown(change.diff))

    assert gate.dropped == ()
    assert sorted((f.location.path, f.location.line) for f in gate.kept) == [
        ("a.js", 1),
        ("a.py", 2),
        ("key.pem", 1),
    ]


def shown(diff: Diff) -> dict[tuple[str, Side, int], str]:
    return {
        (file.path, Side.RIGHT, number): text
        for file in diff.files
        for number, text in enumerate(masked_lines(file), 1)
    }


def masked_lines(file: FileDiff) -> list[str]:
    return mask("\n".join(line.text for line in file.changed_lines)).split("\n")


@pytest.mark.parametrize("wrap", ["{}", "x = '{}'", "-{}-", "token: {}", '"password": "{}"'])
@given(value=st.text(string.ascii_letters + string.digits, min_size=36, max_size=80))
async def test_nothing_of_a_secret_is_in_what_is_said(wrap: str, value: str) -> None:
    found = await analyse({"a": wrap.format(f"ghp_{value}") + "\n"})

    said = " ".join(
        f"{c.title} {c.body} {c.trigger} {c.evidence} {c.rule}" for c in found.candidates
    )
    assert not any(value[n : n + 6] in said for n in range(len(value) - 6))


def test_no_file_is_wanted_whole() -> None:
    assert not Secrets().wants(".env")
