"""DICOM segmentations read back as label maps in the patient's space."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .extra import quiet, require

_OFF = 0.1
"""Voxel edges by which a segmentation's voxels may lie off those of the grid that they are put onto."""
_UNEVEN = 0.2
"""Share by which distances of slices may differ: those of series with rounded positions do."""


@dataclass(frozen=True)
class LabelVolume:
    """A label map and where it lies. Slices outside of all segments are often not in the file, hence not in here."""

    voxels: NDArray[np.uint16]
    """(z, y, x)."""
    affine: NDArray[np.float64]
    """(4, 4): index (x, y, z) to millimetres to the left, posterior, superior, as DICOM and ITK count them."""
    names: Mapping[int, str]
    """Label value -> name, also of segments without a voxel."""

    def on_grid(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> NDArray[np.uint16]:
        """The label map on a larger grid, background around it; no voxel is interpolated.

        shape: (z, y, x). affine: as ours; axes may come in another order and point the other way. Raises DataError
        where the voxels are not some of that grid's.
        """
        step = np.linalg.inv(affine) @ self.affine
        whole = np.rint(step)
        corners = np.array([[0, 0, 0, 1], [*(np.array(self.voxels.shape[::-1]) - 1), 1]]).T
        if np.abs((step - whole) @ corners).max() > _OFF or not _swaps(whole[:3, :3]):
            raise DataError(
                "The segmentation lies on another grid than its image.", "Resample it onto that of the image."
            )
        index = np.argwhere(self.voxels)
        values = self.voxels[tuple(index.T)]
        places = (index[:, ::-1] @ whole[:3, :3].T + whole[:3, 3]).astype(np.int64)[:, ::-1]
        if len(places) and ((places < 0) | (places >= shape)).any():
            raise DataError("The segmentation reaches out of its image.", "Is it one of this series?")
        labels = np.zeros(shape, np.uint16)
        labels[tuple(places.T)] = values
        return labels


def _swaps(matrix: NDArray[np.float64]) -> bool:
    """Whether a matrix of whole numbers does nothing but exchange and turn round axes."""
    return bool((np.abs(matrix).sum(0) == 1).all() and (np.abs(matrix).sum(1) == 1).all())


def read_segmentation(file: Path, values: Mapping[str, int] | None = None) -> LabelVolume:
    """The label map in a DICOM segmentation.

    values: name of a segment -> the label value that it gets. None: segments keep their numbers, which in a file of
    ours with all labels of the model are the label values.

    Raises DataError where the file is no segmentation, is damaged, has segments that overlap or shares (fractional)
    in place of labels, or a name that `values` does not have; SetupError without the extra `dicom`.
    """
    highdicom, _ = require()
    with quiet():
        try:
            found = highdicom.seg.segread(file)
            names = {number: str(found.get_segment_description(number).SegmentLabel) for number in _numbers(found)}
            volume = found.get_volume(combine_segments=True, rescale_fractional=False, dtype=np.uint16, rtol=_UNEVEN)
        except OSError as error:
            raise DataError(f"{file} cannot be read.", "Check the path and its permissions.") from error
        except Exception as error:  # whatever a damaged or other kind of file makes of these libraries
            problem = f"{file} is no DICOM segmentation that can be read as a label map ({type(error).__name__})."
            raise DataError(problem, "It has to be whole, binary, on one regular grid and without overlaps.") from error
    if values is not None and (unknown := [name for name in names.values() if name not in values]):
        raise DataError(
            f"{file} has the segment {unknown[0]}, which has no label value.", f"Known: {', '.join(values)}."
        )
    voxels = np.asarray(volume.array, np.uint16)
    if values is not None:
        table = np.zeros(max(names) + 1, np.uint16)
        table[list(names)] = [values[name] for name in names.values()]
        voxels, names = table[voxels], {values[name]: name for name in names.values()}
    return LabelVolume(voxels, np.array(volume.affine)[:, [2, 1, 0, 3]], names)


def _numbers(found: Any) -> list[int]:
    """Segment numbers but for the background, which label maps of later standards describe too."""
    return [number for number in found.segment_numbers if number]


def sources(file: Path) -> tuple[str, ...]:
    """SOP instance UIDs of the images that a segmentation was made from, in its own order.

    DataError where the file is no DICOM segmentation or has not all its pixels.
    """
    _, pydicom = require()
    with quiet():
        try:
            found = pydicom.dcmread(file)
            wanted = -(-int(found.NumberOfFrames) * found.Rows * found.Columns * found.BitsAllocated // 8)
            series = found.ReferencedSeriesSequence
            uids = tuple(
                str(one.ReferencedSOPInstanceUID) for part in series for one in part.ReferencedInstanceSequence
            )
            whole = found.Modality == "SEG" and len(found.PixelData) >= wanted
        except Exception as error:  # pydicom raises whatever damaged bytes lead it to
            raise DataError(f"{file} is no DICOM segmentation that can be read.", "Write it again.") from error
    if not whole:
        raise DataError(f"{file} is cut off, or no segmentation.", "Write it again.")
    return uids


def instance_uids(files: tuple[str, ...]) -> tuple[str, ...]:
    """SOP instance UIDs of slices, in the order given. DataError for a file that is no DICOM."""
    _, pydicom = require()
    with quiet():
        try:
            read = [pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True) for file in files]
        except Exception as error:  # as above
            raise DataError("A slice of the series cannot be read.", "Copy the series again.") from error
    return tuple(str(one.get("SOPInstanceUID", "")) for one in read)
