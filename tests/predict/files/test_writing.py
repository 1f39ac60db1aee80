import gzip
from pathlib import Path
from types import SimpleNamespace

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
from skimage.io import imread, imsave

from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.predict.files import writing
from medmamba.predict.files.cases import Case, find_cases
from medmamba.predict.files.images import read
from medmamba.predict.files.writing import output_name, require_apart, roi_values, write_labels
from medmamba.predict.recipe import Reader
from tests.predict.made_images import ORIENTATIONS, affine, case, itk_image, recipe, save, save_series, voxels

STOCK = {
    "itk": SimpleITKIO,
    "itk-ras": SimpleITKIOWithReorient,
    "nibabel": NibabelIO,
    "nibabel-ras": NibabelIOWithReorient,
}
READERS = sorted(STOCK)


def thresholds(data: np.ndarray) -> np.ndarray:
    """A "segmentation" that is the image itself, in three steps."""
    return (data[0] > -3000).astype(np.uint8) + (data[0] > 3000)


def same_place(one: Path, other: Path) -> None:
    """Both readers of the field find both files at one place; to a rounding of 32-bit numbers."""
    first, second = nibabel.load(one), nibabel.load(other)
    assert first.shape == second.shape
    assert np.abs(first.affine - second.affine).max() <= 1e-6 * max(1.0, np.abs(first.affine).max())
    itk, written = sitk.ReadImage(str(one)), sitk.ReadImage(str(other))
    assert np.allclose(itk.GetSpacing(), written.GetSpacing(), rtol=1e-6)
    assert np.allclose(itk.GetOrigin(), written.GetOrigin(), rtol=1e-6, atol=1e-6)
    assert np.allclose(itk.GetDirection(), written.GetDirection(), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    reader=st.sampled_from(READERS),
    orientation=st.sampled_from(ORIENTATIONS),
    turn=st.tuples(*[st.sampled_from([0.0, 3.3, -28.0])] * 3),
    spacing=st.tuples(*[st.sampled_from([0.4297, 1.0, 2.5, 7.0])] * 3),
    forms=st.sampled_from([(1, 1), (0, 2), (1, 0), (2, 1)]),
    ending=st.sampled_from([".nii.gz", ".nii"]),
)
def test_a_label_map_lies_where_its_image_does(
    tmp_path_factory: pytest.TempPathFactory, reader: Reader, orientation, turn, spacing, forms, ending
) -> None:
    folder = tmp_path_factory.mktemp("w")
    matrix = affine(spacing, turn, *orientation)
    path = save(folder / f"c{ending}", matrix=matrix, forms=forms, descrip=b"ZZPHIZZ", aux_file=b"ZZPHIZZ")
    image = read(case(path), recipe(reader))
    write_labels(thresholds(image.data), image.geometry, folder / "out" / path.name)
    same_place(path, folder / "out" / path.name)
    stored = np.asarray(nibabel.load(folder / "out" / path.name).dataobj)
    assert np.array_equal(stored, thresholds(voxels()[None]))
    content = (folder / "out" / path.name).read_bytes()
    assert b"ZZPHIZZ" not in (gzip.decompress(content) if ending == ".nii.gz" else content)
    stock = STOCK[reader]()
    data, properties = stock.read_images([str(path)])
    stock.write_seg(thresholds(data), str(folder / f"stock{ending}"), properties)
    same_place(folder / f"stock{ending}", folder / "out" / path.name)
    written, dtype = nibabel.load(folder / f"stock{ending}"), nibabel.load(folder / "out" / path.name).get_data_dtype()
    assert np.array_equal(np.asarray(written.dataobj), stored)
    assert written.get_data_dtype() == dtype == np.uint8


