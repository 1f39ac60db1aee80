"""The compiled warp beside torch's sampler in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from medmamba.blocks.warp import warp as reference
from medmamba.kernels import library, warp

pytestmark = pytest.mark.skipif(library.load() is None, reason="no compiled kernels")
_SIZES = st.tuples(*[st.integers(1, 20)] * 3)


def _levels():
    for level in library.LEVELS:
        try:
            with library.using(level):
                yield level
        except library.ConfigError:
            continue


def _drawn(batch, channels, size, most, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, channels, *size, generator=generator, dtype=torch.float64)
    field = most * torch.randn(batch, 3, *size, generator=generator, dtype=torch.float64)
    out = torch.randn(batch, channels, *size, generator=generator, dtype=torch.float64)
    return image.requires_grad_(), field.requires_grad_(), out


@settings(deadline=None)
@given(_SIZES, st.integers(1, 3), st.integers(1, 5), st.floats(0.1, 8.0), st.integers(0, 99))
def test_values_and_gradients_are_the_samplers(size, batch, channels, most, seed):
    image, field, out = _drawn(batch, channels, size, most, seed)
    expected = reference(image, field)
    expected.backward(out)
    for _ in _levels():
        own = [x.detach().float().requires_grad_() for x in (image, field)]
        found = warp.warp(*own)
        found.backward(out.float())
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(own[0].grad.double(), image.grad, rtol=0, atol=1e-4)
        # where a point all but meets a voxel, rounding decides which of two slopes it sees
        near = (field.detach() - field.detach().round()).abs().amin(1, keepdim=True) < 1e-4
        kept = ~near.expand_as(field)
        torch.testing.assert_close(own[1].grad.double()[kept], field.grad[kept], rtol=0, atol=1e-3)


def test_only_what_is_asked_for_gets_a_gradient():
    image, field, _ = _drawn(1, 2, (4, 5, 6), 1.0)
    own = field.detach().float().requires_grad_()
    warp.warp(image.detach().float(), own).sum().backward()
    assert own.grad.abs().sum() > 0
    own = image.detach().float().requires_grad_()
    warp.warp(own, field.detach().float()).sum().backward()
    assert own.grad.abs().sum() > 0


@pytest.mark.parametrize("where", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_what_leads_nowhere_reads_zero(where):
    assert not warp.warp(torch.ones(1, 1, 4, 4, 20), torch.full((1, 3, 4, 4, 20), where)).any()


def test_at_rest_the_slope_on_the_last_voxel_is_that_of_the_inside():
    ramp = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 1, 5, 6, 7).contiguous()
    field = torch.zeros(1, 3, 5, 6, 7, requires_grad=True)
    warp.warp(ramp, field).sum().backward()
    assert torch.equal(field.grad[0, 0], torch.ones(5, 6, 7))


def test_threads_change_no_bit(monkeypatch):
    image, field, out = (x.detach().float() for x in _drawn(2, 3, (9, 8, 21), 2.0))
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        own = [image.clone().requires_grad_(), field.clone().requires_grad_()]
        found = warp.warp(*own)
        found.backward(out)
        results.append((found.detach(), own[0].grad, own[1].grad))
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


def test_it_takes_float32_volumes_on_a_cpu_only():
    image, field = torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 3, 4, 4, 4)
    assert warp.takes(image, field)
    assert not warp.takes(image.double(), field.double())
    assert not warp.takes(image[0], field[0])
    assert not warp.takes(image, field.expand(2, -1, -1, -1, -1))
    assert not warp.takes(image.to("meta"), field.to("meta"))
    with FakeTensorMode() as fake:
        assert not warp.takes(fake.from_tensor(image), fake.from_tensor(field))
