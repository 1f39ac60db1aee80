"""NIfTI files read raw, because the usual readers mend what a check has to see.

nibabel takes a zero voxel size for 1 and a negative one for positive; ITK fills what a truncated file lacks, turns NaN
into zero and lets sform decide the axes and pixdim the spacing.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from .file import HEAD, UnusableError, readable, recognised
from .geometry import TOLERANCE, Geometry, difference, from_lps, numbers

_MOST_DEFLATED = 1032
"""Bytes that one byte of a gzip file can at most become."""
_SHEAR, _COLLAPSED = 1e-3, 0.9
"""Cosine between two axes above which ITK refuses the image, and above which they are no two axes any more."""
Reader = Literal["itk", "nibabel"]
"""What nnU-Net reads the dataset with: nibabel for .nii and where dataset.json asks for it."""
Faults = list[tuple[str, str]]
"""(kind, text) of each thing that is wrong and still lets the voxels be read."""


@dataclass(frozen=True)
class Stored:
    """What a NIfTI file holds."""

    voxels: NDArray[Any]
    """Flat, as they are stored."""
    scale: tuple[float, float] | None
    """Slope and intercept to apply to them."""
    shape: tuple[int, ...]
    """(x, y[, z])."""
    geometry: Geometry | None
    """None where the header cannot be trusted."""
    faults: Faults


def read(path: Path, reader: Reader = "itk") -> Stored:
    """Read a NIfTI file in one pass to its end, and judge it as what nnU-Net reads it with would.

    Raises UnusableError where there are no voxels to be had.
    """
    with readable(path) as stream:
        header = _header(recognised(stream.read(HEAD), path))
        faults: Faults = []
        shape = _shape(header, faults)
        _taken(header, reader)
        voxels = _voxels(header, shape, stream, path)
    dtype = voxels.dtype
    if dtype.kind in "iu" and dtype.itemsize > 4:
        faults.append(("wide-type", f"Is stored as {dtype.name}."))
    geometry = _geometry(header, shape, faults, reader)
    if reader == "itk" and geometry is not None:
        geometry = as_itk(path, shape)
    slope, intercept = header.get_slope_inter()
    scaled = slope is not None and (slope, intercept) != (1.0, 0.0)
    return Stored(voxels, (float(slope), float(intercept)) if scaled else None, shape, geometry, faults)


def read_geometry(path: Path) -> Geometry:
    """The geometry alone. Raises UnusableError where there is none."""
    with readable(path) as stream:
        header = _header(stream.read(HEAD))
    faults: Faults = []
    geometry = _geometry(header, _shape(header, faults), faults, "nibabel")
    if geometry is None:
        raise UnusableError(*faults[-1])
    return geometry


def _header(head: bytes) -> Any:
    """The header as it is written, unmended."""
    sizes = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    kind = nibabel.Nifti1Header if 348 in sizes else nibabel.Nifti2Header if 540 in sizes else None
    if kind is None or len(head) < kind.template_dtype.itemsize:
        raise UnusableError("not-an-image", f"Begins with {head[:8].hex(' ')}, not as NIfTI does.")
    header = kind(head[: kind.template_dtype.itemsize], check=False)
    if not bytes(header["magic"]).startswith(b"n+"):
        raise UnusableError("not-an-image", "Is an Analyze header, or one half of a .hdr/.img pair.")
    return header


def _shape(header: Any, faults: Faults) -> tuple[int, ...]:
    count = int(header["dim"][0])
    sizes = tuple(int(size) for size in header["dim"][1 : 1 + max(count, 0)])
    if not 1 <= count <= 7 or min(sizes) < 1:
        raise UnusableError("dimensions", f"The header gives the dimensions {header['dim'].tolist()}.")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    if len(sizes) == 4:
        raise UnusableError("four-axes", f"Has the shape {numbers(sizes)}.")
    if len(sizes) not in (2, 3):
        raise UnusableError("dimensions", f"Has {len(sizes)} dimension(s): {numbers(sizes)}.")
    if len(sizes) < count:
        faults.append(("fourth-axis", f"Has the shape {numbers(sizes)} x 1."))
    return sizes


def _taken(header: Any, reader: Reader) -> None:
    if reader == "itk" and header.sizeof_hdr == nibabel.Nifti2Header.sizeof_hdr:
        raise UnusableError("reader-refuses", "Is NIfTI-2, which SimpleITK does not read.")
    if reader == "nibabel" and header["dim"][0] != 3:
        raise UnusableError(
            "reader-refuses", f"Has {int(header['dim'][0])} axes; nnU-Net's nibabel reader takes three."
        )


def _voxels(header: Any, shape: tuple[int, ...], stream: BinaryIO, path: Path) -> NDArray[Any]:
    """The stored numbers, flat. Reads to the end, where gzip keeps its checksum."""
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise UnusableError("data-type", f"The header's data type {int(header['datatype'])} is none.") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        name = "RGB" if dtype.names else dtype.name
        raise UnusableError("data-type", f"Is stored as {name}.")
    wanted, start = math.prod(shape) * dtype.itemsize, int(header["vox_offset"])
    size = path.stat().st_size
    if wanted > size * (_MOST_DEFLATED if path.suffix == ".gz" else 1):
        raise UnusableError("truncated", f"The header promises {wanted} bytes, the file has {size}.")
    stream.seek(start)
    try:
        content = np.empty(wanted, np.uint8)
    except MemoryError as error:
        raise UnusableError("crash", f"Needs {wanted / 2**30:.1f} GiB of memory, which are not there.") from error
    view, filled = memoryview(cast(Any, content)), 0
    while filled < wanted and (count := cast(Any, stream).readinto(view[filled : filled + 2**22])):
        filled += count
    while stream.read(2**20):
        pass
    if filled < wanted:
        raise UnusableError("truncated", f"The header promises {wanted} bytes of voxels, the file has {filled}.")
    return content.view(dtype)


def _geometry(header: Any, shape: tuple[int, ...], faults: Faults, reader: Reader) -> Geometry | None:
    """pixdim's spacing with sform's axes, or qform's. None, and a fault, where nothing of it can be used."""
    count = len(shape)
    spacing = np.array(header["pixdim"][1 : 1 + count], np.float64)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        faults.append(("spacing-invalid", f"pixdim is {numbers(spacing.tolist())} mm."))
        return None
    grids: dict[str, Geometry] = {}
    wrong: Faults = []
    for name in ("sform", "qform"):
        if header[f"{name}_code"] > 0:
            try:
                grids[name] = _grid(_affine(header, name), shape, spacing, name, reader)
            except UnusableError as error:
                wrong.append((error.kind, error.text))
    if any(kind == "spacing-disagrees" for kind, _ in wrong) or (wrong and not grids):
        faults.append(wrong[0])
        return None
    if wrong:
        faults.append(("forms-disagree", f"{wrong[0][1]} The {next(iter(grids))} can be used."))
    elif len(grids) == 2:
        _compare_forms(grids["sform"], grids["qform"], faults)
    if not grids:
        return Geometry(shape, tuple(spacing.tolist()), (0.0,) * count, tuple(map(tuple, np.eye(count).tolist())))
    grid = next(iter(grids.values()))
    if _lean(np.array(grid.direction)) > _SHEAR:
        faults.append(("sheared", _leaning(np.array(grid.direction))))
    return grid


