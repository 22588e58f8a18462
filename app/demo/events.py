"""Webhook payloads as GitHub sends them today."""

from dataclasses import dataclass

from app.demo import pull_shapes, shapes
from app.demo.records import (
    IssueComment,
    PullRequest,
    Repository,
)
from app.demo.shapes import Json
from app.demo.state import State, locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, ready to be delivered: `name` goes into X-GitHub-Event."""

    name: str
    payload: Json
    repository_id: int | None
    installation_id: int | None

    @property
    def action(self) -> str | None:
        action = self.payload.get("action")
        return action if isinstance(action, str) else None


@locked
def comment_event(
    state: State,
    comment: IssueComment,
    action: str = "created",
    *,
    body_before: str | None = None,
    editor: str | None = None,
) -> Event:
    """issue_comment.created, .edited (with `body_before`) or .deleted."""
    details: Json = {
        "issue": pull_shapes.issue(state, comment.pull),
        "comment": pull_shapes.issue_comment(state, comment),
    }
    sender = editor or comment.author
    return repository_event(
        state,
        "issue_comment",
        action,
        comment.pull.repository,
        sender,
        details | changes(body_before),
    )


@locked
def pull_event(
    state: State,
    pull: PullRequest,
    action: str,
    *,
    sender: str | None = None,
    more: Json | None = None,
) -> Event:
    """pull_request.<action>; `more` adds the keys that only this action has, such as `label`."""
    shown = pull_shapes.pull_full(state, pull)
    payload = {"number": pull.number, "pull_request": shown, **(more or {})}
    actor = sender or pull.author
    return repository_event(state, "pull_request", action, pull.repository, actor, payload)


def push_event(state: State, pull: PullRequest, before: str) -> Event:
    """pull_request.synchronize, after `state.push`; `before` is the head that it replaced."""
    more: Json = {"before": before, "after": pull.head_sha}
    return pull_event(state, pull, "synchronize", more=more)


def changes(body_before: str | None) -> Json:
    """What an edit tells beside the new text."""
    return {} if body_before is None else {"changes": {"body": {"from": body_before}}}


@locked
def repository_event(
    state: State, name: str, action: str, repository: Repository, sender: str, details: Json
) -> Event:
    """An event with the keys that all have; for those without a function of their own, too."""
    payload: Json = {
        "action": action,
        **details,
        "repository": shapes.repository(state, repository),
        "sender": shapes.user(state, sender),
    }
    if state.person(repository.owner).type == "Organization":
        payload["organization"] = _organization(state, repository.owner)
    installation = state.installation_of(repository)
    if installation is not None:
        node = shapes.node_id("MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u", installation.id)
        payload["installation"] = {"id": installation.id, "node_id": node}
    return Event(
        name=name,
        payload=payload,
        repository_id=repository.id,
        installation_id=installation.id if installation else None,
    )


_ORGANIZATION_URLS = """
    repos=repos events=events hooks=hooks issues=issues members=members{/member}
    public_members=public_members{/member}
"""


def _organization(state: State, login: str) -> Json:
    url, number = f"{state.api_url}/orgs/{login}", state.person(login).id
    return {
        "login": login,
        "id": number,
        "node_id": shapes.node_id("O", number),
        "url": url,
        **shapes.beneath(url, _ORGANIZATION_URLS),
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}?v=4",
        "description": None,
    }
