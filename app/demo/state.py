"""All that the stand-in remembers, and what people do on GitHub: open, push, comment, review.

Tests and the demo call it as if they were those people; `github.py` serves it to the App.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.demo.faults import Fault, RecordedRequest
from app.demo.records import (
    CheckRun,
    CheckSuite,
    Delivery,
    Hook,
    Installation,
    IssueComment,
    Person,
    Place,
    PullRequest,
    Reaction,
    Repository,
    Review,
    ReviewComment,
    Token,
    stamp,
)
from app.demo.repository import Files, GitRepository

P = ParamSpec("P")
T = TypeVar("T")

# What `app.yml` asks for by default; see product.md §10.
DEFAULT_PERMISSIONS = {
    "metadata": "read",
    "contents": "read",
    "pull_requests": "write",
    "issues": "write",
    "checks": "write",
}
DEFAULT_EVENTS = (
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "check_run",
    "check_suite",
)


_COUNTED = """
    person installation repository pull issue issue_comment review review_comment reaction
    check_suite check_run delivery
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppIdentity:
    """The registered App. GitHub keeps only the public half of the key; `new_app` makes both."""

    public_key: str
    webhook_secret: str
    id: int = 290_001
    client_id: str = "Iv23liStandIn00000001"
    slug: str = "codex-review"
    name: str = "codex-review"
    owner: str = ""
    permissions: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_PERMISSIONS))
    events: tuple[str, ...] = DEFAULT_EVENTS

    @property
    def bot(self) -> str:
        return f"{self.slug}[bot]"


