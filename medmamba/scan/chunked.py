"""The selective scan in plain torch, fast enough to train with and linear in memory: the path that always works.

The sequence is cut into lanes (see `lanes`). With more than one lane a first pass finds each lane's end state from a
zero start, the lanes are composed one after the other, and a second pass runs all lanes from their true start (the
two-pass form; no division by a running decay, which would lose all accuracy).

The backward is written out in closed form. The forward keeps the state at every `BLOCK`-th step of a lane; the backward
walks the blocks from the last to the first and derives the states inside a block again.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .inputs import ScanInputs, state_dtype
from .lanes import BLOCK, Lanes, OneScan, lanes


def usable(device: torch.device, dtype: torch.dtype) -> str:
    """Always: every device and floating type."""
    return ""


def checkpoint_shape(directions: int, batch: int, length: int, channels: int, states: int) -> tuple[int, ...]:
    """Shape (directions, blocks, M, N, D) of the states that the forward keeps for the backward."""
    count, steps = lanes(batch, length, channels, states)
    return directions, -(-steps // BLOCK), batch * count, states, channels


def _add_outer(state: Tensor, rows: Tensor, columns: Tensor) -> None:
    """state[n, d] += rows[n] columns[d] for (M, N), (M, D)."""
    state.addcmul_(rows[:, :, None], columns[:, None])


def _over_states(row: Tensor, state: Tensor, out: Tensor) -> None:
    """sum_n row[n] state[n, d]: (M, N) and (M, N, D) into (M, D)."""
    torch.bmm(row[:, None], state, out=out[:, None])


def _over_channels(state: Tensor, row: Tensor, work: Tensor, out: Tensor) -> None:
    """sum_d state[n, d] row[d]: (M, N, D) and (M, D) into (M, N); faster here than a thin matrix product."""
    torch.sum(torch.mul(state, row[:, None], out=work), 2, out=out)


def _start_states(lane: Lanes) -> Tensor:
    """The state before the first step of every lane."""
    start = lane.state()
    if lane.count == 1:
        return start
    end, a = lane.state(), lane.state()
    for t in range(lane.steps):
        _add_outer(end.mul_(lane.decay(t, a)), lane.B[t], lane.du[t])
    decay, ends, starts = lane.lane_decay(), lane.by_lane(end), lane.by_lane(start)
    for k in range(1, lane.count):
        starts[:, k] = decay[:, k - 1] * starts[:, k - 1] + ends[:, k - 1]
    return start


def _one(s: ScanInputs, k: int) -> OneScan:
    """Direction number k of the stacked inputs."""
    D = None if s.D is None else s.D[k]
    bias = None if s.delta_bias is None else s.delta_bias[k]
    return OneScan(s.u[k], s.delta[k], s.A[k], s.B[k], s.C[k], D, bias, s.delta_softplus, s.orders[k])


def forward(s: ScanInputs, keep_states: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (y (B, L, D) in u's type, last states (K, B, D, N), kept states or an empty tensor)."""
    work = state_dtype(s.u.dtype)
    shape = checkpoint_shape(*s.sizes)
    kept = s.u.new_empty(shape if keep_states else (0,), dtype=work)
    total, ends = s.u.new_zeros(s.u.shape[1:], dtype=work), []
    for k in range(len(s.orders)):
        y, last = _scan(Lanes(_one(s, k)), kept[k] if keep_states else None)
        total += y
        ends.append(last)
    if s.z is not None:
        total = total * F.silu(s.z.to(work))
    return total.to(s.u.dtype).contiguous(), torch.stack(ends), kept


