# mypy: ignore-errors
"""The output pass of the forward scan: one program walks one segment of one sequence for one block of channels."""

import triton
import triton.language as tl

from .common import (
    LOG2E,
    first_cell,
    four_rows,
    load,
    next_cell,
    order_of,
    place_of,
    row_tile,
    sigmoid,
    soft,
    state_offsets,
)


@triton.jit(do_not_specialize=["slices", "sliced", "reverse", "k", "batch", "length", "segments"])
def scan_segment(
    u, delta, A, B, C, skip, z, bias, starts, kept, total, y, last, slices, sliced, reverse,
    k, batch, length, D, segment, segments,
    su_k, su_b, su_l, sd_k, sd_b, sd_l, sb_k, sb_b, sb_l, sc_k, sc_b, sc_l, sz_b, sz_l,
    N: tl.constexpr, N1: tl.constexpr, D1: tl.constexpr, N2: tl.constexpr, D2: tl.constexpr,
    INTERVAL: tl.constexpr, SOFTPLUS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_Z: tl.constexpr,
    HAS_START: tl.constexpr, KEEP: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr,
    SLICED: tl.constexpr, EVEN: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """y of direction k; sums over directions in `total` (float32) and gates with the last one."""
    BD: tl.constexpr = D1 * D2
    NP: tl.constexpr = N1 * N2
    channel_block, part, b = place_of(D, segments, BD)
    b = b.to(tl.int64)
    d = channel_block * BD + tl.arange(0, BD)
    inside = d < D
    sequence = k * batch + b
    place, in_state = state_offsets(d, D, N, N1, D1, N2, D2)
    At = tl.load(A + k * N * D + place, mask=in_state, other=0.0) * LOG2E
    if HAS_BIAS:
        shift = tl.load(bias + k * D + d, mask=inside, other=0.0)
    if HAS_SKIP:
        through = tl.load(skip + k * D + d, mask=inside, other=0.0)
    back, slices = order_of(k, slices, sliced, reverse)
    u += tl.cast(k, tl.int64) * su_k + b * su_b + d
    delta += tl.cast(k, tl.int64) * sd_k + b * sd_b + d
    B += tl.cast(k, tl.int64) * sb_k + b * sb_b
    C += tl.cast(k, tl.int64) * sc_k + b * sc_b
    y += b * length * D + d
    total += b * length * D + d
    if HAS_Z:
        z += b * sz_b + d
    h = tl.zeros((N1, D1, N2, D2), tl.float32)
    if HAS_START:
        h = tl.load(starts + (sequence * segments + part) * (N * D) + place, mask=in_state, other=0.0)
    start = part * segment
    stop = tl.minimum(start + segment, length)
    span = length // slices
    slot, column = first_cell(start, length, slices, back, WIDE)
    for block in range(start, stop, INTERVAL):
        if KEEP:
            kept_at = sequence * tl.cdiv(length, INTERVAL) + block // INTERVAL
            tl.store(kept + kept_at * (N * D) + place, h, mask=in_state)
        for i in range(block, tl.minimum(block + INTERVAL, stop), 2):
            p0 = slot * span + column
            slot, column = next_cell(slot, column, slices, back, SLICED)
            p1 = slot * span + column
            slot, column = next_cell(slot, column, slices, back, SLICED)
            odd = i + 1 < stop
            b0, b1, c0, c1 = four_rows(B, p0, p1, True, odd, sb_l, C, p0, p1, True, odd, sc_l, N, NP, EVEN)
            for t in tl.static_range(2):
                p = p1 if t else p0
                live = d < tl.where(i + t < stop, D, 0)
                value = load(u + p * su_l, live, EVEN)
                x = load(delta + p * sd_l, live, EVEN)
                if HAS_BIAS:
                    x += shift
                if SOFTPLUS:
                    x, _ = soft(x)
                if not EVEN:
                    x = tl.where(live, x, 0.0)
                grown = tl.reshape(x * value, (1, D1, 1, D2)) * row_tile(b1 if t else b0, N1, N2)
                h = h * tl.exp2(tl.reshape(x, (1, D1, 1, D2)) * At) + grown
                out = tl.reshape(tl.sum(tl.sum(h * row_tile(c1 if t else c0, N1, N2), 0), 1), (BD,))
                if HAS_SKIP:
                    out += through * value
                if not FIRST:
                    out += load(total + p * D, live, EVEN)
                if LAST:
                    if HAS_Z:
                        gate = load(z + p * sz_l, live, EVEN)
                        out = out * gate * sigmoid(gate)
                    tl.store(y + p * D, out.to(y.dtype.element_ty), mask=live)
                else:
                    tl.store(total + p * D, out, mask=live)
    final = in_state & (tl.zeros_like(place) + stop == length)
    tl.store(last + sequence * (N * D) + place, h, mask=final)
