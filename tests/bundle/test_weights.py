import struct
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medmamba.bundle import weights
from medmamba.errors import BundleError, DataError


class Tied(nn.Module):
    """Two names for one layer, as nnU-Net's decoders have them, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3)
        self.again = self.first
        self.register_buffer("count", torch.tensor(3))


def test_each_tensor_is_kept_once_and_restored() -> None:
    network = Tied()
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    kept = weights.without_aliases(network, state, "here")
    assert sorted(kept) == ["count", "first.bias", "first.weight"]
    read = weights.parse_weights(weights.serialise_weights(kept), "f")
    whole = weights.restored(Tied(), read, "f")
    assert list(whole) == list(state)
    assert all(torch.equal(whole[key], state[key]) for key in state)
    Tied().load_state_dict(whole, strict=True)


def test_heads_that_the_network_lacks_are_dropped() -> None:
    state = {**Tied().state_dict(), "deep_supervision.weight": torch.zeros(1)}
    assert "deep_supervision.weight" not in weights.without_aliases(Tied(), state, "here")


def test_names_of_one_tensor_must_agree() -> None:
    state = {key: tensor.clone() for key, tensor in Tied().state_dict().items()}
    state["again.bias"] += 1
    with pytest.raises(DataError, match=r"different weights in again\.bias and first\.bias"):
        weights.without_aliases(Tied(), state, "here")


@pytest.mark.parametrize("spoil", [lambda s: s.pop("first.bias"), lambda s: s.update({"first.bias": torch.zeros(9)})])
def test_weights_of_another_network_are_not_written(spoil) -> None:
    state = dict(Tied().state_dict())
    spoil(state)
    with pytest.raises(DataError, match=r"first\.bias is missing or of another shape"):
        weights.without_aliases(Tied(), state, "here")


def test_whole_numbers_are_no_floats() -> None:
    state = {"first.weight": torch.zeros(2, 1, 3, 3, 3), "first.bias": torch.zeros(2), "count": torch.tensor(3.0)}
    with pytest.raises(BundleError, match=r"count is \(\) of torch.float32, where the network has \(\)"):
        weights.restored(Tied(), state, "f")


DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=4)),
        max_size=6,
    )
)
def test_round_trip(content) -> None:
    state = {name: torch.randint(0, 2, shape).to(dtype) for name, (dtype, shape) in content.items()}
    raw = weights.serialise_weights(state)
    found = weights.parse_weights(raw, "f")
    assert {n: (t.dtype, t.tolist()) for n, t in found.items()} == {n: (t.dtype, t.tolist()) for n, t in state.items()}
    assert raw == weights.serialise_weights(dict(reversed(state.items())))


@given(st.data())
def test_no_flipped_byte_of_a_header_gets_further_than_a_sentence(data) -> None:
    raw = bytearray(weights.serialise_weights({"a": torch.zeros(2, 3), "b": torch.zeros(1)}))
    (length,) = struct.unpack("<Q", raw[:8])
    raw[data.draw(st.integers(0, 7 + length))] = data.draw(st.integers(0, 255))
    with suppress(BundleError):
        found = weights.parse_weights(bytes(raw), "f")
        assert sum(tensor.nbytes for tensor in found.values()) == 28


@given(st.binary(max_size=200))
def test_no_bytes_get_further_than_a_sentence(raw) -> None:
    with pytest.raises(BundleError):
        weights.parse_weights(raw + b"\xff", "f")
