import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.register.similarity import nmi
from tests.register.similarity.made import blobs


def test_of_an_image_with_its_negative_it_is_that_with_itself() -> None:
    image = blobs()
    assert nmi(image, 1 - image).item() == pytest.approx(nmi(image, image).item(), rel=1e-6)


def test_it_lies_between_nothing_and_everything() -> None:
    """Two levels far apart in the histogram: one image tells the other, or tells nothing."""
    half = torch.zeros(1, 1, 8, 8, 8, dtype=torch.float64)
    half[:, :, :4] = 1
    across = half.transpose(2, 3)
    assert nmi(half, half) < nmi(half, across)
    assert nmi(half, across).item() == pytest.approx(-1, abs=1e-9)
    assert nmi(half, half, bins=256) < -1.0


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_order_of_voxels_and_of_images_does_not_matter(seed: int) -> None:
    first, second = blobs(seed), blobs(seed + 1)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(first.numel()))
    shuffled = [image.flatten()[order].view_as(image) for image in (first, second)]
    assert nmi(*shuffled).item() == pytest.approx(nmi(first, second).item(), rel=1e-9)
    assert nmi(second, first).item() == pytest.approx(nmi(first, second).item(), rel=1e-9)


def test_a_mask_weighs_voxels() -> None:
    first, second = blobs(), blobs(1)
    mask = torch.zeros_like(first)
    mask[:, :, :7] = 1
    assert torch.isclose(nmi(first, second, mask), nmi(first[:, :, :7], second[:, :, :7]))
    assert nmi(first, second, torch.zeros_like(mask)).isfinite()


def test_values_beyond_the_range_are_clipped() -> None:
    image = blobs()
    assert nmi(image, 3 * image - 1).item() == pytest.approx(nmi(image, (3 * image - 1).clamp(0, 1)).item())
