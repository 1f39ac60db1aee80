import pytest
import torch
from torch import Tensor

from medmamba.register.similarity import contrastive
from tests.reference_data import needs_reference


@needs_reference
def test_it_is_the_originals(ops: dict[str, Tensor], values: dict[str, float]) -> None:
    loss = contrastive(ops["cl_feature"], ops["labels"], ops["labels_fixed"], kept=(1, 2, 3))
    assert loss.item() == pytest.approx(values["loss_contrastive"], rel=1e-5)


@needs_reference
def test_a_label_that_one_side_lacks(ops: dict[str, Tensor]) -> None:
    feature = ops["cl_feature"].clone().requires_grad_()
    loss = contrastive(feature, ops["labels"], ops["labels_fixed"].masked_fill(ops["labels_fixed"] == 2, 0), (1, 2, 3))
    (gradient,) = torch.autograd.grad(loss, feature)
    assert 0 < loss.item() < 10 and gradient.isfinite().all() and gradient.abs().sum() > 0


def test_without_any_label_it_is_zero() -> None:
    feature = torch.rand(1, 4, 3, 3, 3, requires_grad=True)
    nothing = torch.zeros(1, 6, 6, 6, dtype=torch.int64)
    loss = contrastive(feature, nothing, nothing, kept=(1, 2))
    assert loss.item() == 0 and not torch.autograd.grad(loss, feature)[0].any()


def told(labels: Tensor, count: int) -> Tensor:
    """Features (1, 2 * count, *) of both images that are the labels themselves."""
    one = torch.nn.functional.one_hot(labels, count).movedim(-1, 1).float()
    return torch.cat([one, one], dim=1)


def test_features_that_tell_the_labels_cost_less_than_others() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (1, 6, 6, 6), generator=random)
    good = contrastive(told(labels, 3), labels, labels, (1, 2))
    mixed = contrastive(torch.rand(1, 6, 6, 6, 6, generator=random), labels, labels, (1, 2))
    assert 0 < good < mixed
    # own anchor e^4 twice among the rivals, the other one e^0
    assert good.item() == pytest.approx(torch.log(torch.tensor(2 + torch.e**-4)).item(), rel=1e-5)


def test_length_does_not_matter_and_neither_do_labels_that_do_not_take_part() -> None:
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (1, 6, 6, 6), generator=random)
    feature = torch.rand(1, 8, 6, 6, 6, generator=random)
    loss = contrastive(feature, labels, labels, (1, 2))
    assert torch.isclose(contrastive(5 * feature, labels, labels, (1, 2)), loss)
    other = torch.where((labels == 3)[:, None], torch.rand(feature.shape, generator=random), feature)
    assert torch.isclose(contrastive(other, labels, labels, (1, 2)), loss)


def test_labels_of_twice_the_size_are_read_at_every_second_voxel() -> None:
    random = torch.Generator().manual_seed(2)
    small = torch.randint(0, 3, (1, 4, 5, 6), generator=random)
    large = torch.zeros(1, 8, 10, 12, dtype=torch.int64)
    large[:, ::2, ::2, ::2] = small
    feature = torch.rand(1, 6, 4, 5, 6, generator=random)
    assert torch.equal(contrastive(feature, large, small, (1, 2)), contrastive(feature, small, small, (1, 2)))


def test_so_many_voxels_are_drawn_and_by_torchs_generator() -> None:
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(1, 3, (1, 8, 8, 8), generator=random)
    feature = torch.rand(1, 6, 8, 8, 8, generator=random)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(contrastive(feature, labels, labels, (1, 2), most=20).item())
    assert found[0] == found[1] != found[2]
    assert contrastive(feature, labels, labels, (1, 2), most=512) == contrastive(feature, labels, labels, (1, 2))
