"""Series as a scanner writes them, for the tests of segmentations: oblique, names in no order, a patient in all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.predict.made_images import affine, voxels

CANARY = "ZZPHIZZ"
OBLIQUE = affine((0.8, 1.25, 3.0), turn=(20, -15, 40))


def lps(matrix: np.ndarray) -> np.ndarray:
    """An affine to the left, posterior, superior from one to the right, anterior, superior."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


def write_series(
    folder: Path,
    array: np.ndarray | None = None,
    matrix: np.ndarray = OBLIQUE,
    change: Callable[[int, Any], None] = lambda number, one: None,
) -> Path:
    """A CT series of an array (x, y, z) in an affine; `change` alters the data set of a slice, by its number."""
    folder.mkdir(parents=True, exist_ok=True)
    array = voxels() if array is None else array
    place = lps(matrix)
    spacing = np.linalg.norm(place[:3, :3], axis=0)
    turn = place[:3, :3] / spacing
    for number in range(array.shape[2]):
        one = pydicom.Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2"
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, f"1.2.3.4.{number + 1}"
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
        one.Modality, one.SeriesNumber, one.InstanceNumber = "CT", 7, number + 1
        one.PatientName, one.PatientID, one.AccessionNumber = f"{CANARY}^Name", f"{CANARY}-1", f"{CANARY}-2"
        one.StudyDate, one.StudyTime, one.StudyID = "20200102", "030405", "4"
        one.ImagePositionPatient = [f"{part:.10g}" for part in (place @ [0, 0, number, 1])[:3]]
        one.ImageOrientationPatient = [f"{part:.10g}" for part in (*turn[:, 0], *turn[:, 1])]
        one.PixelSpacing, one.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        one.Rows, one.Columns, one.SamplesPerPixel = array.shape[1], array.shape[0], 1
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PhotometricInterpretation, one.RescaleIntercept, one.RescaleSlope = "MONOCHROME2", 0, 1
        one.PixelData = np.ascontiguousarray(array[:, :, number].T).astype("<i2").tobytes()
        change(number, one)
        one.save_as(folder / f"{(number * 7919) % 97:03d}.dcm", enforce_file_format=True)
    return folder


def label_map(shape: tuple[int, int, int] = (5, 6, 7), labels: int = 3, seed: int = 0) -> np.ndarray:
    """Labels (z, y, x) of a shape (x, y, z) that no turn of the axes maps onto itself."""
    found = np.random.default_rng(seed).integers(0, labels + 1, shape[::-1]).astype(np.uint8)
    found[0] = 0  # a slice that is left out
    return found
