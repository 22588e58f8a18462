"""oxlint itself on changes, well-meant and hostile."""

import pytest

from app.analysers.linter import Linter
from app.analysers.oxlint import OXLINT
from app.ports import Ended, Found
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.changes import contents, make_change
from tests.analysers.children import Planted, Scripted, analyse, told

pytestmark = pytest.mark.anyio

BAD = "export const a = 1;\na = 2;\n"


@pytest.mark.parametrize(
    ("code", "rule", "area", "priority"),
    [
        (BAD, "no-const-assign", Area.CORRECTNESS, Priority.P1),
        (
            "export const f = (x) => x === NaN;\n",
            "use-isnan",
            Area.CORRECTNESS,
            Priority.P2,
        ),
        ("export const o = { a: 1, a: 2 };\n", "no-dupe-keys", Area.CORRECTNESS, Priority.P2),
        ("export const f = (x) => eval(x);\n", "no-eval", Area.SECURITY, Priority.P2),
        ("export const f = (x) => new Function(x);\n", "no-new-func", Area.SECURITY, Priority.P2),
        (
            "export async function f(xs) {\n  for (const x of xs) await x();\n}\n",
            "no-await-in-loop",
            Area.PERFORMANCE,
            Priority.P3,
        ),
        (
            "export function f() {\n  debugger;\n}\n",
            "no-debugger",
            Area.CORRECTNESS,
            Priority.P3,
        ),
    ],
)
async def test_a_rule_has_its_area_and_priority(
    code: str, rule: str, area: Area, priority: Priority
) -> None:
    found = await analyse(OXLINT, {"web/a.js": code})

    assert [(c.rule, c.area, c.priority) for c in found.candidates] == [(rule, area, priority)]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.js", "const unused = 1;\n"),
        ("a.js", "export const f = (x) => Number.isNaN(x);\n"),
        ("a.jsx", "export const F = () => <b>x</b>;\n"),
        ("a.ts", "export const f = (x: unknown) => <string>x;\n"),
        ("a.d.ts", "declare const a: string;\nexport default a;\n"),
        ("a.vue", "<script>\nexport default {};\n</script>\n"),
    ],
)
async def test_sound_code_and_noise_are_left_alone(path: str, code: str) -> None:
    assert await analyse(OXLINT, {path: code}) == Found(finder="oxlint")


async def test_only_added_lines_are_spoken_of() -> None:
    before = "export const a = 1;\na = 2;\n"

    found = await analyse(OXLINT, {"a.js": before + "a = 3;\n"}, before={"a.js": before})

    assert told(found) == [("no-const-assign", "a.js", 3)]


@pytest.mark.parametrize(
    "configuration",
    [
        {".oxlintrc.json": '{"ignorePatterns": ["**"], "rules": {"no-const-assign": "off"}}'},
        {".oxlintrc.json": '{"jsPlugins": ["./plugin.js"]}', "plugin.js": "process.exit(7)"},
        {"oxlint.config.ts": "process.exit(7)"},
        {".eslintignore": "*\n", ".gitignore": "*\n", "package.json": "{"},
    ],
)
async def test_configuration_in_the_change_changes_nothing(configuration: dict[str, str]) -> None:
    found = await analyse(OXLINT, {"a.js": BAD}, child=Planted(configuration))

    assert told(found) == [("no-const-assign", "a.js", 2)]


async def test_what_cannot_be_parsed_is_not_analysed() -> None:
    found = await analyse(OXLINT, {"a.js": "function ( {\n", "b.js": BAD})

    assert found.not_analysed == {"a.js": "oxlint could not read it"}
    assert told(found) == [("no-const-assign", "b.js", 2)]


async def test_an_answer_of_another_shape_is_no_answer() -> None:
    files = {"a.js": BAD}
    finder = Linter(Scripted(Ended(status=0, stdout=b"[]", stderr=b"")), OXLINT, "/bin/oxlint")

    found = await finder.find(make_change(files), contents(files))

    assert found.not_analysed == {"a.js": "oxlint gave no answer that can be read"}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("a.js", True), ("a.mts", True), ("a.tsx", True), ("a.vue", True), ("a.json", False)],
)
def test_javascript_and_typescript_are_wanted(path: str, wanted: bool) -> None:
    assert OXLINT.wants(path) is wanted


@pytest.mark.parametrize(
    "comment",
    [
        "/* eslint-disable no-const-assign */",
        "/* oxlint-disable */",
        "// eslint-disable-next-line no-const-assign",
        "// oxlint-disable-next-line",
    ],
)
async def test_a_comment_silences_nothing(comment: str) -> None:
    code = f"const a = 1;\n{comment}\na = 2;\n"

    assert told(await analyse(OXLINT, {"a.js": code})) == [("no-const-assign", "a.js", 3)]
