from collections.abc import Callable

import pytest
import torch
from torch import nn

from medmamba import runtime
from medmamba.engine import best_dtype, precision
from medmamba.errors import ConfigError

CPU = torch.device("cpu")


def trial(fp32: float, bf16: float) -> Callable[[torch.dtype | None], float]:
    return lambda dtype: fp32 if dtype is None else bf16


def test_a_cpu_without_matrix_units_stays_with_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "cpu_flags", lambda: ("avx2",))
    assert precision.choose("auto", CPU, trial(9.0, 1.0)).dtype is None


@pytest.mark.parametrize(("bf16", "expected"), [(0.5, torch.bfloat16), (0.95, None), (float("inf"), None)])
def test_matrix_units_are_used_when_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, bf16: float, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(runtime, "cpu_flags", lambda: ("avx2", "amx_bf16"))
    chosen = precision.choose("auto", CPU, trial(1.0, bf16))
    assert chosen.dtype is expected
    assert "amx_bf16" in str(chosen)


def test_what_is_asked_for_is_taken() -> None:
    assert precision.choose("bf16", CPU).dtype is torch.bfloat16
    with pytest.raises(ConfigError, match="fp16 does not work on a CPU"):
        precision.choose("fp16", CPU)


def test_a_step_is_timed_and_leaves_no_gradient() -> None:
    network = nn.Linear(4, 4)
    assert 0 < precision.timed_step(network, torch.ones(2, 4))(None) < float("inf")
    assert network.weight.grad is None


def test_an_output_that_overflows_never_wins() -> None:
    network = nn.Linear(4, 4)
    network.weight.data.fill_(float("inf"))
    assert precision.timed_step(network, torch.ones(2, 4), backward=False)(None) == float("inf")


def test_apply_runs_inside_in_bf16_and_returns_float() -> None:
    seen = []

    class Probe(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(super().forward(x).dtype)
            return super().forward(x)

    network = Probe(4, 4)
    keys = list(network.state_dict())
    precision.apply(network, precision.Precision(torch.bfloat16, "test"), CPU)
    assert network(torch.ones(1, 4)).dtype is torch.float32
    assert seen == [torch.bfloat16]
    assert list(network.state_dict()) == keys


def test_fp32_wins_over_a_surrounding_autocast() -> None:
    network, x = nn.Linear(4, 4), torch.full((1, 4), 1.001)
    expected = network(x)
    precision.apply(network, precision.Precision(None, "test"), CPU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(network(x), expected)


def test_an_unknown_precision_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'fp8'.*auto, fp32, bf16 or fp16"):
        precision.choose("fp8", torch.device("cpu"))


@pytest.mark.parametrize(("wanted", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_the_format_is_as_asked(wanted: str, dtype: torch.dtype | None) -> None:
    assert precision.for_engine(wanted).dtype is dtype


def test_the_format_follows_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "best_dtype", lambda: torch.bfloat16)
    assert str(precision.for_engine("auto")) == "bf16 (CPU engine; this CPU has bf16 matrix units)"
    monkeypatch.setattr(precision, "best_dtype", best_dtype)
    assert "CPU engine" in precision.for_engine("auto").reason
