"""The picture of a pair."""

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from medmamba.register.grid import Grid
from medmamba.register.pair.picture import View, draw
from tests.register.made import noise

GRID = Grid((24, 30, 10), np.diag([0.9, 0.9, 5.0, 1.0]))


def view(**other: object) -> View:
    image = noise(GRID.shape).astype(np.float32)
    still, ones = np.zeros((*GRID.shape, 3), np.float32), np.ones(GRID.shape, np.float32)
    return View(
        **{"grid": GRID, "fixed": image, "start": image, "warped": image, "displacement": still, "jacobian": ones}
        | other
    )  # type: ignore[arg-type]


def test_before_and_after_differ_only_where_the_image_does(tmp_path: Path) -> None:
    draw(view(), "same", tmp_path / "a.png")
    draw(view(), "same", tmp_path / "again.png")
    draw(view(warped=1 - view().fixed), "same", tmp_path / "b.png")
    first, again, second = (imread(tmp_path / name)[..., :3].astype(int) for name in ("a.png", "again.png", "b.png"))
    assert (first == again).all() and first.shape == second.shape and first.shape[1] == 1800
    changed = (first != second).any(axis=(0, 2))
    columns = np.flatnonzero(changed) / len(changed)
    assert columns.min() > 0.25 and columns.max() < 0.7  # the warped image and the board after, and nothing else


def test_folds_are_black(tmp_path: Path) -> None:
    jacobian = np.ones(GRID.shape, np.float32)
    draw(view(jacobian=jacobian), "", tmp_path / "a.png")
    draw(view(jacobian=np.where(np.indices(GRID.shape)[0] > 10, -1, jacobian)), "", tmp_path / "b.png")
    plain, folded = (imread(tmp_path / name)[..., :3].max(axis=2)[:, -400:-120] for name in ("a.png", "b.png"))
    assert (folded < 20).sum() > 5 * (plain < 20).sum() + 1000


@pytest.mark.parametrize("shape", [(4, 40, 40), (64, 5, 9)])
def test_odd_shapes_are_drawn(shape: tuple[int, int, int], tmp_path: Path) -> None:
    zeros = np.zeros(shape, np.float32)
    labels = (zeros.astype(np.uint8), zeros.astype(np.uint8))
    still = np.zeros((*shape, 3), np.float32)
    draw(View(Grid(shape, np.eye(4)), zeros, zeros, zeros, still, zeros + 1, labels), "x", tmp_path / "x.png")
    assert imread(tmp_path / "x.png").shape[0] < 4000
