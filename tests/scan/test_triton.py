"""The GPU path against the golden fixtures, by default in Triton's interpreter; when it can be used and when not."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from medmamba.scan import triton
from medmamba.scan.inputs import ScanInputs
from medmamba.scan.orders import order_of
from tests.reference_data import REFERENCE, needs_reference, tensors

FILES = sorted(p.name for p in REFERENCE.glob("scan/golden_L*.npz"))
NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def relative(got, want):
    """||got - want|| / ||want||, absolute where the wanted value is zero (dA at L = 1)."""
    error = (got.cpu().double() - want).norm()
    return float(error / want.norm()) if want.norm() > 1e-12 else float(error)


def errors(file, dtype, device):
    """Errors of y, the last state and every gradient of one golden with inputs of `dtype`."""
    data, meta = tensors(f"scan/{file}")
    args = {
        k: data[k].to(device, torch.float32 if k in ("A", "D", "delta_bias") else dtype) for k in NAMES if k in data
    }
    stacked = {k: args[k] if k == "z" else args[k][None] for k in args}
    order = order_of(meta["direction"], meta["nslices"] or None, data["u"].shape[1])
    inputs = ScanInputs(**{k: stacked.get(k) for k in NAMES}, delta_softplus=meta["softplus"], orders=(order,))
    y, last, kept = triton.forward(inputs, keep_states=True)
    assert (y.dtype, last.dtype, kept.shape) == (dtype, torch.float32, triton.checkpoint_shape(*inputs.sizes))
    found = {"y": relative(y, data["y"]), "last_state": relative(last[0], data["last_state"])}
    for name, gradient in zip(NAMES, triton.backward(inputs, kept, data["dy"].to(device, dtype)), strict=True):
        assert (gradient is None) == (name not in data)
        if gradient is not None:
            assert gradient.dtype == stacked[name].dtype
            assert gradient.is_contiguous()
            found[name] = relative(gradient if name == "z" else gradient[0], data[f"grad_{name}"])
    return found


@needs_reference
@pytest.mark.parametrize("file", FILES)
def test_goldens_in_float32(file, kernel_device):
    found = errors(file, torch.float32, kernel_device)
    assert found.pop("y") <= 1e-6
    assert max(found.values()) <= 5e-6


@needs_reference
def test_goldens_in_bfloat16(kernel_device):
    assert max(errors("golden_L33_N16_bf16.npz", torch.bfloat16, kernel_device).values()) <= 1e-2


def test_usable_says_why_not(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert triton.usable(cpu, torch.float32) == "no GPU"
    assert triton.usable(cuda, torch.float64) == "no float64 on the GPU kernels"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton.usable(cpu, torch.bfloat16) == ""
    assert triton.usable(cpu, torch.float64) == "no float64 on the GPU kernels"


def test_usable_says_why_triton_does_not_start(monkeypatch):
    library = pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "hip", None)

    def reason(version, driver):
        triton._start.cache_clear()
        monkeypatch.setattr(library, "__version__", version)
        monkeypatch.setattr(library.runtime, "driver", driver)
        return triton.usable(torch.device("cuda"), torch.float32)

    class Broken:
        @property
        def active(self):
            raise RuntimeError("Failed to find C compiler.\nMore.")

    works = SimpleNamespace(active=SimpleNamespace(utils=None))
    assert reason("3.7.1", works) == ""
    assert reason("3.2.0", works) == "Triton 3.2.0 is older than 3.3"
    assert reason("3.10.0+git", works) == ""
    assert reason("3.7.1", Broken()) == "Triton does not start: Failed to find C compiler."
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert "NVIDIA" in reason("3.7.1", works)
    triton._start.cache_clear()


def test_imports_and_refuses_where_triton_is_missing():
    code = (
        "import sys, torch; sys.modules['triton'] = None\n"
        "from medmamba.scan import conv_triton, triton\n"
        "print(triton.usable(torch.device('cuda'), torch.float32))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Triton is not installed"


def test_keeps_no_more_than_one_state_in_32_steps():
    assert triton.checkpoint_shape(3, 2, 640, 5, 16) == (3, 2, 20, 16, 5)