def _scan(lane: Lanes, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """One direction: (output before the gate (B, L, D), last state (B, D, N)); fills `kept` when it is given."""
    h, a = _start_states(lane), lane.state()
    scanned = torch.empty_like(lane.d)
    for t in range(lane.steps):
        if kept is not None and t % BLOCK == 0:
            kept[t // BLOCK] = h
        _add_outer(h.mul_(lane.decay(t, a)), lane.B[t], lane.du[t])
        _over_states(lane.C[t], h, scanned[t])
    y = lane.join(scanned)
    if lane.inputs.D is not None:
        y = y + lane.inputs.D.to(lane.work) * lane.u
    return lane.inputs.order.to_positions(y), lane.by_lane(h)[:, -1].transpose(1, 2)


def _end_gradients(lane: Lanes, g0: Tensor) -> Tensor:
    """What flows back into every lane's last state from the lanes after it (M, N, D)."""
    end = lane.state()
    if lane.count == 1:
        return end
    own, a = lane.state(), lane.state()
    for t in reversed(range(lane.steps)):
        _add_outer(own, lane.C[t], g0[t])
        own.mul_(lane.decay(t, a))
    decay, owns, ends = lane.lane_decay(), lane.by_lane(own), lane.by_lane(end)
    for k in reversed(range(lane.count - 1)):
        ends[:, k] = decay[:, k + 1] * ends[:, k + 1] + owns[:, k + 1]
    return end


class _Sums:
    """What the backward collects step by step, in lanes and in the working type."""

    def __init__(self, lane: Lanes, gated: bool) -> None:
        self.scanned = torch.empty_like(lane.d) if gated else None  # sum_n h C, the output before skip and gate
        self.into_input = torch.empty_like(lane.d)  # S = sum_n G B
        self.into_decay = torch.empty_like(lane.d)  # sum_n q A
        self.dB, self.dC = torch.empty_like(lane.B), torch.empty_like(lane.C)
        self.dA = lane.state()


def _backward_block(lane: Lanes, g0: Tensor, block: range, h: Tensor, G: Tensor, sums: _Sums, store: Tensor) -> None:
    """Steps of one block: states forward from `h`, then gradients backward; `G` is carried on in place.

    `store` (2, BLOCK, M, N, D) holds each step's decay a and the product a * h of the state before it. The gradient of
    the decay uses this product: the equal difference h - d u B cancels where a is near zero.
    """
    decays, products = store
    work = torch.empty_like(h)
    for i, t in enumerate(block):
        torch.mul(lane.decay(t, decays[i]), h, out=products[i])
        torch.addcmul(products[i], lane.B[t, :, :, None], lane.du[t, :, None], out=h)
        if sums.scanned is not None:
            _over_states(lane.C[t], h, sums.scanned[t])
        _over_channels(h, g0[t], work, sums.dC[t])
    for i, t in reversed(list(enumerate(block))):
        _add_outer(G, lane.C[t], g0[t])
        _over_channels(G, lane.du[t], work, sums.dB[t])
        _over_states(lane.B[t], G, sums.into_input[t])
        q = products[i].mul_(G)
        sums.dA.addcmul_(q, lane.d[t, :, None])
        torch.sum(torch.mul(q, lane.A, out=work), 1, out=sums.into_decay[t])
        G.mul_(decays[i])


def backward(s: ScanInputs, kept: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of (u, delta, A, B, C, D, z, delta_bias) for `dy` (B, L, D); None for arguments that are None."""
    work = state_dtype(s.u.dtype)
    g0 = dy = dy.to(work)
    if s.z is not None:
        z = s.z.to(work)
        gate = torch.sigmoid(z)
        g0 = dy * z * gate
    parts = [_gradients(Lanes(_one(s, k)), kept[k], g0, s.z is not None) for k in range(len(s.orders))]
    du, ddelta, dA, dB, dC, dD, dbias = (_stack(gradients) for gradients in zip(*(p[:-1] for p in parts), strict=True))
    dz = None
    if s.z is not None:
        ungated = torch.stack([part[-1] for part in parts if part[-1] is not None]).sum(0)
        dz = (dy * ungated * gate * (1 + z * (1 - gate))).to(s.z.dtype)
    return du, ddelta, dA, dB, dC, dD, dz, dbias


def _stack(gradients: tuple[Tensor | None, ...]) -> Tensor | None:
    return None if gradients[0] is None else torch.stack([g for g in gradients if g is not None])


def _gradients(lane: Lanes, kept: Tensor, g0: Tensor, gated: bool) -> list[Tensor | None]:
    """Gradients of one direction's (u, delta, A, B, C, D, delta_bias), and its output before the gate if `gated`.

    `g0` (B, L, D) is the gradient of the sum over directions, in positions.
    """
    s = lane.inputs
    g0 = lane.ordered(g0)
    g0_lanes = lane.cut(g0)
    G, sums = _end_gradients(lane, g0_lanes), _Sums(lane, gated)
    store = lane.d.new_empty(2, min(BLOCK, lane.steps), *G.shape)
    for b in reversed(range(kept.shape[0])):
        block = range(b * BLOCK, min((b + 1) * BLOCK, lane.steps))
        _backward_block(lane, g0_lanes, block, kept[b].clone(), G, sums, store)

    into_input = lane.join(sums.into_input)
    du = into_input * lane.join(lane.d)
    ddelta = into_input * lane.u + lane.join(sums.into_decay)
    if s.delta_softplus:
        ddelta = ddelta * torch.where(lane.x > 20.0, 1.0, torch.sigmoid(lane.x))
    scanned = lane.join(sums.scanned) if sums.scanned is not None else None
    dD = None
    if s.D is not None:
        D = s.D.to(lane.work)
        du, dD = du + D * g0, (g0 * lane.u).sum((0, 1)).to(s.D.dtype)
        scanned = scanned + D * lane.u if scanned is not None else None
    return [
        lane.positions(du, s.u.dtype),
        lane.positions(ddelta, s.delta.dtype),
        sums.dA.sum(0).t().to(s.A.dtype),
        lane.positions(lane.join(sums.dB), s.B.dtype),
        lane.positions(lane.join(sums.dC), s.C.dtype),
        dD,
        ddelta.sum((0, 1)).to(s.delta_bias.dtype) if s.delta_bias is not None else None,
        s.order.to_positions(scanned) if scanned is not None else None,
    ]
