"""A sound dataset made in code, and every way in which datasets of this field are broken: one function a kind.

Each function damages the sound dataset in one place; KINDS names the finding that a check must give, and no other.
"""

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk

from medmamba.data.check.image import Examined, Role, examine

SHAPE = (12, 10, 8)
SPACING = (0.8, 0.8, 2.5)
CASES = ("c0", "c1", "c2", "c3", "c4")
TESTS = ("t0", "t1")
BAD: dict[str, tuple[str, Callable[[Path], None]]] = {}
"""Name of the damage -> the finding it must give, the function that does it."""


def affine() -> np.ndarray:
    """An upright grid, axes to the left, posterior and superior as CT has them."""
    return np.array([[-SPACING[0], 0, 0, 90.0], [0, -SPACING[1], 0, 120.5], [0, 0, SPACING[2], -300], [0, 0, 0, 1]])


def save(path: Path, array: np.ndarray, matrix: np.ndarray | None = None) -> None:
    image = nibabel.Nifti1Image(array, affine() if matrix is None else matrix)
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    nibabel.save(image, path)


def write_sound(folder: Path) -> Path:
    """Five training and two test cases with a CT and a PET channel; every label occurs."""
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (folder / part).mkdir(parents=True)
    for seed, case in enumerate((*CASES, *TESTS)):
        random = np.random.default_rng(seed)
        label = np.zeros(SHAPE, np.uint8)
        label[2:6, 2:7, 2:5] = 1
        label[6:9, 3:6, 3:6] = 2
        body = np.where(label > 0, 60, -950) + random.normal(0, 20, SHAPE)
        part = "Ts" if case in TESTS else "Tr"
        save(folder / f"images{part}" / f"{case}_0000.nii.gz", body.astype(np.int16))
        save(folder / f"images{part}" / f"{case}_0001.nii.gz", random.gamma(2, 3, SHAPE).astype(np.float32))
        save(folder / f"labels{part}" / f"{case}.nii.gz", label)
    content = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "organ": 1, "tumour": 2},
        "numTraining": len(CASES),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def bad(kind: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a way to damage a dataset."""

    def keep(damage: Callable[[Path], None]) -> Callable[[Path], None]:
        BAD[damage.__name__] = kind, damage
        return damage

    return keep


def ct(folder: Path, case: str = "c1") -> Path:
    return folder / "imagesTr" / f"{case}_0000.nii.gz"


def pet(folder: Path, case: str = "c1") -> Path:
    return folder / "imagesTr" / f"{case}_0001.nii.gz"


def label(folder: Path, case: str = "c1") -> Path:
    return folder / "labelsTr" / f"{case}.nii.gz"


def stored(path: Path) -> np.ndarray:
    """The voxels of an image, free of its file."""
    return np.asanyarray(nibabel.load(path).dataobj).copy()


def change(path: Path, edit: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray | None = None) -> None:
    """Rewrite an image with other voxels, another geometry, or both."""
    save(path, edit(stored(path)), nibabel.load(path).affine if matrix is None else matrix)


def header(path: Path, **fields: Any) -> None:
    """Overwrite fields of a header as no library would."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    changed = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        changed[name] = value
    content[:348] = changed.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))


def description(folder: Path, **fields: Any) -> None:
    """Change keys of dataset.json; None removes one."""
    path = folder / "dataset.json"
    content = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def same(array: np.ndarray) -> np.ndarray:
    return array


def moved(voxels: float) -> np.ndarray:
    """The sound affine, shifted along the first axis."""
    matrix = affine()
    matrix[0, 3] += voxels * min(SPACING)
    return matrix


def files(folder: Path) -> dict[str, dict[str, Any]]:
    """The training cases as the `dataset` table of dataset.json names them."""
    return {
        case: {"images": [str(ct(folder, case)), str(pet(folder, case))], "label": str(label(folder, case))}
        for case in CASES
    }


# Files


@bad("empty-file")
def file_of_no_bytes(folder: Path) -> None:
    ct(folder).write_bytes(b"")


@bad("truncated")
def gzip_cut_short(folder: Path) -> None:
    ct(folder).write_bytes(ct(folder).read_bytes()[:-300])


@bad("truncated")
def voxels_cut_short_inside_sound_gzip(folder: Path) -> None:
    ct(folder).write_bytes(gzip.compress(gzip.decompress(ct(folder).read_bytes())[:-100]))


@bad("truncated")
def header_that_promises_more_than_any_disk(folder: Path) -> None:
    header(ct(folder), dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])


@bad("damaged")
def gzip_with_a_wrong_checksum(folder: Path) -> None:
    content = bytearray(pet(folder).read_bytes())
    content[-6] ^= 255
    pet(folder).write_bytes(content)


