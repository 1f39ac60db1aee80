# mypy: ignore-errors
"""The main pass of the backward scan: one program walks one segment of one sequence backwards for a block of channels.

The forward keeps the state at every INTERVAL-th step. A program derives the states in between again, four steps at a
time: from the kept state forward, leaving the state at every fourth step in a small scratch that it alone uses, then
backward over these groups, with the products a h of four steps in registers. The lanes of a warp share states and
channels (N2 = 4 by D2 = 8), so that sums over states and sums over channels both cost few exchanges between lanes; what
is computed per channel is spread over the lanes as rows (D1, 4 steps, D2) and handed round by `pick`.
"""

import triton
import triton.language as tl

from .common import (
    LN2,
    LOG2E,
    first_cell,
    four_cells,
    four_rows,
    load,
    order_of,
    place_of,
    row_tile,
    sigmoid,
    soft,
    state_offsets,
)


@triton.jit
def pick(tile, t, D1: tl.constexpr, N2: tl.constexpr, D2: tl.constexpr):
    """Row t of a row tile (D1, 4, D2) for every lane of a state tile, (1, D1, N2, D2)."""
    return tl.reshape(tl.gather(tile, tl.zeros((D1, N2, D2), tl.int32) + t, 1), (1, D1, N2, D2))


@triton.jit
def by_step(v0, v1, v2, v3):
    """(1, 4, 1) tile of one number per step."""
    t = tl.arange(0, 4)[None, :, None]
    return tl.where(t == 0, v0, tl.where(t == 1, v1, tl.where(t == 2, v2, v3)))


@triton.jit
def over_states(tile):
    """Sum of a state tile (N1, D1, N2, D2) over the states, as (D1, 1, D2)."""
    return tl.sum(tl.sum(tile, 0), 1)[:, None, :]


@triton.jit
def over_channels(tile):
    """Sum of a state tile (N1, D1, N2, D2) over the channels, (N1, N2)."""
    return tl.sum(tl.sum(tile, 1), 2)


@triton.jit
def store_rows(target, r0, r1, r2, r3, p0, p1, p2, p3, rows, N: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr):
    """The first `rows` of four rows (N1, N2) to positions p of a dense (length, N) array: one exchange for all."""
    t = tl.arange(0, 4)[None, None, :]
    n = tl.arange(0, N1)[:, None, None] + N1 * tl.arange(0, N2)[None, :, None]
    p = tl.where(t == 0, p0, tl.where(t == 1, p1, tl.where(t == 2, p2, p3)))
    tile = tl.reshape(tl.join(tl.join(r0, r2), tl.join(r1, r3)), (N1, N2, 4))
    tl.store(target + (p * N + n), tile, mask=(n < N) & (t < rows))


@triton.jit
def step_sizes(delta, bias, live, inside, SOFTPLUS: tl.constexpr, HAS_BIAS: tl.constexpr, EVEN: tl.constexpr):
    """(d, its derivative by delta) of a row tile; `delta` and `bias` are pointers."""
    raw = load(delta, live, EVEN)
    if HAS_BIAS:
        raw += load(bias, inside, EVEN)
    d = raw
    slope = tl.zeros_like(raw) + 1.0
    if SOFTPLUS:
        d, e = soft(raw)
        r = 1.0 / (1.0 + e)
        slope = tl.where(raw > 20.0, 1.0, tl.where(raw >= 0.0, r, e * r))
    if not EVEN:
        d = tl.where(live, d, 0.0)
        slope = tl.where(live, slope, 0.0)
    return d, slope


