"""GitHub's JSON, field by field as it describes it: accounts, repositories, commits, checks."""

import base64
from urllib.parse import quote

from app.demo.diffs import FileChange
from app.demo.records import (
    CheckRun,
    CheckSuite,
    Delivery,
    Installation,
    PullRequest,
    Repository,
    Token,
    stamp,
)
from app.demo.repository import Commit
from app.demo.state import State

Json = dict[str, object]

HTML = "https://github.com"
# A file with more changed lines than this comes without `patch`. GitHub names no threshold; 2,081
# changed lines had none (tsantalis/RefactoringMiner#1108).
PATCH_CHANGES_MAX = 2_000


_USER_URLS = """
    followers=followers following=following{/other_user} gists=gists{/gist_id}
    starred=starred{/owner}{/repo} subscriptions=subscriptions organizations=orgs repos=repos
    events=events{/privacy} received_events=received_events
"""
_REPOSITORY_URLS = """
    archive={archive_format}{/ref} assignees=assignees{/user} blobs=git/blobs{/sha}
    branches=branches{/branch} collaborators=collaborators{/collaborator} comments=comments{/number}
    commits=commits{/sha} compare=compare/{base}...{head} contents=contents/{+path}
    contributors=contributors deployments=deployments downloads=downloads events=events forks=forks
    git_commits=git/commits{/sha} git_refs=git/refs{/sha} git_tags=git/tags{/sha} hooks=hooks
    issue_comment=issues/comments{/number} issue_events=issues/events{/number}
    issues=issues{/number} keys=keys{/key_id} labels=labels{/name} languages=languages merges=merges
    milestones=milestones{/number} notifications=notifications{?since,all,participating}
    pulls=pulls{/number} releases=releases{/id} stargazers=stargazers statuses=statuses/{sha}
    subscribers=subscribers subscription=subscription tags=tags teams=teams trees=git/trees{/sha}
"""


def each(names: str, value: object) -> Json:
    """Give each of these keys the same value."""
    return dict.fromkeys(names.split(), value)


def beneath(url: str, listed: str) -> Json:
    """Take `name=path …` apart: the addresses that an object has beneath its own."""
    pairs = (pair.split("=") for pair in listed.split())
    return {f"{name}_url": f"{url}/{path}" for name, path in pairs}


def node_id(kind: str, number: int) -> str:
    """GitHub's opaque name for a thing; `number_of` reads it back."""
    return f"{kind}_" + base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def number_of(kind: str, text: str) -> int | None:
    prefix, _, rest = text.partition("_")
    padded = rest + "=" * (-len(rest) % 4)
    try:
        return int(base64.urlsafe_b64decode(padded)) if prefix == kind else None
    except ValueError:
        return None


def user(state: State, login: str) -> Json:
    person = state.person(login)
    url = f"{state.api_url}/users/{quote(login)}"
    kind = {"Bot": "BOT", "Organization": "O"}.get(person.type, "U")
    html = f"{HTML}/apps/{state.app.slug}" if kind == "BOT" else f"{HTML}/{quote(login)}"
    return {
        "login": login,
        "id": person.id,
        "node_id": node_id(kind, person.id),
        "avatar_url": f"https://avatars.githubusercontent.com/u/{person.id}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": html,
        **beneath(url, _USER_URLS),
        "type": person.type,
        "user_view_type": "public",
        "site_admin": False,
    }


def app(state: State) -> Json:
    identity = state.app
    installation = next(iter(state.installations.values()), None)
    return {
        "id": identity.id,
        "client_id": identity.client_id,
        "slug": identity.slug,
        "node_id": node_id("A", identity.id),
        "owner": user(
            state, identity.owner or (installation.account if installation else "nobody")
        ),
        "name": identity.name,
        "description": None,
        "external_url": "https://example.com/codex-review",
        "html_url": f"{HTML}/apps/{identity.slug}",
        **each("created_at updated_at", stamp(state.app_created_at)),
        "permissions": dict(identity.permissions),
        "events": list(identity.events),
    }


def installation(state: State, item: Installation) -> Json:
    account = state.person(item.account)
    suspended = item.suspended_at
    return {
        "id": item.id,
        "client_id": state.app.client_id,
        "account": user(state, item.account),
        "repository_selection": "selected",
        "access_tokens_url": f"{state.api_url}/app/installations/{item.id}/access_tokens",
        "repositories_url": f"{state.api_url}/installation/repositories",
        "html_url": f"{HTML}/organizations/{item.account}/settings/installations/{item.id}",
        "app_id": state.app.id,
        "app_slug": state.app.slug,
        "target_id": account.id,
        "target_type": account.type,
        "permissions": dict(item.permissions),
        "events": list(state.app.events),
        **each("created_at updated_at", stamp(item.created_at)),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None if suspended is None else user(state, item.account),
        "suspended_at": None if suspended is None else stamp(suspended),
    }


def access_token(state: State, text: str, token: Token) -> Json:
    shape: Json = {
        "token": text,
        "expires_at": stamp(token.expires_at or 0),
        "permissions": dict(token.permissions or {}),
        "repository_selection": "selected",
    }
    if token.repository_ids is not None:
        shape["repositories"] = [repository(state, r) for r in state.repositories_of(token)]
    return shape


def repository_url(state: State, item: Repository) -> str:
    return f"{state.api_url}/repos/{item.full_name}"


