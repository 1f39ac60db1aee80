"""How raw images are read where no model says how: volumes as they are stored, with the channels that were named."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..predict.recipe import Recipe


def plain_recipe(channels: Sequence[str], file_ending: str = ".nii.gz") -> "Recipe":
    """A recipe of volumes in ITK's decoding. What concerns a network has neutral values that nobody reads."""
    from ..predict.recipe import Recipe, Resampling

    axes = (0, 1, 2)
    usual = Resampling()
    return Recipe(
        channels=tuple(channels),
        file_ending=file_ending,
        reader="itk",
        transpose_forward=axes,
        transpose_backward=axes,
        spacing=(1.0, 1.0, 1.0),
        patch_size=(1, 1, 1),
        normalizers=(),
        resample_image=usual,
        resample_logits=usual,
        resample_labels=usual,
        labels={"background": 0},
        heads=1,
        regions_class_order=None,
        foreground=(),
        mirror_axes=None,
        configuration="",
    )
