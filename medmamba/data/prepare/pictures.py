"""2-D pictures, colour or grey, in any file format that ITK reads, to the .png files that nnU-Net takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from ...errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey picture (ITU-R BT.601)."""
_SMALLEST_INTERIOR = 16
"""Pixels."""


def is_picture(path: Path) -> bool:
    """By its ending."""
    return path.suffix.lower() in ENDINGS


def read(path: Path) -> NDArray[Any]:
    """(height, width) or (height, width, channels), in the file's own numbers. DataError when it is no picture."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read as an image.", "Replace the file.") from error
    if image.GetDimension() != 2 and image.GetDepth() != 1:
        raise DataError(f"{path} holds {image.GetDepth()} pictures.", "Expected one.")
    pixels = sitk.GetArrayFromImage(image)
    return pixels[0] if image.GetDimension() == 3 else pixels


def rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    """(height, width, 3): grey is repeated, transparency dropped."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        return np.repeat(grey[..., None], 3, axis=-1)
    return pixels[..., :3]


def grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """(height, width): the luma of a colour picture, in the same data type."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return pixels if pixels.ndim == 2 else pixels[..., 0]
    colours = pixels[..., :3]
    if (colours == colours[..., :1]).all():
        return colours[..., 0]
    luma = colours @ np.array(_LUMA)
    return luma.round().astype(pixels.dtype) if pixels.dtype.kind in "iu" else luma.astype(pixels.dtype)


def stretch(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """8 bits: the 1st percentile of the non-zero pixels becomes 0, the 99th 255, each channel by itself.

    The intensity rule of the NeurIPS 2022 cell segmentation challenge's baseline.
    """
    result = np.zeros(pixels.shape, np.uint8)
    for channel in np.ndindex(pixels.shape[2:]):
        values = pixels[(..., *channel)].astype(np.float64)
        if (values > 0).any():
            low, high = np.percentile(values[values > 0], (1, 99))
            scaled = (values - low) / max(high - low, 1e-9) * 255
            result[(..., *channel)] = scaled.clip(0, 255).astype(np.uint8)
    return result


def cropped(pixels: NDArray[Any], crop: Sequence[int] | None, path: Path) -> NDArray[Any]:
    """The part of a picture in a box (x, y, width, height). DataError when the box does not lie in it."""
    if crop is None:
        return pixels
    x, y, width, height = crop
    if pixels.shape[0] < y + height or pixels.shape[1] < x + width:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        if pixels.shape[:2] == (height, width):
            return pixels  # cropped before
        raise DataError(f"{path} is {size} pixels; the card cuts {width}x{height} at ({x}, {y}).", "Check the file.")
    return pixels[y : y + height, x : x + width]


def write_picture(source: Path, target: Path, channels: int, crop: Sequence[int] | None, intensity: str) -> None:
    """Write a picture as 8-bit .png with one channel or three. DataError when it has more bits that are to be kept."""
    pixels = (rgb if channels == 3 else grey)(cropped(read(source), crop, source))
    if intensity == "percentile":
        pixels = stretch(pixels)
    if pixels.dtype != np.uint8:
        problem = f"{source} has {pixels.dtype} pixels, and a picture of 8 bits is needed."
        raise DataError(problem, 'Convert it, or set intensity = "percentile" in the card.')
    write(pixels, target)


def write(pixels: NDArray[Any], target: Path) -> None:
    """Write 8-bit pixels, or label values of up to 16 bits, as .png."""
    Image.fromarray(np.ascontiguousarray(pixels)).save(target, format="PNG")


def read_label(path: Path) -> NDArray[Any]:
    """(height, width) label numbers or mask. DataError for a coloured label picture, whose colours are no numbers."""
    pixels = read(path)
    if pixels.ndim == 3:
        colours = pixels[..., : min(pixels.shape[2], 3)] if pixels.shape[2] > 2 else pixels[..., :1]
        if (colours != colours[..., :1]).any():
            raise DataError(f"{path} is a coloured picture, not label numbers.", "Convert its colours to numbers.")
        pixels = colours[..., 0]
    return pixels


def interior_and_boundary(cells: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbered cells (height, width) to 0 background, 1 interior, 2 boundary.

    The boundary is the cells' inner boundary dilated by a disk of radius 1; what is left of a cell is interior, unless
    it is smaller than 16 pixels (NeurIPS 2022 cell segmentation challenge).
    """
    from scipy.ndimage import label
    from skimage.morphology import dilation, disk
    from skimage.segmentation import find_boundaries

    boundary = dilation(find_boundaries(cells, mode="inner"), disk(1))
    parts, _ = label((cells > 0) & ~boundary)
    sizes = np.bincount(parts.ravel())
    result = ((parts > 0) & (sizes >= _SMALLEST_INTERIOR)[parts]).astype(np.uint8)
    result[boundary] = 2
    return result
