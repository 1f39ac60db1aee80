"""The trained models that a registration uses."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .options import Options

if TYPE_CHECKING:
    from ..network import RegistrationModel
    from .auto_seg import Segmenter


@dataclass(frozen=True)
class Models:
    """The trained models that a registration uses, read once for a whole batch."""

    network: "RegistrationModel | None" = None
    segmenter: "Segmenter | None" = None

    @classmethod
    def load(cls, options: Options) -> "Models":
        """Those that the options name. Raises what their loaders raise."""
        network = segmenter = None
        if options.model is not None:
            from ..trained import load_model

            network = load_model(options.model)
        if options.auto_seg is not None:
            from .auto_seg import Segmenter

            segmenter = Segmenter(options.auto_seg, options.device)
        return cls(network, segmenter)

    @property
    def digests(self) -> dict[str, str]:
        """Name of the option -> digest."""
        found = {"model": self.network, "auto_seg": self.segmenter}
        return {name: model.digest for name, model in found.items() if model is not None}
