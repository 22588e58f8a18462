"""Tests that are skipped, focused or weakened: told, and only those."""

from collections.abc import Mapping

import pytest

from app.analysers.tests import TESTS
from app.ports import Found
from app.review.diff import Side
from app.review.findings import Candidate, Location
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.changes import make_change

pytestmark = pytest.mark.anyio

Told = list[tuple[str | None, Priority, Side, int]]


async def analyse(files: Mapping[str, str], before: Mapping[str, str] | None = None) -> Found:
    return await TESTS.find(make_change(files, before), {})


def told(found: Found) -> Told:
    return [(c.rule, c.priority, c.location.side, c.location.line) for c in found.candidates]


async def test_a_finding_is_told_whole() -> None:
    old = "def test_a():\n    assert a()\n"

    found = await analyse(
        {"tests/test_a.py": "@pytest.mark.skip\n" + old}, {"tests/test_a.py": old}
    )

    assert found == Found(
        finder="tests",
        candidates=(
            Candidate(
                area=Area.TESTS,
                priority=Priority.P2,
                confidence=0.8,
                title="A test need not pass any more",
                body="What it checks can break without a test that fails.",
                trigger="The code that it covers changes.",
                evidence="@pytest.mark.skip",
                location=Location(path="tests/test_a.py", side=Side.RIGHT, start_line=1, line=1),
                source="tests",
                rule="skipped-test",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("path", "line", "rule"),
    [
        ("a.test.ts", "it.only('a', () => {});", "focused-test"),
        ("a.test.ts", "  describe.only(`a`, () => {});", "focused-test"),
        ("a.spec.js", "fit('a', () => {});", "focused-test"),
        ("spec/a_spec.rb", "fdescribe 'a' do", "focused-test"),
        ("a_test.go", '\tFIt("a", func() {})', "focused-test"),
        ("tests/test_a.py", "@pytest.mark.skip(reason='x')", "skipped-test"),
        ("tests/test_a.py", "    @unittest.skip('x')", "skipped-test"),
        ("a.test.ts", "it.skip('a', () => {});", "skipped-test"),
        ("a.test.ts", "xit('a', () => {});", "skipped-test"),
        ("a.test.ts", "test.skip.each([1, 2])('a', () => {});", "skipped-test"),
        ("a_test.go", '\tt.Skip("later")', "skipped-test"),
        ("src/test/java/ATest.java", "  @Disabled", "skipped-test"),
        ("src/test/java/ATest.java", '  @Ignore("later")', "skipped-test"),
        ("tests/a.rs", "#[ignore]", "skipped-test"),
        ("Acme.Tests/ATests.cs", '    [Fact(Skip = "later")]', "skipped-test"),
        ("spec/a_spec.rb", "  xit 'a' do", "skipped-test"),
        ("spec/a_spec.rb", "  it 'a', :skip do", "skipped-test"),
        ("spec/a_spec.rb", "  it 'a', focus: true do", "focused-test"),
        ("spec/a_spec.rb", "RSpec.describe A, :focus do", "focused-test"),
        ("tests/test_a.py", "@pytest.mark.skipif(True, reason='x')", "skipped-test"),
        ("tests/test_a.py", "@pytest.mark.xfail", "skipped-test"),
        ("tests/test_a.py", "@pytest.mark.xfail(reason='x')", "skipped-test"),
        ("tests/test_a.py", "    @unittest.expectedFailure", "skipped-test"),
        ("tests/test_a.py", "pytest.skip('x', allow_module_level=True)", "skipped-test"),
        ("a.test.ts", "test.failing('a', () => {});", "skipped-test"),
        ("test/a_test.exs", "  @tag :skip", "skipped-test"),
    ],
)
async def test_each_framework_is_understood(path: str, line: str, rule: str) -> None:
    found = await analyse({path: f"first\n{line}\n"})

    assert [c.rule for c in found.candidates] == [rule]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("tests/test_a.py", "@pytest.mark.skipif(sys.platform == 'win32', reason='x')"),
        ("tests/test_a.py", "        pytest.skip('no database')"),
        ("tests/test_a.py", "text = '@pytest.mark.skip'"),
        ("tests/test_a.py", "@pytest.mark.xfail(strict=True)"),
        ("tests/test_a.py", "@pytest.mark.xfail(reason='x', strict=True)"),
        ("tests/test_a.py", "@pytest.mark.xfail(sys.platform == 'win32', reason='x')"),
        ("spec/a_spec.rb", "  it 'a', :slow do"),
        ("a.test.ts", "await page.fit(1);"),
        ("a.test.ts", "test.skip(process.platform === 'win32', 'x');"),
        ("a.test.ts", "// it.only('a')"),
        ("a_test.go", '\t\tt.Skip("short")'),
        ("src/test/java/ATest.java", "  @DisabledOnOs(WINDOWS)"),
        ("tests/a.rs", "#[ignored_by_us]"),
        ("src/a.ts", "it.only('a', () => {});"),
        ("tests/notes.md", "it.only('a', () => {});"),
    ],
)
async def test_what_only_looks_alike_is_left_alone(path: str, line: str) -> None:
    assert told(await analyse({path: f"first\n{line}\n"})) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "priority"),
    [
        (
            "a.test.ts",
            "it('a', () => {\n  x();\n});\n",
            "it.skip('a', () => {\n  x();\n});\n",
            Priority.P2,
        ),
        ("a_test.go", "func TestA(t *testing.T) {\n\ta()\n}\n", None, Priority.P2),
        (
            "tests/test_a.py",
            "x = 1\n",
            "x = 1\n\n\n@pytest.mark.skip\n@other\ndef test_a():\n    a()\n",
            Priority.P3,
        ),
        (
            "tests/test_a.py",
            "@other\ndef test_a():\n    a()\n",
            "@pytest.mark.skip\n@other\ndef test_a():\n    a()\n",
            Priority.P2,
        ),
    ],
)
async def test_a_skip_on_an_old_test_counts_for_more(
    path: str, old: str, new: str | None, priority: Priority
) -> None:
    new = new or old.replace("\ta()\n", '\tt.Skip("x")\n\ta()\n')

    found = await analyse({path: new}, {path: old})

    assert [(c.rule, c.priority) for c in found.candidates] == [("skipped-test", priority)]


