"""Every path that can run here against the oracle in float64, on random shapes, strides, directions and types."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medmamba.scan import directional_scan, selective_scan_reference
from medmamba.scan.dispatch import PATHS
from medmamba.scan.orders import order_of

CPU = torch.device("cpu")
NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
TOLERANCE = {torch.float32: (2e-6, 1e-5), torch.bfloat16: (1e-2, 2e-2)}
"""Of the output and of the gradients, relative to the norm."""


@dataclass(frozen=True)
class Case:
    """One random call."""

    batch: int
    slices: int
    per_slice: int
    channels: int
    states: int
    directions: tuple[str, ...]
    optional: tuple[bool, bool, bool]
    softplus: bool
    seed: int

    def tensors(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """The arguments; B, C and z are slices of wider tensors, values are exact in `dtype`."""
        g = torch.Generator().manual_seed(self.seed)
        length, count = self.slices * self.per_slice, len(self.directions)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=g).to(dtype)

        rows = (count, self.batch, length)
        wide = draw(*rows, 2 * self.states + 3)
        found = {
            "u": draw(*rows, self.channels),
            "delta": draw(*rows, self.channels) * 0.5 - 1,
            "A": -torch.rand(count, self.channels, self.states, generator=g) * 4,
            "B": wide[..., 3 : 3 + self.states],
            "C": wide[..., 3 + self.states :],
        }
        if not self.softplus:
            found["delta"] = found["delta"].abs()
        skip, gate, bias = self.optional
        if skip:
            found["D"] = torch.randn(count, self.channels, generator=g)
        if gate:
            found["z"] = draw(self.batch, length, 2 * self.channels)[..., self.channels :]
        if bias:
            found["delta_bias"] = torch.randn(count, self.channels, generator=g).abs() * 0.1
        return found


cases = st.builds(
    Case,
    batch=st.integers(1, 2),
    slices=st.integers(1, 4),
    per_slice=st.integers(1, 25),
    channels=st.integers(1, 37),
    states=st.integers(1, 64),
    directions=st.lists(st.sampled_from(["forward", "reverse", "interslice"]), min_size=1, max_size=3).map(tuple),
    optional=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    softplus=st.booleans(),
    seed=st.integers(0, 2**16),
)


def wanted(case: Case, tensors: dict[str, torch.Tensor], dy: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output and gradients by the oracle in float64."""
    t = {k: v.double().detach().requires_grad_() for k, v in tensors.items()}
    total = torch.zeros_like(dy, dtype=torch.float64)
    for k, direction in enumerate(case.directions):
        one = {n: t[n][k] for n in t if n != "z"}
        order = order_of(direction, case.slices, dy.shape[1])
        total = total + selective_scan_reference(**one, delta_softplus=case.softplus, order=order)[0]
    if "z" in t:
        total = total * torch.nn.functional.silu(t["z"])
    total.backward(dy.double())
    return {"y": total.detach()} | {n: x.grad for n, x in t.items()}


def got(case: Case, tensors: dict[str, torch.Tensor], dy: torch.Tensor, path: str) -> dict[str, torch.Tensor]:
    """The same by one path."""
    t = {k: v.detach().requires_grad_() for k, v in tensors.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDMAMBA_SCAN", path)
        y = directional_scan(**t, delta_softplus=case.softplus, directions=case.directions, nslices=case.slices)
        y.backward(dy)
    return {"y": y.detach()} | {n: x.grad for n, x in t.items()}


def compare(path: str, dtype: torch.dtype, case: Case) -> None:
    tensors = case.tensors(dtype)
    dy = torch.randn(tensors["u"].shape[1:], generator=torch.Generator().manual_seed(case.seed + 1)).to(dtype)
    oracle, found = wanted(case, tensors, dy), got(case, tensors, dy, path)
    of_y, of_gradients = TOLERANCE[dtype]
    for name, value in found.items():
        error = (value.double() - oracle[name]).norm()
        # sums of terms about as large as 1, which may cancel: their rounding is that of the terms
        size = max(float(oracle[name].norm()), 0.1 * value.numel() ** 0.5)
        assert error <= size * (of_y if name == "y" else of_gradients), f"{name}: {float(error / size):.1e}"
    again = got(case, tensors, dy, path)
    assert all(torch.equal(again[name], found[name]) for name in found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("path", [p.name for p in PATHS if not p.only_when_asked])
def test_any_call_equals_the_oracle_and_itself(path, dtype):
    usable = next(p for p in PATHS if p.name == path).usable(CPU, dtype)
    if usable:
        pytest.skip(usable)
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(max_examples={"cpu": 60, "chunked": 15}.get(path, 5), deadline=None, suppress_health_check=quiet)
    @given(cases)
    def any_call(case: Case) -> None:
        compare(path, dtype, case)

    any_call()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["u", "delta", "B"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "interslice"])
@pytest.mark.parametrize("path", [p.name for p in PATHS if not p.only_when_asked])
def test_bad_values_spread_forwards_only(path, direction, name, bad):
    usable = next(p for p in PATHS if p.name == path).usable(CPU, torch.float32)
    if usable:
        pytest.skip(usable)
    case = Case(1, 4, 12, 9, 8, (direction,), (True, True, True), True, 7)
    tensors = case.tensors(torch.float32)
    tensors[name][0, 0, 20] = bad
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDMAMBA_SCAN", path)
        y = directional_scan(**tensors, delta_softplus=True, directions=case.directions, nslices=4)
    order = order_of(direction, 4, 48)
    steps = order.to_steps(y)[0].isfinite().all(-1)
    hit = int(order.to_steps(torch.arange(48)[None])[0].eq(20).nonzero())
    assert steps[:hit].all()
    assert not steps[hit]
