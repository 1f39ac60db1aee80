"""All that makes a predictor, as plain values: what a command line says, and what another process can be sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...data.folders import Folders
    from ..predictor import Predictor
    from ..recipe import LoadedModel


@dataclass(frozen=True)
class Making:
    """Which model, and how it is run."""

    model: str
    """A bundle, a results folder, or DATASET:NET[:PRESET[:CONFIG]]."""
    folds: tuple[int | str, ...] | None = None
    checkpoint: str = "checkpoint_final.pth"
    expect: str | None = None
    """The digest that a bundle must have."""
    places: "Folders | None" = None
    """nnU-Net's folders, in which a model given by name lies."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `predictor.Predictor`: step_size, mirror, device, precision, engine, max_ram, ..."""

    def load(self) -> "LoadedModel":
        """The model in memory."""
        from ..loading import load

        return load(self.model, self.folds, self.checkpoint, self.places, self.expect)

    def predictor(self, model: "LoadedModel | None" = None) -> "Predictor":
        """A predictor of the model, which is loaded unless it is given."""
        from ..predictor import Predictor

        return Predictor(model or self.load(), **self.how)

    def elsewhere(self) -> "Making":
        """The same for a process that starts in another folder."""
        from dataclasses import replace

        path = Path(self.model)
        return replace(self, model=str(path.absolute()) if path.exists() else self.model)
