"""A trained registration network, applied to a pair on its own grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.warp import integrate, warp
from ..errors import DataError
from .deform.fields import compose, smooth
from .grid import Grid
from .pair.options import Modality

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Use:
    """What using a registration network takes besides its weights."""

    spacing: Triple | None = None
    """mm along X, Y, Z (closest to RAS) of the images it was trained on; None: unknown, images come as they are."""
    size: tuple[int, int, int] | None = None
    """Voxels of the images it was trained on: smaller ones are padded to it."""
    modalities: tuple[Modality, Modality] = ("auto", "auto")
    """Of the fixed and of the moving image: by these they are scaled to 0..1 (`medmamba.register.intensity`)."""
    passes: int = 1
    """How often the network runs, each time on what the runs before have warped."""
    features: bool = False
    """Whether its read-out features were trained to tell labels apart."""
    labels: tuple[tuple[str, int], ...] = ()
    """Names and values of the labels that it was trained to align; none: it was trained on images alone."""
    smoothing: float = 0.0
    """Standard deviation, in voxels, of a Gaussian over what each run of the network puts out."""


@dataclass(frozen=True, eq=False)
class RegistrationModel:
    """A registration network with what its use takes.

    Several networks (folds) work together: the velocities of a pair are averaged, and the features stand side by side.
    """

    networks: tuple[nn.Module, ...]
    use: Use
    name: str
    digest: str
    """"sha256:...": of the bundle, or of the files of a results folder."""

    @property
    def multiple(self) -> int:
        """Every axis of an image must be divisible by it."""
        return max(cast(Any, self.networks[0]).divisor)

    def grid_for(self, fixed: Grid) -> Grid:
        """The grid that the network works on for a fixed image: its spacing, RAS axes, the whole field of view."""
        grid = fixed.canonical()
        if self.use.spacing is not None:
            grid = grid.resampled(self.use.spacing)
        grid = grid.padded(self.multiple)
        if self.use.size is None:
            return grid
        return _grown(grid, [max(own, size) for own, size in zip(grid.shape, self.use.size, strict=True)])

    @torch.no_grad()
    def displacement(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The displacement (1, 3, X, Y, Z), voxels, that takes fixed points to moving ones.

        fixed, moving: (1, 1, X, Y, Z) on one grid of `grid_for`, scaled to 0..1 and 0 outside, already aligned.
        """
        total: Tensor | None = None
        for _ in range(self.use.passes):
            seen = moving if total is None else warp(moving, total)
            step = self._once(fixed, seen)
            total = step if total is None else compose(step, total)
        assert total is not None
        return total

    def _once(self, fixed: Tensor, moving: Tensor) -> Tensor:
        first = cast(Any, self.networks[0])
        mean = torch.stack([network(moving, fixed, False)[1] for network in self.networks]).mean(0)
        if self.use.smoothing:
            mean = smooth(mean, [self.use.smoothing] * 3)
        return integrate(mean, first.integration_steps) if first.diffeomorphic else mean

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor | None:
        """The learnt features (1, C, X, Y, Z) of an image (1, 1, X, Y, Z), voxels of one label alike in all images.

        Unit vectors for each network, at half the resolution, interpolated. None where labels did not shape them.
        """
        if not self.use.features:
            return None
        found = []
        for network in self.networks:
            parts = cast(Any, network)
            found.append(F.normalize(parts.read_out_head(parts.feature_extractor(image)), dim=1))
        read = torch.cat(found, dim=1)
        return _at_full_size(read, image.shape[2:])

    def to(self, device: torch.device) -> "RegistrationModel":
        """The same with its weights on a device."""
        for network in self.networks:
            network.to(device)
        return self


def _at_full_size(features: Tensor, size: Sequence[int]) -> Tensor:
    """Features at half resolution (voxels 0, 2, 4, ..) on the full grid, linearly, the edge repeated."""
    padded = F.pad(features, [0, 1] * 3, mode="replicate")
    wide = [2 * n + 1 for n in features.shape[2:]]
    full = F.interpolate(padded, size=wide, mode="trilinear", align_corners=True)
    x, y, z = size
    return full[..., :x, :y, :z]


def _grown(grid: Grid, shape: Sequence[int]) -> Grid:
    """A grid with more voxels at both ends, where they were before."""
    before = [(wanted - size) // 2 for wanted, size in zip(shape, grid.shape, strict=True)]
    affine = grid.affine.copy()
    affine[:3, 3] = grid.world(-np.array(before))[0]
    x, y, z = shape
    return Grid((x, y, z), affine)


def ready(network: nn.Module) -> nn.Module:
    """The network for use: in evaluation mode, in the memory layout in which its convolutions are fastest."""
    return network.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def use_of(note: Mapping[str, Any]) -> Use:
    """The use in a note of plans or of a bundle, plain values; DataError where it is none."""
    try:
        modalities = tuple(str(one) for one in note["modalities"])
        spacing, size = tuple(map(float, note["spacing"])), tuple(map(int, note["size"]))
        if len(spacing) != 3 or len(size) != 3 or len(modalities) != 2 or not set(modalities) <= {"ct", "mri"}:
            raise ValueError("a number of axes")
        return Use(
            cast(Triple, spacing),
            cast(tuple[int, int, int], size),
            cast(tuple[Modality, Modality], modalities),
            int(note["passes"]),
            bool(note["features"]),
            tuple((str(name), int(value)) for name, value in note["labels"].items()),
            float(note.get("smoothing", 0)),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"The note of a registration network is wrong: {error}.", "Take the file beside it.") from error
