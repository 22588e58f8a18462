"""Pull requests as they are read: one, many, their files, and the issues that they also are."""

from dataclasses import replace

from app.demo import pull_shapes, shapes
from app.demo.call import Answer, Call, Route, page_asked, paged
from app.demo.contents import diff_answer
from app.demo.diffs import FileChange

LISTED_FILES_MAX = 3_000

# Later files of a large page come without their patch (openjdk/skara#1302).
PATCHES_PER_PAGE = 70


def get_pull(call: Call) -> Answer:
    if call.wants("diff"):
        return diff_answer(call.repository, call.pull.merge_base(), call.pull.head_sha)
    return Answer(content=pull_shapes.pull_full(call.state, call.pull))


def list_files(call: Call) -> Answer:
    pull = call.pull
    size, _ = page_asked(call)
    listed = [
        replace(change, hunks=()) if index % size >= PATCHES_PER_PAGE else change
        for index, change in enumerate(pull.changes()[:LISTED_FILES_MAX])
    ]

    def shape(change: FileChange) -> shapes.Json:
        return shapes.file_change(call.state, pull.repository, pull.head_sha, change)

    return paged(call, listed, shape)


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    Route("GET", _REPO + "/pulls/{number}", get_pull, "pull_requests=read"),
    Route("GET", _REPO + "/pulls/{number}/files", list_files, "pull_requests=read"),
)
