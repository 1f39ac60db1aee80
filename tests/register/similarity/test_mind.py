import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.register.similarity import mind, mind_ssc
from medmamba.register.similarity.mind import PAIRS
from tests.register.similarity.made import blobs


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(0.2, 5), offset=st.floats(-1, 1))
def test_descriptors_ignore_gain_and_offset(gain: float, offset: float) -> None:
    image = blobs()
    assert torch.allclose(mind_ssc(image), mind_ssc(gain * image + offset), atol=1e-6)
    assert torch.allclose(mind_ssc(image), mind_ssc(-image), atol=1e-9)


def test_twelve_values_of_which_the_largest_is_one() -> None:
    found = mind_ssc(blobs())
    assert found.shape == (1, 12, 14, 15, 16)
    assert found.min() >= 0 and torch.equal(found.amax(1), torch.ones_like(found[:, 0]))


def test_the_pairs_are_sqrt_2_apart() -> None:
    assert len(set(PAIRS)) == 12
    assert {sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) for pair in PAIRS} == {2}


@pytest.mark.parametrize(("radius", "dilation"), [(0, 1), (1, 2), (2, 2)])
def test_a_voxels_descriptor_is_that_of_its_definition(radius: int, dilation: int) -> None:
    """The patches of one voxel far from the edge, compared one by one."""
    image = blobs()
    at = torch.tensor([7, 7, 8])

    def patch(offset: tuple[int, ...]) -> torch.Tensor:
        x, y, z = (at + dilation * torch.tensor(offset)).tolist()
        reach = slice(-radius, radius + 1)
        return image[0, 0][tuple(slice(c + reach.start, c + reach.stop) for c in (x, y, z))]

    distances = torch.stack([((patch(first) - patch(second)) ** 2).mean() for first, second in PAIRS])
    distances = distances - distances.min()
    wanted = torch.exp(-distances / distances.mean())
    assert torch.allclose(mind_ssc(image, radius, dilation)[0, :, 7, 7, 8], wanted, atol=1e-9)


def test_of_a_constant_image_it_is_finite() -> None:
    constant = torch.full((1, 1, 8, 8, 8), 0.3, requires_grad=True)
    (gradient,) = torch.autograd.grad(mind(blobs(0, (8, 8, 8)).float(), constant), constant)
    assert mind_ssc(constant).isfinite().all() and gradient.isfinite().all()


def test_the_loss_is_the_mean_squared_difference_in_the_mask() -> None:
    first, second = blobs(), blobs(1)
    mask = (blobs(2) > 0.5).double()
    difference = ((mind_ssc(first) - mind_ssc(second)) ** 2).mean(1, keepdim=True)
    assert torch.isclose(mind(first, second, mask), difference[mask > 0].mean())
    assert mind(first, first) == 0
