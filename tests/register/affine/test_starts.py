from types import SimpleNamespace

import numpy as np
import pytest

from medmamba.register.affine.metric import Pair
from medmamba.register.affine.starts import candidates, starts
from medmamba.register.grid import Grid


def _ball(centre: tuple[int, int, int], origin: tuple[float, float, float] = (0, 0, 0)) -> SimpleNamespace:
    shape = (24, 26, 28)
    affine = np.diag([1.5, 1.2, 2.0, 1.0])
    affine[:3, 3] = origin
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    far = ((at - np.array(centre)[:, None, None, None]) ** 2).sum(0)
    return SimpleNamespace(data=np.exp(-far / 20).astype(np.float32), grid=Grid(shape, affine))


def test_the_starts_are_the_headers_the_middles_and_the_masses() -> None:
    fixed, moving = _ball((12, 13, 14)), _ball((10, 13, 14), origin=(50, 0, 0))
    shifts = {name: map_.matrix[:3, 3] for name, map_ in starts(fixed, moving, (None, None), None).items()}
    assert list(shifts) == ["header", "center", "moments"]
    assert np.allclose(shifts["header"], 0) and np.allclose(shifts["center"], (50, 0, 0))
    assert np.allclose(shifts["moments"], (47, 0, 0), atol=0.05)


def test_a_mask_says_which_mass_counts() -> None:
    fixed = _ball((12, 13, 14))
    two = SimpleNamespace(data=fixed.data + _ball((4, 13, 14)).data, grid=fixed.grid)
    mask = SimpleNamespace(data=np.indices(fixed.data.shape)[0] > 7, grid=fixed.grid)
    (found,) = starts(fixed, two, (None, mask), "moments").values()
    assert np.abs(found.matrix[:3, 3]).max() < 1  # a ball 12 mm away outside the mask would shift it by 6


@pytest.mark.parametrize("init", ["header", "none"])
def test_the_best_start_that_is_not_turned_is_always_tried(init: str) -> None:
    fixed, moving = _ball((12, 13, 14)), _ball((12, 13, 14))
    begun = starts(fixed, moving, (None, None), init)
    tried = candidates(Pair.of(fixed, moving, (None, None), True, 0), begun)
    assert len(tried) == 2 and "header" in [name for name, _ in tried]