@bad("not-gzip")
def plain_nifti_named_gz(folder: Path) -> None:
    ct(folder).write_bytes(gzip.decompress(ct(folder).read_bytes()))


@bad("dicom")
def dicom_named_nifti(folder: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((1, 8, 8), np.int16))
    sitk.WriteImage(image, str(folder / "slice.dcm"))
    (folder / "slice.dcm").rename(ct(folder))


@bad("dicom")
def dicom_inside_gzip(folder: Path) -> None:
    ct(folder).write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(2000)))


@bad("web-page")
def login_page_instead_of_the_download(folder: Path) -> None:
    ct(folder).write_text("<!DOCTYPE html>\n<html><body>Please log in</body></html>")


@bad("pointer")
def git_lfs_pointer(folder: Path) -> None:
    label(folder).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 55\n")


@bad("not-an-image")
def text_inside_gzip(folder: Path) -> None:
    ct(folder).write_bytes(gzip.compress(b"no image at all " * 100))


@bad("not-an-image")
def png_named_nifti(folder: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 8), np.uint8)), str(folder / "a.png"))
    ct(folder).write_bytes(gzip.compress((folder / "a.png").read_bytes()))


@bad("broken-link")
def link_to_nowhere(folder: Path) -> None:
    ct(folder).unlink()
    ct(folder).symlink_to(folder / "gone.nii.gz")


@bad("not-a-file")
def folder_in_place_of_a_file(folder: Path) -> None:
    ct(folder).unlink()
    ct(folder).mkdir()


@bad("missing-channel")
def channel_that_is_not_there(folder: Path) -> None:
    pet(folder).unlink()


@bad("extra-channel")
def channel_too_many(folder: Path) -> None:
    save(folder / "imagesTr" / "c1_0002.nii.gz", np.random.default_rng(9).random(SHAPE, np.float32))


@bad("no-label")
def case_without_label(folder: Path) -> None:
    label(folder).unlink()


@bad("label-without-image")
def label_of_no_case(folder: Path) -> None:
    (folder / "labelsTr" / "c9.nii.gz").write_bytes(label(folder).read_bytes())


@bad("image-name")
def image_without_channel_number(folder: Path) -> None:
    (folder / "imagesTr" / "c9.nii.gz").write_bytes(ct(folder).read_bytes())


@bad("hidden-file")
def what_a_mac_leaves_behind(folder: Path) -> None:
    (folder / "imagesTr" / "._c1_0000.nii.gz").write_bytes(b"\0\5\x16\7")


@bad("other-ending")
def one_image_of_another_format(folder: Path) -> None:
    nibabel.save(nibabel.load(ct(folder)), folder / "imagesTr" / "c9_0000.nii")


@bad("case-names")
def names_that_differ_by_case(folder: Path) -> None:
    for path in (ct, pet, label):
        path(folder, "C1").write_bytes(path(folder, "c1").read_bytes())
    change(ct(folder), lambda array: array[::-1])
    change(pet(folder), lambda array: array[::-1])
    description(folder, numTraining=len(CASES) + 1)


# Headers


@bad("four-axes")
def time_series(folder: Path) -> None:
    change(ct(folder), lambda array: np.stack([array, array], -1))


@bad("fourth-axis")
def fourth_axis_of_one(folder: Path) -> None:
    change(ct(folder), lambda array: array[..., None])


@bad("dimensions")
def one_dimension(folder: Path) -> None:
    change(ct(folder), lambda array: array[:, 0, 0])


@bad("dimensions")
def dimension_of_zero(folder: Path) -> None:
    header(ct(folder), dim=[3, 12, 0, 8, 1, 1, 1, 1])


