"""The adapter to mamba-ssm's kernel: its layout logic, with a stand-in for the kernel."""

import importlib.util
import sys
from dataclasses import replace

import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.scan import chunked, mamba_ssm
from medmamba.scan.inputs import ScanInputs
from medmamba.scan.orders import Order
from tests.fake_kernel import fake_kernel

__all__ = ["fake_kernel"]
ORDERS = (Order(), Order(reverse=True), Order(4))


def example(full: bool, dtype: torch.dtype = torch.float32, states: int = 3) -> ScanInputs:
    """Three directions, twelve positions; `full`: with skip, gate and bias."""
    source = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source).to(dtype)

    A = -torch.rand(3, 5, states, generator=source)
    D, bias = torch.rand(2, 3, 5, generator=source) if full else (None, None)
    z = normal(2, 12, 10)[..., 5:] if full else None
    projected = normal(3, 2, 12, 2 * states)
    B, C = projected[..., :states], projected[..., states:]
    return ScanInputs(normal(3, 2, 12, 5), normal(3, 2, 12, 5), A, B, C, D, z, bias, full, ORDERS)


@pytest.mark.parametrize("full", [True, False])
def test_output_and_gradients_are_those_of_the_torch_path(fake_kernel: None, full: bool) -> None:
    s = example(full)
    y, last, kept = mamba_ssm.forward(s, keep_states=True)
    wanted, wanted_last, wanted_kept = chunked.forward(s, keep_states=True)
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(last, wanted_last)
    assert kept.shape == mamba_ssm.checkpoint_shape(*s.sizes)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    inputs = (s.u, s.delta, s.A, s.B, s.C, s.D, s.z, s.delta_bias)
    found = mamba_ssm.backward(s, kept, dy)
    for x, one, other in zip(inputs, found, chunked.backward(s, wanted_kept, dy), strict=True):
        assert (one is None) == (x is None)
        if one is not None and x is not None:
            assert one.dtype == x.dtype and one.is_contiguous()
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_nothing_is_kept_unless_asked(fake_kernel: None) -> None:
    assert mamba_ssm.forward(example(True), keep_states=False)[2].shape == (0,)


def test_float16_keeps_an_ungated_output_beyond_its_range(fake_kernel: None) -> None:
    s = example(True, torch.float16)
    s = replace(s, u=s.u * 300, C=s.C * 300, z=torch.zeros_like(s.u[0]))
    ungated = chunked.forward(replace(s, u=s.u.float(), z=None), keep_states=False)[0]
    assert ungated.abs().max() > torch.finfo(torch.float16).max
    y = mamba_ssm.forward(s, keep_states=False)[0]
    assert y.dtype == torch.float16 and y.isfinite().all()


def test_more_states_than_the_kernel_takes() -> None:
    with pytest.raises(ConfigError, match="256 states at most, not 257"):
        mamba_ssm.forward(example(False, states=257), keep_states=False)


def test_usable_says_why_not_and_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert mamba_ssm.usable(cpu, torch.float32) == "CUDA only"
    assert "float64" in mamba_ssm.usable(cuda, torch.float64)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "not installed" in mamba_ssm.usable(cuda, torch.float32)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert mamba_ssm.usable(cuda, torch.bfloat16) == ""
    assert mamba_ssm.MODULE not in sys.modules
