"""Where tiles lie and what they weigh, against nnU-Net's functions."""

import numpy as np
import pytest
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

from medmamba.errors import ConfigError
from medmamba.predict.arrays.tiles import Grid, gaussian, steps

AXIS = st.integers(1, 300).flatmap(lambda tile: st.tuples(st.integers(tile, 1000), st.just(tile)))


@given(st.lists(AXIS, min_size=1, max_size=3), st.floats(0.05, 1))
def test_steps_are_nnunets(axes: list[tuple[int, int]], step_size: float) -> None:
    size, patch = zip(*axes, strict=True)
    assert steps(size, patch, step_size) == compute_steps_for_sliding_window(size, patch, step_size)


@pytest.mark.parametrize("step_size", [0.0, 1.1, -1.0])
def test_steps_that_leave_gaps_are_refused(step_size: float) -> None:
    with pytest.raises(ConfigError, match="leaves gaps or never ends"):
        steps((9,), (4,), step_size)


@pytest.mark.parametrize("patch", [(64, 40), (7, 20, 160), (1, 5, 5), (96, 96, 96)])
def test_weights_are_nnunets(patch: tuple[int, ...]) -> None:
    assert torch.equal(gaussian(patch), compute_gaussian(patch, 1 / 8, 10, device=torch.device("cpu")))


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 20)] * 3), st.lists(st.integers(1, 12), min_size=2, max_size=3))
def test_tiles_are_cut_from_the_image_as_nnunet_pads_it(size: tuple[int, int, int], patch: list[int]) -> None:
    image = torch.arange(2 * np.prod(size), dtype=torch.float32).view(2, *size)
    padded, back = pad_nd_image(image, patch, "constant", {"value": 0}, True, None)
    grid = Grid(size, tuple(patch), 0.5)
    assert grid.padded == padded.shape[1:] and grid.inside == back[1:]
    final, seen = 0, 0
    for band in grid.bands():
        assert min(z for z, _, _ in band.corners) >= final  # what was final is not touched again
        assert max(z for z, _, _ in band.corners) + grid.tile[0] <= final + grid.rows  # and the ring is long enough
        for corner in band.corners:
            region = (slice(None), *(slice(a, a + n) for a, n in zip(corner, grid.tile, strict=True)))
            want = padded[region]
            assert torch.equal(grid.cut(image, corner), want[:, 0] if grid.flat else want)
        final, seen = band.final, seen + len(band.corners)
    assert final == grid.padded[0] and seen == grid.tiles
