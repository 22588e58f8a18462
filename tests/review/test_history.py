"""What was said on this pull request is not said again, as long as its code stands there."""

from dataclasses import replace

from app.review.findings import Finding, Fingerprint
from app.review.history import History, News, unseen
from tests.builders import make_diff, make_finding, make_location

LOOP = "for i in range(n - 1):"
OLD = make_finding(evidence=LOOP, location=make_location(line=1))
OTHER = make_finding(
    title="Sum is not reset", evidence="total += i", location=make_location(line=2)
)
TEXT = f"{LOOP}\n    total += i\n"


def news(text: str, *findings: Finding, said: tuple[Finding, ...] = (OLD,)) -> News:
    return unseen(findings, History(open=said), make_diff({"app.py": text}), {})


def test_on_a_first_run_everything_is_news() -> None:
    assert news(TEXT, OLD, OTHER, said=()) == News(new=(OLD, OTHER), still_open=())


def test_a_finding_is_not_said_again_and_stays_open() -> None:
    assert news(TEXT, OLD, OTHER) == News(new=(OTHER,), still_open=(OLD,))


def test_it_stays_open_although_this_run_did_not_find_it() -> None:
    assert news(TEXT) == News(new=(), still_open=(OLD,))


def test_it_stays_open_where_its_code_has_moved_to() -> None:
    moved = replace(OLD, location=make_location(line=4))
    assert news(f"a = 1\nb = 2\nc = 3\n{TEXT}", moved) == News(new=(), still_open=(moved,))


def test_other_words_for_the_same_place_are_no_news() -> None:
    again = replace(OLD, title="Loop ends much too early", body="Told anew.")
    assert news(TEXT, again).new == ()


def test_what_stands_in_our_comments_is_open_but_no_news() -> None:
    said = History(said=frozenset((OLD.fingerprint,)))
    other = replace(OTHER, fingerprint=Fingerprint("other"))
    told = unseen((OLD, other), said, make_diff({"app.py": TEXT}), {})
    assert told == News(new=(other,), still_open=(OLD,))
    assert unseen((), said, make_diff({"app.py": TEXT}), {}) == News(new=(), still_open=())


def test_what_is_open_and_stands_in_our_comments_is_open_once() -> None:
    history = History(open=(OLD,), said=frozenset((OLD.fingerprint,)))
    told = unseen((OLD,), history, make_diff({"app.py": TEXT}), {})
    assert told == News(new=(), still_open=(OLD,))


def test_it_is_open_no_more_when_its_code_is_gone() -> None:
    assert news("for i in range(n):\n") == News(new=(), still_open=())


def test_it_is_open_no_more_when_its_file_is_gone() -> None:
    diff = make_diff({"other.py": TEXT})
    assert unseen((), History(open=(OLD,)), diff, {}) == News(new=(), still_open=())


def test_nothing_but_its_place_changes_while_it_is_open() -> None:
    told = replace(
        OLD, rule="S1", sources=("model", "ruff"), summary_reason="why", suggestion="fix()"
    )
    assert news(TEXT, said=(told,)).still_open == (told,)


def test_what_was_dismissed_is_neither_news_nor_open_and_the_record_says_so() -> None:
    history = History(open=(OLD,), dismissed=(OLD,))
    moved = replace(OLD, location=make_location(line=3))
    told = unseen((moved, OTHER), history, make_diff({"app.py": f"a = 1\nb = 2\n{TEXT}"}), {})
    assert (told.new, told.still_open) == ((OTHER,), ())
    assert [(one.gate, one.reason, one.line) for one in told.dropped] == [("new", "dismissed", 3)]


def test_what_was_dismissed_is_known_in_other_words_while_its_code_stands() -> None:
    again = replace(OLD, fingerprint=Fingerprint("again"), body="Told anew.")
    dismissed = History(dismissed=(OLD,))
    assert unseen((again,), dismissed, make_diff({"app.py": TEXT}), {}).new == ()
    gone = make_diff({"app.py": "for i in range(n):\n"})
    assert unseen((again,), dismissed, gone, {}).new == (again,)
