"""The training display on a terminal of its own and without one."""

import io
import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from medmamba.cli import progress
from medmamba.cli.progress import TrainingBar, clock, training_bar
from medmamba.nnunet.loop.reports import EpochReport, StepReport, Watcher

TRAINER: Any = SimpleNamespace(
    num_epochs=4, current_epoch=1, num_iterations_per_epoch=4, num_val_iterations_per_epoch=2, precision="fp32 (asked)"
)


def step(number: int) -> StepReport:
    return StepReport("train", 2, 4, number, 4, 0.5, 2.0, 0.5, 2)


def epoch(number: int) -> EpochReport:
    return EpochReport(number, 4, 0.125, 0.25, (0.5,), 0.5, 0.01, 10.0, events=("told already",))


def screen(terminal: bool, width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, soft_wrap=True)


def text(console: Console) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())  # type: ignore[attr-defined]


def run(console: Console) -> TrainingBar:
    bar = TrainingBar(console)
    bar.start(TRAINER)
    for number in (1, 2, 3):
        bar.step(step(number))
    bar.message("Not finite: layer [3, 3].")
    return bar


def test_it_hears_all_that_a_watcher_hears() -> None:
    heard = {name for name in vars(Watcher) if not name.startswith("_")}
    assert heard <= set(vars(TrainingBar))


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 50.0)
    console = screen(terminal=True)
    bar = run(console)
    bar.epoch(TRAINER, epoch(2))
    bar.step(step(4))
    bar.end()
    bar.end()
    bar.message("after the end")
    last = text(console).splitlines()[-4:]
    assert " 71%  0:00:00 gone, 0:00:11 left" in last[0]  # of an epoch of 10 s, 4 steps of 2 s and 2 of 2/3 s
    assert last[1] == "epoch 2/4  step 4/4  loss 0.500  1 images/s  25% waiting for data"
    assert last[2].startswith("epoch 2: loss 0.125  validation 0.250  Dice 0.500  10.0 s")
    assert last[3] == "after the end"
    assert text(console).count("layer [3, 3]") == 1


def test_images_without_labels_have_a_similarity_instead_of_dice() -> None:
    console = screen(terminal=False)
    bar = TrainingBar(console)
    bar.start(TRAINER)
    bar.epoch(TRAINER, replace(epoch(2), mean_dice=math.nan, dice=(), figures={"similarity": 0.375}))
    assert "validation 0.250  similarity 0.375  " in text(console)


@pytest.mark.parametrize("width", [20, 60])
def test_on_a_narrow_terminal(width: int) -> None:
    console = screen(terminal=True, width=width)
    run(console).end()
    assert all(len(line) <= max(width, 30) for line in text(console).splitlines())


def test_without_a_terminal_one_line_an_epoch() -> None:
    console = screen(terminal=False)
    bar = run(console)
    bar.epoch(TRAINER, epoch(2))
    bar.end()
    first, message, line = text(console).splitlines()
    assert first == "Precision: fp32 (asked)" and message == "Not finite: layer [3, 3]."
    assert line.startswith("epoch 2/4  loss 0.125  validation 0.250  Dice 0.500  1 images/s  25% waiting for data")
    assert line.endswith("left") and "told already" not in line


def test_the_bar_is_taken_down_when_the_run_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with training_bar() as bar:
            bars.append(bar)
            bar.start(TRAINER)
            raise ZeroDivisionError

    bars: list[TrainingBar] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    bars[0].message("still there")
    assert capsys.readouterr().out.splitlines()[-1] == "still there"


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
def test_a_reader_that_goes_away_does_not_end_the_run(
    terminal: bool, error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    monkeypatch.setattr("os.dup2", lambda *descriptors: None)  # rich puts /dev/null in the place of stdout
    console = Console(file=Gone(), force_terminal=terminal, width=80)
    bar = run(console)
    bar.epoch(TRAINER, epoch(2))
    bar.end()
    assert console.quiet


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-:--:--"), (0.4, "0:00:00"), (3723, "1:02:03"), (3 * 86400 + 61, "3 d 0:01:01")]
)
def test_clock(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown
