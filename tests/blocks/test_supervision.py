import torch

from medmamba.blocks.supervision import SingleOutput


def test_the_switch_wraps_the_output():
    net, out = SingleOutput(deep_supervision=True), torch.zeros(1)
    assert net.respond(out) == [out]
    net.decoder.deep_supervision = False
    assert net.respond(out) is out


def test_plan_strides_leave_the_output_its_full_weight():
    strides = SingleOutput.plan_arguments((16, 16, 16), {}, {})["strides"]
    weights = [0.5**i for i in range(len(strides) - 1)]  # nnU-Net: one per level but the coarsest,
    weights[-1] = 0  # the last of them switched off
    assert [w / sum(weights) for w in weights] == [1, 0]
