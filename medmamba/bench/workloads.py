"""The scans that real networks run, by name, and random tensors of their shapes, laid out as the networks have them."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ConfigError
from ..scan import DIRECTIONS

THREE = DIRECTIONS
"""What SegMamba and Vivim scan: forward, reverse and between slices."""


@dataclass(frozen=True)
class Workload:
    """The shape of one scan layer, one direction."""

    name: str
    batch: int
    channels: int
    """D, the inner width."""
    length: int
    """L, positions."""
    states: int
    """N."""
    slices: int
    """Of the interslice order; divides L."""
    about: str
    three: bool = False
    """Whether its network scans it in three directions."""

    def elements(self) -> int:
        """B * L * D * N, the unit of all rates: one exp and two multiply-adds each in a forward."""
        return self.batch * self.length * self.channels * self.states

    def within(self, elements: int) -> "Workload":
        """The same with L halved until B * L * D * N is no larger than `elements`."""
        length = self.length
        while length > 1 and self.batch * length * self.channels * self.states > elements:
            length //= 2
        return replace(self, length=length, slices=math.gcd(self.slices, length))


WORKLOADS: tuple[Workload, ...] = (
    Workload("gate", 1, 96, 65536, 16, 64, "the shape that the project's CPU targets are stated for"),
    Workload("segmamba-0", 1, 96, 262144, 16, 64, "SegMamba, stage 0 of a 128^3 patch", True),
    Workload("segmamba-1", 1, 192, 32768, 16, 32, "SegMamba, stage 1", True),
    Workload("segmamba-2", 1, 384, 4096, 16, 16, "SegMamba, stage 2", True),
    Workload("segmamba-3", 1, 768, 512, 16, 8, "SegMamba, stage 3", True),
    Workload("umamba-enc-0", 1, 64, 1720320, 16, 40, "U-Mamba Enc, stage 0 of a 40x224x192 patch"),
    Workload("umamba-enc-1", 1, 128, 430080, 16, 40, "U-Mamba Enc, stage 1 (first axis not yet halved)"),
    Workload("lightm-unet-0", 1, 64, 2097152, 16, 128, "LightM-UNet, first level of a 128^3 patch"),
    Workload("lightm-unet-1", 1, 128, 262144, 16, 64, "LightM-UNet, second level"),
    Workload("mambamorph-0", 1, 192, 109824, 16, 44, "MambaMorph, first stage of 176x208x192 in patches of 4"),
    Workload("vivim-0", 1, 128, 20480, 16, 5, "Vivim, stage 0 of five frames at 64x64", True),
    Workload("home-ground", 2, 2048, 2048, 16, 8, "a language model's layer: many channels, short sequence"),
)
DEFAULT = ("gate", "segmamba-0")


def workload(name: str) -> Workload:
    """The workload of that name; ConfigError lists them when there is none."""
    for one in WORKLOADS:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in WORKLOADS)
    raise ConfigError(f"There is no scan workload {name!r}.", f"Choose from: {known}, or all.")


def chosen(names: list[str]) -> tuple[Workload, ...]:
    """The workloads of those names, "all" for every one, the default ones for no name. ConfigError as `workload`."""
    if "all" in names:
        return WORKLOADS
    return tuple(workload(name) for name in names or DEFAULT)


@dataclass(frozen=True)
class ScanCase:
    """Tensors for K directions of a workload, and the gradient of the output."""

    tensors: dict[str, Tensor]
    """The arguments of `directional_scan` by name: u, delta, A, B, C, D, z, delta_bias."""
    dy: Tensor
    """(B, L, D)"""
    directions: tuple[str, ...]
    nslices: int

    def stacked(self) -> dict[str, Tensor]:
        """The tensors as leaves that want gradients, all K directions stacked."""
        return {name: x.detach().requires_grad_() for name, x in self.tensors.items()}

    def single(self, k: int = 0) -> dict[str, Tensor]:
        """Leaves of direction number k alone: u, delta, z (B, L, D), A (D, N), B, C (B, L, N), D, delta_bias (D,)."""
        return {name: (x if name == "z" else x[k]).detach().requires_grad_() for name, x in self.tensors.items()}

    def double(self) -> "ScanCase":
        """The same numbers in float64, for the oracle."""
        return replace(self, tensors={name: x.double() for name, x in self.tensors.items()}, dy=self.dy.double())


def make_case(shape: Workload, directions: tuple[str, ...], dtype: torch.dtype, device: torch.device) -> ScanCase:
    """Random tensors with the strides of a Mamba layer: z is half of a projection's output, B and C are slices of one.

    Step sizes are log-uniform in 0.001 to 0.1 and A is -1 to -N, as a network starts. The same seed every time.
    """
    count, batch, length, channels, states = len(directions), shape.batch, shape.length, shape.channels, shape.states
    source = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        # drawn in float32 on the CPU, so that every type and device gets the same numbers
        return torch.randn(size, generator=source).to(device, dtype)

    low_rank = math.ceil(channels / 32)
    projected = normal(count, batch, length, low_rank + 2 * states)
    step = torch.empty(count, channels).uniform_(math.log(1e-3), math.log(0.1), generator=source).exp()
    rates = torch.arange(1, states + 1, dtype=torch.float32)
    tensors = {
        "u": normal(count, batch, length, channels),
        "delta": normal(count, batch, length, channels).mul_(0.5),
        "A": -rates.repeat(count, channels, 1).to(device),
        "B": projected[..., low_rank : low_rank + states],
        "C": projected[..., low_rank + states :],
        "D": torch.ones(count, channels, device=device),
        "z": normal(batch, length, 2 * channels)[..., channels:],
        "delta_bias": (step + torch.log(-torch.expm1(-step))).to(device),
    }
    return ScanCase(tensors, normal(batch, length, channels), directions, shape.slices)