@pytest.mark.parametrize(
    ("path", "test", "skip"),
    [
        ("tests/test_a.py", "def test_a():\n", "    pytest.skip('later')\n"),
        ("tests/test_a.py", "  def test_a(self):\n    'It.'\n", "    self.skipTest('x')\n"),
        ("tests/test_a.py", "async def test_a():\n", "    raise unittest.SkipTest\n"),
        ("spec/a_spec.rb", "  it 'a' do\n", "    skip 'later'\n"),
        ("spec/a_spec.rb", "  it 'a' do\n", "    pending\n"),
        ("tests/ATest.php", "public function testA()\n{\n", "  $this->markTestSkipped('x');\n"),
        ("a.test.js", "it('a', function () {\n", "  this.skip();\n"),
    ],
)
async def test_a_skip_within_a_test_is_told_if_nothing_decides_over_it(
    path: str, test: str, skip: str
) -> None:
    after = "x\n"
    decides = "    if later:\n"

    found = await analyse({path: test + skip + after}, {path: test + after})
    of_new = await analyse({path: test + skip + after})
    decided = await analyse({path: test + decides + "     " + skip + after}, {path: test + after})

    assert [(c.rule, c.priority) for c in found.candidates] == [("skipped-test", Priority.P2)]
    assert [(c.rule, c.priority) for c in of_new.candidates] == [("skipped-test", Priority.P3)]
    assert told(decided) == []


async def test_a_skip_that_only_moved_is_left_alone() -> None:
    old = "@pytest.mark.skip\ndef test_a():\n    a()\n"

    found = await analyse({"tests/test_a.py": "import x\n\n\n" + old}, {"tests/test_a.py": old})

    assert told(found) == []


BODY = "def test_a():\n    x = a()\n    assert x\n    assert x.y\n    b()\n"


async def test_an_assertion_that_was_taken_out_is_told_where_it_stood() -> None:
    found = await analyse(
        {"tests/test_a.py": BODY.replace("    assert x.y\n", "")}, {"tests/test_a.py": BODY}
    )

    assert told(found) == [("assertion-removed", Priority.P2, Side.LEFT, 4)]
    assert found.candidates[0].evidence == "    assert x.y"


