import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.scan import chunked, selective_scan_reference
from medmamba.scan.inputs import ScanInputs
from medmamba.scan.orders import Order


@pytest.mark.parametrize("shape", [(1, 18432, 32, 16), (2, 175, 640, 16), (1, 1, 1, 1), (4, 4096, 96, 8)])
def test_lanes_cover_the_sequence(shape):
    count, steps = chunked.lanes(*shape)
    assert count * steps >= shape[1]
    assert count * (steps - 1) < shape[1]


def test_kept_states_grow_with_the_length_alone():
    one, two = (torch.Size(chunked.checkpoint_shape(1, 1, length, 32, 16)).numel() for length in (8192, 16384))
    assert two <= 2.1 * one


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 2),
    st.sampled_from(["forward", "reverse"]),
    st.integers(0, 2**16),
)
def test_any_shape_equals_the_reference(length, channels, states, batch, direction, seed):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    u, delta, z = (draw(batch, length, channels) for _ in range(3))
    B, C = draw(batch, length, states), draw(batch, length, states)
    A, D, bias = -draw(channels, states).exp(), draw(channels), draw(channels)
    order = Order(reverse=direction == "reverse")
    stacked = (x[None] for x in (u, delta, A, B, C, D))
    y, last, _ = chunked.forward(ScanInputs(*stacked, z, bias[None], True, (order,)), False)
    want, want_last = selective_scan_reference(u, delta, A, B, C, D, z, bias, True, order)
    torch.testing.assert_close(y, want)
    torch.testing.assert_close(last[0], want_last)
