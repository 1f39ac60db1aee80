import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.register.deform.fields import (
    compose,
    exponential,
    folding_share,
    invert,
    jacobian_determinant,
    residual,
    resize,
    sample,
    smooth,
)
from tests.reference_data import arrays, needs_reference
from tests.register.deform.pairs import image, velocity

_SHAPE = (20, 24, 18)


def _linear(matrix, shape=_SHAPE):
    axes = [torch.arange(s, dtype=torch.float64) - (s - 1) / 2 for s in shape]
    position = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
    return torch.einsum("ij,bjxyz->bixyz", matrix, position)


@settings(max_examples=15, deadline=None)
@given(shift=st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_shift_and_its_inverse(shift):
    field = torch.tensor(shift).view(1, 3, 1, 1, 1).expand(1, 3, *_SHAPE)
    assert torch.allclose(invert(field), -field, atol=1e-4)
    assert torch.allclose(exponential(field), field, atol=1e-4)
    assert torch.allclose(compose(field, field), 2 * field, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), most=st.floats(0.5, 4))
def test_exponential_of_minus_v_inverts(seed, most):
    v = velocity(_SHAPE, most, seed)
    mean, high = residual(exponential(v), invert(exponential(v), exponential(-v)), (1, 1, 1))
    assert 0 <= mean < 0.2  # a few voxels at the edge may be far off: the mean can lie above the percentile
    assert 0 <= high < 0.1


def test_residual_is_in_mm_and_sees_a_wrong_inverse():
    field = torch.zeros(1, 3, *_SHAPE)
    wrong = field.clone()
    wrong[:, 1] = -0.5
    assert residual(field, wrong, (1, 3, 1)) == pytest.approx((1.5, 1.5))


def test_exponential_is_the_flow_of_small_steps():
    v = velocity(_SHAPE, 2.0)
    flow = torch.zeros_like(v)
    for _ in range(64):
        flow = flow + sample(v, flow) / 64
    assert (exponential(v) - flow)[..., 3:-3, 3:-3, 3:-3].abs().max() < 0.05


def test_jacobian_of_a_linear_map():
    matrix = torch.tensor([[0.1, 0.2, 0.0], [-0.1, -0.2, 0.1], [0.0, 0.3, 0.05]], dtype=torch.float64)
    found = jacobian_determinant(_linear(matrix))[..., 1:-1, 1:-1, 1:-1]
    assert torch.allclose(found, torch.linalg.det(torch.eye(3, dtype=torch.float64) + matrix).expand_as(found))


@needs_reference
def test_jacobian_and_folding_of_the_reference():
    ops = arrays("mambamorph/golden_ops.npz")
    field = torch.from_numpy(ops["big_flow"])[None].double()
    inner = (Ellipsis, *[slice(2, -2)] * 3)
    expected = torch.from_numpy(ops["jacdet_numpy_gradient"]).double()
    assert (jacobian_determinant(field)[0, 0][inner] - expected[inner]).abs().max() < 1e-3


def test_folding_is_counted_in_the_mask_without_the_rim():
    field = _linear(torch.diag(torch.tensor([-1.5, 0.0, 0.0], dtype=torch.float64)))
    assert folding_share(field) == 100
    field[:, :, 10:] = 0
    left = torch.zeros(1, 1, *_SHAPE)
    left[:, :, :8] = 1
    assert folding_share(field, left) == 100 and folding_share(field, torch.roll(left, 12, 2)) == 0
    assert 0 < folding_share(field) < 100


@settings(max_examples=10, deadline=None)
@given(shape=st.tuples(*[st.integers(6, 30)] * 3))
def test_resizing_keeps_the_map(shape):
    """A field of mm on another grid over the same field of view: its constant part in the new voxels."""
    field = torch.ones(1, 3, *_SHAPE)
    new = resize(field, shape)
    for axis in range(3):
        assert torch.allclose(new[:, axis], torch.tensor(shape[axis] / _SHAPE[axis]))


def test_smoothing_keeps_constants_and_matches_scipy():
    from scipy.ndimage import gaussian_filter

    picture = image(_SHAPE).double()
    expected = gaussian_filter(picture[0, 0].numpy(), (1.0, 1.5, 0.0), mode="nearest", truncate=3)
    assert abs(smooth(picture, (1.0, 1.5, 0.0))[0, 0].numpy() - expected).max() < 1e-3
    assert torch.allclose(smooth(torch.ones(1, 2, *_SHAPE), [2.0] * 3), torch.ones(1))
