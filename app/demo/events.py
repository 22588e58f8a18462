"""Webhook payloads as GitHub sends them today."""

from dataclasses import dataclass

from app.demo import pull_shapes, shapes
from app.demo.records import (
    CheckRun,
    CheckSuite,
    Installation,
    IssueComment,
    PullRequest,
    Repository,
    Review,
    ReviewComment,
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
        details | _changes(body_before),
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


@locked
def label_event(state: State, pull: PullRequest, name: str, sender: str) -> Event:
    """pull_request.labeled: puts the label on."""
    pull.labels.append(name)
    pull.updated_at = state.now()
    more: Json = {"label": pull_shapes.label(state, pull, name)}
    return pull_event(state, pull, "labeled", sender=sender, more=more)


@locked
def base_event(state: State, pull: PullRequest, base: str) -> Event:
    """pull_request.edited: another branch becomes the base."""
    changes = {"base": {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}}
    pull.base_ref, pull.base_sha = base, pull.repository.git.sha(f"refs/heads/{base}")
    pull.updated_at = state.now()
    return pull_event(state, pull, "edited", more={"changes": changes})


@locked
def merge_group_event(state: State, pull: PullRequest) -> Event:
    """merge_group.checks_requested: makes the queue's branch, whose head is a commit of its own."""
    repository, base = pull.repository, pull.repository.git.sha(f"refs/heads/{pull.base_ref}")
    ref = f"refs/heads/gh-readonly-queue/{pull.base_ref}/pr-{pull.number}-{base}"
    message = f"Merge pull request #{pull.number}"
    head = repository.git.commit(ref, {}, parent=pull.head_sha, message=message)
    suite = state.suite(repository, head)
    suite.head_branch = ref.removeprefix("refs/heads/")
    group: Json = {
        "head_sha": head,
        "head_ref": ref,
        "base_sha": base,
        "base_ref": f"refs/heads/{pull.base_ref}",
        "head_commit": shapes.check_suite(state, suite)["head_commit"],
    }
    details: Json = {"merge_group": group}
    return repository_event(
        state, "merge_group", "checks_requested", repository, pull.author, details
    )


@locked
def review_event(
    state: State,
    review: Review,
    action: str = "submitted",
    *,
    body_before: str | None = None,
    editor: str | None = None,
) -> Event:
    """pull_request_review.submitted or .edited (with `body_before`); the state is in lower case
    here, unlike in REST."""
    body = review.body or None
    shown = {**pull_shapes.review(state, review), "body": body, "state": review.state.lower()}
    details: Json = {"review": shown, "pull_request": pull_shapes.pull_simple(state, review.pull)}
    repository, sender = review.pull.repository, editor or review.author
    details |= _changes(body_before)
    return repository_event(state, "pull_request_review", action, repository, sender, details)


@locked
def review_comment_event(
    state: State,
    comment: ReviewComment,
    action: str = "created",
    *,
    body_before: str | None = None,
    editor: str | None = None,
) -> Event:
    """pull_request_review_comment.created, for comments on the diff and replies to them, or
    .edited (with `body_before`)."""
    details: Json = {
        "comment": pull_shapes.review_comment(state, comment),
        "pull_request": pull_shapes.pull_simple(state, comment.pull),
    }
    repository, name = comment.pull.repository, "pull_request_review_comment"
    details |= _changes(body_before)
    return repository_event(state, name, action, repository, editor or comment.author, details)


def _changes(body_before: str | None) -> Json:
    return {} if body_before is None else {"changes": {"body": {"from": body_before}}}


@locked
def check_run_event(
    state: State, run: CheckRun, sender: str, *, button: str | None = None
) -> Event:
    """check_run.rerequested ("Re-run"), or .requested_action where `button` names an identifier."""
    suite = shapes.check_suite(state, run.suite)
    details: Json = {"check_run": {**shapes.check_run(state, run), "check_suite": suite}}
    if button is not None:
        details["requested_action"] = {"identifier": button}
    action = "requested_action" if button else "rerequested"
    return repository_event(state, "check_run", action, run.suite.repository, sender, details)


@locked
def check_suite_event(state: State, suite: CheckSuite, sender: str) -> Event:
    """check_suite.rerequested ("Re-run all checks")."""
    details: Json = {"check_suite": shapes.check_suite(state, suite)}
    return repository_event(state, "check_suite", "rerequested", suite.repository, sender, details)


@locked
def installation_event(state: State, installation: Installation, action: str = "created") -> Event:
    """installation.created: tells of repositories by name and id only."""
    reached = [r for r in state.repositories.values() if state.installation_of(r) is installation]
    names = ("id", "node_id", "name", "full_name", "private")
    full = [shapes.repository(state, repository) for repository in reached]
    payload: Json = {
        "action": action,
        "installation": shapes.installation(state, installation),
        "repositories": [{name: shape[name] for name in names} for shape in full],
        "requester": None,
        "sender": shapes.user(state, installation.account),
    }
    return Event(
        name="installation",
        payload=payload,
        repository_id=None,
        installation_id=installation.id,
    )


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
