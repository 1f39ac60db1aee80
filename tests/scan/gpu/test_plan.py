"""How the work is cut: tiles fill a warp and cover the states, segments cover the time."""

import pytest

from medmamba.errors import ConfigError
from medmamba.scan.gpu.plan import INTERVAL, backward_tile, forward_tile, kept_shape, order_bits, padded, segments
from medmamba.scan.orders import Order


@pytest.mark.parametrize("states", [1, 2, 3, 8, 16, 17, 33, 64, 100, 256])
def test_tiles_fill_a_warp_and_cover_the_states(states):
    for tile in (forward_tile(states), backward_tile(states)):
        assert tile.n2 * tile.d2 == 32
        assert tile.n1 * tile.n2 == padded(states) >= states
        assert tile.n1 * tile.d1 <= 32  # numbers of a state in a lane's registers


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3, 262144), (2, 1720320), (24, 512), (7, 33), (5000, 100)])
def test_segments_cover_the_time_in_whole_intervals(rows, length, backward):
    steps, count = segments(rows, length, 132, backward)
    assert steps % INTERVAL == 0
    assert (count - 1) * steps < length <= count * steps


def test_enough_rows_need_no_segments():
    assert segments(5000, 4096, 132, backward=False)[1] == 1


def test_long_sequences_fill_the_device_once():
    assert 0.9 * 12 * 132 <= 3 * segments(3, 262144, 132, backward=False)[1] <= 12 * 132


def test_orders_travel_as_three_numbers():
    assert order_bits((Order(), Order(reverse=True), Order(4), Order(4, True))) == (4, 0b1100, 0b1010)
    assert order_bits((Order(),)) == (1, 0, 0)


def test_two_numbers_of_slices_in_one_call_are_refused():
    with pytest.raises(ConfigError, match=r"not 2 in \[3, 4\]"):
        order_bits((Order(3), Order(4)))


def test_kept_states_stay_within_one_in_32():
    K, batch, blocks, N, D = kept_shape(3, 2, 4096, 5, 16)
    assert K * batch * blocks * N * D * 32 == 3 * 2 * 4096 * 5 * 16
