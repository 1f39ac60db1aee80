"""Video clips as nnU-Net cases: time on the first array axis.

One clip becomes one NIfTI file per colour channel with array axes (T, H, W), so time is the file's third axis. The
spacing over time is the same constant in every case, so that nnU-Net never resamples over time; the frame rate goes to
clips.json.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..files import replacing, write_json

TIME_SPACING = 999.0
"""What nnU-Net itself writes as the spacing across a stack of 2-D images."""
_IMAGE_ENDINGS = {".png", ".bmp", ".tif", ".tiff"}


def write_clip_dataset(
    source: Path, raw: Path, dataset_id: int, name: str, frame_rate: float | None = None, label: str = "object"
) -> Path:
    """Turn a folder of clips into an nnU-Net raw dataset and return its folder.

    Parameters
    ----------
    source: folder with CLIP/frames/*.png and CLIP/masks/*.png, in the order of time when sorted by name, masks of two
        values (0 and anything else). Clips without a masks folder become test cases (imagesTs).
    raw: nnU-Net's raw folder.
    dataset_id, name: make the folder's name DatasetXXX_Name.
    frame_rate: frames per second where known; only noted in clips.json.
    label: what the masks show.

    DataError names the clip and file when a mask is missing, a frame has another size, or a file cannot be read, and
    says so when the number is taken.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConfigError(f"--name {name!r} is no name for a dataset.", "Use letters, digits, _, - and dots.")
    folder = raw / f"Dataset{dataset_id:03d}_{name}"
    if folder.exists():
        raise DataError(f"{folder} is there already.", "Remove it or take another --id or --name.")
    if twins := sorted(raw.glob(f"Dataset{dataset_id:03d}_*")):
        raise DataError(f"{twins[0]} has the number {dataset_id:03d} already.", "Take another --id.")
    clips = sorted(path.parent for path in source.glob("*/frames") if path.is_dir())
    if not clips:
        raise DataError(f"{source} holds no clip.", "Expected CLIP/frames/*.png and CLIP/masks/*.png in it.")
    with replacing(folder) as temporary:
        (temporary / "labelsTr").mkdir(parents=True)
        frames = {clip.name: _write_clip(clip, temporary) for clip in clips}
        training = len(list((temporary / "labelsTr").iterdir()))
        if not training:
            raise DataError(f"No clip in {source} has masks.", "Put the masks of a clip into CLIP/masks/.")
        content = {
            "channel_names": {str(channel): "rgb_to_0_1" for channel in range(3)},
            "labels": {"background": 0, label: 1},
            "numTraining": training,
            "file_ending": ".nii.gz",
        }
        write_json(temporary / "dataset.json", content)
        write_json(temporary / "clips.json", {"temporal_axis": 0, "frame_rate": frame_rate, "frames": frames})
    return folder


def _write_clip(clip: Path, folder: Path) -> list[str]:
    """Write one clip's channels, and its mask where it has one; return its frames' names in order."""
    paths = _images_in(clip / "frames")
    frames = _stack([_rgb(path) for path in paths], paths)
    has_masks = (clip / "masks").is_dir()
    if has_masks:
        mask_paths = [_mask_of(path, clip / "masks") for path in paths]
        masks = _stack([*(_binary(path) for path in mask_paths)], mask_paths)
        if masks.shape != frames.shape[:3]:
            raise DataError(
                f"{clip}: masks are {masks.shape[1:]} and frames {frames.shape[1:3]} pixels (height, width).",
                "Frames and masks need the same size.",
            )
        write_stack(masks, folder / "labelsTr" / f"{clip.name}.nii.gz")
    for channel in range(3):
        split = "imagesTr" if has_masks else "imagesTs"
        write_stack(frames[..., channel], folder / split / f"{clip.name}_{channel:04d}.nii.gz")
    return [path.name for path in paths]


def _images_in(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGE_ENDINGS)
    if not paths:
        raise DataError(f"{folder} holds no image.", f"Expected files ending in {', '.join(sorted(_IMAGE_ENDINGS))}.")
    return paths


def _mask_of(frame: Path, folder: Path) -> Path:
    found = sorted(path for path in folder.glob(f"{frame.stem}.*") if path.suffix.lower() in _IMAGE_ENDINGS)
    if not found:
        raise DataError(f"{frame} has no mask {folder / frame.name}.", "Each frame needs a mask of its name.")
    return found[0]


def _read(path: Path) -> NDArray[Any]:
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read as an image.", "Replace the file.") from error


def _rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3); a grey frame gives three equal channels, an alpha channel is dropped."""
    pixels = _read(path)
    if pixels.dtype != np.uint8:
        raise DataError(f"{path} has {pixels.dtype} pixels.", "Convert the frames to 8 bits a channel.")
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3]


def _binary(path: Path) -> NDArray[np.uint8]:
    """(H, W) of 0 and 1. More than two values would be several classes, or a lossy file: both are refused."""
    pixels = _read(path)
    pixels = pixels if pixels.ndim == 2 else pixels[..., 0]
    values = np.unique(pixels)
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        raise DataError(f"{path} has the values {values[:6].tolist()}.", "A mask holds 0 and one other value.")
    return (pixels > 0).astype(np.uint8)


def _stack(images: Sequence[NDArray[np.uint8]], paths: Sequence[Path]) -> NDArray[np.uint8]:
    for image, path in zip(images, paths, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path} is {image.shape[:2]} pixels, {paths[0].name} {images[0].shape[:2]}.", "Make them equal."
            )
    return np.stack(images)


def write_stack(array: NDArray[Any], path: Path) -> None:
    """Write an array (T, H, W) as a NIfTI file (W, H, T)."""
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, TIME_SPACING))
    sitk.WriteImage(image, str(path))
