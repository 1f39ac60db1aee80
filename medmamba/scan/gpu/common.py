# mypy: ignore-errors
"""What the kernels share: addresses in scan order, tiles of states and of rows, softplus.

Two shapes of tile occur. A *row* tile holds channels; a *state* tile holds states x channels as four axes
(N1, D1, N2, D2) with n = n2 * N1 + n1 and d = d1 * D2 + d2. Triton spreads the last axes over the 32 lanes of a warp
and keeps the first in registers, so N2 * D2 = 32 says which part of the states and of the channels every lane owns:
sums over what a lane owns are plain additions, sums over lanes are shuffles.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def place_of(D, segments, BLOCK: tl.constexpr):
    """(block of channels, segment, sequence) of this program: one axis of programs, the others end at 65535."""
    blocks = tl.cdiv(D, BLOCK)
    above = tl.program_id(0) // blocks
    return tl.program_id(0) % blocks, above % segments, above // segments


@triton.jit
def order_of(k, slices, sliced, reverse):
    """(back, slices) of direction k from the numbers of `plan.order_bits`."""
    return (reverse >> k) & 1, tl.where(((sliced >> k) & 1) != 0, slices, 1)


@triton.jit
def first_cell(step, length, slices, back, WIDE: tl.constexpr):
    """(slot, column) of a scan step: it stands at position slot * (length // slices) + column.

    Steps past the end, never read, get cells from which walking back arrives at the right ones. WIDE makes positions,
    and so every address, 64 bit; without it position times stride must fit 31 bits.
    """
    j = tl.where(back != 0, length - 1 - step, step)
    if WIDE:
        j = j.to(tl.int64)
    slot = j % slices
    slot += tl.where(slot < 0, slices, 0)  # the remainder of a negative number is negative
    return slot, (j - slot) // slices


@triton.jit
def next_cell(slot, column, slices, back, SLICED: tl.constexpr):
    """(slot, column) of the step after this one, without a division; back = 1 walks towards smaller positions."""
    way = 1 - 2 * back
    if not SLICED:
        return slot, column + way
    slot += way
    over = (slot < 0) | (slot >= slices)
    column += tl.where(over, way, 0)
    return tl.where(over, tl.where(back != 0, slices - 1, 0), slot), column


@triton.jit
def four_cells(slot, column, length, slices, back, SLICED: tl.constexpr):
    """Positions of this step and the next three, then the (slot, column) after them."""
    span = length // slices
    p0 = slot * span + column
    slot, column = next_cell(slot, column, slices, back, SLICED)
    p1 = slot * span + column
    slot, column = next_cell(slot, column, slices, back, SLICED)
    p2 = slot * span + column
    slot, column = next_cell(slot, column, slices, back, SLICED)
    p3 = slot * span + column
    slot, column = next_cell(slot, column, slices, back, SLICED)
    return p0, p1, p2, p3, slot, column


@triton.jit
def load(pointer, live, EVEN: tl.constexpr):
    """The values as float32, zero where not `live`; EVEN says that all are."""
    value = tl.load(pointer) if EVEN else tl.load(pointer, mask=live, other=0.0)
    return value.to(tl.float32)


@triton.jit
def soft(x):
    """(softplus(x), e) with e = exp(-|x|): max(x, 0) + log(1 + e), which is x above 20 in float32.

    log(1 + e) = 2 artanh(e / (2 + e)) has no cancellation for small e; polynomial fitted to 2e-8 relative.
    """
    e = tl.exp2(-tl.abs(x) * LOG2E)
    s = e / (2.0 + e)
    t = s * s
    series = 1.0 + t * (0.3333332 + t * (0.2000378 + t * (0.1411831 + t * 0.13425749)))
    return tl.maximum(x, 0.0) + 2.0 * s * series, e


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)) without overflow on either side."""
    return 1.0 / (1.0 + tl.exp2(-x * LOG2E))


@triton.jit
def state_offsets(d, D, N: tl.constexpr, N1: tl.constexpr, D1: tl.constexpr, N2: tl.constexpr, D2: tl.constexpr):
    """(offsets n * D + d, mask) of a state tile in an (N, D) array, for the channels `d` (D1 * D2,)."""
    n = tl.arange(0, N1)[:, None, None, None] + N1 * tl.arange(0, N2)[None, None, :, None]
    d4 = tl.reshape(d, (1, D1, 1, D2))
    return n * D + d4, (n < N) & (d4 < D)


@triton.jit
def four_rows(
    first, p0, p1, live0, live1, stride, second, p2, p3, live2, live3, stride2,
    N: tl.constexpr, NP: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """Rows p0, p1 of `first` and p2, p3 of `second` as four (NP,) float32 vectors; zero where a row is not live.

    One load with neighbouring lanes on neighbouring rows and one exchange are much cheaper than NP broadcast loads
    per row. Two loads that are widened and added keep the compiler from exchanging first and widening in every lane.
    """
    e = tl.arange(0, 4 * NP)
    n, which = e // 4, e % 4
    odd = which % 2 == 1
    a_mask, b_mask = which < 2, which >= 2
    if not EVEN:
        a_mask &= n < tl.where(odd, tl.where(live1, N, 0), tl.where(live0, N, 0))
        b_mask &= n < tl.where(odd, tl.where(live3, N, 0), tl.where(live2, N, 0))
    a = tl.load(first + tl.where(odd, p1, p0) * stride + n, mask=a_mask, other=0.0)
    b = tl.load(second + tl.where(odd, p3, p2) * stride2 + n, mask=b_mask, other=0.0)
    even, uneven = tl.split(tl.reshape(a.to(tl.float32) + b.to(tl.float32), (NP, 2, 2)))
    r0, r2 = tl.split(even)
    r1, r3 = tl.split(uneven)
    return r0, r1, r2, r3


@triton.jit
def row_tile(row, N1: tl.constexpr, N2: tl.constexpr):
    """A (N1 * N2,) row of B or C as the state tile (N1, 1, N2, 1)."""
    return tl.reshape(tl.trans(tl.reshape(row, (N2, N1))), (N1, 1, N2, 1))
