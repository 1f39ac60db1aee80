import torch

from medmamba.networks.segmamba_v2 import AxisMambaLayer
from tests.networks.small import build


def test_only_the_deep_stages_scan():
    names = [n for n, _ in build("segmamba-v2").named_parameters() if "mamba" in n]
    assert {n.split(".stages.")[1][0] for n in names} == {"2", "3"}


def test_the_layer_sees_three_axis_orders():
    torch.manual_seed(0)
    layer = AxisMambaLayer(4, "mamba")
    x = torch.randn(1, 4, 3, 4, 5)
    changed = x.clone()
    changed[0, :, 2, 3, 4] += 1  # last voxel in every order: nothing comes after it
    difference = (layer(x) - layer(changed)).abs().amax((0, 1))
    assert (difference > 0).sum() == 1
