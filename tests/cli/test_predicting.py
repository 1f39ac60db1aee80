"""What a batch shows: tables of short and long batches, the bar on a terminal."""

import io

import pytest
from rich.console import Console

from medmamba.cli.predicting import BatchScreen, show_cases
from medmamba.predict.batch.report import CaseReport, Report


def report(cases: int, failed: int) -> Report:
    found = Report({"name": "M"}, {}, {"precision": "fp32", "device": "cpu"}, cases + 2)
    for number in range(cases):
        name = f"a_long_name_of_a_case_from_a_hospital_{number:04d}"
        if number < failed:
            found.add(CaseReport(name, "failed", error="is bad"))
        else:
            seconds, warnings = {"network": 1234.5}, ("odd",) * (number % 2)
            found.add(CaseReport(name, "done", f"{name}.nii.gz", seconds, 123_456_789_012, None, (1, 2), warnings))
    return found


@pytest.mark.parametrize(("cases", "rows"), [(3, 3), (300, 2)])
def test_the_table_fits_and_long_batches_show_failures(
    capsys: pytest.CaptureFixture[str], cases: int, rows: int
) -> None:
    show_cases(report(cases, 2))
    shown = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in shown)
    assert sum("hospital_0" in line for line in shown) == rows
    assert shown[-1].startswith(f"{cases + 2} cases: {cases - 2} done, 2 failed, 2 left; ")


def test_a_long_batch_without_failures_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_cases(report(100, 0))
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_bar_on_a_terminal() -> None:
    stream = io.StringIO()
    with BatchScreen(as_json=False) as screen:
        screen._console = Console(file=stream, force_terminal=True, width=80, color_system=None)
        made = report(2, 1)
        screen.start(made)
        screen.case("the_case")
        screen.tile(3, 12)
        screen._bar.refresh()
        screen.done(made.cases[next(iter(made.cases))], made)
    shown = stream.getvalue()
    assert "the_case tile 3/12" in shown and "failed: is bad" in shown and "0/4" in shown


def test_a_reader_that_went_away_does_not_end_the_batch() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with BatchScreen(as_json=False) as screen:
        screen._console = Console(file=Closed(), force_terminal=True)
        screen.start(report(1, 0))
        screen.message("nobody reads this")
        screen.done(CaseReport("a", "done"), report(1, 0))
