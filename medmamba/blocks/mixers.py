"""Token mixers: modules (B, L, C) -> (B, L, C) that exchange information along a sequence.

`MambaMixer` is the selective-scan layer; `make_mixer` also offers two twins without a scan, so that what the scan buys
can be measured with everything else equal. Names of parameters are those of the original Mamba code (Gu and Dao,
arXiv 2312.00752) and of the SegMamba and Vivim forks of it, so that their checkpoints load without a mapping.
"""

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from ..scan import causal_conv, directional_scan
from .precision import saturate, widened

MixerKind = Literal["mamba", "conv", "identity"]
MIXERS: tuple[str, ...] = ("mamba", "conv", "identity")

SUFFIX = {"forward": "", "reverse": "_b", "interslice": "_s"}
"""What the original checkpoints append to the names of a direction's parameters."""


class Mixer(nn.Module):
    """Base of all mixers: token shuffling around the mixing itself, which a subclass gives in `mix`.

    `shuffle_probability` > 0 permutes the tokens before the layer and back after it, in training only and with that
    probability for each call; one permutation serves the whole batch (stochastic layer-wise shuffle, Huang et al.,
    arXiv 2408.17081). `set_stochastic_shuffle` sets it for all mixers of a network.
    """

    shuffle_probability: float = 0.0

    def mix(self, x: Tensor, nslices: int | None) -> Tensor:
        """Exchange information between the tokens of `x` (B, L, C)."""
        return x

    def forward(self, x: Tensor, nslices: int | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C); `nslices` is for mixers that also scan between slices."""
        if not (self.training and self.shuffle_probability > 0):
            return self.mix(x, nslices)
        # Without a branch on the drawn number, so that torch.compile sees one graph.
        places = torch.arange(x.shape[1], device=x.device)
        shuffled = torch.rand((), device=x.device) < self.shuffle_probability
        order = torch.where(shuffled, torch.randperm(x.shape[1], device=x.device), places)
        back = torch.argsort(order)
        return self.mix(x.index_select(1, order), nslices).index_select(1, back)


class IdentityMixer(Mixer):
    """The twin without any mixing: tokens pass unchanged."""


class MambaMixer(Mixer):
    r"""Mamba-1 layer in one or more scan directions.

    With x, z the halves of ``in_proj(tokens)``, each direction has its own causal convolution, projections, A and D:

    .. math::
        u = \mathrm{silu}(\mathrm{conv}(x)),\quad (dt, B, C) = \mathrm{x\_proj}(u),\quad
        y = \mathrm{scan}(u, \mathrm{dt\_proj}(dt), -e^{A_{log}}, B, C, D)

    and the layer returns ``out_proj(silu(z) * sum of y)``; z is the same at a token for all directions, so the gate is
    applied once. `combine="mean"` divides the sum by the number of directions (Vivim), "sum" does not (SegMamba).

    Parameters
    ----------
    d_model: channels C of the tokens. d_state: N. d_conv: taps of the convolution. expand: inner width / C.
    dt_rank: rank of the step-size projection, "auto" = ceil(C / 16).
    directions: any of "forward", "reverse", "interslice"; the last needs `nslices` in the call.
    scan: False leaves the scan out and gates the convolution's output: the gated-convolution twin.

    float16 inputs are computed in float32; the scan's state is float32 at least (see `medmamba.scan`).
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | Literal["auto"] = "auto",
        directions: Sequence[str] = ("forward",),
        combine: Literal["sum", "mean"] = "sum",
        scan: bool = True,
    ) -> None:
        super().__init__()
        self.d_inner = expand * d_model
        self.d_state = d_state
        self.dt_rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        self.directions = tuple(directions)
        self.scale = 1 / len(self.directions) if combine == "mean" else 1.0
        self.scan = scan
        if scan:
            for direction in self.directions:
                self._add_state(direction)
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=False)
        for direction in self.directions:
            self._add_direction(SUFFIX[direction], d_conv)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)
        if scan:
            self._init_step_size()

    def _add_state(self, direction: str) -> None:
        """A and D of one direction: A_log = log(1..N), D = 1."""
        log_states = torch.arange(1, self.d_state + 1, dtype=torch.float32).log()
        self.register_parameter(_log_name(direction), nn.Parameter(log_states.repeat(self.d_inner, 1)))
        self.register_parameter(f"D{SUFFIX[direction]}", nn.Parameter(torch.ones(self.d_inner)))

    def _add_direction(self, suffix: str, d_conv: int) -> None:
        """Convolution and projections of one direction."""
        conv = nn.Conv1d(self.d_inner, self.d_inner, d_conv, groups=self.d_inner)
        self.add_module(f"conv1d{suffix}", conv)
        if self.scan:
            self.add_module(f"x_proj{suffix}", nn.Linear(self.d_inner, self.dt_rank + 2 * self.d_state, bias=False))
            self.add_module(f"dt_proj{suffix}", nn.Linear(self.dt_rank, self.d_inner))

    def _linear(self, name: str) -> nn.Linear:
        return cast(nn.Linear, getattr(self, name))

    def _init_step_size(self, low: float = 1e-3, high: float = 0.1) -> None:
        """Step sizes log-uniform in [low, high] at the start. Only the forward direction, as in the SegMamba fork."""
        dt_proj = self._linear(f"dt_proj{SUFFIX[self.directions[0]]}")
        nn.init.uniform_(dt_proj.weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
        step = torch.empty(self.d_inner).uniform_(math.log(low), math.log(high)).exp().clamp(min=1e-4)
        with torch.no_grad():
            dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))  # inverse of softplus

    def mix(self, x: Tensor, nslices: int | None) -> Tensor:
        """All directions, gated once and projected."""
        with widened(x) as x:
            inner, z = self.in_proj(x).chunk(2, dim=-1)
            u = self._convolve(inner, nslices)  # (K, B, L, E)
            mixed = self._scan(u, z, nslices) if self.scan else u.sum(0) * F.silu(z)
            out = F.linear(mixed, self.out_proj.weight * self.scale)
        return saturate(out)

    def _stacked(self, name: str) -> Tensor:
        """A parameter of all directions, e.g. "x_proj.weight" of the modules x_proj, x_proj_b, x_proj_s."""
        module, _, attribute = name.partition(".")
        return torch.stack(
            [getattr(getattr(self, module + SUFFIX[direction]), attribute) for direction in self.directions]
        )

    def _convolve(self, inner: Tensor, nslices: int | None) -> Tensor:
        """The causal convolutions with SiLU, (B, L, E) -> (K, B, L, E)."""
        weight, bias = self._stacked("conv1d.weight")[:, :, 0], self._stacked("conv1d.bias")
        return causal_conv(inner, weight, bias, self.directions, nslices)

    def _scan(self, u: Tensor, z: Tensor, nslices: int | None) -> Tensor:
        """Projections and scans of all directions, summed and gated, (K, B, L, E) -> (B, L, E)."""
        _, batch, length, _ = u.shape
        flat = u.flatten(1, 2)  # (K, B L, E): the projections of all directions are one batched product
        projected = torch.bmm(flat, self._stacked("x_proj.weight").mT)
        low, B, C = projected.split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        delta = torch.bmm(low, self._stacked("dt_proj.weight").mT)

        def tokens(x: Tensor) -> Tensor:
            return x.unflatten(1, (batch, length))

        A = torch.stack([-torch.exp(self.get_parameter(_log_name(direction))) for direction in self.directions])
        D = torch.stack([self.get_parameter(f"D{SUFFIX[direction]}") for direction in self.directions])
        return directional_scan(
            u.to(delta.dtype), tokens(delta), A, tokens(B), tokens(C), D, z, self._stacked("dt_proj.bias"),
            True, self.directions, nslices,
        )  # fmt: skip


