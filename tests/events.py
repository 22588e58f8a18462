"""Webhook payloads of what the demo's story does not tell: labels, threads, buttons, the queue."""

from app.demo import events, pull_shapes, shapes
from app.demo.records import (
    CheckRun,
    CheckSuite,
    Installation,
    PullRequest,
    Review,
    ReviewComment,
    stamp,
)
from app.demo.shapes import Json
from app.demo.state import State, locked


@locked
def label_event(state: State, pull: PullRequest, name: str, sender: str) -> events.Event:
    """pull_request.labeled: puts the label on."""
    pull.labels.append(name)
    pull.updated_at = state.now()
    more: Json = {"label": pull_shapes.label(state, pull, name)}
    return events.pull_event(state, pull, "labeled", sender=sender, more=more)


@locked
def base_event(state: State, pull: PullRequest, base: str) -> events.Event:
    """pull_request.edited: another branch becomes the base."""
    changes = {"base": {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}}
    pull.base_ref, pull.base_sha = base, pull.repository.git.sha(f"refs/heads/{base}")
    pull.updated_at = state.now()
    return events.pull_event(state, pull, "edited", more={"changes": changes})


@locked
def merge_group_event(state: State, pull: PullRequest) -> events.Event:
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
        "head_commit": _suite(state, suite)["head_commit"],
    }
    details: Json = {"merge_group": group}
    return events.repository_event(
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
) -> events.Event:
    """pull_request_review.submitted or .edited (with `body_before`); the state is in lower case
    here, unlike in REST."""
    body = review.body or None
    shown = {**pull_shapes.review(state, review), "body": body, "state": review.state.lower()}
    details: Json = {"review": shown, "pull_request": pull_shapes.pull_simple(state, review.pull)}
    repository, sender = review.pull.repository, editor or review.author
    details |= events.changes(body_before)
    return events.repository_event(
        state, "pull_request_review", action, repository, sender, details
    )


@locked
def review_comment_event(
    state: State,
    comment: ReviewComment,
    action: str = "created",
    *,
    body_before: str | None = None,
    editor: str | None = None,
) -> events.Event:
    """pull_request_review_comment.created, for comments on the diff and replies to them, or
    .edited (with `body_before`)."""
    details: Json = {
        "comment": pull_shapes.review_comment(state, comment),
        "pull_request": pull_shapes.pull_simple(state, comment.pull),
    }
    repository, name = comment.pull.repository, "pull_request_review_comment"
    details |= events.changes(body_before)
    return events.repository_event(
        state, name, action, repository, editor or comment.author, details
    )


@locked
def check_run_event(
    state: State, run: CheckRun, sender: str, *, button: str | None = None
) -> events.Event:
    """check_run.rerequested ("Re-run"), or .requested_action where `button` names an identifier."""
    suite = _suite(state, run.suite)
    details: Json = {"check_run": {**shapes.check_run(state, run), "check_suite": suite}}
    if button is not None:
        details["requested_action"] = {"identifier": button}
    action = "requested_action" if button else "rerequested"
    return events.repository_event(
        state, "check_run", action, run.suite.repository, sender, details
    )


@locked
def check_suite_event(state: State, suite: CheckSuite, sender: str) -> events.Event:
    """check_suite.rerequested ("Re-run all checks")."""
    details: Json = {"check_suite": _suite(state, suite)}
    return events.repository_event(
        state, "check_suite", "rerequested", suite.repository, sender, details
    )


@locked
def installation_event(
    state: State, installation: Installation, action: str = "created"
) -> events.Event:
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
    return events.Event(
        name="installation",
        payload=payload,
        repository_id=None,
        installation_id=installation.id,
    )


def _suite(state: State, suite: CheckSuite) -> Json:
    item = suite.repository
    runs = [run for run in state.check_runs.values() if run.suite is suite]
    url = f"{shapes.repository_url(state, item)}/check-suites/{suite.id}"
    head = item.git.describe(suite.head_sha)
    who = {"name": "Stand-in", "email": "standin@example.com"}
    return {
        "id": suite.id,
        "node_id": shapes.node_id("CS", suite.id),
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": "completed" if all(run.conclusion for run in runs) else "in_progress",
        "conclusion": None,
        "url": url,
        "before": None,
        "after": suite.head_sha,
        "pull_requests": shapes.pulls_of(state, suite),
        "app": shapes.app(state),
        **shapes.each("created_at updated_at", stamp(suite.created_at)),
        "repository": shapes.repository(state, item),
        "head_commit": {
            "id": head.sha,
            "tree_id": head.tree,
            "message": head.message,
            "timestamp": stamp(head.at),
            "author": who,
            "committer": who,
        },
        "latest_check_runs_count": len(runs),
        "check_runs_url": f"{url}/check-runs",
    }
