import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.networks import create
from medmamba.networks.umamba import reduced_blocks
from tests.networks.small import build


@pytest.mark.parametrize(
    ("stages", "encoder", "decoder"),
    [
        (4, [2, 2, 1, 1], [2, 2, 1]),
        (5, [2, 2, 2, 1, 1], [2, 2, 2, 1]),
        (6, [2, 2, 2, 1, 1, 1], [2, 2, 2, 1, 1]),
        (7, [2, 2, 2, 2, 1, 1, 1], [2, 2, 2, 2, 1, 1]),
    ],
)
def test_blocks_are_thinned_as_in_the_original(stages, encoder, decoder):
    given = [2] * stages
    assert reduced_blocks(given, stages, decoder=False) == encoder
    assert reduced_blocks(2, stages - 1, decoder=True) == decoder
    assert given == [2] * stages


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("umamba-bot", (16, 18, 16), r"divisible by \(4, 4, 4\), got \(16, 18, 16\)"),
        ("umamba-enc", (16, 16, 20), r"takes size \(16, 16, 16\) only"),
    ],
)
def test_sizes_that_do_not_fit_are_named(name, shape, message):
    with pytest.raises(ConfigError, match=message):
        build(name)(torch.randn(1, 2, *shape))


def test_even_kernels_are_refused():
    with pytest.raises(ConfigError, match="odd kernel sizes"):
        create(
            "umamba-bot", input_channels=1, num_classes=2, features_per_stage=(4, 8), kernel_sizes=[[2] * 3, [3] * 3]
        )


@pytest.mark.parametrize("name", ["umamba-bot", "umamba-enc"])
def test_umamba_in_2d(name):
    network = create(name, input_channels=1, num_classes=2, features_per_stage=(4, 8, 8), spatial_dims=2)
    assert network(torch.randn(1, 1, 16, 16)).shape == (1, 2, 16, 16)


def test_channel_tokens_are_a_decision_that_can_be_read_and_refused():
    assert build("umamba-enc").channel_token_stages == (2,)
    free = build("umamba-enc", channel_tokens="never")
    assert free.channel_token_stages == ()
    assert free(torch.randn(1, 2, 20, 16, 16)).shape == (1, 3, 20, 16, 16)
