"""From files of a download to files of an nnU-Net dataset, where a link is not enough."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ...errors import DataError
from .. import nifti
from ..clips import write_stack
from ..integrity import check_complete
from ..labelmaps import LabelMap, UnknownLabelError
from . import pictures

Options = Mapping[str, Any]
"""What decides the result beside the sources; JSON."""
_SAME_PLACE = 1e-3
"""Masks of one case may differ by this much in their affine matrices (mm); written that far off by some tools."""


def convert(action: str, sources: Sequence[Path], targets: Sequence[Path], options: Options) -> None:
    """Make the target files from the sources.

    `action`: "reformat", "time", "picture", "clip", or one of the label kinds "map", "masks", "binary", "instances";
    labels of a clip have `options["clip"]`. DataError names the source file that cannot be converted and why.
    """
    _ACTIONS[action](sources, targets, options)


def _reformat(sources: Sequence[Path], targets: Sequence[Path], options: Options) -> None:
    """The same image in another file format; NIfTI files keep every byte of header and voxels."""
    source, target = sources[0], targets[0]
    if nifti.is_nifti(source) and nifti.is_nifti(target):
        nifti.recompress(source, target)
    else:
        _write_itk(_read_itk(source), target)


def _time(sources: Sequence[Path], targets: Sequence[Path], options: Options) -> None:
    nifti.split_time(sources[0], tuple(targets))


def _picture(sources: Sequence[Path], targets: Sequence[Path], options: Options) -> None:
    pictures.write_picture(sources[0], targets[0], options["channels"], options["crop"], options["intensity"])


def _clip(sources: Sequence[Path], targets: Sequence[Path], options: Options) -> None:
    frames = []
    for source in sources:
        frame = pictures.rgb(pictures.read(source))
        if frame.dtype != np.uint8:
            raise DataError(f"{source} has {frame.dtype} pixels.", "Convert the frames to 8 bits a channel.")
        frames.append(frame)
    stack = _stacked(frames, sources)
    for channel, target in enumerate(targets):
        write_stack(stack[..., channel], target)


def _stacked(images: Sequence[NDArray[Any]], paths: Sequence[Path]) -> NDArray[Any]:
    for image, path in zip(images, paths, strict=True):
        if image.shape != images[0].shape:
            sizes = (f"{shape[1]}x{shape[0]}" for shape in (image.shape, images[0].shape))
            raise DataError(f"{path} is {next(sizes)} pixels, {paths[0].name} {next(sizes)}.", "Make them equal.")
    return np.stack(images)


Combine = Callable[[Iterable[NDArray[Any]], Sequence[Path], Options], NDArray[Any]]
"""Joins the numbers of one case's label files, which come one after the other: a hundred masks do not fit in memory."""


def _mapped(arrays: Iterable[NDArray[Any]], paths: Sequence[Path], options: Options) -> NDArray[Any]:
    try:
        return LabelMap(dict(options["values"])).apply(next(iter(arrays)))
    except UnknownLabelError as error:
        raise DataError(f"{paths[0]} {error.problem}.", error.remedy) from error


def _painted(arrays: Iterable[NDArray[Any]], paths: Sequence[Path], options: Options) -> NDArray[Any]:
    result = None
    for array, value in zip(arrays, options["values"], strict=True):
        if result is None:
            result = np.zeros(array.shape, np.uint8 if max(options["values"]) < 256 else np.uint16)
        result[array > options["threshold"]] = value
    assert result is not None  # a case without any mask is incomplete
    return result


def _united(arrays: Iterable[NDArray[Any]], paths: Sequence[Path], options: Options) -> NDArray[Any]:
    masks = (array > options["threshold"] for array in arrays)
    return reduce(np.logical_or, masks).astype(np.uint8)


def _cells(arrays: Iterable[NDArray[Any]], paths: Sequence[Path], options: Options) -> NDArray[Any]:
    return pictures.interior_and_boundary(next(iter(arrays)))


def _labels(combine: Combine) -> Callable[[Sequence[Path], Sequence[Path], Options], None]:
    """A converter of label files that joins their numbers by `combine`."""

    def run(sources: Sequence[Path], targets: Sequence[Path], options: Options) -> None:
        if options.get("clip"):
            frames = [combine([pictures.read_label(source)], [source], options) for source in sources]
            write_stack(_stacked(frames, sources), targets[0])
        elif pictures.is_picture(targets[0]):
            labels = (pictures.cropped(pictures.read_label(path), options.get("crop"), path) for path in sources)
            pictures.write(combine(_of_one_size(labels, sources), sources, options), targets[0])
        elif all(nifti.is_nifti(path) for path in (*sources, *targets)):
            first = nifti.load(sources[0])
            nifti.write_like(combine(_of_one_grid(first, sources), sources, options), first, targets[0])
        else:
            images = (_read_itk(path) for path in sources)
            arrays = _of_one_size((sitk.GetArrayFromImage(image) for image in images), sources)
            result = sitk.GetImageFromArray(combine(arrays, sources, options))
            result.CopyInformation(_read_itk(sources[0]))
            _write_itk(result, targets[0])

    return run


def _of_one_grid(first: Any, paths: Sequence[Path]) -> Iterator[NDArray[Any]]:
    """The voxels of NIfTI files. DataError for one that does not lie where the first lies."""
    for path in paths:
        image = nifti.load(path)
        if image.shape != first.shape or not np.allclose(image.affine, first.affine, atol=_SAME_PLACE):
            raise DataError(f"{path} does not lie where {paths[0].name} lies.", "Masks of a case need one grid.")
        yield nifti.voxels(image, path)


def _of_one_size(arrays: Iterable[NDArray[Any]], paths: Sequence[Path]) -> Iterator[NDArray[Any]]:
    shape: tuple[int, ...] = ()
    for array, path in zip(arrays, paths, strict=True):
        shape = shape or array.shape
        if array.shape != shape:
            raise DataError(f"{path} and {paths[0].name} differ in size.", "Masks of a case need one grid.")
        yield array


def _read_itk(path: Path) -> Any:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read as an image.", "Download it again.") from error


def _write_itk(image: Any, target: Path) -> None:
    try:
        sitk.WriteImage(image, str(target), useCompression=True)
        check_complete(target)  # ITK does not notice a full disk
    except (RuntimeError, DataError) as error:
        raise OSError(f"{target} could not be written") from error


_ACTIONS: dict[str, Callable[[Sequence[Path], Sequence[Path], Options], None]] = {
    "reformat": _reformat,
    "time": _time,
    "picture": _picture,
    "clip": _clip,
    "map": _labels(_mapped),
    "masks": _labels(_painted),
    "binary": _labels(_united),
    "instances": _labels(_cells),
}
