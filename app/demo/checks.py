"""Check runs: what only Apps may write, and the limits of what they write."""

from typing import Annotated, Literal, TypeVar

import msgspec

from app.demo import shapes
from app.demo.call import Answer, Call, NotFound, Refused, Route, paged
from app.demo.records import CheckRun, stamp
from app.demo.shapes import Json

TEXT_MAX = 65_535
ANNOTATIONS_MAX = 50
ACTIONS_MAX = 3
_ANNOTATION_TEXT_MAX = 64 * 1024

Line = Annotated[int, msgspec.Meta(ge=1)]
Status = Literal["queued", "in_progress", "completed"]
Conclusion = Literal[
    "action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"
]
Time = Annotated[
    str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
]

T = TypeVar("T")


class Annotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    path: str
    start_line: Line
    end_line: Line
    annotation_level: Literal["notice", "warning", "failure"]
    message: str
    start_column: Line | None = None
    end_column: Line | None = None
    title: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    raw_details: str | None = None


class Output(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    summary: str
    title: str | None = None
    text: str | None = None
    annotations: list[Annotation] = []


class Action(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    label: Annotated[str, msgspec.Meta(max_length=20)]
    description: Annotated[str, msgspec.Meta(max_length=40)]
    identifier: Annotated[str, msgspec.Meta(max_length=20)]


class CheckUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str | msgspec.UnsetType = msgspec.UNSET
    details_url: str | msgspec.UnsetType = msgspec.UNSET
    external_id: str | msgspec.UnsetType = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET
    conclusion: Conclusion | msgspec.UnsetType = msgspec.UNSET
    started_at: Time | msgspec.UnsetType = msgspec.UNSET
    completed_at: Time | msgspec.UnsetType = msgspec.UNSET
    output: Output | msgspec.UnsetType = msgspec.UNSET
    actions: list[Action] | msgspec.UnsetType = msgspec.UNSET


class NewCheck(CheckUpdate):
    name: str
    head_sha: str


def create(call: Call) -> Answer:
    _apps_only(call)
    asked = call.read(NewCheck)
    _check(asked)
    if asked.output and asked.output.title is None:
        raise _invalid('"title" wasn\'t supplied.')
    head = call.repository.git.resolve(asked.head_sha)
    if head is None or head != asked.head_sha:
        raise Refused(422, f"No commit found for SHA: {asked.head_sha}")
    run = call.state.check_run(call.repository, head, asked.name)
    _apply(call, run, asked)
    return Answer(status=201, content=shapes.check_run(call.state, run))


def update(call: Call) -> Answer:
    _apps_only(call)
    run = _run(call)
    if run.app_id != call.state.app.id:
        raise Refused(
            403,
            f"Invalid app_id `{call.state.app.id}` - check run can only be modified by the GitHub "
            "App that created it.",
        )
    asked = call.read(CheckUpdate)
    _check(asked)
    _apply(call, run, asked)
    return Answer(content=shapes.check_run(call.state, run))


def get(call: Call) -> Answer:
    return Answer(content=shapes.check_run(call.state, _run(call)))


def list_for_ref(call: Call) -> Answer:
    head, query = _commit(call), call.query
    found = [
        run
        for run in reversed(call.state.check_runs.values())
        if (run.suite.repository, run.suite.head_sha) == (call.repository, head)
        and query.get("check_name") in (None, run.name)
        and query.get("status") in (None, run.status)
        and query.get("app_id") in (None, str(run.app_id))
    ]
    if query.get("filter", "latest") == "latest":
        newest: dict[tuple[int, str], CheckRun] = {}
        for run in found:
            newest.setdefault((run.app_id, run.name), run)
        found = list(newest.values())
    return paged(call, found, lambda run: shapes.check_run(call.state, run), under="check_runs")


def _apply(call: Call, run: CheckRun, asked: CheckUpdate) -> None:
    run.name = _given(asked.name, run.name)
    run.details_url = _given(asked.details_url, run.details_url)
    run.external_id = _given(asked.external_id, run.external_id)
    run.started_at = _given(asked.started_at, run.started_at)
    run.status = _given(asked.status, run.status)
    if asked.conclusion:
        run.status, run.conclusion = "completed", asked.conclusion
        run.completed_at = stamp(call.state.now())
    elif asked.status:  # back to work: a run that is reopened has no conclusion
        run.conclusion = run.completed_at = None
    run.completed_at = _given(asked.completed_at, run.completed_at)
    if asked.actions:
        run.actions = [msgspec.to_builtins(action) for action in asked.actions]
    if asked.output:
        run.title = asked.output.title or run.title
        run.summary = asked.output.summary
        run.text = asked.output.text if asked.output.text is not None else run.text
        run.annotations += [_stored(call, run, item) for item in asked.output.annotations]
    run.history.append(run.conclusion or run.status)


def _given(value: T | msgspec.UnsetType, otherwise: T) -> T:
    return otherwise if isinstance(value, msgspec.UnsetType) else value


def _check(asked: CheckUpdate) -> None:
    """The rules that a schema of types cannot say, in GitHub's words where we know them."""
    if asked.status == "completed" and not asked.conclusion:
        raise _invalid(
            'No subschema in "anyOf" matched.\n"conclusion" wasn\'t supplied.\n'
            'completed is not a member of ["queued", "in_progress"].'
        )
    if asked.actions and len(asked.actions) > ACTIONS_MAX:
        raise _too_many(ACTIONS_MAX, len(asked.actions))
    if not asked.output:
        return
    output = asked.output
    if len(output.annotations) > ANNOTATIONS_MAX:
        raise _too_many(ANNOTATIONS_MAX, len(output.annotations))
    for text in (output.summary, output.text or ""):
        if len(text) > TEXT_MAX:
            raise _invalid(f"Only {TEXT_MAX} characters are allowed; {len(text)} were supplied.")
    for annotation in output.annotations:
        _check_annotation(annotation)


def _check_annotation(annotation: Annotation) -> None:
    for text in (annotation.message, annotation.raw_details or ""):
        if len(text.encode()) > _ANNOTATION_TEXT_MAX:
            raise _invalid("The annotation's text is larger than 64 KB.")
    if annotation.end_line < annotation.start_line:
        raise _invalid("start_line must not be greater than end_line.")
    columns = annotation.start_column is not None or annotation.end_column is not None
    if columns and annotation.start_line != annotation.end_line:
        raise _invalid("start_column and end_column need start_line and end_line to be the same.")


def _stored(call: Call, run: CheckRun, annotation: Annotation) -> Json:
    empty = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    html = f"{shapes.HTML}/{call.repository.full_name}"
    return {
        **empty,
        **msgspec.to_builtins(annotation),
        "blob_href": f"{html}/blob/{run.suite.head_sha}/{annotation.path}",
    }


def _apps_only(call: Call) -> None:
    if call.token is None or call.token.installation is None:
        raise Refused(403, "You must authenticate via a GitHub App.")


def _run(call: Call) -> CheckRun:
    run = call.state.check_runs.get(call.number("id"))
    if run is None or run.suite.repository is not call.repository:
        raise NotFound
    return run


def _commit(call: Call) -> str:
    ref = call.params["ref"]
    head = call.repository.git.resolve(ref)
    if head is None:
        raise Refused(422, f"No commit found for SHA: {ref}")
    return head


def _too_many(most: int, much: int) -> Refused:
    return _invalid(f"No more than {most} items are allowed; {much} were supplied.")


def _invalid(text: str) -> Refused:
    return Refused(422, f"Invalid request.\n\n{text}")


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    Route("POST", _REPO + "/check-runs", create, "checks=write"),
    Route("GET", _REPO + "/check-runs/{id}", get, "checks=read"),
    Route("PATCH", _REPO + "/check-runs/{id}", update, "checks=write"),
    Route("GET", _REPO + "/commits/{ref:path}/check-runs", list_for_ref, "checks=read"),
)
