"""What was said on this pull request is not said again, as long as its code stands there."""

from dataclasses import replace

from app.review.diff import Diff, Side
from app.review.findings import Finding, Fingerprint
from app.review.history import History, News, Now, unseen
from app.review.priority import Priority
from app.review.threads import Standing
from tests.builders import make_diff, make_finding, make_location

LOOP = "for i in range(n - 1):"
OLD = make_finding(evidence=LOOP, location=make_location(line=1))
OTHER = make_finding(
    title="Sum is not reset", evidence="total += i", location=make_location(line=2)
)
TEXT = f"{LOOP}\n    total += i\n"
MISSED = frozenset((OLD.fingerprint,))


def now(diff: Diff, renamed: dict[str, str] | None = None) -> Now:
    return Now(diff=diff, shown={}, renamed=renamed or {}, heads={})


def news(text: str, *findings: Finding, said: tuple[Finding, ...] = (OLD,)) -> News:
    diff = make_diff({"app.py": text})
    return unseen(findings, History(open=said), now(diff), Standing())


def test_on_a_first_run_everything_is_news() -> None:
    assert news(TEXT, OLD, OTHER, said=()) == News(new=(OLD, OTHER), still_open=())


def test_a_finding_is_not_said_again_and_stays_open() -> None:
    assert news(TEXT, OLD, OTHER) == News(new=(OTHER,), still_open=(OLD,))


def test_it_stays_open_although_this_run_did_not_find_it() -> None:
    assert news(TEXT) == News(new=(), still_open=(OLD,), missed=MISSED)


def test_it_stays_open_where_its_code_has_moved_to() -> None:
    moved = replace(OLD, location=make_location(line=4))
    assert news(f"a = 1\nb = 2\nc = 3\n{TEXT}", moved) == News(new=(), still_open=(moved,))


def test_other_words_for_the_same_place_are_no_news() -> None:
    again = replace(OLD, title="Loop ends much too early", body="Told anew.")
    assert news(TEXT, again).new == ()


def test_what_stands_in_our_comments_counts_but_is_not_told_again() -> None:
    standing = Standing(told=frozenset((("r0", OLD.fingerprint),)))
    other = replace(OTHER, fingerprint=Fingerprint("other"))
    told = unseen((OLD, other), History(), now(make_diff({"app.py": TEXT})), standing)
    assert told == News(new=(OLD, other), still_open=(), quiet=frozenset((OLD.fingerprint,)))


def test_what_is_open_and_stands_in_our_comments_is_open_once() -> None:
    standing = Standing(told=frozenset((("r0", OLD.fingerprint),)))
    told = unseen((OLD,), History(open=(OLD,)), now(make_diff({"app.py": TEXT})), standing)
    assert told == News(new=(), still_open=(OLD,))


def test_it_is_open_no_more_when_its_code_is_gone() -> None:
    assert news("for i in range(n):\n") == News(new=(), still_open=(), fixed=(OLD,))


def test_it_is_open_no_more_when_its_file_is_gone() -> None:
    diff = make_diff({"other.py": TEXT})
    told = unseen((), History(open=(OLD,)), now(diff), Standing())
    assert told == News(new=(), still_open=(), fixed=(OLD,))


def test_nothing_but_its_place_changes_while_it_is_open() -> None:
    told = replace(
        OLD, rule="S1", sources=("model", "ruff"), summary_reason="why", suggestion="fix()"
    )
    assert news(TEXT, said=(told,)).still_open == (told,)


def unsaid(history: History, at: Now, *findings: Finding) -> News:
    return unseen(findings, history, at, Standing())


def test_found_again_as_more_urgent_it_is_more_urgent() -> None:
    urgent = replace(OLD, priority=Priority.P0)
    assert news(TEXT, urgent).still_open == (urgent,)
    mild = replace(OLD, priority=Priority.P3)
    assert news(TEXT, mild).still_open == (OLD,)


def test_the_same_problem_in_changed_code_is_no_news_and_not_fixed() -> None:
    again = make_finding(
        title="Loop ends too soon",
        evidence="for i in range(count - 1):",
        location=make_location(line=5),
    )
    still = replace(again, fingerprint=OLD.fingerprint)
    text = "a\nb\nc\nd\nfor i in range(count - 1):\n"
    assert news(text, again) == News(new=(), still_open=(still,))