def _log_name(direction: str) -> str:
    """What the original checkpoints call log(-A) of a direction: A_log, A_b_log, A_s_log."""
    label = SUFFIX[direction].removeprefix("_")
    return f"A_{label}_log" if label else "A_log"


def make_mixer(kind: str, d_model: int, **options: object) -> Mixer:
    """A mixer of `kind`: "mamba", "conv" (the same layer with the scan left out) or "identity" (no mixing at all).

    `options` are those of `MambaMixer`. Raises ConfigError for another kind.
    """
    if kind == "identity":
        return IdentityMixer()
    if kind in MIXERS:
        return MambaMixer(d_model, scan=kind == "mamba", **options)  # type: ignore[arg-type]
    raise ConfigError(f"Unknown mixer {kind!r}.", f"Use one of {', '.join(MIXERS)}.")


def set_stochastic_shuffle(network: nn.Module, probability: float) -> None:
    """Give mixer number l of the L mixers in `network` the shuffle probability `probability` * l / L.

    Raises ConfigError for a probability outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise ConfigError(f"stochastic_shuffle is a probability, got {probability}.", "Choose a number from 0 to 1.")
    layers = [m for m in network.modules() if isinstance(m, Mixer)]
    for number, layer in enumerate(layers, start=1):
        layer.shuffle_probability = probability * number / len(layers)
