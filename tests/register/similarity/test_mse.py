import pytest
import torch
from torch import Tensor

from medmamba.register.similarity import mse
from tests.reference_data import needs_reference
from tests.register.similarity.made import blobs


@needs_reference
def test_it_is_the_originals(ops: dict[str, Tensor], values: dict[str, float]) -> None:
    assert mse(ops["img"][None], ops["img2"][None]).item() == pytest.approx(values["loss_mse"], rel=1e-5)


def test_it_is_that_of_the_voxels_in_the_mask_alone() -> None:
    first, second = (torch.cat([blobs(seed), blobs(seed + 1)], dim=1) for seed in (0, 2))
    mask = blobs(5) > 0.5
    wanted = torch.nn.functional.mse_loss(first[mask.expand_as(first)], second[mask.expand_as(first)])
    assert torch.isclose(mse(first, second, mask), wanted)
    assert mse(first, second, torch.zeros_like(mask)) == 0
