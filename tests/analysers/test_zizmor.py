"""zizmor itself on changed workflows, well-meant and hostile."""

import pytest

from app.analysers.zizmor import ZIZMOR
from app.ports import Found
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.children import Planted, analyse, told

pytestmark = pytest.mark.anyio

PATH = ".github/workflows/ci.yml"
HEAD = "name: ci\non: pull_request\npermissions: {}\njobs:\n  test:\n    runs-on: ubuntu-latest\n"
PINNED = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"
SOUND = (
    f"{HEAD}    steps:\n      - uses: {PINNED}\n        with:\n"
    "          persist-credentials: false\n      - run: make test\n"
)
INJECTED = "      - run: echo '${{ github.event.pull_request.title }}'\n"


async def test_text_from_outside_in_a_script_is_told_where_it_stands() -> None:
    found = await analyse(ZIZMOR, {PATH: SOUND + INJECTED})

    (only,) = found.candidates
    assert (only.rule, only.area, only.priority) == (
        "template-injection",
        Area.SECURITY,
        Priority.P1,
    )
    assert only.location.line == 12
    assert only.evidence == INJECTED.rstrip("\n")


async def test_an_action_that_is_not_pinned_is_a_nit() -> None:
    found = await analyse(ZIZMOR, {PATH: SOUND + "      - uses: some/action@v1\n"})

    assert [(c.rule, c.area, c.priority) for c in found.candidates] == [
        ("unpinned-uses", Area.DEPENDENCIES, Priority.P3)
    ]


async def test_a_trigger_that_gives_strangers_secrets_is_told() -> None:
    text = SOUND.replace("on: pull_request", "on: pull_request_target")

    assert told(await analyse(ZIZMOR, {PATH: text})) == [("dangerous-triggers", PATH, 2)]


async def test_a_sound_workflow_is_left_alone() -> None:
    assert await analyse(ZIZMOR, {PATH: SOUND}) == Found(finder="zizmor")


async def test_an_action_of_ones_own_is_analysed_too() -> None:
    text = (
        "name: a\ndescription: b\ninputs:\n  x:\n    description: c\nruns:\n  using: composite\n"
        "  steps:\n    - run: echo ${{ inputs.x }}\n      shell: bash\n"
    )

    assert told(await analyse(ZIZMOR, {"tools/action.yml": text})) == [
        ("template-injection", "tools/action.yml", 9)
    ]


async def test_only_added_lines_are_spoken_of() -> None:
    before = SOUND + INJECTED

    found = await analyse(ZIZMOR, {PATH: before + "      - run: ls\n"}, before={PATH: before})

    assert found.candidates == ()


async def test_neither_configuration_nor_comments_silence_anything() -> None:
    planted = Planted({"zizmor.yml": "rules: {template-injection: {disable: true}}\n"})
    text = SOUND + INJECTED.rstrip("\n") + " # zizmor: ignore[template-injection]\n"

    found = await analyse(ZIZMOR, {PATH: text}, child=planted)

    assert told(found) == [("template-injection", PATH, 12)]


async def test_a_broken_workflow_costs_only_itself() -> None:
    broken = ".github/workflows/broken.yml"

    found = await analyse(ZIZMOR, {broken: "on: [\n", PATH: SOUND + INJECTED})

    assert list(found.not_analysed or ()) == [broken]
    assert told(found) == [("template-injection", PATH, 12)]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [(PATH, True), ("action.yaml", True), ("a/b/action.yml", True), ("ci.yml", False)],
)
def test_workflows_and_actions_are_wanted(path: str, wanted: bool) -> None:
    assert ZIZMOR.wants(path) is wanted
