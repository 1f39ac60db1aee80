"""A sound case of two channels, and the ways in which images are broken: one function a kind."""

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
import tifffile
from skimage.io import imsave

from medmamba.predict.files.cases import Case
from medmamba.predict.recipe import Recipe
from tests.predict.made_images import affine, case, itk_image, recipe, save, save_series, voxels

Damage = Callable[[Path, Case, Recipe], tuple[Case, Recipe]]
BAD: dict[str, Damage] = {}
"""Name of the damage -> the function that does it and returns what to read."""


def build(folder: Path) -> tuple[Case, Recipe]:
    """A case with two channels, and what its model wants."""
    files = [save(folder / f"case_{number:04d}.nii.gz", voxels(seed=number)) for number in range(2)]
    return replace(case(*files), name="case", numbers=(0, 1)), recipe(channels=("T1w", "T2w"))


def file(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """Register a damage of the second channel's file."""

    def apply(folder: Path, good: Case, wanted: Recipe) -> tuple[Case, Recipe]:
        damage(good.files[1])
        return good, wanted

    BAD[damage.__name__] = apply
    return damage


def whole(damage: Damage) -> Damage:
    """Register a damage of the case."""
    BAD[damage.__name__] = damage
    return damage


def other(ending: str, write: Callable[[Path], None], name: str, wanted: Recipe | None = None) -> None:
    """Register a file of another format, as the case of a one-channel model."""

    def apply(folder: Path, good: Case, _: Recipe) -> tuple[Case, Recipe]:
        path = folder / f"other{ending}"
        write(path)
        return replace(case(path), name="other"), wanted or recipe()

    BAD[name] = apply


@file
def missing(path: Path) -> None:
    path.unlink()


@file
def link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


@file
def folder_with_the_name_of_a_file(path: Path) -> None:
    path.unlink()
    path.mkdir()


@file
def empty(path: Path) -> None:
    path.write_bytes(b"")


@file
def truncated_gzip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@file
def gzip_with_a_wrong_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)


@file
def flipped_bytes_in_gzip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[15:60] = bytes(byte ^ 255 for byte in content[15:60])
    path.write_bytes(content)


@file
def not_gzip_at_all(path: Path) -> None:
    path.write_bytes(gzip.decompress(path.read_bytes()))


@file
def fewer_voxels_than_promised(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))


@file
def terabytes_promised(path: Path) -> None:
    save(path, dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])


@file
def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>Please log in</body></html>")


@file
def git_lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")


@file
def dicom_named_nifti(path: Path) -> None:
    save_series(path.parent / "series", voxels((5, 6, 1)), names=lambda _: "x.dcm").joinpath("x.dcm").replace(path)


@file
def png_named_nifti(path: Path) -> None:
    imsave(path.with_suffix(".png"), voxels((6, 9), np.uint8), check_contrast=False)
    path.with_suffix(".png").replace(path)


@file
def text_named_nifti(path: Path) -> None:
    path.write_bytes(gzip.compress(b"these are no voxels, nor is it a header of any kind at all " * 40))


@file
def zip_archive(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(500))


@file
def nan(path: Path) -> None:
    array = voxels(dtype=np.float32)
    array[1, 2, 3] = np.nan
    save(path, array)


@file
def infinity(path: Path) -> None:
    array = voxels(dtype=np.float32)
    array[1:3, 2, 3] = -np.inf
    save(path, array)


@file
def beyond_32_bits(path: Path) -> None:
    array = voxels(dtype=np.float64)
    array[0, 0, :3] = 1e200
    save(path, array)


@file
def four_axes(path: Path) -> None:
    save(path, voxels((5, 6, 7, 3)))


@file
def five_axes(path: Path) -> None:
    save(path, voxels((5, 6, 7, 1, 3)))


@file
def colour(path: Path) -> None:
    save(path, datatype=128, bitpix=24)


@file
def complex_numbers(path: Path) -> None:
    save(path, datatype=32, bitpix=64)


@file
def unknown_type(path: Path) -> None:
    save(path, datatype=77)


@file
def zero_spacing(path: Path) -> None:
    save(path, pixdim=[1, 0.8, 0, 3, 0, 0, 0, 0])


@file
def spacing_not_a_number(path: Path) -> None:
    save(path, pixdim=[1, 0.8, np.nan, 3, 0, 0, 0, 0])