@bad("mixed-dimensions")
def slice_among_volumes(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        change(path, lambda array: array[:, :, 3])


@bad("data-type")
def colours(folder: Path) -> None:
    header(ct(folder), datatype=128, bitpix=24)


@bad("data-type")
def complex_numbers(folder: Path) -> None:
    change(ct(folder), lambda array: array.astype(np.complex64))


@bad("data-type")
def type_that_does_not_exist(folder: Path) -> None:
    header(ct(folder), datatype=4711)


@bad("wide-type")
def integers_of_64_bits(folder: Path) -> None:
    image = nibabel.Nifti1Image(stored(label(folder)).astype(np.int64), affine(), dtype="int64")
    nibabel.save(image, label(folder))


@bad("spacing-invalid")
def spacing_of_zero(folder: Path) -> None:
    header(ct(folder), pixdim=[1, 0.8, 0.8, 0, 0, 0, 0, 0])


@bad("spacing-invalid")
def spacing_below_zero(folder: Path) -> None:
    header(ct(folder), pixdim=[1, -0.8, 0.8, 2.5, 0, 0, 0, 0])


@bad("spacing-invalid")
def spacing_not_a_number(folder: Path) -> None:
    header(label(folder), pixdim=[1, 0.8, 0.8, np.nan, 0, 0, 0, 0])


@bad("spacing-odd")
def spacing_in_metres(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        change(path, same, affine() @ np.diag([0.001, 0.001, 0.001, 1]))


@bad("spacing-odd")
def spacing_with_a_lost_digit(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        change(path, same, affine() @ np.diag([1, 1, 10, 1]))


@bad("spacing-disagrees")
def pixdim_and_sform_disagree(folder: Path) -> None:
    header(ct(folder), pixdim=[-1, 0.8, 0.8, 5, 0, 0, 0, 0])


@bad("not-orthogonal")
def sheared_axes(folder: Path) -> None:
    matrix = affine()
    matrix[0, 2] = 0.3  # a gantry tilt
    for path in (ct(folder), pet(folder), label(folder)):
        image = nibabel.Nifti1Image(stored(path), matrix)
        image.set_qform(None, 0)
        nibabel.save(image, path)


@bad("not-orthogonal")
def axis_of_nothing(folder: Path) -> None:
    header(ct(folder), srow_x=[0, 0, 0, 0], qform_code=0)


@bad("not-orthogonal")
def quaternion_that_is_no_rotation(folder: Path) -> None:
    header(ct(folder), sform_code=0, quatern_b=0.9, quatern_c=0.9, quatern_d=0.9)


@bad("forms-disagree")
def sform_and_qform_disagree(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        image = nibabel.load(path)
        image.set_qform(moved(20), 1)
        nibabel.save(nibabel.Nifti1Image(stored(path), None, image.header), path)


@bad("forms-disagree")
def sform_that_cannot_be_beside_a_qform_that_can(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        header(path, srow_x=[0, 0, 0, 0])


@bad("identity-affine")
def ct_with_a_lost_header(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        change(path, same, np.diag([-1.0, -1.0, 1.0, 1.0]))


# Voxels


@bad("not-finite")
def nan_in_an_image(folder: Path) -> None:
    change(pet(folder), lambda array: np.where(array > 20, np.nan, array))


@bad("not-finite")
def infinity_in_an_image(folder: Path) -> None:
    change(pet(folder), lambda array: np.where(array > 20, np.inf, array))


@bad("label-fraction")
def label_resampled_linearly(folder: Path) -> None:
    change(label(folder), lambda array: array.astype(np.float32) * 0.5)


@bad("label-unknown")
def label_value_that_nobody_declared(folder: Path) -> None:
    change(label(folder), lambda array: np.where(array == 2, 4, array))


@bad("label-unknown")
def mask_of_255(folder: Path) -> None:
    change(label(folder), lambda array: np.where(array > 0, 255, 0).astype(np.uint8))


@bad("label-empty")
def label_with_background_only(folder: Path) -> None:
    change(label(folder), np.zeros_like)


@bad("label-never")
def label_that_never_occurs(folder: Path) -> None:
    description(folder, labels={"background": 0, "organ": 1, "tumour": 2, "cyst": 3})


@bad("constant")
def image_of_one_value(folder: Path) -> None:
    change(pet(folder), lambda array: np.full_like(array, 3))


@bad("not-hounsfield")
def ct_without_its_intercept(folder: Path) -> None:
    for case in (*CASES, *TESTS):
        path = folder / ("imagesTs" if case in TESTS else "imagesTr") / f"{case}_0000.nii.gz"
        change(path, lambda array: array + np.int16(1200))


@bad("intensity")
def one_case_in_another_unit(folder: Path) -> None:
    change(pet(folder), lambda array: array * 1000)


@bad("intensity")
def one_ct_with_an_offset(folder: Path) -> None:
    change(ct(folder), lambda array: array - np.int16(3000))


# Files against each other


@bad("channel-shape")
def channel_of_another_shape(folder: Path) -> None:
    change(pet(folder), lambda array: array[:, :-1])


@bad("label-shape")
def label_of_another_shape(folder: Path) -> None:
    change(label(folder), lambda array: array[:-1])


@bad("label-shape")
def label_with_transposed_axes(folder: Path) -> None:
    change(label(folder), lambda array: array.transpose(2, 1, 0))


@bad("label-geometry")
def label_shifted(folder: Path) -> None:
    change(label(folder), same, moved(0.2))


@bad("label-geometry")
def label_with_another_spacing(folder: Path) -> None:
    change(label(folder), same, affine() @ np.diag([1, 1, 1.2, 1]))


@bad("label-geometry")
def label_flipped(folder: Path) -> None:
    change(label(folder), same, affine() @ np.diag([-1, 1, 1, 1]))


@bad("label-geometry")
def label_that_lost_its_affine(folder: Path) -> None:
    header(label(folder), sform_code=0, qform_code=0)


@bad("channel-geometry")
def channel_shifted(folder: Path) -> None:
    change(pet(folder), same, moved(3))


@bad("label-rounding")
def label_off_by_rounding(folder: Path) -> None:
    change(label(folder), same, moved(0.05))


@bad("channel-rounding")
def channel_off_by_rounding(folder: Path) -> None:
    change(pet(folder), same, moved(0.05))


@bad("channel-spacing")
def channel_spacing_rounded(folder: Path) -> None:
    change(pet(folder), same, affine() @ np.diag([1.0001, 1, 1, 1]))


@bad("same-channels")
def channel_copied_over_another(folder: Path) -> None:
    pet(folder).write_bytes(ct(folder).read_bytes())
    for case in set(CASES) - {"c1"}:  # else the copy is unlike the other cases' PET as well
        change(pet(folder, case), lambda array: (array * 100 - 900).astype(np.int16))


@bad("duplicate")
def image_under_two_names(folder: Path) -> None:
    for path in (ct, pet, label):
        path(folder, "c2").write_bytes(path(folder, "c1").read_bytes())


@bad("duplicate")
def same_pixels_stored_in_another_type(folder: Path) -> None:
    save(ct(folder, "c2"), stored(ct(folder)).astype(np.float32))


@bad("leak")
def test_image_among_the_training_images(folder: Path) -> None:
    (folder / "imagesTs" / "t0_0000.nii.gz").write_bytes(ct(folder).read_bytes())


@bad("orientation")
def one_case_turned(folder: Path) -> None:
    for path in (ct(folder), pet(folder), label(folder)):
        change(path, same, np.diag([*SPACING, 1.0]))


# dataset.json


@bad("json-missing")
def no_dataset_json(folder: Path) -> None:
    (folder / "dataset.json").unlink()


@bad("json-invalid")
def broken_dataset_json(folder: Path) -> None:
    (folder / "dataset.json").write_text('{"labels": {"background": 0,')


@bad("json-invalid")
def two_labels_of_one_name(folder: Path) -> None:
    text = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(text.replace('"tumour": 2', '"organ": 2'))


@bad("json-key")
def dataset_json_of_the_first_nnunet(folder: Path) -> None:
    description(folder, channel_names=None, modality={"0": "CT", "1": "PET"})


@bad("json-channels")
def channels_that_start_at_one(folder: Path) -> None:
    description(folder, channel_names={"1": "CT", "2": "PET"})


@bad("json-labels")
def labels_with_a_gap(folder: Path) -> None:
    description(folder, labels={"background": 0, "organ": 1, "tumour": 2, "x": [1, 4]}, regions_class_order=[1, 2, 4])


@bad("json-labels")
def labels_turned_round(folder: Path) -> None:
    description(folder, labels={"0": "background", "1": "organ", "2": "tumour"})


@bad("json-labels")
def background_that_is_not_zero(folder: Path) -> None:
    description(folder, labels={"background": 2, "organ": 0, "tumour": 1})


@bad("json-labels")
def ignore_that_is_not_last(folder: Path) -> None:
    description(folder, labels={"background": 0, "organ": 1, "tumour": 3, "ignore": 2})


@bad("json-labels")
def ignore_with_a_gap(folder: Path) -> None:
    description(folder, labels={"background": 0, "organ": 1, "tumour": 2, "ignore": 255})


@bad("json-regions")
def regions_without_order(folder: Path) -> None:
    description(folder, labels={"background": 0, "whole": [1, 2], "tumour": [2]})


@bad("json-regions")
def regions_painted_in_the_wrong_order(folder: Path) -> None:
    description(folder, labels={"background": 0, "whole": [1, 2], "tumour": [2]}, regions_class_order=[2, 1])


@bad("json-count")
def wrong_number_of_cases(folder: Path) -> None:
    description(folder, numTraining=7)


@bad("json-ending")
def wrong_file_ending(folder: Path) -> None:
    description(folder, file_ending=".nrrd")


@bad("json-ending")
def ending_that_nnunet_cannot_read(folder: Path) -> None:
    description(folder, file_ending=".jpg")


@bad("json-table")
def table_without_labels(folder: Path) -> None:
    table = files(folder)
    table["c1"].pop("label")
    description(folder, dataset=table, numTraining=len(CASES) - 1)


@bad("missing-file")
def table_that_names_a_missing_file(folder: Path) -> None:
    table = files(folder)
    table["c1"]["label"] = str(folder / "gone.nii.gz")
    description(folder, dataset=table)


@bad("no-cases")
def nothing_to_train_on(folder: Path) -> None:
    for path in (*folder.glob("imagesTr/*"), *folder.glob("labelsTr/*")):
        os.unlink(path)


def examine_or_die(path: Path, role: Role, *rest: Any) -> Examined:
    """A reading library that crashes on some files."""
    if path.name.startswith("killer"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return examine(path, role, *rest)
