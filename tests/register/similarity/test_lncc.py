import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medmamba.register.similarity import lncc
from tests.reference_data import needs_reference
from tests.register.similarity.made import blobs


@needs_reference
def test_it_is_voxelmorphs(ops: dict[str, Tensor], values: dict[str, float]) -> None:
    img, other = ops["img"][None].double(), ops["img2"][None].double()
    assert lncc(img, other).item() == pytest.approx(values["loss_ncc9"], rel=1e-4)
    assert lncc(img, img).item() == pytest.approx(values["loss_ncc9_self"], rel=1e-5)


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(0.2, 5), offset=st.floats(-1, 1))
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    image = blobs()
    assert lncc(image, gain * image, epsilon=1e-12).item() == pytest.approx(-1, abs=1e-6)
    inside = torch.zeros_like(image)
    inside[:, :, 4:-4, 4:-4, 4:-4] = 1  # without it an offset makes an edge with the zeros around the image
    alike = lncc(image, image, inside).item()
    assert alike < -0.8 and lncc(image, image + offset, inside).item() == pytest.approx(alike, abs=1e-6)


def test_a_slow_change_of_brightness_matters_little() -> None:
    image = blobs()
    slope = 1 + 0.1 * torch.linspace(-1, 1, image.shape[2], dtype=torch.float64).view(1, 1, -1, 1, 1)
    mask = torch.zeros_like(image)
    mask[:, :, 3:-3, 3:-3, 3:-3] = 1  # all blobs are dark at the edge
    assert lncc(image, slope * image, mask, window=5) < -0.6 < -0.1 < lncc(image, blobs(1), mask, window=5)


def test_of_a_window_that_holds_the_whole_image_it_is_the_correlation() -> None:
    first, second = blobs(0, (5, 5, 5)), blobs(1, (5, 5, 5))
    wanted = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1] ** 2
    found = lncc(first, second, torch.ones_like(first), window=9)
    assert -found.item() == pytest.approx(wanted.item(), abs=1e-3)


def test_an_empty_mask_and_flat_images_are_finite() -> None:
    flat = torch.full((1, 1, 8, 8, 8), 0.5, requires_grad=True)
    image = blobs(0, (8, 8, 8)).float()
    for mask in (torch.zeros_like(image), torch.ones_like(image)):
        loss = lncc(image, flat, mask)
        (gradient,) = torch.autograd.grad(loss, flat)
        assert loss.item() == pytest.approx(0, abs=1e-3) and gradient.isfinite().all()


def test_channels_and_batches_are_averaged() -> None:
    first, second = (torch.cat([blobs(seed), blobs(seed + 1)]) for seed in (0, 4))
    each = [lncc(first[[one]], second[[one]]) for one in range(2)]
    assert torch.isclose(lncc(first, second), sum(each) / 2)
    assert torch.isclose(lncc(first.transpose(0, 1), second.transpose(0, 1)), sum(each) / 2)
