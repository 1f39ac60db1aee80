"""The arguments of one scan call as every path takes them: K directions stacked, K = 1 for a plain scan."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .orders import Order


@dataclass(frozen=True)
class ScanInputs:
    r"""K directional scans over the same positions, summed and gated once.

    .. math:: y_p = \mathrm{silu}(z_p) \sum_k (\mathrm{scan}_k(p) + D_k u_{k,p})

    The gate is the same at a position for all directions, so it is applied after the sum. Rows (the last dimension) of
    u, delta, B, C and z lie side by side in memory; the other strides are free, so slices of a projection's output and
    views of a feature map come in without a copy.
    """

    u: Tensor
    """(K, B, L, D) input after convolution and activation."""
    delta: Tensor
    """(K, B, L, D) step size before bias and softplus."""
    A: Tensor
    """(K, D, N) decay, real and negative."""
    B: Tensor
    """(K, B, L, N)"""
    C: Tensor
    """(K, B, L, N)"""
    D: Tensor | None
    """(K, D) skip, added before the gate."""
    z: Tensor | None
    """(B, L, D) gate, shared by all directions."""
    delta_bias: Tensor | None
    """(K, D)"""
    delta_softplus: bool
    orders: tuple[Order, ...]
    """K scan orders."""

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """(K, B, L, D, N)."""
        return (*self.u.shape, self.A.shape[-1])

    def with_dense_rows(self) -> "ScanInputs":
        """The same inputs; a tensor whose last dimension is strided is copied, all others are left as they are."""

        def dense(x: Tensor) -> Tensor:
            return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()

        z = None if self.z is None else dense(self.z)
        return replace(self, u=dense(self.u), delta=dense(self.delta), B=dense(self.B), C=dense(self.C), z=z)


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of the scan's state for inputs of `dtype`: float64 for float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32
