"""Preprocessed cases as registration sees them: (X, Y, Z), 0..1, and where each lies towards a reference."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...register.grid import Grid
from ...register.images import Volume
from ...register.intensity import scheme_of
from ...register.pair.options import Modality
from ..loop.stream import blame
from . import alignment
from .space import space_of

Triple = tuple[float, float, float]
_KEPT_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Case:
    """One case on its own grid, which has the plan's spacing."""

    images: tuple[Tensor, ...]
    """(X, Y, Z) float32 in 0..1, one for each channel."""
    labels: Tensor
    """(X, Y, Z) integers."""

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return sum(one.nbytes for one in (*self.images, self.labels))


class Cases:
    """Cases by name, read when they are first asked for and kept as long as there is room.

    Parameters
    ----------
    dataset: nnU-Net's, of the preprocessed cases. plans, configuration: whose arrays they are.
    """

    def __init__(self, dataset: Any, plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
        self._dataset = dataset
        self._plans = plans
        self._spacing = configuration["spacing"]
        self._schemes = configuration["normalization_schemes"]
        self._kept: OrderedDict[str, Case] = OrderedDict()
        self._bytes = 0
        self._aligned: alignment.Matrices = {}

    def __getitem__(self, name: str) -> Case:
        """The case of that name. DataError when it cannot be read."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        try:
            case = self._read(name)
        except Exception as error:
            blame(self._dataset, [name], error)
            raise
        self._kept[name] = case
        self._bytes += case.bytes
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].bytes
        return case

    def _read(self, name: str) -> Case:
        data, labels, *_, properties = self._dataset.load_case(name)
        space = space_of(self._plans, properties)
        images = [self._scaled(space.canonical(np.asarray(data[channel])), channel) for channel in range(len(data))]
        return Case(tuple(images), torch.from_numpy(space.canonical(np.asarray(labels[0])).astype(np.int16)))

    def _scaled(self, image: NDArray[Any], channel: int) -> Tensor:
        """An array of nnU-Net's in 0..1, by the rule of `medmamba register`."""
        modality = modality_of(self._schemes[channel])
        if modality == "ct":  # back to Hounsfield units
            known = self._plans["foreground_intensity_properties_per_channel"][str(channel)]
            image = image * known["std"] + known["mean"]
        return torch.from_numpy(scheme_of(image, modality).scaled(image))

    def align(self, data: Path, names: Sequence[str], channel: int, spacing: Triple) -> None:
        """Find, or read, the affine maps between these cases of the folder `data`; `between` uses them."""
        self._aligned = alignment.maps(data, channel, list(names), lambda name: self._volume(name, channel, spacing))

    def between(self, fixed: str, moving: str) -> NDArray[np.float64]:
        """The affine map (4, 4) from mm about the middle of one case to mm about the middle of another.

        The identity for cases that were not aligned.
        """
        if fixed == moving or fixed not in self._aligned or moving not in self._aligned:
            return np.eye(4)
        return self._aligned[moving] @ np.linalg.inv(self._aligned[fixed])

    def _volume(self, name: str, channel: int, spacing: Triple) -> Volume:
        image = self[name].images[channel].numpy()
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = -(np.array(image.shape) - 1) / 2 * spacing
        x, y, z = image.shape
        return Volume(image, Grid((x, y, z), affine), None, ())


def modality_of(normalization: str) -> Modality:
    """What nnU-Net's way of normalising says of a channel: CT or not."""
    return "ct" if normalization == "CTNormalization" else "mri"
