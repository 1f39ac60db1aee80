"""The public calls: they check their arguments, ask the dispatcher for a path and run it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from . import dispatch
from .inputs import ScanInputs, check_tensors, no_forward_mode, state_dtype
from .op import scan_op
from .orders import orders_of
from .reference import selective_scan_reference


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

    Raises ConfigError for shapes, types, devices, a direction or a slice count that do not fit.
    """

    def one(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[None]

    y, last = _scan(
        u[None], delta[None], A[None], B[None], C[None], one(D), z, one(delta_bias), delta_softplus,
        [direction], nslices,
    )  # fmt: skip
    return (y, last[0]) if return_last_state else y


def directional_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    directions: Sequence[str] = ("forward",),
    nslices: int | None = None,
) -> Tensor:
    r"""K scans over the same positions in K directions, summed and gated once; nothing is flipped or permuted.

    .. math:: y_p = \mathrm{silu}(z_p) \sum_k (\mathrm{scan}_k(p) + D_k u_{k,p})

    which equals the sum of K gated scans, because the gate of a position does not depend on the direction.

    Parameters
    ----------
    u, delta: (K, B, L, D). A: (K, D, N). B, C: (K, B, L, N). D, delta_bias: (K, D). All at positions, not in scan
    order: each direction finds its steps by address. z: (B, L, D). directions: K names, see `selective_scan`.

    Returns y (B, L, D). Raises ConfigError for shapes, a direction or a slice count that do not fit.
    """
    return _scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, directions, nslices)[0]


def _check_shapes(u: Tensor, A: Tensor, directions: int, tensors: dict[str, Tensor | None]) -> None:
    """ConfigError unless every tensor has the shape that u and A ask for; the direction axis of one is left out."""
    if u.dim() != 4 or u.shape[0] != directions:
        raise ConfigError(f"A scan of {directions} directions needs u of shape ({directions}, B, L, D).")
    count, batch, length, channels = u.shape
    states = A.shape[-1] if A.dim() else 0
    expected = {
        "delta": (count, batch, length, channels),
        "A": (count, channels, states),
        "B": (count, batch, length, states),
        "C": (count, batch, length, states),
        "D": (count, channels),
        "z": (batch, length, channels),
        "delta_bias": (count, channels),
    }
    for name, x in {"A": A, **tensors}.items():
        if x is not None and tuple(x.shape) != expected[name]:
            skip = int(count == 1 and name != "z")
            got, wanted = tuple(x.shape)[skip:], expected[name][skip:]
            raise ConfigError(f"selective_scan: {name} has shape {got}, expected {wanted}.")


def _scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    directions: Sequence[str],
    nslices: int | None,
) -> tuple[Tensor, Tensor]:
    """(y (B, L, D), last states (K, B, D, N)) by the best path."""
    others = {"delta": delta, "B": B, "C": C, "D": D, "z": z, "delta_bias": delta_bias}
    _check_shapes(u, A, len(directions), others)
    check_tensors("selective_scan", {"u": u, "A": A, **others})
    orders = orders_of(directions, nslices, u.shape[2])
    work = state_dtype(u.dtype)
    # Autocast hands over mixed types (a float32 u beside a bfloat16 delta): tensors follow u, parameters the state.
    delta, B, C = (x.to(u.dtype) for x in (delta, B, C))
    A = A.to(work)
    D, delta_bias = (None if x is None else x.to(work) for x in (D, delta_bias))
    z = None if z is None else z.to(u.dtype)
    path = dispatch.path_name(u.device, u.dtype)
    if path == dispatch.REFERENCE:
        return _reference(ScanInputs(u, delta, A, B, C, D, z, delta_bias, delta_softplus, orders))
    dispatch.warn_if_slow(path, u.device, u.numel() * A.shape[-1])
    tensors = (u, delta, A, B, C, D, z, delta_bias)
    no_forward_mode("selective_scan", *tensors)
    if dispatch.wants_numbers_only():
        inputs = ScanInputs(u, delta, A, B, C, D, z, delta_bias, delta_softplus, orders)
        with torch.profiler.record_function("medmamba::selective_scan"):  # by this name a profile shows it
            return dispatch.by_name(path).forward(inputs, False)[:2]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    y, last, _ = scan_op(*tensors, delta_softplus, [order.code for order in orders], path, keep)
    return y, last


def _reference(s: ScanInputs) -> tuple[Tensor, Tensor]:
    """The oracle, direction by direction."""
    work = state_dtype(s.u.dtype)
    total, ends = torch.zeros_like(s.u[0], dtype=work), []
    for k, order in enumerate(s.orders):
        D, bias = (None if x is None else x[k] for x in (s.D, s.delta_bias))
        y, last = selective_scan_reference(
            s.u[k].to(work), s.delta[k], s.A[k], s.B[k], s.C[k], D, None, bias, s.delta_softplus, order
        )
        total = total + y
        ends.append(last.detach())
    if s.z is not None:
        total = total * F.silu(s.z.to(work))
    return total.to(s.u.dtype), torch.stack(ends)
