"""What the command line asks of GitHub, against GitHub's own description."""

from pathlib import Path

import pytest

from app.demo.state import State, new_app
from tests.builders import make_receipt
from tests.command_line import SETTINGS, Terminal, served
from tests.conformance.description import Description

SECRET = 'TOKEN = "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"\n'


@pytest.mark.parametrize("who", ["app", "person", "nobody"])
def test_the_terminal_asks_what_github_describes(
    description: Description,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    who: str,
) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    app, key = new_app("a secret")
    state = State(tmp_path / "github", app)
    repository = state.create_repository("acme/shop", {"a.py": "x = 1\n"})
    state.open_pull_request(repository, {"settings.py": SECRET})
    terminal = Terminal(capsys, monkeypatch, tmp_path)
    if who == "app":
        monkeypatch.setenv("APP_ID", str(app.id))
        monkeypatch.setenv("PRIVATE_KEY", key)
    elif who == "person":
        monkeypatch.setenv("GITHUB_TOKEN", state.personal_token("riley"))
    with served(state) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        pull = f"{url}/acme/shop/pull/1"
        post = () if who == "nobody" else ("--post",)
        assert terminal.run("review", pull, *post)[0] == 1
        assert terminal.run("verdict", pull)[0] == 3
        check = state.check_run(repository, repository.pulls[1].head_sha, make_receipt().run_id)
        assert terminal.run("verdict", f"{url}/acme/shop/runs/{check.id}")[0] == 3
    assert len(state.reviews) == bool(post)
    assert [
        f"{request.method} {request.path}: {problem}"
        for request in state.requests
        if request.path not in ("/user", "/graphql")  # the description leaves them out
        for problem in description.problems(request)
    ] == []
