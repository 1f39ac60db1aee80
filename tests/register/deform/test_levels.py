"""The grids from coarse to fine, and what a pair becomes on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.register.deform.levels import down, level, shapes
from medmamba.register.deform.sides import Sides
from tests.register.deform.pairs import image, known

MOST, FEWEST = 1_500_000, 10
"""Voxels of the finest grid, and along an axis of the coarsest."""


def blank(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Sides:
    """Images of any size that take no memory."""
    nothing = torch.zeros(()).expand(1, 1, *shape)
    return Sides(nothing, nothing, spacing)  # type: ignore[arg-type]


def middle(picture: torch.Tensor) -> torch.Tensor:
    """(3,): the centre of mass of (1, 1, X, Y, Z), voxels."""
    axes = torch.meshgrid(*[torch.arange(float(n)) for n in picture.shape[2:]], indexing="ij")
    return torch.stack([(axis * picture[0, 0]).sum() for axis in axes]) / picture.sum()


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(4, 700)] * 3), st.tuples(*[st.floats(0.3, 6)] * 3))
def test_grids_grow_and_end_at_what_is_affordable(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    found = shapes(blank(shape, spacing))
    assert 1 <= len(found) <= 3 and len(set(found)) == len(found)
    for coarse, fine in zip(found, [*found[1:], shape], strict=True):
        assert all(a <= b for a, b in zip(coarse, fine, strict=True))
    assert all(min(size, FEWEST) <= one for size, one in zip(shape, found[0], strict=True))
    assert np.prod(found[-1]) <= MOST
    if np.prod(shape) <= MOST:
        assert found[-1] == shape
    else:  # nothing is given away: half the resolution again would be an eighth
        assert np.prod(found[-1]) > 0.8 * MOST / 8


def test_voxels_double_towards_the_coarse_end() -> None:
    assert shapes(blank((80, 100, 60), (1, 1, 1))) == [(20, 25, 15), (40, 50, 30), (80, 100, 60)]


def test_thick_slices_wait_until_voxels_are_cubes() -> None:
    assert shapes(blank((80, 80, 20), (1, 1, 4))) == [(20, 20, 20), (40, 40, 20), (80, 80, 20)]


def test_a_tiny_pair_has_one_grid() -> None:
    assert shapes(blank((9, 8, 10), (1, 1, 1))) == [(9, 8, 10)]


def test_nothing_is_resampled_onto_its_own_grid() -> None:
    picture = image((12, 14, 10))
    assert down(picture, (12, 14, 10)) is picture


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(8, 24)] * 3), st.integers(0, 2))
def test_resampling_keeps_constants_and_places(shape: tuple[int, ...], axis: int) -> None:
    full = (24, 26, 25)
    shape = tuple(min(pair) for pair in zip(shape, full, strict=True))
    assert torch.allclose(down(torch.full((1, 2, *full), 0.7), shape), torch.tensor(0.7))
    ramp = torch.arange(float(full[axis])).view([-1 if a == axis else 1 for a in range(3)]).expand(1, 1, *full)
    wanted = (torch.arange(float(shape[axis])) + 0.5) * full[axis] / shape[axis] - 0.5
    found = down(ramp.contiguous(), shape).movedim(2 + axis, -1)
    assert (found - wanted)[..., 2:-2].abs().max() < 0.15  # voxels; between samples the smoothing is not symmetric


def test_what_is_finer_than_a_new_voxel_is_smoothed_away() -> None:
    checker = (torch.stack(torch.meshgrid(*[torch.arange(24)] * 3, indexing="ij")).sum(0) % 2).float()[None, None]
    assert (down(checker, (6, 6, 6)) - 0.5).abs()[..., 1:-1, 1:-1, 1:-1].max() < 0.02


def test_a_level_covers_the_same_field_of_view_and_points_move_along() -> None:
    spot = torch.zeros(1, 1, 32, 30, 28)
    spot[:, :, 18:22, 11:14, 7:10] = 1
    sides = replace(known((32, 30, 28))[0], spacing=(1.0, 1.5, 2.0), moving=spot, moving_points=middle(spot)[None])
    found = level(sides, (16, 15, 14))
    assert found.sides.spacing == (2.0, 3.0, 4.0) and found.step == 2.0
    assert found.sides.moving_points is not None and found.sides.fixed_points is None
    assert (found.sides.moving_points[0] - middle(found.sides.moving)).abs().max() < 0.05
    assert found.sides.moving_points[0].tolist() == pytest.approx(((middle(spot) + 0.5) / 2 - 0.5).tolist())


def test_masks_keep_the_voxels_that_are_wholly_inside() -> None:
    mask = torch.zeros(1, 1, 32, 30, 28)
    mask[:, :, :17] = 1
    found = level(replace(known((32, 30, 28))[0], fixed_mask=mask), (16, 15, 14)).sides.fixed_mask
    assert found is not None and set(found.unique().tolist()) == {0, 1}
    assert found[:, :, :7].all() and not found[:, :, 8:].any()


def test_labels_and_features_are_resampled_softly() -> None:
    parts = torch.cat([image((32, 30, 28), seed) for seed in range(2)], dim=1)
    found = level(replace(known((32, 30, 28))[0], fixed_labels=parts, moving_features=parts), (16, 15, 14)).sides
    assert found.fixed_labels is not None and found.moving_features is not None and found.moving_labels is None
    assert torch.equal(found.fixed_labels, down(parts, (16, 15, 14)))
    assert torch.equal(found.moving_features, found.fixed_labels)
