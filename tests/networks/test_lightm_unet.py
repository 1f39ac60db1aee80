import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.networks import create
from tests.networks.small import build


def test_2d():
    network = create("lightm-unet", input_channels=3, num_classes=2, spatial_dims=2, init_filters=8)
    assert network(torch.randn(1, 3, 16, 24)).shape == (1, 2, 16, 24)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match=r"divisible by \(4, 4, 4\)"):
        build("lightm-unet")(torch.randn(1, 2, 16, 16, 18))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"init_filters": 12}, "multiple of 8"), ({"blocks_up": (1,)}, "one entry fewer than blocks_down")],
)
def test_widths_and_levels_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        create("lightm-unet", input_channels=1, num_classes=2, **options)
