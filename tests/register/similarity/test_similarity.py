"""What holds for every similarity that a user can name."""

import pytest
import torch

from medmamba.register.similarity import BY_NAME, choose
from tests.register.similarity.made import blobs


@pytest.mark.parametrize("name", BY_NAME)
def test_alike_is_lower_than_moved(name: str) -> None:
    image = blobs()
    moved = torch.roll(image, 2, dims=2)
    nearly = image + 0.01 * blobs(1)
    assert BY_NAME[name](image, nearly) < BY_NAME[name](image, moved)


@pytest.mark.parametrize("name", BY_NAME)
def test_gradient_is_that_of_differences(name: str) -> None:
    fixed, warped = blobs(0, (9, 9, 10)), blobs(1, (9, 9, 10)) * 0.9 + 0.05
    mask = (blobs(2, (9, 9, 10)) > 0.3).double()
    warped.requires_grad_()
    (gradient,) = torch.autograd.grad(BY_NAME[name](fixed, warped, mask), warped)
    direction = blobs(3, (9, 9, 10)) - 0.5
    step = 1e-5 * direction
    with torch.no_grad():
        difference = BY_NAME[name](fixed, warped + step, mask) - BY_NAME[name](fixed, warped - step, mask)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item() / 2e-5, rel=2e-3, abs=1e-8)


@pytest.mark.parametrize("name", BY_NAME)
def test_masked_voxels_do_not_count(name: str) -> None:
    image = blobs(0, (24, 16, 16))
    mask = torch.zeros_like(image)
    mask[:, :, :8] = 1
    other = image.clone()
    other[:, :, 20:] = 0.5  # further from the mask than any window or descriptor reaches
    alike = BY_NAME[name](image, image, mask).item()
    assert BY_NAME[name](image, other, mask).item() == pytest.approx(alike, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["nmi", "mind"])
def test_contrast_does_not_matter_across_modalities(name: str) -> None:
    image = blobs()
    remapped = torch.sin(torch.pi * image) ** 2
    right, wrong = BY_NAME[name](image, remapped), BY_NAME[name](image, torch.roll(remapped, 3, dims=3))
    assert right < wrong


def test_choice() -> None:
    assert (choose(True), choose(False)) == ("lncc", "mind")
