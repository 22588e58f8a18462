"""The admin's password: who is let in, and what becomes of guessing."""

import base64

import pytest
from starlette.requests import Request

from app.web.password import FORGIVEN_S, MAX_WRONG, MAX_WRONG_IN_ALL, Password
from tests.jobs.builders import FakeClock

RIGHT = "sesame-of-Öffnung"


def request(authorization: str | None, address: str = "192.0.2.1") -> Request:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    return Request({"type": "http", "headers": headers, "client": (address, 1)})


def basic(password: str, user: str = "any") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def status(password: Password, given: str | None, address: str = "192.0.2.1") -> int:
    refusal = password.refusal(request(given, address))
    return 200 if refusal is None else refusal.status_code


@pytest.fixture
def password() -> Password:
    return Password(RIGHT, FakeClock())


def test_the_right_password_opens_with_any_name(password: Password) -> None:
    assert status(password, basic(RIGHT)) == status(password, basic(RIGHT, user="")) == 200


def test_nobody_without_a_password_of_ours_is_told_that_there_is_a_page() -> None:
    nothing = Password("", FakeClock())
    assert status(nothing, None) == status(nothing, basic("")) == 404


@pytest.mark.parametrize(
    "given",
    [None, "", "Basic", "Basic ???", "Bearer " + RIGHT, basic(""), basic("x"), basic(RIGHT + "x")],
)
def test_all_else_is_asked_for_it(password: Password, given: str | None) -> None:
    refusal = password.refusal(request(given))
    assert refusal is not None
    assert refusal.status_code == 401
    assert refusal.headers["WWW-Authenticate"].startswith("Basic ")


def test_who_guesses_is_not_heard_for_a_while_and_others_are() -> None:
    clock = FakeClock()
    password = Password(RIGHT, clock)
    assert [status(password, basic("x")) for _ in range(MAX_WRONG + 1)] == [401] * MAX_WRONG + [429]
    assert status(password, basic(RIGHT)) == 429
    assert status(password, basic(RIGHT), "192.0.2.2") == 200
    clock.at += FORGIVEN_S
    assert status(password, basic(RIGHT)) == 200


def test_when_many_guess_nobody_is_heard(password: Password) -> None:
    guesses = [status(password, basic("x"), f"192.0.2.{n}") for n in range(MAX_WRONG_IN_ALL)]
    assert set(guesses) == {401}
    assert status(password, basic(RIGHT), "198.51.100.1") == 429


def test_asking_without_a_password_is_no_guess(password: Password) -> None:
    assert {status(password, None) for _ in range(MAX_WRONG_IN_ALL)} == {401}
    assert status(password, basic(RIGHT)) == 200
