"""GitHub's JSON for pull requests and what is said on them: comments, reviews, reactions."""

from urllib.parse import quote

from app.demo.records import (
    IssueComment,
    PullRequest,
    Reaction,
    Repository,
    Review,
    ReviewComment,
    stamp,
)
from app.demo.shapes import (
    HTML,
    Json,
    app,
    each,
    node_id,
    pull_url,
    repository,
    repository_url,
    user,
)
from app.demo.state import State

REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def pull_html(pull: PullRequest) -> str:
    return f"{HTML}/{pull.repository.full_name}/pull/{pull.number}"


def association(state: State, item: Repository, login: str) -> str:
    """Computed without a viewer, as in webhooks: a private member looks like anyone."""
    if login == item.owner:
        return "OWNER"
    writes = item.roles.get(login) in ("admin", "maintain", "write", "triage")
    return "COLLABORATOR" if writes else "NONE"


def pull_simple(state: State, pull: PullRequest) -> Json:
    """A pull request as lists and the review events hold it: no counts, no `merged`."""
    api = repository_url(state, pull.repository)
    url, html, issue = pull_url(state, pull), pull_html(pull), f"{api}/issues/{pull.number}"
    links = {
        "self": url,
        "html": html,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{api}/statuses/{pull.head_sha}",
    }
    return {
        "url": url,
        "id": pull.id,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        **{f"{k}_url": v for k, v in links.items() if k not in ("self", "html")},
        **_proposed(state, pull),
        "merged_at": _closed_at(pull) if pull.merged else None,
        **each("requested_reviewers requested_teams", []),
        **each("merge_commit_sha auto_merge", None),
        "head": _end(state, pull.head_repository, pull.head_ref, pull.head_sha),
        "base": _end(state, pull.repository, pull.base_ref, pull.base_sha),
        "_links": _links(**links),
    }


def _proposed(state: State, pull: PullRequest) -> Json:
    """What a pull request and the issue that it also is have in common."""
    return {
        "node_id": node_id("PR", pull.id),
        "number": pull.number,
        "state": pull.state,
        "locked": pull.locked,
        "title": pull.title,
        **_written(state, pull, pull),
        "closed_at": _closed_at(pull),
        "labels": [label(state, pull, name) for name in pull.labels],
        "draft": pull.draft,
        "assignees": [],
        **each("active_lock_reason assignee milestone", None),
    }


def _written(
    state: State, pull: PullRequest, item: PullRequest | IssueComment | ReviewComment
) -> Json:
    """What everything has that a person, or an App, wrote."""
    return {
        "user": user(state, item.author),
        "author_association": association(state, pull.repository, item.author),
        "body": item.body,
        "created_at": stamp(item.created_at),
        "updated_at": stamp(item.updated_at),
    }


def _closed_at(pull: PullRequest) -> str | None:
    return stamp(pull.updated_at) if pull.state == "closed" else None


def pull_full(state: State, pull: PullRequest) -> Json:
    changes = pull.changes()
    return {
        **pull_simple(state, pull),
        "merged": pull.merged,
        "mergeable": None if pull.state == "closed" else True,
        "rebaseable": None,
        "mergeable_state": "unknown" if pull.state == "closed" else "clean",
        "merged_by": user(state, pull.author) if pull.merged else None,
        "comments": _conversation_length(state, pull),
        "review_comments": sum(c.pull is pull for c in state.review_comments.values()),
        "maintainer_can_modify": False,
        "commits": len(pull.commits()),
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
        "changed_files": len(changes),
    }


def issue(state: State, pull: PullRequest) -> Json:
    """The pull request as the issue that it also is."""
    url = f"{repository_url(state, pull.repository)}/issues/{pull.number}"
    html = pull_html(pull)
    return {
        "url": url,
        "repository_url": repository_url(state, pull.repository),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": html,
        "id": pull.issue_id,
        **_proposed(state, pull),
        "state_reason": None,
        "comments": _conversation_length(state, pull),
        "pull_request": {
            "url": pull_url(state, pull),
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "merged_at": _closed_at(pull) if pull.merged else None,
        },
        "reactions": _rollup(state, ("issue", pull.issue_id), url),
        "performed_via_github_app": None,
    }


