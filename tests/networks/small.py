"""Every segmentation network in a size that runs in no time."""

import torch

from medmamba.networks import create

SMALL = {
    "umamba-bot": {"features_per_stage": (4, 8, 8)},
    "umamba-enc": {"features_per_stage": (4, 8, 64), "input_size": (16, 16, 16)},
    "segmamba": {"features": (4, 8, 8, 8), "hidden_size": 8, "depths": (1, 1, 1, 1)},
    "segmamba-v2": {"features": (4, 8, 8, 8), "hidden_size": 8, "depths": (1, 1, 1, 1)},
    "lightm-unet": {"init_filters": 8, "blocks_down": (1, 1, 1), "blocks_up": (1, 1)},
    "vivim": {
        "features": (8, 16, 16, 16), "depths": (1, 1, 1, 1), "num_attention_heads": (1, 2, 2, 2),
        "decoder_hidden_size": 16, "mamba_layers_per_stage": 1,
    },
}  # fmt: skip
SHAPES = {"segmamba": (32, 16, 16), "segmamba-v2": (32, 16, 16), "vivim": (5, 32, 32)}


def build(name: str, channels: int = 2, classes: int = 3, **options) -> torch.nn.Module:
    """The network with fixed weights."""
    torch.manual_seed(0)
    return create(name, input_channels=channels, num_classes=classes, **SMALL[name], **options)


def example(name: str, channels: int = 2) -> torch.Tensor:
    """An input that it takes."""
    return torch.randn(1, channels, *SHAPES.get(name, (16, 16, 16)))
