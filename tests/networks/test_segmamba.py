import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.networks.segmamba import slice_counts
from tests.networks.small import build


@pytest.mark.parametrize(
    ("shape", "message"),
    [((40, 32, 32), r"divisible by \(16, 16, 16\), got \(40, 32, 32\)"), ((16, 16, 16), "single voxel")],
)
def test_sizes_that_do_not_fit_are_named(shape, message):
    with pytest.raises(ConfigError, match=message):
        build("segmamba")(torch.randn(1, 2, *shape))


def test_fixed_slices_need_a_size_that_they_divide():
    with pytest.raises(ConfigError, match="cannot cut a sequence of 12 positions into 8"):
        build("segmamba", num_slices="reference")(torch.randn(1, 2, 48, 32, 32))


def test_slice_counts():
    assert slice_counts("depth") == [None] * 4
    assert slice_counts("reference") == [64, 32, 16, 8]
    assert slice_counts([4, 4, 2, 1]) == [4, 4, 2, 1]
    with pytest.raises(ConfigError, match="'all'"):
        slice_counts("all")