@pytest.mark.parametrize(
    ("reader", "ending"),
    [
        ("itk", ".nii.gz"),
        ("nibabel", ".nii.gz"),
        ("nibabel-ras", ".nii.gz"),
        ("itk", ".nrrd"),
        ("nibabel-ras", ".mha"),
        ("itk-ras", ".mha"),
    ],
)
def test_outputs_follow_an_image_that_is_turned(tmp_path: Path, reader: Reader, ending: str) -> None:
    """All 48 orders of the axes of one oblique image: each label stays at its place in the patient."""
    upright = nibabel.Nifti1Image(voxels(), affine(turn=(4, -7, 11)))
    wanted = thresholds(voxels()[None])
    for axes, signs in ORIENTATIONS:
        turned = upright.as_reoriented(np.array(list(zip(axes, signs, strict=True))))
        path = tmp_path / f"c{ending}"
        sitk.WriteImage(itk_image(np.asarray(turned.dataobj), turned.affine), str(path))
        image = read(case(path), recipe(reader))
        write_labels(thresholds(image.data), image.geometry, tmp_path / f"out{ending}")
        source, labels = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / f"out{ending}"))
        for index in ((0, 0, 0), (4, 0, 3), (2, 5, 6)):
            place = upright.affine @ [*index, 1] * [-1, -1, 1, 1]
            assert labels[labels.TransformPhysicalPointToIndex(place[:3].tolist())] == wanted[index]
        assert np.allclose(labels.GetDirection(), source.GetDirection(), atol=1e-6)
        assert np.allclose(labels.GetOrigin(), source.GetOrigin(), rtol=1e-6)
        assert np.allclose(labels.GetSpacing(), source.GetSpacing(), rtol=1e-6)


@pytest.mark.parametrize("folder", ["Dataset004_Hippocampus/imagesTs", "Dataset137_BraTSTiny/imagesTr", "dicom"])
@pytest.mark.parametrize("reader", READERS)
def test_real_images(shared_data: Path, tmp_path: Path, folder: str, reader: Reader) -> None:
    wanted = recipe(reader, ("T1", "T1ce", "T2", "FLAIR") if "BraTS" in folder else ("MRI",))
    for one in [one for one in find_cases(shared_data / folder, wanted) if "nonuniform" not in one.name][:4]:
        image = read(one, wanted)
        labels = (image.data[0] > np.median(image.data[0])).astype(np.uint8)
        target = tmp_path / output_name(one, wanted)
        write_labels(labels, image.geometry, target)
        again = read(case(target), recipe(reader))
        assert np.array_equal(again.data[0], labels)
        assert again.spacing == pytest.approx(image.spacing, rel=1e-6)
        if one.kind == "files":
            same_place(one.files[0], target)


def test_a_series_gets_a_nifti_label_map_in_its_place_and_nothing_of_its_tags(tmp_path: Path) -> None:
    matrix = affine(turn=(10, 20, 30))
    series = case(save_series(tmp_path / "patient", matrix=matrix), kind="dicom")
    image = read(series, recipe())
    target = tmp_path / output_name(series, recipe())
    write_labels(thresholds(image.data), image.geometry, target)
    assert target.name == "c.nii.gz"
    labels = sitk.ReadImage(str(target))
    wanted = thresholds(voxels()[None])
    for index in ((0, 0, 0), (4, 0, 3), (2, 5, 6)):
        place = (matrix @ [*index, 1] * [-1, -1, 1, 1])[:3]
        assert labels[labels.TransformPhysicalPointToIndex(place.tolist())] == wanted[index]
    assert b"ZZPHIZZ" not in gzip.decompress(target.read_bytes())


def test_slices_and_pictures_and_stacks(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(voxels((4, 6))), str(tmp_path / "s.nii.gz"))
    imsave(tmp_path / "p.png", voxels((4, 6), np.uint8), check_contrast=False)
    tifffile.imwrite(tmp_path / "t.tif", voxels((5, 4, 6), np.uint16), photometric="minisblack")
    (tmp_path / "t.json").write_text('{"spacing": [3, 2, 1]}')
    wanted = {"s.nii.gz": recipe(patch=(8, 8)), "p.png": recipe("flat", ending=".png", patch=(8, 8)),
              "t.tif": recipe("tiff", ending=".tif")}  # fmt: skip
    stock = {"s.nii.gz": SimpleITKIO, "p.png": NaturalImage2DIO, "t.tif": Tiff3DIO}
    for name, one in wanted.items():
        image = read(case(tmp_path / name), one)
        labels = (image.data[0] > np.median(image.data)).astype(np.uint8) * 2
        write_labels(labels, image.geometry, tmp_path / "out" / name)
        again, properties = stock[name]().read_seg(str(tmp_path / "out" / name))
        assert np.array_equal(again[0], labels)
        assert tuple(properties["spacing"]) == image.spacing
    assert imread(tmp_path / "out" / "p.png").dtype == np.uint8


@pytest.mark.parametrize(
    ("file", "reader", "name"),
    [
        ("a_0000.nii.gz", "itk", "c.nii.gz"), ("a.NII.GZ", "itk", "c.nii.gz"), ("a.nii", "itk", "c.nii"),
        ("a.mha", "nibabel", "c.mha"), ("a.mhd", "itk", "c.mha"), ("a.nhdr", "itk", "c.nrrd"),
        ("a.bmp", "flat", "c.bmp"), ("a.tiff", "tiff", "c.tiff"), ("a.what", "itk", "c.nii.gz"),
    ],
)  # fmt: skip
def test_the_container_is_that_of_the_image(file: str, reader: Reader, name: str) -> None:
    assert output_name(case(Path(file)), recipe(reader)) == name


def test_a_label_map_never_takes_the_place_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.nii.gz")
    save(tmp_path / "b_0000.nii.gz")
    found = find_cases(tmp_path, recipe())
    require_apart(found, tmp_path / "out", recipe())
    require_apart(found[1:], tmp_path, recipe())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"label map of case a would replace the image .*a\.nii\.gz"):
        require_apart(found, Path("."), recipe())


def test_values_above_8_bits_and_raw_labels(tmp_path: Path) -> None:
    image = read(case(save(tmp_path / "c.nii.gz")), recipe())
    many = np.arange(210).reshape(7, 6, 5) + 60
    write_labels(many, image.geometry, tmp_path / "many.nii.gz")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "many.nii.gz"))), many)
    labels = thresholds(image.data)
    back = {"kind": "values", "to_raw": {"0": 0, "1": 500, "2": 205}}
    write_labels(labels, image.geometry, tmp_path / "raw.nii.gz", back)
    assert np.array_equal(
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "raw.nii.gz"))), np.array([0, 500, 205])[labels]
    )
    with pytest.raises(DataError, match="Is it a prediction for this dataset"):
        write_labels(labels, image.geometry, tmp_path / "x.nii.gz", {"kind": "values", "to_raw": {"0": 0, "1": 5}})
    assert not (tmp_path / "x.nii.gz").exists()


def test_labels_that_are_not_wanted_become_background(tmp_path: Path) -> None:
    image = read(case(save(tmp_path / "c.nii.gz")), recipe())
    labels = thresholds(image.data)
    before = labels.copy()
    write_labels(labels, image.geometry, tmp_path / "roi.nii.gz", roi=roi_values(["core"], recipe()))
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "roi.nii.gz")))
    assert np.array_equal(written, np.where(before == 2, 2, 0))
    assert np.array_equal(labels, before)
    regions = SimpleNamespace(
        labels={"background": 0, "whole": (1, 2, 3), "core": (2,), "ignore": 4}, foreground=(1, 2, 3)
    )
    assert roi_values(["whole"], regions) == roi_values(["1", "2", "3"], regions) == {1, 2, 3}
    with pytest.raises(ConfigError, match=r"no label liver, ignore. Its labels: whole, core"):
        roi_values(["core", "liver", "ignore"], regions)
    with pytest.raises(ConfigError, match="no label background"):
        roi_values(["background"], regions)


def test_a_file_that_cannot_be_written_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = read(case(save(tmp_path / "c.nii.gz")), recipe())
    labels, target = thresholds(image.data), tmp_path / "out" / "c.nii.gz"
    write_labels(labels, image.geometry, target)
    before = target.read_bytes()
    write = sitk.WriteImage

    def full(written: sitk.Image, path: str, **options: bool) -> None:
        write(written, path, **options)
        Path(path).write_bytes(Path(path).read_bytes()[:-60])

    monkeypatch.setattr(writing.sitk, "WriteImage", full)
    with pytest.raises(SetupError, match=r"c\.nii\.gz could not be written"):
        write_labels(labels + 1, image.geometry, target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["c.nii.gz"]


@pytest.mark.parametrize("reader", READERS)
def test_the_same_label_map_makes_the_same_bytes(tmp_path: Path, reader: Reader) -> None:
    image = read(Case("c", (save(tmp_path / "c.nii.gz"),), "files"), recipe(reader))
    written = []
    for name in ("a", "b"):
        write_labels(thresholds(image.data), image.geometry, tmp_path / name / "c.nii.gz")
        written.append((tmp_path / name / "c.nii.gz").read_bytes())
    assert written[0] == written[1]
