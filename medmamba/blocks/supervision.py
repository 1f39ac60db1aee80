"""nnU-Net's deep-supervision switch for networks that have a single output.

Stock nnU-Net trainers ask every network for deep supervision, toggle ``network.decoder.deep_supervision`` and expect a
list of outputs while it is on. A network without auxiliary heads answers with a list of one.
"""

from types import SimpleNamespace

from torch import Tensor, nn


class SingleOutput(nn.Module):
    """Mix-in: `respond` wraps the one output as nnU-Net expects it."""

    def __init__(self, deep_supervision: bool = False) -> None:
        super().__init__()
        self.decoder = SimpleNamespace(deep_supervision=deep_supervision)

    def respond(self, output: Tensor) -> Tensor | list[Tensor]:
        """The output, or a list with it while deep supervision is switched on."""
        return [output] if self.decoder.deep_supervision else output
