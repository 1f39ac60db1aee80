import torch
from hypothesis import given
from hypothesis import strategies as st

from medmamba.blocks.tokens import from_tokens, to_tokens


@given(st.lists(st.integers(1, 4), min_size=2, max_size=3), st.integers(1, 3))
def test_round_trip(spatial, channels):
    x = torch.randn(2, channels, *spatial)
    assert torch.equal(from_tokens(to_tokens(x), spatial), x)


def test_the_last_axis_runs_fastest():
    x = torch.arange(24).reshape(1, 1, 2, 3, 4)
    assert to_tokens(x)[0, :, 0].tolist() == list(range(24))
