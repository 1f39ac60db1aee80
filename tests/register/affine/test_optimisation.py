from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from medmamba.errors import ConfigError
from medmamba.register.affine import align, metric
from medmamba.register.grid import Grid


def _picture(seed=0, shape=(36, 40, 32)):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    envelope = np.prod(np.meshgrid(*[np.hanning(s) for s in shape], indexing="ij"), axis=0)
    return (envelope * (1 + noise / noise.std() / 3)).clip(0).astype(np.float32)


def _pair(matrix, contrast=lambda x: x):
    """(fixed, moving, truth): the fixed image is the moving one read through the truth, about its centre, RAS mm."""
    grid = Grid((36, 40, 32), np.diag([-1.5, 1.2, 2.0, 1.0]))
    truth = np.eye(4)
    truth[:3] = matrix
    truth[:3, 3] += grid.centre - truth[:3, :3] @ grid.centre
    data = _picture()
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    there = grid.index(grid.world(index) @ truth[:3, :3].T + truth[:3, 3])
    fixed = map_coordinates(data, there.T, order=1).reshape(grid.shape)
    return SimpleNamespace(data=fixed, grid=grid), SimpleNamespace(data=contrast(data), grid=grid), truth


def _error(found, truth, grid):
    corners = grid.world(np.stack(np.meshgrid(*[(8, s - 9) for s in grid.shape], indexing="ij"), -1).reshape(-1, 3))
    apart = corners @ (found - truth)[:3, :3].T + (found - truth)[:3, 3]
    return np.linalg.norm(apart, axis=1).mean()


_AFFINE = np.array([[1.08, 0.05, 0.02, 4.0], [-0.04, 0.95, 0.06, -3.0], [0.0, -0.05, 1.03, 3.0]])


@pytest.mark.parametrize("same", [True, False])
def test_recovers_an_affine_map(same):
    fixed, moving, truth = _pair(_AFFINE, (lambda x: x) if same else lambda x: np.sin(1.2 * x))
    found = align(fixed, moving, same_modality=same)
    assert found.rejected is None and found.metric_after < found.metric_before
    before = _error(np.eye(4), truth, fixed.grid)
    assert _error(found.transform.matrix, truth, fixed.grid) < 1.2 < before / 3  # 1.2 mm is the shortest edge


def test_rigid_stays_rigid_and_the_same_twice():
    fixed, moving, _ = _pair(_AFFINE)
    first, again = (align(fixed, moving, "rigid", "center", seed=3).transform.matrix for _ in range(2))
    assert np.array_equal(first, again)
    assert np.allclose(first[:3, :3] @ first[:3, :3].T, np.eye(3), atol=1e-6)


def test_a_given_start_and_no_affine_at_all():
    fixed, moving, truth = _pair(_AFFINE)
    from medmamba.register.transforms.transform import Affine

    kept = align(fixed, moving, "none", start=Affine(truth))
    assert np.array_equal(kept.transform.matrix, truth) and kept.start == "given"
    assert np.array_equal(align(fixed, moving, "none").transform.matrix, np.eye(4))


def test_centres_of_volumes_that_are_far_apart():
    fixed, moving, _ = _pair(np.eye(4)[:3])
    far = moving.grid.affine.copy()
    far[:3, 3] += (300, -200, 100)
    away = SimpleNamespace(data=moving.data, grid=Grid(moving.grid.shape, far))
    found = align(fixed, away, "translation")
    assert np.allclose(found.transform.matrix[:3, 3], (300, -200, 100), atol=0.5)


def test_noise_keeps_the_start():
    fixed, moving, _ = _pair(np.eye(4)[:3])
    noise = SimpleNamespace(data=np.zeros_like(moving.data), grid=moving.grid)
    found = align(fixed, noise, "affine", "header")
    assert found.rejected is not None and np.array_equal(found.transform.matrix, np.eye(4))


def test_unknown_kinds_are_refused():
    fixed, moving, _ = _pair(np.eye(4)[:3])
    with pytest.raises(ConfigError, match="no affine 'bent'"):
        align(fixed, moving, "bent")


def test_smaller_images_lead_to_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, moving, truth = _pair(_AFFINE)
    mask = SimpleNamespace(data=np.ones_like(fixed.data), grid=fixed.grid)
    monkeypatch.setattr(metric, "_MOST", 10_000)
    found = align(fixed, moving, fixed_mask=mask, moving_mask=mask)
    assert found.rejected is None and found.metric_after < found.metric_before
    assert _error(found.transform.matrix, truth, fixed.grid) < 1.2
