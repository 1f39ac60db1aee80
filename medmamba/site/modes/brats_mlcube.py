"""BraTS until 2024: an MLCube that is called as `infer --data_path=/mlcube_io0 --output_path=/mlcube_io2`."""

from dataclasses import dataclass

from ..arguments import Options
from .brats_2025 import Brats2025


@dataclass(frozen=True)
class BratsMlcube(Brats2025):
    """The same files as later, in folders that arguments name."""

    name = "brats-mlcube"
    DATA, OUTPUT = "/mlcube_io0", "/mlcube_io2"

    @classmethod
    def fits(cls, options: Options) -> bool:
        """By the arguments that only this convention has."""
        return options.verb == "infer" and options.mlcube
