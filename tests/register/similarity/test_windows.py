import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medmamba.register.similarity.windows import along_axes, box_mean, masked_mean
from tests.register.similarity.made import blobs


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    window=st.sampled_from([1, 3, 5, 9]),
    seed=st.integers(0, 99),
)
def test_box_means_are_scipys(shape: list[int], window: int, seed: int) -> None:
    """Of two and three axes, also where the window is wider than the image."""
    picture = np.random.default_rng(seed).random((2, 3, *shape))
    wanted = ndimage.uniform_filter(picture, (1, 1, *[window] * len(shape)), mode="constant")
    assert np.allclose(box_mean(torch.from_numpy(picture), window).numpy(), wanted)


def test_matrices_work_along_their_own_axis() -> None:
    picture = blobs().expand(2, 3, -1, -1, -1)
    random = torch.Generator().manual_seed(0)
    matrices = [
        torch.rand(new, old, generator=random, dtype=torch.float64)
        for new, old in zip((4, 5, 6), picture.shape[2:], strict=True)
    ]
    assert torch.allclose(along_axes(picture, matrices), torch.einsum("bcxyz,ix,jy,kz->bcijk", picture, *matrices))


def test_masked_means() -> None:
    values = torch.cat([blobs(), 2 * blobs(1)], dim=1)
    mask = blobs(2) > 0.6
    assert torch.isclose(masked_mean(values, mask), values[mask.expand_as(values)].mean())
    assert torch.isclose(masked_mean(values, mask.float()), masked_mean(values, mask), atol=1e-6)
    assert masked_mean(values, None) == values.mean()
    assert masked_mean(values, torch.zeros_like(mask)) == 0
    two = values.expand(3, -1, -1, -1, -1)
    assert masked_mean(two, mask).item() == pytest.approx(masked_mean(values, mask).item())
