"""What turns an image into a label map besides the network: nnU-Net's plans of one configuration as plain values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Normalize = Callable[[NDArray[np.float32], NDArray[Any] | None], NDArray[np.float32]]
"""(image of one channel (*size), may be overwritten; mask (*size): negative outside of what is not zero) -> image."""
Reader = Literal["itk", "itk-ras", "nibabel", "nibabel-ras", "flat", "tiff"]
"""How nnU-Net reads this model's images: voxels as stored (ITK's or nibabel's decoding), or turned to RAS; photographs,
TIFF stacks."""
WholeResampler = Callable[[Any, Sequence[int], Sequence[float], Sequence[float]], Any]
"""nnU-Net's (data (C, *size), new size, spacing, new spacing) -> data, where resampling is not the usual."""


@dataclass(frozen=True)
class Resampling:
    """The arguments of nnU-Net's usual resampling, `resample_data_or_seg_to_shape`."""

    order: int = 3
    """Of the spline; along the coarse axis, where that is done on its own, `order_z`."""
    order_z: int = 0
    force_separate_z: bool | None = None
    """Resample the coarsest axis on its own: always, never, or (None) where it is 3 times as coarse as another."""


@dataclass(frozen=True)
class Recipe:
    """How one configuration of a model treats images. Axes and spacings in the plans' own (transposed) order."""

    channels: tuple[str, ...]
    """Names of the image's channels, in order. The one-hot channels of a cascade are not among them."""
    file_ending: str
    """Of the images that the model was trained on."""
    reader: Reader
    transpose_forward: tuple[int, ...]
    transpose_backward: tuple[int, ...]
    spacing: tuple[float, ...]
    """mm of the network's voxels; two numbers for a network of slices, which keeps the distance of the slices."""
    patch_size: tuple[int, ...]
    normalizers: tuple[Normalize, ...]
    """One a channel."""
    resample_image: Resampling | WholeResampler
    resample_logits: Resampling | WholeResampler
    resample_labels: Resampling | WholeResampler
    """Of the previous stage's label map in a cascade."""
    labels: Mapping[str, int | tuple[int, ...]]
    """Name -> label value, or the values that make a region; dataset.json's own order, "ignore" included."""
    heads: int
    """Channels of the network's output: labels (background first), or regions."""
    regions_class_order: tuple[int, ...] | None
    """With regions: the value that each paints, in order. None: the label is the channel with the highest logit."""
    foreground: tuple[int, ...]
    """All label values but the background and "ignore", ascending."""
    mirror_axes: tuple[int, ...] | None
    """Axes of the patch along which the model was trained with mirrored images."""
    configuration: str
    previous_stage: str | None = None
    """In a cascade: the configuration whose label map is this one's further input."""

    @property
    def has_regions(self) -> bool:
        """Whether outputs may overlap, each judged on its own by a sigmoid."""
        return self.regions_class_order is not None

    @property
    def uses_itk(self) -> bool:
        """Whether volumes are decoded as ITK does."""
        return self.reader in ("itk", "itk-ras")

    @property
    def turns(self) -> bool:
        """Whether volumes are turned to RAS before the network sees them."""
        return self.reader in ("itk-ras", "nibabel-ras")

    @property
    def label_dtype(self) -> type[np.uint8] | type[np.uint16]:
        """What nnU-Net writes label maps of this model in."""
        return np.uint8 if len(self.foreground) < 255 else np.uint16


@dataclass(frozen=True)
class LoadedModel:
    """A trained model in memory, wherever it came from: a results folder of nnU-Net's or a bundle."""

    recipe: Recipe
    network: nn.Module
    """On the CPU, in eval mode, without deep supervision; its weights are those of any fold, maybe the very tensors."""
    weights: tuple[Mapping[str, Tensor], ...]
    """A state dict a fold."""
    folds: tuple[str, ...]
    """Names of the folds, "0" to "4" or "all"."""
    plans: Mapping[str, Any]
    """nnU-Net's plans.json, which post-processing and ensembling want beside predictions."""
    dataset: Mapping[str, Any]
    """nnU-Net's dataset.json."""
    name: str
    """For people: where it came from."""
    digest: str
    """sha256:... of a bundle's manifest, or of the checkpoint files."""
    precision: str | None
    """What the recipe of one of our networks asks for (auto, fp32, bf16); None for a network that is not ours."""
    trainer: str = ""
    label_map: Mapping[str, Any] | None = None
    """Content of label_map.json: the way back from nnU-Net's label values to the dataset's own."""
    previous: "LoadedModel | None" = None
    """The model of a cascade's earlier stage."""
    notes: tuple[str, ...] = field(default=())
    """What the user should be told about this model."""
