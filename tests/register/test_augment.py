"""Random changes of a pair."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medmamba.register import augment
from medmamba.register.deform.fields import folding_share

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.floats(0, 30), st.floats(0, 0.3), st.floats(0, 10))
def test_an_affine_map_stays_within_its_bounds(seed: int, rotation: float, scale: float, shift: float) -> None:
    matrix = augment.random_affine(np.random.default_rng(seed), rotation, scale, shift)
    stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    assert np.all((stretch > 1 - scale - 1e-9) & (stretch < 1 + scale + 1e-9))
    assert np.linalg.det(matrix[:3, :3]) > 0
    assert np.abs(matrix[:3, 3]).max() <= shift
    turn = matrix[:3, :3] @ np.linalg.inv(np.diag(np.linalg.norm(matrix[:3, :3], axis=0)))
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) <= 3 * rotation + 1e-6


@given(seeds)
def test_no_strength_changes_nothing(seed: int) -> None:
    assert np.array_equal(augment.random_affine(np.random.default_rng(seed), 0, 0, 0), np.eye(4))


@pytest.mark.parametrize("seed", range(4))
def test_a_field_is_smooth_and_no_longer_than_asked(seed: int) -> None:
    field = augment.random_field(np.random.default_rng(seed), (18, 32, 24), 4.0)
    assert field.shape == (1, 3, 18, 32, 24)
    assert 0 < float(field.norm(dim=1).max()) <= 4.0 * 1.05
    assert folding_share(field) == 0
    again = augment.random_field(np.random.default_rng(seed), (18, 32, 24), 4.0)
    assert torch.equal(field, again)


@given(seeds, st.booleans())
def test_curves(seed: int, rising: bool) -> None:
    curve = augment.random_curve(np.random.default_rng(seed), rising)
    assert curve.shape == (256,) and curve.min() >= 0 and curve.max() <= 1
    if rising:
        assert np.all(np.diff(curve) >= 0) and curve[-1] > 0.5
    image = torch.linspace(0, 1, 256).view(4, 8, 8)
    assert torch.allclose(augment.remapped(image, curve).flatten(), torch.from_numpy(curve), atol=1e-5)


def test_any_curve_may_turn_the_contrast_round() -> None:
    curves = [augment.random_curve(np.random.default_rng(seed), False) for seed in range(30)]
    slopes = [np.corrcoef(curve, np.arange(256))[0, 1] for curve in curves]
    assert min(slopes) < -0.5 and max(slopes) > 0.5


def test_noise_has_at_most_its_strength() -> None:
    image = torch.full((20, 20, 20), 0.5)
    changed = augment.noisy(np.random.default_rng(3), image, 0.05)
    assert 0 < float((changed - image).std()) < 0.055
