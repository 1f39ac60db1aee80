"""The causal convolution in scan order: every path against the plain one, and the plain one against torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from medmamba.errors import ConfigError
from medmamba.scan import causal_conv, from_scan_order, to_scan_order
from medmamba.scan.conv import conv_op
from medmamba.scan.dispatch import by_name

DIRECTIONS = ("forward", "reverse", "interslice")
DEVICE = torch.device("cpu")
needs_library = pytest.mark.skipif(
    bool(by_name("cpu").usable(DEVICE, torch.float32)), reason="the compiled library is not built"
)


def draw(batch, length, channels, taps, directions, dtype=torch.float32, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, length, 2 * channels, generator=g).to(dtype)
    weight, bias = torch.randn(directions, channels, taps, generator=g), torch.randn(directions, channels, generator=g)
    return x[..., :channels].detach().requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_equals_torchs_convolution_in_scan_order(direction, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", "chunked")
    x, weight, bias = draw(2, 12, 5, 4, 1)
    padded = F.pad(to_scan_order(x, direction, 3).transpose(1, 2), (3, 0))
    wanted = F.silu(F.conv1d(padded, weight[0, :, None], bias[0], groups=5)).transpose(1, 2)
    got = causal_conv(x, weight, bias, (direction,), 3)
    torch.testing.assert_close(got[0], from_scan_order(wanted, direction, 3))


def test_the_last_tap_is_the_current_step(monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", "chunked")
    x = torch.tensor([[[1.0], [2.0]]])
    assert causal_conv(x, torch.tensor([[[0.0, 4.0]]]), silu=False).tolist() == [[[[4.0], [8.0]]]]


@needs_library
@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 40), st.integers(1, 35), st.integers(1, 5), st.booleans(), st.integers(0, 2**16)
)
def test_compiled_equals_plain(batch, per_slice, channels, taps, silu, seed):
    def run(path):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MEDMAMBA_SCAN", path)
            tensors = draw(batch, 3 * per_slice, channels, taps, 3, seed=seed)
            out = causal_conv(*tensors, DIRECTIONS, 3, silu)
            out.backward(torch.linspace(-1, 1, out.numel()).view(out.shape))
            return out.detach(), *(t.grad for t in tensors)

    for got, wanted in zip(run("cpu"), run("chunked"), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-4)


@needs_library
def test_bfloat16_rounds_once(monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", "cpu")
    x, weight, bias = draw(1, 50, 19, 4, 1, torch.bfloat16)
    out = causal_conv(x, weight, bias)
    assert out.dtype == torch.bfloat16
    wanted = causal_conv(x.float(), weight, bias)
    torch.testing.assert_close(out.float(), wanted, rtol=2**-8, atol=1e-6)


@needs_library
@pytest.mark.parametrize("with_bias", [True, False])
def test_opcheck(with_bias):
    x, weight, bias = draw(1, 6, 3, 4, 2)
    torch.library.opcheck(conv_op, (x, weight, bias if with_bias else None, True, [1, -1], "cpu"))


def test_a_weight_that_does_not_fit_is_one_sentence():
    with pytest.raises(ConfigError, match=r"weight has shape \(1, 3, 4\), expected \(2, 3, taps\)"):
        causal_conv(torch.zeros(1, 4, 3), torch.zeros(1, 3, 4), directions=("forward", "reverse"))
