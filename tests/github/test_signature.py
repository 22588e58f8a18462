"""Signatures: GitHub's own vector, rotation, and everything that must not pass."""

import hashlib
import hmac

import pytest

from app.errors import BadSignature
from app.github.signature import verify_signature

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_the_documented_example_passes() -> None:
    verify_signature(BODY, SIGNATURE, [SECRET])


def test_any_of_several_secrets_may_sign_while_rotating() -> None:
    verify_signature(BODY, SIGNATURE, [b"the new one", SECRET])


def _sha1() -> str:
    return "sha1=" + hmac.new(SECRET, BODY, hashlib.sha1).hexdigest()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        SIGNATURE.removeprefix("sha256="),
        SIGNATURE[:-1],
        SIGNATURE + "0",
        SIGNATURE.replace("sha256", "sha512"),
        SIGNATURE.upper(),
        "sha256=",
        "sha256=" + "0" * 64,
        "sha256=" + "é" * 64,
        "sha256=\ud800",
        "sha256=" + "a" * 100_000,
        _sha1(),
    ],
)
def test_anything_else_is_refused(header: str | None) -> None:
    with pytest.raises(BadSignature):
        verify_signature(BODY, header, [SECRET])


def test_one_changed_byte_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify_signature(BODY + b"\n", SIGNATURE, [SECRET])


def test_without_secrets_nothing_passes() -> None:
    with pytest.raises(BadSignature):
        verify_signature(BODY, SIGNATURE, [])


def test_an_empty_secret_signs_nothing() -> None:
    signed = "sha256=" + hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    with pytest.raises(BadSignature):
        verify_signature(BODY, signed, [b""])