def test_another_problem_far_away_or_of_another_rule_is_news() -> None:
    far = make_finding(evidence="for j in m:", location=make_location(line=50))
    assert news("x = 1\n", far) == News(new=(far,), still_open=(), fixed=(OLD,))
    one = make_finding(title="Undefined name `a`", sources=("ruff",), rule="F821", evidence="a")
    other = replace(one, title="Undefined name `b`", fingerprint=Fingerprint("b"))
    assert news("b\n", other, said=(one,)) == News(new=(other,), still_open=(), fixed=(one,))


def test_code_that_went_to_another_file_takes_its_finding_along() -> None:
    diff = make_diff({"new.py": f"x = 1\n{TEXT}"})
    moved = replace(OLD, location=make_location("new.py", line=2))
    told = unsaid(History(open=(OLD,)), now(diff, {"app.py": "new.py"}))
    assert told == News(new=(), still_open=(moved,), missed=MISSED)
    again = replace(moved, fingerprint=Fingerprint("of new.py"))
    told = unsaid(History(open=(OLD,)), now(diff, {"app.py": "new.py"}), again)
    assert told == News(new=(), still_open=(moved,))


def test_a_copy_of_a_problem_in_another_file_is_news() -> None:
    diff = make_diff({"app.py": TEXT, "copy.py": TEXT})
    copy = make_finding(location=make_location("copy.py", line=1))
    told = unsaid(History(open=(OLD,)), now(diff), copy)
    assert told == News(new=(copy,), still_open=(OLD,), missed=MISSED)
    both = History(open=(OLD, copy))
    told = unsaid(both, now(make_diff({"copy.py": TEXT})), copy)
    assert told == News(new=(), still_open=(copy,), fixed=(OLD,))


def test_a_deleted_line_that_is_there_again_is_fixed() -> None:
    gone = replace(OLD, location=make_location(line=1, side=Side.LEFT))
    assert news(TEXT, said=(gone,)) == News(new=(), still_open=(), fixed=(gone,))


def test_what_was_fixed_and_is_there_again_is_news_once() -> None:
    diff = now(make_diff({"app.py": TEXT}))
    assert unsaid(History(fixed=(OLD,)), diff) == News(new=(OLD,), still_open=())
    assert unsaid(History(fixed=(OLD,)), diff, OLD) == News(new=(OLD,), still_open=())
    gone = now(make_diff({"app.py": "x = 1\n"}))
    assert unsaid(History(fixed=(OLD,)), gone) == News(new=(), still_open=())


def test_where_nobody_can_tell_a_finding_stays_open() -> None:
    nothing = replace(now(make_diff({"b.py": TEXT})), unknown=("app.py",))
    told = unsaid(History(open=(OLD,)), nothing)
    assert told == News(new=(), still_open=(OLD,), missed=MISSED)


def test_code_outside_of_the_diff_is_looked_for_in_its_file() -> None:
    diff = make_diff({"app.py": "x = 1\n"})
    moved = replace(OLD, location=make_location(line=7))
    at = replace(now(diff), heads={"app.py": "\n" * 6 + TEXT})
    told = unsaid(History(open=(OLD,)), at)
    assert told == News(new=(), still_open=(moved,), missed=MISSED)


def test_what_was_dismissed_is_neither_news_nor_open_and_the_record_says_so() -> None:
    history = History(open=(OLD,), dismissed=(OLD,))
    moved = replace(OLD, location=make_location(line=3))
    told = unsaid(history, now(make_diff({"app.py": f"a = 1\nb = 2\n{TEXT}"})), moved, OTHER)
    assert (told.new, told.still_open) == ((OTHER,), ())
    assert [(one.gate, one.reason, one.line) for one in told.dropped] == [("new", "dismissed", 3)]


def test_what_was_dismissed_is_known_in_other_words_while_its_code_stands() -> None:
    again = replace(OLD, fingerprint=Fingerprint("again"), body="Told anew.")
    dismissed = History(dismissed=(OLD,))
    assert unsaid(dismissed, now(make_diff({"app.py": TEXT})), again).new == ()
    gone = make_diff({"app.py": "for i in range(n):\n"})
    assert unsaid(dismissed, now(gone), again).new == (again,)


def test_what_was_dismissed_is_known_by_its_code_once_its_file_has_another_name() -> None:
    there, other = make_location(path="new.py", line=1), make_location(path="new.py", line=2)
    again = make_finding(title="In other words", evidence=LOOP, location=there)
    more = make_finding(evidence="total += i", location=other)
    dismissed, renamed = History(dismissed=(OLD,)), make_diff({"new.py": TEXT})
    assert unsaid(dismissed, now(renamed), again, more).new == (more,)
    both = make_diff({"app.py": "a = 1\n", "new.py": TEXT})
    assert unsaid(dismissed, now(both), again).new == (again,)
