import torch
from hypothesis import given
from hypothesis import strategies as st

from medmamba.scan import DIRECTIONS, from_scan_order, to_scan_order


@given(st.sampled_from(DIRECTIONS), st.integers(1, 6), st.integers(1, 6))
def test_every_order_has_its_exact_inverse(direction, slices, per_slice):
    x = torch.arange(slices * per_slice)[None, :, None]
    there = to_scan_order(x, direction, slices)
    assert torch.equal(from_scan_order(there, direction, slices), x)
    assert torch.equal(there.sort(1).values, x)


@given(st.integers(1, 6), st.integers(1, 6))
def test_interslice_visits_all_slices_first(slices, per_slice):
    x = torch.arange(slices * per_slice)[None]
    order = to_scan_order(x, "interslice", slices)[0]
    assert order.tolist() == [(i % slices) * per_slice + i // slices for i in range(slices * per_slice)]
