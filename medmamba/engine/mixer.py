"""The Mamba layer for inference: no copy between projection, convolution and scan."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.mixers import SUFFIX, MambaMixer
from ..scan import causal_conv, directional_scan


class InferenceMixer(nn.Module):
    """A `MambaMixer` with its parameters stacked over the directions.

    The convolution reads the x half of ``in_proj``'s output where it lies, the scan reads z, B and C as slices. With
    `folded` the step size has no low-rank detour: ``x_proj`` and ``dt_proj`` become one matrix
    ``[dt_proj x_proj_dt; x_proj_B; x_proj_C]``, multiplied out in float64.
    """

    def __init__(self, mixer: MambaMixer, dtype: torch.dtype, folded: bool) -> None:
        super().__init__()
        self.directions, self.scans = mixer.directions, mixer.scan
        self.states, self.rank = mixer.d_state, mixer.dt_rank
        suffixes = [SUFFIX[direction] for direction in self.directions]

        def parameter(x: Tensor, to: torch.dtype = dtype) -> nn.Parameter:
            return nn.Parameter(x.detach().to(to).contiguous(), requires_grad=False)

        def stacked(pattern: str) -> Tensor:
            return torch.stack([mixer.get_parameter(pattern.format(suffix)) for suffix in suffixes])

        self.in_weight = parameter(mixer.in_proj.weight)
        self.out_weight = parameter(mixer.out_proj.weight.detach() * mixer.scale)
        self.conv_weight = parameter(stacked("conv1d{}.weight")[:, :, 0], torch.float32)
        self.conv_bias = parameter(stacked("conv1d{}.bias"), torch.float32)
        self.step_weight: nn.Parameter | None = None
        if not self.scans:
            return
        x_weight, dt_weight = stacked("x_proj{}.weight"), stacked("dt_proj{}.weight")
        if folded:
            low, rest = x_weight.double().split([self.rank, 2 * self.states], dim=1)
            x_weight = torch.cat([dt_weight.double() @ low, rest], dim=1)
        else:
            self.step_weight = parameter(dt_weight.transpose(1, 2))
        self.x_weight = parameter(x_weight.transpose(1, 2))
        self.step_bias = parameter(stacked("dt_proj{}.bias"), torch.float32)
        logs = [f"A{suffix}_log" for suffix in suffixes]
        self.A = parameter(-torch.exp(torch.stack([mixer.get_parameter(name) for name in logs]).float()), torch.float32)
        self.D = parameter(stacked("D{}"), torch.float32)

    def forward(self, x: Tensor, nslices: int | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        inner, z = F.linear(x.to(self.in_weight.dtype), self.in_weight).chunk(2, dim=-1)
        u = causal_conv(inner, self.conv_weight, self.conv_bias, self.directions, nslices)
        if not self.scans:
            return F.linear(u.sum(0) * F.silu(z), self.out_weight)
        y = directional_scan(
            u, *self._projections(u), D=self.D, z=z, delta_bias=self.step_bias, delta_softplus=True,
            directions=self.directions, nslices=nslices,
        )  # fmt: skip
        return F.linear(y, self.out_weight)

    def _projections(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """delta, A, B, C of all directions from u (K, B, L, E)."""
        projected = torch.bmm(u.flatten(1, 2), self.x_weight).unflatten(1, u.shape[1:3])
        sizes = [projected.shape[-1] - 2 * self.states, self.states, self.states]
        delta, B, C = projected.split(sizes, dim=-1)
        if self.step_weight is not None:
            delta = torch.matmul(delta, self.step_weight[:, None])
        return delta, self.A, B, C
