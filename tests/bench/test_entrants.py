"""Everyone who takes part computes the same thing: outputs and gradients against the oracle in float64."""

import importlib.util
from dataclasses import replace

import pytest
import torch

from medmamba.bench import entrants as module
from medmamba.bench.accuracy import errors_of
from medmamba.bench.entrants import Entrant, entrants
from medmamba.bench.workloads import workload
from medmamba.errors import ConfigError
from tests.fake_kernel import fake_kernel

__all__ = ["fake_kernel"]
CPU = torch.device("cpu")
SHAPE = replace(workload("gate"), batch=2, channels=5, states=3, length=36, slices=4)
COMPILED = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # torch.compile warns of its own doings
EVERYONE = [
    pytest.param(one, id=f"{len(one.directions)} {one.name}", marks=COMPILED * (one.name == "compiled chunk"))
    for count in (1, 3)
    for one in entrants(CPU, torch.float32, count)
]


def errors(one: Entrant, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    return errors_of(one, SHAPE, dtype, CPU)


@pytest.mark.parametrize("one", EVERYONE)
def test_all_agree_with_the_oracle(one: Entrant, fake_kernel: None) -> None:
    if one.absent and "mamba-ssm" not in one.name:
        pytest.skip(one.absent)
    found = errors(one)
    assert found["y"] < 1e-6 and found["gradients"] < 1e-5


@pytest.mark.parametrize("name", ["chunked", "mambapy pscan", "step loop", "mamba-ssm"])
def test_half_precision_too(name: str, fake_kernel: None) -> None:
    one = next(e for e in entrants(CPU, torch.bfloat16, 1) if e.name == name)
    if name == "mambapy pscan" and one.absent:
        pytest.skip(one.absent)
    assert 1e-5 < errors(one, torch.bfloat16)["y"] < 1e-2


def test_the_best_path_is_also_turned() -> None:
    names = [one.name for one in entrants(CPU, torch.float32, 1)]
    assert names[1:3] == [f"{names[0]} reverse", f"{names[0]} interslice"]
    assert names[0] == next(one.name for one in entrants(CPU, torch.float32, 1) if not one.absent)


def test_a_missing_peer_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mambapy" else real(name))
    absent = {one.name: one.absent for one in entrants(CPU, torch.float32, 1)}
    assert absent["mambapy pscan"] == "not installed: pip install 'medmamba[bench]'"
    assert absent["mamba-ssm"] == "CUDA only"


def test_other_numbers_of_directions_are_refused() -> None:
    with pytest.raises(ConfigError, match="not in 2"):
        entrants(CPU, torch.float32, 2)


def test_a_forced_path_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.VARIABLE, "chunked")
    with module.forced("reference"):
        assert module.os.environ[module.VARIABLE] == "reference"
    assert module.os.environ[module.VARIABLE] == "chunked"
    monkeypatch.delenv(module.VARIABLE)
    with module.forced("reference"):
        pass
    assert module.VARIABLE not in module.os.environ
