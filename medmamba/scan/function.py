"""The public call: checks its arguments, asks the dispatcher for a path and runs it."""

import torch
from torch import Tensor

from ..errors import ConfigError
from . import dispatch
from .op import scan_op
from .orders import check_order
from .reference import selective_scan_reference


def _check(name: str, x: Tensor | None, shape: tuple[int, ...]) -> None:
    if x is not None and tuple(x.shape) != shape:
        raise ConfigError(f"selective_scan: {name} has shape {tuple(x.shape)}, expected {shape}.")


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    direction: str = "forward",
    nslices: int | None = None,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Selective scan of Mamba-1 (Gu and Dao, arXiv 2312.00752), channel-last.

    With p the position of step i, :math:`d = \mathrm{softplus}(\delta_p + \mathrm{bias})` (or without softplus):

    .. math::
        h_i = e^{d A} h_{i-1} + d\,u_p B_p, \quad y_p = (\langle C_p, h_i\rangle + D u_p)\,\mathrm{silu}(z_p)

    Parameters
    ----------
    u, delta: (B, L, D) input and step size before bias and softplus; float64, float32, bfloat16 or float16.
    A: (D, N), real and negative. B, C: (B, L, N), shared by all channels.
    D: (D,) skip, added before the gate. z: (B, L, D) gate. delta_bias: (D,).
    delta_softplus: apply softplus to the step size (identity above 20).
    direction: "forward", "reverse" or "interslice" (then `nslices` must divide L), see `medmamba.scan.orders`.
    return_last_state: also return the state after the last step (B, D, N), which is not differentiated.

    Returns y (B, L, D) in u's type. The state is float32 (float64 for float64 inputs), whatever the input type.

    Raises ConfigError for shapes, a direction or a slice count that do not fit.
    """
    batch, length, channels = u.shape
    states = A.shape[-1]
    check_order(direction, nslices, length)
    for name, x, shape in (
        ("delta", delta, (batch, length, channels)),
        ("A", A, (channels, states)),
        ("B", B, (batch, length, states)),
        ("C", C, (batch, length, states)),
        ("D", D, (channels,)),
        ("z", z, (batch, length, channels)),
        ("delta_bias", delta_bias, (channels,)),
    ):
        _check(name, x, shape)
    path = dispatch.choose(u.device, u.dtype).name
    if path == dispatch.REFERENCE:
        y, last = selective_scan_reference(u, delta, A, B, C, D, z, delta_bias, delta_softplus, direction, nslices)
        return (y, last.detach()) if return_last_state else y
    keep = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (u, delta, A, B, C, D, z, delta_bias)
    )
    y, last, _ = scan_op(u, delta, A, B, C, D, z, delta_bias, delta_softplus, direction, nslices, path, keep)
    return (y, last) if return_last_state else y
