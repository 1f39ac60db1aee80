from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.register.affine import metric
from medmamba.register.affine.metric import Pair, shrinks
from medmamba.register.grid import Grid
from medmamba.register.transforms.transform import Affine


def _pair(same: bool) -> Pair:
    data = np.random.default_rng(0).random((12, 14, 10)).astype(np.float32)
    image = SimpleNamespace(data=data, grid=Grid(data.shape, np.diag([1.5, 1.2, 2.0, 1.0])))
    return Pair.of(image, image, (None, None), same, seed=0)


def _shift(mm: float) -> Affine:
    matrix = np.eye(4)
    matrix[0, 3] = mm
    return Affine(matrix)


@pytest.mark.parametrize(
    ("size", "factors"),
    [((300, 200, 10), [1, 1, 1]), ((160, 192, 160), [2, 2, 2]), ((3000, 3000, 4), [8, 8, 1])],
)
def test_large_images_are_made_smaller(size: tuple[int, int, int], factors: list[int]) -> None:
    assert metric._factors(sitk.Image(size, sitk.sitkUInt8)) == factors


@pytest.mark.parametrize("same", [True, False])
def test_the_metric_is_lowest_where_an_image_lies_on_itself(same: bool) -> None:
    pair = _pair(same)
    at_rest, shifted, away = (pair.value(_shift(mm)) for mm in (0.0, 3.0, 500.0))
    assert at_rest < shifted <= away + 1e-3 and away >= -1e-6


def test_overlap_is_a_share_of_the_fixed_image() -> None:
    pair = _pair(True)
    assert pair.overlap(_shift(0)) == 1 and pair.overlap(_shift(500)) == 0
    assert 0 < pair.overlap(_shift(9)) < 1


@pytest.mark.parametrize(("shape", "factors"), [((60, 60, 60), [4, 2, 1]), ((60, 60, 30), [2, 1]), ((60, 60, 9), [1])])
def test_thin_images_are_not_shrunk_away(shape: tuple[int, int, int], factors: list[int]) -> None:
    assert shrinks(shape) == factors
