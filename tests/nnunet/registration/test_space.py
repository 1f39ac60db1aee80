"""From nnU-Net's axes to RAS."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from medmamba.nnunet.registration.space import space_of
from medmamba.register.grid import FLIP

ORDERS = list(permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3))[::3])
@pytest.mark.parametrize("transposed", [(0, 1, 2), (2, 0, 1)])
def test_an_array_comes_to_lie_as_nibabel_would_have_it(
    order: tuple[int, ...], signs: tuple[int, ...], transposed: tuple[int, ...]
) -> None:
    in_file = np.random.default_rng(0).random((3, 4, 5))  # X, Y, Z
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3)[list(order)] * signs) @ np.diag([1.5, 2, 2.5])
    wanted = nibabel.as_closest_canonical(nibabel.Nifti1Image(in_file, affine))
    preprocessed = in_file.T.transpose(transposed)  # slowest first, then as the plan has it
    direction = FLIP @ affine[:3, :3] / np.array([1.5, 2, 2.5])
    plans = {"transpose_backward": [transposed.index(axis) for axis in range(3)]}
    space = space_of(plans, {"sitk_stuff": {"direction": direction.ravel().tolist()}})
    assert np.array_equal(space.canonical(preprocessed), wanted.get_fdata())
    assert space.along(preprocessed.shape) == wanted.shape
    spacing = np.array([1.5, 2, 2.5])[::-1][list(transposed)]
    assert np.allclose(space.along(spacing), wanted.header.get_zooms())


def test_an_oblique_direction_goes_to_the_closest_axes() -> None:
    turn = np.array([[0.9, -0.4, 0.1], [0.4, 0.9, -0.1], [-0.05, 0.13, 0.99]])
    plans = {"transpose_backward": [0, 1, 2]}
    space = space_of(plans, {"sitk_stuff": {"direction": (FLIP @ turn).ravel().tolist()}})
    array = np.random.default_rng(1).random((3, 4, 5))
    assert np.array_equal(space.canonical(array), array.T)


def test_other_readers() -> None:
    array = np.random.default_rng(1).random((3, 4, 5))
    plans = {"transpose_backward": [0, 1, 2]}
    flipped = {"nibabel_stuff": {"original_affine": np.diag([-1.0, 1, 1, 1])}}
    assert np.array_equal(space_of(plans, flipped).canonical(array), array.T[::-1])
    assert np.array_equal(space_of(plans, {"spacing": [1, 1, 1]}).canonical(array), array.T)