def repository(state: State, item: Repository) -> Json:
    api, html = repository_url(state, item), f"{HTML}/{item.full_name}"
    created = stamp(item.created_at)
    open_pulls = sum(pull.state == "open" for pull in item.pulls.values())
    return {
        "id": item.id,
        "node_id": node_id("R", item.id),
        "name": item.name,
        "full_name": item.full_name,
        "private": item.private,
        "owner": user(state, item.owner),
        "html_url": html,
        "fork": item.fork_of is not None,
        "url": api,
        **beneath(api, _REPOSITORY_URLS),
        "git_url": f"git://github.com/{item.full_name}.git",
        "ssh_url": f"git@github.com:{item.full_name}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        "topics": [],
        "visibility": "private" if item.private else "public",
        "default_branch": item.default_branch,
        "archived": item.archived,
        **each("mirror_url homepage language license description", None),
        **each("created_at updated_at pushed_at", created),
        **each("allow_forking has_issues has_projects has_downloads has_wiki", True),
        **each("disabled is_template has_pages has_discussions", False),
        "web_commit_signoff_required": False,
        **each("size forks forks_count watchers watchers_count stargazers_count", 0),
        **each("open_issues open_issues_count", open_pulls),
    }


def full_repository(state: State, item: Repository) -> Json:
    return {**repository(state, item), "subscribers_count": 0, "network_count": 0}


def permission(state: State, item: Repository, login: str) -> Json:
    role = state.role_of(item, login)
    legacy = {"maintain": "write", "triage": "read"}.get(role, role)
    ladder = ("pull", "triage", "push", "maintain", "admin")
    step = {"read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}.get(role, 0)
    granted = {name: index < step for index, name in enumerate(ladder)}
    return {
        "permission": legacy,
        "role_name": role,
        "user": {**user(state, login), "permissions": granted, "role_name": role},
    }


def pull_url(state: State, pull: PullRequest) -> str:
    return f"{repository_url(state, pull.repository)}/pulls/{pull.number}"


def file_change(state: State, item: Repository, head: str, change: FileChange) -> Json:
    path = quote(change.path, errors="surrogateescape")
    html = f"{HTML}/{item.full_name}"
    shape: Json = {
        "sha": change.sha,
        "filename": change.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{html}/blob/{head}/{path}",
        "raw_url": f"{html}/raw/{head}/{path}",
        "contents_url": f"{repository_url(state, item)}/contents/{path}?ref={head}",
    }
    if change.previous_path is not None:
        shape["previous_filename"] = change.previous_path
    if change.patch is not None and change.additions + change.deletions <= PATCH_CHANGES_MAX:
        shape["patch"] = change.patch
    return shape


def commit(state: State, item: Repository, found: Commit) -> Json:
    api = repository_url(state, item)
    who = {"name": "Stand-in", "email": "standin@example.com", "date": stamp(found.at)}

    def named(sha: str) -> Json:
        html = f"{HTML}/{item.full_name}/commit/{sha}"
        return {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": html}

    return {
        **named(found.sha),
        "node_id": f"C_{found.sha}",
        "commit": {
            "author": who,
            "committer": who,
            "message": found.message,
            "tree": {"sha": found.tree, "url": f"{api}/git/trees/{found.tree}"},
            "url": f"{api}/git/commits/{found.sha}",
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                **each("signature payload verified_at", None),
            },
        },
        "comments_url": f"{api}/commits/{found.sha}/comments",
        "author": None,
        "committer": None,
        "parents": [named(sha) for sha in found.parents],
    }


def check_run(state: State, run: CheckRun) -> Json:
    item = run.suite.repository
    url = f"{repository_url(state, item)}/check-runs/{run.id}"
    return {
        "id": run.id,
        "name": run.name,
        "node_id": node_id("CR", run.id),
        "head_sha": run.suite.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": f"{HTML}/{item.full_name}/runs/{run.id}",
        "details_url": run.details_url,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite.id},
        "app": {**app(state), "id": run.app_id},
        "pull_requests": pulls_of(state, run.suite),
    }


def delivery(item: Delivery) -> Json:
    """One delivery as the list shows it."""
    return {
        "id": item.id,
        "guid": item.guid,
        "delivered_at": stamp(item.delivered_at),
        "redelivery": item.redelivery,
        "duration": round(item.duration, 2),
        "status": item.status,
        "status_code": item.status_code,
        "event": item.event,
        "action": item.action,
        "installation_id": item.installation_id,
        "repository_id": item.repository_id,
        "throttled_at": None,
        "url": "",
    }


def pulls_of(state: State, suite: CheckSuite) -> list[Json]:
    """The pull requests of a suite; empty for heads in forks, as on GitHub."""

    def end(item: Repository, ref: str, sha: str) -> Json:
        repo = {"id": item.id, "url": repository_url(state, item), "name": item.name}
        return {"ref": ref, "sha": sha, "repo": repo}

    return [
        {
            "url": pull_url(state, pull),
            "id": pull.id,
            "number": pull.number,
            "head": end(pull.repository, pull.head_ref, pull.head_sha),
            "base": end(pull.repository, pull.base_ref, pull.base_sha),
        }
        for pull in suite.repository.pulls.values()
        if pull.head_sha == suite.head_sha and not pull.from_fork
    ]