@triton.jit
def leave_states(
    h, scratch, within, u, delta, bias, B, At, d3, inside, slot, column, block, end, length, slices, back,
    su_l, sd_l, sb_l,
    N: tl.constexpr, N1: tl.constexpr, D1: tl.constexpr, N2: tl.constexpr, D2: tl.constexpr,
    SOFTPLUS: tl.constexpr, HAS_BIAS: tl.constexpr, SLICED: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """From the state `h` before step `block` forward: the state before every fourth step up to `end` into `scratch`."""
    SIZE: tl.constexpr = N1 * D1 * N2 * D2
    tl.store(scratch + within, h)
    for i in range(block, end - 4, 4):
        p0, p1, p2, p3, slot, column = four_cells(slot, column, length, slices, back, SLICED)
        p = by_step(p0, p1, p2, p3)
        d, _ = step_sizes(delta + (p * sd_l + d3), bias + d3, inside, inside, SOFTPLUS, HAS_BIAS, EVEN)
        grow = d * load(u + (p * su_l + d3), inside, EVEN)
        rows = four_rows(B, p0, p1, True, True, sb_l, B, p2, p3, True, True, sb_l, N, N1 * N2, EVEN)
        for t in tl.static_range(4):
            growth = pick(grow, t, D1, N2, D2) * row_tile(rows[t], N1, N2)
            h = tl.exp2(pick(d, t, D1, N2, D2) * At) * h + growth
        tl.store(scratch + (((i - block) // 4 + 1) * SIZE + within), h)


@triton.jit(do_not_specialize=["slices", "sliced", "reverse", "k", "batch", "length", "segments", "directions"])
def scan_segment_backward(
    u, delta, A, B, C, skip, z, bias, dy, kept, into, scratch, total, slices, sliced, reverse,
    du, ddelta, dz, dA, dB, dC, dskip, dbias,
    k, batch, length, D, segment, segments, directions,
    su_k, su_b, su_l, sd_k, sd_b, sd_l, sb_k, sb_b, sb_l, sc_k, sc_b, sc_l, sz_b, sz_l, sy_b, sy_l,
    N: tl.constexpr, N1: tl.constexpr, D1: tl.constexpr, N2: tl.constexpr, D2: tl.constexpr,
    INTERVAL: tl.constexpr, SOFTPLUS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_Z: tl.constexpr,
    HAS_INTO: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
    SLICED: tl.constexpr, EVEN: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Gradients of direction k; the un-gated output is summed over directions in `total` for the gate's gradient."""
    BD: tl.constexpr = D1 * D2
    NP: tl.constexpr = N1 * N2
    channel_block, part, b = place_of(D, segments, BD)
    b = b.to(tl.int64)
    sequence = k * batch + b
    d = channel_block * BD + tl.arange(0, BD)
    place, in_state = state_offsets(d, D, N, N1, D1, N2, D2)
    d3 = tl.reshape(d, (D1, 1, D2))
    inside = d3 < D
    t3 = tl.arange(0, 4)[None, :, None]
    At = tl.load(A + k * N * D + place, mask=in_state, other=0.0) * LOG2E
    back, slices = order_of(k, slices, sliced, reverse)
    kk = tl.cast(k, tl.int64)
    u += kk * su_k + b * su_b
    delta += kk * sd_k + b * sd_b
    B += kk * sb_k + b * sb_b
    C += kk * sc_k + b * sc_b
    dy += b * sy_b
    bias += k * D
    skip += k * D
    if HAS_Z:
        z += b * sz_b
        dz += b * length * D
        total += b * length * D
    du += sequence * length * D
    ddelta += sequence * length * D
    rows_at = (channel_block.to(tl.int64) * directions * batch + sequence) * length * N
    dB += rows_at
    dC += rows_at
    within = tl.reshape(tl.arange(0, NP * BD), (N1, D1, N2, D2))
    scratch += tl.program_id(0).to(tl.int64) * (INTERVAL // 4) * (NP * BD)

    X = tl.zeros((N1, D1, N2, D2), tl.float32)
    if HAS_INTO:
        X = tl.load(into + (sequence * segments + part) * (N * D) + place, mask=in_state, other=0.0)
    sum_A = tl.zeros((N1, D1, N2, D2), tl.float32)
    sum_skip = tl.zeros((D1, 4, D2), tl.float32)
    sum_bias = tl.zeros((D1, 4, D2), tl.float32)
    again = tl.minimum(length, 0)  # zero, which the compiler does not know: what is cheap to redo is not kept
    start = part * segment
    stop = tl.minimum(start + segment, length)
    for near in range(start, stop, INTERVAL):
        block = start + ((stop - 1 - start) // INTERVAL) * INTERVAL - (near - start)
        end = tl.minimum(block + INTERVAL, stop)
        kept_at = sequence * tl.cdiv(length, INTERVAL) + block // INTERVAL
        place, in_state = state_offsets(d + tl.minimum(block, 0), D, N, N1, D1, N2, D2)
        h = tl.load(kept + kept_at * (N * D) + place, mask=in_state, other=0.0)
        slot, column = first_cell(block, length, slices, back, WIDE)
        leave_states(
            h, scratch, within, u, delta, bias, B, At, d3, inside, slot, column, block, end, length, slices, back,
            su_l, sd_l, sb_l, N, N1, D1, N2, D2, SOFTPLUS, HAS_BIAS, SLICED, EVEN,
        )  # fmt: skip
        tl.debug_barrier()
        for far in range(block, end, 4):
            i = block + ((end - 1 - block) // 4) * 4 - (far - block)
            h = tl.load(scratch + (((i - block) // 4) * (NP * BD) + within))
            slot, column = first_cell(i, length, slices, back, WIDE)
            p0, p1, p2, p3, slot, column = four_cells(slot, column, length, slices, back, SLICED)
            p = by_step(p0, p1, p2, p3)
            live = inside & (i + t3 < stop)
            x, slope = step_sizes(delta + (p * sd_l + d3), bias + d3, live, inside, SOFTPLUS, HAS_BIAS, EVEN)
            value = load(u + (p * su_l + d3), live, EVEN)
            g = load(dy + (p * sy_l + d3), live, EVEN)
            if HAS_Z:
                gate = load(z + (p * sz_l + d3), live, EVEN)
                opened = sigmoid(gate)
                by_gate = g * opened * (1.0 + gate * (1.0 - opened))
                g = g * gate * opened
            grow = x * value
            l1, l2, l3 = i + 1 < stop, i + 2 < stop, i + 3 < stop
            b_rows = four_rows(B, p0, p1, True, l1, sb_l, B, p2, p3, l2, l3, sb_l, N, NP, EVEN)
            c_rows = four_rows(C, p0, p1, True, l1, sc_l, C, p2, p3, l2, l3, sc_l, N, NP, EVEN)
            products, overs = (), ()
            scanned = tl.zeros((D1, 4, D2), tl.float32)
            for t in tl.static_range(4):
                product = tl.exp2(pick(x, t, D1, N2, D2) * At) * h
                products += (product,)
                h = product + pick(grow, t, D1, N2, D2) * row_tile(b_rows[t], N1, N2)
                if HAS_Z:
                    scanned = tl.where(t3 == t, over_states(h * row_tile(c_rows[t], N1, N2)), scanned)
                overs += (over_channels(h * pick(g, t, D1, N2, D2)),)
            store_rows(dC, overs[0], overs[1], overs[2], overs[3], p0, p1, p2, p3, stop - i, N, N1, N2)
            if HAS_Z:
                if HAS_SKIP:
                    scanned += load(skip + d3, inside, EVEN) * value
                if not FIRST:
                    scanned += load(total + (p * D + d3), live, EVEN)
                if LAST:
                    tl.store(dz + (p * D + d3), (by_gate * scanned).to(dz.dtype.element_ty), mask=live)
                else:
                    tl.store(total + (p * D + d3), scanned, mask=live)
            overs = ()
            into_input = tl.zeros((D1, 4, D2), tl.float32)
            into_decay = tl.zeros((D1, 4, D2), tl.float32)
            for t in tl.static_range(3, -1, -1):
                G = X + pick(g, t + again, D1, N2, D2) * row_tile(c_rows[t], N1, N2)
                overs += (over_channels(G * pick(grow, t + again, D1, N2, D2)),)
                into_input = tl.where(t3 == t, over_states(G * row_tile(b_rows[t], N1, N2)), into_input)
                q = G * products[t]
                into_decay = tl.where(t3 == t, over_states(q * At), into_decay)
                dt = pick(x, t + again, D1, N2, D2)
                sum_A += q * dt
                X = tl.exp2(dt * At) * G
            store_rows(dB, overs[3], overs[2], overs[1], overs[0], p0, p1, p2, p3, stop - i, N, N1, N2)
            d_value = into_input * x
            if HAS_SKIP:
                d_value += load(skip + d3, inside, EVEN) * g
                sum_skip += g * value
            tl.store(du + (p * D + d3), d_value.to(du.dtype.element_ty), mask=live)
            d_x = (into_input * value + into_decay * LN2) * slope
            if HAS_BIAS:
                sum_bias += d_x
            tl.store(ddelta + (p * D + d3), d_x.to(ddelta.dtype.element_ty), mask=live)
        tl.debug_barrier()
    out_at = sequence * segments + part
    place, in_state = state_offsets(d + again, D, N, N1, D1, N2, D2)
    tl.store(dA + out_at * (N * D) + place, sum_A, mask=in_state)
    if HAS_SKIP:
        tl.store(dskip + out_at * D + d3, tl.sum(sum_skip, 1)[:, None, :], mask=inside)
    if HAS_BIAS:
        tl.store(dbias + out_at * D + d3, tl.sum(sum_bias, 1)[:, None, :], mask=inside)
