from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType
from torch.nn import functional as F

from medmamba.bench.shares import OWN_CONVOLUTION, fractions, profiled
from medmamba.scan import selective_scan

CPU = torch.device("cpu")
X, KERNEL = torch.randn(1, 8, 24, 24, 24), torch.randn(8, 8, 3, 3, 3)
U, A, B = torch.rand(1, 300, 8), -torch.rand(8, 4), torch.randn(1, 300, 4)


def scan() -> object:
    return selective_scan(U, U, A, B, B)


def convolution() -> object:
    return F.conv3d(X, KERNEL, padding=1)


def test_the_result_comes_through() -> None:
    assert torch.equal(profiled(lambda: X + 1, CPU)[0], X + 1)


def test_each_kind_is_found_and_nothing_else() -> None:
    scan(), convolution()  # the first call of each loads code
    assert profiled(scan, CPU)[1] == {"scan": pytest.approx(1, abs=0.2), "convolution": 0}
    assert profiled(convolution, CPU)[1] == {"scan": 0, "convolution": pytest.approx(1, abs=0.05)}
    assert profiled(lambda: X.exp(), CPU)[1] == {"scan": 0, "convolution": 0}


def test_a_kernel_of_ours_counts_by_its_name() -> None:
    def named() -> None:
        with torch.profiler.record_function(OWN_CONVOLUTION):
            convolution(), X.exp()

    assert profiled(named, CPU)[1]["convolution"] == pytest.approx(1, abs=0.01)


def test_shares_of_a_mixture_add_up_to_one_at_most() -> None:
    found = profiled(lambda: (scan(), convolution(), X.exp()), CPU)[1]
    assert all(share > 0 for share in found.values()) and sum(found.values()) <= 1.001


def test_kernels_and_marks_on_a_gpu_count_by_their_operators_alone() -> None:
    def event(name: str, kind: DeviceType, microseconds: float) -> SimpleNamespace:
        own = {"self_device_time_total": microseconds, "device_time_total": microseconds}
        return SimpleNamespace(name=name, device_type=kind, cpu_parent=None, **own)

    events = [
        event("medmamba::selective_scan", DeviceType.CPU, 3.0),
        event("aten::add", DeviceType.CPU, 1.0),
        event("scan_segment", DeviceType.CUDA, 3.0),
        event("add_kernel", DeviceType.CUDA, 1.0),
        event(OWN_CONVOLUTION, DeviceType.CUDA, 4.0),
    ]
    assert fractions(events, on_gpu=True) == {"scan": 0.75, "convolution": 0.0}
