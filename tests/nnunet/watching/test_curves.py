from pathlib import Path

import numpy as np
from matplotlib.image import imread

from medmamba.nnunet.watching.curves import FILE, draw_progress
from medmamba.nnunet.watching.drawing import colour
from tests.nnunet.watching.test_history import log, written


def test_drawn_with_and_without_a_history(tmp_path: Path) -> None:
    draw_progress(tmp_path, log(5))
    plain = imread(tmp_path / FILE)
    assert plain.shape[0] >= 700 and plain.std() > 0
    written(tmp_path, 1, 2, 3, 4, 5)
    draw_progress(tmp_path, log(5))
    assert not np.array_equal(plain, imread(tmp_path / FILE))  # names of classes, time lost waiting


def test_nothing_to_draw_yet(tmp_path: Path) -> None:
    draw_progress(tmp_path, log(0))
    assert not (tmp_path / FILE).exists()


def test_an_epoch_without_numbers(tmp_path: Path) -> None:
    values = log(3)
    values["train_losses"][1] = float("nan")
    values["dice_per_class_or_region"] = [[float("nan")] * 2] * 3
    draw_progress(tmp_path, values)
    assert (tmp_path / FILE).is_file()


def test_colours_differ() -> None:
    assert len({colour(number) for number in range(100)}) == 100


def test_a_disk_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()  # no file can take this place
    (tmp_path / FILE / "x").touch()
    draw_progress(tmp_path, log(2))
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]
