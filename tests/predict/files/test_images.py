import itertools
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from skimage.io import imsave

from medmamba.errors import DataError
from medmamba.predict.files.cases import Case, find_cases
from medmamba.predict.files.images import Image, read
from medmamba.predict.recipe import Reader
from tests.predict.bad_images import BAD, build
from tests.predict.made_images import ORIENTATIONS, affine, case, itk_image, recipe, save, save_series, voxels

STOCK = {
    "itk": SimpleITKIO,
    "itk-ras": SimpleITKIOWithReorient,
    "nibabel": NibabelIO,
    "nibabel-ras": NibabelIOWithReorient,
}
TYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


def same(image: Image, files: list[Path], stock: type) -> None:
    """Array and spacing are those of nnU-Net's reader."""
    data, properties = stock().read_images([str(path) for path in files])
    assert image.data.dtype == np.float32
    assert np.array_equal(image.data, data)
    assert image.spacing == tuple(properties["spacing"])


@settings(max_examples=60, deadline=None)
@given(
    reader=st.sampled_from(sorted(STOCK)),
    kind=st.sampled_from(TYPES),
    scale=st.sampled_from([(1, 0), (2.5, 0), (0.1, -1024.3), (1, -1024), (0, 0)]),
    orientation=st.sampled_from(ORIENTATIONS),
    turn=st.tuples(*[st.sampled_from([0.0, 3.3, -28.0])] * 3),
    forms=st.sampled_from([(1, 1), (0, 2), (1, 0), (0, 0)]),
    ending=st.sampled_from([".nii.gz", ".nii"]),
    seed=st.integers(0, 99),
)
def test_nifti_is_read_as_nnunet_reads_it(
    tmp_path_factory: pytest.TempPathFactory, reader: Reader, kind, scale, orientation, turn, forms, ending, seed
) -> None:
    folder = tmp_path_factory.mktemp("n")
    matrix = affine(turn=turn, axes=orientation[0], signs=orientation[1])
    slope, offset = scale
    files = [
        save(folder / f"c_{number:04d}{ending}", voxels(dtype=kind, seed=seed + number), matrix, forms,
             scl_slope=slope, scl_inter=offset) for number in range(2)
    ]  # fmt: skip
    same(read(case(*files), recipe(reader, ("a", "b"))), files, STOCK[reader])


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr", ".gipl"])
def test_other_volumes_are_read_as_itk_reads_them(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"c_0000{ending}"
    sitk.WriteImage(itk_image(voxels(), affine(turn=(0, 0, 0) if ending == ".gipl" else (5, 10, 20))), str(path))
    same(read(case(path), recipe()), [path], SimpleITKIO)


def test_endings_may_be_mixed_in_a_case(tmp_path: Path) -> None:
    first = save(tmp_path / "c_0000.nii.gz")
    sitk.WriteImage(itk_image(voxels(seed=1), affine()), str(tmp_path / "c_0001.mha"))
    image = read(case(first, tmp_path / "c_0001.mha"), recipe(channels=("a", "b")))
    assert np.array_equal(image.data, np.stack([voxels().T, voxels(seed=1).T]))


def test_big_endian_and_a_far_voxel_offset(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(voxels().astype(">i2"), affine(), nibabel.Nifti1Header(endianness=">"))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"ZZPHIZZ" * 20))
    nibabel.save(image, tmp_path / "c.nii.gz")
    same(read(case(tmp_path / "c.nii.gz"), recipe()), [tmp_path / "c.nii.gz"], SimpleITKIO)


@pytest.mark.parametrize("reader", sorted(STOCK))
def test_a_volume_of_another_format_is_turned_for_a_model_of_ras(tmp_path: Path, reader: Reader) -> None:
    """What nibabel's readers cannot read goes through ITK, and comes out as the same image in NIfTI does."""
    matrix = affine(axes=(2, 0, 1), signs=(-1, 1, -1), turn=(0, 4, 0))
    save(tmp_path / "c.nii.gz", matrix=matrix)
    sitk.WriteImage(itk_image(voxels(), matrix), str(tmp_path / "c.mha"))
    series = save_series(tmp_path / "s", matrix=matrix)
    nifti = read(case(tmp_path / "c.nii.gz"), recipe(reader))
    for other in (case(tmp_path / "c.mha"), case(series, kind="dicom")):
        image = read(other, recipe(reader))
        turned = image.data if reader.endswith("-ras") else aligned(image)
        assert np.array_equal(turned, nifti.data if reader.endswith("-ras") else aligned(nifti))
        assert sorted(image.spacing) == pytest.approx(sorted(nifti.spacing), rel=1e-6)


def aligned(image: Image) -> np.ndarray:
    """The array turned to RAS by its own geometry: a series may be stacked from the other end."""
    turn = nibabel.io_orientation(np.array(image.geometry.affine))
    return nibabel.apply_orientation(image.data[0].T, turn).T[None]


