# mypy: ignore-errors
"""The two small passes before a scan that runs in parallel over segments: end states from zero, then their composition.

A scan over segments needs the state at the start of every segment. `segment_ends` walks all segments side by side from
a zero state; the product of a segment's decays is exp(A * sum of d), so `compose` can string the segments together one
after the other. Backward is the same thing from the last step to the first, with the gradient of the state.
"""

import triton
import triton.language as tl

from .common import (
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

AHEAD = tl.constexpr(32)  # segments that `compose` loads together: their latency is paid once


@triton.jit(do_not_specialize=["slices", "sliced", "reverse", "batch", "length", "segments"])
def segment_ends(
    value, delta, A, rows, z, bias, ends, sums, slices, sliced, reverse,
    batch, length, D, segment, segments,
    sv_k, sv_b, sv_l, sd_k, sd_b, sd_l, sr_k, sr_b, sr_l, sz_b, sz_l,
    N: tl.constexpr, N1: tl.constexpr, D1: tl.constexpr, N2: tl.constexpr, D2: tl.constexpr,
    SOFTPLUS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_Z: tl.constexpr, BACKWARD: tl.constexpr,
    SLICED: tl.constexpr, EVEN: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """End state of every segment from zero, (K, batch, segments, N, D), and its sum of d, (K, batch, segments, D).

    Forward: `value` is u and `rows` B, h = a h + d u B. Backward, last step first: `value` is dy, `rows` C and what
    flows back into the step before is a (x + dy silu(z) C).
    """
    BD: tl.constexpr = D1 * D2
    NP: tl.constexpr = N1 * N2
    channel_block, part, sequence = place_of(D, segments, BD)
    k = sequence // batch
    b = sequence % batch
    d = channel_block * BD + tl.arange(0, BD)
    inside = d < D
    place, in_state = state_offsets(d, D, N, N1, D1, N2, D2)
    At = tl.load(A + k * N * D + place, mask=in_state, other=0.0) * LOG2E
    if HAS_BIAS:
        shift = tl.load(bias + k * D + d, mask=inside, other=0.0)
    back, slices = order_of(k, slices, sliced, reverse)
    value += k.to(tl.int64) * sv_k + b.to(tl.int64) * sv_b + d
    delta += k.to(tl.int64) * sd_k + b.to(tl.int64) * sd_b + d
    rows += k.to(tl.int64) * sr_k + b.to(tl.int64) * sr_b
    if HAS_Z:
        z += b.to(tl.int64) * sz_b + d
    start = part * segment
    stop = tl.minimum(start + segment, length)
    if BACKWARD:  # from the last group of four steps down, along the opposite order
        i = start + ((stop - start - 1) // 4) * 4 + 3
        way = 1 - back
    else:
        i = start
        way = back
    step: tl.constexpr = -1 if BACKWARD else 1
    slot, column = first_cell(i, length, slices, back, WIDE)
    h = tl.zeros((N1, D1, N2, D2), tl.float32)
    total = tl.zeros((BD,), tl.float32)
    for _group in range(start, stop, 4):
        p0, p1, p2, p3, slot, column = four_cells(slot, column, length, slices, way, SLICED)
        l0, l1, l2, l3 = i < stop, i + step < stop, i + 2 * step < stop, i + 3 * step < stop
        r0, r1, r2, r3 = four_rows(rows, p0, p1, l0, l1, sr_l, rows, p2, p3, l2, l3, sr_l, N, NP, EVEN)
        for t in tl.static_range(4):
            p = (p0, p1, p2, p3)[t]
            live = d < tl.where(i + t * step < stop, D, 0)
            v = load(value + p * sv_l, live, EVEN)
            x = load(delta + p * sd_l, live, EVEN)
            if HAS_BIAS:
                x += shift
            if SOFTPLUS:
                x, _ = soft(x)
            if not EVEN:
                x = tl.where(live, x, 0.0)
            total += x
            a = tl.exp2(tl.reshape(x, (1, D1, 1, D2)) * At)
            row = row_tile((r0, r1, r2, r3)[t], N1, N2)
            if BACKWARD:
                if HAS_Z:
                    gate = load(z + p * sz_l, live, EVEN)
                    v = v * gate * sigmoid(gate)
                h = (h + tl.reshape(v, (1, D1, 1, D2)) * row) * a
            else:
                h = h * a + tl.reshape(x * v, (1, D1, 1, D2)) * row
        i += 4 * step
    out = sequence.to(tl.int64) * segments + part
    tl.store(ends + out * (N * D) + place, h, mask=in_state)
    tl.store(sums + out * D + d, total, mask=inside)


@triton.jit(do_not_specialize=["batch", "segments"])
def compose(states, sums, A, batch, D, segments, N: tl.constexpr, BLOCK: tl.constexpr, BACKWARD: tl.constexpr):
    """Turns end states from zero, (K, batch, segments, N, D), into the true state before every segment, in place."""
    blocks = tl.cdiv(N * D, BLOCK)
    sequence = (tl.program_id(0) // blocks).to(tl.int64)
    e = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = e < N * D
    At = tl.load(A + (sequence // batch) * (N * D) + e, mask=inside, other=0.0) * LOG2E
    states += sequence * segments * (N * D) + e
    sums += sequence * segments * D + e % D
    carry = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, segments, AHEAD):
        ends, totals, lives, places = (), (), (), ()
        for t in tl.static_range(AHEAD):
            s = segments - 1 - first - t if BACKWARD else first + t
            live = e < tl.where((s >= 0) & (s < segments), N * D, 0)
            at = states + s.to(tl.int64) * (N * D)
            ends += (tl.load(at, mask=live, other=0.0),)
            totals += (tl.load(sums + s.to(tl.int64) * D, mask=live, other=0.0),)
            lives += (live,)
            places += (at,)
        for t in tl.static_range(AHEAD):
            tl.store(places[t], carry, mask=lives[t])
            carry = tl.exp2(At * totals[t]) * carry + ends[t]
