"""Scaling, and telling contrasts apart."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medmamba.register.intensity import is_constant, same_contrast, scheme_of


@pytest.fixture
def tissue() -> np.ndarray:
    rough = gaussian_filter(np.random.default_rng(0).normal(size=(32, 30, 28)), 2)
    return ((rough - rough.min()) / np.ptp(rough)).astype(np.float32)


def test_ct_is_told_by_its_air() -> None:
    data = np.full((10, 10, 10), 40, np.int16)
    data[:2] = -1000
    scheme = scheme_of(data)
    assert scheme.modality == "ct" and scheme.scaled(data).min() == 0
    assert scheme.scaled(data)[5, 5, 5] == pytest.approx(0.52)
    assert scheme_of(data, "mri").modality == "mri" and scheme_of(data[2:]).modality == "mri"


def test_mr_is_cut_at_its_99th_percentile() -> None:
    data = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    data[0, 0, 0] = 1e6
    scaled = scheme_of(data).scaled(data)
    assert scaled.max() == 1 and scaled[9, 0, 0] == pytest.approx(900 / 991, abs=1e-2)


def test_a_small_bright_thing_in_much_background_is_seen() -> None:
    data = np.zeros((20, 20, 20), np.uint8)
    data[10, 10, 10:14] = 9
    scheme = scheme_of(data)
    assert scheme.high == 9 and not is_constant(data, scheme)
    assert is_constant(np.zeros_like(data), scheme_of(np.zeros_like(data)))
    assert is_constant(np.full((9, 9, 9), 2000, np.int16), scheme_of(np.full((9, 9, 9), 2000, np.int16), "ct"))


@pytest.mark.parametrize(
    ("contrast", "same"),
    [
        (lambda m: m, True),
        (np.sqrt, True),
        (lambda m: 1 - m, False),
        (lambda m: np.sin(2 * np.pi * m) / 2 + 0.5, False),
    ],
)
def test_contrasts(tissue: np.ndarray, contrast: object, same: bool) -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, tissue.shape)
    moving = np.clip(contrast(tissue) + noise, 0, 1).astype(np.float32)
    told, share = same_contrast(tissue, moving, np.ones(tissue.shape, bool))
    assert told == same and -1 <= share <= 1


def test_the_outline_does_not_decide(tissue: np.ndarray) -> None:
    """Bright tissue on a black ground: globally the two go together, in the tissue they are opposites."""
    head = np.zeros(tissue.shape, bool)
    head[6:-6, 6:-6, 6:-6] = True
    fixed, moving = (np.where(head, 0.4 + 0.5 * part, 0).astype(np.float32) for part in (tissue, 1 - tissue))
    assert np.corrcoef(fixed.ravel(), moving.ravel())[0, 1] > 0.5
    assert not same_contrast(fixed, moving, np.ones(head.shape, bool))[0]
    assert same_contrast(fixed, fixed, np.zeros(head.shape, bool)) == (False, 0.0)
