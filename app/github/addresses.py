"""Reads the addresses that people copy from their browser: of a pull request, of a check run.

Pure. Only what leads to the configured GitHub is accepted, and only names and numbers are taken
from it: no address is ever fetched as it was given.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from app.errors import Unusable
from app.review.text import plain_line

MAX_SHOWN = 200
"""Characters of a wrong address that are shown."""

_NAME = r"(?P<owner>[\w-]+)/(?P<repo>(?!\.{1,2}/)[\w.-]+)"
_NUMBER = r"(?P<number>[1-9][0-9]{0,17})"
_PULL = re.compile(rf"/{_NAME}/pull/{_NUMBER}(?P<tab>/.*)?", re.ASCII)
_CHECK = re.compile(rf"/{_NAME}/runs/{_NUMBER}(?:/.*)?", re.ASCII)
_API_CHECK = re.compile(rf"/repos/{_NAME}/check-runs/{_NUMBER}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullAddress:
    owner: str
    repo: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAddress:
    owner: str
    repo: str
    check_run_id: int


Address = PullAddress | CheckAddress


def parse_address(url: str, api_url: str) -> Address:
    """Read an address of the GitHub whose API is at `api_url`. Raises Unusable for any other."""
    web = web_url(api_url)
    below = _below(url, web)
    if below is not None and (found := _PULL.fullmatch(below)):
        check_run_id = _check_run_of(url) if found["tab"] == "/checks" else None
        if check_run_id is not None:
            return CheckAddress(**_repository(found), check_run_id=check_run_id)
        return PullAddress(**_repository(found), number=int(found["number"]))
    if below is not None and (found := _CHECK.fullmatch(below)):
        return CheckAddress(**_repository(found), check_run_id=int(found["number"]))
    below_api = _below(url, api_url)
    if below_api is not None and (found := _API_CHECK.fullmatch(below_api)):
        return CheckAddress(**_repository(found), check_run_id=int(found["number"]))
    shown = plain_line(url, MAX_SHOWN)
    if below is None and below_api is None:
        raise Unusable(f"{shown} is not at {web}: GITHUB_API_URL says which GitHub is asked")
    raise Unusable(f"{shown} is no pull request: give {web}/OWNER/REPO/pull/NUMBER")


def parse_pull_address(url: str, api_url: str) -> PullAddress:
    """Read the address of a pull request. Raises Unusable for anything else."""
    address = parse_address(url, api_url)
    if isinstance(address, CheckAddress):
        raise Unusable(f"{plain_line(url, MAX_SHOWN)} is a check run: give its pull request")
    return address


def web_url(api_url: str) -> str:
    """Return where people see the GitHub that has this API."""
    parts = urlsplit(api_url)
    host = parts.netloc.removeprefix("api.")
    return f"{parts.scheme}://{host}{parts.path.removesuffix('/api/v3')}"


def _below(url: str, base: str) -> str | None:
    """Return the path below a base; None for another scheme, host or port, or a login in it."""
    if not url.isprintable() or " " in url:  # which urlsplit takes away without a word
        return None
    try:
        there, ours = urlsplit(url), urlsplit(base)
        is_same = (there.scheme, there.hostname, there.port) == (
            ours.scheme,
            ours.hostname,
            ours.port,
        )
    except ValueError:
        return None
    if not is_same or "@" in there.netloc or not there.path.startswith(ours.path):
        return None
    return there.path.removeprefix(ours.path)


def _check_run_of(url: str) -> int | None:
    named = parse_qs(urlsplit(url).query).get("check_run_id", [])
    is_number = len(named) == 1 and re.fullmatch(_NUMBER, named[0], re.ASCII)
    return int(named[0]) if is_number else None


def _repository(found: re.Match[str]) -> dict[str, str]:
    return {"owner": found["owner"], "repo": found["repo"]}
