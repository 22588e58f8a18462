"""`eval` reads the cases that others made, their controls and whole files."""

from pathlib import Path

from app.evaluating import read_cases
from app.review.unfold import unfold


def test_the_shared_cases_are_read_with_controls_and_fitting_files(shared: Path) -> None:
    cases = read_cases(shared / "cases")
    assert len(cases) == 62
    assert sum(bool(case.bugs) for case in cases) == 31
    for case in cases:
        for file in case.diff.files:
            if file.new_path is not None:
                head = case.heads[file.new_path].decode("utf-8", "surrogateescape")
                assert unfold(file, head) is not None, (case.id, file.path)
