# mypy: ignore-errors
"""Depthwise causal convolution and SiLU in scan order, by address: one program holds positions x channels.

A position is a cell (slot, column), see `common`; the steps before and after it are found by walking cells, so that no
order needs a copy and the sequential order needs no division.
"""

import triton
import triton.language as tl

from .common import next_cell, order_of, sigmoid


@triton.jit
def row(base, slot, column, span, stride, e, E, live):
    """Row of every cell (P, 1) for channels `e` (1, C) as float32; zero outside of the sequence and where not live."""
    inside = live & (column >= 0) & (column < span) & (e < E)
    return tl.load(base + ((slot * span + column) * stride + e), mask=inside, other=0.0).to(tl.float32)


@triton.jit
def cell_of(tile, length, span, ROWS: tl.constexpr, WIDE: tl.constexpr):
    """(positions (ROWS, 1), slot, column) of a tile of positions."""
    p = tile * ROWS + tl.arange(0, ROWS)[:, None]
    if WIDE:
        p = p.to(tl.int64)
    slot = p // span
    return p, slot, p - slot * span


@triton.jit(do_not_specialize=["slices", "sliced", "reverse", "batch", "length", "directions"])
def conv_forward(
    x, weight, bias, out, slices, sliced, reverse, batch, length, E, directions, sx_b, sx_l,
    TAPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    SILU: tl.constexpr, HAS_BIAS: tl.constexpr, SLICED: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """`out` (K, batch, length, E) of `x` (batch, length, E) and `weight` (K, TAPS, E), last tap: the current step."""
    tiles, channel_blocks = tl.cdiv(length, ROWS), tl.cdiv(E, COLUMNS)
    k, above = tl.program_id(0) % directions, tl.program_id(0) // directions
    tile, above = above % tiles, above // tiles
    b = (above // channel_blocks).to(tl.int64)
    e = (above % channel_blocks) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    back, slices = order_of(k, slices, sliced, reverse)
    span = length // slices
    p, slot, column = cell_of(tile, length, span, ROWS, WIDE)
    live = p < length
    x += b * sx_b
    v = tl.zeros((ROWS, COLUMNS), tl.float32)
    if HAS_BIAS:
        v += tl.load(bias + k * E + e, mask=e < E, other=0.0)
    for tap in tl.static_range(TAPS - 1, -1, -1):
        w = tl.load(weight + (k * TAPS + tap) * E + e, mask=e < E, other=0.0)
        v += w * row(x, slot, column, span, sx_l, e, E, live)
        slot, column = next_cell(slot, column, slices, 1 - back, SLICED)
    if SILU:
        v = v * sigmoid(v)
    out += (k * batch + b) * length * E
    tl.store(out + (p * E + e), v.to(out.dtype.element_ty), mask=live & (e < E))


@triton.jit(do_not_specialize=["slices", "sliced", "reverse", "batch", "length", "directions"])
def conv_backward(
    x, weight, bias, dout, dx, dweight, dbias, slices, sliced, reverse,
    batch, length, E, directions, sx_b, sx_l, sg_k, sg_b, sg_l,
    TAPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    SILU: tl.constexpr, HAS_BIAS: tl.constexpr, SLICED: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """`dx` summed over directions; `dweight` (K, batch, tiles, TAPS, E) and `dbias` still to be summed over tiles."""
    tiles, channel_blocks = tl.cdiv(length, ROWS), tl.cdiv(E, COLUMNS)
    tile, above = tl.program_id(0) % tiles, tl.program_id(0) // tiles
    b = (above // channel_blocks).to(tl.int64)
    e = (above % channel_blocks) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    known = e < E
    x += b * sx_b
    dout += b * sg_b
    sum_x = tl.zeros((ROWS, COLUMNS), tl.float32)
    for k in range(directions):
        back, count = order_of(k, slices, sliced, reverse)
        span = length // count
        p, slot, column = cell_of(tile, length, span, ROWS, WIDE)
        live = p < length
        weights, xs = (), ()
        for tap in tl.static_range(TAPS):
            weights += (tl.load(weight + (k * TAPS + tap) * E + e, mask=known, other=0.0),)
        for _ in tl.static_range(TAPS - 1):
            slot, column = next_cell(slot, column, count, 1 - back, SLICED)
        for _ in tl.static_range(TAPS - 1):  # the inputs of this step's taps but the last
            xs += (row(x, slot, column, span, sx_l, e, E, live),)
            slot, column = next_cell(slot, column, count, back, SLICED)
        shift = tl.zeros((1, COLUMNS), tl.float32)
        if HAS_BIAS:
            shift = tl.load(bias + k * E + e, mask=known, other=0.0)
        partial = ((k * batch + b) * tiles + tile) * E + e
        for later in tl.static_range(TAPS):  # the steps that this one feeds, itself first
            xs += (row(x, slot, column, span, sx_l, e, E, live),)
            g = row(dout + tl.cast(k, tl.int64) * sg_k, slot, column, span, sg_l, e, E, live)
            if SILU:
                v = shift + weights[0] * xs[later]
                for tap in tl.static_range(1, TAPS):
                    v += weights[tap] * xs[later + tap]
                opened = sigmoid(v)
                g = g * opened * (1.0 + v * (1.0 - opened))
            sum_x += weights[TAPS - 1 - later] * g
            if later == 0:
                tl.store(dbias + partial, tl.sum(g, 0)[None, :], mask=known)
                for tap in tl.static_range(TAPS):
                    at = (((k * batch + b) * tiles + tile) * TAPS + tap) * E + e
                    tl.store(dweight + at, tl.sum(g * xs[tap], 0)[None, :], mask=known)
            slot, column = next_cell(slot, column, count, back, SLICED)
    p = tile * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    tl.store(dx + (b * length + p) * E + e, sum_x.to(dx.dtype.element_ty), mask=(p < length) & known)