@pytest.mark.parametrize(
    ("path", "body", "gone"),
    [
        ("a.test.ts", "it('a', () => {\n  x();\n  expect(a).toBe(1);\n});\n", "expect(a)"),
        ("a_test.go", "func TestA(t *testing.T) {\n\tx()\n\trequire.NoError(t, err)\n}\n", "req"),
        ("src/test/java/ATest.java", "void a() {\n  x();\n  assertEquals(1, a);\n}\n", "assert"),
        ("tests/a_test.cc", "TEST(A, B) {\n  x();\n  EXPECT_EQ(1, a);\n}\n", "EXPECT"),
        ("tests/ATest.php", "function testA() {\n  x();\n  $this->assertTrue($a);\n}\n", "assert"),
        ("tests/ATest.php", "function testA() {\n  x();\n  self::assertSame(1);\n}\n", "assert"),
        ("a_test.go", 'func TestA(t *testing.T) {\n\tx()\n\tt.Fatalf("got %d", got)\n}\n', "Fatal"),
        ("tests/test_a.py", "def test_a():\n    x()\n    self.assertTrue(a)\n", "self"),
    ],
)
async def test_assertions_of_each_framework_are_known(path: str, body: str, gone: str) -> None:
    lines = body.splitlines(keepends=True)
    new = "".join(line for line in lines if gone not in line)

    found = await analyse({path: new}, {path: body})

    assert [c.rule for c in found.candidates] == ["assertion-removed"]


@pytest.mark.parametrize(
    "new",
    [
        BODY.replace("assert x.y", "assert x.z"),
        BODY.replace("    assert x.y\n", "    check_all(x)\n"),
        BODY.replace("    assert x.y\n", "    with pytest.raises(E):\n        x.y()\n"),
        "",
        "def test_c():\n    pass\n",
        BODY.replace("    b()\n", ""),
    ],
    ids=["changed", "helper", "raises", "emptied", "replaced", "no assertion"],
)
async def test_a_test_that_checks_otherwise_or_is_gone_is_left_alone(new: str) -> None:
    assert told(await analyse({"tests/test_a.py": new}, {"tests/test_a.py": BODY})) == []


@pytest.mark.parametrize(
    ("path", "gone", "added", "is_told"),
    [
        ("tests/test_a.py", "assert s == 1", "same(s, 1)", False),
        ("a.test.ts", "expect(s).toBe(1);", "await same(s, 1);", False),
        ("a_test.go", "assert.Equal(t, 3, got)", "same(t, got, 3)", False),
        ("tests/test_a.py", "assert s == 1", "same(s)", True),
        ("tests/test_a.py", "assert s == 1", "print(s, 1)", True),
        ("tests/test_a.py", "assert s == 1", "s = 1", True),
        ("a.test.ts", "expect(s).toBe(1);", "console.log(s, 1);", True),
        ("tests/test_a.py", "assert s == 1", "# assert s == 1", True),
        ("a.test.ts", "expect(s).toBe(1);", "// expect(s).toBe(1);", True),
        ("tests/test_a.py", "assert s == 1", "assert True", True),
        ("a.test.ts", "expect(s).toBe(1);", "expect(true).toBe(true);", True),
        ("a.test.ts", "expect(s).toBe(1);", "expect(1).toBe(1);", True),
        ("tests/test_a.py", "self.assertEqual(s, 1)", "self.assertEqual(1, 1)", True),
        ("a_test.go", 't.Fatalf("got %d", got)', "check(t, got, 3)", False),
        ("a_test.go", "t.Fatal(err)", "x()", False),
    ],
)
async def test_a_check_that_went_into_a_function_is_left_alone(
    path: str, gone: str, added: str, is_told: bool
) -> None:
    found = await analyse({path: f"a()\n    {added}\nb()\n"}, {path: f"a()\n    {gone}\nb()\n"})

    assert bool(found.candidates) is is_told


async def test_an_assertion_that_moved_to_another_file_is_left_alone() -> None:
    files = {
        "tests/test_a.py": BODY.replace("    assert x.y\n", ""),
        "tests/test_b.py": "def test_b():\n    assert x.y\n",
    }

    assert told(await analyse(files, {"tests/test_a.py": BODY})) == []