def new_app(webhook_secret: str) -> tuple[AppIdentity, str]:
    """Register an App; give it and its private key (PEM, PKCS#1, as GitHub hands it out)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return AppIdentity(public_key=public.decode(), webhook_secret=webhook_secret), private.decode()


def locked(
    function: Callable[Concatenate["State", P], T],
) -> Callable[Concatenate["State", P], T]:
    """Hold the state's lock meanwhile: requests are answered in other threads."""

    @wraps(function)
    def inside(state: "State", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with state.lock:
            return function(state, *args, **kwargs)

    return inside


class State:
    """One GitHub with one App. Its lock is held while a request is answered."""

    def __init__(
        self,
        root: Path,
        app: AppIdentity,
        *,
        now: Callable[[], float] = time.time,
        api_url: str = "https://api.github.com",
    ) -> None:
        self.root = root
        self.app = app
        self.now = now
        self.api_url = api_url
        self.app_created_at = now()
        self.lock = threading.RLock()
        self.hook = Hook()
        self.codes: dict[str, tuple[AppIdentity, str, float]] = {}
        self.requests: list[RecordedRequest] = []
        self.faults: list[Fault] = []
        self.people: dict[str, Person] = {}
        self.tokens: dict[str, Token] = {}
        self.installations: dict[int, Installation] = {}
        self.repositories: dict[int, Repository] = {}
        self.old_names: dict[str, Repository] = {}
        self.issue_comments: dict[int, IssueComment] = {}
        self.reviews: dict[int, Review] = {}
        self.review_comments: dict[int, ReviewComment] = {}
        self.reactions: dict[int, Reaction] = {}
        self.check_suites: dict[int, CheckSuite] = {}
        self.check_runs: dict[int, CheckRun] = {}
        self.deliveries: list[Delivery] = []
        # Each kind counts from another place, so that an id taken for another one is found out.
        self._ids = {
            kind: itertools.count(start * 1_000_000 + 1)
            for start, kind in enumerate(_COUNTED.split(), start=11)
        }
        self.person(app.bot, "Bot")

    def next_id(self, kind: str) -> int:
        return next(self._ids[kind])

    @locked
    def person(self, login: str, kind: str = "User") -> Person:
        """The account of this login; an unknown one is made."""
        if login not in self.people:
            self.people[login] = Person(id=self.next_id("person"), login=login, type=kind)
        return self.people[login]

    @locked
    def create_repository(
        self, full_name: str, files: Files, *, private: bool = False, installed: bool = True
    ) -> Repository:
        """Make `owner/name` with one commit on `main`; the App is installed on it."""
        owner, name = full_name.split("/")
        self.person(owner, "Organization")
        number = self.next_id("repository")
        repository = Repository(
            id=number,
            owner=owner,
            name=name,
            git=GitRepository.create(self.root / f"{number}.git"),
            created_at=self.now(),
            private=private,
            installed=installed,
        )
        repository.git.commit("refs/heads/main", files, parent=None, message="Begin")
        self.repositories[number] = repository
        if installed and self.installation_of(repository) is None:
            installation = Installation(
                id=self.next_id("installation"),
                account=owner,
                permissions=dict(DEFAULT_PERMISSIONS),
                created_at=self.now(),
            )
            self.installations[installation.id] = installation
        return repository

    def installation_of(self, repository: Repository) -> Installation | None:
        if not repository.installed:
            return None
        return next((i for i in self.installations.values() if i.account == repository.owner), None)

    def repositories_of(self, token: Token) -> list[Repository]:
        """The repositories that an installation's token reaches."""
        return [
            repository
            for repository in self.repositories.values()
            if token.installation is not None
            and self.installation_of(repository) is token.installation
            and (token.repository_ids is None or repository.id in token.repository_ids)
        ]

    def find_repository(self, full_name: str) -> Repository | None:
        wanted = full_name.lower()
        named = (r for r in self.repositories.values() if r.full_name.lower() == wanted)
        return next(named, None)

    @locked
    def rename(self, repository: Repository, name: str) -> None:
        """Give a repository a new name; the old one redirects from now on."""
        self.old_names[repository.full_name.lower()] = repository
        repository.name = name

    @locked
    def permit(self, repository: Repository, login: str, role: str) -> None:
        """Give somebody a role: admin, maintain, write, triage, read or none."""
        self.person(login)
        repository.roles[login] = role

    def role_of(self, repository: Repository, login: str) -> str:
        everyone = "none" if repository.private else "read"
        return repository.roles.get(login, "admin" if login == repository.owner else everyone)

    @locked
    def personal_token(self, login: str) -> str:
        """A person's own token, such as `GITHUB_TOKEN` holds."""
        text = f"ghp_{self.person(login).id:036d}"
        self.tokens[text] = Token(login=login)
        return text

    @locked
    def commit(
        self, repository: Repository, files: Files, *, branch: str = "main", message: str = "Change"
    ) -> str:
        """Put one more commit on a branch of the repository; open pull requests stay."""
        ref = f"refs/heads/{branch}"
        parent = repository.git.resolve(ref) or repository.git.resolve(repository.default_branch)
        return repository.git.commit(ref, files, parent=parent, message=message)

    @locked
    def open_pull_request(
        self,
        repository: Repository,
        files: Files,
        *,
        title: str = "Change something",
        body: str | None = None,
        author: str = "contributor",
        branch: str = "feature",
        base: str = "main",
        draft: bool = False,
        from_fork: bool = False,
    ) -> PullRequest:
        """Open a pull request whose one commit on top of `base` makes these changes."""
        self.person(author)
        number = len(repository.pulls) + 1
        base_sha = repository.git.sha(f"refs/heads/{base}")
        head_repository = self._fork(repository, author) if from_fork else repository
        ref = _head_ref(head_repository, branch)
        head_sha = repository.git.commit(
            ref, files, parent=base_sha, message=title, also=f"refs/pull/{number}/head"
        )
        pull = PullRequest(
            id=self.next_id("pull"),
            issue_id=self.next_id("issue"),
            number=number,
            repository=repository,
            head_repository=head_repository,
            title=title,
            body=body,
            author=author,
            head_ref=branch,
            head_sha=head_sha,
            base_ref=base,
            base_sha=base_sha,
            draft=draft,
            created_at=self.now(),
            updated_at=self.now(),
        )
        repository.pulls[number] = pull
        return pull

    @locked
    def push(
        self, pull: PullRequest, files: Files, *, message: str = "More", force: bool = False
    ) -> str:
        """Push a commit to a pull request and give its sha; `force` drops the commits before it."""
        git = pull.repository.git
        pull.head_sha = git.commit(
            _head_ref(pull.head_repository, pull.head_ref),
            files,
            parent=pull.merge_base() if force else pull.head_sha,
            message=message,
            also=f"refs/pull/{pull.number}/head",
        )
        pull.base_sha = git.resolve(f"refs/heads/{pull.base_ref}") or pull.base_sha
        pull.updated_at = self.now()
        return pull.head_sha

    @locked
    def comment(self, pull: PullRequest, login: str, body: str) -> IssueComment:
        """Say something in the conversation."""
        self.person(login)
        comment = IssueComment(
            id=self.next_id("issue_comment"),
            pull=pull,
            author=login,
            body=body,
            created_at=self.now(),
            updated_at=self.now(),
        )
        self.issue_comments[comment.id] = comment
        return comment

    @locked
    def review(
        self,
        pull: PullRequest,
        login: str,
        body: str,
        *,
        review_state: str = "COMMENTED",
        commit_id: str | None = None,
    ) -> Review:
        """Review a pull request, without comments on the diff."""
        self.person(login)
        review = Review(
            id=self.next_id("review"),
            pull=pull,
            author=login,
            body=body,
            state=review_state,
            commit_id=commit_id or pull.head_sha,
            submitted_at=None if review_state == "PENDING" else self.now(),
        )
        self.reviews[review.id] = review
        return review

    @locked
    def review_comment(
        self, review: Review, body: str, place: Place, *, in_reply_to: int | None = None
    ) -> ReviewComment:
        """Add a comment on the diff to a review."""
        comment = ReviewComment(
            id=self.next_id("review_comment"),
            review=review,
            author=review.author,
            body=body,
            place=place,
            commit_id=review.commit_id,
            created_at=self.now(),
            updated_at=self.now(),
            in_reply_to=in_reply_to,
        )
        self.review_comments[comment.id] = comment
        return comment

    @locked
    def reply(self, comment: ReviewComment, login: str, body: str) -> ReviewComment:
        """Answer in a thread on the diff; GitHub wraps each answer into a review of its own."""
        review = self.review(comment.pull, login, "")
        top = comment.in_reply_to or comment.id
        return self.review_comment(review, body, comment.place, in_reply_to=top)

    @locked
    def react(self, subject: tuple[str, int], login: str, content: str) -> tuple[Reaction, bool]:
        """Add a reaction to (kind, id); the flag says whether it is new."""
        for reaction in self.reactions_to(subject):
            if reaction.login == login and reaction.content == content:
                return reaction, False
        reaction = Reaction(
            id=self.next_id("reaction"),
            subject=subject,
            login=login,
            content=content,
            created_at=self.now(),
        )
        self.reactions[reaction.id] = reaction
        return reaction, True

    def reactions_to(self, subject: tuple[str, int]) -> list[Reaction]:
        return [reaction for reaction in self.reactions.values() if reaction.subject == subject]

    def comments_of(self, review: Review) -> list[ReviewComment]:
        return [comment for comment in self.review_comments.values() if comment.review is review]

    def pull_requests(self) -> Iterator[PullRequest]:
        for repository in self.repositories.values():
            yield from repository.pulls.values()

    @locked
    def check_run(self, repository: Repository, head_sha: str, name: str) -> CheckRun:
        """Begin a check run, queued."""
        run = CheckRun(
            id=self.next_id("check_run"),
            suite=self.suite(repository, head_sha),
            app_id=self.app.id,
            name=name,
            started_at=stamp(self.now()),
            details_url="https://example.com/codex-review",
        )
        self.check_runs[run.id] = run
        return run

    @locked
    def suite(self, repository: Repository, head_sha: str) -> CheckSuite:
        """The App's check suite for a commit; GitHub makes it by itself."""
        for suite in self.check_suites.values():
            if (suite.repository, suite.head_sha) == (repository, head_sha):
                return suite
        suite = CheckSuite(
            id=self.next_id("check_suite"),
            repository=repository,
            head_sha=head_sha,
            created_at=self.now(),
        )
        self.check_suites[suite.id] = suite
        return suite

    def _fork(self, repository: Repository, owner: str) -> Repository:
        known = self.find_repository(f"{owner}/{repository.name}")
        if known is not None:
            return known
        fork = Repository(
            id=self.next_id("repository"),
            owner=owner,
            name=repository.name,
            git=repository.git,
            created_at=self.now(),
            installed=False,
            fork_of=repository,
        )
        self.repositories[fork.id] = fork
        return fork


def _head_ref(head_repository: Repository, branch: str) -> str:
    if head_repository.fork_of is None:
        return f"refs/heads/{branch}"
    return f"refs/forks/{head_repository.owner}/{branch}"
