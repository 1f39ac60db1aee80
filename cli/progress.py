"""The training display: a bar that moves with every step and says when the run will be done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

from .screen import console

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from medmamba.nnunet.loop.reports import EpochReport, StepReport, Watcher
    from medmamba.nnunet.loop.trainer import MedMambaTrainer
else:
    Watcher = object  # commands import medmamba's parts only when they run; every method of Watcher is here

_BAR = 32


class TrainingBar(Watcher):
    """Three lines that stay in place: how far the whole run is, what its last steps brought, what its last epoch did.

    Without a terminal it prints one line an epoch instead. Messages are printed above.
    """

    def __init__(self, screen: "Console") -> None:
        from rich.live import Live

        self._screen = screen
        self._pace: Any = None
        self._epochs = 1
        self._seen: tuple[float, float | None] = (0.0, None)
        self._status = self._last = ""
        self._began = self._heard = time.monotonic()
        # nnU-Net's prints are kept off sys.stdout while it works; rich must not put itself there meanwhile
        self._live = Live(get_renderable=self._draw, console=screen, redirect_stdout=False, refresh_per_second=4)

    def start(self, trainer: "MedMambaTrainer") -> None:
        """Take over how long the run is, and with which precision."""
        from medmamba.nnunet.watching.pace import Pace

        self._epochs = trainer.num_epochs
        self._pace = Pace(
            trainer.num_epochs,
            trainer.current_epoch,
            trainer.num_iterations_per_epoch,
            trainer.num_val_iterations_per_epoch,
        )
        self._began = time.monotonic()
        self._note()
        self.message(f"Precision: {trainer.precision}")
        if self._screen.is_terminal:
            with self._or_silent():
                self._live.start()

    def step(self, report: "StepReport") -> None:
        """Move the bar."""
        self._pace.step(report)
        self._note()
        place = f"{'step' if report.phase == 'train' else 'validation'} {report.step}/{report.steps}"
        loss = "" if self._pace.loss is None else f"  loss {self._pace.loss:.3f}"
        self._status = f"epoch {report.epoch}/{report.epochs}  {place}{loss}  {self._speed()}"

    def epoch(self, trainer: "MedMambaTrainer", report: "EpochReport") -> None:
        """Keep the epoch's figures in view, or print them."""
        self._pace.epoch(report)
        self._note()
        scores = f"validation {report.val_loss:.3f}  {_score(report)}"
        self._last = f"epoch {report.epoch}: loss {report.train_loss:.3f}  {scores}  {report.seconds:.1f} s"
        if not self._screen.is_terminal:
            speed = f"{self._speed()}  {report.seconds:.1f} s, {clock(self._left())} left"
            line = f"epoch {report.epoch}/{report.epochs}  loss {report.train_loss:.3f}  {scores}  {speed}"
            self._print(line)

    def message(self, text: str) -> None:
        """Print a sentence above the bar."""
        self._print(text)

    def end(self) -> None:
        """Leave the bar as it is; what is printed from now on comes below it."""
        with self._or_silent():
            self._live.stop()

    def _note(self) -> None:
        """What is drawn, all at once: the thread that draws must not read the pace while it changes."""
        self._seen, self._heard = (self._pace.done, self._pace.left), time.monotonic()

    def _print(self, text: str) -> None:
        with self._or_silent():
            self._screen.print(text, markup=False)

    @contextmanager
    def _or_silent(self) -> Iterator[None]:
        """A reader that has gone away, or a full disk behind `> log`, must not end the training: nobody is told more.

        rich ends the program when a pipe is closed.
        """
        try:
            yield
        except (OSError, SystemExit):
            self._screen.quiet = True

    def _speed(self) -> str:
        return f"{self._pace.images_per_second:.3g} images/s  {self._pace.waited:.0%} waiting for data"

    def _left(self) -> float | None:
        """Seconds that remain, counted down between reports."""
        left = self._seen[1]
        return None if left is None else max(0.0, left - (time.monotonic() - self._heard))

    def _draw(self) -> "RenderableType":
        """The lines as they are now."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = self._seen[0]
        gone = clock(time.monotonic() - self._began)
        times = f"{done / self._epochs:4.0%}  {gone} gone, {clock(self._left())} left"
        line = Table.grid(padding=(0, 1))
        width = max(1, min(_BAR, self._screen.width - len(times) - 2))
        line.add_row(ProgressBar(total=self._epochs, completed=done, width=width), Text(times))
        lines = (text for text in (self._status, self._last) if text)
        return Group(line, *(Text(text, no_wrap=True, overflow="ellipsis") for text in lines))


def _score(report: "EpochReport") -> str:
    """Dice, or the similarity of images that have no labels."""
    if "similarity" in report.figures and not isfinite(report.mean_dice):
        return f"similarity {report.figures['similarity']:.3f}"
    return f"Dice {report.mean_dice:.3f}"


@contextmanager
def training_bar() -> Iterator[TrainingBar]:
    """A `TrainingBar` for the run that the block starts; it is taken down with the block, whatever happens."""
    bar = TrainingBar(console())
    try:
        yield bar
    finally:
        bar.end()


def clock(seconds: float | None) -> str:
    """1:02:03, with days before it where there are some, or -:--:-- for what is not known."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02}:{rest:02}"