def test_channels_turned_differently_fit_a_model_of_ras(tmp_path: Path) -> None:
    """They are one grid once they are turned; as they are stored they are not."""
    first = nibabel.load(save(tmp_path / "c_0000.nii.gz"))
    nibabel.save(first.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]])), tmp_path / "c_0001.nii.gz")
    both = case(tmp_path / "c_0000.nii.gz", tmp_path / "c_0001.nii.gz")
    image = read(both, recipe("nibabel-ras", ("a", "b")))
    assert np.array_equal(image.data[0], image.data[1])
    same(image, list(both.files), NibabelIOWithReorient)
    with pytest.raises(DataError, match="channels of different shape"):
        read(both, recipe("nibabel", ("a", "b")))


def test_a_slice_for_a_model_of_slices(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(voxels((4, 6), np.int16)), str(tmp_path / "c.nii.gz"))
    same(read(case(tmp_path / "c.nii.gz"), recipe(patch=(8, 8))), [tmp_path / "c.nii.gz"], SimpleITKIO)


@pytest.mark.parametrize("colours", [(), (3,), (4,)])
@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_pictures(tmp_path: Path, ending: str, colours: tuple[int, ...]) -> None:
    if (ending, colours) == (".bmp", (4,)):
        pytest.skip("bmp has no transparency here")
    path = tmp_path / f"c_0000{ending}"
    imsave(path, voxels((6, 9, *colours), np.uint8), check_contrast=False)
    channels = ("r", "g", "b", "a")[: colours[0] if colours else 1]
    same(read(case(path), recipe("flat", channels, ".png", (8, 8))), [path], NaturalImage2DIO)


@pytest.mark.parametrize("with_spacing", [True, False])
def test_stacks(tmp_path: Path, with_spacing: bool) -> None:
    path = tmp_path / "c_0000.tif"
    tifffile.imwrite(path, voxels((4, 6, 7), np.uint16), photometric="minisblack")
    if with_spacing:
        (tmp_path / "c.json").write_text(json.dumps({"spacing": [2.5, 0.5, 0.25]}))
    (found,) = find_cases(tmp_path, recipe("tiff", ending=".tif"))
    image = read(found, recipe("tiff", ending=".tif"))
    same(image, [path], Tiff3DIO)
    assert len(image.warnings) == (0 if with_spacing else 1)


@pytest.mark.parametrize("folder", ["Dataset004_Hippocampus/imagesTs", "Dataset137_BraTSTiny/imagesTr"])
@pytest.mark.parametrize("reader", sorted(STOCK))
def test_real_images(shared_data: Path, folder: str, reader: Reader) -> None:
    names = ("T1", "T1ce", "T2", "FLAIR") if "BraTS" in folder else ("MRI",)
    for one in find_cases(shared_data / folder, recipe(reader, names))[:6]:
        same(read(one, recipe(reader, names)), list(one.files), STOCK[reader])


def test_every_bad_image_is_refused_in_its_own_sentence(tmp_path: Path) -> None:
    sentences: dict[str, str] = {}
    for name, damage in BAD.items():
        folder = tmp_path / f"{len(sentences)}"
        folder.mkdir()
        good, wanted = build(folder)
        assert read(good, wanted).data.shape == (2, 7, 6, 5)
        found, wanted = damage(folder, good, wanted)
        with pytest.raises(DataError) as refused:
            read(found, wanted)
        assert refused.value.remedy, name
        assert any(str(file) in refused.value.problem for file in found.files), name
        sentences[name] = refused.value.problem.replace(str(folder), "")
    assert len(sentences) >= 45
    for one, other in itertools.combinations(sentences, 2):
        assert sentences[one] != sentences[other], (one, other)
    without_numbers = {re.sub(r"\d+", "", text) for text in sentences.values()}
    assert len(without_numbers) >= 40


@pytest.mark.parametrize(
    ("values", "channel", "told"),
    [
        (np.zeros((5, 6, 7), np.int16), "MRI", "every voxel is 0"),
        (voxels(dtype=np.uint8), "CT", "a CT with values from 0 to"),
        (voxels(dtype=np.int64), "MRI", "64-bit integers"),
    ],
)
def test_what_is_odd_is_told_and_read(tmp_path: Path, values: np.ndarray, channel: str, told: str) -> None:
    path = save(tmp_path / "c.nii.gz", values)
    (warning,) = read(case(path), recipe(channels=(channel,))).warnings
    assert told in warning
    assert str(path) in warning


def test_channels_apart_by_rounding_are_read_and_told(tmp_path: Path) -> None:
    files = [save(tmp_path / f"c_{n:04d}.nii.gz", matrix=affine(origin=(0, 0, 0.05 * n))) for n in range(2)]
    image = read(Case("c", tuple(files), "files"), recipe(channels=("a", "b")))
    assert "up to 0.0625 voxel edges" in image.warnings[0]
