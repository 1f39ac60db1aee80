"""A sequence cut into lanes that run side by side, for the chunked path.

With one lane a torch call per step works on M * N * D numbers, too few to keep torch busy; with K lanes it works on K
times as many. Inputs are laid out as (T, M, F) with M = B * K lanes of T steps, states as (M, N, D): what one step
needs is contiguous, and the channels, the longest axis, run fastest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .inputs import state_dtype
from .orders import Order

BLOCK = 32  # steps between two kept states
_LANE_TARGET = 2**17  # numbers per step that keep torch busy and still fit the cache
_LANE_ENOUGH = 2**13  # with that many per step already, a second pass costs more than it gains


def lanes(batch: int, length: int, channels: int, states: int) -> tuple[int, int]:
    """(K, T): how many lanes run side by side and how many steps each has; K * T >= length."""
    width = batch * channels * states
    count = 1 if width > _LANE_ENOUGH or width == 0 else min(_LANE_TARGET // width, length // (2 * BLOCK))
    count = max(count, 1)
    return count, -(-length // count)


@dataclass(frozen=True)
class OneScan:
    """One direction of a scan: shapes (B, L, D), (D, N), (B, L, N), (D,) as in `ScanInputs` without its first axis."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    delta_bias: Tensor | None
    delta_softplus: bool
    order: Order


class Lanes:
    """The inputs of one scan in scan order and working type, cut into lanes."""

    def __init__(self, s: OneScan) -> None:
        self.inputs = s
        self.work = state_dtype(s.u.dtype)
        self.batch, self.length, self.channels = s.u.shape
        self.count, self.steps = lanes(self.batch, self.length, self.channels, s.A.shape[1])
        self.A = s.A.to(self.work).t().contiguous()  # (N, D)
        self.u = self.ordered(s.u)
        self.x = self.ordered(s.delta)
        if s.delta_bias is not None:
            self.x = self.x + s.delta_bias.to(self.work)
        d = F.softplus(self.x, threshold=20.0) if s.delta_softplus else self.x
        self.d, self.du = self.cut(d), self.cut(d * self.u)  # (T, M, D)
        self.B, self.C = self.cut(self.ordered(s.B)), self.cut(self.ordered(s.C))  # (T, M, N)

    def ordered(self, x: Tensor) -> Tensor:
        """(B, L, F) in positions -> the same in scan order and working type."""
        return self.inputs.order.to_steps(x.to(self.work))

    def positions(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, L, F) in scan order -> in positions and `dtype`."""
        return self.inputs.order.to_positions(x).to(dtype).contiguous()

    def cut(self, x: Tensor) -> Tensor:
        """(B, L, F) -> (T, M, F); steps past the end are zero, which leaves a state as it is."""
        missing = self.count * self.steps - self.length
        if missing:
            x = F.pad(x, (0, 0, 0, missing))
        return x.reshape(self.batch * self.count, self.steps, x.shape[-1]).transpose(0, 1).contiguous()

    def join(self, x: Tensor) -> Tensor:
        """(T, M, F) -> (B, L, F)."""
        return x.transpose(0, 1).reshape(self.batch, self.count * self.steps, x.shape[-1])[:, : self.length]

    def state(self) -> Tensor:
        """A zero state of every lane (M, N, D)."""
        return self.d.new_zeros(self.batch * self.count, self.A.shape[0], self.channels)

    def by_lane(self, state: Tensor) -> Tensor:
        """(M, N, D) seen as (B, K, N, D)."""
        return state.unflatten(0, (self.batch, self.count))

    def decay(self, t: int, out: Tensor) -> Tensor:
        """exp(d * A) of step t into `out` (M, N, D)."""
        return torch.mul(self.d[t, :, None], self.A, out=out).exp_()

    def lane_decay(self) -> Tensor:
        """exp(A * sum of d) of each lane, the product of its decays, as (B, K, N, D)."""
        return self.by_lane(torch.exp(self.d.sum(0)[:, None] * self.A))