def _affine(header: Any, name: str) -> NDArray[np.float64]:
    """(4, 4), by sform or qform. UnusableError where the quaternion is none."""
    if name == "sform":
        return header.get_sform()
    header = header.copy()
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1  # NIfTI takes 0 for 1, nibabel takes it for an error
    try:
        return header.get_qform()
    except (HeaderDataError, ValueError) as error:
        raise UnusableError("not-orthogonal", f"The qform is no rotation ({error}).") from error


def _grid(
    affine: NDArray[np.float64], shape: tuple[int, ...], spacing: NDArray[np.float64], name: str, reader: Reader
) -> Geometry:
    """The geometry that one form tells. UnusableError where it tells none that the reader takes."""
    count = len(shape)
    matrix, origin = affine[:count, :count], affine[:count, 3]
    lengths = np.linalg.norm(matrix, axis=0)
    if not (np.isfinite(affine).all() and (lengths > 0).all()):
        raise UnusableError("not-orthogonal", f"The {name} has an axis that is zero or not a number.")
    axes = matrix / lengths
    if _lean(axes) > (_SHEAR if reader == "itk" else _COLLAPSED):
        raise UnusableError("not-orthogonal", _leaning(axes))
    if (np.abs(lengths - spacing) / spacing.min() * np.array(shape)).max() > TOLERANCE:
        text = f"pixdim is {numbers(spacing.tolist())} mm, the {name} has {numbers(lengths.tolist())}."
        raise UnusableError("spacing-disagrees", text)
    return Geometry(shape, tuple(spacing.tolist()), tuple(origin.tolist()), tuple(map(tuple, axes.tolist())))


def _lean(axes: NDArray[np.float64]) -> float:
    """The largest cosine between two axes, the columns of `axes`."""
    return float(np.abs(axes.T @ axes - np.eye(len(axes))).max())


def _leaning(axes: NDArray[np.float64]) -> str:
    return f"Two axes are {math.degrees(math.asin(min(1.0, _lean(axes)))):.2g} degrees off the right angle."


def _compare_forms(sform: Geometry, qform: Geometry, faults: Faults) -> None:
    apart = difference(sform, qform)
    if apart.real:
        text = f"They put a voxel {apart.millimetres:.3g} mm apart; axes are {sform.axes} and {qform.axes}."
        faults.append(("forms-disagree", text))


def as_itk(path: Path, shape: tuple[int, ...]) -> Geometry:
    """What ITK, which chooses between sform and qform in its own way, takes the geometry for.

    Raises UnusableError where ITK refuses the header or takes the image for one of another shape, (x, y[, z]).
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnusableError("reader-refuses", f"ITK says: {str(error).strip().splitlines()[-1].strip()}") from error
    if reader.GetSize() != shape:
        raise UnusableError("reader-refuses", f"ITK takes its shape for {numbers(reader.GetSize())}.")
    return from_lps(shape, reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