def issue_comment(state: State, comment: IssueComment) -> Json:
    api = repository_url(state, comment.pull.repository)
    url = f"{api}/issues/comments/{comment.id}"
    return {
        "url": url,
        "html_url": f"{pull_html(comment.pull)}#issuecomment-{comment.id}",
        "issue_url": f"{api}/issues/{comment.pull.number}",
        "id": comment.id,
        "node_id": node_id("IC", comment.id),
        **_written(state, comment.pull, comment),
        "reactions": _rollup(state, ("issue_comment", comment.id), url),
        "performed_via_github_app": app(state) if comment.author == state.app.bot else None,
    }


def reaction(state: State, item: Reaction) -> Json:
    return {
        "id": item.id,
        "node_id": node_id("REA", item.id),
        "user": user(state, item.login),
        "content": item.content,
        "created_at": stamp(item.created_at),
    }


def review(state: State, item: Review) -> Json:
    html = f"{pull_html(item.pull)}#pullrequestreview-{item.id}"
    shape: Json = {
        "id": item.id,
        "node_id": node_id("PRR", item.id),
        "user": user(state, item.author),
        "body": item.body,
        "state": item.state,
        "html_url": html,
        "pull_request_url": pull_url(state, item.pull),
        "author_association": association(state, item.pull.repository, item.author),
        "_links": _links(html=html, pull_request=pull_url(state, item.pull)),
        "commit_id": item.commit_id,
    }
    if item.submitted_at is not None:
        shape["submitted_at"] = stamp(item.submitted_at)
    return shape


def review_comment(state: State, comment: ReviewComment) -> Json:
    """A comment on the diff; where its line is gone, `line` and `position` are null."""
    pull, place = comment.pull, comment.place
    url = f"{repository_url(state, pull.repository)}/pulls/comments/{comment.id}"
    html = f"{pull_html(pull)}#discussion_r{comment.id}"
    line, start = current_line(comment), place.start_line
    outdated = line is None
    shape: Json = {
        "url": url,
        "pull_request_review_id": comment.review.id,
        "id": comment.id,
        "node_id": node_id("PRRC", comment.id),
        "diff_hunk": place.diff_hunk,
        "path": place.path,
        "position": None if outdated else place.position,
        "original_position": place.position,
        "commit_id": comment.commit_id if outdated else pull.head_sha,
        "original_commit_id": comment.commit_id,
        **_written(state, pull, comment),
        "html_url": html,
        "pull_request_url": pull_url(state, pull),
        "_links": _links(self=url, html=html, pull_request=pull_url(state, pull)),
        "reactions": _rollup(state, ("review_comment", comment.id), url),
        "start_line": line and start and line - place.line + start,
        "original_start_line": start,
        "start_side": place.start_side,
        "line": line,
        "original_line": place.line,
        "side": place.side,
        "subject_type": place.subject_type,
    }
    if comment.in_reply_to is not None:
        shape["in_reply_to_id"] = comment.in_reply_to
    return shape


def current_line(comment: ReviewComment) -> int | None:
    """The line that a comment stands on now, or None where the pushes since have outdated it."""
    pull, place = comment.pull, comment.place
    line: int | None = place.line
    if comment.commit_id != pull.head_sha and place.side == "RIGHT":
        between = pull.repository.git.changes(comment.commit_id, pull.head_sha)
        moved = next((c for c in between if place.path in (c.path, c.previous_path)), None)
        if moved is not None:
            line = moved.follow(place.line) if moved.path == place.path else None
    change = next((change for change in pull.changes() if change.path == place.path), None)
    if change is None or line is None:
        return None
    shown = place.subject_type == "file" or change.find(place.side, line) is not None
    return line if shown else None


def _links(**links: str) -> Json:
    return {name: {"href": link} for name, link in links.items()}


def _end(state: State, item: Repository, ref: str, sha: str) -> Json:
    return {
        "label": f"{item.owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(state, item.owner),
        "repo": repository(state, item),
    }


def label(state: State, pull: PullRequest, name: str) -> Json:
    return {
        "id": 1,
        "node_id": "LA_1",
        "url": f"{repository_url(state, pull.repository)}/labels/{quote(name)}",
        "name": name,
        "description": None,
        "color": "ededed",
        "default": False,
    }


def _conversation_length(state: State, pull: PullRequest) -> int:
    return sum(comment.pull is pull for comment in state.issue_comments.values())


def _rollup(state: State, subject: tuple[str, int], url: str) -> Json:
    contents = [reaction.content for reaction in state.reactions_to(subject)]
    counts = {content: contents.count(content) for content in REACTIONS}
    return {"url": f"{url}/reactions", "total_count": len(contents), **counts}
