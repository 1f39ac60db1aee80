import pytest
import torch
from torch import nn

from medmamba.blocks.dims import check_divisible, conv, upsample_linear
from medmamba.errors import ConfigError


def test_sizes_that_fit_pass():
    check_divisible((16, 32), (16, 8), "net")


def test_sizes_that_do_not_fit_are_named_with_a_remedy():
    with pytest.raises(ConfigError, match=r"net needs sizes divisible by \(16, 16\), got \(20, 32\).*Pad.*\(32, 32\)"):
        check_divisible((20, 32), (16, 16), "net")


def test_the_wrong_number_of_axes_is_named():
    with pytest.raises(ConfigError, match="3 spatial axes"):
        check_divisible((16, 16), (8, 8, 8), "net")


def test_only_two_and_three_axes_exist():
    assert conv(2) is nn.Conv2d
    with pytest.raises(ConfigError, match="not 4"):
        conv(4)


def test_upsampling_by_factor_and_to_a_size_agree():
    x = torch.randn(1, 2, 3, 4, 5)
    torch.testing.assert_close(upsample_linear(x), upsample_linear(x, size=(6, 8, 10)))
