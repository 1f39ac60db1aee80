"""What every network promises: any channels, twins, half precision, compilation, nnU-Net's switch."""

import pytest
import torch

from medmamba.networks import info
from tests.networks.small import SMALL, build, example


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("mixer", ["mamba", "conv", "identity"])
def test_every_twin_trains_with_any_channels(name, mixer):
    x = example(name)
    network = build(name, mixer=mixer)
    out = network(x)
    assert out.shape == (1, 3, *x.shape[2:])
    out.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_stays_finite(name, dtype):
    network = build(name)
    with torch.autocast("cpu", dtype=dtype):
        out = network(example(name) * 100)
        loss = out.float().square().mean()
    loss.backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SMALL)
def test_full_graph_compile(name):
    network, x = build(name, stochastic_shuffle=0.5).eval(), example(name)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.parametrize("name", ["umamba-enc", "segmamba"])
def test_full_graph_compile_in_training(name):
    network, x = build(name, stochastic_shuffle=0.5).train(), example(name)
    torch.compile(network, fullgraph=True, backend="eager")(x).mean().backward()
    assert all(p.grad is not None for n, p in network.named_parameters() if "seg_layers" not in n)


@pytest.mark.parametrize("name", SMALL)
def test_deep_supervision_switch_of_nnunet(name):
    network, x = build(name, deep_supervision=True), example(name)
    outputs = network(x)
    assert isinstance(outputs, list)
    assert len(outputs) > 1 if info(name).deep_supervision else len(outputs) == 1
    network.decoder.deep_supervision = False
    assert network(x).shape == outputs[0].shape


def test_shuffle_changes_training_only():
    network, x = build("segmamba", stochastic_shuffle=1.0), example("segmamba")
    torch.testing.assert_close(network.eval()(x), network.eval()(x))
    assert not torch.allclose(network.train()(x), network.eval()(x))
