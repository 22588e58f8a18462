"""Laws of suggestions: what is accepted changes the commented lines alone, and the file parses."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.review.diff import parse_diff
from app.review.findings import Finding
from app.review.masking import hides_something
from app.review.suggestion import Edit, Errors, propose_edits, settle_suggestions
from app.review.syntax import Language, count_errors, keeps_brackets, language_of
from app.review.text import suggestion_block
from tests.builders import make_finding, make_location
from tests.markdown import code, tokens

LINES = (
    *("a = 1", "if a:", "    b()", "    c('(')", "", "def f():", "    return (1,", "    )"),
    *("\tx = {", "\t}", "{", "}", '"k": [1, 2],', "]", "# é", "```", "key: v"),
)
HIDDEN = ("\u200b", "a\rb", "█", "\r", "\x00", "\udcff")
line_ends = st.sampled_from(["\n", "\n", "\r\n"])
lines = st.lists(st.sampled_from(LINES), min_size=1, max_size=6)
paths = st.sampled_from(["a.py", "a.json", "a.yml", "a.js", "a.kt", "a.md", "Makefile"])
pieces = st.lists(
    st.one_of(st.sampled_from((*LINES, *HIDDEN, "\n", "\r\n", "    ")), st.text(max_size=3)),
    max_size=8,
).map("".join)
suggestions = st.one_of(*[lines.map("\n".join)] * 4, pieces)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Draw a text; now and then its line ends differ, or the last line has none."""
    end = draw(line_ends)
    rows = draw(lines) + draw(lines)
    if not draw(st.integers(0, 5)):
        rows[0] = draw(st.sampled_from(("\u200b", "a\rb", "█")))
    ends = [end if draw(st.integers(0, 20)) else draw(line_ends) for _ in rows]
    text = "".join(map(str.__add__, rows, ends))
    return text if draw(st.booleans()) else text.rstrip("\r\n") or "a"


def check(path: str, text: str, suggestion: str, start: int, line: int) -> Finding:
    split = text.split("\n")
    n_lines = len(split) - (not split[-1])
    body = "".join(f"+{line}\n" for line in split[:n_lines])
    end = "\\ No newline at end of file\n" if split[-1] else ""
    diff = parse_diff(
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{n_lines} @@\n{body}{end}".encode()
    )
    finding = make_finding(suggestion=suggestion, location=make_location(path, line, start=start))
    proposals = propose_edits((finding,), diff, {}, {path: text.encode()})
    errors = {}
    for number, edit in enumerate(proposals):
        if isinstance(edit, Edit) and edit.language:
            head, result = (count_errors(edit.language, t) for t in (edit.head, edit.result))
            errors[number] = Errors(head=head, result=result)
    (settled,) = settle_suggestions((finding,), proposals, errors)
    return settled


@settings(max_examples=300)
@given(paths, files(), suggestions, st.integers(0, 6), st.integers(0, 1))
@example("a.py", "a = 1\n", "a = 2\r", 1, 0)
@example("a.py", "a = 1", "a = 2\n\n", 1, 0)
@example("a.py", "a = 1\nb = 1", "", 2, 0)
def test_an_accepted_suggestion_changes_its_lines_alone_and_the_file_parses(
    path: str, text: str, suggestion: str, start: int, n_more: int
) -> None:
    settled = check(path, text, suggestion, start, start + n_more)
    if settled.suggestion_refused is not None:
        assert settled.suggestion == suggestion
        return
    new = settled.suggestion
    assert new is not None
    rows = text.splitlines(keepends=True) if "\r" not in text.replace("\r\n", "") else None
    rows = rows or [f"{row}\n" for row in text.split("\n")]
    before, old, after = rows[: start - 1], rows[start - 1 : start + n_more], rows[start + n_more :]
    result = "".join((*before, new, *after))
    assert result != text
    assert new.split() == suggestion.split()
    assert not hides_something(new)
    assert ("\r\n" in new) <= ("\r\n" in text)
    assert new.replace("\r\n", "").count("\n") == 0 or not any(row.endswith("\r\n") for row in old)
    language = language_of(path)
    if language and count_errors(language, text) == 0:
        assert count_errors(language, result) == 0
    elif path != "a.md":
        assert keeps_brackets("".join(old), new)


@given(st.sampled_from(Language), st.one_of(pieces, lines.map("\n".join)))
def test_no_text_upsets_a_parser(language: Language, text: str) -> None:
    assert count_errors(language, text) is not None


@given(st.text(st.sampled_from("a`\n~ ")))
def test_a_block_holds_exactly_its_code(text: str) -> None:
    shown = suggestion_block(text)
    (held,) = code(f"before\n\n{shown}\n\nafter")
    assert held == (text if not text or text.endswith("\n") else f"{text}\n")
    assert [token.info for token in tokens(shown) if token.type == "fence"] == ["suggestion"]
