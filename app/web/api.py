"""The API of `/v1`: reviews for other programs, and what they came to.

Knows what may be asked with which key, and how that becomes a job. Whatever waits here for GitHub
only looks; the review itself is a job like any other.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from app import log
from app.errors import Forbidden, OverBudget, Permanent, PullRequestGone, Unusable
from app.github.addresses import parse_pull_address, web_url
from app.jobs.job import ENDED, Job, JobState, NewJob, Review, name_run
from app.ports import Budget, Clock, Credit, Jobs, Policies, Receipts
from app.review.focus import Area
from app.review.pull import InstallationId, RunId, Target
from app.review.receipt import Receipt, State, broken_off
from app.review.rights import ApiKey
from app.web.openapi import ApiError, Call, Operation, Reply

MAX_WAITING = 10
"""Reviews of one pull request that may wait at once."""
DAY_S = 86_400.0
HOUR_S = 3_600.0
_IDEMPOTENCY_KEY = r"[ -~]{1,255}"

Status = Literal["queued", "in_progress", "completed"]
_STATES: Mapping[JobState, State] = {
    JobState.FAILED: State.FAILED,
    JobState.CANCELLED: State.CANCELLED,
    JobState.SUPERSEDED: State.SUPERSEDED,
}


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be executed."""

    tests: Annotated[
        bool, Meta(description="Run the repository's tests. The receipt says what became of it.")
    ] = False


class ReviewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wish for a review."""

    pull_request_url: Annotated[
        str,
        Meta(
            max_length=1000,
            description="As a browser shows it; on the GitHub that this server works for.",
            extra_json_schema={"format": "uri"},
            examples=["https://github.com/acme/shop/pull/7"],
        ),
    ]
    focus_areas: Annotated[
        Annotated[list[Area], Meta(min_length=1, max_length=20)] | None,
        Meta(description="What to look for; null: what the repository configured."),
    ] = None
    sandbox_config: SandboxConfig = SandboxConfig()
    post: Annotated[
        bool, Meta(description="false: nothing is written on GitHub; the receipt is all.")
    ] = True


class ReviewObject(msgspec.Struct, frozen=True, kw_only=True):
    """A review that was asked for, by whatever way. `id` is its run id."""

    id: str
    object: Literal["codex.review"] = "codex.review"
    created_at: Annotated[int, Meta(description="Epoch seconds.")]
    status: Status
    pull_request_url: str
    focus_areas: tuple[Area, ...] | None
    sandbox_config: SandboxConfig
    post: bool


class FinishedReview(ReviewObject, frozen=True, kw_only=True):
    """A review with its verdict."""

    receipt: Annotated[Receipt | None, Meta(description="null until the review is completed.")]


class ReviewList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of reviews, the newest first."""

    object: Literal["list"] = "list"
    data: tuple[ReviewObject, ...]
    first_id: str | None
    last_id: str | None
    has_more: Annotated[bool, Meta(description="Ask for more with `after` = `last_id`.")]


class ReviewPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which reviews to list."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="Only reviews older than this one."),
    ] = None


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """A model that reviews may use."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "model-server"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The models that a repository may choose from, the usual one first."""

    object: Literal["list"] = "list"
    data: tuple[ModelObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewApi:
    """Takes wishes and tells verdicts. `find` raises Forbidden where the App is not installed."""

    api_url: str
    allowed_owners: Collection[str]
    models: tuple[str, ...]
    max_reviews_per_day: int | None
    find: Callable[[str, str, int], Awaitable[Target]]
    policies: Policies
    jobs: Jobs
    receipts: Receipts
    budget: Budget | None
    credit: Credit | None
    clock: Clock

    def operations(self) -> tuple[Operation, ...]:
        """Tell what is served."""
        one = "/v1/codex/reviews/{id}"
        return (
            Operation(
                method="POST",
                path="/v1/codex/reviews",
                name="createReview",
                summary="Ask for a review. The same Idempotency-Key asks once.",
                handle=self.ask,
                body=ReviewRequest,
                answers={202: ReviewObject},
                errors=(400, 401, 402, 403, 404, 409, 413, 422, 429, 503),
                parameters=(_IDEMPOTENCY_HEADER,),
                needs_key=True,
            ),
            Operation(
                method="GET",
                path="/v1/codex/reviews",
                name="listReviews",
                summary="List the reviews of the key's repositories.",
                handle=self.list,
                query=ReviewPage,
                answers={200: ReviewList},
                errors=(400, 401, 404, 503),
                needs_key=True,
            ),
            Operation(
                method="GET",
                path=one,
                name="getReview",
                summary="Tell how far a review is, and its verdict.",
                handle=self.tell,
                answers={200: FinishedReview},
                errors=(401, 404, 503),
                parameters=(_ID,),
                needs_key=True,
            ),
            Operation(
                method="POST",
                path=f"{one}/cancel",
                name="cancelReview",
                summary="Stop a review; its check run says so.",
                handle=self.cancel,
                answers={200: ReviewObject},
                errors=(401, 404, 409, 503),
                parameters=(_ID,),
                needs_key=True,
            ),
            Operation(
                method="GET",
                path="/v1/models",
                name="listModels",
                summary="List the models that reviews may use.",
                handle=self.list_models,
                answers={200: ModelList},
                errors=(401,),
                needs_key=True,
            ),
        )

    async def ask(self, call: Call) -> Reply:
        """Store a review, unless it is stored already."""
        wish: ReviewRequest = call.body
        named = self._named(wish, call.key)
        idempotency_key = call.headers.get("idempotency-key")
        if idempotency_key is None:
            run_id = RunId(secrets.token_hex(8))
        elif re.fullmatch(_IDEMPOTENCY_KEY, idempotency_key, re.ASCII):
            run_id = name_run("api", call.key.name, idempotency_key)
            if earlier := await self.jobs.status(run_id):
                return self._accepted(_same(earlier, named))
        else:
            raise ApiError(
                400,
                "An Idempotency-Key has 1 to 255 printable ASCII characters.",
                code="invalid_value",
                param="Idempotency-Key",
            )
        target = await self._found(named.target, call.key)
        await self._keep_to_limits(target)
        work = msgspec.structs.replace(named, target=target, asked_at=self.clock.now())
        new = NewJob(work=work, run_id=run_id, dedupe_key=f"review/{run_id}")
        stored = await self.jobs.submit(None, [new])
        with log.bind(run=run_id, repo=target.full_name, pull=target.number):
            log.event("review.asked", key=call.key.name, stored=len(stored), post=wish.post)
        job = await self.jobs.status(run_id)
        return self._accepted(_same(job, named))

    async def list(self, call: Call) -> Reply:
        """List reviews that this key may see."""
        page: ReviewPage = call.query
        before = (await self._seen(page.after, call.key, "after")).id if page.after else None
        found = await self.jobs.listed(call.key.repositories, before=before, limit=page.limit + 1)
        shown = tuple(self._object(job) for job in found[: page.limit])
        return Reply(
            body=ReviewList(
                data=shown,
                first_id=shown[0].id if shown else None,
                last_id=shown[-1].id if shown else None,
                has_more=len(found) > page.limit,
            )
        )

    async def tell(self, call: Call) -> Reply:
        """Tell of one review; one that ended without a word gets a receipt that says how."""
        job = await self._seen(call.path["id"], call.key)
        receipt = None
        if job.state in ENDED:
            receipt = await self.receipts.receipt(job.run_id)
            if receipt is None and (state := _STATES.get(job.state)):
                receipt = broken_off(
                    job.run_id, head_sha=None, state=state, reason=job.reason or state.value
                )
        told = msgspec.structs.asdict(self._object(job))
        return Reply(body=FinishedReview(**told, receipt=receipt))

    async def cancel(self, call: Call) -> Reply:
        """Stop a review; twice is once."""
        job = await self._seen(call.path["id"], call.key)
        if job.state in ENDED and job.state is not JobState.CANCELLED:
            raise ApiError(409, "This review is completed.", code="already_completed", param="id")
        await self.jobs.stop(job.run_id)
        return Reply(body=self._object(await self._seen(job.run_id, call.key)))

    async def list_models(self, call: Call) -> Reply:
        return Reply(body=ModelList(data=tuple(ModelObject(id=name) for name in self.models)))

    def _named(self, wish: ReviewRequest, key: ApiKey) -> Review:
        """Return the review that is wished for, before its repository was looked up."""
        try:
            address = parse_pull_address(wish.pull_request_url, self.api_url)
        except Unusable as exc:
            raise ApiError(422, f"{exc}.", code="invalid_value", param="pull_request_url") from exc
        target = Target(
            installation_id=InstallationId(0),
            repository_id=0,
            owner=address.owner,
            repo=address.repo,
            number=address.number,
        )
        self._authorise(target, key)
        areas = tuple(dict.fromkeys(wish.focus_areas)) if wish.focus_areas else None
        return Review(target=target, areas=areas, post=wish.post, tests=wish.sandbox_config.tests)

    def _authorise(self, target: Target, key: ApiKey) -> None:
        if not key.may_see(target.full_name):
            told = f"The key {key.name} is not for {target.full_name}: see API_KEYS."
            raise ApiError(403, told, code="repository_not_allowed", param="pull_request_url")
        owners = {owner.lower() for owner in self.allowed_owners}
        if owners and target.owner.lower() not in owners:
            told = f"{target.owner} is not among this server's ALLOWED_OWNERS."
            raise ApiError(403, told, code="owner_not_allowed", param="pull_request_url")

    async def _found(self, named: Target, key: ApiKey) -> Target:
        """Find the pull request on GitHub; what has another name there is asked for by that."""
        try:
            target = await self.find(named.owner, named.repo, named.number)
            self._authorise(target, key)
            await self.policies.look(target)
        except PullRequestGone as exc:
            raise _permanent(404, exc, "pull_request_not_found") from exc
        except Forbidden as exc:
            raise _permanent(403, exc, "app_not_permitted") from exc
        except Permanent as exc:
            raise _permanent(404, exc, "not_found") from exc
        return target

    async def _keep_to_limits(self, target: Target) -> None:
        most = self.max_reviews_per_day
        since = self.clock.now() - DAY_S
        if most is not None and await self.jobs.n_reviewed(target, since) >= most:
            told = f"The limit of {most} reviews in 24 hours is reached: see MAX_REVIEWS_PER_DAY."
            raise ApiError(429, told, code="reviews_per_day", retry_after_s=HOUR_S)
        if len(await self.jobs.reviews(target)) >= MAX_WAITING:
            told = f"{MAX_WAITING} reviews of this pull request wait already."
            raise ApiError(429, told, code="too_many_waiting", retry_after_s=60)
        try:
            if self.budget is not None:
                await self.budget.check(target)
        except OverBudget as exc:
            raise ApiError(402, f"{exc}.", code="over_budget") from exc
        if self.credit is not None and await self.credit.is_used_up():
            raise ApiError(402, "The model server has no credit left.", code="out_of_credit")

    async def _seen(self, id: str, key: ApiKey, param: str = "id") -> Job:
        """Return a review that this key may see; of others not even their existence."""
        job = await self.jobs.status(RunId(id))
        if job is None or not isinstance(job.work, Review) or not key.may_see(job.target.full_name):
            raise ApiError(404, "There is no such review.", code="review_not_found", param=param)
        return job

    def _accepted(self, job: Job) -> Reply:
        return Reply(body=self._object(job), status=202)

    def _object(self, job: Job) -> ReviewObject:
        work = cast(Review, job.work)
        place = f"{job.target.full_name}/pull/{job.target.number}"
        return ReviewObject(
            id=job.run_id,
            created_at=int(job.created_at),
            status=_status(job),
            pull_request_url=f"{web_url(self.api_url)}/{place}",
            focus_areas=work.areas,
            sandbox_config=SandboxConfig(tests=work.tests),
            post=work.post,
        )


_ID: Mapping[str, Any] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
_IDEMPOTENCY_HEADER: Mapping[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^{_IDEMPOTENCY_KEY}$"},
    "description": "As long as the review is kept, the same key with the same body is the same "
    "review; with another body it is refused (409).",
}


def _status(job: Job) -> Status:
    if job.state in ENDED:
        return "completed"
    return "queued" if job.started_at is None else "in_progress"


def _same(job: Job | None, wish: Review) -> Job:
    """Return the job if it is what is wished for."""
    if job is None or not isinstance(job.work, Review) or _essence(job.work) != _essence(wish):
        told = "This Idempotency-Key came with another body before."
        raise ApiError(409, told, code="idempotency_key_reused", param="Idempotency-Key")
    return job


def _essence(work: Review) -> tuple[object, ...]:
    target = work.target
    return target.full_name.lower(), target.number, work.areas, work.post, work.tests


def _permanent(status: int, exc: Permanent, code: str) -> ApiError:
    told = f"{exc}. {exc.remedy}" if exc.remedy else f"{exc}."
    return ApiError(status, told, code=code, param="pull_request_url")
