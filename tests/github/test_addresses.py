"""Addresses lead to the configured GitHub, and to a pull request or a check run there."""

import pytest

from app.errors import Unusable
from app.github.addresses import (
    Address,
    CheckAddress,
    PullAddress,
    parse_address,
    parse_pull_address,
    web_url,
)

API = "https://api.github.com"
WEB = "https://github.com"
PULL = PullAddress(owner="acme", repo="shop.js", number=7)
CHECK = CheckAddress(owner="acme", repo="shop.js", check_run_id=99)


@pytest.mark.parametrize(
    ("api", "web"),
    [
        (API, WEB),
        ("https://git.acme.example/api/v3", "https://git.acme.example"),
        ("https://git.acme.example:8443/api/v3", "https://git.acme.example:8443"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123"),
    ],
)
def test_every_api_has_its_pages(api: str, web: str) -> None:
    assert web_url(api) == web
    assert parse_address(f"{web}/acme/shop.js/pull/7", api) == PULL


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (f"{WEB}/acme/shop.js/pull/7", PULL),
        (f"{WEB}/acme/shop.js/pull/7/", PULL),
        (f"{WEB}/acme/shop.js/pull/7/files?w=1#diff-1", PULL),
        (f"{WEB}/acme/shop.js/pull/7#issuecomment-1", PULL),
        (f"{WEB}/acme/shop.js/pull/7/checks", PULL),
        (f"{WEB}/acme/shop.js/pull/7/checks?check_run_id=x", PULL),
        (f"{WEB}/acme/shop.js/pull/7/checks?check_run_id=99", CHECK),
        ("HTTPS://GitHub.com/acme/shop.js/pull/7", PULL),
        (f"{WEB}/acme/shop.js/runs/99", CHECK),
        (f"{WEB}/acme/shop.js/runs/99?check_suite_focus=true", CHECK),
        (f"{API}/repos/acme/shop.js/check-runs/99", CHECK),
    ],
)
def test_what_people_copy_is_understood(url: str, address: Address) -> None:
    assert parse_address(url, API) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme/shop#7",
        "github.com/acme/shop/pull/7",
        "http://github.com/acme/shop/pull/7",
        "https://github.com:444/acme/shop/pull/7",
        "https://github.com:x/acme/shop/pull/7",
        "https://www.github.com/acme/shop/pull/7",
        "https://github.com.e.vil/acme/shop/pull/7",
        "https://e.vil/github.com/acme/shop/pull/7",
        "https://github.com@e.vil/acme/shop/pull/7",
        "https://me:pw@github.com/acme/shop/pull/7",
        "https://github.com\\@e.vil/acme/shop/pull/7",
        "https://[::1/acme/shop/pull/7",
        "file:///acme/shop/pull/7",
        f"{WEB}/acme/shop/pull/0",
        f"{WEB}/acme/shop/pull/-7",
        f"{WEB}/acme/shop/pull/٧",
        f"{WEB}/acme/shop/pull/7x",
        f"{WEB}/acme/shop/pull/" + "9" * 40,
        f"{WEB}/acme/../pull/7",
        f"{WEB}/acme/./pull/7",
        f"{WEB}/acme/sh op/pull/7",
        f"{WEB}/acme/shop%2F../pull/7",
        f"{WEB}/acme/shop/pull/7\n",
        f"{WEB}/acme/shop/pu\tll/7",
        f" {WEB}/acme/shop/pull/7",
        f"{WEB}/acme/shop/issues/7",
        f"{WEB}/acme/shop",
        f"{API}/repos/acme/shop/pulls/7",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(Unusable):
        parse_address(url, API)


def test_a_check_run_is_no_pull_request() -> None:
    assert parse_pull_address(f"{WEB}/acme/shop.js/pull/7", API) == PULL
    with pytest.raises(Unusable, match="give its pull request"):
        parse_pull_address(f"{WEB}/acme/shop.js/runs/99", API)


def test_a_wrong_address_is_shown_short_and_without_its_secrets() -> None:
    token = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
    with pytest.raises(Unusable) as caught:
        parse_address(f"https://{token}@github.com/{'a' * 500}", API)
    assert token not in str(caught.value)
    assert len(str(caught.value)) < 300
