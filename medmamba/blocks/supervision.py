"""nnU-Net's deep-supervision switch for networks that have a single output.

Stock nnU-Net trainers ask every network for deep supervision, toggle ``network.decoder.deep_supervision`` and expect a
list of outputs while it is on. A network without auxiliary heads answers with a list of one.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn


class SingleOutput(nn.Module):
    """Mix-in: `respond` wraps the one output as nnU-Net expects it."""

    def __init__(self, deep_supervision: bool = False) -> None:
        super().__init__()
        self.decoder = SimpleNamespace(deep_supervision=deep_supervision)

    @classmethod
    def patch_divisor(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """What each axis of a patch must be divisible by (see `medmamba.networks.planning`)."""
        return (1,) * len(patch_size)

    @classmethod
    def plan_arguments(
        cls, patch_size: Sequence[int], unet_arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Arguments for an nnU-Net plan: the preset's, and strides from which nnU-Net makes loss weights of (1, 0).

        nnU-Net derives one weight per level but the last from the strides, sets the last weight to zero and pairs the
        rest with the outputs; two levels above the last are the fewest that leave the one output its full weight.
        """
        dims = len(patch_size)
        return {**config, "strides": [[1] * dims, [2] * dims, [2] * dims]}

    def respond(self, output: Tensor) -> Tensor | list[Tensor]:
        """The output, or a list with it while deep supervision is switched on."""
        return [output] if self.decoder.deep_supervision else output
