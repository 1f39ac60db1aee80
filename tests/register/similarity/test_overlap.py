import pytest
import torch
from torch import Tensor

from medmamba.blocks.warp import warp
from medmamba.register.similarity import soft_dice
from tests.reference_data import needs_reference


def onehot(labels: Tensor, kept: tuple[int, ...]) -> Tensor:
    return torch.stack([labels == k for k in kept], 1).double()


@needs_reference
@pytest.mark.parametrize(("kept", "name"), [((0, 1, 2, 3), "all"), ((1, 2, 3), "keep123")])
def test_it_is_the_originals(
    ops: dict[str, Tensor], values: dict[str, float], kept: tuple[int, ...], name: str
) -> None:
    fixed = onehot(ops["labels_fixed"], kept)
    warped = warp(onehot(ops["labels"], kept), ops["velocity"].double())
    assert soft_dice(fixed, warped).item() == pytest.approx(values[f"loss_dice_{name}"], rel=1e-5)


def test_each_label_of_each_sample_counts_the_same() -> None:
    """One label overlaps wholly, one by half, one not at all, and one is nowhere."""
    fixed = torch.zeros(1, 4, 8, 8, 8)
    warped = fixed.clone()
    fixed[0, 0], warped[0, 0] = 1, 1
    fixed[0, 1, :2, :2, :2], warped[0, 1, 1:3, :2, :2] = 1, 1
    fixed[0, 2, :1], warped[0, 2, 1:] = 1, 1
    assert soft_dice(fixed, warped).item() == pytest.approx(-(1 + 0.5 + 0 + 0) / 4)


def test_without_labels_nothing_breaks() -> None:
    nothing = torch.zeros(1, 2, 4, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_dice(torch.zeros(1, 2, 4, 4, 4), nothing), nothing)
    assert gradient.isfinite().all()