@file
def two_spacings(path: Path) -> None:
    save(path, pixdim=[1, 0.8, 2.5, 3, 0, 0, 0, 0])


@file
def singular_axes(path: Path) -> None:
    save(path, forms=(0, 1), srow_y=[0, 0, 0, 0])


@file
def sheared_axes(path: Path) -> None:
    save(path, forms=(0, 1), srow_x=[0.8, 0.4, 0, 0])


@file
def two_axes(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(voxels((6, 9))), str(path))


@file
def another_shape(path: Path) -> None:
    save(path, voxels((5, 6, 8)))


@file
def another_spacing(path: Path) -> None:
    save(path, matrix=affine((0.8, 1.25, 3.3)))


@file
def another_direction(path: Path) -> None:
    save(path, matrix=affine(turn=(0, 0, 7)))


@file
def another_place(path: Path) -> None:
    save(path, matrix=affine(origin=(-31.25, 17.5, 409)))


@file
def another_orientation(path: Path) -> None:
    save(path, matrix=affine(signs=(-1, 1, 1)))


@file
def negative_size(path: Path) -> None:
    save(path, dim=[3, 5, -6, 7, 1, 1, 1, 1])


@file
def nifti_2(path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(voxels(), affine()), path)


@whole
def ending_of_another_kind(folder: Path, good: Case, wanted: Recipe) -> tuple[Case, Recipe]:
    sitk.WriteImage(itk_image(voxels(), affine()), str(folder / "case.hdr"))
    return replace(case(folder / "case.hdr"), name="case"), recipe()


@whole
def missing_channel(folder: Path, good: Case, wanted: Recipe) -> tuple[Case, Recipe]:
    return replace(good, files=good.files[:1], numbers=(0,)), wanted


@whole
def channel_too_many(folder: Path, good: Case, wanted: Recipe) -> tuple[Case, Recipe]:
    return good, replace(wanted, channels=("T1w",))


@whole
def empty_series(folder: Path, good: Case, wanted: Recipe) -> tuple[Case, Recipe]:
    (folder / "case").mkdir()
    return replace(case(folder / "case", kind="dicom"), name="case"), recipe()


if os.geteuid():

    @file
    def permission_denied(path: Path) -> None:
        path.chmod(0)


def _cut(ending: str, keep: float, compress: bool = False) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        sitk.WriteImage(itk_image(voxels((20, 20, 20)), affine()), str(path), compress)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return write


def _meta(text: str) -> Callable[[Path], None]:
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = {}\nElementType = {}\nElementSpacing = {}\nElementDataFile = LOCAL\n"
    )
    size, kind, spacing = text.split("|")
    return lambda path: path.write_bytes(head.format(size, kind, spacing).encode() + bytes(2 * 210))


other(".nii", _cut(".nii", 0.9), "truncated_nii")
other(".mha", _cut(".mha", 0.9), "truncated_mha")
other(".mha", _cut(".mha", 0.5, True), "truncated_compressed_mha")
other(".nrrd", _cut(".nrrd", 0.9), "truncated_nrrd")
other(".mha", _meta("60000 60000 60000|MET_SHORT|1 1 1"), "terabytes_promised_by_mha")
other(".nii", lambda path: save(path, dim=[3, 5000, 5000, 5000, 1, 1, 1, 1]) and None, "gigabytes_promised_by_nii")
other(
    ".mha",
    lambda path: sitk.WriteImage(sitk.GetImageFromArray(voxels((6, 7, 5, 3)), isVector=True), str(path)),
    "vector",
)
other(
    ".mha",
    lambda path: sitk.WriteImage(sitk.GetImageFromArray(voxels((6, 7, 5, 3)), isVector=False), str(path)),
    "four_axes_mha",
)
other(".mha", lambda path: path.write_text("nothing of use\n"), "text_named_mha")
other(
    ".png",
    lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)),
    "broken_png",
    recipe("flat", ending=".png", patch=(8, 8)),
)
other(
    ".png",
    lambda path: imsave(path, voxels((6, 9, 3), np.uint8), check_contrast=False),
    "colour_for_grey",
    recipe("flat", ending=".png", patch=(8, 8)),
)
other(
    ".tif", lambda path: tifffile.imwrite(path, voxels((6, 9), np.uint8)), "flat_stack", recipe("tiff", ending=".tif")
)
