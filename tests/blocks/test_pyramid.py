import pytest
import torch

from medmamba.blocks.pyramid import MixerPyramid, gather_neighbours, position_code
from tests.reference_data import needs_reference, tensors

_OPTIONS = {"d_state": 4, "d_conv": 4, "expand": 2}


@needs_reference
@pytest.mark.parametrize("channels", [24, 32])
def test_position_code(channels):
    want = tensors("mambamorph/golden_ops.npz")[0][f"posenc_{channels}"]
    code = position_code((3, 4, 5), channels, torch.float64, torch.device("cpu"))
    assert (code - want).abs().max() < 1e-6


@needs_reference
def test_neighbours_are_gathered_in_the_published_order():
    ops = tensors("mambamorph/golden_ops.npz")[0]
    assert torch.equal(gather_neighbours(ops["merge_in"][None], (4, 2, 6))[0], ops["merge_gather"])


def test_maps_halve_and_widen():
    net = MixerPyramid(2, [8, 16], 4, patch_norm=True, position=True, dropout=0.0, mixer="mamba", options=_OPTIONS)
    assert [tuple(m.shape) for m in net(torch.rand(1, 2, 8, 16, 24))] == [(1, 8, 2, 4, 6), (1, 16, 1, 2, 3)]


def test_without_patch_norm_there_is_no_such_parameter():
    net = MixerPyramid(2, [8], 4, patch_norm=False, position=False, dropout=0.0, mixer="identity", options=_OPTIONS)
    assert not any(k.startswith("patch_embed.norm") for k in net.state_dict())
    assert net(torch.rand(1, 2, 8, 8, 8))[0].shape == (1, 8, 2, 2, 2)
