"""The selective scan in plain torch, fast enough to train with and linear in memory: the path that always works.

The sequence is cut into K lanes that run side by side, so that one torch call per step does work on K * N * D numbers.
With more than one lane a first pass finds each lane's end state from a zero start, the lanes are composed one after the
other, and a second pass runs all lanes from their true start (the two-pass form; no division by a running decay, which
would lose all accuracy). Inputs are laid out as (T, M, F) with M = B * K lanes of T steps, states as (M, N, D): what
one step needs is contiguous, and the channels, the longest axis, run fastest.

The backward is written out in closed form. The forward keeps the state at every `BLOCK`-th step of a lane; the backward
walks the blocks from the last to the first and derives the states inside a block again.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .orders import from_scan_order, to_scan_order
from .reference import state_dtype

BLOCK = 32  # steps between two kept states
_LANE_TARGET = 2**17  # numbers per step that keep torch busy and still fit the cache
_LANE_ENOUGH = 2**13  # with that many per step already, a second pass costs more than it gains


@dataclass(frozen=True)
class ScanInputs:
    """The arguments of one scan call, as `selective_scan` takes them."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    delta_softplus: bool
    direction: str
    nslices: int | None


def lanes(batch: int, length: int, channels: int, states: int) -> tuple[int, int]:
    """(K, T): how many lanes run side by side and how many steps each has; K * T >= length."""
    width = batch * channels * states
    count = 1 if width > _LANE_ENOUGH else min(_LANE_TARGET // width, length // (2 * BLOCK))
    count = max(count, 1)
    return count, -(-length // count)


def checkpoint_shape(batch: int, length: int, channels: int, states: int) -> tuple[int, int, int, int]:
    """Shape (blocks, M, N, D) of the states that the forward keeps for the backward."""
    count, steps = lanes(batch, length, channels, states)
    return -(-steps // BLOCK), batch * count, states, channels


class _Lanes:
    """The inputs of a scan in scan order and working type, cut into lanes."""

    def __init__(self, s: ScanInputs) -> None:
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
        return to_scan_order(x.to(self.work), self.inputs.direction, self.inputs.nslices)

    def positions(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, L, F) in scan order -> in positions and `dtype`."""
        return from_scan_order(x, self.inputs.direction, self.inputs.nslices).to(dtype).contiguous()

    def cut(self, x: Tensor) -> Tensor:
        """(B, L, F) -> (T, M, F); steps past the end are zero, which leaves a state as it is."""
        missing = self.count * self.steps - self.length
        if missing:
            x = F.pad(x, (0, 0, 0, missing))
        return x.reshape(self.batch * self.count, self.steps, x.shape[-1]).transpose(0, 1).contiguous()

    def join(self, x: Tensor) -> Tensor:
        """(T, M, F) -> (B, L, F)."""
        return x.transpose(0, 1).reshape(self.batch, -1, x.shape[-1])[:, : self.length]

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


def _add_outer(state: Tensor, rows: Tensor, columns: Tensor) -> None:
    """state[n, d] += rows[n] columns[d] for (M, N), (M, D)."""
    state.addcmul_(rows[:, :, None], columns[:, None])


def _over_states(row: Tensor, state: Tensor, out: Tensor) -> None:
    """sum_n row[n] state[n, d]: (M, N) and (M, N, D) into (M, D)."""
    torch.bmm(row[:, None], state, out=out[:, None])


def _over_channels(state: Tensor, row: Tensor, work: Tensor, out: Tensor) -> None:
    """sum_d state[n, d] row[d]: (M, N, D) and (M, D) into (M, N); faster here than a thin matrix product."""
    torch.sum(torch.mul(state, row[:, None], out=work), 2, out=out)


def _start_states(lane: _Lanes) -> Tensor:
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


def forward(s: ScanInputs, keep_states: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (y (B, L, D) in u's type, last state (B, D, N), kept states or an empty tensor)."""
    lane = _Lanes(s)
    h, a = _start_states(lane), lane.state()
    shape = checkpoint_shape(lane.batch, lane.length, lane.channels, s.A.shape[1])
    kept = h.new_empty(shape if keep_states else (0,))
    scanned = torch.empty_like(lane.d)
    for t in range(lane.steps):
        if keep_states and t % BLOCK == 0:
            kept[t // BLOCK] = h
        _add_outer(h.mul_(lane.decay(t, a)), lane.B[t], lane.du[t])
        _over_states(lane.C[t], h, scanned[t])
    y = lane.join(scanned)
    if s.D is not None:
        y = y + s.D.to(lane.work) * lane.u
    if s.z is not None:
        y = y * F.silu(lane.ordered(s.z))
    return lane.positions(y, s.u.dtype), lane.by_lane(h)[:, -1].transpose(1, 2).contiguous(), kept


def _end_gradients(lane: _Lanes, g0: Tensor) -> Tensor:
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

    def __init__(self, lane: _Lanes) -> None:
        self.scanned = torch.empty_like(lane.d)  # sum_n h C, the output before skip and gate
        self.into_input = torch.empty_like(lane.d)  # S = sum_n G B
        self.into_decay = torch.empty_like(lane.d)  # sum_n q A
        self.dB, self.dC = torch.empty_like(lane.B), torch.empty_like(lane.C)
        self.dA = lane.state()


def _backward_block(lane: _Lanes, g0: Tensor, block: range, h: Tensor, G: Tensor, sums: _Sums, store: Tensor) -> None:
    """Steps of one block: states forward from `h`, then gradients backward; `G` is carried on in place.

    `store` (2, BLOCK, M, N, D) holds each step's decay a and the product a * h of the state before it. The gradient of
    the decay uses this product: the equal difference h - d u B cancels where a is near zero.
    """
    decays, products = store
    work = torch.empty_like(h)
    for i, t in enumerate(block):
        torch.mul(lane.decay(t, decays[i]), h, out=products[i])
        torch.addcmul(products[i], lane.B[t, :, :, None], lane.du[t, :, None], out=h)
        if lane.inputs.z is not None:
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
    lane = _Lanes(s)
    g0 = dy_work = lane.ordered(dy)
    if s.z is not None:
        z = lane.ordered(s.z)
        gate = torch.sigmoid(z)
        g0 = dy_work * z * gate
    g0_lanes = lane.cut(g0)
    G, sums = _end_gradients(lane, g0_lanes), _Sums(lane)
    store = lane.d.new_empty(2, min(BLOCK, lane.steps), *G.shape)
    for b in reversed(range(kept.shape[0])):
        block = range(b * BLOCK, min((b + 1) * BLOCK, lane.steps))
        _backward_block(lane, g0_lanes, block, kept[b].clone(), G, sums, store)

    into_input = lane.join(sums.into_input)
    du = into_input * lane.join(lane.d)
    ddelta = into_input * lane.u + lane.join(sums.into_decay)
    if s.delta_softplus:
        ddelta = ddelta * torch.where(lane.x > 20.0, 1.0, torch.sigmoid(lane.x))
    dD = dz = None
    if s.D is not None:
        du, dD = du + s.D.to(lane.work) * g0, (g0 * lane.u).sum((0, 1)).to(s.D.dtype)
    if s.z is not None:
        scanned = lane.join(sums.scanned)
        if s.D is not None:
            scanned = scanned + s.D.to(lane.work) * lane.u
        dz = lane.positions(dy_work * scanned * gate * (1 + z * (1 - gate)), s.z.dtype)
    return (
        lane.positions(du, s.u.dtype),
        lane.positions(ddelta, s.delta.dtype),
        sums.dA.sum(0).t().to(s.A.dtype).contiguous(),
        lane.positions(lane.join(sums.dB), s.B.dtype),
        lane.positions(lane.join(sums.dC), s.C.dtype),
        dD,
        dz,
        ddelta.sum((0, 1)).to(s.delta_bias.dtype) if s.delta_bias is not None else None,
    )
