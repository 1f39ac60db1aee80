import pytest
import torch

from medmamba.bench import machine
from medmamba.bench.machine import Limits, describe, limits
from medmamba.bench.workloads import workload
from medmamba.kernels import library

CPU = torch.device("cpu")


def test_limits_are_measured() -> None:
    found = limits(CPU, threads=1, seconds=0.01)
    assert found.exps > 0 and found.bandwidth > 0 and "one core" in found.exps_by


def test_the_bound_is_the_slower_of_exponentials_and_memory() -> None:
    gate = workload("gate")  # D = 96, N = 16
    wide, narrow = 65536 * 96, 65536 * 16
    slow_exp, slow_copy = Limits(1e9, "", 1e15), Limits(1e15, "", 1e9)
    assert slow_exp.forward(gate, 1, 4) == gate.elements() / 1e9
    assert slow_exp.forward(gate, 3, 4) == 3 * gate.elements() / 1e9
    assert slow_copy.forward(gate, 1, 4) == 4 * (4 * wide + 2 * narrow) / 1e9
    assert slow_copy.forward(gate, 3, 2) == 2 * (8 * wide + 6 * narrow) / 1e9
    assert slow_copy.backward(gate, 1, 4) > slow_copy.forward(gate, 1, 4)


def test_the_machine_is_named() -> None:
    about = describe(CPU, 2)
    assert about["threads"] == 2 and not about["gpu"] and "cpu" in about["device"]
    assert {"medmamba", "torch", "python"} <= set(about["versions"]) and "T" in about["date"]


def test_exponentials_are_counted_without_library_and_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "exp_rate", lambda seconds: 0.0)
    rate, how = machine._cpu_exps(threads=2, seconds=0.01)
    assert rate > 0 and how == "torch.exp in the cache, one core, times 2"
    assert machine._exps_in_memory(CPU) > 0
