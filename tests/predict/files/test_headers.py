from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.io import imsave

from medmamba.errors import DataError
from medmamba.predict.files.cases import Case, find_cases
from medmamba.predict.files.headers import probe
from medmamba.predict.files.images import read
from medmamba.predict.recipe import Reader, Recipe
from tests.predict.made_images import ORIENTATIONS, affine, case, itk_image, recipe, save, save_series, voxels

READERS = ("itk", "itk-ras", "nibabel", "nibabel-ras")


def agrees(one: Case, wanted: Recipe) -> None:
    """The header tells what reading finds."""
    header, image = probe(one, wanted), read(one, wanted)
    assert header.shape == image.data.shape[1:]
    assert header.spacing == pytest.approx(image.spacing, rel=1e-6)
    assert header.channels == len(image.data)


@settings(max_examples=20, deadline=None)
@given(
    reader=st.sampled_from(READERS),
    orientation=st.sampled_from(ORIENTATIONS),
    turn=st.sampled_from([(0, 0, 0), (9, -4, 2)]),
    ending=st.sampled_from([".nii.gz", ".nii", ".mha", ".nrrd"]),
)
def test_headers_of_volumes(
    tmp_path_factory: pytest.TempPathFactory, reader: Reader, orientation, turn, ending
) -> None:
    matrix = affine(turn=turn, axes=orientation[0], signs=orientation[1])
    path = tmp_path_factory.mktemp("h") / f"c{ending}"
    sitk.WriteImage(itk_image(voxels(), matrix), str(path))
    agrees(case(path), recipe(reader))
    assert probe(case(path), recipe(reader)).voxel_bytes == 2


def test_headers_of_series_slices_pictures_and_stacks(tmp_path: Path) -> None:
    agrees(case(save_series(tmp_path / "s", matrix=affine(axes=(1, 2, 0))), kind="dicom"), recipe())
    sitk.WriteImage(sitk.GetImageFromArray(voxels((4, 6))), str(tmp_path / "s.nii.gz"))
    agrees(case(tmp_path / "s.nii.gz"), recipe(patch=(8, 8)))
    imsave(tmp_path / "p.png", voxels((4, 6, 3), np.uint8), check_contrast=False)
    agrees(case(tmp_path / "p.png"), recipe("flat", ("r", "g", "b"), ".png", (8, 8)))
    tifffile.imwrite(tmp_path / "t.tif", voxels((5, 4, 6), np.uint16), photometric="minisblack")
    (tmp_path / "t.json").write_text('{"spacing": [3, 2, 1]}')
    agrees(case(tmp_path / "t.tif"), recipe("tiff", ending=".tif"))


@pytest.mark.parametrize("reader", READERS)
def test_no_voxel_is_read(tmp_path: Path, reader: Reader) -> None:
    path = save(tmp_path / "c.nii", dim=[3, 3000, 3000, 3000, 1, 1, 1, 1])
    assert probe(case(path), recipe(reader)).shape == (3000, 3000, 3000)


@pytest.mark.parametrize("content", [b"", b"<html>", b"nothing of use at all" * 50])
@pytest.mark.parametrize("name", ["c.nii.gz", "c.nii", "c.mha"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes, reader: Reader) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        probe(case(tmp_path / name), recipe(reader))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "spacing"),
        ({"forms": (0, 1), "srow_y": [0, 0, 0, 0]}, "degenerate axes"),
        ({"forms": (0, 1), "srow_x": [np.nan, 0, 0, 0]}, "degenerate axes|reader refuses"),
        ({"dim": [9, 5, 6, 7, 1, 1, 1, 1]}, "number of dimensions"),
        ({"datatype": 77}, "cannot be used"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_headers_that_make_no_sense_are_refused_when_the_image_is_read(
    tmp_path: Path, reader: Reader, fields: dict, sentence: str
) -> None:
    """The header alone may pass, but fails with nothing else than a sentence."""
    one, wanted = case(save(tmp_path / "c.nii.gz", **fields)), recipe(reader)
    with suppress(DataError):
        assert min(probe(one, wanted).spacing) > 0
    with pytest.raises(DataError, match=sentence):
        read(one, wanted)


def test_real_headers(shared_data: Path) -> None:
    for reader in READERS:
        wanted = recipe(reader)
        for one in find_cases(shared_data / "Dataset004_Hippocampus" / "imagesTs", wanted)[:5]:
            agrees(one, wanted)
