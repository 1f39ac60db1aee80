"""The arguments of one scan call as every path takes them: K directions stacked, K = 1 for a plain scan."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..errors import ConfigError
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


def check_tensors(call: str, tensors: dict[str, Tensor | None]) -> None:
    """ConfigError unless all tensors are real and lie where the first lies, which is of a floating type."""
    first, x = next((name, x) for name, x in tensors.items() if x is not None)
    if not x.is_floating_point():
        problem = f"{call}: {first} has type {x.dtype}, expected a floating type."
        raise ConfigError(problem.replace("torch.", ""), "Use float32, float64, bfloat16 or float16.")
    for name, other in tensors.items():
        if other is None:
            continue
        if other.device != x.device:
            raise ConfigError(f"{call}: {name} is on {other.device}, {first} on {x.device}.", "Move one of them.")
        if other.is_complex():
            raise ConfigError(f"{call}: {name} is complex.", "Pass real numbers.")


def no_forward_mode(call: str, *tensors: Tensor | None) -> None:
    """ConfigError for a tensor with a forward-mode tangent, which an operator would drop without a word."""
    if torch.compiler.is_compiling():
        return
    if any(x is not None and forward_ad.unpack_dual(x).tangent is not None for x in tensors):
        raise ConfigError(f"{call} has no forward-mode derivative.", "Use backward().")


def no_second_derivative(call: str) -> Callable[..., None]:
    """The backward of a gradient's operator: ConfigError."""

    def backward(*_: object) -> None:
        raise ConfigError(f"{call} has no second derivative.", "With MEDMAMBA_SCAN=reference it has, slowly.")

    return backward
